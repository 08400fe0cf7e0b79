"""Rate-limit counters in PostgreSQL: exact under concurrency, and never evicted like the cache's.

Raw SQL, because one statement counts in the open window or opens a new one, and returns the count.
With the ORM that takes a lock and three round trips for every login.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

# clock_timestamp() runs on inside a transaction, where now() stands still.
_INCREMENT = """
INSERT INTO core_limitwindow AS stored (key, used, closes_at)
VALUES (%s, 1, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (key) DO UPDATE SET
    used = CASE WHEN stored.closes_at > clock_timestamp() THEN stored.used + 1 ELSE 1 END,
    closes_at = CASE WHEN stored.closes_at > clock_timestamp()
        THEN stored.closes_at ELSE excluded.closes_at END
RETURNING used, closes_at, EXTRACT(EPOCH FROM closes_at - clock_timestamp())
"""
# The closing time distinguishes the window from the next one under the same key.
_DECREMENT = (
    "UPDATE core_limitwindow SET used = used - 1 WHERE key = %s AND closes_at = %s AND used > 0"
)


@dataclass(frozen=True)
class RateLimitWindow:
    """A window after one count: how many counts it holds, and when it closes."""

    used: int
    closes_at: datetime
    reset_s: int


def increment_rate_limit(key: str, *, window_s: int) -> RateLimitWindow:
    """Count one more. The first count opens a window of `window_s` seconds."""
    with connection.cursor() as cursor:
        cursor.execute(_INCREMENT, [key, window_s])
        used, closes_at, left_s = cursor.fetchone()
    return RateLimitWindow(used=used, closes_at=closes_at, reset_s=max(1, math.ceil(left_s)))


def decrement_rate_limit(key: str, *, closes_at: datetime) -> None:
    """Take one count back, if its window is still the current one."""
    with connection.cursor() as cursor:
        cursor.execute(_DECREMENT, [key, closes_at])
