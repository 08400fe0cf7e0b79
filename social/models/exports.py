"""Exports that the task worker prepares, for members with much data.

The code that works on them is social.transfer.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

# An archive that is older does not have what the member has done since, and is made again.
EXPORT_LIFETIME = timedelta(minutes=15)
# A job that takes longer has failed; the next request starts another one.
EXPORT_TIMEOUT = timedelta(hours=1)


class Export(models.Model):
    """The archive of everything a member owns, requested and perhaps finished."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="export"
    )
    requested_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Export of member {self.pk}"

    @property
    def is_outdated(self) -> bool:
        now = timezone.now()
        if self.finished_at is None:
            return self.requested_at < now - EXPORT_TIMEOUT
        return self.finished_at < now - EXPORT_LIFETIME


class ExportPiece(models.Model):
    """A part of a finished archive."""

    of = models.ForeignKey(Export, models.CASCADE, related_name="pieces", db_index=False)
    #: From 0, in the order of the file.
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["of", "number"], name="export_piece_number"),
        ]

    def __str__(self) -> str:
        return f"Piece {self.number} of the export of member {self.of_id}"
