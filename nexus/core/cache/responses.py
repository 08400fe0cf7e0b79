"""Whole answers kept as bytes: what everybody is shown alike, and many ask for.

Which paths, and for how many seconds at most: settings.KEPT_ANSWERS. An answer is made of films, so
it is kept under the stamp that the catalogue had before it was made, and served only while the
catalogue has that stamp; whoever changes a film renews it (`films_changed`) once the change is
committed. The stamp and the answer are read in the round trip that counts the request
(nexus.core.api.throttling), and nothing of the framework behind that runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import set_response_etag

from nexus.core.cache import client as cache

STAMP = "stamp:films"
#: With this attribute, a view's answer is not kept: it will be another in a moment.
PASSING = "is_passing"
_ID = re.compile(r"/[0-9]+/")
_STAMP_TTL_S = 86_400
_MOST_BYTES = 256 * 1024


@dataclass(frozen=True)
class Place:
    """Where the answer to a request is kept."""

    key: str
    ttl_s: int

    @property
    def keys(self) -> tuple[str, str]:
        """What to read from the cache: the stamp and the answer."""
        return STAMP, self.key


def seconds_kept(path: str) -> int | None:
    """For how long answers of this path are kept; None where they are not."""
    seconds: int | None = settings.KEPT_ANSWERS.get(_ID.sub("/{id}/", path, count=1))
    return seconds


def place_of(request: HttpRequest) -> Place | None:
    """None where the answer is not one of those that are kept, or may be refused."""
    ttl_s = seconds_kept(request.path_info)
    if ttl_s is None or request.method != "GET":
        return None
    accepted = request.META.get("HTTP_ACCEPT", "*/*")
    if "*/*" not in accepted and "application/json" not in accepted:
        return None
    try:
        # All that a page's links are made of.
        parts = (request.scheme, request.get_host(), request.path, request.META["QUERY_STRING"])
    except DisallowedHost:
        return None
    return Place(f"answer:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]}", ttl_s)


def kept(request: HttpRequest, found: Sequence[bytes | None]) -> HttpResponse | None:
    """The answer as it was given, where `found` at the place's keys is one of today's stamp."""
    stamp, value = found or (None, None)
    if stamp is None or value is None:
        return None
    try:
        head, _, body = value.partition(b"\n")
        of_stamp, made_at, route, headers = json.loads(head)
        if of_stamp != stamp.decode():
            return None
        response = HttpResponse(body, headers=headers)
        age = max(0, int(time.time() - made_at)) + int(headers.get("Age", 0))
    except (ValueError, TypeError, AttributeError, RecursionError):
        # Garbage is a miss.
        return None
    response["Age"] = str(age)
    request.route = route  # type: ignore[attr-defined]
    return response


def stamp_now(found: Sequence[bytes | None]) -> str | None:
    """The catalogue's stamp, to be asked for before an answer is made; None without the cache."""
    if found and found[0] is not None:
        return found[0].decode("ascii", "replace")
    return cache.set_if_absent(STAMP, secrets.token_hex(8), ttl_s=_STAMP_TTL_S)


def keep(request: HttpRequest, response: HttpResponseBase, place: Place, stamp: str | None) -> None:
    """Keep an answer that was made since the catalogue had this stamp; a 200 for all alone."""
    if (
        stamp is None
        or not isinstance(response, HttpResponse)
        or response.status_code != 200
        or response.cookies
        or getattr(response, PASSING, False)
        or "public" not in response.get("Cache-Control", "")
        or len(response.content) > _MOST_BYTES
    ):
        return
    set_response_etag(response)
    match = request.resolver_match
    route = f"/{match.route}" if match else "none"
    head = json.dumps([stamp, time.time(), route, dict(response.items())])
    cache.put_bytes(place.key, head.encode() + b"\n" + response.content, ttl_s=place.ttl_s)


def films_changed() -> None:
    """Have no answer of before served once this transaction is committed."""
    transaction.on_commit(renew)


def renew() -> None:
    """The same at once, for what is changed outside of the database."""
    cache.put_text(STAMP, secrets.token_hex(8), ttl_s=_STAMP_TTL_S)
