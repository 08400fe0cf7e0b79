"""The published schema, made from what each action declares in its `@contract`."""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import Any

import uritemplate
from django.http import HttpResponse, JsonResponse
from drf_yasg import openapi
from drf_yasg.generators import OpenAPISchemaGenerator
from drf_yasg.inspectors import SwaggerAutoSchema
from drf_yasg.views import get_schema_view
from rest_framework import serializers
from rest_framework.permissions import AllowAny, IsAuthenticated, IsAuthenticatedOrReadOnly

from nexus.core.api.exceptions import PROBLEM_JSON
from nexus.core.api.fields import MAX_ID
from nexus.core.api.root import TMDB_LOGO_RULE, TMDB_NOTICE, TMDB_URL
from nexus.core.api.views import Contract, Download, ListOf, PageOf

API_INFO = openapi.Info(
    title="Nexus Movie API",
    default_version="v1",
    description=(
        "Find films worth your evening, keep track of what you saw, and share it.\n\n"
        "Every list is `{count, next, previous, results}`; every error is "
        "`application/problem+json` with a `request_id`. Log in at `/auth/token/`, then send "
        "`Authorization: Bearer <access>`.\n\n"
        f"{TMDB_NOTICE} {TMDB_LOGO_RULE} {TMDB_URL}"
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


_PATCH = "Patched"


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


# Of these the id is a UUID.
_RANDOM_IDS = ("/playlists/", "/auth/sessions/")


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
        if body is not None and self.method == "PATCH":
            # A definition of its own: PUT's asks for fields that PATCH does not.
            body = type(_PATCH + body.__name__, (body,), {})
        return body() if body else None

    def split_summary_from_description(self, description: str) -> tuple[str, str]:
        summary, _, rest = description.partition("\n\n")
        return " ".join(summary.split()), rest

    def get_response_serializers(self) -> OrderedDict[str, openapi.Response]:
        answers = {
            str(status): openapi.Response(HTTPStatus(status).phrase, self._answer(answer))
            for status, answer in self.contract.responses.items()
        }
        problem = self.serializer_to_schema(ProblemSerializer())
        for status, reason in sorted(self._errors().items()):
            schema = None if status == 304 else problem
            answers[str(status)] = openapi.Response(reason, schema)
        return OrderedDict(sorted(answers.items()))

    def _answer(self, answer: Any) -> openapi.Schema | openapi.SchemaRef | None:
        if answer is None:
            return None
        if isinstance(answer, Download):
            return openapi.Schema(type=openapi.TYPE_FILE)
        if isinstance(answer, ListOf):
            item = self.serializer_to_schema(answer.serializer())
            return openapi.Schema(type=openapi.TYPE_ARRAY, items=item)
        if isinstance(answer, PageOf):
            return self._page(answer)
        return self.serializer_to_schema(answer())

    def _page(self, page: PageOf) -> openapi.Schema:
        link = {"type": openapi.TYPE_STRING, "format": openapi.FORMAT_URI, "x-nullable": True}
        properties: dict[str, Any] = {
            "count": openapi.Schema(type=openapi.TYPE_INTEGER, description="Exact up to 10,000."),
            "count_is_lower_bound": openapi.Schema(
                type=openapi.TYPE_BOOLEAN, description="Only there, and true, above 10,000."
            ),
            "next": openapi.Schema(**link),
            "previous": openapi.Schema(**link),
            **{name: openapi.Schema(type=kind) for name, kind in page.extra_fields.items()},
            "results": openapi.Schema(
                type=openapi.TYPE_ARRAY, items=self.serializer_to_schema(page.serializer())
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
        if self.view.get_authenticators():
            statuses.add(401)
        if "{" in self.path:
            statuses.add(404)
        if declared.body is not None:
            statuses |= {413, 415}
        return {**{status: _REASONS[status] for status in statuses}, **declared.errors}

    def get_security(self) -> list[dict[str, list[str]]]:
        needs_token = any(
            isinstance(permission, IsAuthenticated)
            or (isinstance(permission, IsAuthenticatedOrReadOnly) and self.method != "GET")
            for permission in self.view.get_permissions()
        )
        return [{"Bearer": []}] if needs_token else []

    def get_tags(self, operation_keys: list[str] | None = None) -> list[str]:
        return [self.path.strip("/").split("/")[0]]

    def get_pagination_parameters(self) -> list[openapi.Parameter]:
        return []

    def get_produces(self) -> list[str]:
        kinds = [
            answer.media_type if isinstance(answer, Download) else "application/json"
            for answer in self.contract.responses.values()
            if answer is not None
        ]
        return [*dict.fromkeys(kinds), "application/problem+json"]


class SchemaGenerator(OpenAPISchemaGenerator):
    """One schema a process: it depends on the code alone."""

    _made: openapi.Swagger | None = None

    def get_schema(self, request: Any = None, public: bool = False) -> openapi.Swagger:
        if not self._gen.patterns:
            # drf-yasg makes its pages with a schema of no routes; that one is not to be kept.
            return super().get_schema(None, public=True)
        if SchemaGenerator._made is None:
            schema = super().get_schema(None, public=True)
            # Without a host, clients take the one they read this from.
            schema.pop("host", None)
            _settle_definitions(schema)
            SchemaGenerator._made = schema
        return SchemaGenerator._made

    def coerce_path(self, path: str, view: Any) -> str:
        # drf-yasg's asks the view's queryset, which most of ours do not have, and logs that.
        return path.replace("{pk}", "{id}")

    def get_path_parameters(self, path: str, view_cls: type) -> list[openapi.Parameter]:
        parameters = []
        for name in uritemplate.variables(path):
            kind: dict[str, Any] = {"type": openapi.TYPE_INTEGER, "minimum": 1, "maximum": MAX_ID}
            if path.startswith(_RANDOM_IDS) and name == "id":
                kind = {"type": openapi.TYPE_STRING, "format": openapi.FORMAT_UUID}
            elif name == "username":
                kind = {"type": openapi.TYPE_STRING, "maxLength": 150}
            parameters.append(openapi.Parameter(name, openapi.IN_PATH, required=True, **kind))
        return parameters


def _settle_definitions(schema: openapi.Swagger) -> None:
    """Make the definitions true of both directions, which drf-yasg does not tell apart.

    What PATCH takes is all optional. In what only answers hold, computed fields are always there, and
    texts may be empty or older than today's rules for them.
    """
    definitions = schema["definitions"]
    operations = [
        operation
        for item in schema["paths"].values()
        for operation in item.values()
        if isinstance(operation, openapi.Operation)
    ]
    asked = _references([operation["parameters"] for operation in operations], definitions)
    told = _references([operation["responses"] for operation in operations], definitions)
    for name, definition in definitions.items():
        if name.startswith(_PATCH):
            definition.pop("required", None)
        for key, each in definition.get("properties", {}).items():
            _plain_pattern(each)
            if name in told - asked:
                if each.pop("readOnly", False) or "$ref" in each:
                    required = definition.setdefault("required", [])
                    required.extend([key] if key not in required else [])
                for part in (each, each.get("items", {})):
                    part.pop("minLength", None)
                    part.pop("pattern", None)
    for operation in operations:
        for parameter in operation["parameters"]:
            _plain_pattern(parameter)


def _references(node: Any, definitions: Any) -> set[str]:
    """The names of all definitions that can be reached from here."""
    found: set[str] = set()
    nodes = [node]
    while nodes:
        each = nodes.pop()
        if isinstance(each, dict):
            name = str(each.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                nodes.append(definitions[name])
            nodes.extend(each.values())
        elif isinstance(each, list | tuple):
            nodes.extend(each)
    return found


def _plain_pattern(node: Any) -> None:
    # Schemas speak JavaScript's regular expressions, which have no \A.
    if "pattern" in node:
        node["pattern"] = node["pattern"].replace(r"\A", "^")


def schema_view(api_urlpatterns: list[Any]) -> Any:
    """drf-yasg's view class for these routes."""
    base: Any = get_schema_view(
        API_INFO,
        public=True,
        generator_class=SchemaGenerator,
        patterns=api_urlpatterns,
        permission_classes=[AllowAny],
        authentication_classes=[],
    )

    class DocumentationView(base):
        def handle_exception(self, exc: Exception) -> HttpResponse:
            # Its renderers write pages and schemas alone, and would spoil a problem document.
            told = super().handle_exception(exc)
            return JsonResponse(told.data, status=told.status_code, content_type=PROBLEM_JSON)

    return DocumentationView
