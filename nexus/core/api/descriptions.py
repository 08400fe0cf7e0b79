"""What both schemas say: nexus.core.api.schema (Swagger 2.0) and nexus.core.api.openapi (OpenAPI 3.1).

They describe the same `@contract` declarations for different readers, so that what follows from a route
or its view is decided here, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated, IsAuthenticatedOrReadOnly

from nexus.core.api.fields import MAX_ID
from nexus.core.api.problem_codes import list_problem_codes
from nexus.core.api.root import TMDB_LOGO_RULE, TMDB_NOTICE, TMDB_URL
from nexus.core.api.url_converters import MediaServerConverter
from nexus.core.api.views import ApiViewSet, Contract

TITLE = "Nexus Movie API"
DESCRIPTION = (
    "Find movies worth your evening, track what you watch, and share it.\n\n"
    "Log in at `/auth/token/` and send `Authorization: Bearer <access>`. Every list is "
    "`{count, next, previous, results}`. Every error is `application/problem+json` with a "
    "`code` for programs, a `detail` for people, and a `request_id` to quote in a report.\n\n"
    f"{TMDB_NOTICE} {TMDB_LOGO_RULE} {TMDB_URL}"
)

_ERROR_REASONS = {
    304: "Not modified: the response still has the ETag that If-None-Match names.",
    400: "A parameter or field is unknown, malformed or out of range. `errors` names each one.",
    401: "The request needs a valid access token.",
    403: "The caller may not do this: a guest, or a personal access token without the scope.",
    404: "The resource does not exist, or the caller may not see it.",
    413: "The body is over 256 KiB.",
    415: "The body is not application/json.",
    429: "Too many requests. Retry-After says in how many seconds to try again.",
    503: "The database or another service is down. Retry-After says when to try again.",
}

# Under these paths `id` is a UUID.
UUID_PREFIXES = ("/playlists/", "/auth/sessions/")
_PATH_PARAMETERS = {
    "id": "The id of the resource.",
    "movie_id": "The id of a movie in this catalogue.",
    "number": "The number of the row.",
    "server": "The kind of the media server.",
    "username": "A member's username, in upper or lower case.",
}


class FieldErrorSerializer(serializers.Serializer[Any]):
    """One thing that is wrong with a field."""

    message = serializers.CharField(help_text="For people.")
    code = serializers.CharField(help_text="For programs; docs/clients.md lists them.")


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem document (RFC 9457)."""

    type = serializers.CharField(help_text="Always `about:blank`: `code` tells errors apart.")
    title = serializers.CharField(help_text="The phrase of the status.")
    status = serializers.IntegerField(help_text="The status of the response.")
    detail = serializers.CharField(help_text="What was wrong and what to do, for people.")
    code = serializers.ChoiceField(
        choices=list_problem_codes(), help_text="What was wrong, for programs."
    )
    request_id = serializers.CharField(
        allow_null=True, help_text="Quote it in a report; the log has it."
    )
    errors = serializers.DictField(  # type: ignore[assignment]
        child=FieldErrorSerializer(many=True),
        required=False,
        help_text="Messages by field; only with code `invalid`.",
    )

    class Meta:
        ref_name = "Problem"


def get_contract(view: Any, method: str) -> Contract:
    """Return the contract of the view's action. Raises TypeError if it has none."""
    action = view.action_map[method.lower()]
    contract: Contract | None = getattr(getattr(view, action), "contract", None)
    if contract is None:
        raise TypeError(f"{type(view).__name__}.{action} declares no @contract.")
    return contract


def describe_errors(view: ApiViewSet, method: str, path: str) -> dict[int, str]:
    """Return the reason of every error status: those that follow from the route, then its own."""
    contract = get_contract(view, method)
    statuses = {400, 429, 503}
    if method == "GET":
        statuses.add(304)
    if view.get_authenticators():
        statuses |= {401, 403}
    if "{" in path:
        statuses.add(404)
    if contract.body is not None or method in ("POST", "PUT", "PATCH"):
        statuses |= {413, 415}
    reasons = {status: _ERROR_REASONS[status] for status in statuses}
    return dict(sorted({**reasons, **contract.errors}.items()))


def needs_token(view: ApiViewSet, method: str) -> bool:
    """Return whether an anonymous request is a 401."""
    return any(
        isinstance(permission, IsAuthenticated)
        or (isinstance(permission, IsAuthenticatedOrReadOnly) and method != "GET")
        for permission in view.get_permissions()
    )


def get_tag(path: str) -> str:
    """Return the tag of a path: its first segment."""
    return path.strip("/").split("/")[0]


def split_docstring(text: str) -> tuple[str, str]:
    """Return the summary and the rest of an action's docstring."""
    summary, _, rest = text.partition("\n\n")
    return " ".join(summary.split()), rest


def describe_path_parameter(path: str, name: str) -> tuple[dict[str, Any], str]:
    """Return the schema of a parameter of the path, and its description."""
    if path.startswith(UUID_PREFIXES) and name == "id":
        schema: dict[str, Any] = {"type": "string", "format": "uuid"}
    elif name == "username":
        schema = {"type": "string", "maxLength": 150}
    elif name == "server":
        schema = {"type": "string", "enum": MediaServerConverter.regex.split("|")}
    else:
        schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
    return schema, _PATH_PARAMETERS.get(name, name.replace("_", " ").capitalize() + ".")


def sort_paths(paths: Iterable[str], routes: Iterable[str]) -> list[str]:
    """Sort paths by tag, as settings.API_TAGS has them, and then as `routes` has them."""
    tags, order = list(settings.API_TAGS), list(routes)
    return sorted(
        paths,
        key=lambda path: (
            tags.index(get_tag(path)) if get_tag(path) in tags else len(tags),
            order.index(path),
        ),
    )


def list_tags() -> list[dict[str, str]]:
    """Return the tags with their descriptions, in order."""
    return [{"name": name, "description": text} for name, text in settings.API_TAGS.items()]
