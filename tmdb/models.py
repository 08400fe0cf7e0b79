"""How far the commands that keep the catalogue have come."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class SyncProgress(models.Model):
    """Where a command is, written in the transaction that stores what it says is done."""

    name = models.CharField(max_length=60, unique=True)
    position = models.JSONField(default=dict)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "sync progress"

    def __str__(self) -> str:
        return self.name
