"""refresh_tmdb: changed, old and deleted movies."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from movies.models import Movie
from tmdb.fake.server import FIRST_ID, MOVIES
from tmdb.models import SyncProgress

pytestmark = pytest.mark.django_db


@pytest.fixture
def refresh(run_command):
    return partial(run_command, "refresh_tmdb")


@pytest.fixture
def store_movie(make_movie):
    """Store a movie of TMDb under another title, last synced some days ago."""

    def store(tmdb_id=FIRST_ID, *, days=3, **fields):
        fields.setdefault("source", Movie.Source.TMDB)
        movie = make_movie("Old title", tmdb_id=tmdb_id, imdb_id=None, **fields)
        Movie.objects.filter(pk=movie.pk).update(synced_at=timezone.now() - timedelta(days=days))
        return movie

    return store


def get_movie_paths(server):
    return [request.path for request in server.requests if "changes" not in request.path]


def get_title(movie):
    movie.refresh_from_db()
    return movie.title


def test_stored_movie_that_changed_at_tmdb_is_refreshed(refresh, tmdb_server, store_movie):
    changed, unchanged = store_movie(FIRST_ID), store_movie(FIRST_ID + 1)
    tmdb_server.changed_ids = [*range(1, 250), FIRST_ID]

    output, _, failure = refresh()

    assert failure is None
    assert output.startswith("Refreshed 1 movies of 1 changed and 0 old ones; marked 0 that")
    assert get_title(changed) == "The Salt Cartographer"
    assert get_title(unchanged) == "Old title"
    assert get_movie_paths(tmdb_server) == [f"/3/movie/{FIRST_ID}"]
    # All three pages of changes were read.
    assert [request.query["page"] for request in tmdb_server.requests[:3]] == ["1", "2", "3"]


def test_next_run_reads_the_changes_since_the_last_run(refresh, tmdb_server):
    today = timezone.now().date()

    refresh()
    position = SyncProgress.objects.get(name="refresh_tmdb").position
    for days in (4, 99):
        through = (today - timedelta(days=days)).isoformat()
        SyncProgress.objects.update(position={"through": through})
        refresh()

    assert position == {"through": today.isoformat(), "failed": []}
    first_days = [request.query["start_date"] for request in tmdb_server.requests]
    assert first_days == [(today - timedelta(days=days)).isoformat() for days in (1, 4, 13)]


def test_movie_synced_more_than_150_days_ago_is_refreshed(refresh, tmdb_server, store_movie):
    old, young = store_movie(FIRST_ID, days=151), store_movie(FIRST_ID + 1, days=149)

    output, _, _ = refresh()

    assert "Refreshed 1 movies of 0 changed and 1 old ones" in output
    assert get_title(old) == "The Salt Cartographer"
    assert not old.is_stale
    assert get_title(young) == "Old title"


def test_movies_of_other_sources_are_not_refreshed(refresh, tmdb_server, store_movie):
    movie = store_movie(days=400, source=Movie.Source.MANUAL)
    tmdb_server.changed_ids = [FIRST_ID]

    refresh()

    assert get_title(movie) == "Old title"
    assert get_movie_paths(tmdb_server) == []


def test_movie_that_tmdb_deleted_is_marked_once_and_stays(refresh, tmdb_server, store_movie, api):
    movie = store_movie(days=151)
    tmdb_server.deleted_ids.add(FIRST_ID)

    output, _, failure = refresh()
    refresh()

    assert failure is None
    assert "marked 1 that TMDb deleted" in output
    movie.refresh_from_db()
    assert movie.removed_at_source is not None
    assert api.get(f"/movies/{movie.pk}/").json()["title"] == "Old title"
    assert get_movie_paths(tmdb_server) == [f"/3/movie/{FIRST_ID}"]


def test_movie_that_returns_to_tmdb_is_no_longer_marked(refresh, tmdb_server, store_movie):
    movie = store_movie()
    Movie.objects.update(removed_at_source=timezone.now())
    tmdb_server.changed_ids = [FIRST_ID]

    refresh()

    movie.refresh_from_db()
    assert movie.removed_at_source is None


def test_limit_leaves_old_movies_to_the_next_run(refresh, tmdb_server, store_movie):
    movies = [store_movie(FIRST_ID + number, days=160 - number) for number in range(3)]

    output, _, _ = refresh("--limit", "2")
    titles = [get_title(movie) for movie in movies]
    refresh("--limit", "2")

    assert "the limit leaves some to the next run" in output
    assert [title == "Old title" for title in titles] == [False, False, True]
    assert get_title(movies[2]) != "Old title"


def test_limit_leaves_changed_movies_to_the_next_run(refresh, tmdb_server, store_movie):
    movies = [store_movie(FIRST_ID + number) for number in range(3)]
    tmdb_server.changed_ids = [FIRST_ID + number for number in range(3)]

    refresh("--limit", "2")
    titles = [get_title(movie) for movie in movies]
    refresh("--limit", "2")

    assert titles.count("Old title") == 1
    assert all(get_title(movie) != "Old title" for movie in movies)
    assert len(get_movie_paths(tmdb_server)) == 3


def test_unreadable_movie_stops_nothing_and_is_retried_by_the_next_run(
    refresh, tmdb_server, store_movie, monkeypatch
):
    unreadable, readable = store_movie(FIRST_ID), store_movie(FIRST_ID + 1)
    tmdb_server.changed_ids = [FIRST_ID, FIRST_ID + 1]

    with monkeypatch.context() as patched:
        patched.setitem(MOVIES, FIRST_ID, {**MOVIES[FIRST_ID], "runtime": "long"})
        output, errors, failure = refresh()
    titles = (get_title(unreadable), get_title(readable))
    tmdb_server.changed_ids = []
    refresh()

    assert "Refreshed 1 movies of 2 changed" in output
    assert f"movie {FIRST_ID}: runtime is not an integer" in errors
    assert failure == "1 failed."
    assert titles == ("Old title", "Nine Lamps for Marisol")
    assert get_title(unreadable) == "The Salt Cartographer"


def test_dry_run_reports_counts_and_writes_nothing(refresh, tmdb_server, store_movie):
    changed, old = store_movie(), store_movie(FIRST_ID + 1, days=200)
    tmdb_server.changed_ids = [FIRST_ID]

    output, _, _ = refresh("--dry-run")

    assert output.startswith("Would refresh 1 changed and 1 old movies")
    assert (get_title(changed), get_title(old)) == ("Old title", "Old title")
    assert not SyncProgress.objects.exists()


def test_refresh_ends_while_tmdb_is_unavailable(refresh, tmdb_server, monkeypatch):
    monkeypatch.setattr("tmdb.gateway.BATCH_RETRIES", 0)
    monkeypatch.setattr("tmdb.gateway.BATCH_TIME_LIMIT_S", 0.5)
    tmdb_server.set_mode("html")

    *_, failure = refresh()

    assert "Run refresh_tmdb again to continue" in failure
