"""sync_tmdb --providers: complete, partly failed, and resumed."""

from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db.models import F
from django.utils import timezone

from movies.availability import Offer
from movies.models import MAX_OFFERS_AGE, Movie, Offers
from tmdb.fake.availability import PROVIDERS, is_offered
from tmdb.fake.movies import FIRST_GENERATED_ID, generate_movie
from tmdb.models import SyncProgress

pytestmark = pytest.mark.django_db
LISTS_OF_GERMANY = 5 * sum("DE" in regions for _, _, regions, _ in PROVIDERS)


@pytest.fixture
def sync(run_command):
    return partial(run_command, "sync_tmdb", "--providers", "de", "--pages", "1")


@pytest.fixture
def cut_off_run(sync, tmdb_server, monkeypatch):
    """The error of a run that TMDb's failures end at its eleventh request."""
    record, sent = tmdb_server.record, []

    def fail_after_ten(request):
        sent.append(request)
        mode = record(request)
        return "422" if 10 < len(sent) <= 15 else mode

    monkeypatch.setattr(tmdb_server, "record", fail_after_ten)
    return sync()[2]


def make_run_older(age):
    """Change the stored times, as if the run that was cut off had started and ended earlier."""
    progress = SyncProgress.objects.get()
    started_at = datetime.fromisoformat(progress.position["started_at"]) - age
    progress.position["started_at"] = started_at.isoformat()
    progress.save()
    Offers.objects.update(synced_at=F("synced_at") - age)


def list_ids(api, query):
    return {movie["id"] for movie in api.get(f"/movies/?{query}").json()["results"]}


def test_offers_of_a_region_fill_the_filter(sync, tmdb_server, api):
    output, _, failure = sync()

    assert failure is None
    assert output.startswith("Stored 160 offers in DE; read 40 pages")
    assert len(tmdb_server.requests) == 1 + LISTS_OF_GERMANY
    netflix = list_ids(api, "provider=8&region=DE&monetization=flatrate&page_size=100")
    assert len(netflix) == 20
    for tmdb_id in Movie.objects.filter(pk__in=netflix).values_list("tmdb_id", flat=True):
        if tmdb_id >= FIRST_GENERATED_ID:
            assert generate_movie(tmdb_id)
            assert is_offered(tmdb_id - FIRST_GENERATED_ID, 8, "DE")
    assert list_ids(api, "provider=8&region=DE&monetization=rent|buy") == set()
    assert not SyncProgress.objects.exists()


def test_a_second_run_on_the_same_day_changes_nothing(sync, tmdb_server):
    sync()
    before = set(Offers.objects.values_list("movie_id", "region"))
    keys = {offers.movie_id: offers.keys for offers in Offers.objects.all()}

    output, _, failure = sync()

    assert failure is None
    assert output.startswith("Stored 160 offers")
    assert set(Offers.objects.values_list("movie_id", "region")) == before
    assert {offers.movie_id: offers.keys for offers in Offers.objects.all()} == keys


def test_a_run_replaces_what_an_earlier_run_stored(sync, tmdb_server):
    sync()
    offers = Offers.objects.exclude(region="").earliest("movie_id")
    ended = Offer("DE", "buy", 999).key
    Offers.objects.filter(pk=offers.pk).update(keys=[*offers.keys, ended])

    sync()

    assert Offers.objects.get(pk=offers.pk).keys == offers.keys


def test_a_page_that_fails_is_reported_and_the_others_are_stored(sync, tmdb_server, monkeypatch):
    record, sent = tmdb_server.record, []

    def fail_third(request):
        sent.append(request)
        mode = record(request)
        return "422" if len(sent) == 3 else mode

    monkeypatch.setattr(tmdb_server, "record", fail_third)

    output, errors, failure = sync()

    assert failure == "1 failed."
    assert "provider 8 (free), page 1: status 422" in errors
    assert "read 39 pages" in output
    assert Offers.objects.exists()


def test_a_run_that_is_cut_off_is_continued(sync, cut_off_run):
    assert "Run sync_tmdb again to continue" in cut_off_run
    assert SyncProgress.objects.get().position["region"] == "DE"
    make_run_older(timedelta(days=2))
    output, _, failure = sync()
    assert failure is None
    assert "Continued a run that was cut off" in output
    assert "Stored 160 offers in DE; read 40 pages" in output
    continued = dict(Offers.objects.values_list("movie_id", "keys"))
    sync()
    assert dict(Offers.objects.values_list("movie_id", "keys")) == continued


def test_a_run_whose_offers_are_too_old_is_not_continued(sync, cut_off_run):
    make_run_older(timedelta(days=8))

    output, _, failure = sync()

    assert failure is None
    assert "Continued" not in output
    assert not Offers.objects.filter(synced_at__lt=timezone.now() - MAX_OFFERS_AGE).exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [("UK", "write GB"), ("Germny", "write DE"), ("", "is not a region")],
)
def test_an_unknown_region_is_refused_with_the_nearest(run_command, db, option, message):
    _, _, failure = run_command("sync_tmdb", "--providers", option)

    assert message in failure


def test_a_dry_run_of_providers_is_refused(run_command, db):
    _, _, failure = run_command("sync_tmdb", "--providers", "DE", "--dry-run")

    assert "--dry-run" in failure
