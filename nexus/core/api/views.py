"""The base viewset: each action declares its query, body and responses with `@contract`.

    @contract(query=MovieListQuery, responses={200: PageOf(MovieSummarySerializer)})
    def list(self, request): ...

The declaration both parses the request (`self.query`, `self.body`) and makes the published schema
(nexus.core.api.schema), so that the two cannot differ.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar

from django.utils.cache import patch_vary_headers
from rest_framework import serializers, viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed, ValidationError
from rest_framework.permissions import SAFE_METHODS, AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from nexus.core.api.fields import (
    find_read_only_fields,
    find_unknown_fields,
    has_localized_texts,
    make_unknown_field_error,
)
from nexus.core.api.permissions import HasScope
from nexus.core.api.query_params import LanguageQuery, NoQuery, QuerySerializer
from nexus.core.api.throttling import MemberThrottle

SerializerType = type[BaseSerializer[Any]]
Action = TypeVar("Action", bound=Callable[..., Response])

# Values of Cache-Control.
NO_STORE = "private, no-store"
PUBLIC = "public, max-age=60"
REVALIDATE = "private, no-cache"


@dataclass(frozen=True)
class PageOf:
    """A response in the list envelope; `extra_fields` are further keys of the envelope.

    `name` is the name of the page in the schema; by default that of its items with `Page` behind it.
    Pages with extra fields need one of their own.
    """

    serializer: SerializerType
    extra_fields: Mapping[str, serializers.Field[Any, Any, Any, Any]] = field(default_factory=dict)
    name: str = ""

    def get_page_serializer(self) -> SerializerType:
        """Return the serializer of the envelope, which describes it for the schemas."""
        name = self.name or f"{self.serializer.__name__.removesuffix('Serializer')}Page"
        serializer: Any = self.serializer
        return _make_page_serializer(name, serializer, tuple(self.extra_fields.items()))


@cache
def _make_page_serializer(
    name: str, serializer: SerializerType, extra_fields: tuple[tuple[str, Any], ...]
) -> SerializerType:
    fields = {
        "count": serializers.IntegerField(help_text="The number of results, up to 10,000."),
        "count_is_lower_bound": serializers.BooleanField(
            required=False, help_text="True if there are more than 10,000 results; else absent."
        ),
        "next": serializers.URLField(allow_null=True, help_text="The next page; null on the last."),
        "previous": serializers.URLField(
            allow_null=True, help_text="The page before; null on the first and with a cursor."
        ),
        # Copies, because the order of creation is that of the fields.
        **copy.deepcopy(dict(extra_fields)),
        "results": serializer(many=True, help_text="The items of this page."),
    }
    return type(f"{name}Serializer", (serializers.Serializer,), {**fields, "__doc__": "A page."})


@dataclass(frozen=True)
class ListOf:
    """A response that is a bare JSON array."""

    serializer: SerializerType


@dataclass(frozen=True)
class Download:
    """A response that is a file."""

    media_type: str


ResponseBody = SerializerType | PageOf | ListOf | Download | None


@dataclass(frozen=True)
class Contract:
    """The declaration of one action."""

    responses: Mapping[int, ResponseBody]
    query: type[QuerySerializer] = NoQuery
    body: SerializerType | None = None
    #: Error statuses beyond those that follow from the route, with the reason for each.
    errors: Mapping[int, str] = field(default_factory=dict)
    #: Request headers with their descriptions. They are required if a 428 is among the errors.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Response headers by status, beyond those that follow from the status (`nexus.core.api.openapi`).
    response_headers: Mapping[int, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def is_localized(self) -> bool:
        """Whether texts of a response depend on the language of the request."""
        return _is_localized(self.responses)

    @cached_property
    def read_only_fields(self) -> frozenset[str]:
        """The fields of the resource that a body may contain, but that it does not change."""
        names: frozenset[str] = frozenset()
        for response in self.responses.values():
            if isinstance(response, type):
                names |= find_read_only_fields(self.body, response)
        return names


def _is_localized(responses: Mapping[int, ResponseBody]) -> bool:
    bodies = [
        body.serializer if isinstance(body, PageOf | ListOf) else body
        for body in responses.values()
    ]
    return any(isinstance(body, type) and has_localized_texts(body()) for body in bodies)


@cache
def _add_language(query: type[QuerySerializer]) -> type[QuerySerializer]:
    """Return the query with the parameter `language`."""
    if query is NoQuery:
        return LanguageQuery
    return type(query.__name__, (query, LanguageQuery), {"__doc__": query.__doc__})


def contract(
    *,
    responses: Mapping[int, ResponseBody],
    query: type[QuerySerializer] = NoQuery,
    body: SerializerType | None = None,
    errors: Mapping[int, str] | None = None,
    headers: Mapping[str, str] | None = None,
    response_headers: Mapping[int, Sequence[str]] | None = None,
) -> Callable[[Action], Action]:
    """Declare the query, the body and the responses of an action.

    The query of an action that shows movies gets the parameter `language`.
    """
    if _is_localized(responses):
        query = _add_language(query)

    def declare(action: Action) -> Action:
        action.contract = Contract(  # type: ignore[attr-defined]
            responses, query, body, errors or {}, headers or {}, response_headers or {}
        )
        return action

    return declare


class ApiViewSet(viewsets.GenericViewSet[Any]):
    """The base of every view. `self.query` and `self.body` are what the contract has validated."""

    #: The Cache-Control header of successful reads. A request with a token turns PUBLIC to REVALIDATE.
    cache_control = NO_STORE
    #: The scope that a personal access token needs; None follows from the method.
    required_scope: str | None = None
    # No OPTIONS: DRF's implementation needs serializer_class, and the schema describes each call.
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    query: dict[str, Any]

    @property
    def contract(self) -> Contract | None:
        handler = getattr(self, self.action or "", None)
        return getattr(handler, "contract", None)

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return none for AllowAny: a public page accepts expired tokens."""
        if self.permission_classes == [AllowAny]:
            return []
        return super().get_authenticators()

    def get_permissions(self) -> list[Any]:
        """Return the permissions of the view, then that of the token's scope."""
        return [*super().get_permissions(), HasScope()]

    def get_throttles(self) -> list[BaseThrottle]:
        """Return the limit of the member, then those of `throttle_classes`."""
        return [MemberThrottle(), *super().get_throttles()]

    def get_authenticate_header(self, request: Request) -> str:
        # A 401 under /auth/ needs the header too, although no authenticator runs there.
        return 'Bearer realm="api"'

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # Before authentication: an unsupported method is a 405 for everybody.
        if (request.method or "").lower() not in self.action_map:
            raise MethodNotAllowed(str(request.method))
        super().initial(request, *args, **kwargs)
        contract = self.contract
        if contract is not None:
            self.query = contract.query.parse(request)
            # The content of a DELETE has no meaning (RFC 9110), unless the action declares one.
            if contract.body is None and request.method in ("POST", "PUT", "PATCH"):
                self._check_needless_body(contract)

    def _check_needless_body(self, contract: Contract) -> None:
        """Raise ValidationError (400) that names the fields of a body where none is needed."""
        data = self.request.data
        if not isinstance(data, Mapping):
            raise ValidationError({api_settings.NON_FIELD_ERRORS_KEY: ["Send no body here."]})
        unknown = [name for name in data if name not in contract.read_only_fields]
        if unknown:
            raise ValidationError({name: [make_unknown_field_error(())] for name in unknown})

    @property
    def member_id(self) -> int:
        """The caller's id, for actions whose permission classes require a login."""
        member_id = self.request.user.pk
        assert member_id is not None
        return member_id

    @property
    def body(self) -> dict[str, Any]:
        """The validated body. Raises ValidationError (400) that names each bad or unknown field."""
        contract = self.contract
        assert contract is not None
        assert contract.body is not None
        serializer = contract.body(
            data=self.request.data,
            partial=self.request.method == "PATCH",
            context=self.get_serializer_context(),
        )
        unknown = find_unknown_fields(
            serializer, self.request.data, ignored=contract.read_only_fields
        )
        if not serializer.is_valid() or unknown:
            raise ValidationError({**dict(serializer.errors), **unknown})
        data: dict[str, Any] = serializer.validated_data
        return data

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        is_read = request.method in SAFE_METHODS and response.status_code < 300
        cache_control = self.cache_control if is_read else NO_STORE
        if cache_control == PUBLIC:
            patch_vary_headers(response, ["Authorization"])
            if "Authorization" in request.headers:
                cache_control = REVALIDATE
        response.setdefault("Cache-Control", cache_control)
        return response
