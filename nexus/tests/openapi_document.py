"""The OpenAPI document in tests: its operations, and JSON Schema validation of what the service sends."""

import copy
import json

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from nexus.core.api.exceptions import PROBLEM_JSON

_URI = "urn:openapi"
# Headers that a response of this service has only if the document declares them.
CHECKED_HEADERS = ("Content-Language", "ETag", "Location", "Retry-After", "WWW-Authenticate")


class Document:
    """The document, with validation that counts undocumented keys as errors."""

    def __init__(self, raw):
        self.raw = raw
        strict = copy.deepcopy(raw)
        _forbid_other_keys(strict)
        resource = Resource.from_contents(strict, default_specification=DRAFT202012)
        self._registry = Registry().with_resource(_URI, resource)

    @property
    def schemas(self):
        return self.raw["components"]["schemas"]

    def iterate_operations(self):
        for path, item in self.raw["paths"].items():
            for method, operation in item.items():
                yield path, method, operation

    def find_mismatches(self, value, *pointer):
        """Return how a value differs from the schema at a JSON pointer of the document."""
        parts = (str(part).replace("~", "~0").replace("/", "~1") for part in pointer)
        validator = Draft202012Validator(
            {"$ref": f"{_URI}#/{'/'.join(parts)}"},
            registry=self._registry,
            format_checker=FormatChecker(),
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def find_response_mismatches(self, path, method, response):
        """Return how a response differs from what the operation declares for its status."""
        status = str(response.status_code)
        pointer = ("paths", path, method, "responses", status)
        declared = self.raw["paths"][path][method]["responses"].get(status)
        if declared is None:
            return [f"{status} is not declared"]
        mismatches = [
            f"header {name} is not declared for {status}"
            for name in CHECKED_HEADERS
            if name in response and name not in declared["headers"]
        ]
        mismatches += [
            f"header {name} is declared for {status} and missing"
            for name in ("Content-Language", "ETag", "Location")
            if name in declared["headers"] and name not in response
        ]
        content = declared.get("content", {})
        if not content:
            return mismatches + (["a body without a schema"] if response.content else [])
        media_type = response["Content-Type"].partition(";")[0]
        if (media_type == PROBLEM_JSON) != (response.status_code >= 400):
            mismatches.append(f"{status} as {media_type}")
        if media_type not in content:
            return [*mismatches, f"{media_type} is not declared for {status}"]
        if media_type.endswith("json"):
            schema = (*pointer, "content", media_type, "schema")
            mismatches += self.find_mismatches(json.loads(response.content), *schema)
        return mismatches


def _forbid_other_keys(node):
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            node.setdefault("additionalProperties", False)
        for child in node.values():
            _forbid_other_keys(child)
    elif isinstance(node, list):
        for child in node:
            _forbid_other_keys(child)
