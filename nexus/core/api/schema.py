"""The published schema (Swagger 2.0 by drf-yasg), made from each action's `@contract`."""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import Any

import uritemplate
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from drf_spectacular.generators import EndpointEnumerator
from drf_yasg import openapi
from drf_yasg.generators import OpenAPISchemaGenerator
from drf_yasg.inspectors import SwaggerAutoSchema
from drf_yasg.views import get_schema_view
from rest_framework import serializers
from rest_framework.permissions import AllowAny

from nexus.core.api.descriptions import (
    DESCRIPTION,
    TITLE,
    ProblemSerializer,
    describe_errors,
    describe_path_parameter,
    get_contract,
    get_tag,
    list_tags,
    needs_token,
    sort_paths,
    split_docstring,
)
from nexus.core.api.exceptions import PROBLEM_JSON
from nexus.core.api.field_docs import FIELD_DOCS
from nexus.core.api.views import Contract, Download, ListOf, PageOf, ResponseBody

API_INFO = openapi.Info(
    title=TITLE,
    default_version=settings.VERSION,
    description=DESCRIPTION,
    license=openapi.License(name="MIT"),
)

# Bodies of PATCH have definitions of their own, whose names start with this.
_PATCH_PREFIX = "Patched"


class ContractAutoSchema(SwaggerAutoSchema):
    """Describes an action by its Contract instead of drf-yasg's guesses."""

    @property
    def contract(self) -> Contract:
        return get_contract(self.view, self.method)

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
                name,
                openapi.IN_HEADER,
                description=description,
                type=openapi.TYPE_STRING,
                required=428 in self.contract.errors,
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
        return split_docstring(description)

    def get_response_serializers(self) -> OrderedDict[str, openapi.Response]:
        responses = {
            str(status): openapi.Response(HTTPStatus(status).phrase, self._build_body_schema(body))
            for status, body in self.contract.responses.items()
        }
        problem = self.serializer_to_schema(ProblemSerializer())
        for status, reason in describe_errors(self.view, self.method, self.path).items():
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
            body = body.get_page_serializer()
        return self.serializer_to_schema(body())

    def get_security(self) -> list[dict[str, list[str]]]:
        return [{"Bearer": []}] if needs_token(self.view, self.method) else []

    def get_tags(self, operation_keys: list[str] | None = None) -> list[str]:
        return [get_tag(self.path)]

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
            # In the order of the URLs; drf-yasg's own enumerator sorts them.
            endpoints = EndpointEnumerator(self._gen.patterns).get_api_endpoints()
            routes = [self.coerce_path(path, None) for path, *_ in endpoints]
            schema["paths"] = OrderedDict(
                (path, schema["paths"][path]) for path in sort_paths(schema["paths"], routes)
            )
            schema["tags"] = list_tags()
            _correct_definitions(schema)
            _describe_fields(schema)
            SchemaGenerator._schema = schema
        return SchemaGenerator._schema

    def coerce_path(self, path: str, view: Any) -> str:
        # drf-yasg reads the name from the view's queryset, which most of our views do not have.
        return path.replace("{pk}", "{id}")

    def get_path_parameters(self, path: str, view_cls: type) -> list[openapi.Parameter]:
        parameters = []
        for name in uritemplate.variables(path):
            kind, description = describe_path_parameter(path, name)
            parameters.append(
                openapi.Parameter(
                    name, openapi.IN_PATH, description=description, required=True, **kind
                )
            )
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


def _describe_fields(schema: openapi.Swagger) -> None:
    """Describe fields and parameters without a help_text by their name, and drop labels.

    drf-yasg's labels repeat the name. A reference has nothing beside it in Swagger 2.0.
    """
    named = [
        (name, field)
        for definition in schema["definitions"].values()
        for name, field in definition.get("properties", {}).items()
    ]
    named += [
        (parameter["name"], parameter)
        for item in schema["paths"].values()
        for operation in item.values()
        if isinstance(operation, openapi.Operation)
        for parameter in operation["parameters"]
    ]
    for name, node in named:
        node.pop("title", None)
        if name in FIELD_DOCS and "$ref" not in node:
            node.setdefault("description", FIELD_DOCS[name].description)


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
