"""The one way to the cache: plain JSON data under exact keys, and never a failure.

A cache that is gone, slow or holds garbage is a miss. After three failures in a row it is left
alone for two seconds at a time, so that a hung server does not cost every request its timeout.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.conf import settings
from django.core.cache import cache as django_cache
from django_redis import get_redis_connection
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

# Seconds a thing is kept, in one table.
TTL_S = {
    "genre_counts": 600,
    "tmdb_search": 3_600,
    "tmdb_missing": 300,
    # Beyond its freshness a copy is kept this long, to be served while TMDb is in trouble.
    "tmdb_stale": 86_400,
}

FAILURES_BEFORE_PAUSE = 3
PAUSE_S = 2.0

_LOG = logging.getLogger(__name__)


class _Pause:
    """Whether the cache is being left alone; the state of this process alone, by intent."""

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0

    def holds(self) -> bool:
        return time.monotonic() < self.until

    def failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures >= FAILURES_BEFORE_PAUSE:
            self.until = time.monotonic() + PAUSE_S
            if self.failures == FAILURES_BEFORE_PAUSE:
                _LOG.warning("The cache does not answer and is passed over: %s", error)

    def worked(self) -> None:
        if self.failures >= FAILURES_BEFORE_PAUSE:
            _LOG.warning("The cache answers again.")
        self.failures = 0


_pause = _Pause()


def forget_failures() -> None:
    """End a pause at once."""
    _pause.failures, _pause.until = 0, 0.0


def get(key: str) -> Any:
    """The value, or None where there is none, it cannot be decoded or the cache is away."""
    if _pause.holds():
        return None
    try:
        value = django_cache.get(key)
    except (ConnectionInterrupted, RedisError) as error:
        _pause.failed(error)
        return None
    except (ValueError, RecursionError):
        # No JSON, no UTF-8, a number of absurd length, or nested beyond what Python reads.
        return None
    _pause.worked()
    return value


def put(key: str, value: Any, *, ttl_s: int) -> None:
    if _pause.holds():
        return
    try:
        django_cache.set(key, value, timeout=ttl_s)
    except (ConnectionInterrupted, RedisError) as error:
        _pause.failed(error)
    else:
        _pause.worked()


def delete(key: str) -> None:
    if _pause.holds():
        return
    try:
        django_cache.delete(key)
    except (ConnectionInterrupted, RedisError) as error:
        _pause.failed(error)
    else:
        _pause.worked()


def count_in_window(key: str, *, window_s: int) -> tuple[int, int]:
    """Count one more; the number in this window and the seconds until it closes.

    (0, window_s) without the cache.
    """
    if _pause.holds():
        return 0, window_s
    name = _window(key)
    try:
        pipeline = get_redis_connection("default").pipeline(transaction=True)
        pipeline.incr(name)
        pipeline.expire(name, window_s, nx=True)
        pipeline.pttl(name)
        used, _, left_ms = pipeline.execute()
    except RedisError as error:
        _pause.failed(error)
        return 0, window_s
    _pause.worked()
    return int(used), max(1, -(-int(left_ms) // 1000))


def forget_window(key: str) -> None:
    if _pause.holds():
        return
    try:
        get_redis_connection("default").delete(_window(key))
    except RedisError as error:
        _pause.failed(error)


def _window(key: str) -> str:
    return f"{settings.CACHES['default']['KEY_PREFIX']}:{key}"


def answers() -> bool:
    """Whether the cache answers a ping now, pause or not."""
    try:
        return bool(get_redis_connection("default").ping())
    except RedisError:
        return False
