"""OpenAPI 3.1 at /openapi.json and /openapi.yaml, made by drf-spectacular from `@contract`.

It is what client generators read. Swagger UI and ReDoc show nexus.core.api.schema (Swagger 2.0), which is
made from the same declarations. What a field means stands in its `help_text`, or in
nexus.core.api.field_docs where the name means the same everywhere; that module has the examples too.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import append_meta, build_basic_type
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.settings import api_settings

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
from nexus.core.api.examples import build_example
from nexus.core.api.exceptions import PROBLEM_JSON, require_safe
from nexus.core.api.field_docs import FIELD_DOCS
from nexus.core.api.views import PUBLIC, Contract, Download, ListOf, PageOf, ResponseBody

JSON, YAML = "application/json", "application/yaml"
_METHODS = ("get", "post", "put", "patch", "delete")
_SECURITY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "The access token of `/auth/token/` or `/auth/register/`.",
}
# Header: (JSON type, description).
_HEADERS = {
    "Content-Language": ("string", "The language of titles, texts and names of genres."),
    "ETag": ("string", "The version of the response, for If-None-Match and If-Match."),
    "Location": ("string", "The URL of the resource."),
    "RateLimit": ("string", "What is left of each limit, and when it is full again."),
    "RateLimit-Policy": ("string", "The limits that count this request."),
    "Retry-After": ("integer", "The number of seconds after which to try again."),
    "WWW-Authenticate": ("string", "How to authenticate."),
    "X-Request-ID": ("string", "The id of the request, as in the log."),
}
_ALWAYS = ("RateLimit", "RateLimit-Policy", "X-Request-ID")
_HEADERS_BY_STATUS = {
    304: ("ETag",),
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


class ContractSchema(AutoSchema):
    """Describes an action by its Contract instead of drf-spectacular's guesses."""

    @property
    def contract(self) -> Contract:
        return get_contract(self.view, self.method)

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation: Any = super().get_operation(*args, **kwargs)
        # Otherwise clients take an absent list for the default of the document.
        operation.setdefault("security", [])
        operation.setdefault("parameters", [])
        for parameter in operation["parameters"]:
            is_list = parameter["schema"].get("type") == "array"
            if is_list and parameter["name"] not in self.contract.query.repeatable:
                # One value with commas; `name=1&name=2` is a 400.
                parameter |= {"style": "form", "explode": False}
        for status, response in operation["responses"].items():
            response["headers"] = {
                name: {"$ref": f"#/components/headers/{name}"}
                for name in self._list_response_headers(int(status))
            }
        return operation

    def _list_response_headers(self, status: int) -> list[str]:
        names = {*_ALWAYS, *_HEADERS_BY_STATUS.get(status, ())}
        names |= set(self.contract.response_headers.get(status, ()))
        is_file = isinstance(self.contract.responses.get(status), Download)
        if self.method == "GET" and status == 200 and not is_file:
            names.add("ETag")
        shows_movies = self.contract.is_localized or "language" in self.contract.query().fields
        if status < 300 and shows_movies:
            names.add("Content-Language")
        return sorted(names)

    def get_operation_id(self) -> str:
        """Return the id that the operation has in the Swagger 2.0 schema too."""
        action = self.view.action_map[self.method.lower()]
        parts: list[str] = self._tokenize_path()
        if action not in self.method_mapping.values() and action != "list":
            # The name of an action of our own replaces the last segment of its path.
            if len(set(self.view.action_map) - {"head"}) == 1:
                parts = parts[:-1]
            else:
                action = self.method_mapping[self.method.lower()]
        action = api_settings.SCHEMA_COERCE_METHOD_NAMES.get(action, action)
        return "_".join([*parts, action])

    def get_summary(self) -> str:
        return split_docstring(super().get_description())[0]

    def get_description(self) -> str:
        summary, rest = split_docstring(super().get_description())
        return rest or summary

    def get_tags(self) -> list[str]:
        return [get_tag(self.path)]

    def get_auth(self) -> list[dict[str, list[str]]]:
        if needs_token(self.view, self.method):
            return [{"bearer": []}]
        return [{}, {"bearer": []}] if self.view.get_authenticators() else []

    def get_override_parameters(self) -> list[Any]:
        is_required = 428 in self.contract.errors
        return [
            *([self.contract.query()] if self.contract.query().fields else []),
            *(
                OpenApiParameter(
                    name,
                    location=OpenApiParameter.HEADER,
                    required=is_required,
                    description=description,
                )
                for name, description in self.contract.headers.items()
            ),
        ]

    def _get_parameters(self) -> list[Any]:
        # Of the declared parameters alone: our views have neither filter backends nor paginators.
        return [
            *self._resolve_path_parameters(
                [part[1:-1] for part in self.path.split("/") if part.startswith("{")]
            ),
            *self._process_override_parameters().values(),
        ]

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        parameters = []
        for name in variables:
            schema, description = describe_path_parameter(self.path, name)
            parameters.append(
                {
                    "in": "path",
                    "name": name,
                    "required": True,
                    "description": description,
                    "schema": schema,
                }
            )
        return parameters

    def _get_request_body(self, direction: Any = "request") -> dict[str, Any] | None:
        # drf-spectacular gives DELETE no body, and calls one without required fields optional.
        body = self.contract.body
        if body is None:
            return None
        # Generators leave out an operation with a body of any type.
        media_types = [JSON if name == "*/*" else name for name in self.map_parsers()]
        component = self.resolve_serializer(body(partial=self.method == "PATCH"), direction)
        return {
            "required": True,
            "content": {media_type: {"schema": component.ref} for media_type in media_types},
        }

    def get_response_serializers(self) -> dict[Any, OpenApiResponse]:
        responses: dict[Any, OpenApiResponse] = {}
        for status, body in self.contract.responses.items():
            media_type = body.media_type if isinstance(body, Download) else JSON
            responses[str(status), media_type] = OpenApiResponse(
                self._build_body(body), HTTPStatus(status).phrase
            )
        for status, reason in describe_errors(self.view, self.method, self.path).items():
            problem = None if status == 304 else ProblemSerializer()
            responses[str(status), PROBLEM_JSON] = OpenApiResponse(problem, reason)
        return responses

    def _build_body(self, body: ResponseBody) -> Any:
        if body is None:
            return None
        if isinstance(body, Download):
            return OpenApiTypes.BINARY
        if isinstance(body, ListOf):
            return {
                "type": "array",
                "items": self.resolve_serializer(body.serializer, "response").ref,
            }
        if isinstance(body, PageOf):
            body = body.get_page_serializer()
        # drf-spectacular drops a serializer without fields.
        has_fields = bool(getattr(body(), "fields", ()))
        return body if has_fields else {"type": "object", "additionalProperties": False}

    def _is_list_view(self, serializer: Any = None) -> bool:
        # The contract says what is a list.
        return False

    def _map_serializer(self, serializer: Any, direction: Any, *args: Any, **kwargs: Any) -> Any:
        variants = vars(type(serializer)).get("variants")
        if variants is None:
            schema: Any = super()._map_serializer(serializer, direction, *args, **kwargs)
            # Its own docstring, not a base class's. Further paragraphs are for readers of the code.
            docstring = inspect.cleandoc(vars(type(serializer)).get("__doc__") or "")
            schema["description"] = split_docstring(docstring)[0]
            extra = getattr(getattr(serializer, "Meta", None), "swagger_schema_fields", {})
            if "example" in extra:
                schema["examples"] = [extra["example"]]
            names = schema.get("properties", {})
            if len({name.lower() for name in names}) < len(names):
                # Generated classes cannot have both `event` and `Event`.
                del schema["properties"]
                schema["additionalProperties"] = True
            return {key: value for key, value in schema.items() if value != ""}
        references = {
            value: self.resolve_serializer(variant, direction).ref
            for value, variant in variants.items()
        }
        return {
            "oneOf": list(references.values()),
            "discriminator": {
                "propertyName": serializer.discriminator,
                "mapping": {value: ref["$ref"] for value, ref in references.items()},
            },
        }

    def _map_serializer_field(self, field: Any, direction: Any, *args: Any, **kwargs: Any) -> Any:
        meta = self._get_serializer_field_meta(field, direction)
        if isinstance(field, serializers.SerializerMethodField):
            # The field that drf-yasg's decorator declares.
            method = getattr(field.parent, field.method_name or "")
            declared = getattr(method, "_swagger_serializer", None)
            if declared is not None:
                schema = self._map_serializer_field(declared, direction)
                return append_meta(schema, {**meta, "readOnly": True})
            return append_meta(self._map_response_type_hint(method), meta)
        if isinstance(field, serializers.FileField):
            return append_meta(build_basic_type(OpenApiTypes.BINARY) or {}, meta)
        schema = super()._map_serializer_field(field, direction, *args, **kwargs)
        extra = getattr(getattr(field, "Meta", None), "swagger_schema_fields", {})
        return {**schema, **extra} if not isinstance(field, serializers.BaseSerializer) else schema

    def _get_serializer_field_meta(self, field: Any, direction: Any) -> Any:
        meta = super()._get_serializer_field_meta(field, direction)
        if field.field_name in FIELD_DOCS:
            meta.setdefault("description", FIELD_DOCS[field.field_name].description)
        # Labels repeat the name.
        meta.pop("title", None)
        return meta


def postprocess(result: Any, generator: Any, request: Any, public: bool) -> Any:
    """Order the paths, and add what concerns no single operation: tags, headers and examples."""
    result["info"] |= {"title": TITLE, "description": DESCRIPTION}
    paths = result["paths"]
    result["paths"] = {
        path: {method: paths[path][method] for method in _METHODS if method in paths[path]}
        for path in sort_paths(paths, paths)
    }
    result["tags"] = list_tags()
    components = result["components"]
    components["securitySchemes"] = {"bearer": _SECURITY_SCHEME}
    components["headers"] = {
        name: {"description": description, "schema": {"type": kind}}
        for name, (kind, description) in _HEADERS.items()
    }
    _correct_components(result)
    _add_examples(result)
    return result


def _correct_components(result: Any) -> None:
    """Adapt components that only requests, or only responses, use.

    Marks of direction make generators write two types of each. Patterns and lengths are what is
    accepted today, and stored values may be older.
    """
    schemas = result["components"]["schemas"]
    operations = [operation for item in result["paths"].values() for operation in item.values()]
    in_requests = _find_references([op.get("requestBody") for op in operations], schemas)
    in_responses = _find_references([op["responses"] for op in operations], schemas)
    for name, schema in schemas.items():
        for node in _iterate_nodes(schema):
            node.pop("x-spec-enum-id", None)
            if name not in in_requests & in_responses:
                node.pop("readOnly", None)
                node.pop("writeOnly", None)
            if name in in_responses - in_requests:
                node.pop("minLength", None)
                node.pop("pattern", None)
    for node in _iterate_nodes(result["paths"]):
        node.pop("x-spec-enum-id", None)
    for node in _iterate_nodes(result):
        # Patterns in a schema are JavaScript's regular expressions, which have no \A and \Z.
        if isinstance(node.get("pattern"), str):
            node["pattern"] = node["pattern"].replace(r"\A", "^").replace(r"\Z", "$")


def _iterate_nodes(root: Any) -> Iterator[dict[str, Any]]:
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _find_references(root: Any, schemas: Any) -> set[str]:
    """Return the names of all schemas that `root` refers to, directly or through others."""
    names: set[str] = set()
    pending = [root]
    while pending:
        for node in _iterate_nodes(pending.pop()):
            kind, _, name = str(node.get("$ref", "")).rpartition("/")
            if kind == "#/components/schemas" and name not in names:
                names.add(name)
                pending.append(schemas[name])
    return names


def _add_examples(result: Any) -> None:
    """Give each body an example: the declared one of a request, a built one of a response.

    Examples of named schemas are components, so that each is in the document once.
    """
    schemas = result["components"]["schemas"]
    examples: dict[str, Any] = result["components"].setdefault("examples", {})
    for item in result["paths"].values():
        for operation in item.values():
            bodies = [operation.get("requestBody", {})]
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if PROBLEM_JSON in content:
                    name = f"Problem{status}"
                    phrase = HTTPStatus(int(status))
                    examples[name] = {"value": _build_problem(phrase)}
                    content[PROBLEM_JSON]["examples"] = _refer_to_example(name)
                else:
                    bodies.append(response)
            for body in bodies:
                for media_type, content in body.get("content", {}).items():
                    if media_type != JSON:
                        continue
                    name = content["schema"].get("$ref", "").rpartition("/")[2]
                    value = build_example(content["schema"], schemas)
                    if name:
                        examples[name] = {"value": value}
                        content["examples"] = _refer_to_example(name)
                    else:
                        content["example"] = value
    result["components"]["examples"] = dict(sorted(examples.items()))


def _refer_to_example(name: str) -> dict[str, Any]:
    return {"example": {"$ref": f"#/components/examples/{name}"}}


_EXAMPLE_CODES = {
    400: "invalid",
    401: "token_expired",
    403: "permission_denied",
    404: "not_found",
    409: "conflict",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_media_type",
    428: "precondition_required",
    429: "throttled",
    502: "tmdb_auth_failed",
    503: "database_unavailable",
}


def _build_problem(status: HTTPStatus) -> dict[str, Any]:
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": "What was wrong, and what to do.",
        "code": _EXAMPLE_CODES.get(status, "bad_request"),
        "request_id": "5c3f0e1d2b7a4c8f9e6d0a1b2c3d4e5f",
    }
    if status == HTTPStatus.BAD_REQUEST:
        problem["detail"] = "Invalid: score."
        problem["errors"] = {
            "score": [
                {
                    "message": "Ensure this value is less than or equal to 5.",
                    "code": "max_value",
                }
            ]
        }
    return problem


class OpenApiDocument:
    """The document of some routes, which is written once a process: it depends on the code alone."""

    def __init__(self, patterns: list[Any]) -> None:
        self._patterns = patterns

    @cached_property
    def json(self) -> bytes:
        schema = SchemaGenerator(patterns=self._patterns).get_schema(public=True)
        return json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def yaml(self) -> bytes:
        rendered: bytes = OpenApiYamlRenderer().render(json.loads(self.json))
        return rendered

    def make_view(self, media_type: str) -> Callable[[HttpRequest], HttpResponse]:
        """Return the view that serves the document as JSON or YAML."""

        @require_safe
        def view(request: HttpRequest) -> HttpResponse:
            content = self.json if media_type == JSON else self.yaml
            response = HttpResponse(content, content_type=media_type)
            response["Cache-Control"] = PUBLIC
            return response

        return view
