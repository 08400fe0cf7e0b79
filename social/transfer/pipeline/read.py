"""From a file to rows with verdicts, a piece at a time: reading, matching, asking TMDb."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from django.conf import settings
from django.utils.module_loading import import_string

from movies.dto import MovieReference
from movies.title_matching import ReferenceMatch
from nexus.core.api.exceptions import Problem
from social.models import Import, ImportFile, ImportRow
from social.transfer.formats.detection import read
from social.transfer.formats.records import Entry, FileError, Kind
from social.transfer.pipeline.storage import rows_store
from social.transfer.pipeline.validation import (
    duplicates_mark,
    match_take,
    reference_of,
    rows_match,
    verdicts_set,
)

READ_AT_ONCE = 1000
MATCH_AT_ONCE = 500
FIND_AT_ONCE = 20

Verdict = ImportRow.Verdict
#: Films that are not in the catalogue, brought in from elsewhere: an id for each that was found,
#: None for each that there is not. Raises Problem where they cannot be asked for at the moment.
FilmFinder = Callable[[Sequence[MovieReference]], list[int | None]]


def film_finder() -> FilmFinder | None:
    """What settings.IMPORT_MOVIE_LOOKUP names; None where it names nothing."""
    path = settings.IMPORT_MOVIE_LOOKUP
    finder: FilmFinder | None = import_string(path) if path else None
    return finder


class Reader:
    """Reads a file once, however many pieces that takes."""

    def __init__(self, job: Import) -> None:
        content = ImportFile.objects.get(of_id=job.pk).content
        self._entries = self._numbered(bytes(content), job)
        # What a process that ended half way has stored already.
        next(islice(self._entries, job.position, job.position), None)

    def _numbered(self, content: bytes, job: Import) -> Iterator[ImportRow]:
        namesakes: dict[str, int] = {}
        today = job.created_at.date()
        for number, entry in enumerate(read(content, name=job.filename, today=today), 1):
            if entry.kind == Kind.PLAYLIST and entry.values is not None:
                name = entry.values["name"]
                entry.values["namesake"] = namesakes.get(name, 0)
                namesakes[name] = namesakes.get(name, 0) + 1
            yield _row(job.pk, number, entry)

    def piece(self) -> list[ImportRow]:
        """The next rows, unstored; none at the end. Raises FileError."""
        return list(islice(self._entries, READ_AT_ONCE))


def _row(import_id: int, number: int, entry: Entry) -> ImportRow:
    row = ImportRow(
        of_id=import_id,
        number=number,
        file=entry.file[:300],
        line=entry.line,
        kind=entry.kind or "",
        title=entry.title,
        year=entry.year,
        tmdb_id=entry.tmdb_id,
        imdb_id=entry.imdb_id,
        named_movie_id=entry.movie_id,
        values=entry.values or {},
    )
    if entry.problem is not None:
        row.verdict, (row.code, reason) = Verdict.INVALID, entry.problem
        row.reason = reason[:300]
    return row


def read_piece(job: Import, reader: Reader) -> None:
    """Store the next rows of the file, or note that there are no more."""
    try:
        rows = reader.piece()
    except FileError as problem:
        fail(job, problem.reason)
        return
    ImportRow.objects.bulk_create(rows, batch_size=500)
    job.position += len(rows)
    if len(rows) < READ_AT_ONCE:
        job.total, job.position, job.step = job.position, 0, Import.Step.MATCH
        ImportFile.objects.filter(of_id=job.pk).delete()


def fail(job: Import, reason: str) -> None:
    """Give a reading up, with the reason; of a file that cannot be used no row is kept."""
    job.state, job.step, job.reason = Import.State.FAILED, Import.Step.NONE, reason[:300]
    job.position = job.total = 0
    ImportRow.objects.filter(of_id=job.pk).delete()
    ImportFile.objects.filter(of_id=job.pk).delete()


def match_piece(job: Import) -> None:
    """Set the verdicts of the next rows."""
    left = ImportRow.objects.filter(of_id=job.pk, number__gt=job.position).order_by("number")
    rows = list(left[:MATCH_AT_ONCE])
    pending = [row for row in rows if row.verdict == Verdict.PENDING]
    if pending:
        rows_match(rows=pending)
        verdicts_set(user_id=job.user_id, rows=pending)
        rows_store(pending)
    job.position += len(rows)
    if job.position >= job.total or not rows:
        job.position = 0
        if film_finder() is not None:
            job.step = Import.Step.FIND
        else:
            _be_ready(job)


def find_wanted(job: Import) -> list[ImportRow]:
    """The next rows whose film the catalogue does not have."""
    missing = ImportRow.objects.filter(
        of_id=job.pk, number__gt=job.position, verdict=Verdict.MISSING, code="not_in_catalogue"
    )
    return list(missing.order_by("number")[:FIND_AT_ONCE])


def find_ask(rows: Sequence[ImportRow]) -> list[int | None] | None:
    """What the finder has of these rows' films; None where it cannot be asked at the moment."""
    finder = film_finder()
    if finder is None:
        return None
    try:
        return finder([reference_of(row) for row in rows])
    except Problem:
        return None


def find_piece(job: Import, rows: Sequence[ImportRow], found: Sequence[int | None] | None) -> None:
    """Take over what the finder had; without an answer the rest stays missing, and says why."""
    if found is None:
        missing = ImportRow.objects.filter(of_id=job.pk, verdict=Verdict.MISSING)
        missing.filter(number__gt=job.position, code="not_in_catalogue").update(
            code="tmdb_unavailable",
            reason="The catalogue has no such film, and TMDb could not be asked for it.",
        )
    else:
        for row, movie_id in zip(rows, found, strict=True):
            if movie_id is not None:
                match_take(row, ReferenceMatch(movie_id))
            else:
                row.reason = "Neither the catalogue nor TMDb has such a film."
        verdicts_set(user_id=job.user_id, rows=rows)
        rows_store(rows)
    if found is None or len(rows) < FIND_AT_ONCE:
        job.position = 0
        _be_ready(job)
    else:
        job.position = rows[-1].number


def _be_ready(job: Import) -> None:
    duplicates_mark(import_id=job.pk)
    job.state, job.step, job.position = Import.State.READY, Import.Step.NONE, job.total
