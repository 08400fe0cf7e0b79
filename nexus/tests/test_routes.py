"""Where the API responses, and where it does not."""

import uuid

import pytest
from django.db import transaction

from nexus.tests.routes import METHODS, list_api_routes

OPERATIONAL_PATHS = [
    "/",
    "/swagger/",
    "/redoc/",
    "/swagger.json",
    "/swagger.yaml",
    "/openapi.json",
    "/openapi.yaml",
    "/favicon.ico",
    "/health/live/",
    "/health/ready/",
    "/metrics",
]

UNKNOWN_URL = "No such URL. The paths that exist are listed at /swagger/."


@pytest.fixture
def member(make_user, client_of):
    return client_of(make_user("ann"))


def _make_path(route):
    has_uuid = route.template.startswith(("/playlists/", "/auth/sessions/"))
    pk = uuid.UUID(int=1) if has_uuid else 1
    return route.path(pk=pk, movie_id=1, username="somebody", number=1, server="plex")


def _make_comparable(response):
    """Return the status and the body without what differs from request to request."""
    body = None if response.streaming else response.content
    if response.get("Content-Type", "").endswith("json"):
        body = response.json()
    names = ("request_id", "access", "refresh", "expires_at", "user", "url")
    for name in names if isinstance(body, dict) else ():
        body.pop(name, None)
    return response.status_code, body


@pytest.mark.parametrize("route", list_api_routes(), ids=lambda route: route.template)
def test_a_route_responds_alike_without_slash_and_under_api(member, unlimited, route):
    path = _make_path(route)
    for method in METHODS:
        responses = []
        short = path.removesuffix("/")
        for url in (path, short, "/api" + path, "/api" + short):
            with transaction.atomic():
                response = member.generic(method, url, "{}", content_type="application/json")
                # Rolled back, because logging out everywhere ends the session of this member too.
                transaction.set_rollback(True)
            assert not 300 <= response.status_code < 400
            responses.append(_make_comparable(response))
            assert response.streaming or UNKNOWN_URL not in response.content.decode(), url
        assert responses == [responses[0]] * 4


def test_a_write_without_the_slash_is_executed(member, make_movie):
    movie = make_movie("Alien")
    for path, status in (("/ratings", 201), ("/api/ratings", 200), ("/api/ratings/", 200)):
        response = member.post(path, {"movie": movie.pk, "score": 4.5})
        assert (response.status_code, response.json()["score"]) == (status, 4.5)

    rating = response.json()["id"]

    assert member.put(f"/ratings/{rating}", {"score": 2}).json()["score"] == 2
    assert member.patch(f"/api/ratings/{rating}", {"score": 3}).json()["score"] == 3
    assert member.delete(f"/api/ratings/{rating}").status_code == 204
    assert member.get("/ratings").json()["count"] == 0


def test_page_links_work_under_the_alias(member, unlimited, make_movie):
    for title in ("Alien", "Brazil", "Casablanca"):
        make_movie(title)
    for start in ("/movies/", "/movies", "/api/movies/", "/api/movies"):
        titles, next_url = [], start + "?page_size=1&ordering=title"
        while next_url:
            page = member.get(next_url).json()
            titles += [movie["title"] for movie in page["results"]]
            next_url = page["next"]
        assert titles == ["Alien", "Brazil", "Casablanca"]


@pytest.mark.parametrize("path", OPERATIONAL_PATHS)
def test_operational_pages_respond_without_slash_and_under_api(api, db, path):
    for url in {path, path.rstrip("/") or "/", "/api" + path, "/api" + path.rstrip("/")}:
        response = api.get(url)
        assert response.status_code == 200, url


@pytest.mark.parametrize("path", OPERATIONAL_PATHS)
def test_operational_pages_reject_writes(api, db, path):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = api.generic(method, path, "{}", content_type="application/json")
        assert response.status_code == 405
        assert "GET" in response["Allow"]
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/swagger/", "/redoc/", "/swagger.json", "/swagger.yaml"])
def test_a_schema_page_in_an_unsupported_media_type_is_406(api, path):
    response = api.get(path, headers={"Accept": "image/png"})

    assert response.status_code == 406
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not_acceptable"


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere/",
        "/api/api/movies/",
        "/apimovies/",
        "/movies//",
        "/movies/0/",
        "/movies/01/",
        "/movies/-1/",
        "/movies/1_0/",
        "/movies/١/",
        "/movies/9223372036854775808/",
        "/movies/18446744073709551616/",
        "/movies/nan/",
        "/movies/1.0/",
        "/movies/%00/",
        "/movies/%ff/",
        "/playlists/1/",
        "/playlists/{00000000-0000-0000-0000-000000000001}/",
        "/playlists/00000000000000000000000000000001/",
        "/ratings/1%00/",
        "/profiles/a%00/",
        "/profiles/nobody/",
        "/profiles/ME/",
        "/profiles/me/stats/",
        "/profiles/Ängste/",
        f"/profiles/{'a' * 151}/",
    ],
)
def test_an_invalid_path_is_a_404_problem(member, path):
    response = member.get(path)

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert set(response.json()) == {"type", "title", "status", "detail", "code", "request_id"}


def test_the_largest_possible_id_matches_a_route(member):
    response = member.get("/movies/9223372036854775807/")

    assert (response.status_code, response.json()["detail"]) == (404, "Not found.")
