"""The archive of everything a member owns, and its way back into an account."""

import csv
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from movies.models import Movie
from social.models import (
    Block,
    Export,
    ExportPiece,
    Follow,
    Playlist,
    PlaylistItem,
    Rating,
    Viewing,
    WatchlistItem,
)
from social.services.account_deletion import account_delete
from social.services.follows import block_set, follow_set
from social.services.playlists import playlist_create
from social.transfer import prepared_exports
from social.transfer.exports import ABOUT_FILES, write_export
from social.transfer.formats.csv_reader import escape_formula, unescape_formula
from social.transfer.tasks import delete_old_exports
from social.transfer.tests.helpers import make_zip, run_action, upload_and_read

MOMENT = datetime(2020, 2, 3, 4, 5, 6, 789012, UTC)
ROWS = 33
# One of them counts the rows.
QUERIES = 28


def download_export(client):
    response = client.get("/exports/")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/zip"
    data = b"".join(response.streaming_content)
    assert int(response["Content-Length"]) == len(data)
    return data


def unzip(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def import_export(client, data):
    """Import an archive into the client's account; return the import after applying it."""
    return run_action(client, upload_and_read(client, data, "nexus-export.zip"), "apply")


@pytest.fixture
def movies(make_movie):
    return [
        make_movie("Alien", release_year=1979),
        make_movie("Amélie, “le” film", release_year=2001, imdb_id="tt0211915"),
        make_movie("=HYPERLINK(1)", release_year=2002),
        # Two of the same title, which only the ids of this catalogue tell apart.
        *(
            Movie.objects.create(title="Twins", release_year=year, sort_title="twins")
            for year in (1991, 1990)
        ),
    ]


@pytest.fixture
def ann(make_user, movies):
    """A member with everything that can be exported, unusual texts included."""
    ann = make_user(
        "ann",
        display_name="Ann  O’Hara",
        bio="Films\nand\ttea.",
        avatar_url="https://example.org/a.png",
        favorite_genres=["Horror", "Drama"],
        region="DE",
        providers=[337, 8],
        visibility="private",
    )
    Rating.objects.bulk_create(
        Rating(
            user=ann,
            movie=movie,
            score=(number % 9 + 2) / 2,
            review=["", "=1+1", "'=quoted", 'Two\nlines, “quotes” and "more".', " spaced "][number],
            contains_spoilers=number == 3,
            created_at=MOMENT + timedelta(days=number),
            updated_at=MOMENT + timedelta(days=number, microseconds=number),
            reviewed_at=MOMENT if number == 1 else None,
        )
        for number, movie in enumerate(movies)
    )
    # A review alone, written when it was created, and one whose score was removed later.
    Rating.objects.filter(user=ann, movie__in=movies[3:]).update(score=None, is_counted=False)
    Rating.objects.filter(user=ann, movie=movies[3]).update(reviewed_at=F("created_at"))
    Rating.objects.filter(user=ann, movie=movies[4]).update(reviewed_at=MOMENT)
    WatchlistItem.objects.create(user=ann, movie=movies[0], added_at=MOMENT)
    Viewing.objects.bulk_create(
        Viewing(user=ann, movie=movies[0], watched_at=MOMENT + timedelta(hours=hours))
        for hours in (0, 1, 30)
    )
    day = MOMENT.date()
    Viewing.objects.bulk_create(
        [
            Viewing(user=ann, movie=movies[0], watched_on=day, note="=With Ben,\n twice."),
            Viewing(user=ann, movie=movies[0], note="Long ago."),
            Viewing(user=ann, movie=movies[0]),
            # At home it was still the day before.
            Viewing(
                user=ann,
                movie=movies[1],
                watched_on=day - timedelta(days=1),
                watched_at=MOMENT,
                note="At the Rex.",
            ),
        ]
    )
    for number, visibility in enumerate(("public", "unlisted", "private")):
        playlist = playlist_create(
            owner=ann,
            name="Nights",
            description=f"-{number}",
            visibility=visibility,
            movie_ids=[movie.pk for movie in movies[number:][::-1]],
        )
        PlaylistItem.objects.filter(playlist=playlist, movie=movies[-1]).update(note="@home")
        created_at = MOMENT + timedelta(days=number)
        Playlist.objects.filter(id=playlist.id).update(created_at=created_at)
    playlist_create(owner=ann, name="+empty")
    ann.feedback.create(movie=movies[2], kind="less", created_at=MOMENT, updated_at=MOMENT)
    follow_set(follower_id=ann.pk, followed_id=make_user("bob").pk)
    block_set(blocker_id=ann.pk, blocked_id=make_user("Eve").pk)
    return ann


@pytest.fixture
def files(client):
    """The files of ann's export."""
    return unzip(download_export(client))


@pytest.fixture
def carl(make_user):
    return make_user("carl")


# --- Content -------------------------------------------------------------------------------------


def test_rating_is_exported_with_its_movie_and_dates(files, movies):
    rating = json.loads(files["ratings.json"])[1]

    assert rating == {
        "movie": {
            "id": movies[1].pk,
            "tmdb_id": movies[1].tmdb_id,
            "imdb_id": "tt0211915",
            "title": "Amélie, “le” film",
            "year": 2001,
        },
        "score": 1.5,
        "review": "=1+1",
        "contains_spoilers": False,
        "rated_at": "2020-02-04T04:05:06.789012Z",
        "updated_at": "2020-02-04T04:05:06.789013Z",
        "reviewed_at": "2020-02-03T04:05:06.789012Z",
    }


def test_letterboxd_file_has_a_row_for_each_viewing(files):
    rows = list(csv.DictReader(io.StringIO(files["letterboxd.csv"], newline="")))

    assert (rows[0]["Title"], rows[0]["Rating"]) == ("Alien", "1")
    assert [row["WatchedDate"] for row in rows if row["Title"] == "Alien"] == [
        "2020-02-04",
        "2020-02-03",
        "2020-02-03",
        "2020-02-03",
    ]


def test_archive_names_its_format_and_the_followed_and_blocked_members(files):
    assert json.loads(files["nexus-export.json"]) == {"format": "nexus-export", "version": 2}
    assert json.loads(files["following.json"])[0]["username"] == "bob"
    assert json.loads(files["blocks.json"])[0]["username"] == "Eve"


def test_no_cell_of_an_export_is_a_formula(files):
    cells = [
        cell
        for name, text in files.items()
        if name.endswith(".csv")
        for row in csv.reader(io.StringIO(text, newline=""))
        for cell in row
    ]

    assert "'=HYPERLINK(1)" in cells
    assert "''=quoted" in cells
    assert [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")] == []


@pytest.mark.parametrize(
    "text", ["", "a", "'", "=1", "'=1", "''=1", "-", "'a", "\t", "@x", "''", "+", "'\r"]
)
def test_unescape_formula_restores_what_escape_formula_was_given(text):
    assert unescape_formula(escape_formula(text)) == text


def test_hidden_member_is_not_exported(ann, client):
    bob = Follow.objects.get(follower=ann).followed
    bob.visibility = "private"
    bob.save()

    files = unzip(download_export(client))

    assert json.loads(files["following.json"]) == []


def test_deleted_member_is_not_exported(ann, client):
    account_delete(user=Follow.objects.get(follower=ann).followed)

    files = unzip(download_export(client))

    assert json.loads(files["following.json"]) == []


# --- The way back --------------------------------------------------------------------------------


def test_two_exports_of_the_same_data_are_the_same_archive(client):
    assert download_export(client) == download_export(client)


def test_export_of_an_imported_export_is_identical(client, carl, client_of, movies):
    archive = download_export(client)
    before = unzip(archive)

    job = import_export(client_of(carl), archive)

    assert job["verdicts"]["matched"] == len(job["rows"]["results"]) == ROWS
    assert job["outcomes"]["created"] + job["outcomes"]["updated"] == ROWS
    after = unzip(download_export(client_of(carl)))
    assert json.loads(before.pop("account.json"))[0]["username"] == "ann"
    assert json.loads(after.pop("account.json"))[0]["username"] == "carl"
    for name in ABOUT_FILES:
        del before[name], after[name]
    assert after == before
    movies[0].refresh_from_db()
    assert (movies[0].rating_count, movies[0].rating_sum) == (1, 1.0)
    assert Follow.objects.get(follower=carl).followed.username == "bob"


def test_an_archive_of_version_one_gives_viewings_their_days(carl, client_of, movies):
    movie = {"id": movies[0].pk, "title": "Alien", "year": 1979}
    # Version 1 wrote a day as its midnight, and an unknown day as the Unix epoch.
    moments = ["2020-02-03T22:30:00.000001Z", "2020-02-03T04:05:06Z", "2019-05-01T00:00:00Z"]
    viewings = [{"movie": movie, "watched_at": text} for text in (*moments, "1970-01-01T00:00:00Z")]
    rating = {
        **{"movie": movie, "score": 4.5, "review": "Loud.", "contains_spoilers": False},
        **{"rated_at": "2020-02-04T04:05:06Z", "updated_at": "2020-02-05T04:05:06Z"},
    }
    archive = make_zip(
        {
            "nexus-export.json": json.dumps({"format": "nexus-export", "version": 1}),
            "history.json": json.dumps(viewings),
            "ratings.json": json.dumps([rating]),
        }
    )

    job = import_export(client_of(carl), archive)

    assert job["outcomes"] == {**dict.fromkeys(job["outcomes"], 0), "created": 5}
    assert {
        (viewing.watched_on and f"{viewing.watched_on}", viewing.watched_at and f"{viewing.watched_at:%FT%T.%fZ}")
        for viewing in Viewing.objects.filter(user=carl)
    } == {
        ("2020-02-03", "2020-02-03T22:30:00.000001Z"),
        ("2020-02-03", "2020-02-03T04:05:06.000000Z"),
        ("2019-05-01", None),
        (None, None),
    }  # fmt: skip
    stored = Rating.objects.get(user=carl)
    assert (stored.score, stored.review) == (4.5, "Loud.")
    assert stored.created_at.isoformat() == "2020-02-04T04:05:06+00:00"


def test_importing_an_export_twice_changes_nothing(client, carl, client_of):
    archive = download_export(client)
    import_export(client_of(carl), archive)

    job = import_export(client_of(carl), archive)

    assert job["verdicts"]["unchanged"] == ROWS
    assert job["outcomes"] == {**dict.fromkeys(job["outcomes"], 0), "unchanged": ROWS}
    after = unzip(download_export(client_of(carl)))
    assert after["ratings.json"] == unzip(archive)["ratings.json"]


def test_undoing_an_imported_export_leaves_an_empty_account(client, carl, client_of):
    job = import_export(client_of(carl), download_export(client))

    run_action(client_of(carl), job, "undo")

    carl.refresh_from_db()
    assert (carl.display_name, carl.visibility) == ("", "public")
    assert not Follow.objects.filter(follower=carl).exists()
    assert not Block.objects.filter(blocker=carl).exists()
    assert not Playlist.objects.filter(owner=carl).exists()
    assert not carl.feedback.exists()
    for model in (Rating, Viewing, WatchlistItem):
        assert not model.objects.filter(user=carl).exists()


def test_feedback_of_an_export_does_not_replace_the_members_own(client, carl, client_of, movies):
    now = datetime.now(UTC)
    carl.feedback.create(movie=movies[2], kind="more", created_at=now, updated_at=now)

    job = import_export(client_of(carl), download_export(client))

    (row,) = [row for row in job["rows"]["results"] if row["kind"] == "feedback"]
    assert (row["code"], row["outcome"]) == ("conflict", "kept")
    assert carl.feedback.get().kind == "more"


@pytest.mark.parametrize(
    ("table", "rows"), [("ratings", 5), ("history", 7), ("watchlist", 1), ("playlists", 6)]
)
def test_table_of_an_export_can_be_imported_alone(files, carl, client_of, table, rows):
    client = client_of(carl)

    job = upload_and_read(client, files[f"{table}.csv"], f"{table}.csv")
    run_action(client, job, "apply")

    assert job["format"] == "nexus"
    # A playlist of the table is a row of its own.
    assert job["verdicts"]["matched"] == rows, job["rows"]["results"]
    after = unzip(download_export(client))
    if table in ("history", "watchlist"):
        assert after[f"{table}.json"] == files[f"{table}.json"]
    if table == "ratings":
        before, reviews = (
            [rating["review"].strip() for rating in json.loads(text)]
            for text in (files["ratings.json"], after["ratings.json"])
        )
        assert reviews == before


def test_letterboxd_file_of_an_export_can_be_imported(files, carl, client_of):
    job = upload_and_read(client_of(carl), files["letterboxd.csv"], "letterboxd.csv")

    assert job["format"] == "letterboxd"
    assert job["verdicts"]["invalid"] == job["verdicts"]["missing"] == 0


# --- Limits --------------------------------------------------------------------------------------


def test_export_takes_a_fixed_number_of_queries(ann, client, movies, django_assert_num_queries):
    download_export(client)
    with django_assert_num_queries(QUERIES):
        download_export(client)
    WatchlistItem.objects.create(user=ann, movie=movies[1])
    Playlist.objects.create(owner=ann, name="More")

    with django_assert_num_queries(QUERIES):
        download_export(client)


def test_exports_are_rate_limited(make_user, client_of, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "export": (2, 3600)}
    client = client_of(make_user("dora"))

    statuses = [client.get("/exports/").status_code for _ in range(3)]

    assert statuses == [200, 200, 429]


# --- Members with much data ----------------------------------------------------------------------


@pytest.fixture
def _large_accounts(monkeypatch):
    """Let every account with more than three rows be a large one."""
    monkeypatch.setattr(prepared_exports, "MAX_ROWS_OF_A_REQUEST", 3)
    monkeypatch.setattr(prepared_exports, "PIECE_BYTES", 1000)


@pytest.mark.usefixtures("_large_accounts")
def test_export_of_a_large_account_is_prepared_in_the_background(ann, client_of, run_jobs):
    client = client_of(ann)

    pending = [client.get("/exports/") for _ in range(3)]
    jobs = ProcrastinateJob.objects.filter(task_name="social.transfer.tasks.prepare_export")
    queued = list(jobs.values_list("args", flat=True))
    assert run_jobs() == []
    prepared = unzip(download_export(client))

    assert [response.status_code for response in pending] == [202] * 3
    assert {response["Retry-After"] for response in pending} == {"5"}
    assert queued == [{"user_id": ann.pk}]
    assert ExportPiece.objects.count() > 1
    expected = io.BytesIO()
    write_export(user_id=ann.pk, file=expected)
    assert prepared == unzip(expected.getvalue())


@pytest.mark.usefixtures("_large_accounts")
def test_prepared_export_is_made_again_when_it_is_old(ann, client_of, run_jobs):
    client = client_of(ann)
    client.get("/exports/")
    run_jobs()
    Export.objects.update(finished_at=timezone.now() - timedelta(minutes=16))

    response = client.get("/exports/")

    assert response.status_code == 202
    assert ExportPiece.objects.count() == 0


@pytest.mark.usefixtures("_large_accounts")
def test_export_that_was_never_finished_is_requested_again(ann, client_of, run_jobs):
    client = client_of(ann)
    client.get("/exports/")
    ProcrastinateJob.objects.all().delete()
    Export.objects.update(requested_at=timezone.now() - timedelta(minutes=61))

    assert client.get("/exports/").status_code == 202
    assert run_jobs() == []

    assert client.get("/exports/").status_code == 200


@pytest.mark.usefixtures("_large_accounts")
def test_prepared_exports_are_deleted_after_a_day_and_with_the_account(
    ann, make_user, client_of, run_jobs
):
    client_of(ann).get("/exports/")
    Export.objects.update(requested_at=timezone.now() - timedelta(hours=25))
    bob = make_user("barbara")
    Export.objects.create(user=bob)

    delete_old_exports(timestamp=0)
    remaining = list(Export.objects.values_list("user_id", flat=True))
    assert remaining == [bob.pk]
    account_delete(user=bob)

    assert not Export.objects.exists()
