"""sync_tmdb: whole, in parts, cut off and taken up."""

import os
import re
import signal
import subprocess
import sys
import time
from datetime import date
from functools import partial

import pytest
from django.db import connection

from movies.models import Credit, Movie
from nexus.dev.embedded import ROOT
from tmdb.fake.server import FIRST_ID
from tmdb.models import SyncProgress
from tmdb.sync import lists as sync

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(manage):
    return partial(manage, "sync_tmdb")


def test_a_sync_stores_the_lists_as_films_that_want_their_details(run, tmdb_server):
    out, _, failure = run("--lists", "popular", "--pages", "2")
    assert failure is None
    assert out.startswith("Stored: films 40 new, 0 brought up to date")
    assert Movie.objects.count() == 40
    film = Movie.objects.get(tmdb_id=FIRST_ID)
    assert film.title == "The Salt Cartographer"
    assert film.genres == ["Drama", "Mystery"]
    assert film.popularity == 80.0
    assert film.details_missing
    assert film.is_refresh_due
    assert film.runtime is None
    assert not Credit.objects.exists()
    assert [asked.path for asked in tmdb_server.requests] == ["/3/movie/popular"] * 2
    assert not SyncProgress.objects.exists()


def test_a_second_sync_changes_nothing_but_brings_up_to_date(run, tmdb_server):
    run("--lists", "popular", "--pages", "1")
    Movie.objects.filter(tmdb_id=FIRST_ID).update(popularity=1.0)
    out, _, _ = run("--lists", "popular", "--pages", "1")
    assert out.startswith("Stored: films 0 new, 20 brought up to date")
    assert Movie.objects.get(tmdb_id=FIRST_ID).popularity == 80.0


def test_years_are_discovered_and_since_leaves_earlier_films_out(run, tmdb_server):
    options = ("--lists", "none", "--discover-years", "1998-1999", "--pages", "1")
    run(*options, "--since", "1998-12-01")
    years = {asked.query.get("primary_release_year") for asked in tmdb_server.requests}
    assert years == {"1998", "1999"}
    assert all(
        asked.query["primary_release_date.gte"] == "1998-12-01" for asked in tmdb_server.requests
    )
    assert Movie.objects.filter(title="Winter at Gannet Station").exists()
    assert not Movie.objects.filter(release_date__lt=date(1998, 12, 1)).exists()


def test_since_alone_asks_for_all_years_in_one_list(run, tmdb_server):
    run("--lists", "none", "--since", "2021-01-01", "--pages", "1")
    assert [asked.path for asked in tmdb_server.requests] == ["/3/discover/movie"]
    assert Movie.objects.count() == 20


def test_a_list_that_is_shorter_than_asked_for_ends_where_it_ends(run, tmdb_server):
    run("--lists", "upcoming", "--pages", "50")
    assert len(tmdb_server.requests) == 2
    assert Movie.objects.count() == 40


def test_a_dry_run_says_what_would_be_and_writes_nothing(run, tmdb_server):
    out, _, _ = run("--lists", "popular", "--pages", "1", "--dry-run")
    assert out.startswith("Would store: films 20 new")
    assert not Movie.objects.exists()
    assert not SyncProgress.objects.exists()


def test_one_bad_film_and_one_bad_page_stop_nothing(run, tmdb_server, monkeypatch):
    real = sync.parse.search_page

    def with_a_bad_film(document):
        document["results"][3] = {"id": -1}
        document["results"][4] |= {"adult": True}
        document["results"][5] |= {"video": True}
        return real(document)

    monkeypatch.setattr(sync.parse, "search_page", with_a_bad_film)
    tmdb_server.switch("html", times=1)
    out, _, failure = run("--lists", "popular", "--pages", "3")
    assert failure is None
    # The page that failed was asked for again at the end.
    assert "films 51 new" in out
    assert "9 entries not taken" in out
    assert Movie.objects.count() == 51


def test_a_page_that_fails_twice_is_told_and_the_exit_code_says_so(run, tmdb_server, monkeypatch):
    real = sync.parse.search_page

    def never_the_second(document):
        if document["page"] == 2:
            raise sync.TmdbError("page 2 is unreadable")
        return real(document)

    monkeypatch.setattr(sync.parse, "search_page", never_the_second)
    out, err, failure = run("--lists", "popular", "--pages", "3")
    assert "films 40 new" in out
    assert "popular, page 2: page 2 is unreadable" in err
    assert failure == "1 failed."


def test_a_sync_ends_early_while_tmdb_is_away_and_is_taken_up(run, tmdb_server, monkeypatch):
    run("--lists", "popular", "--pages", "1")
    monkeypatch.setattr("tmdb.cache.BATCH_RETRIES", 0)
    monkeypatch.setattr("tmdb.cache.BATCH_BUDGET_S", 0.5)
    tmdb_server.switch("html")
    *_, failure = run("--lists", "popular", "--pages", "9")
    assert "run it again to go on" in failure
    assert Movie.objects.count() == 20


@pytest.mark.parametrize(
    "arguments",
    [
        ("--lists", "best"),
        ("--pages", "0"),
        ("--pages", "501"),
        ("--pages", "x"),
        ("--discover-years", "1500"),
        ("--discover-years", "2020-2010"),
        ("--discover-years", "x"),
        ("--since", "yesterday"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(run, tmdb_server, arguments):
    *_, failure = run(*arguments)
    assert failure.startswith(f"Error: argument {arguments[0]}")
    assert tmdb_server.requests == []


def test_without_a_credential_a_sync_says_what_is_missing(run, settings):
    settings.TMDB_TOKEN = ""
    assert "TMDB_ACCESS_TOKEN" in run("--lists", "popular")[2]


def test_a_credential_that_tmdb_does_not_take_ends_the_run_and_is_not_told(run, tmdb_server):
    tmdb_server.switch("401")
    out, err, failure = run("--lists", "popular")
    assert "does not take" in failure
    assert tmdb_server.credential not in out + err + failure


@pytest.mark.django_db(transaction=True)
def test_a_sync_of_2000_films_killed_half_way_is_finished_by_the_next(tmdb_server):
    name = connection.settings_dict["NAME"]
    environment = {
        **os.environ,
        "DATABASE_URL": re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{name}", os.environ["DATABASE_URL"]),
        "TMDB_BASE_URL": tmdb_server.base_url,
        "TMDB_ACCESS_TOKEN": tmdb_server.credential,
    }
    command = [sys.executable, "manage.py", "sync_tmdb", "--lists", "popular", "--pages", "100"]
    first = subprocess.Popen(command, env=environment, cwd=ROOT)
    deadline = time.monotonic() + 30
    while len(tmdb_server.requests) < 50 and time.monotonic() < deadline:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait()
    held, asked = Movie.objects.count(), len(tmdb_server.requests)
    assert held % 20 == 0
    assert 900 <= held < 1100
    assert SyncProgress.objects.get(name="sync_tmdb").position["page"] == held // 20

    second = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "films 2,000 new, 0 brought up to date" in second.stdout
    assert "taken up" in second.stdout
    assert Movie.objects.count() == Movie.objects.values("tmdb_id").distinct().count() == 2000
    assert not Movie.objects.filter(title="").exists()
    assert not Movie.objects.filter(search_vector="").exists()
    assert Movie.objects.filter(details_missing=True, synced_at__isnull=False).count() == 2000
    # Nothing that was stored was asked for again.
    assert len(tmdb_server.requests) - asked <= 101 - held // 20
    assert not SyncProgress.objects.exists()
