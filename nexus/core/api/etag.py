"""Preconditions of writes (RFC 9110, section 13)."""

from __future__ import annotations

from django.http import HttpRequest


def is_current_version(request: HttpRequest, version: int) -> bool:
    """Return whether the request's If-Match header names this version of the resource.

    ConditionalGetMiddleware makes ETags of versioned resources: `"<version>-<hash>"`.
    """
    tags = [
        tag.strip().removeprefix("W/").strip('"') for tag in request.headers["If-Match"].split(",")
    ]
    return "*" in tags or any(tag.split("-")[0] == str(version) for tag in tags)
