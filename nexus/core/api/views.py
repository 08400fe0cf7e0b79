"""The one kind of viewset: each action declares what it takes and answers, and that is its schema.

    @contract(query=MovieFilters, responses={200: PageOf(MovieSummarySerializer)})
    def list(self, request): ...

The declaration parses the request (`self.query`, `self.body`) and is what nexus.core.api.schema documents,
so the two cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.utils.cache import patch_vary_headers
from rest_framework import viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import SAFE_METHODS, AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from nexus.core.api.query_params import NoQuery, QuerySerializer

SerializerType = type[BaseSerializer[Any]]
Action = TypeVar("Action", bound=Callable[..., Response])

NO_STORE = "private, no-store"
PUBLIC = "public, max-age=60"
#: Of what is public without a token: never old, revalidated by its ETag.
REVALIDATE = "private, no-cache"


@dataclass(frozen=True)
class PageOf:
    """An answer in the list envelope; `extra_fields` names further keys with their JSON types."""

    serializer: SerializerType
    extra_fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ListOf:
    """An answer that is a bare JSON array."""

    serializer: SerializerType


@dataclass(frozen=True)
class Download:
    """An answer that is a file."""

    media_type: str


@dataclass(frozen=True)
class Contract:
    responses: Mapping[int, SerializerType | PageOf | ListOf | Download | None]
    query: type[QuerySerializer] = NoQuery
    body: SerializerType | None = None
    #: Statuses beyond those that follow from the route, with the reason for each.
    errors: Mapping[int, str] = field(default_factory=dict)
    #: Optional request headers, with their descriptions.
    headers: Mapping[str, str] = field(default_factory=dict)


def contract(
    *,
    responses: Mapping[int, SerializerType | PageOf | ListOf | Download | None],
    query: type[QuerySerializer] = NoQuery,
    body: SerializerType | None = None,
    errors: Mapping[int, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Callable[[Action], Action]:
    """Declare what an action takes and answers."""

    def declare(action: Action) -> Action:
        action.contract = Contract(responses, query, body, errors or {}, headers or {})  # type: ignore[attr-defined]
        return action

    return declare


class ApiViewSet(viewsets.GenericViewSet[Any]):
    #: Of successful reads; what a member may see is never stored on the way.
    cache_control = NO_STORE
    # No OPTIONS: DRF's answer to it wants serializer_class, and the schema describes each call.
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    query: dict[str, Any]

    @property
    def contract(self) -> Contract | None:
        handler = getattr(self, self.action or "", None)
        return getattr(handler, "contract", None)

    def get_authenticators(self) -> list[BaseAuthentication]:
        """None where everybody may: a dead token closes no public page, and costs it no query."""
        if self.permission_classes == [AllowAny]:
            return []
        return super().get_authenticators()

    def get_authenticate_header(self, request: Request) -> str:
        # Also where no token is read but credentials are (/auth/): a 401 names the way in.
        return 'Bearer realm="api"'

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # Before anybody is asked who they are: what a route does not offer, it offers to nobody.
        if (request.method or "").lower() not in self.action_map:
            raise MethodNotAllowed(str(request.method))
        super().initial(request, *args, **kwargs)
        declared = self.contract
        if declared is not None:
            self.query = declared.query.parse(request)

    @property
    def body(self) -> dict[str, Any]:
        """The validated body. Raises ValidationError (400) that names each wrong field."""
        declared = self.contract
        assert declared is not None
        assert declared.body is not None
        serializer = declared.body(
            data=self.request.data,
            partial=self.request.method == "PATCH",
            context=self.get_serializer_context(),
        )
        serializer.is_valid(raise_exception=True)
        data: dict[str, Any] = serializer.validated_data
        return data

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        is_readable = request.method in SAFE_METHODS and response.status_code < 300
        cache_control = self.cache_control if is_readable else NO_STORE
        if cache_control == PUBLIC:
            patch_vary_headers(response, ["Authorization"])
            if "Authorization" in request.headers:
                cache_control = REVALIDATE
        response.setdefault("Cache-Control", cache_control)
        return response
