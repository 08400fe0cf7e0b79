"""Reads of imports across models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from movies.models import Movie
from social.models import ImportRow


@dataclass(frozen=True)
class ImportCounts:
    """The number of rows by verdict and by outcome; every verdict and outcome has a number."""

    verdicts: dict[str, int]
    outcomes: dict[str, int]


def count_import_rows(import_id: int) -> ImportCounts:
    """Count an import's rows in one query, without those that have no verdict or outcome yet."""
    verdicts = {name: 0 for name in ImportRow.Verdict.values if name != "pending"}
    outcomes = {name: 0 for name in ImportRow.Outcome.values if name}
    rows = ImportRow.objects.filter(of_id=import_id).order_by()
    for verdict, outcome, count in rows.values_list("verdict", "outcome").annotate(Count("id")):
        if verdict in verdicts:
            verdicts[verdict] += count
        if outcome:
            outcomes[outcome] += count
    return ImportCounts(verdicts, outcomes)


def get_movies_of_rows(rows: Sequence[ImportRow]) -> dict[int, Movie]:
    """Return the movies and candidates of some rows by id, in one query."""
    ids = {row.movie_id for row in rows if row.movie_id is not None}
    ids.update(candidate for row in rows for candidate in row.candidates)
    if not ids:
        return {}
    return {movie.pk: movie for movie in Movie.objects.summaries().filter(id__in=ids)}
