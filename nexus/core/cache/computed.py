"""Cached values: on a miss one process computes the value while concurrent requests wait for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TypeVar

from nexus.core.cache import client as cache
from nexus.core.cache.locks import UNSHARED_LOCK, acquire_lock, release_lock

_T = TypeVar("_T")

# `invalidate` deletes the lock, so that a value computed from old data is not stored after it.
_SET_IF_LOCKED = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
"""
# Longer than any computation takes, which statement_timeout bounds.
_LOCK_TTL_S = 6.0
_POLL_S = 0.02


def get_or_compute(
    key: str, compute: Callable[[], _T], *, expected_type: type[_T], ttl_s: int
) -> _T:
    """Return the cached value; compute and store it if it is missing or of another type.

    Concurrent callers wait for the one that computes. If the cache is down, each computes its own.
    """
    value = cache.get(key)
    deadline = time.monotonic() + _LOCK_TTL_S
    while not isinstance(value, expected_type):
        token = acquire_lock(_lock_key(key), ttl_s=_LOCK_TTL_S)
        if token is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            value = cache.peek(key)
            continue
        if token is None or token == UNSHARED_LOCK:
            return compute()
        try:
            # Another process may have stored it before this one acquired the lock.
            value = cache.peek(key)
            if not isinstance(value, expected_type):
                value = compute()
                cache.run_script(
                    _SET_IF_LOCKED,
                    keys=[_lock_key(key), key],
                    args=[token, json.dumps(value), ttl_s],
                )
        finally:
            release_lock(_lock_key(key), token)
    return value


def invalidate(key: str) -> None:
    """Delete the value, and prevent a computation in progress from storing an older one."""
    cache.delete(_lock_key(key), key)


def _lock_key(key: str) -> str:
    return f"computing:{key}"
