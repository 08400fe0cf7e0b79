"""A member's data on its way in: the file, its rows with a verdict each, and what was done."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from social.transfer.formats.records import Kind


class Import(models.Model):
    """One file of a member's, from its reading to its undoing.

    `step` is what is being worked on, by whichever process holds the lease; `position` is the
    number of the last row that step is done with. Both move in the transaction that did the work.
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
    #: Why it failed.
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    #: When the present step was asked for; the oldest is worked on first.
    queued_at = models.DateTimeField(default=timezone.now)
    applied_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)
    #: Who works on it, and until when nobody else may.
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    #: How often a step was begun without getting any further.
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "sha256"],
                condition=Q(applied_at__isnull=True) & ~Q(state="failed"),
                name="import_file_once_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"], name="import_user_newest"),
            models.Index(fields=["queued_at", "id"], condition=~Q(step=""), name="import_queue"),
        ]

    def __str__(self) -> str:
        return f"Import {self.pk}"


class ImportFile(models.Model):
    """What was sent, until it has been read."""

    of = models.OneToOneField(Import, models.CASCADE, primary_key=True, related_name="file")
    content = models.BinaryField()

    def __str__(self) -> str:
        return f"File of import {self.pk}"


class ImportRow(models.Model):
    """One row of a file: what it says, what was found for it, and what was done with it."""

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
        #: The member changed it since, so that undoing left it alone.
        CHANGED_SINCE = "changed_since"

    of = models.ForeignKey(Import, models.CASCADE, related_name="rows", db_index=False)
    #: From 1, in the order of the file.
    number = models.PositiveIntegerField()
    file = models.CharField(max_length=300)
    line = models.PositiveIntegerField()
    kind = models.CharField(
        max_length=20, blank=True, choices=[(kind.value, kind.value) for kind in Kind]
    )
    title = models.CharField(max_length=500, blank=True)
    year = models.PositiveSmallIntegerField(null=True)
    tmdb_id = models.PositiveIntegerField(null=True)
    imdb_id = models.CharField(max_length=12, null=True)  # noqa: DJ001 (as in the catalogue)
    #: A catalogue id that the file itself names, as our own exports do.
    named_movie_id = models.BigIntegerField(null=True)
    values = models.JSONField(default=dict)
    verdict = models.CharField(max_length=10, choices=Verdict, default=Verdict.PENDING)
    #: Why the verdict is what it is: a code and a sentence.
    code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    candidates = ArrayField(models.BigIntegerField(), default=list)
    # No foreign keys: a film is not held in the catalogue by what somebody once sent.
    movie_id = models.BigIntegerField(null=True)
    playlist_id = models.UUIDField(null=True)
    chosen = models.BooleanField(default=False)
    outcome = models.CharField(max_length=15, blank=True, choices=Outcome, default=Outcome.NONE)
    #: {"before": .., "after": ..}, where something was written.
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
        ]

    def __str__(self) -> str:
        return f"Row {self.number} of import {self.of_id}"
