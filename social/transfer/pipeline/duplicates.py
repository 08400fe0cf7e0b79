"""Rows of an import that repeat another row of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from social.models import ImportRow
from social.transfer.formats.records import RecordKind
from social.transfer.pipeline.comparisons import to_datetime

UPDATE_BATCH_SIZE = 500

Verdict = ImportRow.Verdict

_NO_DATE = datetime.min.replace(tzinfo=UTC)
_IMPLY_WATCHED = (RecordKind.RATING, RecordKind.REVIEW, RecordKind.VIEWING)


class _DuplicateCandidate(NamedTuple):
    id: int
    number: int
    kind: str
    movie_id: int
    verdict: str
    watched_at: str | None
    playlist: str | None
    updated_at: str | None
    rated_at: str | None

    @property
    def subject(self) -> tuple[object, ...]:
        """The thing that the row describes; of the rows with one subject only one is applied."""
        match self.kind:
            case RecordKind.VIEWING:
                return self.kind, self.movie_id, self.watched_at
            case RecordKind.PLAYLIST_ITEM:
                return self.kind, self.movie_id, self.playlist
        return self.kind, self.movie_id

    @property
    def date(self) -> datetime:
        """The date of a rating or review; the others have none."""
        return to_datetime(self.updated_at or self.rated_at) or _NO_DATE


def mark_duplicates(*, import_id: int, movie_ids: Iterable[int] | None = None) -> None:
    """Mark the rows that repeat another row, and unmark those that no longer do.

    `movie_ids` restricts this to rows of these movies. Of the rows with one subject the newest stays,
    or the first if none has a date. A row that only says a movie was seen is a duplicate of the first
    row that rates or reviews it or says when it was watched.
    """
    rows = ImportRow.objects.filter(
        of_id=import_id,
        movie_id__isnull=False,
        verdict__in=(Verdict.MATCHED, Verdict.UNCHANGED, Verdict.DUPLICATE),
    )
    if movie_ids is not None:
        rows = rows.filter(movie_id__in=movie_ids)
    fields = ("id", "number", "kind", "movie_id", "verdict")
    values = [f"values__{name}" for name in ("watched_at", "list", "updated_at", "rated_at")]
    candidates = [
        _DuplicateCandidate(*row)
        for row in rows.order_by("number").values_list(*fields, *values).iterator()
    ]
    originals = _find_originals(candidates)
    former_duplicate_ids = [
        row.id
        for row in candidates
        if row.verdict == Verdict.DUPLICATE and row.number not in originals
    ]
    ImportRow.objects.filter(id__in=former_duplicate_ids).update(
        verdict=Verdict.MATCHED, code="", reason=""
    )
    duplicate_ids = [
        row.id for row in candidates if row.verdict != Verdict.DUPLICATE and row.number in originals
    ]
    for start in range(0, len(duplicate_ids), UPDATE_BATCH_SIZE):
        batch_ids = duplicate_ids[start : start + UPDATE_BATCH_SIZE]
        batch = list(ImportRow.objects.filter(id__in=batch_ids))
        for row in batch:
            row.verdict, row.code = Verdict.DUPLICATE, "same_as"
            row.reason = f"Row {originals[row.number]} says this already."
        ImportRow.store_results(batch)


def _find_originals(candidates: Sequence[_DuplicateCandidate]) -> dict[int, int]:
    """Return for each duplicate the number of the row that it repeats, by its own number."""
    winners: dict[tuple[object, ...], _DuplicateCandidate] = {}
    first_watched: dict[int, int] = {}
    for row in candidates:
        winner = winners.setdefault(row.subject, row)
        if row.date > winner.date:
            winners[row.subject] = row
        if row.kind in _IMPLY_WATCHED:
            first_watched.setdefault(row.movie_id, row.number)
    originals = {}
    for row in candidates:
        original = winners[row.subject].number
        if row.kind == RecordKind.SEEN:
            original = first_watched.get(row.movie_id, original)
        if original != row.number:
            originals[row.number] = original
    return originals
