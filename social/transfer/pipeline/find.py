"""Third step of an import: look up movies that the catalogue lacks in another source, and add them.

settings.IMPORT_MOVIE_LOOKUP names the MovieLookup of that source. Without one the step does nothing.
After it the import is ready to be applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from movies.dto import MovieReference
from movies.title_matching import ReferenceMatch
from nexus.core.api.exceptions import Problem
from social.models import Import, ImportRow
from social.transfer.pipeline.batch import get_import, lock_import
from social.transfer.pipeline.duplicates import mark_duplicates
from social.transfer.pipeline.match import make_reference
from social.transfer.pipeline.validation import set_match, set_verdicts

BATCH_SIZE = 20


class MovieLookup(Protocol):
    """Adds movies to the catalogue by reference, from a source that this app does not know."""

    def __call__(self, references: Sequence[MovieReference]) -> Sequence[int | None]:
        """Return the movie's id for each reference, None if the source has no such movie.

        Raises Problem if the source is unavailable.
        """


def get_movie_lookup() -> MovieLookup | None:
    path = settings.IMPORT_MOVIE_LOOKUP
    lookup: MovieLookup | None = import_string(path) if path else None
    return lookup


def find_batch(import_id: int) -> Import:
    """Look up the missing movies of the next rows; the last batch makes the import ready."""
    lookup = get_movie_lookup()
    if lookup is None:
        with lock_import(import_id, Import.Step.FIND) as job:
            _make_ready(job)
        return job
    # Outside any transaction, so that a slow source blocks nobody with locks.
    rows = _get_missing_rows(get_import(import_id, Import.Step.FIND))
    try:
        movie_ids = lookup([make_reference(row) for row in rows]) if rows else []
    except Problem:
        with lock_import(import_id, Import.Step.FIND) as job:
            _mark_unavailable(job)
            _make_ready(job)
        return job
    with lock_import(import_id, Import.Step.FIND) as job:
        _set_movies(job, rows, movie_ids)
        if len(rows) < BATCH_SIZE:
            _make_ready(job)
        else:
            job.position = rows[-1].number
    return job


def _get_missing_rows(job: Import) -> list[ImportRow]:
    missing = ImportRow.objects.filter(
        of_id=job.pk,
        number__gt=job.position,
        verdict=ImportRow.Verdict.MISSING,
        code="not_in_catalogue",
    )
    return list(missing.order_by("number")[:BATCH_SIZE])


def _set_movies(job: Import, rows: Sequence[ImportRow], movie_ids: Sequence[int | None]) -> None:
    for row, movie_id in zip(rows, movie_ids, strict=True):
        if movie_id is not None:
            set_match(row, ReferenceMatch(movie_id))
        else:
            row.reason = "Neither the catalogue nor TMDb has this movie."
    set_verdicts(user_id=job.user_id, rows=rows)
    ImportRow.store_results(rows)


def _mark_unavailable(job: Import) -> None:
    missing = ImportRow.objects.filter(of_id=job.pk, verdict=ImportRow.Verdict.MISSING)
    missing.filter(number__gt=job.position, code="not_in_catalogue").update(
        code="tmdb_unavailable",
        reason="The catalogue does not have this movie, and TMDb was unavailable.",
    )


def _make_ready(job: Import) -> None:
    mark_duplicates(import_id=job.pk)
    job.finish(Import.State.READY)
