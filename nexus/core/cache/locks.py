"""Locks in the cache, for a job that only one process should do at a time."""

from __future__ import annotations

import secrets

from redis import Redis

from nexus.core.cache.client import execute, make_key, run_script

# Only its holder may release or shorten a lock: it may have expired and been acquired by another.
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('DEL', KEYS[1])
"""
# The token that every caller gets while the cache is down.
UNSHARED_LOCK = "unshared"


def acquire_lock(key: str, *, ttl_s: float) -> str | None:
    """Return a token if the lock was free, else None. The lock expires after `ttl_s` seconds.

    Returns UNSHARED_LOCK if the cache is down: then every process acquires the lock.
    """
    token = secrets.token_hex(8)

    def acquire(redis: Redis) -> str | None:
        is_free = redis.set(make_key(key), token, nx=True, px=int(ttl_s * 1000))
        return token if is_free else None

    return execute(acquire, default=UNSHARED_LOCK)


def release_lock(key: str, token: str, *, after_s: float = 0) -> None:
    """Release the lock now, or in `after_s` seconds, if this token still holds it."""
    if token != UNSHARED_LOCK:
        run_script(_RELEASE, keys=[key], args=[token, int(after_s * 1000)])
