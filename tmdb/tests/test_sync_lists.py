"""sync_tmdb: complete, partly failed, killed and resumed."""

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
from tmdb.client.errors import TmdbInvalidResponse
from tmdb.fake.server import FIRST_ID
from tmdb.models import SyncProgress
from tmdb.sync import lists

pytestmark = pytest.mark.django_db


@pytest.fixture
def sync(run_command):
    return partial(run_command, "sync_tmdb")


def test_lists_are_stored_as_movies_without_details(sync, tmdb_server):
    output, _, failure = sync("--lists", "popular", "--pages", "2")

    assert failure is None
    assert output.startswith("Stored 40 new movies and updated 0; rejected 0 entries")
    assert Movie.objects.count() == 40
    movie = Movie.objects.get(tmdb_id=FIRST_ID)
    assert movie.title == "The Salt Cartographer"
    assert movie.genres == ["Drama", "Mystery"]
    assert movie.popularity == 80.0
    assert movie.details_missing
    assert movie.is_refresh_due
    assert movie.runtime is None
    assert not Credit.objects.exists()
    assert [request.path for request in tmdb_server.requests] == ["/3/movie/popular"] * 2
    assert not SyncProgress.objects.exists()


def test_second_sync_updates_the_movies(sync, tmdb_server):
    sync("--lists", "popular", "--pages", "1")
    Movie.objects.filter(tmdb_id=FIRST_ID).update(popularity=1.0)

    output, _, _ = sync("--lists", "popular", "--pages", "1")

    assert output.startswith("Stored 0 new movies and updated 20")
    assert Movie.objects.get(tmdb_id=FIRST_ID).popularity == 80.0


def test_discovered_years_are_stored_without_movies_released_before_since(sync, tmdb_server):
    options = ("--lists", "none", "--discover-years", "1998-1999", "--pages", "1")

    sync(*options, "--since", "1998-12-01")

    queries = [request.query for request in tmdb_server.requests]
    assert {query.get("primary_release_year") for query in queries} == {"1998", "1999"}
    assert {query["primary_release_date.gte"] for query in queries} == {"1998-12-01"}
    assert Movie.objects.filter(title="Winter at Gannet Station").exists()
    assert not Movie.objects.filter(release_date__lt=date(1998, 12, 1)).exists()


def test_since_without_years_reads_all_years_in_one_list(sync, tmdb_server):
    sync("--lists", "none", "--since", "2021-01-01", "--pages", "1")

    assert [request.path for request in tmdb_server.requests] == ["/3/discover/movie"]
    assert Movie.objects.count() == 20


def test_list_with_fewer_pages_than_requested_ends_early(sync, tmdb_server):
    sync("--lists", "upcoming", "--pages", "50")

    assert len(tmdb_server.requests) == 2
    assert Movie.objects.count() == 40


def test_dry_run_reports_counts_and_writes_nothing(sync, tmdb_server):
    output, _, _ = sync("--lists", "popular", "--pages", "1", "--dry-run")

    assert output.startswith("Would store 20 new movies and update 0; 0 are unchanged")
    assert not Movie.objects.exists()
    assert not SyncProgress.objects.exists()


def test_rejected_entries_and_a_failed_page_do_not_stop_the_sync(sync, tmdb_server, monkeypatch):
    def parse_with_rejected_entries(document):
        document["results"][3] = {"id": -1}
        document["results"][4] |= {"adult": True}
        document["results"][5] |= {"video": True}
        return parse_search_page(document)

    parse_search_page = lists.parse_search_page
    monkeypatch.setattr(lists, "parse_search_page", parse_with_rejected_entries)
    tmdb_server.set_mode("html", times=1)

    output, _, failure = sync("--lists", "popular", "--pages", "3")

    # The failed page was requested again at the end.
    assert failure is None
    assert "Stored 51 new movies" in output
    assert "rejected 9 entries" in output
    assert Movie.objects.count() == 51


def test_page_that_fails_twice_is_reported_in_the_exit_status(sync, tmdb_server, monkeypatch):
    def parse_all_but_page_2(document):
        if document["page"] == 2:
            raise TmdbInvalidResponse("page 2 is unreadable")
        return parse_search_page(document)

    parse_search_page = lists.parse_search_page
    monkeypatch.setattr(lists, "parse_search_page", parse_all_but_page_2)

    output, errors, failure = sync("--lists", "popular", "--pages", "3")

    assert "Stored 40 new movies" in output
    assert "popular, page 2: page 2 is unreadable" in errors
    assert failure == "1 failed."


def test_sync_ends_while_tmdb_is_unavailable(sync, tmdb_server, monkeypatch):
    sync("--lists", "popular", "--pages", "1")
    monkeypatch.setattr("tmdb.gateway.BATCH_RETRIES", 0)
    monkeypatch.setattr("tmdb.gateway.BATCH_TIME_LIMIT_S", 0.5)
    tmdb_server.set_mode("html")

    *_, failure = sync("--lists", "popular", "--pages", "9")

    assert "Run sync_tmdb again to continue" in failure
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
def test_invalid_option_is_rejected(sync, tmdb_server, arguments):
    *_, failure = sync(*arguments)

    assert failure.startswith(f"Error: argument {arguments[0]}")
    assert tmdb_server.requests == []


def test_missing_credential_is_reported_with_its_setting(sync, settings):
    settings.TMDB_TOKEN = ""

    *_, failure = sync("--lists", "popular")

    assert "TMDB_ACCESS_TOKEN" in failure


def test_rejected_credential_ends_the_sync_and_is_not_printed(sync, tmdb_server):
    tmdb_server.set_mode("401")

    output, errors, failure = sync("--lists", "popular")

    assert "rejects the credential" in failure
    assert tmdb_server.credential not in output + errors + failure


@pytest.mark.django_db(transaction=True)
def test_killed_sync_of_2000_movies_is_completed_by_the_next(tmdb_server):
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
    stored, requested = Movie.objects.count(), len(tmdb_server.requests)
    position = SyncProgress.objects.get(name="sync_tmdb").position
    second = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)

    assert stored % 20 == 0
    assert 900 <= stored < 1100
    assert position["page"] == stored // 20
    assert second.returncode == 0, second.stderr
    assert "Stored 2,000 new movies and updated 0" in second.stdout
    assert "Continued a run that was cut off" in second.stdout
    assert Movie.objects.count() == Movie.objects.values("tmdb_id").distinct().count() == 2000
    assert not Movie.objects.filter(title="").exists()
    assert not Movie.objects.filter(search_vector="").exists()
    assert Movie.objects.filter(details_missing=True, synced_at__isnull=False).count() == 2000
    # No stored page was requested again.
    assert len(tmdb_server.requests) - requested <= 101 - stored // 20
    assert not SyncProgress.objects.exists()
