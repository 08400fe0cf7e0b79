"""Where the API answers, and where it does not."""

import uuid

import pytest
from django.db import transaction

from nexus.tests.routes import METHODS, api_routes

OPERATIONS = [
    "/",
    "/swagger/",
    "/redoc/",
    "/swagger.json",
    "/swagger.yaml",
    "/favicon.ico",
    "/health/live/",
    "/health/ready/",
    "/metrics",
]

NOTHING_HERE = "No such URL. The paths that exist are listed at /swagger/."


@pytest.fixture
def member(make_user, client_of):
    return client_of(make_user("ann"))


def _path(route):
    random = route.template.startswith(("/playlists/", "/auth/sessions/"))
    pk = uuid.UUID(int=1) if random else 1
    return route.path(pk=pk, movie_id=1, username="somebody", number=1)


def _told(answer):
    """What a client learns, without what differs from request to request."""
    body = answer.json() if not answer.streaming and answer.content else None
    for name in ("request_id", "access", "refresh") if isinstance(body, dict) else ():
        body.pop(name, None)
    return answer.status_code, body


@pytest.mark.parametrize("route", api_routes(), ids=lambda route: route.template)
def test_a_route_responds_alike_without_slash_and_under_api(member, unlimited, route):
    path = _path(route)
    for method in METHODS:
        told = []
        for address in (path, path[:-1], "/api" + path, "/api" + path[:-1]):
            with transaction.atomic():
                answer = member.generic(method, address, "{}", content_type="application/json")
                # Taken back, because logging out everywhere ends this member's session too.
                transaction.set_rollback(True)
            assert not 300 <= answer.status_code < 400
            told.append(_told(answer))
            assert answer.streaming or NOTHING_HERE not in answer.content.decode(), address
        assert told == [told[0]] * 4


def test_a_write_without_the_slash_is_executed(member, make_movie):
    film = make_movie("Alien")
    for path, status in (("/ratings", 201), ("/api/ratings", 200), ("/api/ratings/", 200)):
        answer = member.post(path, {"movie": film.pk, "score": 4.5})
        assert (answer.status_code, answer.json()["score"]) == (status, 4.5)
    rating = answer.json()["id"]
    assert member.put(f"/ratings/{rating}", {"score": 2}).json()["score"] == 2
    assert member.patch(f"/api/ratings/{rating}", {"score": 3}).json()["score"] == 3
    assert member.delete(f"/api/ratings/{rating}").status_code == 204
    assert member.get("/ratings").json()["count"] == 0


def test_page_links_work_under_the_alias(member, unlimited, make_movie):
    for title in ("Alien", "Brazil", "Casablanca"):
        make_movie(title)
    for start in ("/movies/", "/movies", "/api/movies/", "/api/movies"):
        titles, url = [], start + "?page_size=1&ordering=title"
        while url:
            page = member.get(url).json()
            titles += [film["title"] for film in page["results"]]
            url = page["next"]
        assert titles == ["Alien", "Brazil", "Casablanca"]


@pytest.mark.parametrize("path", OPERATIONS)
def test_operational_pages_respond_without_slash_and_under_api(api, db, path):
    for address in {path, path.rstrip("/") or "/", "/api" + path, "/api" + path.rstrip("/")}:
        answer = api.get(address)
        assert answer.status_code == 200, address


@pytest.mark.parametrize("path", OPERATIONS)
def test_operational_pages_reject_writes(api, db, path):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = api.generic(method, path, "{}", content_type="application/json")
        assert answer.status_code == 405
        assert "GET" in answer["Allow"]
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/swagger/", "/redoc/", "/swagger.json", "/swagger.yaml"])
def test_a_schema_page_in_an_unsupported_media_type_is_406(api, path):
    answer = api.get(path, headers={"Accept": "image/png"})
    assert answer.status_code == 406
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_acceptable"


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
    answer = member.get(path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "code", "request_id"}


def test_the_largest_possible_id_matches_a_route(member):
    answer = member.get("/movies/9223372036854775807/")
    assert (answer.status_code, answer.json()["detail"]) == (404, "Not found.")
