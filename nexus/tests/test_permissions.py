"""One matrix: who gets what on every route and method."""

import json
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from accounts.models import TokenFamily, User
from accounts.services import password_reset_credentials
from accounts.tokens import FAMILY_CLAIM, family_open
from movies.models import Movie
from nexus.core.tokens import AccessToken
from nexus.testing import PASSWORD
from nexus.tests.routes import METHODS, api_routes
from social.models import Playlist, Rating

CALLERS = ("anonymous", "stranger", "owner", "staff", "deactivated", "expired")

# Expected statuses in the order of CALLERS. Staff get what strangers get: moderation is the
# admin's. A token that does not hold is told so (401) wherever tokens are read at all, which is
# where an answer depends on the caller.
_PUBLIC = (200,) * len(CALLERS)
_SHARED = (200, 200, 200, 200, 401, 401)
_MEMBERS = (401, 200, 200, 200, 401, 401)
_OWNER = (401, 404, 200, 404, 401, 401)
_WRITE_SHARED = (401, 403, 200, 403, 401, 401)
_DELETE_SHARED = (401, 403, 204, 403, 401, 401)
_TMDB = (401, 503, 503, 503, 401, 401)


def _everyone(status):
    return (status,) * len(CALLERS)


# Path template, then by method the row. `{playlist}` stands for each visibility in turn below.
MATRIX = {
    "/auth/register/": {"POST": _everyone(201)},
    "/auth/token/": {"POST": _everyone(200)},
    "/auth/token/refresh/": {"POST": _everyone(200)},
    "/auth/token/verify/": {"POST": _everyone(200)},
    "/auth/logout/": {"POST": _everyone(204)},
    "/auth/logout/all/": {"POST": (401, 204, 204, 204, 401, 401)},
    "/auth/sessions/": {"GET": _MEMBERS},
    "/auth/sessions/{pk}/": {"DELETE": (401, 404, 204, 404, 401, 401)},
    "/auth/password/change/": {"POST": (401, 204, 204, 204, 401, 401)},
    "/auth/password/reset/": {"POST": _everyone(204)},
    "/auth/password/reset/confirm/": {"POST": _everyone(204)},
    "/movies/": {"GET": _PUBLIC},
    "/movies/top_rated/": {"GET": _PUBLIC},
    "/movies/trending/": {"GET": _PUBLIC},
    "/movies/recommendations/": {"GET": _MEMBERS},
    "/movies/{pk}/": {"GET": _PUBLIC},
    "/movies/{pk}/match_score/": {"GET": _MEMBERS},
    "/movies/{pk}/similar/": {"GET": _PUBLIC},
    "/movies/{movie_id}/reviews/": {"GET": _PUBLIC},
    "/genres/": {"GET": _PUBLIC},
    "/profiles/me/": {
        "GET": _MEMBERS,
        "PUT": _MEMBERS,
        "PATCH": _MEMBERS,
        "DELETE": (401, 204, 204, 204, 401, 401),
    },
    "/profiles/stats/": {"GET": _MEMBERS},
    "/ratings/": {"GET": _MEMBERS, "POST": (401, 201, 200, 201, 401, 401)},
    "/ratings/{pk}/": {
        "GET": _OWNER,
        "PUT": _OWNER,
        "PATCH": _OWNER,
        "DELETE": (401, 404, 204, 404, 401, 401),
    },
    "/playlists/": {"GET": _SHARED, "POST": (401, 201, 201, 201, 401, 401)},
    "/playlists/{pk}/": {
        "GET": _SHARED,
        "PUT": _WRITE_SHARED,
        "PATCH": _WRITE_SHARED,
        "DELETE": _DELETE_SHARED,
    },
    "/playlists/{pk}/items/": {"GET": _SHARED, "POST": _WRITE_SHARED},
    "/playlists/{pk}/items/order/": {"PUT": _WRITE_SHARED},
    "/playlists/{pk}/items/{movie_id}/": {"PATCH": _WRITE_SHARED, "DELETE": _DELETE_SHARED},
    "/tmdb/search/": {"GET": _everyone(503)},
    "/tmdb/import/": {"POST": _TMDB},
    "/tmdb/import/bulk/": {"POST": _TMDB},
    "/tmdb/status/": {"GET": _PUBLIC},
}


def _private(row):
    """What the row of a shared playlist becomes for a private one: strangers see nothing."""
    anonymous, _, owner, *_, deactivated, expired = row
    return (404 if anonymous == 200 else anonymous, 404, owner, 404, deactivated, expired)


@pytest.fixture
def world(make_user, make_movie):
    """The callers with their tokens, and what the owner has."""
    film, other = make_movie("Alien"), make_movie("Brazil")
    people = {
        "stranger": make_user("stranger"),
        "owner": make_user("owner"),
        "staff": make_user("boss", is_staff=True, is_superuser=True),
        "deactivated": make_user("gone"),
    }
    pairs = {name: family_open(user=user) for name, user in people.items()}
    people["deactivated"].is_active = False
    people["deactivated"].save()
    expired = AccessToken(pairs["stranger"].access.encode())
    expired.set_exp(lifetime=-timedelta(minutes=1))
    tokens = {name: pair.access for name, pair in pairs.items()} | {"expired": str(expired)}

    clients = {"anonymous": APIClient()}
    for name, token in tokens.items():
        clients[name] = APIClient()
        clients[name].credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    owner = clients["owner"]
    rating = owner.post("/ratings/", {"movie": film.pk, "score": 4, "review": "Quiet terror."})
    playlists = {
        visibility: owner.post(
            "/playlists/",
            {
                "name": f"Zebra {visibility}",
                "visibility": visibility,
                "movie_ids": [film.pk, other.pk],
            },
        ).json()["id"]
        for visibility in Playlist.Visibility.values
    }
    return SimpleNamespace(
        film=film,
        other=other,
        rating=rating.json()["id"],
        playlists=playlists,
        clients=clients,
        refresh=pairs["owner"].refresh,
        session=TokenFamily.objects.get(user=people["owner"]).id,
        reset=dict(zip(("uid", "token"), password_reset_credentials(people["owner"]), strict=True)),
    )


def _body(world, template, method):
    """A body the owner's call succeeds with."""
    order = [world.other.pk, world.film.pk]
    return {
        ("POST", "/auth/register/"): {
            "username": "new",
            "email": "new@example.org",
            "password": PASSWORD,
        },
        ("POST", "/auth/token/"): {"username": "owner", "password": PASSWORD},
        ("POST", "/auth/token/refresh/"): {"refresh": world.refresh},
        ("POST", "/auth/token/verify/"): {"token": world.refresh},
        ("POST", "/auth/logout/"): {"refresh": world.refresh},
        ("POST", "/auth/password/change/"): {
            "old_password": PASSWORD,
            "new_password": "another-horse-9",
        },
        ("POST", "/auth/password/reset/"): {"email": "owner@example.org"},
        ("POST", "/auth/password/reset/confirm/"): {
            **world.reset,
            "new_password": "another-horse-9",
        },
        ("DELETE", "/profiles/me/"): {"password": PASSWORD},
        ("POST", "/ratings/"): {"movie": world.film.pk, "score": 3},
        ("PUT", "/ratings/{pk}/"): {"score": 3},
        ("POST", "/playlists/"): {"name": "Mine"},
        ("PUT", "/playlists/{pk}/"): {"name": "Mine"},
        ("POST", "/playlists/{pk}/items/"): {"movie_ids": [world.film.pk]},
        ("PUT", "/playlists/{pk}/items/order/"): {"movie_ids": order},
        ("POST", "/tmdb/import/bulk/"): {"tmdb_ids": [1]},
        ("POST", "/tmdb/import/"): {"tmdb_id": 603},
    }.get((method, template), {})


def _path(world, template, playlist):
    pk = world.film.pk
    if template.startswith("/playlists/"):
        pk = playlist
    elif template.startswith("/ratings/"):
        pk = world.rating
    elif template.startswith("/auth/sessions/"):
        pk = world.session
    path = template.format(pk=pk, movie_id=world.film.pk)
    return path + "?query=alien" if path == "/tmdb/search/" else path


def _cases():
    for template, rows in MATRIX.items():
        shared = "{pk}" in template and template.startswith("/playlists/")
        for method, row in rows.items():
            for visibility in Playlist.Visibility.values if shared else ["public"]:
                expected = _private(row) if visibility == "private" else row
                name = f"{method} {template}" + (f" {visibility}" if shared else "")
                yield pytest.param(template, method, visibility, expected, id=name)


def test_every_route_and_method_has_its_row():
    assert {route.template: set(route.methods) for route in api_routes()} == {
        template: set(rows) for template, rows in MATRIX.items()
    }


@pytest.mark.parametrize(("template", "method", "visibility", "row"), list(_cases()))
def test_each_caller_gets_the_status_of_the_row(world, template, method, visibility, row):
    playlist = world.playlists[visibility]
    body = "" if method == "GET" else json.dumps(_body(world, template, method))
    for caller, expected in zip(CALLERS, row, strict=True):
        with _undone():
            answer = world.clients[caller].generic(
                method,
                _path(world, template, playlist),
                body,
                content_type="application/json",
                headers={"If-Match": "*"} if method == "PUT" else {},
            )
            assert answer.status_code == expected, (caller, answer.content)
            if expected >= 400:
                _assert_problem(answer)
                _assert_nothing_changed(world)


@contextmanager
def _undone():
    """Takes back what a call changed, so that every caller finds the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _assert_problem(answer):
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    if answer.status_code == 401:
        assert answer["WWW-Authenticate"].startswith("Bearer")
    if answer.status_code == 404:
        # The same words as for what is not there at all.
        assert answer.json()["detail"] == "Not found."
    if answer.status_code == 503:
        assert answer.json()["code"] == "tmdb_not_configured"


def _assert_nothing_changed(world):
    rating = Rating.objects.get(pk=world.rating)
    assert (rating.score, rating.review) == (4, "Quiet terror.")
    playlists = Playlist.objects.order_by("name").values_list("name", "movie_count", "version")
    versions = {version for *_, version in playlists}
    assert [name for name, *_ in playlists] == ["Zebra private", "Zebra public", "Zebra unlisted"]
    assert len(versions) == 1
    assert Movie.objects.count() == 2


@pytest.mark.parametrize("caller", ["anonymous", "stranger", "staff"])
def test_what_a_caller_may_not_see_is_in_no_list_count_or_search(world, caller):
    client = world.clients[caller]
    for query in ("", "?search=zebra", "?owner=owner", "?cursor=", "?ordering=name"):
        answer = client.get("/playlists/" + query).json()
        assert answer["count"] == 1
        assert [each["id"] for each in answer["results"]] == [world.playlists["public"]]
    if caller != "anonymous":
        assert client.get("/ratings/").json()["count"] == 0
        assert client.get("/profiles/stats/").json()["total_ratings"] == 0


def test_the_owner_finds_all_of_theirs(world):
    answer = world.clients["owner"].get("/playlists/?search=zebra").json()
    assert answer["count"] == 3
    assert {each["id"] for each in answer["results"]} == set(world.playlists.values())


def test_a_private_profile_shows_no_review(world, make_user, client_of):
    shy = make_user("shy", visibility="private")
    client_of(shy).post("/ratings/", {"movie": world.film.pk, "score": 1, "review": "Mine alone."})
    for caller in ("anonymous", "stranger", "staff"):
        answer = world.clients[caller].get(f"/movies/{world.film.pk}/reviews/").json()
        assert answer["count"] == 1
        assert [each["user"] for each in answer["results"]] == ["owner"]


def test_of_a_deactivated_member_nothing_shows(world):
    User.objects.filter(username="owner").update(is_active=False)
    client = world.clients["stranger"]
    assert client.get("/playlists/").json()["count"] == 0
    assert client.get(f"/playlists/{world.playlists['public']}/").status_code == 404
    assert client.get(f"/movies/{world.film.pk}/reviews/").json()["count"] == 0


@pytest.mark.parametrize("caller", CALLERS)
def test_a_method_that_is_not_offered_is_405_for_everybody(world, unlimited, caller):
    for route in api_routes():
        path = _path(world, route.template, world.playlists["public"])
        offered = {*route.methods, *({"HEAD"} if "GET" in route.methods else set())}
        for method in {*METHODS, "HEAD", "OPTIONS", "TRACE"} - offered:
            client = world.clients[caller]
            answer = client.generic(method, path, "{}", content_type="application/json")
            assert answer.status_code == 405, (method, path, answer.content)
            assert set(answer["Allow"].split(", ")) == offered
            if method != "HEAD":
                assert answer.json()["code"] == "method_not_allowed"
    _assert_nothing_changed(world)


def test_a_token_of_a_session_that_is_not_there_is_refused(world, make_user):
    token = AccessToken.for_user(make_user("ann"))
    client = APIClient()
    for family in (None, "x", "00000000-0000-0000-0000-000000000000"):
        token[FAMILY_CLAIM] = family
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        assert client.get("/profiles/me/").status_code == 401
