"""Series are completed from TMDb after a movie of them was imported."""

from datetime import date, timedelta

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from movies.models import Collection, Movie
from tmdb.client.errors import TmdbError, TmdbInvalidResponse
from tmdb.fake.movies import make_list_entry
from tmdb.fake.server import FIRST_ID, MOVIES
from tmdb.parsers import MAX_PARTS, parse_collection
from tmdb.services import MAX_COLLECTION_AGE, movie_import, movies_import
from tmdb.tasks import sync_collection

pytestmark = pytest.mark.django_db

COPPER_MERIDIAN, RETURNS = FIRST_ID + 8, FIRST_ID + 13
SERIES_ID = FIRST_ID + 20_000
PATH = f"/3/collection/{SERIES_ID}"


def get_waiting_jobs():
    return ProcrastinateJob.objects.filter(
        task_name="tmdb.tasks.sync_collection", status="todo"
    ).count()


def make_part(number, **fields):
    return {**make_list_entry(MOVIES[RETURNS]), "id": FIRST_ID + 30_000 + number, **fields}


def make_document(*parts):
    return {"id": SERIES_ID, "name": "Copper Meridian Collection", "parts": list(parts)}


def test_the_series_of_an_imported_movie_has_all_its_parts(tmdb_server, run_jobs, api):
    sequel = movie_import(tmdb_id=RETURNS).movie
    requested = [request.path for request in tmdb_server.requests]

    assert run_jobs() == []

    # The import itself is one request.
    assert requested == [f"/3/movie/{RETURNS}"]
    assert [request.path for request in tmdb_server.requests].count(PATH) == 1
    series = api.get(f"/collections/{sequel.collection_id}/").json()
    assert [part["movie"]["title"] for part in series["movies"]] == [
        "Copper Meridian",
        "Copper Meridian Returns",
    ]
    first = Movie.objects.get(tmdb_id=COPPER_MERIDIAN)
    assert (first.release_date, first.details_missing) == (date(1974, 10, 18), True)
    sequel.refresh_from_db()
    assert (sequel.runtime, sequel.details_missing) == (99, False)


def test_parts_are_read_once_in_7_days(tmdb_server, run_jobs):
    movies_import(tmdb_ids=[RETURNS, COPPER_MERIDIAN, FIRST_ID])
    movie_import(tmdb_id=RETURNS, refresh=True)
    waiting_after_imports = get_waiting_jobs()
    run_jobs()
    movie_import(tmdb_id=RETURNS, refresh=True)
    waiting_after_sync = get_waiting_jobs()
    Collection.objects.update(synced_at=timezone.now() - MAX_COLLECTION_AGE - timedelta(minutes=1))

    movie_import(tmdb_id=RETURNS, refresh=True)

    assert (waiting_after_imports, waiting_after_sync, get_waiting_jobs()) == (1, 0, 1)


def test_odd_parts_are_stored_without_their_odd_fields_or_left_out(tmdb_server):
    movie_import(tmdb_id=RETURNS)
    tmdb_server.added_parts = [
        make_part(0, release_date="0000-00-00", title="Undated I"),
        make_part(1, release_date="", title="Undated II"),
        make_part(2, adult=True),
        make_part(3, video=True),
        make_part(4, media_type="tv"),
        make_part(0, title="Undated I"),
        make_part(5, title=""),
        {"id": -1},
        None,
    ]

    sync_collection(tmdb_id=SERIES_ID)

    parts = Movie.objects.filter(collection__tmdb_id=SERIES_ID).order_by("tmdb_id")
    assert list(parts.values_list("title", "release_date")) == [
        ("Copper Meridian", date(1974, 10, 18)),
        ("Copper Meridian Returns", date(1977, 5, 6)),
        ("Undated I", None),
        ("Undated II", None),
    ]
    assert Movie.objects.count() == 4


@pytest.mark.parametrize("mode", ["500", "html", "wrong_types", "wrong_id"])
def test_a_failure_of_tmdb_is_retried(tmdb_server, run_jobs, monkeypatch, mode):
    monkeypatch.setattr("tmdb.gateway.BATCH_RETRIES", 0)
    movie_import(tmdb_id=RETURNS)
    ProcrastinateJob.objects.exclude(task_name="tmdb.tasks.sync_collection").delete()
    tmdb_server.set_mode(mode)

    errors = run_jobs()

    assert [isinstance(error, TmdbError) for error in errors] == [True]
    assert get_waiting_jobs() == 1
    assert Movie.objects.count() == 1
    assert Collection.objects.get().synced_at is None


def test_a_series_that_tmdb_does_not_have_keeps_its_parts(tmdb_server, run_jobs):
    movie = movie_import(tmdb_id=RETURNS).movie
    tmdb_server.deleted_ids = {COPPER_MERIDIAN, RETURNS}

    assert run_jobs() == []

    assert Movie.objects.get().collection_id == movie.collection_id
    assert Collection.objects.get().synced_at is not None


def test_nothing_is_requested_without_a_credential(tmdb_server, settings):
    movie_import(tmdb_id=RETURNS)
    settings.TMDB_TOKEN = ""

    sync_collection(tmdb_id=SERIES_ID)

    assert [request.path for request in tmdb_server.requests] == [f"/3/movie/{RETURNS}"]


def test_parts_are_bounded_and_may_have_the_titles_of_series():
    part = make_part(0, name="Dust", original_name="Staub")
    del part["title"], part["original_title"]

    _, page = parse_collection(
        make_document(part, *map(make_part, range(1, MAX_PARTS + 5))), tmdb_id=SERIES_ID
    )

    assert len(page.hits) == MAX_PARTS
    assert (page.hits[0].title, page.hits[0].original_title) == ("Dust", "Staub")


@pytest.mark.parametrize(
    "document",
    [
        None,
        {**make_document(), "id": 1},
        {**make_document(), "parts": None},
        {**make_document(), "name": ""},
        make_document({"id": 0}),
    ],
)
def test_document_that_is_not_the_series_is_rejected(document):
    with pytest.raises(TmdbInvalidResponse):
        parse_collection(document, tmdb_id=SERIES_ID)
