"""The API's routes as the URL resolver has them, so that no test keeps a list that can fall behind."""

import re
from dataclasses import dataclass

from nexus.urls import api_urlpatterns

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One path of the API, as `/ratings/{pk}/`, with what it offers."""

    template: str
    actions: dict
    view: type

    @property
    def methods(self):
        return tuple(method for method in METHODS if method.lower() in self.actions)

    def path(self, **parts):
        return self.template.format(**parts)


def _flattened(patterns, prefix=""):
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from _flattened(pattern.url_patterns, route)
        else:
            yield route, pattern.callback


def api_routes():
    return [
        Route("/" + _CONVERTER.sub(r"{\1}", route), view.actions, view.cls)
        for route, view in _flattened(api_urlpatterns)
    ]
