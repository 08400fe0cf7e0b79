import base64
import json
import uuid

import pytest

from social.models import Playlist, PlaylistItem
from social.tests.helpers import run_concurrently

PLAYLIST_FIELDS = {
    "id",
    "owner",
    "name",
    "description",
    "visibility",
    "movie_count",
    "cover_urls",
    "seen_count",
    "created_at",
    "updated_at",
}


@pytest.fixture
def client(make_user, client_of):
    return client_of(make_user("ann"))


@pytest.fixture
def stranger(make_user, client_of):
    return client_of(make_user("bob"))


@pytest.fixture
def movies(make_movie):
    return [make_movie(f"Movie {number}").id for number in range(5)]


@pytest.fixture
def make_playlist(client):
    def make(name="Nights", **fields):
        response = client.post("/playlists/", {"name": name, **fields})
        assert response.status_code == 201, response.json()
        return f"/playlists/{response.json()['id']}/"

    return make


def read_items(client, url):
    response = client.get(f"{url}items/")
    assert response.status_code == 200
    results = response.json()["results"]
    assert [result["position"] for result in results] == list(range(1, len(results) + 1))
    assert client.get(url).json()["movie_count"] == len(results)
    return [result["movie"]["id"] for result in results]


def read_names(client, query=""):
    response = client.get(f"/playlists/{query}")
    assert response.status_code == 200, response.json()
    return [result["name"] for result in response.json()["results"]]


# --- Create, read, update, delete ----------------------------------------------------------------


def test_creating_a_playlist_returns_201_with_its_location(client, movies):
    payload = {"name": " Late nights ", "movie_ids": [movies[2], movies[0], movies[2]]}

    response = client.post("/playlists/", payload)

    assert response.status_code == 201
    body = response.json()
    assert set(body) == PLAYLIST_FIELDS
    assert response["Location"] == f"http://testserver/playlists/{body['id']}/"
    assert (body["owner"], body["name"], body["description"]) == ("ann", "Late nights", "")
    assert (body["visibility"], body["movie_count"]) == ("public", 2)
    assert client.get(response["Location"]).json() == body
    assert read_items(client, f"/playlists/{body['id']}/") == [movies[2], movies[0]]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": None}, "name"),
        ({"description": "x" * 2001}, "description"),
        ({"visibility": "secret"}, "visibility"),
        ({"visibility": True}, "visibility"),
        ({"visibility": []}, "visibility"),
        ({"movie_ids": "1"}, "movie_ids"),
        ({"movie_ids": None}, "movie_ids"),
        ({"movie_ids": list(range(1, 102))}, "movie_ids"),
        ({"movie_ids": {"1": 1}}, "movie_ids"),
        *(
            ({"movie_ids": [movie_id]}, "movie_ids.0")
            for movie_id in ("005", "1_0", True, 0, 2**63, None, [1])
        ),
    ],
)
def test_an_invalid_field_is_rejected_by_name(client, fields, wrong):
    response = client.post("/playlists/", {"name": "Nights", **fields})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {wrong}
    assert not Playlist.objects.exists()


def test_unknown_movies_are_named_and_no_playlist_is_created(client, movies):
    payload = {"name": "Nights", "movie_ids": [movies[0], 987654321, 987654320]}

    response = client.post("/playlists/", payload)

    assert response.status_code == 400
    assert "987654320, 987654321" in response.json()["errors"]["movie_ids"][0]["message"]
    assert not Playlist.objects.exists()


def test_an_update_without_movie_ids_keeps_the_items(client, make_playlist, movies):
    url = make_playlist(description="For late hours.", movie_ids=movies[:2])

    response = client.patch(url, {"name": "Days"})

    assert response.status_code == 200
    assert (response.json()["name"], response.json()["description"]) == ("Days", "For late hours.")
    assert response.json()["owner"] == "ann"

    response = client.put(url, {"name": "Years", "description": "", "visibility": "private"})

    assert response.status_code == 200
    assert (response.json()["description"], response.json()["visibility"]) == ("", "private")
    assert client.get(url).json() == response.json()
    assert read_items(client, url) == movies[:2]
    assert set(client.put(url, {}).json()["errors"]) == {"name"}


def test_movie_ids_of_an_update_replace_the_whole_content(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies[:3])
    client.patch(f"{url}items/{movies[1]}/", {"note": "The best."})
    new_order = [movies[4], movies[1], movies[0]]

    response = client.patch(url, {"movie_ids": new_order})

    assert (response.status_code, response.json()["movie_count"]) == (200, 3)
    assert read_items(client, url) == new_order
    assert client.get(f"{url}items/").json()["results"][1]["note"] == "The best."
    assert client.patch(url, {"movie_ids": [987654321]}).status_code == 400
    assert read_items(client, url) == new_order
    assert client.patch(url, {"movie_ids": []}).json()["movie_count"] == 0
    assert read_items(client, url) == []


def test_deleting_a_playlist_deletes_its_items(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies)

    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert not PlaylistItem.objects.exists()


# --- Permissions ---------------------------------------------------------------------------------

WRITES = [
    ("put", "", {"name": "Mine"}),
    ("patch", "", {"name": "Mine"}),
    ("delete", "", None),
    ("post", "items/", {"movie_ids": [1]}),
    ("put", "items/order/", {"movie_ids": [1]}),
    ("patch", "items/1/", {"note": "x"}),
    ("delete", "items/1/", None),
]


@pytest.mark.parametrize(
    ("visibility", "status"), [("public", 403), ("unlisted", 403), ("private", 404)]
)
def test_other_members_cannot_change_a_playlist(stranger, make_playlist, visibility, status):
    url = make_playlist(visibility=visibility)

    for method, path, body in WRITES:
        response = getattr(stranger, method)(f"{url}{path}", body, headers={"If-Match": "*"})
        assert response.status_code == status, (method, path)
        assert response.json()["code"] == {403: "permission_denied", 404: "not_found"}[status]
        # The permission is checked before the body.
        response = getattr(stranger, method)(f"{url}{path}", {"name": 5, "movie_ids": 5})
        assert response.status_code == status, (method, path)

    assert Playlist.objects.get().name == "Nights"


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_anonymous_callers_cannot_change_a_playlist(api, make_playlist, visibility):
    url = make_playlist(visibility=visibility)

    for method, path, body in WRITES:
        response = getattr(api, method)(f"{url}{path}", body)
        assert response.status_code == 401, (method, path)
        assert "WWW-Authenticate" in response

    assert api.post("/playlists/", {"name": "Mine"}).status_code == 401


@pytest.mark.parametrize(
    ("visibility", "status"), [("public", 200), ("unlisted", 200), ("private", 404)]
)
def test_playlists_that_are_not_private_can_be_read_by_url(
    api, stranger, make_playlist, visibility, status
):
    url = make_playlist(visibility=visibility)

    for client in (api, stranger):
        assert client.get(url).status_code == status
        assert client.get(f"{url}items/").status_code == status


def test_the_list_has_public_playlists_and_the_callers_own(api, client, stranger, make_playlist):
    for visibility in ("public", "unlisted", "private"):
        make_playlist(visibility, visibility=visibility)

    stranger.post("/playlists/", {"name": "bob's", "visibility": "private"})

    assert read_names(api) == ["public"]
    assert read_names(stranger) == ["bob's", "public"]
    assert read_names(client) == ["private", "unlisted", "public"]
    assert read_names(stranger, "?owner=ann") == ["public"]
    assert read_names(stranger, "?search=private") == []
    assert api.get("/playlists/?search=unlisted").json()["count"] == 0


def test_playlists_of_a_deactivated_member_are_hidden(api, make_playlist):
    url = make_playlist()
    owner = Playlist.objects.get().owner
    owner.is_active = False

    owner.save()

    assert api.get(url).status_code == 404
    assert read_names(api) == []


@pytest.mark.parametrize("pk", [uuid.uuid4(), "x", "1", "00000000-0000-0000-0000-00000000000g"])
def test_an_unknown_playlist_is_404(client, pk):
    for path in ("", "items/"):
        response = client.get(f"/playlists/{pk}/{path}")
        assert response.status_code == 404
        assert response.json()["status"] == 404


# --- The list ------------------------------------------------------------------------------------


@pytest.fixture
def three_playlists(make_playlist, client, movies):
    make_playlist("Beta nights", movie_ids=movies[:1])
    url = make_playlist("alpha Nights", movie_ids=movies[:3])
    make_playlist("Gamma", movie_ids=movies[:2])
    client.patch(url, {"description": "Updated last."})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Gamma", "alpha Nights", "Beta nights"]),
        ("?ordering=created_at", ["Beta nights", "alpha Nights", "Gamma"]),
        ("?ordering=-updated_at&page_size=1", ["alpha Nights"]),
        ("?ordering=movie_count", ["Beta nights", "Gamma", "alpha Nights"]),
        ("?ordering=-movie_count", ["alpha Nights", "Gamma", "Beta nights"]),
        ("?search=NIGHTS", ["alpha Nights", "Beta nights"]),
        ("?search=nights%20beta", ["Beta nights"]),
        ("?search=night", []),
        ("?owner=ann&search=gamma", ["Gamma"]),
        ("?owner=nobody", []),
    ],
)
def test_filters_and_orderings_select_the_expected_rows(api, three_playlists, query, expected):
    assert read_names(api, query) == expected


@pytest.mark.parametrize("column", ["created_at", "updated_at", "name", "movie_count"])
def test_cursors_read_every_row_once(api, three_playlists, column):
    for ordering in (column, f"-{column}"):
        url, collected = f"/playlists/?page_size=1&cursor=&ordering={ordering}", []
        while url:
            response = api.get(url).json()
            collected += [result["name"] for result in response["results"]]
            url = response["next"]
        assert collected == read_names(api, f"?ordering={ordering}")


@pytest.mark.parametrize(
    "position",
    [
        *([], ["x"], ["x", "y"], [1, True], [None, None], [[], {}], {"a": 1}, [1, -1]),
        *(["2026-01-01T00:00:00Z", "x"], [1e308, "x"], [2**70, "x"], ["\x00", str(uuid.uuid4())]),
        *(["9999-99-99T00:00:00Z", "x"], [2**62, "00"], ["\ud800", "x"]),
    ],
)
def test_a_forged_cursor_is_rejected(api, three_playlists, position):
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")

    for ordering in ("-created_at", "name", "movie_count"):
        response = api.get(f"/playlists/?cursor={cursor}&ordering={ordering}")
        assert response.status_code == 400
        assert set(response.json()["errors"]) == {"cursor"}


@pytest.mark.parametrize(
    "query",
    [
        *("owner=a%20b", "owner=%00", "owner=", f"owner={'x' * 151}", "owner=ann&owner=bob"),
        *("search=", "search=%00", "search=!!", f"search={'x' * 201}"),
        *("ordering=owner", "page=01", "page_size=0", "cursor=AAAA", "visibility=private"),
    ],
)
def test_an_invalid_parameter_is_rejected_by_name(api, db, query):
    response = api.get(f"/playlists/?{query}")

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {query.split("=")[0]}


def test_playlist_lists_take_a_fixed_number_of_queries(
    client, three_playlists, make_playlist, movies, django_assert_num_queries
):
    url = make_playlist(movie_ids=movies)

    # The session, the count, the page with its owners, the covers, the seen counts.
    with django_assert_num_queries(5):
        client.get("/playlists/?search=nights&owner=ann")
    with django_assert_num_queries(4):  # the session, the playlist, the count, the page
        client.get(f"{url}items/")


# --- Items ---------------------------------------------------------------------------------------


def test_added_movies_are_appended_and_the_response_reports_each(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies[:2])
    payload = [movies[3], movies[1], 987654321, movies[2], movies[3]]

    response = client.post(f"{url}items/", {"movie_ids": payload})

    assert response.status_code == 200
    assert response.json() == {
        "added": [movies[3], movies[2]],
        "existing": [movies[1]],
        "not_found": [987654321],
    }
    assert read_items(client, url) == [movies[0], movies[1], movies[3], movies[2]]

    again = client.post(f"{url}items/", {"movie_ids": movies[:1]}).json()

    assert again == {"added": [], "existing": movies[:1], "not_found": []}


def test_an_item_has_position_note_time_and_movie(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies[:1])

    response = client.patch(f"{url}items/{movies[0]}/", {"note": "With the sound up."})

    assert response.status_code == 200
    item = response.json()
    assert set(item) == {"position", "note", "added_at", "movie"}
    assert (item["position"], item["note"]) == (1, "With the sound up.")
    assert (item["movie"]["id"], item["movie"]["title"]) == (movies[0], "Movie 0")
    assert client.get(f"{url}items/").json()["results"] == [item]
    assert client.patch(f"{url}items/{movies[0]}/", {}).json() == item
    assert client.patch(f"{url}items/{movies[0]}/", {"note": ""}).json()["note"] == ""


@pytest.mark.parametrize("note", [5, None, "x" * 501])
def test_an_invalid_note_is_rejected(client, make_playlist, movies, note):
    url = make_playlist(movie_ids=movies[:1])

    response = client.patch(f"{url}items/{movies[0]}/", {"note": note})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"note"}


def test_removing_a_movie_closes_the_gap(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies)

    assert client.delete(f"{url}items/{movies[1]}/").status_code == 204
    assert read_items(client, url) == [movies[0], *movies[2:]]
    assert client.delete(f"{url}items/{movies[1]}/").status_code == 404
    assert client.patch(f"{url}items/{movies[1]}/", {"note": "x"}).status_code == 404


@pytest.mark.parametrize("payload", [{}, {"movie_ids": []}, {"movie_ids": list(range(1, 102))}])
def test_adding_no_movies_or_more_than_a_hundred_is_rejected(client, make_playlist, payload):
    response = client.post(f"{make_playlist()}items/", payload)

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"movie_ids"}


def test_a_playlist_has_a_maximum_number_of_items(client, make_playlist, movies, settings):
    settings.MEMBER_QUOTAS = {**settings.MEMBER_QUOTAS, "playlist_items": 3}
    url = make_playlist(movie_ids=movies[:2])

    response = client.post(f"{url}items/", {"movie_ids": movies[2:]})

    assert (response.status_code, response.json()["code"]) == (409, "too_many_playlist_items")
    assert read_items(client, url) == movies[:2]
    assert client.post(f"{url}items/", {"movie_ids": movies[2:3]}).status_code == 200


# --- Order and versions --------------------------------------------------------------------------


def reorder(client, url, movie_ids, etag):
    headers = {"If-Match": etag} if etag else {}
    return client.put(f"{url}items/order/", {"movie_ids": movie_ids}, headers=headers)


def test_a_playlist_is_reordered(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies)
    new_order = [movies[index] for index in (4, 2, 0, 1, 3)]

    response = reorder(client, url, new_order, client.get(f"{url}items/")["ETag"])

    assert response.status_code == 200
    assert response.json() == {"movie_ids": new_order}
    assert read_items(client, url) == new_order
    # The ETag of the response is valid for the next reorder.
    assert reorder(client, url, movies, response["ETag"]).status_code == 200
    assert read_items(client, url) == movies


def test_the_etag_of_any_page_or_of_the_playlist_is_valid_for_a_reorder(
    client, make_playlist, movies
):
    url = make_playlist(movie_ids=movies)

    for path in ("items/?page=2&page_size=2", "items/?cursor=", ""):
        movies = movies[::-1]
        response = reorder(client, url, movies, client.get(f"{url}{path}")["ETag"])
        assert response.status_code == 200


def test_a_reorder_into_the_current_order_returns_204_and_keeps_the_etag(
    client, make_playlist, movies
):
    url = make_playlist(movie_ids=movies)
    etag, before = client.get(f"{url}items/")["ETag"], client.get(url).json()

    response = reorder(client, url, movies, etag)

    assert (response.status_code, response.content) == (204, b"")
    assert client.get(url).json() == before
    assert reorder(client, url, movies[::-1], response["ETag"]).status_code == 200
    assert reorder(client, url, movies, etag).status_code == 412


def test_a_reorder_without_if_match_returns_428(client, make_playlist, movies):
    response = reorder(client, make_playlist(movie_ids=movies), movies, None)

    assert response.status_code == 428
    assert response.json()["code"] == "precondition_required"


@pytest.mark.parametrize("etag", ['"0-abc"', '"999"', "x", '""', '"-"', "é"])
def test_a_reorder_with_another_etag_returns_412(client, make_playlist, movies, etag):
    url = make_playlist(movie_ids=movies)

    response = reorder(client, url, movies[::-1], etag)

    assert response.status_code == 412
    assert response.json()["code"] == "precondition_failed"
    assert read_items(client, url) == movies


def test_every_change_of_the_items_changes_the_etag(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies[:2])
    changes = [
        lambda: client.post(f"{url}items/", {"movie_ids": movies[2:3]}),
        lambda: client.patch(f"{url}items/{movies[0]}/", {"note": "x"}),
        lambda: client.delete(f"{url}items/{movies[2]}/"),
        lambda: client.patch(url, {"movie_ids": movies[:2]}),
        lambda: reorder(client, url, movies[1::-1], "*"),
        lambda: reorder(client, url, movies[:2], "*"),
    ]

    for change in changes:
        stale = client.get(f"{url}items/")["ETag"]
        assert change().status_code in (200, 204)
        assert reorder(client, url, movies[1::-1], stale).status_code == 412

    assert read_items(client, url) == movies[:2]


@pytest.mark.parametrize("indexes", [[0], [0, 1, 2], [0, 0], [0, 1, 1], []])
def test_a_reorder_with_other_movies_than_those_of_the_playlist_is_rejected(
    client, make_playlist, movies, indexes
):
    url = make_playlist(movie_ids=movies[:2])

    response = reorder(client, url, [movies[index] for index in indexes], "*")

    assert response.status_code == 400
    assert response.json()["errors"]["movie_ids"][0]["code"] == "not_the_members"
    assert read_items(client, url) == movies[:2]


def test_an_unchanged_playlist_returns_304(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies)

    for path in ("", "items/"):
        etag = client.get(f"{url}{path}")["ETag"]
        assert client.get(f"{url}{path}", headers={"If-None-Match": etag}).status_code == 304

    client.delete(f"{url}items/{movies[0]}/")

    assert client.get(f"{url}items/", headers={"If-None-Match": etag}).status_code == 200


# --- Covers, seen counts, copies ---------------------------------------------------------------


def test_covers_are_the_posters_of_the_first_movies_that_have_one(api, client, make_movie):
    movies = [
        make_movie(f"Movie {number}", poster_path=f"/{number}.jpg" if number != 1 else "").id
        for number in range(7)
    ]
    made = client.post("/playlists/", {"name": "Nights", "movie_ids": movies[::-1]}).json()
    base = "https://image.tmdb.org/t/p/w500"

    assert made["cover_urls"] == [f"{base}/{number}.jpg" for number in (6, 5, 4, 3)]

    url = f"/playlists/{made['id']}/"
    client.put(f"{url}items/order/", {"movie_ids": movies}, headers={"If-Match": "*"})
    covers = [f"{base}/{number}.jpg" for number in (0, 2, 3, 4)]

    assert api.get(url).json()["cover_urls"] == covers
    assert api.get("/playlists/").json()["results"][0]["cover_urls"] == covers


def test_seen_count_is_the_number_of_movies_the_caller_rated_or_watched(
    api, client, make_playlist, movies, make_user, client_of
):
    url = make_playlist(movie_ids=movies[:4])
    other = client_of(make_user("bob"))
    for movie in (movies[0], movies[1], movies[4]):
        other.post("/ratings/", {"movie": movie, "score": 3})
    for movie in (movies[1], movies[2]):
        other.post("/history/", {"movie": movie})

    for path, part in ((url, lambda body: body), ("/playlists/", lambda body: body["results"][0])):
        assert part(other.get(path).json())["seen_count"] == 3
        assert part(client.get(path).json())["seen_count"] == 0
        assert part(api.get(path).json())["seen_count"] is None


def test_seen_count_of_a_long_playlist_is_null_in_lists(client, make_playlist, movies, monkeypatch):
    monkeypatch.setattr("social.selectors.playlists.MAX_COUNTED_ITEMS", 2)
    url = make_playlist(movie_ids=movies[:3])
    make_playlist(movie_ids=movies[:2])

    counts = [result["seen_count"] for result in client.get("/playlists/").json()["results"]]

    assert counts == [0, None]
    assert client.get(url).json()["seen_count"] == 0


def test_a_copy_has_the_order_of_its_source_and_no_notes(
    client, make_playlist, movies, make_user, client_of
):
    url = make_playlist(movie_ids=movies[2::-1], visibility="unlisted")
    client.patch(f"{url}items/{movies[0]}/", {"note": "With Bob."})
    other = client_of(make_user("bob"))

    response = other.post(f"{url}copy/")

    assert response.status_code == 201
    copy = response.json()
    assert (copy["owner"], copy["visibility"], copy["movie_count"]) == ("bob", "private", 3)
    assert copy["name"] == client.get(url).json()["name"]

    path = f"/playlists/{copy['id']}/"

    assert response["Location"] == f"http://testserver{path}"
    assert read_items(other, path) == movies[2::-1]
    assert {result["note"] for result in other.get(f"{path}items/").json()["results"]} == {""}

    other.delete(f"{path}items/{movies[0]}/")

    assert read_items(client, url) == movies[2::-1]

    named = other.post(f"{url}copy/", {"name": "Mine", "visibility": "public"}).json()

    assert (named["name"], named["visibility"]) == ("Mine", "public")


def test_a_playlist_that_the_caller_cannot_read_cannot_be_copied(
    client, make_playlist, make_user, client_of
):
    url = make_playlist(visibility="private")

    other = client_of(make_user("bob"))

    assert other.post(f"{url}copy/").status_code == 404
    assert client.post(f"{url}copy/").status_code == 201

    response = client.post(f"{url}copy/", {"name": "", "visibility": "secret"})

    assert set(response.json()["errors"]) == {"name", "visibility"}


def test_the_owner_filter_ignores_case(api, make_playlist):
    make_playlist()

    assert api.get("/playlists/?owner=ANN").json()["count"] == 1
    assert api.get("/playlists/?owner=nobody").json()["count"] == 0


# --- Concurrency -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_concurrent_additions_lose_no_item(client, make_playlist, make_movie):
    movies = [make_movie(f"Movie {number}").id for number in range(10)]
    url = make_playlist()

    def add(movie_id):
        return lambda: client.post(f"{url}items/", {"movie_ids": [movie_id, movies[0]]})

    responses = run_concurrently(*(add(movie_id) for movie_id in movies * 2))

    assert {response.status_code for response in responses} == {200}

    added = [movie_id for response in responses for movie_id in response.json()["added"]]

    assert sorted(added) == sorted(movies)
    assert sorted(read_items(client, url)) == sorted(movies)


@pytest.mark.django_db(transaction=True)
def test_one_of_several_concurrent_reorders_with_the_same_etag_succeeds(
    client, make_playlist, movies
):
    url = make_playlist(movie_ids=movies)
    etag = client.get(f"{url}items/")["ETag"]

    responses = run_concurrently(*[lambda: reorder(client, url, movies[::-1], etag)] * 20)

    assert sorted(response.status_code for response in responses) == [200] + [412] * 19
    assert read_items(client, url) == movies[::-1]


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_leave_positions_without_gaps(client, make_playlist, movies):
    url = make_playlist(movie_ids=movies[:3])

    responses = run_concurrently(
        *(
            call
            for _ in range(4)
            for call in (
                lambda: client.post(f"{url}items/", {"movie_ids": movies}),
                lambda: client.delete(f"{url}items/{movies[1]}/"),
                lambda: reorder(client, url, movies[2::-1], "*"),
                lambda: client.patch(url, {"movie_ids": movies[1:4]}),
                lambda: client.patch(f"{url}items/{movies[2]}/", {"note": "x"}),
            )
        )
    )

    assert {response.status_code for response in responses} <= {200, 204, 400, 404}

    left = read_items(client, url)

    assert len(set(left)) == len(left)


@pytest.mark.django_db(transaction=True)
def test_concurrent_reorders_and_additions_are_each_applied_wholly_or_not_at_all(
    client, make_playlist, make_movie
):
    movies = [make_movie(f"Movie {number}").id for number in range(14)]
    url = make_playlist(movie_ids=movies[:4])
    etag = client.get(f"{url}items/")["ETag"]
    calls = [
        lambda movie=movie: client.post(f"{url}items/", {"movie_ids": [movie]})
        for movie in movies[4:]
    ]
    calls += [lambda: reorder(client, url, movies[3::-1], etag)] * 10

    statuses = [response.status_code for response in run_concurrently(*calls)]

    assert statuses[:10] == [200] * 10
    # At most one reorder came before the additions; the others found another version.
    assert sorted(statuses[10:])[1:] == [412] * 9
    assert statuses[10:].count(200) <= 1

    results = client.get(f"{url}items/").json()["results"]

    assert [result["position"] for result in results] == list(range(1, 15))

    movie_ids = [result["movie"]["id"] for result in results]

    assert movie_ids[:4] == (movies[3::-1] if 200 in statuses[10:] else movies[:4])
    assert sorted(movie_ids) == movies
