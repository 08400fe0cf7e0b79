"""One matrix: who gets what on every route and method."""

import json
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from accounts.mail_tokens import make_password_reset_credentials, make_verification_credentials
from accounts.models import TokenFamily, User
from accounts.services import access_token_create, guest_create
from accounts.tokens import FAMILY_CLAIM, family_create
from movies.availability import AvailabilityData, ProviderData
from movies.models import Collection, Movie, Person
from movies.services.availability import provider_list_replace
from movies.services.upsert import availability_store
from nexus.core.api.jwt import AccessToken
from nexus.dev.pytest_plugin import PASSWORD
from nexus.tests.routes import METHODS, list_api_routes
from recommendations.models import Feedback
from social.models import Block, Follow, Import, ImportRow, Playlist, Rating, Viewing, WatchlistItem

NEW_EMAIL = "owner@new.example"
CALLERS = ("anonymous", "stranger", "owner", "staff", "deactivated", "expired")

# Expected statuses in the order of CALLERS. Staff get what strangers get: moderation is in the admin.
# A token that is no longer valid is a 401 if the response depends on the caller.
_PUBLIC = (200,) * len(CALLERS)
_SHARED = (200, 200, 200, 200, 401, 401)
_MEMBERS = (401, 200, 200, 200, 401, 401)
_OWNER = (401, 404, 200, 404, 401, 401)
_WRITE_SHARED = (401, 403, 200, 403, 401, 401)
_DELETE_SHARED = (401, 403, 204, 403, 401, 401)
_DELETE_OWN = (401, 404, 204, 404, 401, 401)
_CREATE = (401, 201, 201, 201, 401, 401)
# Following or blocking oneself is a 403.
_FOLLOW = (401, 204, 403, 204, 401, 401)
_TMDB = (401, 503, 503, 503, 401, 401)


def _repeat_for_callers(status):
    return (status,) * len(CALLERS)


# Statuses by path template and method. Playlists are requested in each visibility.
MATRIX = {
    "/auth/register/": {"POST": _repeat_for_callers(201)},
    "/auth/guest/": {"POST": _repeat_for_callers(201)},
    # _GUEST_STATUSES has the statuses of guests.
    "/auth/guest/register/": {"POST": (401, 403, 403, 403, 401, 401)},
    "/auth/token/": {"POST": _repeat_for_callers(200)},
    "/auth/token/refresh/": {"POST": _repeat_for_callers(200)},
    "/auth/token/verify/": {"POST": _repeat_for_callers(200)},
    "/auth/logout/": {"POST": _repeat_for_callers(204)},
    "/auth/logout/all/": {"POST": (401, 204, 204, 204, 401, 401)},
    "/auth/sessions/": {"GET": _MEMBERS},
    "/auth/sessions/{pk}/": {"DELETE": (401, 404, 204, 404, 401, 401)},
    "/auth/access-tokens/": {"GET": _MEMBERS, "POST": _CREATE},
    "/auth/access-tokens/{pk}/": {"DELETE": _DELETE_OWN},
    "/auth/password/change/": {"POST": (401, 204, 204, 204, 401, 401)},
    "/auth/password/reset/": {"POST": _repeat_for_callers(204)},
    "/auth/password/reset/confirm/": {"POST": _repeat_for_callers(204)},
    "/auth/email/verify/": {"POST": _repeat_for_callers(204)},
    "/auth/email/verify/resend/": {"POST": (401, 204, 204, 204, 401, 401)},
    "/auth/email/change/": {"POST": (401, 204, 204, 204, 401, 401)},
    "/movies/": {"GET": _PUBLIC},
    "/movies/top_rated/": {"GET": _PUBLIC},
    "/movies/trending/": {"GET": _PUBLIC},
    "/movies/recommendations/": {"GET": _MEMBERS},
    "/movies/onboarding/": {"GET": _MEMBERS},
    "/movies/states/": {"GET": _MEMBERS},
    "/movies/{pk}/": {"GET": _PUBLIC},
    "/movies/{pk}/match_score/": {"GET": _MEMBERS},
    "/movies/{pk}/similar/": {"GET": _PUBLIC},
    "/movies/{pk}/feedback/": {"PUT": _MEMBERS, "DELETE": (401, 404, 204, 404, 401, 401)},
    "/feedback/": {"GET": _MEMBERS},
    "/movies/{movie_id}/reviews/": {"GET": _SHARED},
    "/genres/": {"GET": _PUBLIC},
    # With a region, as here. Without one they are for callers whose profile names a region.
    "/movies/{pk}/watch_providers/": {"GET": _PUBLIC},
    "/movies/{pk}/videos/": {"GET": _PUBLIC},
    "/movies/{pk}/releases/": {"GET": _PUBLIC},
    "/providers/": {"GET": _PUBLIC},
    "/people/": {"GET": _PUBLIC},
    "/people/{pk}/": {"GET": _PUBLIC},
    "/people/{pk}/movies/": {"GET": _PUBLIC},
    "/collections/{pk}/": {"GET": _SHARED},
    "/profiles/me/": {
        "GET": _MEMBERS,
        "PUT": _MEMBERS,
        "PATCH": _MEMBERS,
        "DELETE": (401, 204, 204, 204, 401, 401),
    },
    "/profiles/stats/": {"GET": _MEMBERS},
    "/profiles/{username}/": {"GET": _SHARED},
    "/profiles/{username}/stats/": {"GET": _SHARED},
    "/profiles/{username}/ratings/": {"GET": _SHARED},
    "/profiles/{username}/playlists/": {"GET": _SHARED},
    "/profiles/{username}/followers/": {"GET": _SHARED},
    "/profiles/{username}/following/": {"GET": _SHARED},
    "/profiles/{username}/follow/": {"PUT": _FOLLOW, "DELETE": (401, 204, 204, 204, 401, 401)},
    "/profiles/{username}/block/": {"PUT": _FOLLOW, "DELETE": (401, 204, 204, 204, 401, 401)},
    "/blocks/": {"GET": _MEMBERS},
    "/feed/": {"GET": _MEMBERS},
    "/groups/": {"GET": _MEMBERS, "POST": _CREATE},
    "/groups/join/": {"POST": _MEMBERS},
    "/groups/{pk}/": {"GET": _OWNER, "PATCH": _OWNER, "DELETE": _DELETE_OWN},
    "/groups/{pk}/leave/": {"POST": _DELETE_OWN},
    "/groups/{pk}/join_code/": {"POST": _OWNER},
    # Nobody removes themselves. social/tests/test_group_views.py has the matrix of a group's members.
    "/groups/{pk}/members/{username}/": {"DELETE": (401, 404, 403, 404, 401, 401)},
    "/groups/{pk}/recommendations/": {"GET": _OWNER},
    "/groups/{pk}/votes/": {"GET": _OWNER},
    "/groups/{pk}/votes/{movie_id}/": {"PUT": _OWNER, "DELETE": _DELETE_OWN},
    "/watchlist/": {"GET": _MEMBERS, "POST": (401, 201, 200, 201, 401, 401)},
    "/watchlist/calendar/": {"GET": _MEMBERS},
    "/watchlist/calendar/feed/": {"POST": _MEMBERS},
    "/watchlist/{movie_id}/": {"PUT": (401, 201, 200, 201, 401, 401), "DELETE": _DELETE_OWN},
    "/history/": {"GET": _MEMBERS, "POST": _CREATE},
    "/history/{pk}/": {"DELETE": _DELETE_OWN},
    # Only for personal access tokens: _TOKEN_STATUSES.
    "/scrobbles/{server}/": {"POST": (401, 403, 403, 403, 401, 401)},
    "/ratings/": {"GET": _MEMBERS, "POST": (401, 201, 200, 201, 401, 401)},
    "/ratings/{pk}/": {
        "GET": _OWNER,
        "PUT": _OWNER,
        "PATCH": _OWNER,
        "DELETE": _DELETE_OWN,
    },
    "/ratings/{pk}/report/": {"POST": (401, 201, 403, 201, 401, 401)},
    "/playlists/": {"GET": _SHARED, "POST": _CREATE},
    "/playlists/{pk}/": {
        "GET": _SHARED,
        "PUT": _WRITE_SHARED,
        "PATCH": _WRITE_SHARED,
        "DELETE": _DELETE_SHARED,
    },
    "/playlists/{pk}/copy/": {"POST": _CREATE},
    "/playlists/{pk}/items/": {"GET": _SHARED, "POST": _WRITE_SHARED},
    "/playlists/{pk}/items/order/": {"PUT": _WRITE_SHARED},
    "/playlists/{pk}/items/{movie_id}/": {"PATCH": _WRITE_SHARED, "DELETE": _DELETE_SHARED},
    # Sent as JSON here; social/transfer/tests/test_imports.py tests who may send a file.
    "/imports/": {"GET": _MEMBERS, "POST": (401, 415, 415, 415, 401, 401)},
    "/imports/template.csv": {"GET": _MEMBERS},
    "/imports/{pk}/": {"GET": _OWNER, "DELETE": _DELETE_OWN},
    "/imports/{pk}/rows/{number}/": {"PATCH": _OWNER},
    "/imports/{pk}/match/": {"POST": (401, 404, 202, 404, 401, 401)},
    "/imports/{pk}/apply/": {"POST": (401, 404, 202, 404, 401, 401)},
    "/imports/{pk}/undo/": {"POST": (401, 404, 202, 404, 401, 401)},
    "/exports/": {"GET": _MEMBERS},
    "/tmdb/search/": {"GET": _repeat_for_callers(503)},
    "/tmdb/import/": {"POST": _TMDB},
    "/tmdb/import/bulk/": {"POST": _TMDB},
    "/tmdb/status/": {"GET": _PUBLIC},
}


def _hide_from(row, *callers):
    """Return the row with 404 for these callers; a 401 comes before it."""
    return tuple(
        404 if caller in callers and status != 401 else status
        for caller, status in zip(CALLERS, row, strict=True)
    )


_OTHERS = ("anonymous", "stranger", "staff")
# The callers from whom the owner's resources are hidden, by state.
HIDDEN_FROM = {
    "private profile": _OTHERS,
    "blocked by the owner": ("stranger",),
    "owner blocked": ("stranger",),
    "deactivated": _OTHERS,
}


@pytest.fixture
def world(make_user, make_movie, client_of):
    """Return the callers with their clients, and the resources of the owner."""
    movie, other = make_movie("Alien", directors=["Ada Quill"]), make_movie("Brazil")
    availability_store(movies={movie.pk: AvailabilityData()})
    provider_list_replace(providers=[ProviderData(8, "Netflix", priorities=(("DE", 0),))])
    people = {
        "stranger": make_user("stranger"),
        "owner": make_user("owner", pending_email=NEW_EMAIL),
        "staff": make_user("boss", is_staff=True, is_superuser=True),
        "deactivated": make_user("gone"),
    }
    pairs = {name: family_create(user=user) for name, user in people.items()}
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
    rating = owner.post("/ratings/", {"movie": movie.pk, "score": 4, "review": "Quiet terror."})
    owner.put(f"/movies/{movie.pk}/feedback/", {"kind": "more"})
    playlists = {
        visibility: owner.post(
            "/playlists/",
            {
                "name": f"Zebra {visibility}",
                "visibility": visibility,
                "movie_ids": [movie.pk, other.pk],
            },
        ).json()["id"]
        for visibility in Playlist.Visibility.values
    }
    group = owner.post("/groups/", {"name": "Friday"}).json()
    fellow = client_of(make_user("fellow"))
    assert fellow.post("/groups/join/", {"join_code": group["join_code"]}).status_code == 200
    owner.put(f"/groups/{group['id']}/votes/{movie.pk}/", {"vote": "yes"})
    viewing = owner.post("/history/", {"movie": movie.pk}).json()["id"]
    owner.post("/watchlist/", {"movie": movie.pk})
    imports = {
        state: Import.objects.create(
            user=people["owner"], format="imdb", sha256=state, state=state, step="", total=1
        )
        for state in ("ready", "applied")
    }
    for job in imports.values():
        ImportRow.objects.create(of=job, number=1, file="r.csv", line=2, verdict="missing")
    return SimpleNamespace(
        imports={state: job.pk for state, job in imports.items()},
        movie=movie,
        other=other,
        group=group,
        person=Person.objects.get().pk,
        collection=Collection.objects.create(tmdb_id=1, name="A series").pk,
        people=people,
        viewing=viewing,
        rating=rating.json()["id"],
        playlists=playlists,
        clients=clients,
        refresh=pairs["owner"].refresh,
        access_token=access_token_create(user=people["owner"], name="A", scopes=["read"])[0].pk,
        session=TokenFamily.objects.get(user=people["owner"]).id,
        reset=dict(
            zip(("uid", "token"), make_password_reset_credentials(people["owner"]), strict=True)
        ),
        verification=dict(
            zip(
                ("uid", "token"),
                make_verification_credentials(people["owner"], NEW_EMAIL),
                strict=True,
            )
        ),
    )


def _make_body(world, template, method):
    """Return a body with which the owner's request succeeds."""
    order = [world.other.pk, world.movie.pk]
    return {
        ("POST", "/auth/register/"): {
            "username": "new",
            "email": "new@example.org",
            "password": PASSWORD,
        },
        ("POST", "/auth/guest/register/"): {
            "username": "new",
            "email": "new@example.org",
            "password": PASSWORD,
        },
        ("POST", "/auth/token/"): {"username": "owner", "password": PASSWORD},
        ("POST", "/auth/token/refresh/"): {"refresh": world.refresh},
        ("POST", "/auth/token/verify/"): {"token": world.refresh},
        ("POST", "/auth/logout/"): {"refresh": world.refresh},
        ("POST", "/auth/access-tokens/"): {"name": "Script", "scopes": ["read"]},
        ("POST", "/auth/password/change/"): {
            "old_password": PASSWORD,
            "new_password": "another-horse-9",
        },
        ("POST", "/auth/password/reset/"): {"email": "owner@example.org"},
        ("POST", "/auth/password/reset/confirm/"): {
            **world.reset,
            "new_password": "another-horse-9",
        },
        ("POST", "/auth/email/verify/"): world.verification,
        ("POST", "/auth/email/change/"): {"email": "new@example.org", "password": PASSWORD},
        ("DELETE", "/profiles/me/"): {"password": PASSWORD},
        ("POST", "/ratings/"): {"movie": world.movie.pk, "score": 3},
        ("PUT", "/ratings/{pk}/"): {"score": 3},
        ("POST", "/ratings/{pk}/report/"): {"reason": "spam"},
        ("POST", "/groups/"): {"name": "Mine"},
        ("PATCH", "/groups/{pk}/"): {"name": "Mine"},
        ("POST", "/groups/join/"): {"join_code": world.group["join_code"]},
        ("PUT", "/groups/{pk}/votes/{movie_id}/"): {"vote": "veto"},
        ("POST", "/watchlist/"): {"movie": world.movie.pk},
        ("POST", "/history/"): {"movie": world.movie.pk},
        ("PATCH", "/imports/{pk}/rows/{number}/"): {"skip": True},
        ("PUT", "/movies/{pk}/feedback/"): {"kind": "hide"},
        ("POST", "/playlists/"): {"name": "Mine"},
        ("PUT", "/playlists/{pk}/"): {"name": "Mine"},
        ("POST", "/playlists/{pk}/items/"): {"movie_ids": [world.movie.pk]},
        ("PUT", "/playlists/{pk}/items/order/"): {"movie_ids": order},
        ("POST", "/tmdb/import/bulk/"): {"tmdb_ids": [1]},
        ("POST", "/tmdb/import/"): {"tmdb_id": 603},
    }.get((method, template), {})


def _make_path(world, template, playlist):
    pk = world.movie.pk
    if template.startswith("/playlists/"):
        pk = playlist
    elif template.startswith("/ratings/"):
        pk = world.rating
    elif template.startswith("/history/"):
        pk = world.viewing
    elif template.startswith("/imports/"):
        pk = world.imports["applied" if template.endswith("/undo/") else "ready"]
    elif template.startswith("/auth/sessions/"):
        pk = world.session
    elif template.startswith("/groups/"):
        pk = world.group["id"]
    elif template.startswith("/people/"):
        pk = world.person
    elif template.startswith("/collections/"):
        pk = world.collection
    elif template.startswith("/auth/access-tokens/"):
        pk = world.access_token
    path = template.format(
        pk=pk, movie_id=world.movie.pk, username="Owner", number=1, server="plex"
    )
    queries = {
        "/tmdb/search/": "?query=alien",
        "/movies/states/": f"?ids={world.movie.pk}",
        f"/movies/{world.movie.pk}/watch_providers/": "?region=DE",
        f"/movies/{world.movie.pk}/releases/": "?region=DE",
        "/providers/": "?region=DE",
    }
    return path + queries.get(path, "")


def _send(client, method, path, body):
    headers = {"If-Match": "*"} if method == "PUT" else {}
    return client.generic(method, path, body, content_type="application/json", headers=headers)


def _get_first_part(template):
    """Return the first part of a path: its rows share one world, which is slow to create."""
    return template.split("/")[1]


def _iterate_cases(first_part):
    for template, rows in MATRIX.items():
        shared = "{pk}" in template and template.startswith("/playlists/")
        for method, row in rows.items() if _get_first_part(template) == first_part else ():
            for visibility in Playlist.Visibility.values if shared else ["public"]:
                expected = _hide_from(row, *_OTHERS) if visibility == "private" else row
                yield template, method, visibility, expected


def test_the_matrix_has_every_route_and_method():
    assert {route.template: set(route.methods) for route in list_api_routes()} == {
        template: set(rows) for template, rows in MATRIX.items()
    }


@pytest.mark.parametrize("first_part", sorted({_get_first_part(template) for template in MATRIX}))
def test_each_caller_gets_the_status_in_the_matrix(world, unlimited, first_part):
    errors = []

    for template, method, visibility, row in _iterate_cases(first_part):
        path = _make_path(world, template, world.playlists[visibility])
        body = "" if method == "GET" else json.dumps(_make_body(world, template, method))
        for caller, expected in zip(CALLERS, row, strict=True):
            with _rollback():
                response = _send(world.clients[caller], method, path, body)
                if response.status_code != expected:
                    errors.append(f"{method} {path} {visibility} {caller}: {response.status_code}")
                elif expected >= 400:
                    _assert_problem(response)
                    _assert_nothing_changed(world)

    assert errors == []


# Where a guest gets another status than a stranger: it has no password, and may not do these.
_GUEST_STATUSES = {
    ("/auth/email/change/", "POST"): 400,
    ("/auth/guest/register/", "POST"): 200,
    ("/auth/password/change/", "POST"): 400,
    ("/profiles/me/", "DELETE"): 400,
}
_REFUSED_TO_GUESTS = ("/imports/", "/exports/", "/auth/access-tokens/", "/scrobbles/")
_WRITES_REFUSED_TO_GUESTS = (
    *("/playlists/", "/ratings/{pk}/report/", "/profiles/{username}/follow/"),
)


def _get_guest_status(template, method, stranger_status):
    is_refused = template.startswith(_REFUSED_TO_GUESTS) or (
        method != "GET" and template.startswith(_WRITES_REFUSED_TO_GUESTS)
    )
    return 403 if is_refused else _GUEST_STATUSES.get((template, method), stranger_status)


def test_guests_get_what_strangers_get_or_guest_not_allowed(world, unlimited, client_of):
    guest, errors = client_of(guest_create()), []

    for template, rows in MATRIX.items():
        for method, row in rows.items():
            expected = _get_guest_status(template, method, row[CALLERS.index("stranger")])
            path = _make_path(world, template, world.playlists["public"])
            body = "" if method == "GET" else json.dumps(_make_body(world, template, method))
            with _rollback():
                response = _send(guest, method, path, body)
                if response.status_code != expected:
                    errors.append(f"{method} {path}: {response.status_code}")
                elif expected >= 400:
                    _assert_problem(response)
                    _assert_nothing_changed(world)
            if expected == 403:
                assert response.json()["code"] == "guest_not_allowed", path

    assert errors == []


# What only a session may do: a personal access token is 403 `session_required`, whatever its scopes.
_NEEDS_SESSION = ("/auth/", "/imports/", "/exports/", "/watchlist/calendar/feed/")
# What a personal access token with the scope may do, and a session may not.
_TOKEN_STATUSES = {("/scrobbles/{server}/", "POST"): 204}


def _find_refusal(template, method, row, granted):
    """Return the code with which a token of these scopes is refused, or None if it is not."""
    if row[CALLERS.index("anonymous")] == row[CALLERS.index("expired")] != 401:
        # The call ignores tokens.
        return None
    if template.startswith(_NEEDS_SESSION) or (template, method) == ("/profiles/me/", "DELETE"):
        return "session_required"
    needed = "read" if method == "GET" else "write"
    if (template, method) in _TOKEN_STATUSES:
        needed = "scrobble"
    return None if needed in granted else "insufficient_scope"


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        (["read"], {"read"}),
        (["write"], {"read", "write"}),
        (["scrobble"], {"scrobble"}),
        (["read", "write", "scrobble"], {"read", "write", "scrobble"}),
    ],
    # A set is not printed in the same order by each test process.
    ids=lambda value: " ".join(sorted(value)),
)
def test_scopes_of_a_token_decide_on_every_route(world, unlimited, scopes, granted):
    _, token = access_token_create(user=world.people["owner"], name="Script", scopes=scopes)
    client, errors = APIClient(), []
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    for template, rows in MATRIX.items():
        for method, row in rows.items():
            refusal = _find_refusal(template, method, row, granted)
            status = _TOKEN_STATUSES.get((template, method), row[CALLERS.index("owner")])
            expected = 403 if refusal else status
            path = _make_path(world, template, world.playlists["public"])
            body = "" if method == "GET" else json.dumps(_make_body(world, template, method))
            with _rollback():
                response = _send(client, method, path, body)
                if response.status_code != expected:
                    errors.append(f"{method} {path}: {response.status_code}")
                elif refusal:
                    assert response.json()["code"] == refusal, path
                    _assert_problem(response)
                    _assert_nothing_changed(world)

    assert errors == []


def _iterate_owner_rows():
    """Yield the rows of the owner's resources, which may be hidden from other members."""
    for template, rows in MATRIX.items():
        shared = "{pk}" in template and template.startswith("/playlists/")
        if shared or "{username}" in template or template == "/ratings/{pk}/report/":
            for method, row in rows.items():
                for visibility in Playlist.Visibility.values if shared else ["public"]:
                    yield template, method, visibility, row


def _set_state(world, state):
    owner, stranger = world.people["owner"], world.people["stranger"]
    if state == "private profile":
        User.objects.filter(pk=owner.pk).update(visibility="private")
    elif state == "deactivated":
        User.objects.filter(pk=owner.pk).update(is_active=False)
    elif state == "blocked by the owner":
        Block.objects.create(blocker=owner, blocked=stranger)
    else:
        Block.objects.create(blocker=stranger, blocked=owner)


@pytest.mark.parametrize("state", HIDDEN_FROM)
def test_resources_a_caller_may_not_see_are_404_on_every_route(world, unlimited, state):
    _set_state(world, state)
    errors = []

    for template, method, visibility, row in _iterate_owner_rows():
        expected = _hide_from(row, *HIDDEN_FROM[state])
        if visibility == "private":
            expected = _hide_from(expected, *_OTHERS)
        path = _make_path(world, template, world.playlists[visibility])
        body = "" if method == "GET" else json.dumps(_make_body(world, template, method))
        for caller, status in list(zip(CALLERS, expected, strict=True))[:4]:
            if state == "deactivated" and caller == "owner":
                status = 401
            # A member may block again, and unblock, a member they have blocked.
            if (state, caller) == ("owner blocked", "stranger") and template.endswith("/block/"):
                status = 204
            with _rollback():
                response = _send(world.clients[caller], method, path, body)
            if response.status_code != status:
                errors.append(f"{method} {path} {visibility} {caller}: {response.status_code}")
            elif status >= 400:
                _assert_problem(response)

    assert errors == []
    _assert_nothing_changed(world)


@pytest.mark.parametrize("state", HIDDEN_FROM)
def test_hidden_resources_are_in_no_list_count_search_or_feed(world, unlimited, state):
    owner, stranger, boss = (world.people[name] for name in ("owner", "stranger", "staff"))
    # They followed the owner before, and the owner follows a member everybody may see.
    Follow.objects.bulk_create(
        Follow(follower=follower, followed=followed)
        for follower, followed in ((stranger, owner), (boss, owner), (owner, boss))
    )
    _set_state(world, state)
    for caller in _OTHERS:
        client, pages = world.clients[caller], {}
        paths = [
            "/playlists/", "/playlists/?search=zebra", "/playlists/?owner=OWNER",
            "/playlists/?cursor=", f"/movies/{world.movie.pk}/reviews/",
            "/profiles/boss/followers/",
        ]  # fmt: skip
        if caller != "anonymous":
            paths.append("/feed/")
        for path in paths:
            pages[path] = client.get(path).json()
        is_hidden = caller in HIDDEN_FROM[state]
        for path, page in pages.items():
            assert (page["count"] == 0) == is_hidden, (caller, path)
            assert (page["results"] == []) == is_hidden, (caller, path)


@contextmanager
def _rollback():
    """Roll back the changes of a request, so that every caller has the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _assert_problem(response):
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["request_id"] == response["X-Request-ID"]
    if response.status_code == 401:
        assert response["WWW-Authenticate"].startswith("Bearer")
    if response.status_code == 404:
        # The same text as for a resource that does not exist.
        assert response.json()["detail"] == "Not found."
    if response.status_code == 503:
        assert response.json()["code"] == "tmdb_not_configured"


def _assert_nothing_changed(world):
    rating = Rating.objects.get(pk=world.rating)
    assert (rating.score, rating.review) == (4, "Quiet terror.")
    assert list(Feedback.objects.values_list("kind", flat=True)) == ["more"]
    playlists = Playlist.objects.order_by("name").values_list("name", "movie_count", "version")
    versions = {version for *_, version in playlists}
    assert [name for name, *_ in playlists] == ["Zebra private", "Zebra public", "Zebra unlisted"]
    assert len(versions) == 1
    assert Movie.objects.count() == 2
    assert (WatchlistItem.objects.count(), Viewing.objects.count()) == (1, 1)
    assert {job.pk: job.state for job in Import.objects.all()} == {
        pk: state for state, pk in world.imports.items()
    }


@pytest.mark.parametrize("caller", ["anonymous", "stranger", "staff"])
def test_private_and_unlisted_playlists_are_in_no_list_count_or_search(world, caller):
    client = world.clients[caller]
    for query in ("", "?search=zebra", "?owner=owner", "?cursor=", "?ordering=name"):
        response = client.get("/playlists/" + query).json()
        assert response["count"] == 1
        assert [playlist["id"] for playlist in response["results"]] == [world.playlists["public"]]
    if caller != "anonymous":
        assert client.get("/ratings/").json()["count"] == 0
        assert client.get("/feedback/").json()["count"] == 0
        assert client.get("/profiles/stats/").json()["total_ratings"] == 0


def test_the_owner_finds_every_playlist(world):
    response = world.clients["owner"].get("/playlists/?search=zebra").json()

    assert response["count"] == 3
    assert {playlist["id"] for playlist in response["results"]} == set(world.playlists.values())


def test_reviews_of_a_private_profile_are_hidden(world, make_user, client_of):
    shy = make_user("shy", visibility="private")
    client_of(shy).post("/ratings/", {"movie": world.movie.pk, "score": 1, "review": "Mine alone."})
    for caller in ("anonymous", "stranger", "staff"):
        response = world.clients[caller].get(f"/movies/{world.movie.pk}/reviews/").json()
        assert response["count"] == 1
        assert [review["user"] for review in response["results"]] == ["owner"]


def test_resources_of_a_deactivated_member_are_hidden(world):
    User.objects.filter(username="owner").update(is_active=False)

    client = world.clients["stranger"]

    assert client.get("/playlists/").json()["count"] == 0
    assert client.get(f"/playlists/{world.playlists['public']}/").status_code == 404
    assert client.get(f"/movies/{world.movie.pk}/reviews/").json()["count"] == 0


@pytest.mark.parametrize("caller", CALLERS)
def test_a_detail_with_append_is_for_the_callers_of_what_it_appends(world, unlimited, caller):
    path = f"/movies/{world.movie.pk}/?append="
    row = {
        "similar": _PUBLIC,
        "videos": _PUBLIC,
        "watch_providers&region=DE": _PUBLIC,
        "watch_providers": (400, 400, 400, 400, 401, 401),
        "reviews": _SHARED,
        "state": _MEMBERS,
        "similar,reviews,state": _MEMBERS,
    }

    for append, statuses in row.items():
        response = world.clients[caller].get(path + append)

        assert response.status_code == statuses[CALLERS.index(caller)], append


@pytest.mark.parametrize("caller", CALLERS)
def test_an_unsupported_method_is_405_for_every_caller(world, unlimited, caller):
    for route in list_api_routes():
        path = _make_path(world, route.template, world.playlists["public"])
        offered = {*route.methods, *({"HEAD"} if "GET" in route.methods else set())}
        for method in {*METHODS, "HEAD", "OPTIONS", "TRACE"} - offered:
            client = world.clients[caller]
            response = client.generic(method, path, "{}", content_type="application/json")
            assert response.status_code == 405, (method, path, response.content)
            assert set(response["Allow"].split(", ")) == offered
            if method != "HEAD":
                assert response.json()["code"] == "method_not_allowed"

    _assert_nothing_changed(world)


def test_a_token_of_an_unknown_session_is_rejected(world, make_user):
    token = AccessToken.for_user(make_user("ann"))
    client = APIClient()
    for family in (None, "x", "00000000-0000-0000-0000-000000000000"):
        token[FAMILY_CLAIM] = family
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        assert client.get("/profiles/me/").status_code == 401
