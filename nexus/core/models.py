"""What the kernel itself stores."""

from __future__ import annotations

from django.db import models


class LimitWindow(models.Model):
    """A window of nexus.core.api.throttling, for limits that must hold without the cache.

    The table is unlogged (migration 0001): a crash of the database may forget it, and no attempt
    costs a write to the log.
    """

    key = models.CharField(max_length=100, primary_key=True)
    used = models.PositiveIntegerField()
    closes_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key}: {self.used} until {self.closes_at:%H:%M:%S}"
