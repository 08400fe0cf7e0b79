"""Middleware that applies to every request, whichever app handles it."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.middleware import gzip, http
from django.urls import is_valid_path
from django.utils.cache import set_response_etag
from rest_framework.permissions import SAFE_METHODS

from nexus.core.api import throttling
from nexus.core.api.exceptions import UNREADABLE_BODY, problem_response
from nexus.core.cache.responses import get_cached_response, make_cache_key, store_response
from nexus.core.observability.logging import current_request_id
from nexus.core.observability.metrics import QueryCounter, observe_request

GetResponse = Callable[[HttpRequest], HttpResponse]

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_API_PREFIX = "/api/"
# Also of paths that no route has, because somebody mistyped them.
_CALENDAR_SECRET = re.compile(r"^((?:/api)?/+calendars?/+)[^/]+", re.IGNORECASE)
# Polled by machines, also during an attack, and served without a query.
_UNLIMITED_PATHS = frozenset({"/health/live/", "/metrics/"})
# Below this, compression costs more time than it saves.
MIN_COMPRESSED_BYTES = 1024
_REQUEST_LOG = logging.getLogger("nexus.request")


class RequestLogMiddleware:
    """Gives each request an id, one log line and its metrics; the outermost middleware."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        client_id = request.headers.get("X-Request-ID", "")
        request_id = client_id if _SAFE_REQUEST_ID.fullmatch(client_id) else uuid.uuid4().hex
        request.id = request_id  # type: ignore[attr-defined]
        token = current_request_id.set(request_id)
        queries = QueryCounter()
        started = time.perf_counter()
        try:
            with connection.execute_wrapper(queries):
                response = self.get_response(request)
            response["X-Request-ID"] = request_id
            seconds = time.perf_counter() - started
            observe_request(request, response, seconds, queries)
            self._log(request, response, seconds)
        finally:
            current_request_id.reset(token)
        return response

    def _log(self, request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        error: BaseException | None = getattr(request, "error", None)
        # Without the query string: searches of a person are private.
        path = hide_secrets(request.path)
        level = logging.WARNING if error else logging.INFO
        _REQUEST_LOG.log(
            logging.ERROR if response.status_code >= 500 else level,
            "%s %s %s",
            request.method,
            path,
            response.status_code,
            exc_info=error,
            extra={
                "method": request.method,
                "path": path,
                "status": response.status_code,
                "duration_ms": round(seconds * 1000, 1),
                "user_id": getattr(request, "member_id", None),
            },
        )


def hide_secrets(path: str) -> str:
    """Return a path without the secret of a calendar, which is good for reading it."""
    return _CALENDAR_SECRET.sub(r"\1-", path)


class PathMiddleware:
    """Serves every route also under `/api/` and without the closing slash, without a redirect."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if path == _API_PREFIX[:-1]:
            path = "/"
        elif path.startswith(_API_PREFIX):
            path = path[len(_API_PREFIX) - 1 :]
        if not path.endswith("/") and not is_valid_path(path) and is_valid_path(f"{path}/"):
            path += "/"
        request.path_info = path
        return self.get_response(request)


class CompressionMiddleware(gzip.GZipMiddleware):
    """Compresses JSON with gzip. A compressed response has a weak ETag.

    Responses of /auth/ contain secrets, which their compressed length could reveal (BREACH).
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        media_type = response.get("Content-Type", "").partition(";")[0]
        if (
            not isinstance(response, HttpResponse)
            or not media_type.endswith("json")
            or len(response.content) < MIN_COMPRESSED_BYTES
            or request.path_info.startswith("/auth/")
        ):
            return response
        return super().process_response(request, response)


class ConditionalGetMiddleware(http.ConditionalGetMiddleware):
    """Django's middleware, which gives private responses an ETag too.

    A view that accepts `If-Match` sets `response.version`. Its ETag is then `"<version>-<hash>"`, and
    nexus.core.api.etag.is_current_version compares the version alone.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if (
            request.method in ("GET", "HEAD")
            and response.status_code == 200
            and not response.streaming
        ):
            if "ETag" not in response:
                set_response_etag(response)
            version = getattr(response, "version", None)
            if version is not None:
                response["ETag"] = f'"{version}-{response["ETag"].strip(chr(34))}"'
        conditional = super().process_response(request, response)
        if conditional.status_code == 412 and conditional is not response:
            # Django's own 412 is an HTML page.
            detail = (
                "The resource is not in the version that the precondition names. Read it again."
            )
            return problem_response(request, 412, "precondition_failed", detail)
        return conditional


class RateLimitMiddleware:
    """Counts the request for its client address, and adds the RateLimit headers of all its limits.

    nexus.core.api.throttling.MemberThrottle counts it for its member, once its token is checked.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info in _UNLIMITED_PATHS:
            return self.get_response(request)
        address = throttling.get_client_address(request)
        units = throttling.get_request_units(request)
        usage = throttling.hit(request, "address", address, units=units)
        response = self._refuse(request, usage) if usage.is_exceeded else self.get_response(request)
        usages = throttling.get_usages(request)
        response["RateLimit-Policy"] = ", ".join(usage.policy for usage in usages)
        response["RateLimit"] = ", ".join(usage.state for usage in usages)
        return response

    def _refuse(self, request: HttpRequest, usage: throttling.RateLimitUsage) -> HttpResponse:
        detail = f"Too many requests. Try again in {usage.reset_s} s."
        headers = {"Retry-After": str(usage.reset_s)}
        return problem_response(request, 429, "throttled", detail, headers)


class ResponseCacheMiddleware:
    """Serves public GETs of the catalogue from the response cache (nexus.core.cache.responses).

    The middleware before it adds what differs between two requests, such as X-Request-ID and RateLimit.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = make_cache_key(request)
        if key is None:
            return self.get_response(request)
        response = get_cached_response(key)
        if response is None:
            response = self.get_response(request)
            store_response(key, response)
        return response


class BodyLimitMiddleware:
    """Refuses a body over the limit (413) or of unknown length (411), and reads any other.

    It is read before the view starts, so a client that sends its body slowly occupies no database
    connection. Django takes a body in chunks for an empty one. Nearly all clients and proxies send the
    length.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "Transfer-Encoding" in request.headers:
            detail = "The body comes in chunks. Send it whole, with a Content-Length header."
            return problem_response(request, 411, "length_required", detail)
        length = request.META.get("CONTENT_LENGTH") or "0"
        limit = settings.BODY_LIMITS.get(request.path_info, settings.MAX_BODY_BYTES)
        # int() refuses thousands of digits. The first 20 are far over the limit, too.
        size = int(length[:20]) if length.isascii() and length.isdigit() else 0
        if size > limit:
            detail = f"The body is over {limit // 1024} KiB. Send less at a time."
            return problem_response(request, 413, "too_large", detail)
        is_read = size and request.method not in SAFE_METHODS
        # Bodies with a limit of their own are too large for the memory before the member is known. Their
        # views read them.
        if is_read and request.path_info not in settings.BODY_LIMITS:
            try:
                _ = request.body
            except UnreadablePostError:
                return problem_response(request, 400, "bad_request", UNREADABLE_BODY)
        return self.get_response(request)
