"""The checkpoints of the sync commands."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class SyncProgress(models.Model):
    """The checkpoint of a command's run, saved in the transaction that stores the work up to it."""

    name = models.CharField(max_length=60, unique=True)
    position = models.JSONField(default=dict)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "sync progress"

    def __str__(self) -> str:
        return self.name
