"""The root of the API: a page for people, and for programs links to its parts.

Both show the notice that TMDb's terms require.

Source of the notice and of the rule about the logo: https://developer.themoviedb.org/docs/faq.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from nexus.core.api.exceptions import require_safe

OPENAPI_PATH = "/openapi.json"
TMDB_NOTICE = "This product uses the TMDB API but is not endorsed or certified by TMDB."
TMDB_URL = "https://www.themoviedb.org/"
TMDB_LOGO_RULE = (
    "A client that shows TMDb's data or images shows this notice and one of TMDb's approved logos "
    "(https://www.themoviedb.org/about/logos-attribution), less prominent than the client's own."
)

_ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    b'<rect width="16" height="16" rx="3" fill="#1d2733"/>'
    b'<path d="M4 12V4l8 8V4" fill="none" stroke="#f2b632" stroke-width="2"/></svg>'
)


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Return the icon that browsers request from every host; without it each page logs a 404."""
    response = HttpResponse(_ICON, content_type="image/svg+xml")
    response["Cache-Control"] = "public, max-age=86400"
    return response


# The page loads scripts and styles from here alone, and none that are written into it.
_CONTENT_SECURITY_POLICY = "default-src 'self'; img-src 'self' data: https://image.tmdb.org"


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Return the page for people if the client prefers HTML, as browsers do, else the JSON."""
    # `*/*`, which curl and most HTTP libraries send, prefers neither: the first is taken.
    preferred = request.get_preferred_type(["application/json", "text/html"])
    response = _render_page() if preferred == "text/html" else _list_links(request)
    response["Cache-Control"] = "public, max-age=60"
    response["Vary"] = "Accept"
    return response


def _render_page() -> HttpResponse:
    context = {"tmdb_notice": TMDB_NOTICE, "tmdb_url": TMDB_URL, "openapi_path": OPENAPI_PATH}
    response = HttpResponse(render_to_string("home.html", context))
    response["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
    return response


def _list_links(request: HttpRequest) -> JsonResponse:
    """Name the service, link to its parts and show TMDb's notice."""
    paths = {
        "swagger": "/swagger/",
        "redoc": "/redoc/",
        "openapi": OPENAPI_PATH,
        "schema": "/swagger.json",
        "movies": "/movies/",
        "register": "/auth/register/",
        "health": "/health/ready/",
        "admin": "/admin/",
    }
    body = {
        "name": "Nexus Movie API",
        "description": "Find movies worth your evening, track what you watch, and share it.",
        "links": {name: request.build_absolute_uri(path) for name, path in paths.items()},
        "attribution": {
            "notice": TMDB_NOTICE,
            "url": TMDB_URL,
            "logo_rule": TMDB_LOGO_RULE,
        },
    }
    return JsonResponse(body)
