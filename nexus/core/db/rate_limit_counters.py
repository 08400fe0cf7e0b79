"""Counts in windows of time, kept by PostgreSQL: exact, and not to be forgotten for want of memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

# One statement, so that of any number at once each gets a number of its own. Its clock runs on
# inside a transaction, where now() stands still.
_COUNT = """
INSERT INTO core_limitwindow AS stored (key, used, closes_at)
VALUES (%s, 1, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (key) DO UPDATE SET
    used = CASE WHEN stored.closes_at > clock_timestamp() THEN stored.used + 1 ELSE 1 END,
    closes_at = CASE WHEN stored.closes_at > clock_timestamp()
        THEN stored.closes_at ELSE excluded.closes_at END
RETURNING used, closes_at, EXTRACT(EPOCH FROM closes_at - clock_timestamp())
"""
# The closing time tells this window from the next one under its key.
_UNCOUNT = (
    "UPDATE core_limitwindow SET used = used - 1 WHERE key = %s AND closes_at = %s AND used > 0"
)


@dataclass(frozen=True)
class Place:
    """One count's number in its window, from 1, and when the window closes."""

    used: int
    closes_at: datetime
    reset_s: int


def count(key: str, *, window_s: int) -> Place:
    """Count one more; a window opens with its first count."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [key, window_s])
        used, closes_at, left_s = cursor.fetchone()
    return Place(used=used, closes_at=closes_at, reset_s=max(1, math.ceil(left_s)))


def uncount(key: str, *, closes_at: datetime) -> None:
    """Take one count back, if its window is still the one that closes then."""
    with connection.cursor() as cursor:
        cursor.execute(_UNCOUNT, [key, closes_at])
