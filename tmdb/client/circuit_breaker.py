"""The limits on requests to TMDb, as one process applies them: circuit breaker and request rate.

`tmdb.gateway` applies the same limits to all workers together in Valkey and falls back to this
class while Valkey is down. Free of Django. What the constants guarantee:

- At most REQUESTS_PER_S requests start in any RATE_WINDOW_S. The window is a little over a second,
  so that requests delayed on the network do not meet those of the next second at TMDb.
- A request starts only while consecutive failures and requests in flight are together fewer than
  FAILURES_TO_OPEN. An outage therefore costs four requests, however many workers there are. While
  TMDb works, four requests at a time exceed the rate, as TMDb usually responds within 0.1 s.
- An open breaker admits one probe per PROBE_INTERVAL_S, counted from the start of the last one.
  An outage of 30 s costs at most 4 + 30 / 4.5 = 10 requests, and the breaker closes at most 4.5 s
  after TMDb works again.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

REQUESTS_PER_S = 30
RATE_WINDOW_S = 1.06
FAILURES_TO_OPEN = 4
PROBE_INTERVAL_S = 4.5
# A credential that TMDb rejects is not replaced within seconds.
AUTH_PAUSE_S = 30.0

#: The result of a request, as far as the breaker counts it. `busy` is a 429; `none` is a request that
#: was not sent or says nothing about TMDb.
RequestOutcome = Literal["ok", "failed", "busy", "auth", "none"]
#: Whether a request may start. `full`: too many requests in flight; `late`: the rate allows none in
#: time; `open`: the breaker is open; `auth`: it is open because TMDb rejects the credential.
Admission = Literal["go", "full", "late", "open", "auth"]
BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True)
class BreakerStatus:
    """The state of the breaker and of the request rate, for `/tmdb/status/` and the metrics."""

    state: BreakerState
    retry_after_s: int
    requests_left: int
    requests_per_s: int
    #: Unix time of TMDb's last good response; None if unknown.
    last_success: float | None


def make_status(
    *,
    is_open: bool,
    open_for_s: float,
    in_flight: int,
    requests_left: int,
    requests_per_s: int,
    last_success: float | None,
) -> BreakerStatus:
    state: BreakerState = "closed"
    if is_open:
        # Half open: a probe may start now or is in flight.
        state = "open" if open_for_s > 0 and not in_flight else "half_open"
    return BreakerStatus(
        state=state,
        retry_after_s=math.ceil(open_for_s) if state == "open" else 0,
        requests_left=0 if state == "open" else max(0, requests_left),
        requests_per_s=requests_per_s,
        last_success=last_success,
    )


@dataclass
class LocalCircuitBreaker:
    """The limits of this process alone, with its share of the request rate."""

    requests_per_s: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _starts: list[float] = field(default_factory=list)
    _in_flight: set[str] = field(default_factory=set)
    _failures: int = 0
    _open_until: float = 0.0
    _paused_until: float = 0.0
    _is_auth_failure: bool = False
    _last_success: float | None = None

    def admit(self, token: str, max_wait_s: float) -> tuple[Admission, float]:
        """Return whether a request may start, and after how many seconds it may start or retry."""
        with self._lock:
            now = time.monotonic()
            if self._open_until > now:
                return ("auth" if self._is_auth_failure else "open"), self._open_until - now
            if not self._open_until and self._failures + len(self._in_flight) >= FAILURES_TO_OPEN:
                return "full", 0.0
            self._starts = [start for start in self._starts if start > now - RATE_WINDOW_S]
            start = max(now, self._paused_until)
            if len(self._starts) >= self.requests_per_s:
                start = max(start, self._starts[-self.requests_per_s] + RATE_WINDOW_S)
            if start - now > max_wait_s:
                return "late", start - now
            self._starts.append(start)
            self._in_flight.add(token)
            if self._open_until:
                # This is the probe; the next one may start an interval later.
                self._open_until, self._is_auth_failure = start + PROBE_INTERVAL_S, False
            return "go", start - now

    def release(self, token: str, outcome: RequestOutcome, *, pause_s: float) -> None:
        """Record the outcome of a request; after a 429 no request starts for `pause_s`."""
        with self._lock:
            now = time.monotonic()
            self._in_flight.discard(token)
            if outcome == "ok":
                self._failures, self._open_until, self._is_auth_failure = 0, 0.0, False
                self._last_success = time.time()
            elif outcome == "auth":
                self._open_until, self._is_auth_failure = now + AUTH_PAUSE_S, True
            elif outcome != "none":
                if pause_s:
                    self._paused_until = max(self._paused_until, now + pause_s)
                self._failures += 1
                if not self._open_until and self._failures >= FAILURES_TO_OPEN:
                    self._open_until = now + PROBE_INTERVAL_S

    def get_status(self) -> BreakerStatus:
        with self._lock:
            now = time.monotonic()
            used = sum(start > now - RATE_WINDOW_S for start in self._starts)
            return make_status(
                is_open=bool(self._open_until),
                open_for_s=max(0.0, self._open_until - now),
                in_flight=len(self._in_flight),
                requests_left=0 if self._paused_until > now else self.requests_per_s - used,
                requests_per_s=self.requests_per_s,
                last_success=self._last_success,
            )
