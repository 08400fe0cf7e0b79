"""Exact rate limits, shared by all workers.

A limit applies to a scope, such as `login`, and a subject: a member's id, a client address or an
account. A window opens with the first request of a subject and closes `window_s` seconds later.
The counter is incremented atomically, so exactly `limit` units pass in a window, however many requests
arrive at once.

Every request counts for its client address (nexus.core.middleware.RateLimitMiddleware) and, if its
token is valid, for its member (MemberThrottle). It costs the units of its route in
settings.REQUEST_UNITS. Some views have a limit of their own besides, in requests.

Most scopes are counted in the cache; while it is down, they are not limited and the service goes
on. Two kinds of scopes are counted in PostgreSQL instead: DATABASE_SCOPES always, because evicting
or flushing the cache must not reset an attacker's attempts, and FALLBACK_SCOPES while the cache is
down.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from nexus.core.cache import client as cache
from nexus.core.db.queries import decrement_rate_limit, increment_rate_limit
from nexus.core.observability.metrics import RATE_LIMIT_REFUSALS

# Each of these requests hashes a password, sends a mail or recounts a member's ratings, which costs
# more than the count.
DATABASE_SCOPES = frozenset(
    {
        *("login_account", "login_overall", "password_reset_account"),
        *("verification_mail", "visibility"),
    }
)
FALLBACK_SCOPES = frozenset({"login", "register", "guest", "password_reset", "email", "group_join"})

UNKNOWN_ADDRESS = "unknown"
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class RateLimitUsage:
    """The units of one subject in the current window of a scope, and their limit."""

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


def hit(request: HttpRequest, scope: str, subject: str, *, units: int = 1) -> RateLimitUsage:
    """Count a request of `subject` and add its usage to the response's headers."""
    usage = hit_silently(scope, subject, units=units)
    get_usages(request).append(usage)
    return usage


def hit_silently(scope: str, subject: str, *, units: int = 1) -> RateLimitUsage:
    """Count a request of `subject` without adding it to the response's headers.

    Scopes that are counted in PostgreSQL count requests, whatever their units.
    """
    maximum, window_s = settings.RATE_LIMITS[scope]
    limit = max(1, round(maximum * settings.RATE_LIMIT_SCALE))
    key = _make_key(scope, subject)
    used, reset_s, closes_at = 0, window_s, None
    if scope not in DATABASE_SCOPES:
        used, reset_s = cache.increment_window(key, window_s=window_s, amount=units)
    if used == 0 and scope in DATABASE_SCOPES | FALLBACK_SCOPES:
        window = increment_rate_limit(key, window_s=window_s)
        used, reset_s, closes_at = window.used, window.reset_s, window.closes_at
    usage = RateLimitUsage(scope, limit, window_s, used, reset_s, key, closes_at)
    if usage.is_exceeded:
        RATE_LIMIT_REFUSALS.labels(scope).inc()
    return usage


def hit_or_raise(request: Request, scope: str, subject: str) -> None:
    """Count a request of `subject`. Raises Throttled (429) if that exceeds the limit."""
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
        parsed = ipaddress.ip_address(_strip_port(address))
    except ValueError:
        return UNKNOWN_ADDRESS
    if isinstance(parsed, ipaddress.IPv6Address):
        # A dual-stack listener sees all IPv4 clients as ::ffff:203.0.113.7, in one /64.
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(parsed), 64), strict=False).network_address)
    return str(parsed)


def _strip_port(address: str) -> str:
    """Return the address without a port: `203.0.113.7:1234`, `[2001:db8::1]:1234`, `[2001:db8::1]`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def get_operation(request: HttpRequest) -> str:
    """Return the method and the route, such as `GET /ratings/{pk}/`; "" if no route matches.

    HEAD costs what GET costs. The admin is one operation, because only staff get further than its login.
    """
    match = request.resolver_match
    if match is None:
        try:
            match = request.resolver_match = resolve(request.path_info)
        except Resolver404:
            return ""
    if match.app_name == "admin":
        return "/admin/"
    method = "GET" if request.method == "HEAD" else request.method
    template = _CONVERTER.sub(r"{\1}", match.route)
    return f"{method} /{template}"


def get_request_units(request: HttpRequest) -> int:
    """Return the units of a request, by settings.REQUEST_UNITS; 1 if its route does not allow the method.

    `GET /movies/{pk}/?append=` has units of its own, because it does the work of several requests.
    """
    operation = get_operation(request)
    units: int = settings.REQUEST_UNITS.get(operation, 1)
    if request.GET.get("append"):
        units = settings.REQUEST_UNITS.get(f"{operation}?append=", units)
    return units


class MemberThrottle(BaseThrottle):
    """Limits a member, in addition to the limit of the client address."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        member_id = _find_member_id(request, view)
        if member_id is None:
            return True
        http_request = request._request
        http_request.member_id = member_id  # type: ignore[attr-defined]
        units = get_request_units(http_request)
        self._usage = hit(http_request, "member", member_id, units=units)
        return not self._usage.is_exceeded

    def wait(self) -> float:
        return float(self._usage.reset_s)


def _find_member_id(request: Request, view: APIView) -> str | None:
    """Return the caller's id, also on a public page, which accepts any token; None without a valid one."""
    if request.user.is_authenticated:
        return str(request.user.pk)
    if "Authorization" not in request.headers:
        return None
    for authenticator in view.authentication_classes:
        try:
            authenticated = authenticator().authenticate(request)
        except (APIException, OperationalError, InterfaceError):
            return None
        if authenticated is not None:
            return str(authenticated[0].pk)
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
