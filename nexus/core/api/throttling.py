"""Exact rate limits, shared by all workers.

A limit applies to a scope, such as `login`, and a subject: a member's id, a client address or an
account. A window opens with the first request of a subject and closes `window_s` seconds later.
INCR is atomic, so exactly `limit` requests pass in a window, however many arrive at once.

Most scopes are counted in the cache; while it is down, they are not limited and the service goes
on. Two kinds of scopes are counted in PostgreSQL instead: DATABASE_SCOPES always, because evicting
or flushing the cache must not reset an attacker's attempts, and FALLBACK_SCOPES while the cache is
down.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError

from nexus.core.api.jwt import AccessToken
from nexus.core.cache import client as cache
from nexus.core.db.queries import decrement_rate_limit, increment_rate_limit
from nexus.core.observability.metrics import RATE_LIMIT_REFUSALS

# Each of these requests hashes a password, sends a mail or recounts a member's ratings, which costs
# more than the count.
DATABASE_SCOPES = frozenset(
    {"login_account", "login_overall", "password_reset_account", "visibility"}
)
FALLBACK_SCOPES = frozenset({"login", "register", "password_reset"})

UNKNOWN_ADDRESS = "unknown"


@dataclass(frozen=True)
class RateLimitUsage:
    """The requests of one subject in the current window of a scope, and their limit."""

    scope: str
    limit: int
    window_s: int
    used: int
    reset_s: int
    #: `refund` needs these two; `closes_at` is None if the count is in the cache.
    key: str
    closes_at: datetime | None

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def policy(self) -> str:
        """The RateLimit-Policy header (draft-ietf-httpapi-ratelimit-headers)."""
        return f'"{self.scope}";q={self.limit};w={self.window_s}'

    @property
    def state(self) -> str:
        """The RateLimit header."""
        return f'"{self.scope}";r={max(self.limit - self.used, 0)};t={self.reset_s}'


def hit(request: HttpRequest, scope: str, subject: str) -> RateLimitUsage:
    """Count one request of `subject` and add its usage to the response's headers."""
    usage = hit_silently(scope, subject)
    get_usages(request).append(usage)
    return usage


def hit_silently(scope: str, subject: str) -> RateLimitUsage:
    """Count one request of `subject` without adding it to the response's headers."""
    requests, window_s = settings.RATE_LIMITS[scope]
    limit = max(1, round(requests * settings.RATE_LIMIT_SCALE))
    key = _make_key(scope, subject)
    used, reset_s, closes_at = 0, window_s, None
    if scope not in DATABASE_SCOPES:
        used, reset_s = cache.increment_window(key, window_s=window_s)
    if used == 0 and scope in DATABASE_SCOPES | FALLBACK_SCOPES:
        window = increment_rate_limit(key, window_s=window_s)
        used, reset_s, closes_at = window.used, window.reset_s, window.closes_at
    usage = RateLimitUsage(scope, limit, window_s, used, reset_s, key, closes_at)
    if usage.is_exceeded:
        RATE_LIMIT_REFUSALS.labels(scope).inc()
    return usage


def hit_or_raise(request: Request, scope: str, subject: str) -> None:
    """Count one request of `subject`. Raises Throttled (429) if that exceeds the limit."""
    usage = hit(request._request, scope, subject)
    if usage.is_exceeded:
        raise Throttled(wait=usage.reset_s)


def refund(*usages: RateLimitUsage) -> None:
    """Take back counts of DATABASE_SCOPES, because the attempt was legitimate."""
    for usage in usages:
        if usage.closes_at is not None:
            decrement_rate_limit(usage.key, closes_at=usage.closes_at)


def get_usages(request: HttpRequest) -> list[RateLimitUsage]:
    """Return the usages of this request so far, which become the response's headers."""
    if not hasattr(request, "rate_limit_usages"):
        request.rate_limit_usages = []  # type: ignore[attr-defined]
    return request.rate_limit_usages  # type: ignore[attr-defined,no-any-return]


def get_client_address(request: HttpRequest) -> str:
    """Return the address that the outermost trusted proxy saw; of an IPv6 address its /64 network.

    Everything left of the trusted hops in X-Forwarded-For is the client's own claim.
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
        # A dual-stack listener sees all IPv4 clients as ::ffff:203.0.113.7, in one /64.
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(parsed), 64), strict=False).network_address)
    return str(parsed)


def get_member_id(request: HttpRequest) -> str | None:
    """Return the member id of a validly signed access token, else None.

    Whether the token's session is still open is checked later, by the authentication class.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        # SimpleJWT takes bytes, although the parameter is annotated as a Token.
        return str(AccessToken(token.strip().encode())["user_id"])  # type: ignore[arg-type]
    except (TokenError, KeyError, UnicodeEncodeError):
        return None


class ScopedThrottle(BaseThrottle):
    """Limits a view by client address, in addition to the general limit; needs `throttle_scope`."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        scope = view.throttle_scope  # type: ignore[attr-defined]
        self._usage = hit(request._request, scope, get_client_address(request._request))
        return not self._usage.is_exceeded

    def wait(self) -> float:
        return float(self._usage.reset_s)


def _make_key(scope: str, subject: str) -> str:
    # With a secret key: otherwise a list of e-mail or IP addresses would reveal whose hash it is.
    value = subject.encode("utf-8", "surrogatepass")
    digest = salted_hmac("nexus.core.api.throttling", value, algorithm="sha256").hexdigest()[:32]
    return f"limit:{scope}:{digest}"
