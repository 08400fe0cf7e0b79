"""Second step of an import: find each row's movie in the catalogue and set the row's verdict.

The next step is find.
"""

from __future__ import annotations

from collections.abc import Sequence

from movies.dto import MovieReference
from movies.title_matching import match_references
from social.models import Import, ImportRow
from social.transfer.formats.records import MOVIE_KINDS
from social.transfer.pipeline.batch import lock_import, retry_on_conflict
from social.transfer.pipeline.validation import set_match, set_verdicts

BATCH_SIZE = 500
_UNMATCHED = (
    ImportRow.Verdict.PENDING,
    ImportRow.Verdict.AMBIGUOUS,
    ImportRow.Verdict.MISSING,
)


@retry_on_conflict
def match_batch(import_id: int) -> Import:
    """Set the movie and the verdict of the next rows that have no movie."""
    with lock_import(import_id, Import.Step.MATCH) as job:
        rows = ImportRow.objects.filter(of_id=job.pk, number__gt=job.position)
        batch = list(rows.order_by("number")[:BATCH_SIZE])
        # Ambiguous and missing ones are there if the import is matched again.
        unmatched = [row for row in batch if row.verdict in _UNMATCHED]
        _match_movies([row for row in unmatched if row.kind in MOVIE_KINDS])
        set_verdicts(user_id=job.user_id, rows=unmatched)
        ImportRow.store_results(unmatched)
        job.position += len(batch)
        if len(batch) < BATCH_SIZE:
            job.continue_with(Import.Step.FIND)
    return job


def _match_movies(rows: Sequence[ImportRow]) -> None:
    matches = match_references([make_reference(row) for row in rows])
    for row, match in zip(rows, matches, strict=True):
        set_match(row, match)


def make_reference(row: ImportRow) -> MovieReference:
    """Return what a row says about its movie; only its ids if they must confirm that it is one."""
    if row.values.get("must_be_confirmed"):
        return MovieReference("", None, row.tmdb_id, row.imdb_id)
    return MovieReference(row.title, row.year, row.tmdb_id, row.imdb_id, row.named_movie_id)
