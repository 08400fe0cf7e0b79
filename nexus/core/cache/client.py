"""The one way to the cache: plain JSON data under exact keys, and never a failure.

A cache that is gone, slow or holds garbage is a miss. After three failures in a row it is left
alone for two seconds at a time, so that a hung server does not cost every request its timeout.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache as django_cache
from django_redis import get_redis_connection
from django_redis.exceptions import ConnectionInterrupted
from django_redis.serializers.json import JSONSerializer
from redis.exceptions import NoScriptError, RedisError, ResponseError

from nexus.core.observability.metrics import CACHE_FAILURES, CACHE_PAUSES, CACHE_READS

# Seconds a thing is kept, in one table.
TTL_S = {
    "genre_counts": 600,
    "tmdb_search": 3_600,
    "tmdb_list": 3_600,
    "tmdb_find": 86_400,
    "tmdb_genres": 604_800,
    # The film itself goes to the catalogue; this is for those who ask at the same time.
    "tmdb_movie": 60,
    "tmdb_missing": 300,
    # Beyond its freshness a copy is kept this long, to be served while TMDb is in trouble.
    "tmdb_stale": 86_400,
}

FAILURES_BEFORE_PAUSE = 3
PAUSE_S = 2.0

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


class _Pause:
    """Whether the cache is being left alone; the state of this process alone, by intent."""

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0

    def holds(self) -> bool:
        return time.monotonic() < self.until

    def failed(self, error: Exception) -> None:
        self.failures += 1
        CACHE_FAILURES.inc()
        if self.failures >= FAILURES_BEFORE_PAUSE:
            self.until = time.monotonic() + PAUSE_S
            CACHE_PAUSES.inc()
            if self.failures == FAILURES_BEFORE_PAUSE:
                _LOG.warning("The cache does not answer and is passed over: %s", error)

    def worked(self) -> None:
        if self.failures >= FAILURES_BEFORE_PAUSE:
            _LOG.warning("The cache answers again.")
        self.failures = 0


_pause = _Pause()


def reset_circuit_breaker() -> None:
    """End a pause at once."""
    _pause.failures, _pause.until = 0, 0.0


def get(key: str) -> Any:
    """The value, or None where there is none, it cannot be decoded or the cache is away."""
    value, result = _read(key)
    CACHE_READS.labels(result).inc()
    return value


def _read(key: str) -> tuple[Any, str]:
    """The value, and how it went."""
    if _pause.holds():
        return None, "passed"
    try:
        value = django_cache.get(key)
    except (ConnectionInterrupted, RedisError) as error:
        _pause.failed(error)
        return None, "failed"
    except (ValueError, RecursionError):
        # No JSON, no UTF-8, a number of absurd length, or nested beyond what Python reads.
        return None, "garbage"
    _pause.worked()
    return value, "miss" if value is None else "hit"


def put(key: str, value: Any, *, ttl_s: int) -> None:
    if _pause.holds():
        return
    try:
        django_cache.set(key, value, timeout=ttl_s)
    except (ConnectionInterrupted, RedisError) as error:
        _pause.failed(error)
    else:
        _pause.worked()


# --- Texts and bytes, as they are ----------------------------------------------------------------

# Texts of `put_text` that a cache which was away has not been told: until it is, what it holds
# beside them is not believed.
_owed: dict[str, tuple[str, int]] = {}


def put_bytes(key: str, value: bytes, *, ttl_s: int) -> None:
    if _pause.holds():
        return
    try:
        get_redis_connection("default").set(_window(key), value, ex=ttl_s)
    except RedisError as error:
        _pause.failed(error)
    else:
        _pause.worked()


def put_text(key: str, text: str, *, ttl_s: int) -> None:
    """Set it now, or where the cache is away, before this process reads of it again."""
    _owed[key] = (text, ttl_s)
    _settle()


def set_if_absent(key: str, text: str, *, ttl_s: int) -> str | None:
    """The text that stands there, which is this one where there was none; None without the cache."""
    if _pause.holds() or not _settle():
        return None
    try:
        held = get_redis_connection("default").set(_window(key), text, nx=True, get=True, ex=ttl_s)
    except RedisError as error:
        _pause.failed(error)
        return None
    _pause.worked()
    return text if held is None else held.decode("ascii", "replace")


def _settle() -> bool:
    """Whether the cache has been told all that it is owed."""
    for key, (text, ttl_s) in list(_owed.items()):
        if _pause.holds():
            return False
        try:
            get_redis_connection("default").set(_window(key), text, ex=ttl_s)
        except RedisError as error:
            _pause.failed(error)
            return False
        if _owed.get(key) == (text, ttl_s):
            _owed.pop(key, None)
    return True


# --- Windows -------------------------------------------------------------------------------------


def count_in_window(
    key: str, *, window_s: int, beside: Sequence[str] = ()
) -> tuple[int, int, list[bytes | None]]:
    """Count one more; the number in this window, the seconds until it closes, and what stands at
    the keys `beside`, in the same round trip.

    (0, window_s, []) without the cache.
    """
    if _pause.holds():
        return 0, window_s, []
    name = _window(key)
    if beside and not _settle():
        beside = ()
    try:
        redis = get_redis_connection("default")
        pipeline = redis.pipeline(transaction=False)
        pipeline.incr(name)
        pipeline.pttl(name)
        if beside:
            pipeline.mget([_window(each) for each in beside])
        used, left_ms, *found = pipeline.execute()
        if left_ms < 0:
            # The first of its window, or the first after one who went before saying so.
            redis.expire(name, window_s, nx=True)
            left_ms = window_s * 1000
    except RedisError as error:
        _pause.failed(error)
        return 0, window_s, []
    _pause.worked()
    return int(used), max(1, -(-int(left_ms) // 1000)), found[0] if found else []


def _window(key: str) -> str:
    return f"{settings.CACHES['default']['KEY_PREFIX']}:{key}"


def run(script: str, *, keys: Sequence[str], args: Sequence[str | int]) -> Any:
    """What a Lua script answers; None without the cache, or where its keys hold garbage."""
    if _pause.holds():
        return None
    names = [_window(key) for key in keys]
    redis = get_redis_connection("default")
    try:
        try:
            digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
            answer = redis.evalsha(digest, len(names), *names, *args)
        except NoScriptError:
            answer = redis.eval(script, len(names), *names, *args)
    except ResponseError as error:
        # It answers, and cannot do it: what stands in the way is not ours, or it is full.
        _LOG.warning("A script of the cache failed: %s", error)
        _drop(names)
        return None
    except RedisError as error:
        _pause.failed(error)
        return None
    _pause.worked()
    return answer


def _drop(names: Sequence[str]) -> None:
    try:
        get_redis_connection("default").delete(*names)
    except RedisError as error:
        _pause.failed(error)


# --- Leases: who may do a thing that one alone should do -----------------------------------------

# Only its holder ends or shortens a lease: by now it may have run out and be another's.
_END_LEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('DEL', KEYS[1])
"""
# A token instead of a lease where there is no cache to ask; everybody gets it.
UNSHARED = "unshared"


def acquire_lock(key: str, *, lease_s: float) -> str | None:
    """A token where nobody holds the lease, which ends by itself; None where somebody does.

    UNSHARED without the cache, when each process must look after itself.
    """
    if _pause.holds():
        return UNSHARED
    token = secrets.token_hex(8)
    try:
        taken = get_redis_connection("default").set(
            _window(key), token, nx=True, px=int(lease_s * 1000)
        )
    except RedisError as error:
        _pause.failed(error)
        return UNSHARED
    _pause.worked()
    return token if taken else None


def release_lock(key: str, token: str, *, in_s: float = 0) -> None:
    """End the lease, now or a little later, if this token still holds it."""
    if token != UNSHARED:
        run(_END_LEASE, keys=[key], args=[token, int(in_s * 1000)])


# --- Values that one makes for all ---------------------------------------------------------------

# Where whoever changed what it is made of has taken the lease away meanwhile, it is old already.
_PUT_WITH_LEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return redis.call('DEL', KEYS[1])
"""
# Longer than it takes to make any of them, which statement_timeout bounds.
_MAKING_S = 6.0
_MAKING_POLL_S = 0.02


def get_or_compute(key: str, make: Callable[[], _T], *, kind: type[_T], ttl_s: int) -> _T:
    """The value of this kind; where there is none, one of all who ask makes it, and the others wait.

    After `forget` nobody is given what was made before it. Without the cache each makes their own.
    """
    value = get(key)
    deadline = time.monotonic() + _MAKING_S
    while not isinstance(value, kind):
        token = acquire_lock(_lease(key), lease_s=_MAKING_S)
        if token is None and time.monotonic() < deadline:
            time.sleep(_MAKING_POLL_S)
            value = _read(key)[0]
            continue
        if token is None or token == UNSHARED:
            return make()
        # Made between the look and the lease.
        value = _read(key)[0]
        try:
            if not isinstance(value, kind):
                value = make()
                _put_with_lease(key, token, value, ttl_s)
        finally:
            release_lock(_lease(key), token)
    return value


def forget(key: str) -> None:
    """Drop a value, and what `get_or_compute` is making of what was before."""
    if _pause.holds():
        return
    try:
        get_redis_connection("default").delete(_window(_lease(key)), django_cache.make_key(key))
    except RedisError as error:
        _pause.failed(error)
    else:
        _pause.worked()


def _put_with_lease(key: str, token: str, value: Any, ttl_s: int) -> None:
    encoded = JSONSerializer({}).dumps(value)
    names = [_window(_lease(key)), django_cache.make_key(key)]
    try:
        get_redis_connection("default").eval(
            _PUT_WITH_LEASE, len(names), *names, token, encoded, ttl_s
        )
    except RedisError as error:
        _pause.failed(error)


def _lease(key: str) -> str:
    return f"making:{key}"


# --- Counters ------------------------------------------------------------------------------------


def incr_field(key: str, field: str, *, ttl_s: int) -> None:
    """Count one more of `field`, best effort."""
    if _pause.holds():
        return
    try:
        pipeline = get_redis_connection("default").pipeline(transaction=False)
        pipeline.hincrby(_window(key), field, 1)
        pipeline.expire(_window(key), ttl_s)
        pipeline.execute()
    except ResponseError:
        _drop([_window(key)])
    except RedisError as error:
        _pause.failed(error)


def get_fields(key: str) -> Mapping[str, int]:
    """The counts by field; none without the cache."""
    if _pause.holds():
        return {}
    try:
        found = get_redis_connection("default").hgetall(_window(key))
        return {field.decode(): int(count) for field, count in found.items()}
    except ResponseError:
        _drop([_window(key)])
    except RedisError as error:
        _pause.failed(error)
    except ValueError:
        pass
    return {}


def answers() -> bool:
    """Whether the cache answers a ping now, pause or not."""
    try:
        return bool(get_redis_connection("default").ping())
    except RedisError:
        return False
