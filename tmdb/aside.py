"""Cache-aside for what TMDb says: at once from a copy, however stale, and one call a key for all.

- A fresh copy is served; a stale one too, while one refresh runs in the background.
- Without a copy one request asks TMDb, over all workers, and the others wait for its answer.
- That TMDb has no such thing is remembered briefly; that it is in trouble never is.
- Waiting holds a thread, and the service needs its threads: few wait, the rest are refused.

Without Valkey each process asks TMDb for itself, still once a key at a time.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeGuard, TypeVar

from django.db import connections
from prometheus_client import Counter, Histogram

from nexus.core.cache import client as cache
from nexus.core.cache import locks
from tmdb.client.errors import (
    TmdbAdult,
    TmdbError,
    TmdbNotFound,
    TmdbUnavailable,
    TmdbUnusable,
    TmdbVideo,
)
from tmdb.client.http import BUDGET_S, LEAST_LEFT_S, deadline_at, within

T = TypeVar("T")
Source = Literal["fresh", "stale", "tmdb"]

# Up or down by this part of it, so that what was stored together does not expire together.
TTL_JITTER = 0.1
# Kinds that are of no use once they are stale; all others are kept for `tmdb_stale`.
WITHOUT_STALE = frozenset({"movie"})
# The longest that a call which then succeeds takes, for all but the oddest; a holder that died is
# replaced while those who wait for it still have time.
LEASE_S = 2.5
# After a refresh that failed nobody tries for this long.
REFRESH_PAUSE_S = 1.0
# Half of gunicorn's four threads: what else this service does goes on while TMDb hangs.
MAX_WAITING = 2
# Beyond MAX_WAITING, who wants what another request of this process is asking for may hold a thread
# until that call is this old. TMDb's usual answer takes a tenth of a second, so that a crowd is
# served together, and a write that is repeated at once does not fail for it; and a call that hangs
# does not hold all threads for long.
CROWD_PATIENCE_S = 0.5
REFRESHERS = 2
POLL_S = (0.02, 0.1)
STATS_WINDOW_S = 3600

READS = Counter(
    "nexus_tmdb_reads_total",
    "Reads of what TMDb says: of a fresh copy (hits), a stale one (stale_hits), of none (misses).",
    ["outcome"],
)
COPY_AGE = Histogram(
    "nexus_tmdb_copy_age_seconds",
    "Age of the copies that were served.",
    buckets=(60, 600, 3600, 6 * 3600, 86_400, 2 * 86_400, 7 * 86_400),
)
# What is remembered by its name.
_ABSENCES = {each.__name__: each for each in (TmdbNotFound, TmdbAdult, TmdbVideo)}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached(Generic[T]):
    """A value and where it is from: a fresh or a stale copy, or TMDb just now."""

    value: T
    age_s: int
    source: Source
    as_of: datetime

    @property
    def stale(self) -> bool:
        return self.source == "stale"


def _as_it_is(value: Any) -> Any:
    return value


def cached(
    key: str,
    *,
    kind: str,
    fetch: Callable[[], Any],
    read: Callable[[Any], T] = _as_it_is,
    anew: bool = False,
) -> Cached[T]:
    """What `fetch` gives, from the copy under `key` or from TMDb, for somebody who waits.

    `fetch` asks TMDb and returns checked JSON data; `kind` names its time to live, `tmdb_<kind>` in
    nexus.core.cache.client.TTL_S. `read` turns that data into what is returned; a copy of which it raises
    TmdbUnusable is none. With `anew` only what TMDb says from now on will do. Raises TmdbNotFound
    where TMDb has no such thing, and any other TmdbError where it is in trouble and there is no copy.
    """
    began = time.time()
    try:
        copy = None if anew else _copy(key, read)
    except TmdbNotFound:
        _count("hits")
        raise
    if copy is not None:
        COPY_AGE.observe(copy.age_s)
        _count("stale_hits" if copy.stale else "hits")
        if copy.stale:
            _refresh(key, kind, fetch)
        return copy
    _count("misses")
    with within(BUDGET_S):
        return _flights.fly(key, lambda: _found(key, kind, fetch, read, began if anew else 0.0))


def peek(key: str, *, read: Callable[[Any], T] = _as_it_is) -> Cached[T] | None:
    """The copy under `key`, however stale, without asking TMDb; None where there is none."""
    try:
        return _copy(key, read)
    except TmdbNotFound:
        return None


def refresh(key: str, *, kind: str, fetch: Callable[[], Any]) -> None:
    """Have the copy under `key` made or renewed in the background, unless that is being done.

    Not where TMDb said a short while ago that it has no such thing.
    """
    try:
        _copy(key, _as_it_is)
    except TmdbNotFound:
        return
    _refresh(key, kind, fetch)


def hit_counts() -> dict[str, int]:
    """Reads of the last hour or two: answered fresh, answered stale, and not answered by a copy."""
    window = int(time.time() // STATS_WINDOW_S)
    found = [cache.get_fields(_stats_key(each)) for each in (window, window - 1)]
    return {
        name: sum(each.get(name, 0) for each in found) for name in ("hits", "stale_hits", "misses")
    }


@contextmanager
def place() -> Iterator[None]:
    """Hold one of the few places of those who wait for TMDb past this layer.

    Raises TmdbUnavailable where all are taken.
    """
    with _flights.place():
        yield


def settle() -> None:
    """Wait until no refresh runs in this process."""
    _refreshes.settle()


# --- Copies --------------------------------------------------------------------------------------


def _copy(key: str, read: Callable[[Any], T], *, since: float = 0.0) -> Cached[T] | None:
    """The copy, if it was stored after `since`. Raises TmdbNotFound where that is what is known."""
    entry = cache.get(key)
    if not isinstance(entry, dict):
        return None
    stored_at, fresh_until = entry.get("stored_at"), entry.get("fresh_until")
    now = time.time()
    if not _is_time(stored_at) or not _is_time(fresh_until) or not since <= stored_at <= now + 1:
        return None
    fresh = now < fresh_until
    if "missing" in entry:
        if not fresh:
            return None
        raise _ABSENCES.get(str(entry["missing"]), TmdbNotFound)("absent, as TMDb said")
    if "value" not in entry:
        return None
    try:
        value = read(entry["value"])
    except TmdbUnusable:
        return None
    return _cached(value, stored_at, "fresh" if fresh else "stale")


def _is_time(value: Any) -> TypeGuard[float]:
    # Up to the year 9999; NaN fails the comparison as well.
    return isinstance(value, int | float) and 0 <= value < 253_402_300_800


def _cached(value: T, stored_at: float, source: Source) -> Cached[T]:
    age_s = max(0, int(time.time() - stored_at))
    return Cached(value, age_s, source, datetime.fromtimestamp(stored_at, UTC))


def _fetched(key: str, kind: str, fetch: Callable[[], Any]) -> tuple[Any, float]:
    """What TMDb says now, stored, and when it said so."""
    try:
        value = fetch()
    except TmdbNotFound as error:
        _store(key, {"missing": type(error).__name__}, ttl_s=cache.TTL_S["tmdb_missing"], stale_s=0)
        raise
    stale_s = 0 if kind in WITHOUT_STALE else cache.TTL_S["tmdb_stale"]
    spread = random.uniform(1 - TTL_JITTER, 1 + TTL_JITTER)  # noqa: S311 (no secret hangs on it)
    ttl_s = max(1, round(cache.TTL_S[f"tmdb_{kind}"] * spread))
    return value, _store(key, {"value": value}, ttl_s=ttl_s, stale_s=stale_s)


def _store(key: str, content: dict[str, Any], *, ttl_s: int, stale_s: int) -> float:
    now = time.time()
    entry = {"stored_at": now, "fresh_until": now + ttl_s, **content}
    cache.set(key, entry, ttl_s=ttl_s + stale_s)
    return now


# --- One call a key, over all workers ------------------------------------------------------------


def _found(
    key: str, kind: str, fetch: Callable[[], Any], read: Callable[[Any], T], since: float
) -> Cached[T]:
    """What TMDb says, by our own call or by that of another worker, whichever is first."""
    lease = _lease_key(key)
    deadline = deadline_at(BUDGET_S)
    pause_s = POLL_S[0]
    while True:
        token = locks.acquire_lock(lease, ttl_s=LEASE_S)
        # Looked at after the lease was asked for: whoever held it before has stored by now.
        try:
            copy = _copy(key, read, since=since)
        except TmdbNotFound:
            if token is not None:
                locks.release_lock(lease, token)
            raise
        if copy is not None:
            if token is not None:
                locks.release_lock(lease, token)
            return copy
        if token is not None:
            try:
                value, stored_at = _fetched(key, kind, fetch)
                return _cached(read(value), stored_at, "tmdb")
            finally:
                locks.release_lock(lease, token)
        if time.monotonic() + pause_s > deadline - LEAST_LEFT_S:
            raise TmdbUnavailable("another worker's call takes too long", retry_after_s=1)
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, POLL_S[1])


def _lease_key(key: str) -> str:
    return f"{key}:lease"


@dataclass
class _Flight:
    """One call of this process for one key, and how many requests wait for it."""

    outcome: Future[Any]
    began: float


class _Flights:
    """One call at a time for one key in this process: who comes meanwhile shares its outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Flight] = {}
        #: Requests that may hold their thread as long as their call takes.
        self._waiting = 0

    def fly(self, key: str, ask: Callable[[], Cached[T]]) -> Cached[T]:
        """What `ask` gives. Raises TmdbUnavailable where too many wait already."""
        with self._lock:
            flight = self._running.get(key)
            patient = self._waiting < MAX_WAITING
            if flight is None and not patient:
                raise _crowded()
            self._waiting += patient
            own: _Flight | None = None
            if flight is None:
                own = flight = _Flight(Future(), time.monotonic())
                self._running[key] = own
        try:
            if own is None:
                found: Cached[T] = self._joined(flight, BUDGET_S if patient else CROWD_PATIENCE_S)
                return found
            return self._flown(key, own, ask)
        finally:
            with self._lock:
                self._waiting -= patient

    @contextmanager
    def place(self) -> Iterator[None]:
        with self._lock:
            if self._waiting >= MAX_WAITING:
                raise _crowded()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def _joined(self, flight: _Flight, patience_s: float) -> Any:
        until = min(deadline_at(BUDGET_S), flight.began + patience_s)
        try:
            return flight.outcome.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise _crowded() from None

    def _flown(self, key: str, own: _Flight, ask: Callable[[], Cached[T]]) -> Cached[T]:
        try:
            found = ask()
        except BaseException as error:
            self._land(key)
            own.outcome.set_exception(error)
            raise
        self._land(key)
        own.outcome.set_result(found)
        return found

    def _land(self, key: str) -> None:
        with self._lock:
            del self._running[key]


def _crowded() -> TmdbUnavailable:
    return TmdbUnavailable("too many requests wait for TMDb", retry_after_s=1)


_flights = _Flights()


# --- Refreshes in the background -----------------------------------------------------------------


class _Refreshes:
    """A few threads that renew copies; what comes while all are busy is dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[None]] = {}

    def start(self, key: str, work: Callable[[], None]) -> bool:
        with self._lock:
            if key in self._running or len(self._running) >= REFRESHERS:
                return False
            if self._pool is None:
                # Not before it is needed, and so in the process that needs it.
                self._pool = ThreadPoolExecutor(REFRESHERS, thread_name_prefix="tmdb-refresh")
            self._running[key] = self._pool.submit(self._run, key, work)
            return True

    def busy(self, key: str) -> bool:
        with self._lock:
            return key in self._running or len(self._running) >= REFRESHERS

    def settle(self) -> None:
        while True:
            with self._lock:
                running = list(self._running.values())
            if not running:
                return
            for each in running:
                each.result()

    def _run(self, key: str, work: Callable[[], None]) -> None:
        try:
            work()
        except TmdbError:
            # The client has written it down; the stale copy stands.
            pass
        except Exception:
            _LOG.exception("A refresh failed.")
        finally:
            # Of this thread alone; nothing else ends them in a thread without requests.
            connections.close_all()
            with self._lock:
                self._running.pop(key, None)


_refreshes = _Refreshes()


def _refresh(key: str, kind: str, fetch: Callable[[], Any]) -> None:
    if _refreshes.busy(key):
        return
    lease = _lease_key(key)
    token = locks.acquire_lock(lease, ttl_s=LEASE_S)
    if token is None or token == locks.UNSHARED_LOCK:
        return

    def renew() -> None:
        try:
            with within(BUDGET_S):
                _fetched(key, kind, fetch)
        except BaseException:
            locks.release_lock(lease, token, after_s=REFRESH_PAUSE_S)
            raise
        locks.release_lock(lease, token)

    if not _refreshes.start(key, renew):
        locks.release_lock(lease, token)


def _count(outcome: str) -> None:
    READS.labels(outcome).inc()
    window = int(time.time() // STATS_WINDOW_S)
    cache.incr_field(_stats_key(window), outcome, ttl_s=2 * STATS_WINDOW_S)


def _stats_key(window: int) -> str:
    return f"tmdb:stats:{window}"
