"""Imports as their members look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from movies.models import Movie
from social.models import ImportRow


@dataclass(frozen=True)
class ImportCounts:
    """How many rows have each verdict, and what became of those that were written."""

    verdicts: dict[str, int]
    outcomes: dict[str, int]


def import_counts(*, import_id: int) -> ImportCounts:
    """In one query; every verdict and outcome is there, zero too."""
    verdicts = {name: 0 for name in ImportRow.Verdict.values if name != "pending"}
    outcomes = {name: 0 for name in ImportRow.Outcome.values if name}
    rows = ImportRow.objects.filter(of_id=import_id).order_by()
    for verdict, outcome, count in rows.values_list("verdict", "outcome").annotate(Count("id")):
        if verdict in verdicts:
            verdicts[verdict] += count
        if outcome:
            outcomes[outcome] += count
    return ImportCounts(verdicts, outcomes)


def movies_of_rows(rows: Sequence[ImportRow]) -> dict[int, Movie]:
    """The films that some rows mean or may mean, by id; one query."""
    ids = {row.movie_id for row in rows if row.movie_id is not None}
    ids.update(candidate for row in rows for candidate in row.candidates)
    if not ids:
        return {}
    return {movie.pk: movie for movie in Movie.objects.summaries().filter(id__any=ids)}
