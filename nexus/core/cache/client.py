"""The cache: plain JSON data or bytes under exact keys; a failure of the cache is a miss, no error.

A cache that is down, slow or holds garbage never fails a request. After three failures in a row
a circuit breaker skips the cache for two seconds, so that a hung server does not cost every
request its timeout.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.core.cache import cache as django_cache
from django_redis import get_redis_connection
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from nexus.core.observability.metrics import CACHE_FAILURES, CACHE_READS, CIRCUIT_BREAKER_OPENINGS

# Seconds until an entry expires, by kind.
TTL_S = {
    "configuration": 600,
    "genre_counts": 600,
}

# The result of a command that failed; None is the result of a missing key.
_FAILED: Any = object()
_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_Default = TypeVar("_Default")


class CircuitBreaker:
    """Skips a failing cache for a while; the state is this process's own."""

    FAILURE_THRESHOLD = 3
    OPEN_S = 2.0

    def __init__(self) -> None:
        self.failures = 0
        self.open_until = 0.0

    def is_open(self) -> bool:
        return time.monotonic() < self.open_until

    def record_failure(self, error: Exception) -> None:
        self.failures += 1
        CACHE_FAILURES.inc()
        if self.failures >= self.FAILURE_THRESHOLD:
            self.open_until = time.monotonic() + self.OPEN_S
            CIRCUIT_BREAKER_OPENINGS.inc()
            if self.failures == self.FAILURE_THRESHOLD:
                _LOG.warning("The cache does not respond and is skipped: %s", error)

    def record_success(self) -> None:
        if self.failures >= self.FAILURE_THRESHOLD:
            _LOG.warning("The cache responds again.")
        self.failures = 0

    def reset(self) -> None:
        self.failures, self.open_until = 0, 0.0


breaker = CircuitBreaker()


def make_key(key: str) -> str:
    """Return the key with the prefix and version that Django's cache puts before it."""
    return str(django_cache.make_key(key))


def execute(command: Callable[[Redis], _T], *, default: _Default) -> _T | _Default:
    """Run a command on the cache server; return `default` if that fails or the breaker is open."""
    if breaker.is_open():
        return default
    try:
        result = command(get_redis_connection("default"))
    except RedisError as error:
        breaker.record_failure(error)
        return default
    breaker.record_success()
    return result


def is_available() -> bool:
    """Return whether the cache responds to a ping now, even if the breaker is open."""
    try:
        return bool(get_redis_connection("default").ping())
    except RedisError:
        return False


# --- Values --------------------------------------------------------------------------------------


def get(key: str) -> Any:
    """Return the value, or None if it is missing or no JSON, or the cache is down."""
    value, result = _read(key)
    CACHE_READS.labels(result).inc()
    return value


def peek(key: str) -> Any:
    """Return what `get` returns, without counting the read in the metrics."""
    return _read(key)[0]


def _read(key: str) -> tuple[Any, str]:
    if breaker.is_open():
        return None, "skipped"
    data = execute(lambda redis: redis.get(make_key(key)), default=_FAILED)
    if data is _FAILED:
        return None, "failed"
    if data is None:
        return None, "miss"
    try:
        return json.loads(data), "hit"
    except (ValueError, RecursionError):
        # No JSON, no UTF-8, a number of absurd length, or nested deeper than Python reads.
        return None, "garbage"


def set(key: str, value: Any, *, ttl_s: int) -> None:  # noqa: A001 (as in Django's cache)
    data = json.dumps(value)
    execute(lambda redis: redis.set(make_key(key), data, ex=ttl_s), default=None)


def get_bytes(key: str) -> bytes | None:
    data: Any = execute(lambda redis: redis.get(make_key(key)), default=None)
    return data if isinstance(data, bytes) else None


def set_bytes(key: str, value: bytes, *, ttl_s: int) -> None:
    execute(lambda redis: redis.set(make_key(key), value, ex=ttl_s), default=None)


def delete(*keys: str) -> None:
    execute(lambda redis: redis.delete(*map(make_key, keys)), default=None)


# --- Scripts -------------------------------------------------------------------------------------


def run_script(script: str, *, keys: Sequence[str], args: Sequence[str | int]) -> Any:
    """Return the result of a Lua script; None if the cache is down or the script fails.

    A script fails if its keys hold garbage, so they are deleted then.
    """
    names = [make_key(key) for key in keys]

    def run(redis: Redis) -> Any:
        try:
            return redis.register_script(script)(keys=names, args=args)
        except ResponseError as error:
            _LOG.warning("A script failed in the cache and its keys are deleted: %s", error)
            redis.delete(*names)
            return None

    return execute(run, default=None)


# --- Counters ------------------------------------------------------------------------------------


def increment_window(key: str, *, window_s: int, amount: int = 1) -> tuple[int, int]:
    """Count `amount` more; return the count in this window and the seconds until the window closes.

    The first count opens a window. Returns (0, window_s) if the cache is down.
    """
    name = make_key(key)

    def increment(redis: Redis) -> tuple[int, int]:
        pipeline = redis.pipeline(transaction=False)
        pipeline.incrby(name, amount)
        pipeline.pttl(name)
        count, left_ms = pipeline.execute()
        if left_ms < 0:
            # The first count of the window, or the first after one that failed before this line.
            redis.expire(name, window_s, nx=True)
            left_ms = window_s * 1000
        return int(count), max(1, -(-int(left_ms) // 1000))

    return execute(increment, default=(0, window_s))


def incr_field(key: str, field: str, *, ttl_s: int) -> None:
    """Add one to a field of a hash, best effort."""
    name = make_key(key)

    def increment(redis: Redis) -> None:
        pipeline = redis.pipeline(transaction=False)
        pipeline.hincrby(name, field, 1)
        pipeline.expire(name, ttl_s)
        try:
            pipeline.execute()
        except ResponseError:
            # The key holds something else than a hash of numbers.
            redis.delete(name)

    execute(increment, default=None)


def get_fields(key: str) -> Mapping[str, int]:
    """Return the counts of a hash by field; empty if the cache is down or the hash is garbage."""
    name = make_key(key)

    def read(redis: Redis) -> dict[str, int]:
        try:
            counts: Any = redis.hgetall(name)
            return {field.decode(): int(count) for field, count in counts.items()}
        except ResponseError:
            redis.delete(name)
        except ValueError:
            pass
        return {}

    return execute(read, default={})
