"""drf-yasg's renderers of the schema, which write it once a process.

The schema depends on the code alone, and writing it as YAML takes 66 ms. drf-yasg imports this module,
as SWAGGER_SETTINGS says, while nexus.core.api.schema is being imported.
"""

from __future__ import annotations

from typing import Any

from drf_yasg.openapi import Swagger
from drf_yasg.renderers import OpenAPIRenderer, SwaggerJSONRenderer, SwaggerYAMLRenderer


class _RenderOnceMixin:
    _rendered: bytes | None = None

    def render(self, data: Any, media_type: Any = None, renderer_context: Any = None) -> Any:
        renderer: Any = super()
        if not isinstance(data, Swagger):
            return renderer.render(data, media_type, renderer_context)
        cls = type(self)
        if cls._rendered is None:
            cls._rendered = renderer.render(data, media_type, renderer_context)
        return cls._rendered


class JSONSchemaRenderer(_RenderOnceMixin, SwaggerJSONRenderer):
    """The schema as JSON."""


class YAMLSchemaRenderer(_RenderOnceMixin, SwaggerYAMLRenderer):
    """The schema as YAML."""


class OpenAPISchemaRenderer(_RenderOnceMixin, OpenAPIRenderer):
    """The schema as JSON under a media type of its own."""
