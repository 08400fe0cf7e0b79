"""The only way to TMDb: rate limit, circuit breaker, retries and a time limit for every request.

`tmdb.cache` calls a `Gateway` while a caller waits, `tmdb.sync` and `tmdb.reference_lookup` for batch
work; the gateway sends with `tmdb.client.http`. All workers share one rate and one breaker in
Valkey; `tmdb.client.circuit_breaker` explains the limits and applies them while Valkey is down.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import requests
from django.conf import settings
from prometheus_client import Counter

from nexus.core.cache import client as cache
from tmdb.client.circuit_breaker import (
    AUTH_PAUSE_S,
    FAILURES_TO_OPEN,
    PROBE_INTERVAL_S,
    RATE_WINDOW_S,
    REQUESTS_PER_S,
    Admission,
    BreakerStatus,
    LocalCircuitBreaker,
    RequestOutcome,
    make_status,
)
from tmdb.client.errors import (
    TmdbAuthFailed,
    TmdbError,
    TmdbNotFound,
    TmdbRateLimited,
    TmdbRequestRejected,
    TmdbServerError,
    TmdbUnavailable,
)
from tmdb.client.http import TmdbClient, TmdbRequest

# For all requests to TMDb while one caller waits, retries and delays included.
TIME_LIMIT_S = 3.0
# A request with less time left than this is not sent: it would time out, and TMDb would do the work.
MIN_TIME_LEFT_S = 0.25
RETRIES = 1
# The delay before the first retry; it doubles with each further one, minus up to half at random.
RETRY_DELAY_S = 0.3
# The pause after a 429 without a Retry-After header.
RATE_LIMITED_PAUSE_S = 1.0
# Per process: two requests that callers wait for, and two that have not noticed their timeout yet.
MAX_CONCURRENT = 4

# Batch work may take longer, and leaves part of the limits to requests that callers wait for.
BATCH_TIME_LIMIT_S = 20.0
BATCH_RETRIES = 4
BATCH_REQUESTS_PER_S = 20
BATCH_MAX_IN_FLIGHT = 2

# Longer than any request takes; a worker that dies frees its place in flight after this time.
IN_FLIGHT_TTL_S = 5.0
# How often a request that waits for a place in flight tries again.
IN_FLIGHT_POLL_S = 0.03
STATE_TTL_S = 7 * 86_400

CALLS = Counter("nexus_tmdb_calls_total", "Requests sent to TMDb, by their outcome.", ["outcome"])

_LOG = logging.getLogger(__name__)
_deadline: ContextVar[float | None] = ContextVar("tmdb_deadline", default=None)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Give all TMDb requests of this block `seconds` together, less if an outer block ends first."""
    token = _deadline.set(compute_deadline(seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def compute_deadline(seconds: float) -> float:
    """Return the monotonic time `seconds` from now, or the end of the current time_limit block."""
    deadline = time.monotonic() + seconds
    block_deadline = _deadline.get()
    return deadline if block_deadline is None else min(deadline, block_deadline)


# --- Gateway -------------------------------------------------------------------------------------


class Gateway:
    """Sends requests to TMDb within the shared limits and retries what may succeed."""

    def __init__(
        self,
        client: TmdbClient,
        breaker: SharedCircuitBreaker,
        *,
        time_limit_s: float = TIME_LIMIT_S,
        retries: int = RETRIES,
    ) -> None:
        self._client = client
        self._breaker = breaker
        self._time_limit_s = time_limit_s
        self._retries = retries
        # Name lookups and dripping headers ignore timeouts: they block a thread of this pool, not
        # the caller.
        self._threads = ThreadPoolExecutor(MAX_CONCURRENT, thread_name_prefix="tmdb")
        self._free_threads = threading.Semaphore(MAX_CONCURRENT)

    def close(self) -> None:
        """Wait for running requests and close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def get_status(self) -> BreakerStatus:
        return self._breaker.get_status()

    def fetch(self, request: TmdbRequest) -> dict[str, Any]:
        """Return TMDb's JSON object for a request, or raise TmdbError within the time limit."""
        self._client.check_configuration()
        deadline = compute_deadline(self._time_limit_s)
        retries = 0
        while True:
            try:
                return self._send(request, deadline)
            except TmdbNotFound:
                raise
            except TmdbError as error:
                delay_s = _compute_retry_delay_s(error, retries)
                is_too_late = time.monotonic() + delay_s > deadline - MIN_TIME_LEFT_S
                if retries == self._retries or is_too_late:
                    # Without the query parameters: what members search for is private.
                    _LOG.warning("TMDb %s: %s: %s", request.path, type(error).__name__, error)
                    raise
            time.sleep(delay_s)
            retries += 1

    def _send(self, request: TmdbRequest, deadline: float) -> dict[str, Any]:
        """Send a request once, as soon as a thread is free and the breaker admits it."""
        max_wait_s = deadline - MIN_TIME_LEFT_S - time.monotonic()
        if not self._free_threads.acquire(timeout=max(0.0, max_wait_s)):
            raise TmdbUnavailable("too many requests to TMDb at once", retry_after_s=1)
        try:
            token = self._breaker.acquire(deadline)
        except BaseException:
            self._free_threads.release()
            raise
        sending = self._threads.submit(self._client.send, request, deadline=deadline)
        sending.add_done_callback(self._release_thread)
        outcome: RequestOutcome = "none"
        pause_s = 0.0
        time_left_s = max(0.0, deadline - time.monotonic())
        try:
            document = sending.result(timeout=time_left_s)
            outcome = "ok"
        except TimeoutError:
            outcome = "failed"
            raise TmdbUnavailable(f"no response within {time_left_s:.1f} s") from None
        except TmdbError as error:
            outcome = _get_outcome(error)
            if isinstance(error, TmdbRateLimited):
                pause_s = error.retry_after_s if error.has_retry_after else RATE_LIMITED_PAUSE_S
            raise
        finally:
            self._breaker.release(token, outcome, pause_s=pause_s)
        return document

    def _release_thread(self, _: Future[Any]) -> None:
        self._free_threads.release()


def build_gateway(*, base_url: str, credential: str) -> Gateway:
    """Return a gateway for requests that a caller waits for."""
    client = TmdbClient(requests.Session(), base_url=base_url, credential=credential)
    return Gateway(client, SharedCircuitBreaker(base_url=base_url, credential=credential))


def build_batch_gateway() -> Gateway:
    """Return a gateway for commands and imports: it waits longer and uses part of the limits."""
    base_url, credential = settings.TMDB_BASE_URL, settings.TMDB_TOKEN
    return Gateway(
        TmdbClient(requests.Session(), base_url=base_url, credential=credential),
        SharedCircuitBreaker(base_url=base_url, credential=credential, is_batch=True),
        time_limit_s=BATCH_TIME_LIMIT_S,
        retries=BATCH_RETRIES,
    )


def _get_outcome(error: TmdbError) -> RequestOutcome:
    """Return the outcome as which an error counts: an error of the request itself is `ok`."""
    if isinstance(error, TmdbNotFound | TmdbRequestRejected):
        return "ok"
    if isinstance(error, TmdbAuthFailed):
        return "auth"
    return "busy" if isinstance(error, TmdbRateLimited) else "failed"


def _compute_retry_delay_s(error: TmdbError, retries: int) -> float:
    """Return the delay before the next retry; infinite if a retry cannot succeed."""
    if not isinstance(error, TmdbServerError):
        return math.inf
    delay_s: float = RETRY_DELAY_S * 2**retries * random.uniform(0.5, 1)  # noqa: S311 (not a secret)
    if error.has_retry_after:
        return error.retry_after_s + delay_s
    return RATE_LIMITED_PAUSE_S + delay_s if isinstance(error, TmdbRateLimited) else delay_s


# --- Circuit breaker and rate limit of all workers -----------------------------------------------

# The scripts read Valkey's clock, so that the clocks of several machines cannot disagree. Times are
# in milliseconds. KEYS: the state (a hash), the requests in flight by expiry and the request starts
# by time (sorted sets).
_ADMIT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local token, max_in_flight, rate = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local window, max_wait, in_flight_ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local failures_to_open, probe_interval = tonumber(ARGV[7]), tonumber(ARGV[8])
local state = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'cause', 'paused_until')
local failures, open_until = tonumber(state[1]) or 0, tonumber(state[2]) or 0
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if open_until > now then return {state[3] or 'open', open_until - now} end
local in_flight = redis.call('ZCARD', KEYS[2])
if open_until == 0
    and (failures + in_flight >= failures_to_open or in_flight >= max_in_flight) then
  return {'full', 0}
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - window)
local start = math.max(now, tonumber(state[4]) or 0)
local started = redis.call('ZCARD', KEYS[3])
if started >= rate then
  local oldest = redis.call('ZRANGE', KEYS[3], started - rate, started - rate, 'WITHSCORES')
  start = math.max(start, tonumber(oldest[2]) + window)
end
if start - now > max_wait then return {'late', start - now} end
redis.call('ZADD', KEYS[3], start, token)
redis.call('PEXPIRE', KEYS[3], start - now + window)
redis.call('ZADD', KEYS[2], start + in_flight_ttl, token)
redis.call('PEXPIRE', KEYS[2], start - now + in_flight_ttl)
if open_until > 0 then
  redis.call('HSET', KEYS[1], 'open_until', start + probe_interval)
  redis.call('HDEL', KEYS[1], 'cause')
  redis.call('PEXPIRE', KEYS[1], ARGV[9])
end
return {'go', start - now}
"""
_RELEASE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local token, outcome, pause = ARGV[1], ARGV[2], tonumber(ARGV[3])
local failures_to_open, probe_interval = tonumber(ARGV[4]), tonumber(ARGV[5])
local auth_pause = tonumber(ARGV[6])
redis.call('ZREM', KEYS[2], token)
if outcome == 'none' then return 0 end
if outcome == 'ok' then
  redis.call('HDEL', KEYS[1], 'failures', 'open_until', 'cause')
  redis.call('HSET', KEYS[1], 'last_success', now)
elseif outcome == 'auth' then
  redis.call('HSET', KEYS[1], 'open_until', now + auth_pause, 'cause', 'auth')
else
  if pause > 0 then
    local paused_until = tonumber(redis.call('HGET', KEYS[1], 'paused_until')) or 0
    redis.call('HSET', KEYS[1], 'paused_until', math.max(paused_until, now + pause))
  end
  local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
  local open_until = tonumber(redis.call('HGET', KEYS[1], 'open_until')) or 0
  if open_until == 0 and failures >= failures_to_open then
    redis.call('HSET', KEYS[1], 'open_until', now + probe_interval)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
return 0
"""
_STATUS = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'open_until', 'paused_until', 'last_success')
local open_until, paused_until = tonumber(state[1]) or 0, tonumber(state[2]) or 0
local started = redis.call('ZCOUNT', KEYS[3], now - tonumber(ARGV[1]), '+inf')
local in_flight = redis.call('ZCOUNT', KEYS[2], now, '+inf')
local success_age = -1
if state[3] then success_age = now - tonumber(state[3]) end
return {open_until == 0 and 0 or 1, math.max(open_until - now, 0), math.max(paused_until - now, 0),
  started, in_flight, success_age}
"""
_LOCAL_PREFIX = "local:"


class SharedCircuitBreaker:
    """The circuit breaker and rate limit of all workers for one base URL and credential.

    With `is_batch` it admits fewer requests and waits out an open breaker until the deadline.
    """

    def __init__(self, *, base_url: str, credential: str, is_batch: bool = False) -> None:
        # Another credential has limits of its own, and no key may reveal the credential.
        digest = hashlib.sha256(f"{base_url}\n{credential}".encode()).hexdigest()[:16]
        self._keys = [f"tmdb:gateway:{digest}:{name}" for name in ("state", "in_flight", "starts")]
        self._is_batch = is_batch
        # The share of one process: the workers and one command.
        share = REQUESTS_PER_S // (settings.WEB_CONCURRENCY + 1)
        self._local = LocalCircuitBreaker(requests_per_s=max(1, share))

    def acquire(self, deadline: float) -> str:
        """Wait until a request may start and return a token for `release`.

        Raises TmdbAuthFailed or TmdbUnavailable if none may start well before `deadline`.
        """
        while True:
            max_wait_s = deadline - time.monotonic() - MIN_TIME_LEFT_S
            if max_wait_s < 0:
                raise TmdbUnavailable("too many requests to TMDb at once", retry_after_s=1)
            admission, wait_s, token = self._admit(max_wait_s)
            if admission == "go":
                time.sleep(wait_s)
                return token
            if admission == "full":
                time.sleep(min(IN_FLIGHT_POLL_S, max_wait_s + 0.001))
            elif admission == "auth":
                raise TmdbAuthFailed("TMDb rejected the credential a moment ago")
            elif self._is_batch and wait_s <= max_wait_s:
                time.sleep(wait_s + 0.001)
            else:
                reason = (
                    "the rate limit is reached" if admission == "late" else "the breaker is open"
                )
                raise TmdbUnavailable(reason, retry_after_s=max(1, math.ceil(wait_s)))

    def release(self, token: str, outcome: RequestOutcome, *, pause_s: float = 0) -> None:
        """Record the outcome of a request; after a 429 no request starts for `pause_s`."""
        CALLS.labels(outcome).inc()
        if token.startswith(_LOCAL_PREFIX):
            self._local.release(token, outcome, pause_s=pause_s)
            return
        cache.run_script(
            _RELEASE,
            keys=self._keys,
            args=[
                token,
                outcome,
                _to_ms(pause_s),
                FAILURES_TO_OPEN,
                _to_ms(PROBE_INTERVAL_S),
                _to_ms(AUTH_PAUSE_S),
                _to_ms(STATE_TTL_S),
            ],
        )

    def get_status(self) -> BreakerStatus:
        figures = cache.run_script(_STATUS, keys=self._keys, args=[_to_ms(RATE_WINDOW_S)])
        if figures is None:
            return self._local.get_status()
        is_open, open_for_ms, paused_for_ms, started, in_flight, success_age_ms = map(int, figures)
        return make_status(
            is_open=bool(is_open),
            open_for_s=open_for_ms / 1000,
            in_flight=in_flight,
            requests_left=0 if paused_for_ms else REQUESTS_PER_S - started,
            requests_per_s=REQUESTS_PER_S,
            last_success=time.time() - success_age_ms / 1000 if success_age_ms >= 0 else None,
        )

    def _admit(self, max_wait_s: float) -> tuple[Admission, float, str]:
        token = secrets.token_hex(8)
        reply = cache.run_script(
            _ADMIT,
            keys=self._keys,
            args=[
                token,
                BATCH_MAX_IN_FLIGHT if self._is_batch else FAILURES_TO_OPEN,
                BATCH_REQUESTS_PER_S if self._is_batch else REQUESTS_PER_S,
                _to_ms(RATE_WINDOW_S),
                _to_ms(max_wait_s),
                _to_ms(IN_FLIGHT_TTL_S),
                FAILURES_TO_OPEN,
                _to_ms(PROBE_INTERVAL_S),
                _to_ms(STATE_TTL_S),
            ],
        )
        if reply is None:
            local_token = _LOCAL_PREFIX + token
            admission, wait_s = self._local.admit(local_token, max_wait_s)
            return admission, wait_s, local_token
        return reply[0].decode(), int(reply[1]) / 1000, token


def _to_ms(seconds: float) -> int:
    return int(seconds * 1000)
