"""refresh_tmdb: what changed, what is old, what is gone."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from movies.models import Movie
from tmdb.fake.server import FILMS, FIRST_ID
from tmdb.models import SyncProgress

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(manage):
    return partial(manage, "refresh_tmdb")


@pytest.fixture
def hold(make_movie):
    """A film of TMDb's, held under another title for some days."""

    def make(tmdb_id=FIRST_ID, *, days=3, **fields):
        fields.setdefault("source", Movie.Source.TMDB)
        film = make_movie("Old title", tmdb_id=tmdb_id, imdb_id=None, **fields)
        Movie.objects.filter(pk=film.pk).update(synced_at=timezone.now() - timedelta(days=days))
        return film

    return make


def asked_for(server):
    return [asked.path for asked in server.requests if "changes" not in asked.path]


def title_of(film):
    film.refresh_from_db()
    return film.title


def test_what_changed_at_tmdb_is_asked_for_again_if_it_is_held(run, tmdb_server, hold):
    changed, same = hold(FIRST_ID), hold(FIRST_ID + 1)
    tmdb_server.changed = [*range(1, 250), FIRST_ID]
    out, _, failure = run()
    assert failure is None
    assert out.startswith("Refreshed: films 1 of 1 changed and 0 old; 0 are gone")
    assert title_of(changed) == "The Salt Cartographer"
    assert title_of(same) == "Old title"
    assert asked_for(tmdb_server) == [f"/3/movie/{FIRST_ID}"]
    # The feed was read to its third and last page.
    assert [asked.query["page"] for asked in tmdb_server.requests[:3]] == ["1", "2", "3"]


def test_the_next_run_follows_the_feed_from_where_the_last_one_ended(run, tmdb_server):
    run()
    today = timezone.now().date()
    position = SyncProgress.objects.get(name="refresh_tmdb").position
    assert position == {"through": today.isoformat(), "failed": []}
    SyncProgress.objects.update(position={"through": (today - timedelta(days=4)).isoformat()})
    run()
    SyncProgress.objects.update(position={"through": (today - timedelta(days=99)).isoformat()})
    run()
    starts = [asked.query["start_date"] for asked in tmdb_server.requests]
    days = [(today - timedelta(days=back)).isoformat() for back in (1, 4, 13)]
    assert starts == days


def test_what_is_older_than_150_days_is_asked_for_again(run, tmdb_server, hold):
    old, young = hold(FIRST_ID, days=151), hold(FIRST_ID + 1, days=149)
    out, _, _ = run()
    assert "films 1 of 0 changed and 1 old" in out
    assert title_of(old) == "The Salt Cartographer"
    assert not old.is_stale
    assert title_of(young) == "Old title"


def test_films_of_other_sources_are_left_alone(run, tmdb_server, hold):
    film = hold(days=400, source=Movie.Source.MANUAL)
    tmdb_server.changed = [FIRST_ID]
    run()
    assert title_of(film) == "Old title"
    assert asked_for(tmdb_server) == []


def test_what_tmdb_deleted_is_marked_and_stays(run, tmdb_server, hold, api):
    film = hold(days=151)
    tmdb_server.deleted.add(FIRST_ID)
    out, _, failure = run()
    assert failure is None
    assert "1 are gone at TMDb and were marked" in out
    film.refresh_from_db()
    assert film.removed_at_source is not None
    assert api.get(f"/movies/{film.pk}/").json()["title"] == "Old title"
    run()
    # It is not asked for night after night.
    assert asked_for(tmdb_server) == [f"/3/movie/{FIRST_ID}"]


def test_a_film_that_comes_back_is_no_longer_marked(run, tmdb_server, hold):
    film = hold()
    Movie.objects.update(removed_at_source=timezone.now())
    tmdb_server.changed = [FIRST_ID]
    run()
    film.refresh_from_db()
    assert film.removed_at_source is None


def test_the_limit_leaves_the_rest_to_the_next_run(run, tmdb_server, hold):
    films = [hold(FIRST_ID + number, days=160 - number) for number in range(3)]
    out, _, _ = run("--limit", "2")
    assert "the limit leaves some to the next run" in out
    assert [title_of(film) == "Old title" for film in films] == [False, False, True]
    run("--limit", "2")
    assert title_of(films[2]) != "Old title"


def test_changes_that_the_limit_cut_off_are_taken_up(run, tmdb_server, hold):
    films = [hold(FIRST_ID + number) for number in range(3)]
    tmdb_server.changed = [FIRST_ID + number for number in range(3)]
    run("--limit", "2")
    assert sum(title_of(film) == "Old title" for film in films) == 1
    run("--limit", "2")
    assert not any(title_of(film) == "Old title" for film in films)
    assert len(asked_for(tmdb_server)) == 3


def test_one_bad_film_stops_nothing_and_is_tried_by_the_next_run(
    run, tmdb_server, hold, monkeypatch
):
    bad, good = hold(FIRST_ID), hold(FIRST_ID + 1)
    tmdb_server.changed = [FIRST_ID, FIRST_ID + 1]
    with monkeypatch.context() as patched:
        patched.setitem(FILMS, FIRST_ID, {**FILMS[FIRST_ID], "runtime": "long"})
        out, err, failure = run()
    assert "films 1 of 2 changed" in out
    assert f"film {FIRST_ID}: runtime that is not a whole number" in err
    assert failure == "1 failed."
    assert (title_of(bad), title_of(good)) == ("Old title", "Nine Lamps for Marisol")
    tmdb_server.changed = []
    run()
    assert title_of(bad) == "The Salt Cartographer"


def test_a_dry_run_counts_and_writes_nothing(run, tmdb_server, hold):
    film, old = hold(), hold(FIRST_ID + 1, days=200)
    tmdb_server.changed = [FIRST_ID]
    out, _, _ = run("--dry-run")
    assert out.startswith("Would refresh: films 1 changed, 1 old")
    assert (title_of(film), title_of(old)) == ("Old title", "Old title")
    assert not SyncProgress.objects.exists()


def test_while_tmdb_is_away_the_run_ends_and_says_so(run, tmdb_server, monkeypatch):
    monkeypatch.setattr("tmdb.cache.BATCH_RETRIES", 0)
    monkeypatch.setattr("tmdb.cache.BATCH_BUDGET_S", 0.5)
    tmdb_server.switch("html")
    assert "run it again to go on" in run()[2]
