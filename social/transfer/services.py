"""What a member asks of an import: to take a file, correct a row, apply, undo, forget.

The work itself is left to social.transfer.job_queue; here it is only asked for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from threading import Event

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import User
from movies.models import Movie
from nexus.core.api.exceptions import NotFound, Problem, field_error
from social.models import Import, ImportFile, ImportRow
from social.queries import lock_existing
from social.transfer.formats.detection import recognised
from social.transfer.formats.records import OF_A_FILM, FileError
from social.transfer.pipeline.validation import duplicates_mark, verdicts_set

MAX_FILE_BYTES = 20 * 1024 * 1024
# What a member may keep at once; older ones are theirs to delete.
MAX_IMPORTS = 20

State = Import.State
#: Set where work has been asked for in this process, so that its worker looks at once.
asked = Event()


@dataclass(frozen=True)
class Taken:
    made: Import
    created: bool


def import_create(*, user_id: int, filename: str, content: bytes) -> Taken:
    """Take a file to be read; the same file again, while it is not applied, is the same import.

    Raises ValidationError (400) on `file` for what is no file of a known kind, Problem (409) where
    the member has MAX_IMPORTS already.
    """
    name = "".join(char for char in filename if char.isprintable())[-200:]
    try:
        file_format = recognised(content, name=name)
    except FileError as problem:
        raise field_error("file", problem.reason, problem.code) from None
    digest = hashlib.sha256(content).hexdigest()
    try:
        with transaction.atomic():
            if not lock_existing(User, [user_id]):
                raise AuthenticationFailed("This account is gone.", code="user_not_found")
            if known := _unapplied(user_id, digest):
                return Taken(known, created=False)
            if Import.objects.filter(user_id=user_id).count() >= MAX_IMPORTS:
                detail = f"You keep {MAX_IMPORTS} imports already; delete one first."
                raise Problem(409, "too_many_imports", detail)
            made = Import.objects.create(
                user_id=user_id, filename=name, format=file_format, sha256=digest
            )
            ImportFile.objects.create(of=made, content=content)
            transaction.on_commit(asked.set)
            return Taken(made, created=True)
    except IntegrityError:
        # Of two at once, the constraint lets one through.
        known = _unapplied(user_id, digest)
        if known is None:
            raise
        return Taken(known, created=False)


@transaction.atomic
def import_row_correct(
    *, import_id: int, number: int, movie_id: int | None = None, skip: bool | None = None
) -> ImportRow:
    """Say which film a row means, or that it is to be left out or, with `skip` false, not so.

    Raises NotFound for no such row, Problem (409) where the import is not ready to be applied,
    ValidationError (400) where the row takes no film or there is no such film.
    """
    job = _locked(import_id)
    if job.state not in (State.READY, State.UNDONE):
        raise _conflict("not_ready", "Rows can be corrected before an import is applied.", job)
    row = ImportRow.objects.filter(of=job, number=number).first()
    if row is None:
        raise NotFound
    if row.verdict == ImportRow.Verdict.INVALID:
        raise field_error("movie" if movie_id else "skip", f"This row is invalid: {row.reason}")
    if skip:
        row.verdict, row.code, row.reason = ImportRow.Verdict.SKIPPED, "", "Left out as asked."
        row.save(update_fields=["verdict", "code", "reason"])
    else:
        if movie_id is not None:
            _choose(row, movie_id)
        verdicts_set(user_id=job.user_id, rows=[row])
        row.save(update_fields=["verdict", "code", "reason", "movie_id", "chosen", "playlist_id"])
    duplicates_mark(import_id=job.pk)
    row.refresh_from_db()
    return row


def _choose(row: ImportRow, movie_id: int) -> None:
    if row.kind not in OF_A_FILM:
        raise field_error("movie", "This row is not about a film.")
    if not Movie.objects.filter(id=movie_id).exists():
        raise field_error("movie", f"There is no film with the id {movie_id}.", "does_not_exist")
    row.movie_id, row.chosen = movie_id, True


@transaction.atomic
def import_apply(*, import_id: int, on_conflict: str | None = None) -> bool:
    """Have the matched rows written; whether that begins now, since twice is as good as once.

    Raises Problem (409) while the file is being read or the import undone, and for a failed one.
    """
    job = _locked(import_id)
    if job.state in (State.APPLYING, State.APPLIED):
        return False
    if job.state not in (State.READY, State.UNDONE):
        raise _conflict("not_ready", "It can be applied once it is ready.", job)
    if on_conflict is not None:
        job.on_conflict = on_conflict
    job.applied_at = timezone.now()
    job.undone_at = None
    _ask(job, State.APPLYING, Import.Step.APPLY)
    return True


@transaction.atomic
def import_undo(*, import_id: int) -> bool:
    """Have what an import wrote taken back; whether that begins now.

    Raises Problem (409) where it has not been applied, or is being applied at the moment.
    """
    job = _locked(import_id)
    if job.state in (State.UNDOING, State.UNDONE):
        return False
    if job.state != State.APPLIED:
        raise _conflict("not_applied", "It can be undone once it is applied.", job)
    _ask(job, State.UNDOING, Import.Step.UNDO)
    return True


@transaction.atomic
def import_delete(*, import_id: int) -> None:
    """Forget an import; what it wrote stays. Raises Problem (409) while it is writing."""
    job = _locked(import_id)
    if job.state in (State.APPLYING, State.UNDOING):
        raise _conflict("busy", "It can be deleted once it is done.", job)
    job.delete()


def _ask(job: Import, state: State, step: Import.Step) -> None:
    job.state, job.step, job.position, job.attempts = state, step, 0, 0
    job.queued_at, job.lease, job.leased_until = timezone.now(), None, None
    job.save()
    transaction.on_commit(asked.set)


def _locked(import_id: int) -> Import:
    job = Import.objects.select_for_update().filter(id=import_id).first()
    if job is None:
        raise NotFound
    return job


def _unapplied(user_id: int, digest: str) -> Import | None:
    unapplied = Import.objects.filter(user_id=user_id, sha256=digest, applied_at=None)
    return unapplied.exclude(state=State.FAILED).first()


def _conflict(code: str, sentence: str, job: Import) -> Problem:
    return Problem(409, code, f"{sentence} Now it is {job.state}.")
