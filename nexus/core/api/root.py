"""The root: what this is, and where everything else is.

Source of the notice and the rule: https://developer.themoviedb.org/docs/faq.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from nexus.core.api.exceptions import read_only

TMDB_NOTICE = "This product uses the TMDB API but is not endorsed or certified by TMDB."
TMDB_URL = "https://www.themoviedb.org/"
TMDB_LOGO_RULE = (
    "A client that shows TMDb's data or images shows this notice, beside one of TMDb's approved logos "
    "(https://www.themoviedb.org/about/logos-attribution) that is less prominent than the client's own."
)

_ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    b'<rect width="16" height="16" rx="3" fill="#1d2733"/>'
    b'<path d="M4 12V4l8 8V4" fill="none" stroke="#f2b632" stroke-width="2"/></svg>'
)


@read_only
def favicon(request: HttpRequest) -> HttpResponse:
    """What browsers ask of every host, so that no page logs a 404."""
    response = HttpResponse(_ICON, content_type="image/svg+xml")
    response["Cache-Control"] = "public, max-age=86400"
    return response


@read_only
def index(request: HttpRequest) -> JsonResponse:
    """Names the service, links to its parts, and carries TMDb's notice."""

    def link(path: str) -> str:
        return request.build_absolute_uri(path)

    body = {
        "name": "Nexus Movie API",
        "description": "Find films worth your evening, keep track of what you saw, and share it.",
        "links": {
            "swagger": link("/swagger/"),
            "redoc": link("/redoc/"),
            "schema": link("/swagger.json"),
            "movies": link("/movies/"),
            "register": link("/auth/register/"),
            "health": link("/health/ready/"),
            "admin": link("/admin/"),
        },
        "attribution": {
            "notice": TMDB_NOTICE,
            "url": TMDB_URL,
            "logo_rule": TMDB_LOGO_RULE,
        },
    }
    response = JsonResponse(body)
    response["Cache-Control"] = "public, max-age=60"
    response["Vary"] = "Accept"
    return response
