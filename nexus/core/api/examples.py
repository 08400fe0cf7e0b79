"""Examples of responses, built from their schemas and nexus.core.api.field_docs."""

from __future__ import annotations

from typing import Any

from nexus.core.api.field_docs import EXAMPLES, FIELD_DOCS

_BY_FORMAT = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T20:15:00.000Z",
    "uuid": "6f1c2d3e-4b5a-4c6d-8e7f-9a0b1c2d3e4f",
    "uri": "https://api.example.org/movies/?page=2",
    "email": "ann@example.org",
}
_BY_TYPE: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True}


def build_example(schema: Any, schemas: Any, name: str = "", component: str = "") -> Any:
    """Return an example of a schema, which is the value of the field `name`.

    `schemas` are those that it may refer to, and `component` is its own name among them. An example
    that a schema declares, or its field's in EXAMPLES or FIELD_DOCS, goes before one made up from the
    type.
    """
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        return build_example(schemas[target], schemas, name, target)
    if "examples" in schema:
        return schema["examples"][0]
    for key in ("allOf", "oneOf"):
        if key in schema:
            return build_example(schema[key][0], schemas, name)
    types = schema.get("type", "object")
    kind = types if isinstance(types, str) else types[0]
    if "enum" in schema:
        # An empty choice is for rows that are not ready.
        return next(value for value in schema["enum"] if value not in ("", None))
    known = FIELD_DOCS[name].example if name in FIELD_DOCS else None
    if kind == "array":
        items = [build_example(schema["items"], schemas)]
        return known if isinstance(known, list) and _is_plain(schema["items"]) else items
    if kind == "object":
        properties = schema.get("properties", {})
        example = {
            key: EXAMPLES[place]
            if (place := f"{component}.{key}") in EXAMPLES
            else build_example(child, schemas, key)
            for key, child in properties.items()
        }
        example.pop("count_is_lower_bound", None)
        if "results" in example:
            example["previous"] = None
        more = schema.get("additionalProperties")
        if not properties and isinstance(more, dict):
            example = known if isinstance(known, dict) else {"4.0": build_example(more, schemas)}
        return example
    if kind == "null":
        return None
    if _has_type(known, kind):
        return known
    value = _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE[kind])
    return value if kind in ("string", "boolean") else max(value, schema.get("minimum", value))


def _is_plain(schema: Any) -> bool:
    return schema.get("type") in _BY_TYPE


def _has_type(value: Any, kind: str) -> bool:
    types: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
    }
    return isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))
