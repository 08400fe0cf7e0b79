"""Imports: an uploaded file, and its rows with their verdicts, outcomes and data to undo them.

The code that works on them is social.transfer. It names an Import `job`, because `import` is a
keyword.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, Q, Sum, Value, When
from django.db.models.functions import Coalesce, Lower
from django.utils import timezone

from social.transfer.formats.records import RecordKind

#: The kinds of rows whose title is the username of another member.
MEMBER_KINDS = (RecordKind.FOLLOW.value, RecordKind.BLOCK.value)
_RESULT_FIELDS = (
    *("verdict", "code", "reason", "candidates", "movie_id", "playlist_id", "outcome", "undo"),
)


class ImportQuerySet(models.QuerySet["Import"]):
    def count_rows(self, user_id: int) -> int:
        """Count the rows of a member's imports, those being read included, without reading them."""
        stored = Case(When(step=Import.Step.READ, then="position"), default="total")
        return self.filter(user_id=user_id).aggregate(rows=Sum(stored))["rows"] or 0

    def done_before(self, moment: datetime) -> Self:
        """Keep imports that have had nothing to do since this moment."""
        # Imports from before the column have no `finished_at`.
        done_at = Coalesce("finished_at", "undone_at", "applied_at", "created_at")
        return self.filter(step=Import.Step.NONE).alias(done_at=done_at).filter(done_at__lt=moment)


class Import(models.Model):
    """One uploaded file, from reading it to undoing its writes.

    `step` is the work that is waiting or running in the task worker. `position` is the number of the
    last row the step has processed; undoing counts from the last row backwards. Both change in the
    transaction that does the work.
    """

    class State(models.TextChoices):
        READING = "reading"
        READY = "ready"
        APPLYING = "applying"
        APPLIED = "applied"
        UNDOING = "undoing"
        UNDONE = "undone"
        FAILED = "failed"

    class Step(models.TextChoices):
        READ = "read"
        MATCH = "match"
        FIND = "find"
        APPLY = "apply"
        UNDO = "undo"
        NONE = "", "nothing to do"

    class OnConflict(models.TextChoices):
        NEWER = "newer"
        KEEP = "keep"
        REPLACE = "replace"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="imports")
    filename = models.CharField(max_length=200, blank=True)
    format = models.CharField(max_length=20)
    sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State, default=State.READING)
    step = models.CharField(max_length=10, choices=Step, default=Step.READ, blank=True)
    position = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    on_conflict = models.CharField(max_length=10, choices=OnConflict, default=OnConflict.NEWER)
    #: Why the import failed.
    reason = models.CharField(max_length=300, blank=True)
    #: What the file has that is not imported: {"kind", "count", "reason"} of each kind.
    left_out = models.JSONField(default=list, db_default=Value([], output_field=models.JSONField()))
    created_at = models.DateTimeField(default=timezone.now)
    applied_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)
    #: When the last step was done.
    finished_at = models.DateTimeField(null=True)

    objects = ImportQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "sha256", "filename"],
                condition=Q(applied_at__isnull=True) & ~Q(state="failed"),
                name="import_file_and_name_once",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"], name="import_user_newest"),
            models.Index(fields=["id"], condition=~Q(step=""), name="import_unfinished"),
        ]

    def __str__(self) -> str:
        return f"Import {self.pk}"

    @property
    def is_written(self) -> bool:
        """Return whether the account has writes of this import that can be undone."""
        return self.applied_at is not None and self.undone_at is None

    def request_step(self, state: State, step: Step) -> None:
        """Set the fields of an import that a step is requested for."""
        self.state, self.step, self.position = state, step, 0

    def continue_with(self, step: Step) -> None:
        """Set the fields of an import that goes on with the next step."""
        self.step, self.position = step, 0

    def finish(self, state: State) -> None:
        """Set the fields of an import whose last step is done."""
        self.state, self.step, self.position = state, self.Step.NONE, self.total
        self.finished_at = timezone.now()


class ImportFilePiece(models.Model):
    """A part of an uploaded file; deleted once the file has been read.

    In pieces, so that no process has the whole file in its memory.
    """

    of = models.ForeignKey(Import, models.CASCADE, related_name="pieces", db_index=False)
    #: From 0, in the order of the file.
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["of", "number"], name="import_file_piece_number"),
        ]

    def __str__(self) -> str:
        return f"Piece {self.number} of the file of import {self.of_id}"


class ImportRow(models.Model):
    """One row of a file: its values, the movie it refers to, its verdict and its outcome."""

    class Verdict(models.TextChoices):
        PENDING = "pending"
        MATCHED = "matched"
        UNCHANGED = "unchanged"
        DUPLICATE = "duplicate"
        AMBIGUOUS = "ambiguous"
        MISSING = "missing"
        INVALID = "invalid"
        SKIPPED = "skipped"

    class Outcome(models.TextChoices):
        NONE = "", "nothing yet"
        CREATED = "created"
        UPDATED = "updated"
        UNCHANGED = "unchanged"
        KEPT = "kept"
        UNDONE = "undone"
        #: The member has changed it since, so undoing did not touch it.
        CHANGED_SINCE = "changed_since"

    of = models.ForeignKey(Import, models.CASCADE, related_name="rows", db_index=False)
    #: From 1, in the order of the file.
    number = models.PositiveIntegerField()
    file = models.CharField(max_length=300)
    line = models.PositiveIntegerField()
    kind = models.CharField(
        max_length=20, blank=True, choices=[(kind.value, kind.value) for kind in RecordKind]
    )
    title = models.CharField(max_length=500, blank=True)
    year = models.PositiveSmallIntegerField(null=True)
    tmdb_id = models.PositiveIntegerField(null=True)
    imdb_id = models.CharField(max_length=12, null=True)  # noqa: DJ001 (as in the catalogue)
    #: A catalogue id in the file, which only our own exports contain.
    named_movie_id = models.BigIntegerField(null=True)
    values = models.JSONField(default=dict)
    verdict = models.CharField(max_length=10, choices=Verdict, default=Verdict.PENDING)
    #: The reason for the verdict: a code and a sentence.
    code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    candidates = ArrayField(models.BigIntegerField(), default=list)
    # Not foreign keys: an old import must not keep a movie or playlist from being deleted.
    movie_id = models.BigIntegerField(null=True)
    playlist_id = models.UUIDField(null=True)
    #: Whether the member chose the movie.
    chosen = models.BooleanField(default=False)
    outcome = models.CharField(max_length=15, blank=True, choices=Outcome, default=Outcome.NONE)
    #: {"before": …, "after": …} if applying the row wrote something.
    undo = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["of", "number"], name="import_row_number"),
        ]
        indexes = [
            models.Index(fields=["of", "verdict", "number"], name="import_row_verdict"),
            models.Index(
                fields=["of", "movie_id"],
                condition=Q(movie_id__isnull=False),
                name="import_row_movie",
            ),
            # For deleting the rows that name a deleted member.
            models.Index(
                Lower("title"), condition=Q(kind__in=MEMBER_KINDS), name="import_row_member"
            ),
        ]

    def __str__(self) -> str:
        return f"Row {self.number} of import {self.of_id}"

    @staticmethod
    def store_results(rows: Sequence[ImportRow]) -> None:
        """Store the fields that matching, applying and undoing change, of rows that exist.

        An upsert, because bulk_update() writes a CASE per column with a branch per row: 689 ms for
        500 rows instead of 97.
        """
        # Not of rows that name a member: one that was deleted with the member must not come back.
        naming = [row for row in rows if row.kind in MEMBER_KINDS]
        ImportRow.objects.bulk_update(naming, _RESULT_FIELDS)
        ImportRow.objects.bulk_create(
            [row for row in rows if row.kind not in MEMBER_KINDS],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=_RESULT_FIELDS,
        )
