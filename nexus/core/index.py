"""The root: what this is, and where everything else is.

Source of the notice and the rule: https://developer.themoviedb.org/docs/faq.
"""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from nexus.core.errors import read_only

TMDB_NOTICE = "This product uses the TMDB API but is not endorsed or certified by TMDB."
TMDB_URL = "https://www.themoviedb.org/"
TMDB_LOGO_RULE = (
    "A client that shows TMDb's data or images shows this notice, beside one of TMDb's approved logos "
    "(https://www.themoviedb.org/about/logos-attribution) that is less prominent than the client's own."
)


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
    return response
