"""Response cache: public GET responses of the catalogue, shared by all callers without a token.

A cached response may be RESPONSE_CACHE_TTL_S seconds old, as its Cache-Control header says to every
client; nothing invalidates it earlier. Callers with a token never get one.
"""

from __future__ import annotations

import hashlib
import json
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import set_response_etag

from nexus.core.cache import client as cache

MAX_BODY_BYTES = 64 * 1024
# These have any number of values, and storing them all would evict rate-limit counters.
_UNCACHED_PARAMETERS = frozenset({"search", "title", "cursor", "ids"})
_STORED_HEADERS = ("Cache-Control", "Content-Language", "Content-Type", "ETag", "Vary")


def make_cache_key(request: HttpRequest) -> str | None:
    """Return the key of the response to this request, or None if it must not be cached."""
    if (
        request.method != "GET"
        or "Authorization" in request.headers
        or not settings.RESPONSE_CACHE_TTL_S
        or not _accepts_json(request)
        or not _UNCACHED_PARAMETERS.isdisjoint(request.GET)
    ):
        return None
    query = sorted(request.GET.lists())
    parts = json.dumps([request.scheme, request.get_host(), request.path, query])
    return f"response:{hashlib.sha256(parts.encode()).hexdigest()[:40]}"


def get_cached_response(key: str) -> HttpResponse | None:
    """Return the stored response with its Age, or None if it is missing or garbage."""
    entry = cache.get_bytes(key)
    if entry is None:
        return None
    head, _, body = entry.partition(b"\n")
    try:
        generated_at, headers = json.loads(head)
        response = HttpResponse(body, headers={**headers, "Content-Length": str(len(body))})
        response["Age"] = str(max(0, int(time.time() - generated_at)))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return response


def store_response(key: str, response: HttpResponseBase) -> None:
    """Store a 200 that is public, small and varies by the token alone; ignore any other response."""
    if (
        not isinstance(response, HttpResponse)
        or response.status_code != 200
        or response.cookies
        or not response.get("Cache-Control", "").startswith("public")
        or response.get("Vary") != "Authorization"
        or len(response.content) > MAX_BODY_BYTES
    ):
        return
    set_response_etag(response)
    # A response built from TMDb's cached data already has an Age.
    generated_at = time.time() - int(response.get("Age", "0"))
    headers = {name: response[name] for name in _STORED_HEADERS if name in response}
    entry = json.dumps([generated_at, headers]).encode() + b"\n" + response.content
    cache.set_bytes(key, entry, ttl_s=settings.RESPONSE_CACHE_TTL_S)


def _accepts_json(request: HttpRequest) -> bool:
    accept = request.headers.get("Accept", "*/*")
    return "*/*" in accept or "application/json" in accept
