"""Third step of an import: look up movies that the catalogue lacks in another source, and add them.

So are rows for which the catalogue has only movies of another year or spelling.
settings.IMPORT_MOVIE_LOOKUP names the MovieLookup of that source. Without one the step does nothing.
After it the import is ready to be applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django.conf import settings
from django.db.models import Q
from django.utils.module_loading import import_string

from movies.dto import LookupResult, MovieReference
from movies.title_matching import ReferenceMatch, rank_candidates
from nexus.core.api.exceptions import Problem
from social.models import Import, ImportRow
from social.transfer.pipeline.batch import get_import, lock_import
from social.transfer.pipeline.duplicates import mark_duplicates
from social.transfer.pipeline.match import make_reference
from social.transfer.pipeline.validation import (
    NOT_FOUND_CODES,
    UNSURE_CODES,
    add_reason,
    set_match,
    set_reason,
    set_verdicts,
)

BATCH_SIZE = 20
_NOT_FOUND = Q(verdict=ImportRow.Verdict.MISSING, code__in=NOT_FOUND_CODES)
_UNSURE = Q(verdict=ImportRow.Verdict.AMBIGUOUS, code__in=UNSURE_CODES)


class MovieLookup(Protocol):
    """Adds movies to the catalogue by reference, from a source that this app does not know."""

    def __call__(self, references: Sequence[MovieReference]) -> Sequence[LookupResult]:
        """Return what the source has for each reference. Raises Problem if it is unavailable."""


def get_movie_lookup() -> MovieLookup | None:
    path = settings.IMPORT_MOVIE_LOOKUP
    lookup: MovieLookup | None = import_string(path) if path else None
    return lookup


def find_batch(import_id: int) -> Import:
    """Look up the movies of the next rows without one; the last batch makes the import ready."""
    lookup = get_movie_lookup()
    if lookup is None:
        with lock_import(import_id, Import.Step.FIND) as job:
            _make_ready(job)
        return job
    # Outside any transaction, so that a slow source blocks nobody with locks.
    rows = _get_unmatched_rows(get_import(import_id, Import.Step.FIND))
    try:
        results = lookup([make_reference(row) for row in rows]) if rows else []
    except Problem:
        with lock_import(import_id, Import.Step.FIND) as job:
            _mark_unavailable(job)
            _make_ready(job)
        return job
    with lock_import(import_id, Import.Step.FIND) as job:
        _set_results(job, rows, results)
        if len(rows) < BATCH_SIZE:
            _make_ready(job)
        else:
            job.position = rows[-1].number
    return job


def _get_unmatched_rows(job: Import) -> list[ImportRow]:
    rows = ImportRow.objects.filter(of_id=job.pk, number__gt=job.position)
    unmatched = rows.filter(_NOT_FOUND | _UNSURE)
    return list(unmatched.order_by("number")[:BATCH_SIZE])


def _set_results(job: Import, rows: Sequence[ImportRow], results: Sequence[LookupResult]) -> None:
    candidates = rank_candidates(
        [make_reference(row) for row in rows],
        [(*row.candidates, *result.candidates) for row, result in zip(rows, results, strict=True)],
    )
    for row, result, ranked in zip(rows, results, candidates, strict=True):
        if result.movie_id is not None:
            set_match(row, ReferenceMatch(result.movie_id))
            continue
        searched = f"TMDb was searched for {result.query}."
        if result.other_media:
            row.candidates = []
            row.verdict, row.code = ImportRow.Verdict.INVALID, "not_a_film"
            set_reason(row, f"This is not a movie but {result.other_media}. {searched}")
            continue
        set_match(row, ranked)
        if row.candidates:
            add_reason(row, searched)
        else:
            set_reason(row, "Neither the catalogue nor TMDb has this movie.", searched)
    set_verdicts(user_id=job.user_id, rows=rows)
    ImportRow.store_results(rows)


def _mark_unavailable(job: Import) -> None:
    missing = ImportRow.objects.filter(_NOT_FOUND, of_id=job.pk, number__gt=job.position)
    missing.update(
        code="tmdb_unavailable",
        reason="The catalogue does not have this movie, and TMDb was unavailable. Match again later.",
    )


def _make_ready(job: Import) -> None:
    mark_duplicates(import_id=job.pk)
    job.finish(Import.State.READY)
