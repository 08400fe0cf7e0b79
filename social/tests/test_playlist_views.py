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
def films(make_movie):
    return [make_movie(f"Film {number}").id for number in range(5)]


@pytest.fixture
def make_playlist(client):
    def make(name="Nights", **fields):
        answer = client.post("/playlists/", {"name": name, **fields})
        assert answer.status_code == 201, answer.json()
        return f"/playlists/{answer.json()['id']}/"

    return make


def items(client, url):
    answer = client.get(f"{url}items/")
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each["position"] for each in results] == list(range(1, len(results) + 1))
    assert client.get(url).json()["movie_count"] == len(results)
    return [each["movie"]["id"] for each in results]


def names(client, query=""):
    answer = client.get(f"/playlists/{query}")
    assert answer.status_code == 200, answer.json()
    return [each["name"] for each in answer.json()["results"]]


# --- Create, read, update, delete ----------------------------------------------------------------


def test_a_new_playlist_answers_201_with_its_location(client, films):
    sent = {"name": " Late nights ", "movie_ids": [films[2], films[0], films[2]]}
    answer = client.post("/playlists/", sent)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == PLAYLIST_FIELDS
    assert answer["Location"] == f"http://testserver/playlists/{body['id']}/"
    assert (body["owner"], body["name"], body["description"]) == ("ann", "Late nights", "")
    assert (body["visibility"], body["movie_count"]) == ("public", 2)
    assert client.get(answer["Location"]).json() == body
    assert items(client, f"/playlists/{body['id']}/") == [films[2], films[0]]


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
            ({"movie_ids": [each]}, "movie_ids.0")
            for each in ("005", "1_0", True, 0, 2**63, None, [1])
        ),
    ],
)
def test_a_wrong_field_is_400_and_named(client, fields, wrong):
    answer = client.post("/playlists/", {"name": "Nights", **fields})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {wrong}
    assert not Playlist.objects.exists()


def test_unknown_films_are_named_and_nothing_is_made(client, films):
    sent = {"name": "Nights", "movie_ids": [films[0], 987654321, 987654320]}
    answer = client.post("/playlists/", sent)
    assert answer.status_code == 400
    assert "987654320, 987654321" in answer.json()["errors"]["movie_ids"][0]["message"]
    assert not Playlist.objects.exists()


def test_an_update_without_movie_ids_leaves_the_films_alone(client, make_playlist, films):
    url = make_playlist(description="For late hours.", movie_ids=films[:2])
    answer = client.patch(url, {"name": "Days"})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["description"]) == ("Days", "For late hours.")
    assert answer.json()["owner"] == "ann"
    answer = client.put(url, {"name": "Years", "description": "", "visibility": "private"})
    assert answer.status_code == 200
    assert (answer.json()["description"], answer.json()["visibility"]) == ("", "private")
    assert client.get(url).json() == answer.json()
    assert items(client, url) == films[:2]
    assert set(client.put(url, {}).json()["errors"]) == {"name"}


def test_movie_ids_of_an_update_become_the_whole_content(client, make_playlist, films):
    url = make_playlist(movie_ids=films[:3])
    client.patch(f"{url}items/{films[1]}/", {"note": "The best."})
    wanted = [films[4], films[1], films[0]]
    answer = client.patch(url, {"movie_ids": wanted})
    assert (answer.status_code, answer.json()["movie_count"]) == (200, 3)
    assert items(client, url) == wanted
    assert client.get(f"{url}items/").json()["results"][1]["note"] == "The best."
    assert client.patch(url, {"movie_ids": [987654321]}).status_code == 400
    assert items(client, url) == wanted
    assert client.patch(url, {"movie_ids": []}).json()["movie_count"] == 0
    assert items(client, url) == []


def test_a_deleted_playlist_is_gone_with_its_items(client, make_playlist, films):
    url = make_playlist(movie_ids=films)
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert not PlaylistItem.objects.exists()


# --- Who may -------------------------------------------------------------------------------------

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
def test_a_stranger_may_not_write(stranger, make_playlist, visibility, status):
    url = make_playlist(visibility=visibility)
    for method, path, body in WRITES:
        answer = getattr(stranger, method)(f"{url}{path}", body, headers={"If-Match": "*"})
        assert answer.status_code == status, (method, path)
        assert answer.json()["code"] == {403: "permission_denied", 404: "not_found"}[status]
        # What the body holds is not looked at before.
        answer = getattr(stranger, method)(f"{url}{path}", {"name": 5, "movie_ids": 5})
        assert answer.status_code == status, (method, path)
    assert Playlist.objects.get().name == "Nights"


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_the_anonymous_may_not_write(api, make_playlist, visibility):
    url = make_playlist(visibility=visibility)
    for method, path, body in WRITES:
        answer = getattr(api, method)(f"{url}{path}", body)
        assert answer.status_code == 401, (method, path)
        assert "WWW-Authenticate" in answer
    assert api.post("/playlists/", {"name": "Mine"}).status_code == 401


@pytest.mark.parametrize(
    ("visibility", "status"), [("public", 200), ("unlisted", 200), ("private", 404)]
)
def test_the_link_opens_what_is_not_private(api, stranger, make_playlist, visibility, status):
    url = make_playlist(visibility=visibility)
    for client in (api, stranger):
        assert client.get(url).status_code == status
        assert client.get(f"{url}items/").status_code == status


def test_a_list_shows_public_playlists_and_ones_own(api, client, stranger, make_playlist):
    for visibility in ("public", "unlisted", "private"):
        make_playlist(visibility, visibility=visibility)
    stranger.post("/playlists/", {"name": "bob's", "visibility": "private"})
    assert names(api) == ["public"]
    assert names(stranger) == ["bob's", "public"]
    assert names(client) == ["private", "unlisted", "public"]
    assert names(stranger, "?owner=ann") == ["public"]
    assert names(stranger, "?search=private") == []
    assert api.get("/playlists/?search=unlisted").json()["count"] == 0


def test_playlists_of_a_deactivated_member_are_gone(api, make_playlist):
    url = make_playlist()
    owner = Playlist.objects.get().owner
    owner.is_active = False
    owner.save()
    assert api.get(url).status_code == 404
    assert names(api) == []


@pytest.mark.parametrize("pk", [uuid.uuid4(), "x", "1", "00000000-0000-0000-0000-00000000000g"])
def test_an_unknown_playlist_is_404(client, pk):
    for path in ("", "items/"):
        answer = client.get(f"/playlists/{pk}/{path}")
        assert answer.status_code == 404
        assert answer.json()["status"] == 404


# --- The list ------------------------------------------------------------------------------------


@pytest.fixture
def three(make_playlist, client, films):
    make_playlist("Beta nights", movie_ids=films[:1])
    url = make_playlist("alpha Nights", movie_ids=films[:3])
    make_playlist("Gamma", movie_ids=films[:2])
    client.patch(url, {"description": "Touched last."})


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
def test_filters_and_orderings(api, three, query, expected):
    assert names(api, query) == expected


@pytest.mark.parametrize("column", ["created_at", "updated_at", "name", "movie_count"])
def test_cursors_read_the_whole_list_once(api, three, column):
    for ordering in (column, f"-{column}"):
        url, seen = f"/playlists/?page_size=1&cursor=&ordering={ordering}", []
        while url:
            answer = api.get(url).json()
            seen += [each["name"] for each in answer["results"]]
            url = answer["next"]
        assert seen == names(api, f"?ordering={ordering}")


@pytest.mark.parametrize(
    "position",
    [
        *([], ["x"], ["x", "y"], [1, True], [None, None], [[], {}], {"a": 1}, [1, -1]),
        *(["2026-01-01T00:00:00Z", "x"], [1e308, "x"], [2**70, "x"], ["\x00", str(uuid.uuid4())]),
        *(["9999-99-99T00:00:00Z", "x"], [2**62, "00"], ["\ud800", "x"]),
    ],
)
def test_a_forged_cursor_is_400(api, three, position):
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")
    for ordering in ("-created_at", "name", "movie_count"):
        answer = api.get(f"/playlists/?cursor={cursor}&ordering={ordering}")
        assert answer.status_code == 400
        assert set(answer.json()["errors"]) == {"cursor"}


@pytest.mark.parametrize(
    "query",
    [
        *("owner=a%20b", "owner=%00", "owner=", f"owner={'x' * 151}", "owner=ann&owner=bob"),
        *("search=", "search=%00", "search=!!", f"search={'x' * 201}"),
        *("ordering=owner", "page=01", "page_size=0", "cursor=AAAA", "visibility=private"),
    ],
)
def test_a_malformed_parameter_is_400_and_named(api, db, query):
    answer = api.get(f"/playlists/?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.split("=")[0]}


def test_the_lists_take_a_fixed_number_of_queries(
    client, three, make_playlist, films, django_assert_num_queries
):
    url = make_playlist(movie_ids=films)
    # The session, the count, the page with its owners, the covers, what the caller has seen.
    with django_assert_num_queries(5):
        client.get("/playlists/?search=nights&owner=ann")
    with django_assert_num_queries(4):  # the session, the playlist, the count, the page
        client.get(f"{url}items/")


# --- Items ---------------------------------------------------------------------------------------


def test_added_films_come_last_and_the_answer_tells_what_became_of_each(
    client, make_playlist, films
):
    url = make_playlist(movie_ids=films[:2])
    sent = [films[3], films[1], 987654321, films[2], films[3]]
    answer = client.post(f"{url}items/", {"movie_ids": sent})
    assert answer.status_code == 200
    assert answer.json() == {
        "added": [films[3], films[2]],
        "existing": [films[1]],
        "not_found": [987654321],
    }
    assert items(client, url) == [films[0], films[1], films[3], films[2]]
    again = client.post(f"{url}items/", {"movie_ids": films[:1]}).json()
    assert again == {"added": [], "existing": films[:1], "not_found": []}


def test_an_item_shows_position_note_time_and_film(client, make_playlist, films):
    url = make_playlist(movie_ids=films[:1])
    answer = client.patch(f"{url}items/{films[0]}/", {"note": "With the sound up."})
    assert answer.status_code == 200
    item = answer.json()
    assert set(item) == {"position", "note", "added_at", "movie"}
    assert (item["position"], item["note"]) == (1, "With the sound up.")
    assert (item["movie"]["id"], item["movie"]["title"]) == (films[0], "Film 0")
    assert client.get(f"{url}items/").json()["results"] == [item]
    assert client.patch(f"{url}items/{films[0]}/", {}).json() == item
    assert client.patch(f"{url}items/{films[0]}/", {"note": ""}).json()["note"] == ""


@pytest.mark.parametrize("note", [5, None, "x" * 501])
def test_a_wrong_note_is_400(client, make_playlist, films, note):
    url = make_playlist(movie_ids=films[:1])
    answer = client.patch(f"{url}items/{films[0]}/", {"note": note})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"note"}


def test_a_film_taken_out_leaves_no_gap(client, make_playlist, films):
    url = make_playlist(movie_ids=films)
    assert client.delete(f"{url}items/{films[1]}/").status_code == 204
    assert items(client, url) == [films[0], *films[2:]]
    assert client.delete(f"{url}items/{films[1]}/").status_code == 404
    assert client.patch(f"{url}items/{films[1]}/", {"note": "x"}).status_code == 404


@pytest.mark.parametrize("sent", [{}, {"movie_ids": []}, {"movie_ids": list(range(1, 102))}])
def test_an_addition_takes_one_to_a_hundred_films(client, make_playlist, sent):
    answer = client.post(f"{make_playlist()}items/", sent)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"movie_ids"}


def test_a_playlist_has_room_for_so_many_films(client, make_playlist, films, monkeypatch):
    monkeypatch.setattr("social.services.playlists.MAX_ITEMS", 3)
    url = make_playlist(movie_ids=films[:2])
    answer = client.post(f"{url}items/", {"movie_ids": films[2:]})
    assert answer.status_code == 400
    assert answer.json()["errors"]["movie_ids"][0]["code"] == "too_many"
    assert items(client, url) == films[:2]
    assert client.post(f"{url}items/", {"movie_ids": films[2:3]}).status_code == 200


# --- Order and versions --------------------------------------------------------------------------


def order(client, url, movie_ids, etag):
    headers = {"If-Match": etag} if etag else {}
    return client.put(f"{url}items/order/", {"movie_ids": movie_ids}, headers=headers)


def test_the_whole_list_is_put_into_a_new_order(client, make_playlist, films):
    url = make_playlist(movie_ids=films)
    wanted = [films[each] for each in (4, 2, 0, 1, 3)]
    answer = order(client, url, wanted, client.get(f"{url}items/")["ETag"])
    assert answer.status_code == 200
    assert answer.json() == {"movie_ids": wanted}
    assert items(client, url) == wanted
    # The answer's tag is good for the next reorder.
    assert order(client, url, films, answer["ETag"]).status_code == 200
    assert items(client, url) == films


def test_the_tag_of_any_page_or_of_the_playlist_serves(client, make_playlist, films):
    url = make_playlist(movie_ids=films)
    for path in ("items/?page=2&page_size=2", "items/?cursor=", ""):
        films = films[::-1]
        answer = order(client, url, films, client.get(f"{url}{path}")["ETag"])
        assert answer.status_code == 200


def test_a_reorder_that_changes_nothing_answers_204_and_keeps_the_tag(client, make_playlist, films):
    url = make_playlist(movie_ids=films)
    etag, before = client.get(f"{url}items/")["ETag"], client.get(url).json()
    answer = order(client, url, films, etag)
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(url).json() == before
    assert order(client, url, films[::-1], answer["ETag"]).status_code == 200
    assert order(client, url, films, etag).status_code == 412


def test_a_reorder_without_if_match_is_428(client, make_playlist, films):
    answer = order(client, make_playlist(movie_ids=films), films, None)
    assert answer.status_code == 428
    assert answer.json()["code"] == "precondition_required"


@pytest.mark.parametrize("etag", ['"0-abc"', '"999"', "x", '""', '"-"', "é"])
def test_a_reorder_with_another_tag_is_412(client, make_playlist, films, etag):
    url = make_playlist(movie_ids=films)
    answer = order(client, url, films[::-1], etag)
    assert answer.status_code == 412
    assert answer.json()["code"] == "precondition_failed"
    assert items(client, url) == films


def test_every_change_of_the_items_makes_the_tag_stale(client, make_playlist, films):
    url = make_playlist(movie_ids=films[:2])
    changes = [
        lambda: client.post(f"{url}items/", {"movie_ids": films[2:3]}),
        lambda: client.patch(f"{url}items/{films[0]}/", {"note": "x"}),
        lambda: client.delete(f"{url}items/{films[2]}/"),
        lambda: client.patch(url, {"movie_ids": films[:2]}),
        lambda: order(client, url, films[1::-1], "*"),
        lambda: order(client, url, films[:2], "*"),
    ]
    for change in changes:
        stale = client.get(f"{url}items/")["ETag"]
        assert change().status_code in (200, 204)
        assert order(client, url, films[1::-1], stale).status_code == 412
    assert items(client, url) == films[:2]


@pytest.mark.parametrize("picks", [[0], [0, 1, 2], [0, 0], [0, 1, 1], []])
def test_an_order_of_other_films_than_the_members_is_400(client, make_playlist, films, picks):
    url = make_playlist(movie_ids=films[:2])
    answer = order(client, url, [films[each] for each in picks], "*")
    assert answer.status_code == 400
    assert answer.json()["errors"]["movie_ids"][0]["code"] == "not_the_members"
    assert items(client, url) == films[:2]


def test_an_unchanged_playlist_answers_304(client, make_playlist, films):
    url = make_playlist(movie_ids=films)
    for path in ("", "items/"):
        etag = client.get(f"{url}{path}")["ETag"]
        assert client.get(f"{url}{path}", headers={"If-None-Match": etag}).status_code == 304
    client.delete(f"{url}items/{films[0]}/")
    assert client.get(f"{url}items/", headers={"If-None-Match": etag}).status_code == 200


# --- Covers, what was seen, copies ---------------------------------------------------------------


def test_the_covers_are_the_first_posters_there_are(api, client, make_movie):
    films = [
        make_movie(f"Film {number}", poster_path=f"/{number}.jpg" if number != 1 else "").id
        for number in range(7)
    ]
    made = client.post("/playlists/", {"name": "Nights", "movie_ids": films[::-1]}).json()
    base = "https://image.tmdb.org/t/p/w500"
    assert made["cover_urls"] == [f"{base}/{number}.jpg" for number in (6, 5, 4, 3)]
    url = f"/playlists/{made['id']}/"
    client.put(f"{url}items/order/", {"movie_ids": films}, headers={"If-Match": "*"})
    covers = [f"{base}/{number}.jpg" for number in (0, 2, 3, 4)]
    assert api.get(url).json()["cover_urls"] == covers
    assert api.get("/playlists/").json()["results"][0]["cover_urls"] == covers


def test_a_list_says_how_many_of_its_films_the_caller_has_seen(
    api, client, make_playlist, films, make_user, client_of
):
    url = make_playlist(movie_ids=films[:4])
    other = client_of(make_user("bob"))
    for film in (films[0], films[1], films[4]):
        other.post("/ratings/", {"movie": film, "score": 3})
    for film in (films[1], films[2]):
        other.post("/history/", {"movie": film})
    for path, part in ((url, lambda body: body), ("/playlists/", lambda body: body["results"][0])):
        assert part(other.get(path).json())["seen_count"] == 3
        assert part(client.get(path).json())["seen_count"] == 0
        assert part(api.get(path).json())["seen_count"] is None


def test_of_a_long_list_among_many_it_is_not_said(client, make_playlist, films, monkeypatch):
    monkeypatch.setattr("social.selectors.playlists.MAX_COUNTED_ITEMS", 2)
    url = make_playlist(movie_ids=films[:3])
    make_playlist(movie_ids=films[:2])
    counts = [each["seen_count"] for each in client.get("/playlists/").json()["results"]]
    assert counts == [0, None]
    assert client.get(url).json()["seen_count"] == 0


def test_a_list_of_anothers_is_copied_in_order_without_its_notes(
    client, make_playlist, films, make_user, client_of
):
    url = make_playlist(movie_ids=films[2::-1], visibility="unlisted")
    client.patch(f"{url}items/{films[0]}/", {"note": "With Bob."})
    other = client_of(make_user("bob"))
    answer = other.post(f"{url}copy/")
    assert answer.status_code == 201
    copy = answer.json()
    assert (copy["owner"], copy["visibility"], copy["movie_count"]) == ("bob", "private", 3)
    assert copy["name"] == client.get(url).json()["name"]
    path = f"/playlists/{copy['id']}/"
    assert answer["Location"] == f"http://testserver{path}"
    assert items(other, path) == films[2::-1]
    assert {each["note"] for each in other.get(f"{path}items/").json()["results"]} == {""}
    other.delete(f"{path}items/{films[0]}/")
    assert items(client, url) == films[2::-1]
    named = other.post(f"{url}copy/", {"name": "Mine", "visibility": "public"}).json()
    assert (named["name"], named["visibility"]) == ("Mine", "public")


def test_a_list_that_may_not_be_opened_is_not_copied(client, make_playlist, make_user, client_of):
    url = make_playlist(visibility="private")
    other = client_of(make_user("bob"))
    assert other.post(f"{url}copy/").status_code == 404
    assert client.post(f"{url}copy/").status_code == 201
    answer = client.post(f"{url}copy/", {"name": "", "visibility": "secret"})
    assert set(answer.json()["errors"]) == {"name", "visibility"}


def test_the_owner_is_found_in_any_case(api, make_playlist):
    make_playlist()
    assert api.get("/playlists/?owner=ANN").json()["count"] == 1
    assert api.get("/playlists/?owner=nobody").json()["count"] == 0


# --- At once -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_twenty_additions_at_once_lose_nothing(client, make_playlist, make_movie):
    films = [make_movie(f"Film {number}").id for number in range(10)]
    url = make_playlist()

    def add(movie_id):
        return lambda: client.post(f"{url}items/", {"movie_ids": [movie_id, films[0]]})

    answers = run_concurrently(*(add(movie_id) for movie_id in films * 2))
    assert {answer.status_code for answer in answers} == {200}
    added = [movie_id for answer in answers for movie_id in answer.json()["added"]]
    assert sorted(added) == sorted(films)
    assert sorted(items(client, url)) == sorted(films)


@pytest.mark.django_db(transaction=True)
def test_of_many_reorders_at_once_with_one_tag_one_passes(client, make_playlist, films):
    url = make_playlist(movie_ids=films)
    etag = client.get(f"{url}items/")["ETag"]
    answers = run_concurrently(*[lambda: order(client, url, films[::-1], etag)] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
    assert items(client, url) == films[::-1]


@pytest.mark.django_db(transaction=True)
def test_mixed_changes_at_once_leave_the_list_whole(client, make_playlist, films):
    url = make_playlist(movie_ids=films[:3])
    answers = run_concurrently(
        *(
            call
            for _ in range(4)
            for call in (
                lambda: client.post(f"{url}items/", {"movie_ids": films}),
                lambda: client.delete(f"{url}items/{films[1]}/"),
                lambda: order(client, url, films[2::-1], "*"),
                lambda: client.patch(url, {"movie_ids": films[1:4]}),
                lambda: client.patch(f"{url}items/{films[2]}/", {"note": "x"}),
            )
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 204, 400, 404}
    left = items(client, url)
    assert len(set(left)) == len(left)


@pytest.mark.django_db(transaction=True)
def test_of_reorders_against_additions_at_once_none_is_lost_or_half_done(
    client, make_playlist, make_movie
):
    films = [make_movie(f"Film {number}").id for number in range(14)]
    url = make_playlist(movie_ids=films[:4])
    etag = client.get(f"{url}items/")["ETag"]
    calls = [
        lambda film=film: client.post(f"{url}items/", {"movie_ids": [film]}) for film in films[4:]
    ]
    calls += [lambda: order(client, url, films[3::-1], etag)] * 10
    statuses = [answer.status_code for answer in run_concurrently(*calls)]
    assert statuses[:10] == [200] * 10
    # One at most was in time; to all others the list had changed already.
    assert sorted(statuses[10:])[1:] == [412] * 9
    assert statuses[10:].count(200) <= 1
    placed = client.get(f"{url}items/").json()["results"]
    assert [each["position"] for each in placed] == list(range(1, 15))
    found = [each["movie"]["id"] for each in placed]
    assert found[:4] == (films[3::-1] if 200 in statuses[10:] else films[:4])
    assert sorted(found) == films
