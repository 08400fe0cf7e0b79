"""Tables of the kernel."""

from __future__ import annotations

from django.db import models


class LimitWindow(models.Model):
    """A rate-limit window that is counted in the database (nexus.core.db.queries).

    The table is unlogged (migration 0001): a count costs no write to the WAL, and a crash of the
    database may empty the table.
    """

    key = models.CharField(max_length=100, primary_key=True)
    used = models.PositiveIntegerField()
    closes_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key}: {self.used} until {self.closes_at:%H:%M:%S}"
