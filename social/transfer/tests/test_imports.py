"""Imports from the file to the account and back."""

import io
import zipfile
from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from movies.models import Movie
from movies.services.ratings import movie_apply_rating
from nexus.core.api.exceptions import Problem
from social.models import (
    Import,
    ImportFile,
    ImportRow,
    Playlist,
    PlaylistItem,
    Rating,
    Viewing,
    WatchlistItem,
)
from social.services.playlists import playlist_create
from social.transfer.job_queue import run_imports
from social.transfer.services import MAX_FILE_BYTES, MAX_IMPORTS


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def send(client, content, name="export.csv"):
    content = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile(name, content, content_type="application/octet-stream")
    return client.post("/imports/", {"file": file}, format="multipart")


def sent(client, content, name="export.csv"):
    """The import of a file once it is read, with up to a hundred rows."""
    answer = send(client, content, name)
    assert answer.status_code == 201, answer.json()
    run_imports()
    return client.get(f"/imports/{answer.json()['id']}/?page_size=100").json()


def done(client, made, what, **body):
    answer = client.post(f"/imports/{made['id']}/{what}/", body)
    assert answer.status_code == 202, answer.json()
    run_imports()
    return client.get(f"/imports/{made['id']}/?page_size=100").json()


LETTERBOXD_RATINGS = """Date,Name,Year,Letterboxd URI,Rating
2024-01-02,Alien,1979,https://boxd.it/a,4.5
2024-01-03,Amelie,2001,https://boxd.it/b,5
2024-01-04,Nowhere,1999,https://boxd.it/c,3
"""


@pytest.fixture
def films(make_movie):
    return {
        title: make_movie(title, release_year=year)
        for title, year in (("Alien", 1979), ("Amélie", 2001), ("Brazil", 1985), ("Ran", 1985))
    }


@pytest.fixture
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


def test_a_file_is_read_matched_applied_and_undone(client, ann, films):
    made = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    assert (made["state"], made["format"]) == ("ready", "letterboxd")
    assert [row["verdict"] for row in made["rows"]["results"]] == ["matched", "matched", "missing"]
    assert made["verdicts"]["matched"] == 2
    assert Rating.objects.count() == 0
    made = done(client, made, "apply")
    assert made["state"] == "applied"
    assert [row["outcome"] for row in made["rows"]["results"]] == ["created", "created", ""]
    scores = dict(Rating.objects.filter(user=ann).values_list("movie__title", "score"))
    assert scores == {"Alien": 4.5, "Amélie": 5.0}
    films["Alien"].refresh_from_db()
    assert (films["Alien"].rating_count, films["Alien"].rating_sum) == (1, 4.5)
    assert client.post(f"/imports/{made['id']}/apply/").status_code == 200
    made = done(client, made, "undo")
    assert made["state"] == "undone"
    assert Rating.objects.count() == 0
    films["Alien"].refresh_from_db()
    assert (films["Alien"].rating_count, films["Alien"].rating_sum) == (0, 0)


HEADER = "Date,Name,Year,Letterboxd URI,Rating\n"
OLD, NEW = datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


def rate(user, film, score, at=OLD, **fields):
    movie_apply_rating(movie_id=film.pk, old_score=None, new_score=score)
    return Rating.objects.create(
        user=user, movie=film, score=score, created_at=at, updated_at=at, **fields
    )


@pytest.mark.parametrize(
    ("on_conflict", "at", "score", "outcome"),
    [
        (None, OLD, 4.5, "updated"),
        (None, NEW, 2, "kept"),
        ("keep", OLD, 2, "kept"),
        ("replace", NEW, 4.5, "updated"),
    ],
)
def test_of_two_ratings_the_newer_stands_unless_told_otherwise(
    client, ann, films, on_conflict, at, score, outcome
):
    rating = rate(ann, films["Alien"], 2, at)
    made = sent(client, HEADER + "2024-01-02,Alien,1979,u,4.5", "ratings.csv")
    (row,) = made["rows"]["results"]
    assert (row["verdict"], row["code"]) == ("matched", "conflict")
    assert "2 stars" in row["reason"]
    made = done(client, made, "apply", **({"on_conflict": on_conflict} if on_conflict else {}))
    rating.refresh_from_db()
    assert (rating.score, made["outcomes"][outcome]) == (score, 1)
    assert rating.created_at == at
    done(client, made, "undo")
    rating.refresh_from_db()
    assert (rating.score, rating.updated_at) == (2, at)


def test_undoing_leaves_alone_what_the_member_changed_since(client, ann, films):
    made = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    done(client, made, "apply")
    client.post("/ratings/", {"movie": films["Alien"].pk, "score": 1})
    made = done(client, made, "undo")
    assert [row["outcome"] for row in made["rows"]["results"]] == ["changed_since", "undone", ""]
    assert list(Rating.objects.values_list("movie__title", "score")) == [("Alien", 1)]
    # And once more: what was undone can be applied again.
    made = done(client, made, "apply", on_conflict="keep")
    assert (made["state"], made["undone_at"]) == ("applied", None)
    assert made["outcomes"]["created"] == made["outcomes"]["kept"] == 1


def test_an_archive_fills_history_watchlist_and_lists_and_leaves_nothing_when_undone(
    client, ann, films
):
    films_of = "Date,Name,Year,Letterboxd URI\n"
    listed = playlist_create(owner=ann, name="Nights", movie_ids=[films["Ran"].pk])
    version = Playlist.objects.get().version
    head = "Letterboxd list export v7\nDate,Name,Tags,URL,Description\n2023-05-05,{},,u,\n\n"
    items = "Position,Name,Year,URL,Description\n1,Alien,1979,u,Loud.\n2,Ran,1985,u,Long.\n"
    data = zipped(
        {
            "ratings.csv": HEADER + "2024-01-01,Alien,1979,u,4",
            "reviews.csv": "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
            "2024-01-05,Alien,1979,u,5,,Quiet terror.,,",
            "diary.csv": "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"
            "2024-01-01,Alien,1979,u,,,,2023-12-31\n2024-01-01,Alien,1979,u,,Yes,,2024-01-01",
            "watched.csv": films_of + "2024-01-01,Alien,1979,u\n2024-01-01,Brazil,1985,u",
            "watchlist.csv": films_of + "2024-01-01,Ran,1985,u\n2024-01-01,Alien,1979,u",
            "lists/a.csv": head.format("Nights") + items,
            "lists/b.csv": head.format("More") + items,
        }
    )
    made = sent(client, data, "letterboxd.zip")
    verdicts = {(row["kind"], row["title"]): row["verdict"] for row in made["rows"]["results"]}
    assert verdicts[("seen", "Alien")] == "duplicate"
    assert verdicts[("seen", "Brazil")] == "matched"
    assert verdicts[("playlist", "Nights")] == "unchanged"
    assert made["verdicts"]["invalid"] == 0
    reasons = {row["reason"] for row in made["rows"]["results"] if row["kind"] == "playlist_item"}
    assert reasons == {"", "You have this already."}, "the member's own note is no reason"
    made = done(client, made, "apply")
    rating = Rating.objects.get()
    assert (rating.score, rating.review) == (4, "Quiet terror.")
    assert rating.created_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert Viewing.objects.filter(movie=films["Alien"]).count() == 2
    assert Viewing.objects.filter(movie=films["Brazil"]).count() == 1
    assert WatchlistItem.objects.count() == 2
    more = Playlist.objects.get(name="More")
    assert (more.visibility, more.movie_count, more.published_at) == ("private", 2, None)
    told = PlaylistItem.objects.filter(playlist=more).values_list("movie__title", "note")
    assert list(told) == [("Alien", "Loud."), ("Ran", "Long.")]
    told = PlaylistItem.objects.filter(playlist=listed).values_list("movie__title", "note")
    assert list(told) == [("Ran", ""), ("Alien", "Loud.")]
    done(client, made, "undo")
    for model in (Rating, Viewing, WatchlistItem):
        assert not model.objects.exists()
    listed.refresh_from_db()
    assert list(Playlist.objects.values_list("name", "movie_count")) == [("Nights", 1)]
    assert listed.version > version


def test_a_list_that_was_changed_since_stays_with_what_was_changed(client, ann, films):
    data = zipped(
        {
            "lists/a.csv": "Letterboxd list export v7\nDate,Name,Tags,URL,Description\n"
            "2023-05-05,Nights,,u,\n\nPosition,Name,Year,URL,Description\n1,Alien,1979,u,\n2,Ran,1985,u,",
        }
    )
    made = sent(client, data, "letterboxd.zip")
    done(client, made, "apply")
    url = f"/playlists/{Playlist.objects.get().pk}/items/"
    client.post(url, {"movie_ids": [films["Brazil"].pk]})
    client.patch(f"{url}{films['Ran'].pk}/", {"note": "Mine."})
    made = done(client, made, "undo")
    assert [row["outcome"] for row in made["rows"]["results"]] == [
        "changed_since",
        "undone",
        "changed_since",
    ]
    assert [each["movie"]["title"] for each in client.get(url).json()["results"]] == [
        "Ran",
        "Brazil",
    ]


def test_a_member_says_which_film_is_meant_or_that_none_is(client, ann, films, make_movie):
    twin = make_movie("Alien", release_year=1979)
    made = sent(
        client,
        HEADER
        + "2024-01-02,Alien,1979,u,4\n2024-01-02,Ran,1985,u,4\n2024-01-02,Lost,1985,u,3\n,,,,",
        "ratings.csv",
    )
    url = f"/imports/{made['id']}/"
    first = made["rows"]["results"][0]
    assert first["verdict"] == "ambiguous"
    assert {each["id"] for each in first["candidates"]} == {films["Alien"].pk, twin.pk}
    answer = client.patch(f"{url}rows/1/", {"movie": twin.pk})
    assert answer.status_code == 200
    assert (answer.json()["verdict"], answer.json()["chosen"]) == ("matched", True)
    assert answer.json()["movie"]["id"] == twin.pk
    assert (
        client.patch(f"{url}rows/3/", {"movie": films["Brazil"].pk}).json()["verdict"] == "matched"
    )
    assert client.patch(f"{url}rows/2/", {"skip": True}).json()["verdict"] == "skipped"
    # The same film twice in one import: one row stands.
    assert client.patch(f"{url}rows/3/", {"movie": twin.pk}).json()["code"] == "same_as"
    assert client.patch(f"{url}rows/3/", {"movie": films["Brazil"].pk}).json()["code"] == ""
    for number, body, field in (
        (1, {"movie": 404404}, "movie"),
        (1, {}, "movie"),
        (1, {"movie": twin.pk, "skip": True}, "movie"),
    ):
        answer = client.patch(f"{url}rows/{number}/", body)
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == [field]
    assert client.patch(f"{url}rows/99/", {"skip": True}).status_code == 404
    made = done(client, made, "apply")
    scores = dict(Rating.objects.values_list("movie_id", "score"))
    assert scores == {twin.pk: 4, films["Brazil"].pk: 3}
    answer = client.patch(f"{url}rows/2/", {"skip": False})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")
    done(client, made, "undo")
    assert client.patch(f"{url}rows/2/", {"skip": False}).json()["verdict"] == "matched"


def test_rows_are_paged_and_told_apart_by_verdict(client, films):
    made = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    url = f"/imports/{made['id']}/"
    page = client.get(url + "?verdict=missing").json()["rows"]
    assert (page["count"], [row["title"] for row in page["results"]]) == (1, ["Nowhere"])
    page = client.get(url + "?page_size=1&page=2").json()["rows"]
    assert (page["count"], [row["number"] for row in page["results"]]) == (3, [2])
    assert page["next"].endswith("page=3&page_size=1") or "page=3" in page["next"]
    assert client.get(url + "?verdict=odd").status_code == 400


def test_a_page_of_rows_takes_a_fixed_number_of_queries(
    client, films, django_assert_max_num_queries
):
    made = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    with django_assert_max_num_queries(6):
        assert client.get(f"/imports/{made['id']}/").status_code == 200


def test_the_same_file_again_is_the_same_import_until_it_is_applied(client, films):
    first = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    again = send(client, LETTERBOXD_RATINGS, "other.csv")
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert again["Location"].endswith(f"/imports/{first['id']}/")
    done(client, first, "apply")
    second = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    assert second["id"] != first["id"]
    assert [row["verdict"] for row in second["rows"]["results"]] == [
        "unchanged",
        "unchanged",
        "missing",
    ]
    second = done(client, second, "apply")
    assert second["outcomes"]["unchanged"] == 2
    done(client, second, "undo")
    assert Rating.objects.count() == 2
    assert client.get("/imports/").json()["count"] == 2


def test_a_file_is_kept_no_longer_than_it_is_read(client, films):
    made = send(client, LETTERBOXD_RATINGS, "ratings.csv").json()
    assert (made["state"], made["progress"]["step"]) == ("reading", "read")
    assert ImportFile.objects.count() == 1
    url = f"/imports/{made['id']}/"
    for what in ("apply", "undo"):
        assert client.post(f"{url}{what}/").status_code == 409
    run_imports()
    assert ImportFile.objects.count() == 0
    assert client.post(f"{url}undo/").json()["code"] == "not_applied"
    assert client.post(f"{url}apply/", {"on_conflict": "odd"}).status_code == 400
    assert client.post(f"{url}apply/").status_code == 202
    assert client.delete(url).json()["code"] == "busy"
    run_imports()
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert Rating.objects.count() == 2


def test_what_breaks_behind_its_beginning_is_a_failed_import(client, films, monkeypatch):
    monkeypatch.setattr("social.transfer.formats.detection.MAX_ROWS", 2)
    monkeypatch.setattr("social.transfer.pipeline.read.READ_AT_ONCE", 1)
    made = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    assert (made["state"], "more than 2 rows" in made["reason"]) == ("failed", True)
    assert client.post(f"/imports/{made['id']}/apply/").status_code == 409
    assert (ImportFile.objects.count(), ImportRow.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty_file"), (b"hello", "unknown_format"), (b"PK\x03\x04", "bad_archive")],
)
def test_a_file_of_no_known_kind_is_400_on_the_field(client, content, code):
    answer = send(client, content)
    assert answer.status_code == 400
    assert answer.json()["errors"]["file"][0]["code"] == code
    assert Import.objects.count() == 0


def test_bodies_that_hold_no_file_are_refused(client):
    assert list(client.post("/imports/", {}, format="multipart").json()["errors"]) == ["file"]
    answer = client.post("/imports/", {"file": "text"}, format="multipart")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["file"])
    assert client.post("/imports/", {"file": "x"}).status_code == 415
    for body in (b"", b"--x", b"--x\r\n\r\n", b"\xff" * 100):
        answer = client.generic(
            "POST", "/imports/", body, content_type="multipart/form-data; boundary=x"
        )
        assert answer.status_code == 400
        assert answer["Content-Type"] == "application/problem+json"
    many = {f"f{n}": "x" for n in range(2000)}
    assert client.post("/imports/", many, format="multipart").status_code == 400


def test_a_file_up_to_the_limit_is_taken_and_one_byte_more_is_not(client, settings, monkeypatch):
    assert MAX_FILE_BYTES == 20 * 1024 * 1024
    assert settings.BODY_LIMITS["/imports/"] > MAX_FILE_BYTES + 1000
    limit = 400_000
    monkeypatch.setattr("social.transfer.views.MAX_FILE_BYTES", limit)
    settings.BODY_LIMITS = {"/imports/": limit + 5000}
    head = HEADER.encode()
    for more, status in ((0, 201), (1, 413), (10_000, 413)):
        answer = send(client, head + b"\n" * (limit - len(head) + more), "ratings.csv")
        assert answer.status_code == status
        assert answer["Content-Type"].endswith("json")
    assert answer.json()["code"] == "too_large"
    # What goes for one path goes for no other.
    assert client.post("/ratings/", {"movie": 1, "review": "x" * 300_000}).status_code == 413


def test_imports_are_ones_own(client, films, make_user, client_of):
    made = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    stranger = client_of(make_user("bob"))
    url = f"/imports/{made['id']}/"
    assert stranger.get("/imports/").json()["count"] == 0
    calls = [
        stranger.get(url),
        stranger.delete(url),
        stranger.patch(f"{url}rows/1/", {"skip": True}),
    ]
    calls += [stranger.post(f"{url}{what}/") for what in ("apply", "undo")]
    assert [answer.status_code for answer in calls] == [404] * 5
    assert client.get("/imports/").json()["results"][0]["id"] == made["id"]


def test_imports_are_limited_in_number_and_in_time(client, ann, settings):
    Import.objects.bulk_create(
        Import(user=ann, format="imdb", sha256=str(n), state="ready", step="")
        for n in range(MAX_IMPORTS)
    )
    answer = send(client, LETTERBOXD_RATINGS, "ratings.csv")
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_imports")
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "import": (2, 3600)}
    assert [send(client, b"x").status_code for _ in range(2)] == [400, 429]


def test_a_rating_in_a_file_leaves_the_watchlist_alone(client, ann, films):
    WatchlistItem.objects.create(user=ann, movie=films["Alien"])
    done(client, sent(client, LETTERBOXD_RATINGS, "ratings.csv"), "apply")
    assert WatchlistItem.objects.count() == 1


def test_a_film_that_left_the_catalogue_meanwhile_is_passed_over(client, films):
    made = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    films["Alien"].delete()
    made = done(client, made, "apply")
    assert [row["outcome"] for row in made["rows"]["results"]] == ["", "created", ""]


def test_films_the_catalogue_does_not_have_are_asked_of_the_finder(client, films, settings):
    settings.IMPORT_MOVIE_LOOKUP = "social.transfer.tests.test_imports.find_brazil"
    made = sent(client, LETTERBOXD_RATINGS, "ratings.csv")
    assert [row["verdict"] for row in made["rows"]["results"]] == ["matched"] * 3
    assert made["rows"]["results"][2]["movie"]["title"] == "Brazil"
    settings.IMPORT_MOVIE_LOOKUP = "social.transfer.tests.test_imports.find_nothing"
    made = sent(client, LETTERBOXD_RATINGS + "\n", "ratings.csv")
    assert made["state"] == "ready"
    assert made["rows"]["results"][2]["code"] == "tmdb_unavailable"


def find_brazil(references):
    assert [each.title for each in references] == ["Nowhere"]
    return [Movie.objects.get(title="Brazil").pk]


def find_nothing(references):
    raise Problem(503, "tmdb_unavailable", "Not now.")
