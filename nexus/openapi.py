"""The published schema, made from what each action declares in its `@contract`."""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import Any

from drf_yasg import openapi
from drf_yasg.generators import OpenAPISchemaGenerator
from drf_yasg.inspectors import SwaggerAutoSchema
from drf_yasg.views import get_schema_view
from rest_framework import serializers
from rest_framework.permissions import AllowAny, IsAuthenticated

from nexus.core.index import TMDB_NOTICE
from nexus.core.views import Contract, ListOf, Page

API_INFO = openapi.Info(
    title="Nexus Movie API",
    default_version="v1",
    description=(
        "Find films worth your evening, keep track of what you saw, and share it.\n\n"
        "Every list is `{count, next, previous, results}`; every error is "
        "`application/problem+json` with a `request_id`. Log in at `/auth/token/`, then send "
        "`Authorization: Bearer <access>`.\n\n" + TMDB_NOTICE
    ),
    license=openapi.License(name="MIT"),
)

_REASONS = {
    304: "Not modified: If-None-Match names what the caller has.",
    400: "A parameter or field is unknown, malformed or out of range; `errors` names each.",
    401: "No valid access token.",
    404: "There is no such thing, or not for the caller.",
    413: "The body is over 256 KiB.",
    415: "The body is not application/json.",
    429: "Too many requests; Retry-After tells when to come back.",
    503: "A part the answer needs is away; Retry-After tells when to come back.",
}


class FieldErrorSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    code = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    request_id = serializers.CharField(allow_null=True)
    errors = serializers.DictField(  # type: ignore[assignment]
        child=FieldErrorSerializer(many=True), required=False, help_text="By field."
    )

    class Meta:
        ref_name = "Problem"


class ContractAutoSchema(SwaggerAutoSchema):
    """Reads the action's Contract; drf-yasg's own guesses are not asked."""

    @property
    def contract(self) -> Contract:
        action = self.view.action_map[self.method.lower()]
        declared: Contract | None = getattr(getattr(self.view, action), "contract", None)
        if declared is None:
            raise TypeError(f"{type(self.view).__name__}.{action} declares no @contract.")
        return declared

    def get_query_serializer(self) -> serializers.BaseSerializer[Any]:
        return self.contract.query()

    def get_query_parameters(self) -> list[openapi.Parameter]:
        parameters = self.serializer_to_parameters(
            self.get_query_serializer(), in_=openapi.IN_QUERY
        )
        for parameter in parameters:
            if parameter.name in self.contract.query.repeatable:
                parameter.collection_format = "multi"
        return [*parameters, *self._headers()]

    def _headers(self) -> list[openapi.Parameter]:
        return [
            openapi.Parameter(
                name, openapi.IN_HEADER, description=description, type=openapi.TYPE_STRING
            )
            for name, description in self.contract.headers.items()
        ]

    def get_request_serializer(self) -> serializers.BaseSerializer[Any] | None:
        body = self.contract.body
        return body(partial=self.method == "PATCH") if body else None

    def get_response_serializers(self) -> OrderedDict[str, openapi.Response]:
        answers = {
            str(status): openapi.Response(HTTPStatus(status).phrase, self._answer(answer))
            for status, answer in self.contract.answers.items()
        }
        problem = self.serializer_to_schema(ProblemSerializer())
        for status, reason in sorted(self._errors().items()):
            schema = None if status == 304 else problem
            answers[str(status)] = openapi.Response(reason, schema)
        return OrderedDict(sorted(answers.items()))

    def _answer(self, answer: Any) -> openapi.Schema | openapi.SchemaRef | None:
        if answer is None:
            return None
        if isinstance(answer, ListOf):
            item = self.serializer_to_schema(answer.of())
            return openapi.Schema(type=openapi.TYPE_ARRAY, items=item)
        if isinstance(answer, Page):
            return self._page(answer)
        return self.serializer_to_schema(answer())

    def _page(self, page: Page) -> openapi.Schema:
        link = {"type": openapi.TYPE_STRING, "format": openapi.FORMAT_URI, "x-nullable": True}
        properties: dict[str, Any] = {
            "count": openapi.Schema(type=openapi.TYPE_INTEGER, description="Exact up to 10,000."),
            "count_is_lower_bound": openapi.Schema(
                type=openapi.TYPE_BOOLEAN, description="Only there, and true, above 10,000."
            ),
            "next": openapi.Schema(**link),
            "previous": openapi.Schema(**link),
            **{name: openapi.Schema(type=kind) for name, kind in page.extra.items()},
            "results": openapi.Schema(
                type=openapi.TYPE_ARRAY, items=self.serializer_to_schema(page.of())
            ),
        }
        required = [name for name in properties if name != "count_is_lower_bound"]
        return openapi.Schema(
            type=openapi.TYPE_OBJECT, properties=OrderedDict(properties), required=required
        )

    def _errors(self) -> dict[int, str]:
        declared = self.contract
        statuses = {400, 429, 503}
        if self.method == "GET":
            statuses.add(304)
        if self.view.authentication_classes:
            statuses.add(401)
        if "{" in self.path:
            statuses.add(404)
        if declared.body is not None:
            statuses |= {413, 415}
        return {**{status: _REASONS[status] for status in statuses}, **declared.errors}

    def get_security(self) -> list[dict[str, list[str]]]:
        needs_token = any(
            isinstance(permission, IsAuthenticated) for permission in self.view.get_permissions()
        )
        return [{"Bearer": []}] if needs_token else []

    def get_tags(self, operation_keys: list[str] | None = None) -> list[str]:
        return [self.path.strip("/").split("/")[0]]

    def get_pagination_parameters(self) -> list[openapi.Parameter]:
        return []

    def get_produces(self) -> list[str]:
        return ["application/json", "application/problem+json"]


class SchemaGenerator(OpenAPISchemaGenerator):
    """One schema a process: it depends on the code alone."""

    _made: openapi.Swagger | None = None

    def get_schema(self, request: Any = None, public: bool = False) -> openapi.Swagger:
        if SchemaGenerator._made is None:
            schema = super().get_schema(None, public=True)
            # Without a host, clients take the one they read this from.
            schema.pop("host", None)
            SchemaGenerator._made = schema
        return SchemaGenerator._made

    def get_path_parameters(self, path: str, view_cls: type) -> list[openapi.Parameter]:
        parameters: list[openapi.Parameter] = super().get_path_parameters(path, view_cls)
        for parameter in parameters:
            if path.startswith("/playlists/") and parameter.name in ("id", "pk"):
                parameter.type, parameter.format = openapi.TYPE_STRING, openapi.FORMAT_UUID
            else:
                parameter.type = openapi.TYPE_INTEGER
                parameter.minimum = 1
        return parameters


def schema_view(api_urlpatterns: list[Any]) -> Any:
    """drf-yasg's view class for these routes."""
    return get_schema_view(
        API_INFO,
        public=True,
        generator_class=SchemaGenerator,
        patterns=api_urlpatterns,
        permission_classes=[AllowAny],
        authentication_classes=[],
    )
