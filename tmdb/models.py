"""The checkpoints of the sync commands."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class SyncProgress(models.Model):
    """Where a run of a command is; saved in the transaction that stores what is done until there."""

    name = models.CharField(max_length=60, unique=True)
    position = models.JSONField(default=dict)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "sync progress"

    def __str__(self) -> str:
        return self.name
