"""Exact request limits, counted in the cache for all workers together.

A window opens with the first request of a key and closes `window_s` later. INCR is atomic, so
exactly `limit` requests of a window pass, however many arrive at once. Without the cache nobody is
limited and the service goes on, with two exceptions: what lets guess a password is counted in
PostgreSQL from the start, because a cache may forget, and what lets try many is counted there while
there is no cache.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError

from nexus.core.api.jwt import AccessToken
from nexus.core.cache import client as cache
from nexus.core.db import rate_limit_counters
from nexus.core.observability.metrics import RATE_LIMIT_REFUSALS

# Scopes counted in PostgreSQL: each count is beside a hashed password or a mail, which cost more.
STORED = frozenset({"login_account", "login_overall", "password_reset_account"})
# Scopes counted there while the cache is away.
KEPT_WITHOUT_CACHE = frozenset({"login", "register", "password_reset"})

UNKNOWN_ADDRESS = "unknown"


@dataclass(frozen=True)
class RateLimitUsage:
    """How far one account stands in its window."""

    scope: str
    limit: int
    window_s: int
    used: int
    reset_s: int
    #: Where PostgreSQL counts: what `refund` needs.
    key: str = ""
    closes_at: datetime | None = None

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def policy(self) -> str:
        """As the IETF's draft-ietf-httpapi-ratelimit-headers writes a policy."""
        return f'"{self.scope}";q={self.limit};w={self.window_s}'

    @property
    def state(self) -> str:
        return f'"{self.scope}";r={max(self.limit - self.used, 0)};t={self.reset_s}'


def hit(request: HttpRequest, scope: str, account: str) -> RateLimitUsage:
    """RateLimitUsage one request of `account` and note it for the answer's headers.

    What the cache holds at the keys `beside` is in `found`, from the same round trip.
    """
    count = hit_silently(scope, account)
    get_usages(request).append(count)
    return count


def hit_silently(scope: str, account: str) -> RateLimitUsage:
    """RateLimitUsage one request of `account`, of which the answer tells nothing."""
    requests, window_s = settings.RATE_LIMITS[scope]
    limit = max(1, round(requests * settings.RATE_LIMIT_SCALE))
    key, closes_at = _key(scope, account), None
    used, reset_s = 0, window_s
    if scope not in STORED:
        used, reset_s = cache.increment_window(key, window_s=window_s)
    if used == 0 and scope in STORED | KEPT_WITHOUT_CACHE:
        place = rate_limit_counters.count(key, window_s=window_s)
        used, reset_s, closes_at = place.used, place.reset_s, place.closes_at
    count = RateLimitUsage(scope, limit, window_s, used, reset_s, key, closes_at)
    if count.is_exceeded:
        RATE_LIMIT_REFUSALS.labels(scope).inc()
    return count


def get_usages(request: HttpRequest) -> list[RateLimitUsage]:
    """The counts of this request so far, to be written into the answer's headers."""
    if not hasattr(request, "rate_counts"):
        request.rate_counts = []  # type: ignore[attr-defined]
    return request.rate_counts  # type: ignore[attr-defined,no-any-return]


def get_client_address(request: HttpRequest) -> str:
    """The address that the outermost trusted proxy saw; an IPv6 client is its /64.

    Everything to the left of the trusted hops in X-Forwarded-For is the client's own claim.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
        if len(hops) >= settings.TRUSTED_PROXIES and hops[-settings.TRUSTED_PROXIES]:
            address = hops[-settings.TRUSTED_PROXIES]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN_ADDRESS
    if isinstance(parsed, ipaddress.IPv6Address):
        # A listener on both protocols sees IPv4 clients as ::ffff:203.0.113.7, all in one /64.
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(parsed), 64), strict=False).network_address)
    return str(parsed)


def get_member_id(request: HttpRequest) -> str | None:
    """The member id in a validly signed access token; whether it still holds is for DRF to see."""
    kind, _, raw = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return None
    try:
        # It takes the raw token, whatever its annotation says.
        return str(AccessToken(raw.strip().encode())["user_id"])  # type: ignore[arg-type]
    except (TokenError, KeyError, UnicodeEncodeError):
        return None


class ScopedThrottle(BaseThrottle):
    """A limit of one view, by client address, on top of the general one: `throttle_scope`."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        scope = view.throttle_scope  # type: ignore[attr-defined]
        self._count = hit(request._request, scope, get_client_address(request._request))
        return not self._count.is_exceeded

    def wait(self) -> float:
        return float(self._count.reset_s)


def hit_or_raise(request: Request, scope: str, account: str) -> None:
    """RateLimitUsage one attempt on an account. Raises Throttled (429) once its window is used up."""
    count = hit(request._request, scope, account)
    if count.is_exceeded:
        raise Throttled(wait=count.reset_s)


def refund(*counts: RateLimitUsage) -> None:
    """Take back counts of a STORED scope: what they were to prevent did not happen."""
    for count in counts:
        if count.closes_at is not None:
            rate_limit_counters.uncount(count.key, closes_at=count.closes_at)


def _key(scope: str, account: str) -> str:
    # Hashed: an e-mail address or an IP address has no business in a cache key.
    digest = hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"limit:{scope}:{digest}"
