"""Imports over HTTP, from the file to the account and back."""

from datetime import UTC, date, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from movies.dto import LookupResult
from movies.models import Movie
from nexus.core.api.exceptions import Problem
from nexus.dev.jobs import run_waiting_jobs
from social.models import (
    Import,
    ImportFilePiece,
    ImportRow,
    Playlist,
    PlaylistItem,
    Rating,
    Viewing,
    WatchlistItem,
)
from social.services.playlists import playlist_create
from social.services.ratings import rating_set
from social.transfer.services import MAX_FILE_BYTES
from social.transfer.tests.helpers import make_zip, run_action, upload, upload_and_read

HEADER = "Date,Name,Year,Letterboxd URI,Rating\n"
RATINGS = f"""{HEADER}2024-01-02,Alien,1979,https://boxd.it/a,4.5
2024-01-03,Amelie,2001,https://boxd.it/b,5
2024-01-04,Nowhere,1999,https://boxd.it/c,3
"""
LIST_HEADER = "Letterboxd list export v7\nDate,Name,Tags,URL,Description\n2023-05-05,{},,u,\n\n"
LIST_ITEMS = "Position,Name,Year,URL,Description\n1,Alien,1979,u,Loud.\n2,Ran,1985,u,Long.\n"
OLD, NEW = datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


def rate(user, movie, score, at):
    rating_set(user_id=user.pk, movie_id=movie.pk, score=score)
    Rating.objects.update(created_at=at, updated_at=at)
    return Rating.objects.get()


def get_outcomes(job):
    return [row["outcome"] for row in job["rows"]["results"]]


# --- Reading, applying and undoing ---------------------------------------------------------------


def test_uploaded_file_is_matched_without_writing_to_the_account(client, movies):
    job = upload_and_read(client, RATINGS, "ratings.csv")

    assert (job["state"], job["format"]) == ("ready", "letterboxd")
    assert [row["verdict"] for row in job["rows"]["results"]] == ["matched", "matched", "missing"]
    assert job["verdicts"]["matched"] == 2
    assert Rating.objects.count() == 0


def test_applied_import_writes_ratings_and_the_movies_counters(client, ann, movies):
    job = upload_and_read(client, RATINGS, "ratings.csv")

    job = run_action(client, job, "apply")

    assert job["state"] == "applied"
    assert get_outcomes(job) == ["created", "created", ""]
    scores = dict(Rating.objects.filter(user=ann).values_list("movie__title", "score"))
    assert scores == {"Alien": 4.5, "Amélie": 5.0}
    movies["Alien"].refresh_from_db()
    assert (movies["Alien"].rating_count, movies["Alien"].rating_sum) == (1, 4.5)
    assert client.post(f"/imports/{job['id']}/apply/").status_code == 200


def test_undone_import_leaves_no_ratings_and_no_counters(client, movies):
    job = run_action(client, upload_and_read(client, RATINGS, "ratings.csv"), "apply")

    job = run_action(client, job, "undo")

    assert job["state"] == "undone"
    assert Rating.objects.count() == 0
    movies["Alien"].refresh_from_db()
    assert (movies["Alien"].rating_count, movies["Alien"].rating_sum) == (0, 0)


@pytest.mark.parametrize(
    ("on_conflict", "at", "score", "outcome"),
    [
        (None, OLD, 4.5, "updated"),
        (None, NEW, 2, "kept"),
        ("keep", OLD, 2, "kept"),
        ("replace", NEW, 4.5, "updated"),
    ],
)
def test_on_conflict_decides_which_rating_stays(
    client, ann, movies, on_conflict, at, score, outcome
):
    rating = rate(ann, movies["Alien"], 2, at)
    body = {"on_conflict": on_conflict} if on_conflict else {}

    job = upload_and_read(client, HEADER + "2024-01-02,Alien,1979,u,4.5", "ratings.csv")
    (row,) = job["rows"]["results"]
    job = run_action(client, job, "apply", **body)

    assert (row["verdict"], row["code"]) == ("matched", "conflict")
    assert "2 stars" in row["reason"]
    rating.refresh_from_db()
    assert (rating.score, job["outcomes"][outcome]) == (score, 1)
    assert rating.created_at == at

    run_action(client, job, "undo")

    rating.refresh_from_db()
    assert (rating.score, rating.updated_at) == (2, at)


def test_undo_does_not_touch_what_the_member_has_changed_since(client, ann, movies):
    job = run_action(client, upload_and_read(client, RATINGS, "ratings.csv"), "apply")
    client.post("/ratings/", {"movie": movies["Alien"].pk, "score": 1})

    job = run_action(client, job, "undo")

    assert get_outcomes(job) == ["changed_since", "undone", ""]
    assert list(Rating.objects.values_list("movie__title", "score")) == [("Alien", 1)]


def test_undone_import_can_be_applied_again(client, ann, movies):
    job = run_action(client, upload_and_read(client, RATINGS, "ratings.csv"), "apply")
    client.post("/ratings/", {"movie": movies["Alien"].pk, "score": 1})
    job = run_action(client, job, "undo")

    job = run_action(client, job, "apply", on_conflict="keep")

    assert (job["state"], job["undone_at"]) == ("applied", None)
    assert job["outcomes"]["created"] == job["outcomes"]["kept"] == 1


@pytest.fixture
def letterboxd_archive():
    return make_zip(
        {
            "ratings.csv": HEADER + "2024-01-01,Alien,1979,u,4",
            "reviews.csv": "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
            "2024-01-05,Alien,1979,u,5,,Quiet terror.,,",
            "diary.csv": "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"
            "2024-01-01,Alien,1979,u,,,,2023-12-31\n2024-01-01,Alien,1979,u,,Yes,,2024-01-01",
            "watched.csv": "Date,Name,Year,Letterboxd URI\n"
            "2024-01-01,Alien,1979,u\n2024-01-01,Brazil,1985,u",
            "watchlist.csv": "Date,Name,Year,Letterboxd URI\n"
            "2024-01-01,Ran,1985,u\n2024-01-01,Alien,1979,u",
            "lists/a.csv": LIST_HEADER.format("Nights") + LIST_ITEMS,
            "lists/b.csv": LIST_HEADER.format("More") + LIST_ITEMS,
        }
    )


def test_archive_is_compared_with_what_the_member_has(client, ann, movies, letterboxd_archive):
    playlist_create(owner=ann, name="Nights", movie_ids=[movies["Ran"].pk])

    job = upload_and_read(client, letterboxd_archive, "letterboxd.zip")

    rows = job["rows"]["results"]
    verdicts = {(row["kind"], row["title"]): row["verdict"] for row in rows}
    assert verdicts[("seen", "Alien")] == "duplicate"
    assert verdicts[("seen", "Brazil")] == "matched"
    assert verdicts[("playlist", "Nights")] == "unchanged"
    assert job["verdicts"]["invalid"] == 0
    # The note of a playlist item is the member's own text, not a reason.
    reasons = {row["reason"] for row in rows if row["kind"] == "playlist_item"}
    assert reasons == {"", "You have this already."}


def test_archive_fills_ratings_history_watchlist_and_playlists(
    client, ann, movies, letterboxd_archive
):
    nights = playlist_create(owner=ann, name="Nights", movie_ids=[movies["Ran"].pk])
    job = upload_and_read(client, letterboxd_archive, "letterboxd.zip")

    run_action(client, job, "apply")

    rating = Rating.objects.get()
    assert (rating.score, rating.review) == (4, "Quiet terror.")
    assert rating.created_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert Viewing.objects.filter(movie=movies["Alien"]).count() == 2
    assert Viewing.objects.filter(movie=movies["Brazil"]).count() == 1
    assert WatchlistItem.objects.count() == 2
    more = Playlist.objects.get(name="More")
    assert (more.visibility, more.movie_count, more.published_at) == ("private", 2, None)
    items = PlaylistItem.objects.filter(playlist=more).values_list("movie__title", "note")
    assert list(items) == [("Alien", "Loud."), ("Ran", "Long.")]
    items = PlaylistItem.objects.filter(playlist=nights).values_list("movie__title", "note")
    assert list(items) == [("Ran", ""), ("Alien", "Loud.")]


def test_undone_archive_leaves_nothing(client, ann, movies, letterboxd_archive):
    playlist_create(owner=ann, name="Nights", movie_ids=[movies["Ran"].pk])
    nights = Playlist.objects.get()
    version = nights.version
    job = upload_and_read(client, letterboxd_archive, "letterboxd.zip")
    job = run_action(client, job, "apply")

    run_action(client, job, "undo")

    for model in (Rating, Viewing, WatchlistItem):
        assert not model.objects.exists()
    assert list(Playlist.objects.values_list("name", "movie_count")) == [("Nights", 1)]
    nights.refresh_from_db()
    assert nights.version > version


WATCHED = "Date,Name,Year,Letterboxd URI\n2020-01-05,Alien,1979,u"
DIARY = (
    "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"
    "2026-07-21,Alien,1979,u,,,,2026-07-20"
)


def test_movie_ticked_off_on_signing_up_is_seen_on_an_unknown_day(client, movies):
    job = run_action(client, upload_and_read(client, WATCHED, "watched.csv"), "apply")

    assert get_outcomes(job) == ["created"]
    (viewing,) = client.get("/history/").json()["results"]
    assert (viewing["watched_on"], viewing["watched_at"]) == (None, None)
    assert client.get("/profiles/stats/?year=2020").json()["viewing_count"] == 0
    assert client.get("/profiles/stats/").json()["viewing_count"] == 1

    run_action(client, job, "undo")

    assert not Viewing.objects.exists()


def test_day_of_a_diary_is_a_day_and_takes_the_movie_off_the_watchlist(client, movies):
    client.post("/watchlist/", {"movie": movies["Alien"].pk})
    listed = client.get("/watchlist/").json()["results"]

    job = run_action(client, upload_and_read(client, DIARY, "diary.csv"), "apply")

    (viewing,) = client.get("/history/").json()["results"]
    assert (viewing["watched_on"], viewing["watched_at"]) == ("2026-07-20", None)
    assert job["rows"]["results"][0]["watched_on"] == "2026-07-20"
    assert client.get("/watchlist/").json()["results"] == []

    run_action(client, job, "undo")

    assert client.get("/watchlist/").json()["results"] == listed
    assert not Viewing.objects.exists()


def test_import_of_the_previous_release_is_applied_and_undone(client, movies):
    job = upload_and_read(client, DIARY, "diary.csv")
    row = ImportRow.objects.get()
    row.values = {"watched_at": "2026-07-20T00:00:00+00:00", "day_only": True}
    row.save()
    job = run_action(client, job, "apply")
    viewing = Viewing.objects.values_list("watched_on", "watched_at").get()
    assert viewing == (date(2026, 7, 20), None)
    ImportRow.objects.update(undo={"after": "2026-07-20T00:00:00+00:00"})

    job = run_action(client, job, "undo")

    assert get_outcomes(job) == ["undone"]
    assert not Viewing.objects.exists()


def test_further_reviews_become_the_notes_of_their_viewings(client, movies):
    header = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
    rows = [
        "2018-05-01,Alien,1979,u,5,,Loud and fun.,,2018-05-01",
        "2020-04-05,Alien,1979,u,4,Yes,Too long.,,2020-04-05",
        "2021-01-01,Alien,1979,u,4,Yes,Too long.,,2020-12-31",
    ]
    job = upload_and_read(client, header + "\n".join(rows), "reviews.csv")

    verdicts = [
        (row["verdict"], row["code"]) for row in job["rows"]["results"] if row["kind"] == "review"
    ]
    assert verdicts == [
        ("matched", "further_review"),
        ("duplicate", "same_as"),
        ("matched", ""),
    ]
    for _ in range(2):
        job = run_action(client, job, "apply")
        assert Rating.objects.get().review == "Too long."
        notes = {viewing["watched_on"]: viewing["note"] for viewing in get_viewings(client)}
        assert notes == {"2020-12-31": "", "2020-04-05": "", "2018-05-01": "Loud and fun."}
        job = run_action(client, job, "undo")
        assert not Rating.objects.exists()
        assert not Viewing.objects.exists()


def test_review_without_stars_is_imported_as_a_review_alone(client, movies):
    header = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
    row = "2018-05-02,Alien,1979,u,,,I do not rate films.,,2018-05-01"
    job = upload_and_read(client, header + row, "reviews.csv")

    assert {row["verdict"] for row in job["rows"]["results"]} == {"matched"}
    job = run_action(client, job, "apply")

    assert get_outcomes(job) == ["created", "created"]
    (rating,) = client.get("/ratings/").json()["results"]
    assert (rating["score"], rating["review"]) == (None, "I do not rate films.")
    assert rating["movie"]["rating_count"] == 0
    assert [viewing["watched_on"] for viewing in get_viewings(client)] == ["2018-05-01"]

    again = upload_and_read(client, HEADER + "2024-01-01,Alien,1979,u,4", "ratings.csv")
    again = run_action(client, again, "apply", on_conflict="keep")

    assert get_outcomes(again) == ["updated"]
    assert client.get("/ratings/").json()["results"][0]["score"] == 4.0
    movies["Alien"].refresh_from_db()
    assert movies["Alien"].rating_count == 1

    run_action(client, again, "undo")
    run_action(client, job, "undo")

    movies["Alien"].refresh_from_db()
    assert (movies["Alien"].rating_count, movies["Alien"].trend_day) == (0, None)
    assert not Rating.objects.exists()


def get_viewings(client):
    return client.get("/history/").json()["results"]


def test_undo_leaves_playlist_items_the_member_has_changed_since(client, ann, movies):
    data = make_zip({"lists/a.csv": LIST_HEADER.format("Nights") + LIST_ITEMS})
    job = run_action(client, upload_and_read(client, data, "letterboxd.zip"), "apply")
    url = f"/playlists/{Playlist.objects.get().pk}/items/"
    client.post(url, {"movie_ids": [movies["Brazil"].pk]})
    client.patch(f"{url}{movies['Ran'].pk}/", {"note": "Mine."})

    job = run_action(client, job, "undo")

    assert get_outcomes(job) == ["changed_since", "undone", "changed_since"]
    titles = [item["movie"]["title"] for item in client.get(url).json()["results"]]
    assert titles == ["Ran", "Brazil"]


def test_imported_rating_leaves_the_watchlist_alone(client, ann, movies):
    WatchlistItem.objects.create(user=ann, movie=movies["Alien"])

    run_action(client, upload_and_read(client, RATINGS, "ratings.csv"), "apply")

    assert WatchlistItem.objects.count() == 1


def test_row_of_a_movie_deleted_meanwhile_is_not_applied(client, movies):
    job = upload_and_read(client, RATINGS, "ratings.csv")
    movies["Alien"].delete()

    job = run_action(client, job, "apply")

    assert get_outcomes(job) == ["", "created", ""]


# --- Corrections ---------------------------------------------------------------------------------


@pytest.fixture
def twin(movies, make_movie):
    """A second movie of the same title and year as Alien."""
    return make_movie("Alien", release_year=1979)


@pytest.fixture
def ambiguous_job(client, movies, twin):
    """An import of an ambiguous row, a matched one, a missing one and an invalid one."""
    rows = "2024-01-02,Alien,1979,u,4\n2024-01-02,Ran,1985,u,4\n2024-01-02,Lost,1985,u,3\n,,,,"
    return upload_and_read(client, HEADER + rows, "ratings.csv")


def test_member_chooses_the_movie_of_an_ambiguous_row(client, ambiguous_job, movies, twin):
    row = ambiguous_job["rows"]["results"][0]

    response = client.patch(f"/imports/{ambiguous_job['id']}/rows/1/", {"movie": twin.pk})

    assert row["verdict"] == "ambiguous"
    assert {movie["id"] for movie in row["candidates"]} == {movies["Alien"].pk, twin.pk}
    assert response.status_code == 200
    corrected = response.json()
    assert (corrected["verdict"], corrected["chosen"]) == ("matched", True)
    assert corrected["movie"]["id"] == twin.pk


def test_corrected_rows_are_applied_and_skipped_ones_are_not(client, ambiguous_job, movies, twin):
    url = f"/imports/{ambiguous_job['id']}/rows/"
    brazil = movies["Brazil"].pk

    first = client.patch(f"{url}1/", {"movie": twin.pk}).json()
    third = client.patch(f"{url}3/", {"movie": brazil}).json()
    second = client.patch(f"{url}2/", {"skip": True}).json()
    run_action(client, ambiguous_job, "apply")

    assert [row["verdict"] for row in (first, second, third)] == ["matched", "skipped", "matched"]
    assert dict(Rating.objects.values_list("movie_id", "score")) == {twin.pk: 4, brazil: 3}


def test_second_row_of_a_chosen_movie_is_a_duplicate(client, ambiguous_job, movies, twin):
    url = f"/imports/{ambiguous_job['id']}/rows/"
    client.patch(f"{url}1/", {"movie": twin.pk})

    same = client.patch(f"{url}3/", {"movie": twin.pk}).json()
    other = client.patch(f"{url}3/", {"movie": movies["Brazil"].pk}).json()

    assert (same["verdict"], same["code"]) == ("duplicate", "same_as")
    assert (other["verdict"], other["code"]) == ("matched", "")


def test_skipping_the_original_makes_its_duplicate_count(client, movies):
    rows = "2024-01-02,Alien,1979,u,4\n2024-01-01,Alien,1979,u,3\n"
    job = upload_and_read(client, HEADER + rows, "ratings.csv")
    url = f"/imports/{job['id']}/"

    client.patch(f"{url}rows/1/", {"skip": True})

    verdicts = [row["verdict"] for row in client.get(url).json()["rows"]["results"]]
    assert [row["verdict"] for row in job["rows"]["results"]] == ["matched", "duplicate"]
    assert verdicts == ["skipped", "matched"]


@pytest.mark.parametrize("body", [{"movie": 404404}, {}, {"movie": 1, "skip": True}])
def test_invalid_correction_is_400_on_the_movie(client, ambiguous_job, body):
    response = client.patch(f"/imports/{ambiguous_job['id']}/rows/1/", body)

    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["movie"]


def test_unknown_row_is_404(client, ambiguous_job):
    response = client.patch(f"/imports/{ambiguous_job['id']}/rows/99/", {"skip": True})

    assert response.status_code == 404


def test_rows_of_an_applied_import_cannot_be_corrected_until_it_is_undone(client, ambiguous_job):
    url = f"/imports/{ambiguous_job['id']}/rows/2/"
    client.patch(url, {"skip": True})

    job = run_action(client, ambiguous_job, "apply")
    refused = client.patch(url, {"skip": False})
    run_action(client, job, "undo")
    accepted = client.patch(url, {"skip": False})

    assert (refused.status_code, refused.json()["code"]) == (409, "not_ready")
    assert accepted.json()["verdict"] == "matched"


# --- Reading an import ---------------------------------------------------------------------------


def test_rows_are_paginated_and_filtered_by_verdict(client, movies):
    url = f"/imports/{upload_and_read(client, RATINGS, 'ratings.csv')['id']}/"

    missing = client.get(url + "?verdict=missing").json()["rows"]
    second = client.get(url + "?page_size=1&page=2").json()["rows"]
    unknown = client.get(url + "?verdict=odd")

    assert (missing["count"], [row["title"] for row in missing["results"]]) == (1, ["Nowhere"])
    assert (second["count"], [row["number"] for row in second["results"]]) == (3, [2])
    assert "page=3" in second["next"]
    assert unknown.status_code == 400


def test_a_cursor_reads_all_rows_of_a_large_import(client, ann):
    job = Import.objects.create(user=ann, format="imdb", sha256="x", state="ready", total=10_150)
    ImportRow.objects.bulk_create(
        ImportRow(
            of=job, number=number, line=number, kind="rating", title="Film", verdict="missing"
        )
        for number in range(1, 10_151)
    )
    last_page = client.get(f"/imports/{job.pk}/?page_size=100&page=100").json()["rows"]
    url, numbers, pages = f"/imports/{job.pk}/?page_size=100&verdict=missing&cursor=", [], 0

    while url:
        rows = client.get(url).json()["rows"]
        assert (rows["count"], rows["count_is_lower_bound"]) == (10_000, True)
        numbers += [row["number"] for row in rows["results"]]
        url, pages = rows["next"], pages + 1

    assert pages == 102
    assert numbers == list(range(1, 10_151))
    assert last_page["results"][-1]["number"] == 10_000


def test_page_of_rows_takes_a_fixed_number_of_queries(
    client, movies, django_assert_max_num_queries
):
    job = upload_and_read(client, RATINGS, "ratings.csv")

    with django_assert_max_num_queries(6):
        response = client.get(f"/imports/{job['id']}/")

    assert response.status_code == 200


def test_imports_of_other_members_are_404(client, movies, make_user, client_of):
    job = upload_and_read(client, RATINGS, "ratings.csv")
    stranger = client_of(make_user("bob"))
    url = f"/imports/{job['id']}/"

    responses = [
        stranger.get(url),
        stranger.delete(url),
        stranger.patch(f"{url}rows/1/", {"skip": True}),
        stranger.post(f"{url}apply/"),
        stranger.post(f"{url}undo/"),
    ]

    assert [response.status_code for response in responses] == [404] * 5
    assert stranger.get("/imports/").json()["count"] == 0
    assert client.get("/imports/").json()["results"][0]["id"] == job["id"]


# --- States --------------------------------------------------------------------------------------


def test_file_uploaded_again_is_the_same_import_until_it_is_applied(client, movies):
    first = upload_and_read(client, RATINGS, "ratings.csv")

    again = upload(client, RATINGS, "ratings.csv")
    other_name = upload(client, RATINGS, "other.csv")
    run_action(client, first, "apply")
    after_apply = upload(client, RATINGS, "ratings.csv")

    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert again["Location"].endswith(f"/imports/{first['id']}/")
    # The name may say what a file contains.
    assert other_name.status_code == 201
    assert after_apply.status_code == 201
    assert after_apply.json()["id"] != first["id"]
    assert client.get("/imports/").json()["count"] == 3


def test_applying_the_same_file_twice_changes_nothing(client, movies):
    run_action(client, upload_and_read(client, RATINGS, "ratings.csv"), "apply")

    second = upload_and_read(client, RATINGS, "ratings.csv")
    verdicts = [row["verdict"] for row in second["rows"]["results"]]
    second = run_action(client, second, "apply")
    unchanged = second["outcomes"]["unchanged"]
    run_action(client, second, "undo")

    assert verdicts == ["unchanged", "unchanged", "missing"]
    assert unchanged == 2
    assert Rating.objects.count() == 2


def test_file_is_deleted_once_it_is_read(client, movies):
    job = upload(client, RATINGS, "ratings.csv").json()
    files_before = ImportFilePiece.objects.count()

    run_waiting_jobs()

    assert (job["state"], job["progress"]["step"]) == ("reading", "read")
    assert files_before == 1
    assert ImportFilePiece.objects.count() == 0


def test_actions_that_the_state_does_not_allow_are_409(client, movies):
    url = f"/imports/{upload(client, RATINGS, 'ratings.csv').json()['id']}/"

    while_reading = [client.post(f"{url}{action}/").status_code for action in ("apply", "undo")]
    run_waiting_jobs()
    when_ready = client.post(f"{url}undo/").json()["code"]
    unknown_policy = client.post(f"{url}apply/", {"on_conflict": "odd"}).status_code
    apply = client.post(f"{url}apply/").status_code
    while_applying = client.delete(url).json()["code"]

    assert while_reading == [409, 409]
    assert when_ready == "not_applied"
    assert unknown_policy == 400
    assert apply == 202
    assert while_applying == "busy"


def test_deleted_import_leaves_what_it_wrote(client, movies):
    job = run_action(client, upload_and_read(client, RATINGS, "ratings.csv"), "apply")
    url = f"/imports/{job['id']}/"

    response = client.delete(url)

    assert response.status_code == 204
    assert client.get(url).status_code == 404
    assert Rating.objects.count() == 2


def test_file_with_too_many_rows_is_a_failed_import_without_rows(client, movies, monkeypatch):
    monkeypatch.setattr("social.transfer.formats.reader.MAX_RECORDS", 2)
    monkeypatch.setattr("social.transfer.pipeline.read.BATCH_SIZE", 1)

    job = upload_and_read(client, RATINGS, "ratings.csv")

    assert job["state"] == "failed"
    assert "more than 2 rows" in job["reason"]
    assert client.post(f"/imports/{job['id']}/apply/").status_code == 409
    assert (ImportFilePiece.objects.count(), ImportRow.objects.count()) == (0, 0)


# --- Uploads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty_file"), (b"hello", "unknown_format"), (b"PK\x03\x04", "bad_archive")],
)
def test_file_of_an_unknown_format_is_400_on_the_field(client, content, code):
    response = upload(client, content)

    assert response.status_code == 400
    assert response.json()["errors"]["file"][0]["code"] == code
    assert Import.objects.count() == 0


def test_upload_without_a_file_is_400_on_the_field(client):
    empty = client.post("/imports/", {}, format="multipart")
    text = client.post("/imports/", {"file": "text"}, format="multipart")

    assert list(empty.json()["errors"]) == ["file"]
    assert (text.status_code, list(text.json()["errors"])) == (400, ["file"])


def test_upload_as_json_is_415(client):
    assert client.post("/imports/", {"file": "x"}).status_code == 415


def test_upload_with_an_unknown_part_is_400_that_names_it(client):
    for extra in ({"fromat": "imdb"}, {"second": SimpleUploadedFile("b.csv", b"Const\n")}):
        file = SimpleUploadedFile("a.csv", b"Const,Your Rating\ntt0078748,9\n")
        response = client.post("/imports/", {"file": file, **extra}, format="multipart")

        assert response.status_code == 400
        errors = response.json()["errors"]
        assert {name: errors[name][0]["code"] for name in errors} == {next(iter(extra)): "unknown"}
    assert not Import.objects.exists()


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n\r\n", b"\xff" * 100])
def test_malformed_multipart_body_is_400(client, body):
    content_type = "multipart/form-data; boundary=x"

    response = client.generic("POST", "/imports/", body, content_type=content_type)

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_body_with_too_many_fields_is_400(client):
    fields = {f"f{n}": "x" for n in range(2000)}

    assert client.post("/imports/", fields, format="multipart").status_code == 400


def test_file_over_the_limit_is_413(client, settings, monkeypatch):
    assert MAX_FILE_BYTES == 20 * 1024 * 1024
    assert settings.BODY_LIMITS["/imports/"] > MAX_FILE_BYTES + 1000
    limit = 400_000
    monkeypatch.setattr("social.transfer.views.MAX_FILE_BYTES", limit)
    settings.BODY_LIMITS = {"/imports/": limit + 5000}
    header = HEADER.encode()

    responses = [
        upload(client, header + b"\n" * (limit - len(header) + extra), "ratings.csv")
        for extra in (0, 1, 10_000)
    ]

    assert [response.status_code for response in responses] == [201, 413, 413]
    assert all(response["Content-Type"].endswith("json") for response in responses)
    assert responses[-1].json()["code"] == "too_large"


def test_larger_body_limit_is_only_for_imports(client, settings):
    settings.BODY_LIMITS = {"/imports/": 405_000}

    response = client.post("/ratings/", {"movie": 1, "review": "x" * 300_000})

    assert response.status_code == 413


def test_member_with_the_maximum_number_of_imports_is_409(client, ann, settings):
    Import.objects.bulk_create(
        Import(user=ann, format="imdb", sha256=str(n), state="ready", step="")
        for n in range(settings.MEMBER_QUOTAS["imports"])
    )

    response = upload(client, RATINGS, "ratings.csv")

    assert (response.status_code, response.json()["code"]) == (409, "too_many_imports")


def test_uploads_are_rate_limited(client, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "import": (2, 3600)}

    statuses = [upload(client, b"x").status_code for _ in range(3)]

    assert statuses == [400, 400, 429]


# --- The movie lookup ----------------------------------------------------------------------------


def look_up_brazil(references):
    assert [reference.title for reference in references] == ["Nowhere"]
    return [LookupResult(Movie.objects.get(title="Brazil").pk)]


def look_up_nothing(references):
    return [LookupResult(query="“Nowhere” (1999)") for _ in references]


def raise_unavailable(references):
    raise Problem(503, "tmdb_unavailable", "Not now.")


def test_movies_missing_from_the_catalogue_are_looked_up(client, movies, settings):
    settings.IMPORT_MOVIE_LOOKUP = f"{__name__}.look_up_brazil"

    job = upload_and_read(client, RATINGS, "ratings.csv")

    assert [row["verdict"] for row in job["rows"]["results"]] == ["matched"] * 3
    assert job["rows"]["results"][2]["movie"]["title"] == "Brazil"


@pytest.mark.parametrize(
    ("lookup", "code"),
    [("look_up_nothing", "not_in_catalogue"), ("raise_unavailable", "tmdb_unavailable")],
)
def test_movie_that_the_lookup_does_not_return_stays_missing(
    client, movies, settings, lookup, code
):
    settings.IMPORT_MOVIE_LOOKUP = f"{__name__}.{lookup}"

    job = upload_and_read(client, RATINGS, "ratings.csv")

    row = job["rows"]["results"][2]
    assert (job["state"], row["verdict"], row["code"]) == ("ready", "missing", code)
    assert "TMDb" in row["reason"]
