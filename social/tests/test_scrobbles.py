"""Webhooks of media servers become viewings. The bodies have the shapes of their documentation."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.services import access_token_create
from social.models import Viewing
from social.tests.helpers import run_concurrently

PLEX = {
    "event": "media.scrobble",
    "user": True,
    "owner": True,
    "Account": {"id": 1, "thumb": "https://plex.tv/users/1/avatar", "title": "ann"},
    "Server": {"title": "Attic", "uuid": "54664a3d8acc39983675640ec9ce00b70af9cc36"},
    "Player": {"local": True, "publicAddress": "192.0.2.1", "title": "TV", "uuid": "r6yfkdnfggbh2"},
    "Metadata": {
        "librarySectionType": "movie",
        "ratingKey": "1936545",
        "guid": "plex://movie/5d776827880197001ec9038e",
        "type": "movie",
        "title": "Alien",
        "year": 1979,
        "viewOffset": 6_500_000,
        "duration": 7_020_000,
        "Guid": [{"id": "imdb://tt0078748"}, {"id": "tmdb://348"}, {"id": "tvdb://108"}],
    },
}
JELLYFIN = {
    "ServerId": "d81a2f1c",
    "ServerName": "attic",
    "ServerVersion": "10.9.0",
    "NotificationType": "PlaybackStop",
    "Timestamp": "2026-07-20T22:30:00.1234567-07:00",
    "UtcTimestamp": "2026-07-21T05:30:00.1234567Z",
    "Name": "Alien",
    "Overview": "In space.",
    "ItemId": "0b5a",
    "ItemType": "Movie",
    "RunTimeTicks": 70_200_000_000,
    "RunTime": "01:57:00",
    "Year": 1979,
    "Provider_imdb": "tt0078748",
    "Provider_tmdb": "348",
    "PlaybackPositionTicks": 70_000_000_000,
    "PlayedToCompletion": True,
    "NotificationUsername": "ann",
    "UserId": "aac3",
}
EMBY = {
    "Title": "ann has finished playing Alien on TV",
    "Date": "2026-07-21T05:30:00.1234567Z",
    "Event": "playback.stop",
    "User": {"Name": "ann", "Id": "aac3"},
    "Item": {
        "Name": "Alien",
        "Id": "4916",
        "Type": "Movie",
        "RunTimeTicks": 70_200_000_000,
        "ProductionYear": 1979,
        "ProviderIds": {"Tmdb": "348", "Imdb": "tt0078748"},
    },
    "Server": {"Name": "attic", "Id": "1559"},
    "Session": {"Client": "Emby Web", "DeviceName": "TV"},
    "PlaybackInfo": {"PositionTicks": 70_000_000_000, "PlayedToCompletion": True},
}
KODI = {
    "jsonrpc": "2.0",
    "method": "Player.OnStop",
    "params": {
        "sender": "xbmc",
        "data": {
            "end": True,
            "item": {
                "type": "movie",
                "title": "Alien",
                "year": 1979,
                "uniqueid": {"imdb": "tt0078748", "tmdb": "348"},
            },
        },
    },
}

PART = "Content-Disposition: form-data; "


def change(body, **changes):
    """Return a copy of a body; a name with `__` is a path, and None removes it."""
    body = json.loads(json.dumps(body))
    for path, value in changes.items():
        *parents, name = path.split("__")
        target = body
        for parent in parents:
            target = target[parent]
        if value is None:
            target.pop(name)
        else:
            target[name] = value
    return body


FINISHED = [
    ("plex", PLEX),
    ("plex", change(PLEX, event="media.stop")),
    ("plex", change(PLEX, Metadata__Guid=None, Metadata__guid="com.plexapp.agents.imdb://tt0078748?lang=en")),
    ("plex", change(PLEX, Metadata__Guid=None)),
    ("jellyfin", JELLYFIN),
    ("jellyfin", change(JELLYFIN, PlayedToCompletion="True", RunTimeTicks="70200000000")),
    ("jellyfin", change(JELLYFIN, PlayedToCompletion=False)),
    (
        "jellyfin",
        change(JELLYFIN, NotificationType="UserDataSaved", SaveReason="TogglePlayed", Played=True),
    ),
    ("jellyfin", change(JELLYFIN, Provider_tmdb=None, Provider_imdb=None)),
    ("jellyfin", change(EMBY, Event="Stop")),
    ("emby", EMBY),
    ("emby", change(EMBY, PlaybackInfo__PlayedToCompletion=False)),
    ("emby", change(EMBY, Event="item.markplayed", PlaybackInfo=None)),
    ("emby", change(EMBY, Item__ProviderIds={})),
    ("kodi", KODI),
    (
        "kodi",
        {
            "method": "VideoLibrary.OnUpdate",
            "params": {"data": {"item": KODI["params"]["data"]["item"], "playcount": 1}},
        },
    ),
    ("kodi", {"title": "Alien", "uniqueIds": {"tmdbId": 348}}),
    ("kodi", {"uniqueIds": {"tmdbId": "348"}}),
    ("kodi", {"identifier": "348", "lot": "Movie", "source": "Tmdb", "progress": 95}),
    ("kodi", {"event": "stop", "mediatype": "movie", "title": "Alien", "year": 1979, "time": 91, "totaltime": 100}),
]  # fmt: skip
FORGOTTEN = [
    ("plex", change(PLEX, event="media.play")),
    ("plex", change(PLEX, event="media.stop", Metadata__viewOffset=3_000_000)),
    ("plex", change(PLEX, Metadata__type="episode")),
    # Somebody else on the server.
    ("plex", change(PLEX, user=False)),
    ("plex", {"event": "media.scrobble"}),
    ("jellyfin", change(JELLYFIN, NotificationType="PlaybackStart", PlayedToCompletion=None)),
    ("jellyfin", change(JELLYFIN, PlayedToCompletion=False, PlaybackPositionTicks=1)),
    ("jellyfin", change(JELLYFIN, ItemType="Episode")),
    ("jellyfin", change(JELLYFIN, NotificationType="UserDataSaved", SaveReason="TogglePlayed", Played=False)),
    ("emby", change(EMBY, Event="item.markunplayed")),
    ("emby", change(EMBY, Item__Type="Episode")),
    ("emby", change(EMBY, PlaybackInfo={"PositionTicks": 5, "PlayedToCompletion": False})),
    ("kodi", change(KODI, params__data__end=False)),
    ("kodi", change(KODI, params__data__item__type="episode")),
    ("kodi", change(KODI, method="Player.OnPlay", params__data__end=None)),
    ("kodi", {"identifier": "348", "lot": "Movie", "source": "Tmdb", "progress": 20}),
    # Not in the catalogue, or not for certain.
    ("kodi", {"title": "Nowhere", "year": 1979}),
    ("kodi", {"title": "Alien"}),
    *(("plex", body) for body in ([], "text", 5, None, {}, {"Metadata": []}, {"Metadata": {"type": {}}})),
    ("emby", {"Event": ["x"], "Item": {"Type": "Movie", "Name": 5, "ProviderIds": ["x"]}}),
    ("jellyfin", change(JELLYFIN, Name={}, Year=1e17, Provider_tmdb=True, Provider_imdb=[1])),
    ("kodi", {"params": {"data": "x"}}),
]  # fmt: skip


@pytest.fixture
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien", release_year=1979, tmdb_id=348, imdb_id="tt0078748")


@pytest.fixture
def make_server(ann):
    """Return a function that creates a client with a personal access token of a member."""

    def make(user=ann, scopes=("scrobble",)):
        _, token = access_token_create(user=user, name="TV", scopes=list(scopes))
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        client.token = token
        return client

    return make


def send(client, server, body, query=""):
    return client.post(f"/scrobbles/{server}/{query}", body, format="json")


def test_a_finished_movie_becomes_one_viewing_however_often_it_is_sent(ann, movie, make_server):
    for server, body in FINISHED:
        client = make_server()

        responses = [send(client, server, body) for _ in range(3)]

        assert [response.status_code for response in responses] == [204] * 3, (server, body)
        viewing = Viewing.objects.get()
        assert (viewing.user_id, viewing.movie_id) == (ann.pk, movie.pk)
        assert abs(timezone.now() - viewing.watched_at) < timedelta(seconds=10)
        viewing.delete()
        ann.personal_access_tokens.all().delete()


def test_what_is_no_finished_movie_is_204_and_forgotten(movie, make_server):
    client = make_server()

    for server, body in FORGOTTEN:
        response = client.generic(
            "POST", f"/scrobbles/{server}/", json.dumps(body), content_type="application/json"
        )
        assert response.status_code == 204, (server, body, response.content)

    assert not Viewing.objects.exists()


def test_a_movie_is_scrobbled_again_after_twelve_hours(movie, make_server):
    client = make_server()
    send(client, "plex", PLEX)
    Viewing.objects.update(watched_at=timezone.now() - timedelta(hours=11, minutes=59))
    send(client, "plex", PLEX)
    assert Viewing.objects.count() == 1
    Viewing.objects.update(watched_at=timezone.now() - timedelta(hours=12, minutes=1))

    send(client, "plex", PLEX)

    assert Viewing.objects.count() == 2


def test_members_of_a_shared_server_are_told_apart_by_their_tokens(
    ann, movie, make_server, make_user
):
    bob = make_user("bob")

    for client in (make_server(), make_server(user=bob)):
        assert send(client, "plex", PLEX).status_code == 204

    assert set(Viewing.objects.values_list("user_id", flat=True)) == {ann.pk, bob.pk}


def test_the_day_is_that_of_the_servers_clock(movie, make_server, monkeypatch):
    now = datetime(2026, 7, 21, 5, 30, tzinfo=UTC)
    client = make_server()
    monkeypatch.setattr(timezone, "now", lambda: now)

    send(client, "jellyfin", JELLYFIN)

    viewing = Viewing.objects.get()
    assert (f"{viewing.watched_on}", viewing.watched_at) == ("2026-07-20", now)


def test_a_scrobble_takes_the_movie_off_the_watchlist(ann, movie, make_server, client_of):
    client_of(ann).post("/watchlist/", {"movie": movie.pk})

    send(make_server(), "emby", EMBY)

    assert client_of(ann).get("/watchlist/").json()["count"] == 0
    (viewing,) = client_of(ann).get("/history/").json()["results"]
    assert viewing["movie"]["title"] == "Alien"


def test_plex_sends_json_beside_a_picture(movie, make_server):
    picture = SimpleUploadedFile("thumb.jpg", b"\xff\xd8" + b"x" * 1_500_000, "image/jpeg")
    body = {"payload": json.dumps(PLEX), "thumb": picture}

    response = make_server().post("/scrobbles/plex/", body, format="multipart")

    assert response.status_code == 204
    assert Viewing.objects.count() == 1


def test_the_json_may_be_as_large_as_the_whole_body(movie, make_server):
    client = make_server()
    text = json.dumps({**PLEX, "summary": "x" * (2 * 1024 * 1024 - 5000)})
    multipart = f'--b\r\n{PART}name="payload"\r\n\r\n{text}\r\n--b--\r\n'
    bodies = [
        (text, "application/json"),
        (multipart, "multipart/form-data; boundary=b"),
        # RFC 7578 has no such parameter; some clients send one, and this is no encoding of text.
        (multipart, "multipart/form-data; boundary=b; charset=base64"),
        ("payload=" + text, "application/x-www-form-urlencoded"),
    ]

    for body, content_type in bodies:
        response = client.generic("POST", "/scrobbles/plex/", body, content_type=content_type)
        assert response.status_code == 204, (content_type, response.content)

    assert Viewing.objects.count() == 1


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", ""])
def test_the_media_type_of_json_does_not_matter(movie, make_server, content_type):
    response = make_server().generic(
        "POST", "/scrobbles/jellyfin/", json.dumps(JELLYFIN), content_type=content_type
    )

    assert response.status_code == 204
    assert Viewing.objects.count() == 1


def test_a_body_that_cannot_be_read_is_refused(movie, make_server):
    client = make_server()
    bodies = [
        ("{", "application/json", 400),
        ('{"Name": "a\\u0000b"}', "application/json", 400),
        ("[" * 900 + "]" * 900, "text/plain", 400),
        ("x=1", "application/x-www-form-urlencoded", 400),
        ("--b\r\n", "multipart/form-data; boundary=b", 400),
        ("--b--", "multipart/form-data", 400),
        (f'--b\r\n{PART}name="payload"', "multipart/form-data; boundary=b", 400),
        (f"--b\r\n{PART}name*=none''p%61yload\r\n\r\n{{}}\r\n--b--", "multipart/form-data; boundary=b", 400),
        (f'--b\r\n{PART}name="payload"\r\n\r\n{{\r\n--b--', "multipart/form-data; boundary=b", 400),
        (f'--b\r\n{PART}name="x"\r\n\r\n1\r\n' * 2000 + "--b--", "multipart/form-data; boundary=b", 400),
        (f'--b\r\n{PART}name="x"; filename="y"\r\n\r\n1\r\n' * 2000 + "--b--", "multipart/form-data; boundary=b", 400),
        ("x=1&" * 2000, "application/x-www-form-urlencoded", 400),
        ("[" + "[]," * 50_000 + "0]", "application/json", 413),
        ("x" * (2 * 1024 * 1024 + 1), "text/plain", 413),
    ]  # fmt: skip

    for body, content_type, status in bodies:
        response = client.generic("POST", "/scrobbles/plex/", body, content_type=content_type)
        assert response.status_code == status, (body[:20], content_type)
        assert response["Content-Type"] == "application/problem+json"

    assert send(client, "netflix", PLEX).status_code == 404


def test_a_connection_that_ends_before_the_body_is_a_400(make_server):
    class ClosedConnection:
        def read(self, size=-1):
            raise ConnectionResetError

        readline = read

    for content_type in ("application/json", "multipart/form-data; boundary=b"):
        response = make_server().generic(
            "POST", "/scrobbles/plex/", "x", content_type, **{"wsgi.input": ClosedConnection()}
        )
        assert (response.status_code, response.json()["code"]) == (400, "bad_request")


# --- Tokens --------------------------------------------------------------------------------------


def test_a_url_may_hold_a_token_whose_only_scope_is_scrobble(movie, make_server):
    token, wide = make_server().token, make_server(scopes=["scrobble", "read"]).token
    client = APIClient()

    assert send(client, "plex", PLEX, f"?token={token}").status_code == 204
    refused = send(client, "plex", PLEX, f"?token={wide}")
    unknown = send(client, "plex", PLEX, f"?token={token}x")

    assert Viewing.objects.count() == 1
    assert (refused.status_code, refused.json()["code"]) == (401, "access_token_not_valid")
    assert "sole scope" in refused.json()["detail"]
    assert unknown.status_code == 401
    assert send(client, "plex", PLEX, f"?token={token}&token={token}").status_code == 400
    assert send(client, "plex", PLEX, f"?token={token}&x=1").status_code == 400


def test_only_this_route_takes_a_token_from_the_url(movie, make_server):
    token = make_server(scopes=["read"]).token

    responses = [
        APIClient().get(f"{path}?token={token}") for path in ("/history/", "/profiles/me/")
    ]

    assert {response.status_code for response in responses} == {401}


def test_a_session_and_other_scopes_are_refused(ann, movie, make_server, client_of):
    responses = [
        send(client, "plex", PLEX)
        for client in (client_of(ann), make_server(scopes=["read", "write"]))
    ]

    for response in responses:
        assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")


@pytest.mark.django_db(transaction=True)
def test_concurrent_webhooks_make_one_viewing(movie, make_server):
    client = make_server()

    responses = run_concurrently(*[lambda: send(client, "plex", PLEX)] * 10)

    assert {response.status_code for response in responses} == {204}
    assert Viewing.objects.count() == 1
