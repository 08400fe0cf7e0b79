"""How many rows a member may own (settings.MEMBER_QUOTAS; docs/reliability.md, 23)."""

import json
from itertools import count

import pytest

from accounts.models import TokenFamily
from accounts.tokens import family_create
from social.models import (
    Block,
    Follow,
    ImportRow,
    Playlist,
    PlaylistItem,
    Rating,
    ReviewReport,
    Viewing,
    WatchlistItem,
)
from social.services.playlists import playlist_create
from social.services.ratings import rating_set
from social.tests.helpers import run_concurrently
from social.transfer.tests.helpers import make_zip, run_action, upload, upload_and_read

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


@pytest.fixture
def set_quotas(settings):
    """Return a function that replaces quotas: `set_quotas(ratings=2)`."""

    def set_quotas(**quotas):
        settings.MEMBER_QUOTAS = {**settings.MEMBER_QUOTAS, **quotas}

    return set_quotas


@pytest.fixture
def write(client, ann, make_user, make_movie):
    """Return a function that creates one more row of the member, by the name of its quota."""
    numbers = count()

    def make_member():
        return make_user(f"other{next(numbers)}")

    def rate(**body):
        return client.post("/ratings/", {"movie": make_movie().pk, "score": 4, **body})

    def report():
        rating, _ = rating_set(
            user_id=make_member().pk, movie_id=make_movie().pk, score=3, review="No."
        )
        return client.post(f"/ratings/{rating.pk}/report/", {"reason": "spam"})

    writes = {
        "ratings": rate,
        "reviews": lambda: rate(review="Tense."),
        "watchlist_items": lambda: client.post("/watchlist/", {"movie": make_movie().pk}),
        "viewings": lambda: client.post("/history/", {"movie": make_movie().pk}),
        "viewing_notes": lambda: client.post(
            "/history/", {"movie": make_movie().pk, "note": "Late."}
        ),
        "feedback": lambda: client.put(f"/movies/{make_movie().pk}/feedback/", {"kind": "less"}),
        "follows": lambda: client.put(f"/profiles/{make_member().username}/follow/"),
        "blocks": lambda: client.put(f"/profiles/{make_member().username}/block/"),
        "reports": report,
        "playlists": lambda: client.post("/playlists/", {"name": "Nights"}),
    }
    return lambda name: writes[name]()


MODELS = {
    "ratings": Rating,
    "reviews": Rating,
    "watchlist_items": WatchlistItem,
    "viewings": Viewing,
    "viewing_notes": Viewing,
    "follows": Follow,
    "blocks": Block,
    "reports": ReviewReport,
    "playlists": Playlist,
}
CODES = {name: f"too_many_{name}" for name in (*MODELS, "feedback")}
CODES["follows"] = "following_too_many"


@pytest.mark.parametrize("name", CODES)
def test_one_row_more_than_the_quota_is_409_that_names_it(name, write, set_quotas):
    set_quotas(**{name: 2})

    responses = [write(name) for _ in range(3)]

    assert [response.status_code < 300 for response in responses] == [True, True, False]
    problem = responses[-1].json()
    assert (responses[-1].status_code, problem["code"]) == (409, CODES[name])
    assert f"at most 2 {name.replace('_', ' ')}" in problem["detail"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.django_db(transaction=True)
def test_concurrent_writes_create_exactly_the_quota(name, write, set_quotas, client):
    set_quotas(**{name: 3})
    # The rows that a write refers to are made before, one after another, by its function.
    statuses = [response.status_code for response in run_concurrently(*[lambda: write(name)] * 8)]

    rows = MODELS[name].objects.exclude(review="") if name == "reviews" else MODELS[name].objects
    created = rows.filter(user__username="ann") if name in ("ratings", "reviews") else rows
    assert statuses.count(409) == 5
    assert created.count() == 3


def test_a_row_that_is_replaced_or_repeated_needs_no_quota(client, make_movie, set_quotas):
    movie = make_movie()
    set_quotas(ratings=1, reviews=1, watchlist_items=1, viewings=1)
    viewing = {"movie": movie.pk, "watched_at": "2024-05-01T20:00:00Z"}
    for _ in range(2):
        assert (
            client.post("/ratings/", {"movie": movie.pk, "score": 4, "review": "So."}).status_code
            < 300
        )
        body = {"movie": movie.pk}
        assert client.post("/watchlist/", body).status_code < 300
        assert client.post("/history/", viewing).status_code < 300


def test_a_deleted_row_makes_room(client, make_movie, set_quotas):
    set_quotas(ratings=1)
    rating = client.post("/ratings/", {"movie": make_movie().pk, "score": 4}).json()
    client.delete(f"/ratings/{rating['id']}/")

    assert client.post("/ratings/", {"movie": make_movie().pk, "score": 4}).status_code == 201


def test_a_review_that_is_added_to_a_rating_needs_its_quota(client, make_movie, set_quotas):
    set_quotas(reviews=1)
    first, second = (
        client.post("/ratings/", {"movie": make_movie().pk, "score": 4}).json()["id"]
        for _ in range(2)
    )

    answers = [
        client.patch(f"/ratings/{pk}/", {"review": "Tense."}) for pk in (first, first, second)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert answers[-1].json()["code"] == "too_many_reviews"


def test_a_playlist_and_all_playlists_have_a_maximum_of_items(ann, client, make_movie, set_quotas):
    movies = [make_movie(f"Movie {n}").pk for n in range(5)]
    set_quotas(playlist_items=3, all_playlist_items=5)
    first = playlist_create(owner=ann, name="First", movie_ids=movies[:3])
    second = playlist_create(owner=ann, name="Second", movie_ids=movies[:1])

    too_long = client.post(f"/playlists/{first.pk}/items/", {"movie_ids": movies[3:]})
    copy = client.post(f"/playlists/{first.pk}/copy/", {})
    last = client.post(f"/playlists/{second.pk}/items/", {"movie_ids": movies[1:2]})
    too_many = client.post(f"/playlists/{second.pk}/items/", {"movie_ids": movies[2:3]})

    assert (too_long.status_code, too_long.json()["code"]) == (409, "too_many_playlist_items")
    assert (copy.status_code, copy.json()["code"]) == (409, "too_many_all_playlist_items")
    assert last.status_code == 200
    assert (too_many.status_code, too_many.json()["code"]) == (409, "too_many_all_playlist_items")
    assert Playlist.objects.count() == 2
    assert PlaylistItem.objects.count() == 5


def test_a_playlist_from_before_the_quota_can_be_reordered_and_shortened(
    ann, client, make_movie, set_quotas
):
    movies = [make_movie(f"Movie {n}").pk for n in range(4)]
    playlist = playlist_create(owner=ann, name="Long", movie_ids=movies)
    set_quotas(playlist_items=2, all_playlist_items=2)
    items = f"/playlists/{playlist.pk}/items/"

    order = client.put(
        f"{items}order/", {"movie_ids": movies[::-1]}, HTTP_IF_MATCH=client.get(items)["ETag"]
    )
    removal = client.delete(f"{items}{movies[0]}/")

    assert (order.status_code, removal.status_code) == (200, 204)


def test_the_oldest_sessions_end_beyond_the_quota(ann, make_user, set_quotas):
    set_quotas(sessions=3)
    bob = make_user("bob")
    family_create(user=bob)
    family_create(user=ann)
    TokenFamily.objects.filter(user=ann).update(last_used_at="2020-01-01T00:00:00Z")
    oldest = TokenFamily.objects.get(user=ann)

    for _ in range(3):
        family_create(user=ann)

    assert TokenFamily.objects.filter(user=ann).count() == 3
    assert not TokenFamily.objects.filter(pk=oldest.pk).exists()
    assert TokenFamily.objects.filter(user=bob).count() == 1


def test_a_session_ends_after_its_quota_of_refreshes(api, ann, set_quotas):
    set_quotas(spent_tokens=3)
    refresh, statuses = family_create(user=ann).refresh, []

    for _ in range(4):
        response = api.post("/auth/token/refresh/", {"refresh": refresh})
        statuses.append(response.status_code)
        refresh = response.json().get("refresh")

    assert statuses == [200, 200, 200, 401]
    assert TokenFamily.objects.get().revoked_at is not None


def test_rows_of_an_import_beyond_a_quota_are_named_and_not_written(client, make_movie, set_quotas):
    movies = [make_movie(f"Movie {n}", release_year=1979) for n in range(3)]
    client.post("/ratings/", {"movie": movies[0].pk, "score": 4})
    set_quotas(ratings=2)
    file = "Date,Name,Year,Letterboxd URI,Rating\n" + "".join(
        f"2024-05-01,Movie {n},1979,https://boxd.it/{n},4.5\n" for n in range(3)
    )

    job = run_action(client, upload_and_read(client, file, "ratings.csv"), "apply")

    outcomes = [(row["outcome"], row["code"]) for row in job["rows"]["results"]]
    assert Rating.objects.count() == 2
    assert outcomes == [("kept", "conflict"), ("created", ""), ("kept", "too_many_ratings")]


@pytest.mark.parametrize(
    "name", ["viewings", "viewing_notes", "watchlist_items", "reviews", "playlists"]
)
def test_every_kind_of_row_of_an_import_obeys_its_quota(name, client, make_movie, set_quotas):
    for number in range(3):
        make_movie(f"Movie {number}", release_year=1979)
    set_quotas(**{name: 1})
    listed = "Date,Name,Year,Letterboxd URI"
    lines = [f"2024-05-01,Movie {n},1979,https://boxd.it/{n}" for n in range(3)]
    files = {
        "viewings": {"watched.csv": "\n".join([listed, *lines])},
        "viewing_notes": {
            "nexus-export.json": '{"format": "nexus-export", "version": 2}',
            "history.json": json.dumps(
                [
                    {
                        "movie": {"title": f"Movie {n}", "year": 1979},
                        "watched_on": None,
                        "note": "!",
                    }
                    for n in range(3)
                ]
            ),
        },
        "watchlist_items": {"watchlist.csv": "\n".join([listed, *lines])},
        "reviews": {
            "reviews.csv": "\n".join(
                [f"{listed},Rating,Review", *(f"{line},4,So." for line in lines)]
            )
        },
        "playlists": {
            f"lists/{n}.csv": (
                "Letterboxd list export v7\nDate,Name,Tags,URL,Description\n"
                f"2024-05-01,List {n},,https://boxd.it/l{n},\n\n"
                f"Position,Name,Year,URL,Description\n1,Movie {n},1979,https://boxd.it/{n},\n"
            )
            for n in range(2)
        },
    }[name]

    job = run_action(client, upload_and_read(client, make_zip(files), "export.zip"), "apply")

    outcomes = [(row["outcome"], row["code"]) for row in job["rows"]["results"]]
    assert ("kept", f"too_many_{name}") in outcomes
    assert job["state"] == "applied"
    if name == "playlists":
        assert outcomes.count(("kept", "no_playlist")) == 1
        assert (Playlist.objects.count(), PlaylistItem.objects.count()) == (1, 1)
    else:
        assert outcomes.count(("created", "")) == 1


def test_a_file_with_more_rows_than_the_quota_leaves_is_a_failed_import(
    client, make_movie, set_quotas
):
    make_movie("Movie 0", release_year=1979)
    set_quotas(import_rows=4)
    header = "Date,Name,Year,Letterboxd URI,Rating\n"
    line = "2024-05-01,Movie 0,1979,https://boxd.it/0,4.5\n"

    first = upload_and_read(client, header + 3 * line, "ratings.csv")
    second = upload_and_read(client, header + 2 * line, "ratings.csv")
    third = upload_and_read(client, header + line, "ratings.csv")
    fourth = upload(client, header + line + "\n\n", "ratings.csv")

    assert (first["state"], second["state"], third["state"]) == ("ready", "failed", "ready")
    assert "at most 4 import rows" in second["reason"]
    assert ImportRow.objects.count() == 4
    assert (fourth.status_code, fourth.json()["code"]) == (409, "too_many_import_rows")
