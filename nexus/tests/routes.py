"""The routes of the API as the URL resolver has them, so that no test lists them by hand."""

import re
from dataclasses import dataclass

from nexus.urls import api_urlpatterns

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One path of the API, such as `/ratings/{pk}/`, with its actions by method."""

    template: str
    actions: dict
    view: type

    @property
    def methods(self):
        return tuple(method for method in METHODS if method.lower() in self.actions)

    def path(self, **parts):
        return self.template.format(**parts)


def _walk(patterns, prefix=""):
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from _walk(pattern.url_patterns, route)
        else:
            yield route, pattern.callback


def list_api_routes():
    return [
        Route("/" + _PARAMETER.sub(r"{\1}", route), view.actions, view.cls)
        for route, view in _walk(api_urlpatterns)
    ]
