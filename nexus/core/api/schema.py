"""The published schema (Swagger 2.0 by drf-yasg), made from each action's `@contract`."""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import Any

import uritemplate
from django.conf import settings
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
from nexus.core.api.views import Contract, Download, ListOf, PageOf, ResponseBody

API_INFO = openapi.Info(
    title="Nexus Movie API",
    default_version=settings.VERSION,
    description=(
        "Find movies worth your evening, track what you watch, and share it.\n\n"
        "Log in at `/auth/token/` and send `Authorization: Bearer <access>`. Every list is "
        "`{count, next, previous, results}`. Every error is `application/problem+json` with a "
        "`code` for programs, a `detail` for people, and a `request_id` to quote in a report.\n\n"
        f"{TMDB_NOTICE} {TMDB_LOGO_RULE} {TMDB_URL}"
    ),
    license=openapi.License(name="MIT"),
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

# Bodies of PATCH have definitions of their own, whose names start with this.
_PATCH_PREFIX = "Patched"
# Under these paths `id` is a UUID.
_UUID_PREFIXES = ("/playlists/", "/auth/sessions/")


class FieldErrorSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    code = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem document (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    request_id = serializers.CharField(allow_null=True)
    errors = serializers.DictField(  # type: ignore[assignment]
        child=FieldErrorSerializer(many=True),
        required=False,
        help_text="Messages by field; only with code `invalid`.",
    )

    class Meta:
        ref_name = "Problem"


class ContractAutoSchema(SwaggerAutoSchema):
    """Describes an action by its Contract instead of drf-yasg's guesses."""

    @property
    def contract(self) -> Contract:
        action = self.view.action_map[self.method.lower()]
        contract: Contract | None = getattr(getattr(self.view, action), "contract", None)
        if contract is None:
            raise TypeError(f"{type(self.view).__name__}.{action} declares no @contract.")
        return contract

    def get_query_serializer(self) -> serializers.BaseSerializer[Any]:
        return self.contract.query()

    def get_query_parameters(self) -> list[openapi.Parameter]:
        parameters = self.serializer_to_parameters(
            self.get_query_serializer(), in_=openapi.IN_QUERY
        )
        for parameter in parameters:
            if parameter.name in self.contract.query.repeatable:
                parameter.collection_format = "multi"
        headers = [
            openapi.Parameter(
                name, openapi.IN_HEADER, description=description, type=openapi.TYPE_STRING
            )
            for name, description in self.contract.headers.items()
        ]
        return [*parameters, *headers]

    def get_request_serializer(self) -> serializers.BaseSerializer[Any] | None:
        body = self.contract.body
        if body is not None and self.method == "PATCH":
            # PUT requires fields that PATCH does not, so they cannot share a definition.
            body = type(_PATCH_PREFIX + body.__name__, (body,), {})
        return body() if body else None

    def split_summary_from_description(self, description: str) -> tuple[str, str]:
        summary, _, rest = description.partition("\n\n")
        return " ".join(summary.split()), rest

    def get_response_serializers(self) -> OrderedDict[str, openapi.Response]:
        responses = {
            str(status): openapi.Response(HTTPStatus(status).phrase, self._build_body_schema(body))
            for status, body in self.contract.responses.items()
        }
        problem = self.serializer_to_schema(ProblemSerializer())
        for status, reason in sorted(self._describe_errors().items()):
            schema = None if status == 304 else problem
            responses[str(status)] = openapi.Response(reason, schema)
        return OrderedDict(sorted(responses.items()))

    def _build_body_schema(self, body: ResponseBody) -> openapi.Schema | openapi.SchemaRef | None:
        if body is None:
            return None
        if isinstance(body, Download):
            return openapi.Schema(type=openapi.TYPE_FILE)
        if isinstance(body, ListOf):
            item = self.serializer_to_schema(body.serializer())
            return openapi.Schema(type=openapi.TYPE_ARRAY, items=item)
        if isinstance(body, PageOf):
            return self._build_page_schema(body)
        return self.serializer_to_schema(body())

    def _build_page_schema(self, page: PageOf) -> openapi.Schema:
        link = {"type": openapi.TYPE_STRING, "format": openapi.FORMAT_URI, "x-nullable": True}
        properties: dict[str, Any] = {
            "count": openapi.Schema(
                type=openapi.TYPE_INTEGER, description="The number of results, up to 10,000."
            ),
            "count_is_lower_bound": openapi.Schema(
                type=openapi.TYPE_BOOLEAN,
                description="True if there are more than 10,000 results; else absent.",
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

    def _describe_errors(self) -> dict[int, str]:
        """Return the reason of every error status: those that follow from the route, then its own."""
        statuses = {400, 429, 503}
        if self.method == "GET":
            statuses.add(304)
        if self.view.get_authenticators():
            statuses |= {401, 403}
        if "{" in self.path:
            statuses.add(404)
        if self.contract.body is not None or self.method in ("POST", "PUT", "PATCH"):
            statuses |= {413, 415}
        reasons = {status: _ERROR_REASONS[status] for status in statuses}
        return {**reasons, **self.contract.errors}

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
        media_types = [
            body.media_type if isinstance(body, Download) else "application/json"
            for body in self.contract.responses.values()
            if body is not None
        ]
        return [*dict.fromkeys(media_types), PROBLEM_JSON]


class SchemaGenerator(OpenAPISchemaGenerator):
    """Generates the schema once a process: it depends on the code alone."""

    _schema: openapi.Swagger | None = None

    def get_schema(self, request: Any = None, public: bool = False) -> openapi.Swagger:
        if not self._gen.patterns:
            # drf-yasg renders its HTML pages with a schema of no routes, which is not cached.
            return super().get_schema(None, public=True)
        if SchemaGenerator._schema is None:
            schema = super().get_schema(None, public=True)
            # Without a host, clients use the one they read the schema from.
            schema.pop("host", None)
            _correct_definitions(schema)
            SchemaGenerator._schema = schema
        return SchemaGenerator._schema

    def coerce_path(self, path: str, view: Any) -> str:
        # drf-yasg reads the name from the view's queryset, which most of our views do not have.
        return path.replace("{pk}", "{id}")

    def get_path_parameters(self, path: str, view_cls: type) -> list[openapi.Parameter]:
        parameters = []
        for name in uritemplate.variables(path):
            kind: dict[str, Any] = {"type": openapi.TYPE_INTEGER, "minimum": 1, "maximum": MAX_ID}
            if path.startswith(_UUID_PREFIXES) and name == "id":
                kind = {"type": openapi.TYPE_STRING, "format": openapi.FORMAT_UUID}
            elif name == "username":
                kind = {"type": openapi.TYPE_STRING, "maxLength": 150}
            parameters.append(openapi.Parameter(name, openapi.IN_PATH, required=True, **kind))
        return parameters


def _correct_definitions(schema: openapi.Swagger) -> None:
    """Correct definitions that drf-yasg derives from request validation alone.

    The body of a PATCH requires no field. In definitions that only responses use, read-only fields
    are always present, and strings may be empty or older than today's validation rules.
    """
    definitions = schema["definitions"]
    operations = [
        operation
        for item in schema["paths"].values()
        for operation in item.values()
        if isinstance(operation, openapi.Operation)
    ]
    in_requests = _find_references([op["parameters"] for op in operations], definitions)
    in_responses = _find_references([op["responses"] for op in operations], definitions)
    for name, definition in definitions.items():
        if name.startswith(_PATCH_PREFIX):
            definition.pop("required", None)
        # Meta.swagger_schema_fields of a serializer names the nested objects that may be absent.
        optional = definition.pop("x-optional", ())
        for field_name, field in definition.get("properties", {}).items():
            _convert_pattern(field)
            if name in in_responses - in_requests:
                is_read_only = field.pop("readOnly", False) or "$ref" in field
                if is_read_only and field_name not in optional:
                    required = definition.setdefault("required", [])
                    required.extend([field_name] if field_name not in required else [])
                for node in (field, field.get("items", {})):
                    node.pop("minLength", None)
                    node.pop("pattern", None)
    for operation in operations:
        for parameter in operation["parameters"]:
            _convert_pattern(parameter)


def _find_references(root: Any, definitions: Any) -> set[str]:
    """Return the names of all definitions that `root` refers to, directly or through others."""
    names: set[str] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name and name not in names:
                names.add(name)
                stack.append(definitions[name])
            stack.extend(node.values())
        elif isinstance(node, list | tuple):
            stack.extend(node)
    return names


def _convert_pattern(node: Any) -> None:
    # Patterns in a schema are JavaScript's regular expressions, which have no \A.
    if "pattern" in node:
        node["pattern"] = node["pattern"].replace(r"\A", "^")


def make_schema_view(api_urlpatterns: list[Any]) -> Any:
    """Return drf-yasg's view class for these routes."""
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
            # drf-yasg's renderers render schemas and pages only, not problem documents.
            problem = super().handle_exception(exc)
            return JsonResponse(problem.data, status=problem.status_code, content_type=PROBLEM_JSON)

    return DocumentationView
