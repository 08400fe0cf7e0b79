"""The one door to TMDb for all workers: a rate budget, a breaker and a bound on what is in flight.

The state is in Valkey, changed by scripts on its clock; where it is away each process keeps its own,
with its share of the budget. How the figures hold:

- At most BUDGET_PER_S requests begin in any WINDOW_S. That is a little over a second, so that
  requests which are held up on their way do not meet the next second's at TMDb's door.
- A request begins only while failures in a row and requests in flight are together fewer than
  FAILURES_TO_OPEN. So an outage costs four requests, however many workers there are; while TMDb is
  well, four at a time are more than the budget, as its usual answer takes a tenth of a second.
- An open breaker lets one request through every PROBE_EVERY_S, counted from the start of the one
  before. 30 s of outage cost 4 + 30 / 4.5 = 10 requests at most, and TMDb is found well at most
  4.5 s after it is.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import Counter

from nexus.core.cache import client as cache
from tmdb.client.errors import TmdbAuthFailed, TmdbUnavailable
from tmdb.client.http import LEAST_LEFT_S, Outcome

BUDGET_PER_S = 30
WINDOW_S = 1.06
FAILURES_TO_OPEN = 4
PROBE_EVERY_S = 4.5
# A credential that TMDb refuses is not mended within seconds.
AUTH_PAUSE_S = 30.0
# Batch work leaves this much to those who wait.
BATCH_BUDGET_PER_S = 20
BATCH_IN_FLIGHT = 2
# Longer than any request takes; a worker that died holds its place no longer.
LEASE_S = 5.0
FULL_STEP_S = 0.03
STATE_TTL_S = 7 * 86_400

CALLS = Counter("nexus_tmdb_calls_total", "Requests sent to TMDb, by their outcome.", ["outcome"])

_LOCAL = "local:"
_ENTER = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local token, most, budget, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local longest, lease, threshold = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local probe_every, ttl = tonumber(ARGV[8]), tonumber(ARGV[9])
local state = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'cause', 'closed_until')
local failures, open_until = tonumber(state[1]) or 0, tonumber(state[2]) or 0
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if open_until > now then return {state[3] or 'open', open_until - now} end
local flying = redis.call('ZCARD', KEYS[2])
if open_until == 0 and (failures + flying >= threshold or flying >= most) then
  return {'full', 0}
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - window)
local at = math.max(now, tonumber(state[4]) or 0)
local held = redis.call('ZCARD', KEYS[3])
if held >= budget then
  local before = redis.call('ZRANGE', KEYS[3], held - budget, held - budget, 'WITHSCORES')
  at = math.max(at, tonumber(before[2]) + window)
end
if at - now > longest then return {'late', at - now} end
redis.call('ZADD', KEYS[3], at, token)
redis.call('PEXPIRE', KEYS[3], at - now + window)
redis.call('ZADD', KEYS[2], at + lease, token)
redis.call('PEXPIRE', KEYS[2], at - now + lease)
if open_until > 0 then
  redis.call('HSET', KEYS[1], 'open_until', at + probe_every)
  redis.call('HDEL', KEYS[1], 'cause')
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return {'go', at - now}
"""
_LEAVE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local token, outcome, closed = ARGV[1], ARGV[2], tonumber(ARGV[3])
local threshold, probe_every, auth_pause = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('ZREM', KEYS[2], token)
if outcome == 'none' then return 0 end
if outcome == 'ok' then
  redis.call('HDEL', KEYS[1], 'failures', 'open_until', 'cause')
  redis.call('HSET', KEYS[1], 'last_success', now)
elseif outcome == 'auth' then
  redis.call('HSET', KEYS[1], 'open_until', now + auth_pause, 'cause', 'auth')
else
  if closed > 0 then
    local until_now = tonumber(redis.call('HGET', KEYS[1], 'closed_until')) or 0
    redis.call('HSET', KEYS[1], 'closed_until', math.max(until_now, now + closed))
  end
  local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
  local open_until = tonumber(redis.call('HGET', KEYS[1], 'open_until')) or 0
  if open_until == 0 and failures >= threshold then
    redis.call('HSET', KEYS[1], 'open_until', now + probe_every)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
return 0
"""
_LOOK = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'open_until', 'closed_until', 'last_success')
local held = redis.call('ZCOUNT', KEYS[3], now - tonumber(ARGV[1]), '+inf')
local flying = redis.call('ZCOUNT', KEYS[2], now, '+inf')
local success_ago = -1
if state[3] then success_ago = now - tonumber(state[3]) end
return {(tonumber(state[1]) or 0) == 0 and 0 or 1, math.max((tonumber(state[1]) or 0) - now, 0),
  math.max((tonumber(state[2]) or 0) - now, 0), held, flying, success_ago}
"""


@dataclass(frozen=True)
class Look:
    """How the gate stands."""

    breaker: Literal["closed", "open", "half_open"]
    retry_after_s: int
    requests_left: int
    budget_per_s: int
    #: Unix time, None where none is known.
    last_success: float | None


class SharedGate:
    """The gate of one address and credential; with `patient` for batch work, which waits longer."""

    def __init__(
        self, *, base_url: str, credential: str, processes: int, patient: bool = False
    ) -> None:
        # What is kept under it must be of use to this credential alone, and must not name it.
        digest = hashlib.sha256(f"{base_url}\n{credential}".encode()).hexdigest()[:16]
        self._keys = [f"tmdb:gate:{digest}:{name}" for name in ("state", "flying", "begun")]
        self._patient = patient
        self._local = _LocalGate(budget=max(1, BUDGET_PER_S // (processes + 1)))

    def enter(self, deadline: float) -> str:
        """Leave to begin one request; raises TmdbUnavailable where none comes before `deadline`."""
        while True:
            longest_s = deadline - time.monotonic() - LEAST_LEFT_S
            if longest_s < 0:
                raise TmdbUnavailable("too many calls at once", retry_after_s=1)
            verdict, wait_s, token = self._asked(longest_s)
            if verdict == "go":
                time.sleep(wait_s)
                return token
            if verdict == "full":
                time.sleep(min(FULL_STEP_S, longest_s + 0.001))
            elif verdict == "auth":
                raise TmdbAuthFailed("the credential was refused a moment ago")
            elif self._patient and wait_s <= longest_s:
                time.sleep(wait_s + 0.001)
            else:
                reason = "the budget is used up" if verdict == "late" else "the breaker is open"
                raise TmdbUnavailable(reason, retry_after_s=max(1, math.ceil(wait_s)))

    def leave(self, token: str, outcome: Outcome, *, closed_s: float = 0) -> None:
        CALLS.labels(outcome).inc()
        if token.startswith(_LOCAL):
            self._local.leave(token, outcome, closed_s=closed_s)
            return
        times_s = (closed_s, PROBE_EVERY_S, AUTH_PAUSE_S, STATE_TTL_S)
        closed, probe, auth, ttl = (int(each * 1000) for each in times_s)
        args: list[str | int] = [token, outcome, closed, FAILURES_TO_OPEN, probe, auth, ttl]
        cache.run_script(_LEAVE, keys=self._keys, args=args)

    def look(self) -> Look:
        found = cache.run_script(_LOOK, keys=self._keys, args=[int(WINDOW_S * 1000)])
        if found is None:
            return self._local.look()
        opened, open_ms, closed_ms, held, flying, success_ago_ms = (int(each) for each in found)
        return _look(
            opened=bool(opened),
            open_s=open_ms / 1000,
            left=0 if closed_ms else BUDGET_PER_S - held,
            budget=BUDGET_PER_S,
            flying=flying,
            last_success=time.time() - success_ago_ms / 1000 if success_ago_ms >= 0 else None,
        )

    def _asked(self, longest_s: float) -> tuple[str, float, str]:
        token = secrets.token_hex(8)
        most = BATCH_IN_FLIGHT if self._patient else FAILURES_TO_OPEN
        budget = BATCH_BUDGET_PER_S if self._patient else BUDGET_PER_S
        times_s = (WINDOW_S, longest_s, LEASE_S)
        window, longest, lease = (int(each * 1000) for each in times_s)
        answer = cache.run_script(
            _ENTER,
            keys=self._keys,
            args=[
                *(token, most, budget, window, longest, lease),
                *(FAILURES_TO_OPEN, int(PROBE_EVERY_S * 1000), int(STATE_TTL_S * 1000)),
            ],
        )
        if answer is None:
            verdict, wait_s = self._local.enter(_LOCAL + token, longest_s)
            return verdict, wait_s, _LOCAL + token
        return answer[0].decode(), int(answer[1]) / 1000, token


@dataclass
class _LocalGate:
    """The same rules for this process alone, for as long as Valkey is away."""

    budget: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: list[float] = field(default_factory=list)
    _flying: set[str] = field(default_factory=set)
    _failures: int = 0
    _open_until: float = 0.0
    _closed_until: float = 0.0
    _auth: bool = False
    _last_success: float | None = None

    def enter(self, token: str, longest_s: float) -> tuple[str, float]:
        with self._lock:
            now = time.monotonic()
            if self._open_until > now:
                return ("auth" if self._auth else "open"), self._open_until - now
            if not self._open_until and self._failures + len(self._flying) >= FAILURES_TO_OPEN:
                return "full", 0.0
            self._begun = [at for at in self._begun if at > now - WINDOW_S]
            at = max(now, self._closed_until)
            if len(self._begun) >= self.budget:
                at = max(at, self._begun[-self.budget] + WINDOW_S)
            if at - now > longest_s:
                return "late", at - now
            self._begun.append(at)
            self._flying.add(token)
            if self._open_until:
                self._open_until, self._auth = at + PROBE_EVERY_S, False
            return "go", at - now

    def leave(self, token: str, outcome: Outcome, *, closed_s: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._flying.discard(token)
            if outcome == "ok":
                self._failures, self._open_until, self._auth = 0, 0.0, False
                self._last_success = time.time()
            elif outcome == "auth":
                self._open_until, self._auth = now + AUTH_PAUSE_S, True
            elif outcome != "none":
                self._closed_until = max(self._closed_until, now + closed_s if closed_s else 0.0)
                self._failures += 1
                if not self._open_until and self._failures >= FAILURES_TO_OPEN:
                    self._open_until = now + PROBE_EVERY_S

    def look(self) -> Look:
        with self._lock:
            now = time.monotonic()
            used = sum(at > now - WINDOW_S for at in self._begun)
            return _look(
                opened=bool(self._open_until),
                open_s=max(0.0, self._open_until - now),
                left=0 if self._closed_until > now else self.budget - used,
                budget=self.budget,
                flying=len(self._flying),
                last_success=self._last_success,
            )


def _look(
    *,
    opened: bool,
    open_s: float,
    left: int,
    budget: int,
    flying: int,
    last_success: float | None,
) -> Look:
    state: Literal["closed", "open", "half_open"] = "closed"
    if opened:
        # Half open: the next request is let through, or one is on its way to find out.
        state = "open" if open_s > 0 and not flying else "half_open"
    waits = state == "open"
    return Look(
        breaker=state,
        retry_after_s=math.ceil(open_s) if waits else 0,
        requests_left=0 if waits else max(0, left),
        budget_per_s=budget,
        last_success=last_success,
    )
