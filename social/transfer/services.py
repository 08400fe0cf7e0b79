"""A member's writes of imports and exports: upload a file, correct a row, apply, undo, delete.

Reading, applying and undoing run in the task worker (transfer.tasks); the services here request them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import count
from typing import IO

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.services import user_lock
from movies.models import Movie
from nexus.core.api.exceptions import NotFound, Problem, field_error
from nexus.core.quotas import check_quota
from nexus.core.visible_text import remove_invisible
from social.models import Export, Import, ImportFilePiece, ImportRow
from social.transfer.formats.detection import detect_format
from social.transfer.formats.records import MOVIE_KINDS, FileError
from social.transfer.pipeline.duplicates import mark_duplicates
from social.transfer.pipeline.validation import set_verdicts
from social.transfer.tasks import defer_import, prepare_export

MAX_FILE_BYTES = 20 * 1024 * 1024
PIECE_BYTES = 256 * 1024
MAX_FILENAME_LENGTH = 200
#: The rows of one movie that one correction covers.
MAX_CORRECTED_ROWS = 1_000

State = Import.State


def import_create(*, user_id: int, filename: str, file: IO[bytes]) -> tuple[Import, bool]:
    """Store a file to be read; return the import and whether it is new.

    The same file of the same name is the same import until that is applied: the name may say what the
    file contains. Raises ValidationError (400) on `file`
    for a file of an unknown format, Problem (409) if the member has as many imports or
    import rows as the quotas allow.
    """
    name = remove_invisible(filename, is_line=True)[-MAX_FILENAME_LENGTH:]
    try:
        file_format = detect_format(file, name=name)
    except FileError as error:
        raise field_error("file", error.reason, error.code) from None
    digest = _hash_file(file)
    try:
        with transaction.atomic():
            user_lock(user_id=user_id)
            if existing := _find_unapplied_import(user_id, digest, name):
                return existing, False
            check_quota("imports", Import.objects.filter(user_id=user_id))
            check_quota("import_rows", Import.objects.count_rows(user_id))
            job = Import.objects.create(
                user_id=user_id, filename=name, format=file_format, sha256=digest
            )
            _store_file(job, file)
            defer_import(import_id=job.pk, user_id=user_id)
            return job, True
    except IntegrityError:
        # A concurrent request has created it; the constraint allows only one.
        existing = _find_unapplied_import(user_id, digest, name)
        if existing is None:
            raise
        return existing, False


@transaction.atomic
def import_row_correct(
    *, import_id: int, number: int, movie_id: int | None = None, skip: bool | None = None
) -> ImportRow:
    """Set a row's movie, or whether the row is skipped.

    A movie is set on all rows of the file with this title and year, at most MAX_CORRECTED_ROWS; skipping
    is about the one row. Raises NotFound for an unknown row, Problem (409) if the import is not ready, ValidationError
    (400) if the row is invalid, is not about a movie, or the movie is unknown.
    """
    job = _lock_import(import_id)
    if job.state not in (State.READY, State.UNDONE):
        raise _make_state_conflict(
            "not_ready", "Rows can be corrected until the import is applied", job
        )
    row = ImportRow.objects.filter(of=job, number=number).first()
    if row is None:
        raise NotFound
    if row.verdict == ImportRow.Verdict.INVALID:
        raise field_error("movie" if movie_id else "skip", f"This row is invalid: {row.reason}")
    rows = [row] if movie_id is None else _get_rows_of_same_movie(row)
    affected = {each.movie_id for each in rows}
    if skip:
        row.verdict, row.code = ImportRow.Verdict.SKIPPED, ""
        row.reason = "You have chosen to skip this row."
    else:
        if movie_id is not None:
            _choose_movie(rows, movie_id)
        set_verdicts(user_id=job.user_id, rows=rows)
    ImportRow.objects.bulk_update(
        rows, ["verdict", "code", "reason", "movie_id", "chosen", "playlist_id"], batch_size=100
    )
    affected |= {each.movie_id for each in rows}
    movie_ids = [movie_id for movie_id in affected if movie_id is not None]
    mark_duplicates(import_id=job.pk, movie_ids=movie_ids)
    row.refresh_from_db()
    return row


def _get_rows_of_same_movie(row: ImportRow) -> list[ImportRow]:
    """Return a row and the others of its title and year that are neither invalid nor skipped."""
    same = ImportRow.objects.filter(
        of_id=row.of_id, title=row.title, year=row.year, kind__in=MOVIE_KINDS
    )
    others = same.exclude(pk=row.pk).exclude(
        verdict__in=(ImportRow.Verdict.INVALID, ImportRow.Verdict.SKIPPED)
    )
    return [row, *others.order_by("number")[: MAX_CORRECTED_ROWS - 1]]


def _choose_movie(rows: Sequence[ImportRow], movie_id: int) -> None:
    if rows[0].kind not in MOVIE_KINDS:
        raise field_error("movie", "This row is not about a movie.")
    if not Movie.objects.filter(id=movie_id).exists():
        raise field_error("movie", f"There is no movie with the id {movie_id}.", "does_not_exist")
    for row in rows:
        row.movie_id, row.chosen = movie_id, True


@transaction.atomic
def import_match(*, import_id: int) -> bool:
    """Request that rows without a movie are matched again; return False if they are being matched.

    What is written stays and can be undone; the newly matched rows are written by applying again.
    Raises Problem (409) while the import writes, and for a failed one.
    """
    job = _lock_import(import_id)
    if job.state == State.READING:
        return False
    if job.state not in (State.READY, State.APPLIED, State.UNDONE):
        raise _make_state_conflict("not_ready", "An import can be matched when it is ready", job)
    job.request_step(State.READING, Import.Step.MATCH)
    job.save()
    defer_import(import_id=job.pk, user_id=job.user_id)
    return True


@transaction.atomic
def import_apply(*, import_id: int, on_conflict: str | None = None) -> bool:
    """Request that the matched rows are written; return False if they already are or will be.

    Raises Problem (409) while the import is read or undone, and for a failed one.
    """
    job = _lock_import(import_id)
    if job.state in (State.APPLYING, State.APPLIED):
        return False
    if job.state not in (State.READY, State.UNDONE):
        raise _make_state_conflict("not_ready", "An import can be applied when it is ready", job)
    if on_conflict is not None:
        job.on_conflict = on_conflict
    job.applied_at, job.undone_at = timezone.now(), None
    job.request_step(State.APPLYING, Import.Step.APPLY)
    job.save()
    defer_import(import_id=job.pk, user_id=job.user_id)
    return True


@transaction.atomic
def import_undo(*, import_id: int) -> bool:
    """Request that the import's writes are undone; return False if they already are or will be.

    Raises Problem (409) if the import is not applied.
    """
    job = _lock_import(import_id)
    if job.state in (State.UNDOING, State.UNDONE):
        return False
    # Matched again after it was applied, an import is ready and has written rows.
    if job.state != State.APPLIED and not (job.state == State.READY and job.is_written):
        raise _make_state_conflict("not_applied", "An import can be undone when it is applied", job)
    job.request_step(State.UNDOING, Import.Step.UNDO)
    job.save()
    defer_import(import_id=job.pk, user_id=job.user_id)
    return True


@transaction.atomic
def import_delete(*, import_id: int) -> None:
    """Delete an import; its writes stay. Raises Problem (409) while it writes."""
    job = _lock_import(import_id)
    if job.state in (State.APPLYING, State.UNDOING):
        raise _make_state_conflict("busy", "An import cannot be deleted while it writes", job)
    job.delete()


@transaction.atomic
def export_request(*, user_id: int) -> Export:
    """Return the member's archive, and let the task worker prepare it if there is no recent one."""
    user_lock(user_id=user_id)
    export = Export.objects.filter(pk=user_id).first()
    if export is not None and not export.is_outdated:
        return export
    if export is not None:
        export.delete()
    prepare_export.configure(lock=f"export-of-{user_id}").defer(user_id=user_id)
    return Export.objects.create(pk=user_id)


def _hash_file(file: IO[bytes]) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _store_file(job: Import, file: IO[bytes]) -> None:
    file.seek(0)
    for number in count():
        piece = file.read(PIECE_BYTES)
        if not piece:
            return
        ImportFilePiece.objects.create(of=job, number=number, content=piece)


def _lock_import(import_id: int) -> Import:
    job = Import.objects.select_for_update().filter(id=import_id).first()
    if job is None:
        raise NotFound
    return job


def _find_unapplied_import(user_id: int, digest: str, name: str) -> Import | None:
    same = Import.objects.filter(user_id=user_id, sha256=digest, filename=name)
    unapplied = same.filter(applied_at=None)
    return unapplied.exclude(state=State.FAILED).first()


def _make_state_conflict(code: str, rule: str, job: Import) -> Problem:
    return Problem(409, code, f"{rule}; this one is {job.state}.")
