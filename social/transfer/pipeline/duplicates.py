"""Rows of an import that repeat another row of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db.models import TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import MD5, NullIf

from social.models import ImportRow
from social.transfer.formats.records import RecordKind
from social.transfer.pipeline.comparisons import FURTHER_REVIEW, to_datetime

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
    code: str
    watched_on: str | None
    watched_at: str | None
    playlist: str | None
    updated_at: str | None
    rated_at: str | None
    review: str | None
    viewing_note: str | None

    @property
    def subject(self) -> tuple[object, ...]:
        """The thing that the row describes; of the rows with one subject only one is applied."""
        match self.kind:
            case RecordKind.VIEWING:
                time = self.watched_on, self.watched_at
                # As in comparisons.find_viewing.
                note = self.viewing_note if time == (None, None) else None
                return self.kind, self.movie_id, *time, note
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
    row that rates or reviews it or says when it was watched. A row with another review than the one
    that stays is no duplicate: its review becomes the note of its viewing.
    """
    rows = ImportRow.objects.filter(
        of_id=import_id,
        movie_id__isnull=False,
        verdict__in=(Verdict.MATCHED, Verdict.UNCHANGED, Verdict.DUPLICATE),
    )
    if movie_ids is not None:
        rows = rows.filter(movie_id__in=movie_ids)
    fields = ("id", "number", "kind", "movie_id", "verdict", "code")
    names = ("watched_on", "watched_at", "list", "updated_at", "rated_at")
    candidates = [
        _DuplicateCandidate(*row)
        for row in rows.order_by("number")
        # Texts may be long, and there may be 100,000 rows.
        .annotate(review=_hash_text("review"), viewing_note=_hash_text("viewing_note"))
        .values_list(*fields, *(f"values__{name}" for name in names), "review", "viewing_note")
        .iterator()
    ]
    originals, first_reviews = _find_originals(candidates)
    former_ids = [
        row.id
        for row in candidates
        if (row.verdict == Verdict.DUPLICATE and row.number not in originals)
        or (row.code == FURTHER_REVIEW and row.number not in first_reviews)
    ]
    ImportRow.objects.filter(id__in=former_ids).update(verdict=Verdict.MATCHED, code="", reason="")
    changed_ids = [
        row.id
        for row in candidates
        if (row.verdict != Verdict.DUPLICATE and row.number in originals)
        or (row.code != FURTHER_REVIEW and row.number in first_reviews)
    ]
    for start in range(0, len(changed_ids), UPDATE_BATCH_SIZE):
        batch_ids = changed_ids[start : start + UPDATE_BATCH_SIZE]
        batch = list(ImportRow.objects.filter(id__in=batch_ids))
        for row in batch:
            if row.number in originals:
                row.verdict, row.code = Verdict.DUPLICATE, "same_as"
                row.reason = f"Row {originals[row.number]} says this already."
            else:
                row.verdict, row.code = Verdict.MATCHED, FURTHER_REVIEW
                row.reason = (
                    f"One rating and review a movie: those of row {first_reviews[row.number]} stay."
                    " This review becomes the note of its viewing."
                )
        ImportRow.store_results(batch)


def _hash_text(name: str) -> MD5:
    """Return the hash of a text among the values of a row; null if it is empty or missing."""
    return MD5(NullIf(KeyTextTransform(name, "values"), Value("", TextField())))


def _find_originals(
    candidates: Sequence[_DuplicateCandidate],
) -> tuple[dict[int, int], dict[int, int]]:
    """Return for each duplicate the number of the row that it repeats, by its own number.

    And in the same way, for each further review the row whose review of the movie stays.
    """
    winners: dict[tuple[object, ...], _DuplicateCandidate] = {}
    first_watched: dict[int, int] = {}
    for row in candidates:
        winner = winners.setdefault(row.subject, row)
        if row.date > winner.date:
            winners[row.subject] = row
        if row.kind in _IMPLY_WATCHED:
            first_watched.setdefault(row.movie_id, row.number)
    originals: dict[int, int] = {}
    first_reviews: dict[int, int] = {}
    #: The number of the row with each review, by movie and hash.
    reviews = {
        (row.movie_id, row.review): row.number for row in winners.values() if row.review is not None
    }
    for row in candidates:
        original = winners[row.subject].number
        if row.kind == RecordKind.SEEN:
            original = first_watched.get(row.movie_id, original)
        if original == row.number:
            continue
        if row.review is not None:
            same = reviews.setdefault((row.movie_id, row.review), row.number)
            if same == row.number:
                first_reviews[row.number] = original
                continue
            original = same
        originals[row.number] = original
    return originals, first_reviews
