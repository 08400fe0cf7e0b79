"""Search, status, imports and movie details over HTTP."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone
from django_redis import get_redis_connection

from movies.models import Credit, Movie
from movies.services.upsert import movies_upsert
from nexus.core.cache.client import make_key
from nexus.dev.jobs import run_waiting_jobs
from tmdb import cache
from tmdb.cache import MAX_WAITING, TTL_S, SearchTerms, get_cache
from tmdb.client.circuit_breaker import FAILURES_TO_OPEN
from tmdb.fake.movies import FIRST_GENERATED_ID
from tmdb.fake.server import ADULT_ID, CREDENTIAL, FIRST_ID, MODES, MOVIES, UNDATED_ID

pytestmark = pytest.mark.django_db

PROBLEMS = {
    "401": (502, "tmdb_auth_failed"),
    **{
        mode: (503, "tmdb_unavailable")
        for mode in MODES
        if mode not in {"ok", "401", "404", "wrong_id"}
    },
}
LAMPS = SearchTerms(query="lamps", page=1, language="en-US", include_adult=False)


@pytest.fixture
def member(client_of, make_user):
    return client_of(make_user("ann"))


def search(client, parameters="query=lamps"):
    return client.get(f"/tmdb/search/?{parameters}")


def import_movie(client, tmdb_id=FIRST_ID, **fields):
    return client.post("/tmdb/import/", {"tmdb_id": tmdb_id, **fields})


def import_movies(client, *tmdb_ids):
    return client.post("/tmdb/import/bulk/", {"tmdb_ids": tmdb_ids})


def get_paths(server):
    return [request.path for request in server.requests]


def age_search_copy(terms=LAMPS, seconds=2 * TTL_S["search"]):
    """Make the cached page older; by default old enough to be stale."""
    redis = get_redis_connection("default")
    name = make_key(terms.cache_key)
    copy = json.loads(redis.get(name))
    copy["stored_at"] -= seconds
    copy["fresh_until"] -= seconds
    redis.set(name, json.dumps(copy))


def read_all_keys_and_values():
    redis = get_redis_connection("default")
    keys = redis.keys("*")
    values = [redis.get(key) or b"" for key in keys if redis.type(key) == b"string"]
    return b" ".join([*keys, *values]).decode()


# --- Search --------------------------------------------------------------------------------------


def test_search_returns_tmdbs_fields_and_the_stored_movie(api, tmdb_server, make_movie):
    stored = make_movie("Nine Lamps for Marisol", tmdb_id=FIRST_ID + 1)

    body = search(api).json()

    assert body == {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [
            {
                "id": FIRST_ID + 1,
                "title": "Nine Lamps for Marisol",
                "original_title": "Nine Lamps for Marisol",
                "overview": "Two lamplighters share one street and never the same hour.",
                "release_date": "2019-09-20",
                "genre_ids": [10749, 18],
                "genres": ["Drama", "Romance"],
                "original_language": "en",
                "popularity": 40.0,
                "vote_average": MOVIES[FIRST_ID + 1]["vote_average"],
                "vote_count": 187,
                "adult": False,
                "video": False,
                "poster_path": "/poster9000001.jpg",
                "backdrop_path": "/backdrop9000001.jpg",
                "poster_url": "https://image.tmdb.org/t/p/w500/poster9000001.jpg",
                "in_library": True,
                "movie_id": stored.pk,
            }
        ],
    }


def test_movie_without_date_or_poster_has_nulls(api, tmdb_server):
    hit = search(api, "q=staircase").json()["results"][0]

    assert hit["id"] == UNDATED_ID
    assert hit["release_date"] is hit["poster_path"] is hit["poster_url"] is hit["movie_id"] is None
    assert hit["in_library"] is False


def test_search_without_hits_is_an_empty_page(api, tmdb_server):
    body = search(api, "query=zzzz").json()

    assert body == {"count": 0, "next": None, "previous": None, "results": []}


def test_page_after_the_last_is_empty_and_links_back(api, tmdb_server):
    body = search(api, "query=lamps&page=500").json()

    assert body["results"] == []
    assert body["next"] is None
    assert body["previous"] == "http://testserver/tmdb/search/?query=lamps"


def test_pages_link_to_the_next_and_previous_page(api, tmdb_server, monkeypatch):
    ids = range(FIRST_ID + 1000, FIRST_ID + 1045)
    copies = {id_: {**MOVIES[FIRST_ID], "id": id_, "title": f"Copy {id_}"} for id_ in ids}
    monkeypatch.setattr("tmdb.fake.server.MOVIES", copies)

    body = search(api, "query=copy&page=2").json()

    assert body["count"] == 45
    assert len(body["results"]) == 20
    assert body["next"] == "http://testserver/tmdb/search/?page=3&query=copy"
    assert body["previous"] == "http://testserver/tmdb/search/?query=copy"
    assert api.get(body["next"]).json()["next"] is None


def test_count_over_ten_thousand_is_a_lower_bound(api, tmdb_server, monkeypatch):
    document = {"results": [], "total_results": 10_020, "total_pages": 501}
    monkeypatch.setattr("tmdb.fake.server.search_movies", lambda query: document)

    body = search(api, "query=a&page=500").json()

    assert body["count"] == 10_000
    assert body["count_is_lower_bound"] is True
    assert body["next"] is None
    assert body["previous"].endswith("page=499&query=a")


def test_query_parameters_are_sent_to_tmdb(api, tmdb_server):
    response = search(api, "q=not&year=2011&language=EN-us&include_adult=true&page=1")

    assert [hit["id"] for hit in response.json()["results"]] == [ADULT_ID]
    assert tmdb_server.requests[0].query == {
        "query": "not",
        "year": "2011",
        "language": "en-US",
        "include_adult": "true",
        "page": "1",
    }


def test_search_takes_one_query(api, tmdb_server, django_assert_num_queries):
    with django_assert_num_queries(1):
        response = search(api, "query=copper")

    assert response.json()["count"] == 2


def test_repeated_search_is_cached_regardless_of_case_and_spacing(api, tmdb_server):
    first = search(api, "query=Copper Meridian").json()
    second = search(api, "q=%20copper  MERIDIAN").json()

    assert second["results"] == first["results"]
    assert len(tmdb_server.requests) == 1


@pytest.mark.parametrize(
    "other", ["&page=2", "&year=2019", "&language=fr", "&include_adult=true", " nine"]
)
def test_search_with_another_parameter_is_cached_separately(api, tmdb_server, other):
    search(api)
    search(api, f"query=lamps{other}")

    assert len(tmdb_server.requests) == 2


def test_imported_movie_is_in_library_in_the_next_cached_search(api, member, tmdb_server):
    before = search(api).json()["results"][0]
    movie_id = import_movie(member, FIRST_ID + 1).json()["id"]

    after = search(api).json()["results"][0]

    assert before["in_library"] is False
    assert (after["in_library"], after["movie_id"]) == (True, movie_id)


@pytest.mark.clocked
def test_stale_copy_is_served_at_once_and_refreshed_in_the_background(api, tmdb_server):
    first = search(api).json()
    age_search_copy()
    tmdb_server.set_mode("slow", seconds=1.5)

    started = time.monotonic()
    responses = [search(api) for _ in range(3)]
    elapsed_s = time.monotonic() - started
    run_waiting_jobs()

    assert [response.json() for response in responses] == [first] * 3
    assert all(int(response["Age"]) >= 2 * TTL_S["search"] for response in responses)
    assert elapsed_s < 1.2
    assert len(tmdb_server.requests) == 2
    assert int(search(api)["Age"]) <= 1


def test_age_header_is_the_age_of_the_copy(api, tmdb_server):
    first = search(api)
    age_search_copy(seconds=100)
    second = search(api)

    assert (first["Age"], second["Age"]) == ("0", "100")


@pytest.mark.parametrize("mode", ["401", "404", "500", "html", "nan", "drop"])
def test_stale_copy_is_served_while_tmdb_fails(api, tmdb_server, mode):
    first = search(api).json()
    age_search_copy()
    tmdb_server.set_mode(mode)

    for _ in range(2):
        response = search(api)
        run_waiting_jobs()
        assert (response.status_code, response.json()) == (200, first)

    assert len(tmdb_server.requests) >= 2


def test_stale_copy_is_served_without_a_credential(api, tmdb_server, settings):
    first = search(api).json()
    age_search_copy()
    settings.TMDB_TOKEN = ""

    assert search(api).json() == first


def test_failed_search_is_not_cached(api, tmdb_server):
    # The first request and its retry.
    tmdb_server.set_mode("500", times=2)

    first, second = search(api), search(api)

    assert first.status_code == 503
    assert second.json()["count"] == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe",
        b"not json",
        b"[]",
        b'{"stored_at": "x"}',
        b'{"stored_at": 1, "fresh_until": 9e9, "document": {}}',
    ],
)
def test_garbage_in_the_cache_is_a_miss(api, tmdb_server, garbage):
    first = search(api).json()
    redis = get_redis_connection("default")
    for name in redis.keys("*tmdb:search:*"):
        redis.set(name, garbage)

    second = search(api).json()

    assert second == first
    assert len(tmdb_server.requests) == 2


def test_without_the_cache_every_search_requests_tmdb(api, tmdb_server, no_valkey):
    responses = [search(api) for _ in range(2)]

    assert [response.json()["count"] for response in responses] == [1, 1]
    assert len(tmdb_server.requests) == 2


@pytest.mark.clocked
@pytest.mark.parametrize("mode", sorted({*PROBLEMS, "404"}))
def test_every_failure_of_tmdb_is_reported_by_its_cause(
    api, tmdb_server, mode, caplog, monkeypatch
):
    # test_load.py tests the time limit of 3 s.
    monkeypatch.setattr(cache, "TIME_LIMIT_S", 0.8)
    caplog.set_level(logging.DEBUG)
    status, code = PROBLEMS.get(mode, (503, "tmdb_unavailable"))
    tmdb_server.set_mode(mode, seconds=30)

    started = time.monotonic()
    response = search(api)
    elapsed_s = time.monotonic() - started

    body = response.json()
    assert elapsed_s < 2
    assert (response.status_code, body["status"], body["code"]) == (status, status, code)
    assert response["Content-Type"] == "application/problem+json"
    if status == 503:
        assert response["Retry-After"] == {"429_retry_after": "7"}.get(mode, "10")
    assert CREDENTIAL not in response.content.decode() + str(response.headers)
    assert CREDENTIAL not in caplog.text
    assert CREDENTIAL not in read_all_keys_and_values()
    assert all(CREDENTIAL not in request.line for request in tmdb_server.requests)


def test_search_without_a_credential_is_not_configured(api, settings):
    settings.TMDB_TOKEN = ""

    response = search(api)

    assert response.status_code == 503
    assert response.json()["code"] == "tmdb_not_configured"


def test_search_response_is_not_stored_by_caches(api, tmdb_server):
    assert search(api)["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ("", "query"),
        ("query=", "query"),
        ("q=%20%20", "q"),
        ("query=a&q=b", "q"),
        ("query=a&query=b", "query"),
        ("query=a%00b", "query"),
        ("query=" + "a" * 201, "query"),
        ("query=a&page=0", "page"),
        ("query=a&page=501", "page"),
        ("query=a&page=01", "page"),
        ("query=a&page=1.0", "page"),
        ("query=a&page=%D9%A1", "page"),
        ("query=a&page=" + "9" * 5000, "page"),
        ("query=a&year=1", "year"),
        ("query=a&year=20000", "year"),
        ("query=a&year=NaN", "year"),
        ("query=a&language=english", "language"),
        ("query=a&language=en%26api_key=x", "language"),
        ("query=a&include_adult=perhaps", "include_adult"),
        ("query=a&include_adult=", "include_adult"),
        ("query=a&page_size=5", "page_size"),
        ("query=a&api_key=x", "api_key"),
    ],
)
def test_invalid_query_parameter_is_named(api, tmdb_server, parameters, field):
    response = search(api, parameters)

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]
    assert tmdb_server.requests == []


@pytest.mark.parametrize(
    "query", ["%ED%A0%80", "%FF", "a&b", "'; DROP TABLE", "../../3/account", "日本", "a" * 200]
)
def test_hostile_query_does_not_change_the_path(api, tmdb_server, query):
    response = search(api, f"query={quote(query, safe='%')}")

    assert response.status_code == 200
    assert set(get_paths(tmdb_server)) == {"/3/search/movie"}


def test_too_many_searches_from_one_address_are_throttled(api, tmdb_server, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "tmdb": (2, 60)}

    responses = [search(api) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[2].json()["code"] == "throttled"
    assert int(responses[2]["Retry-After"]) <= 60


@pytest.mark.django_db(transaction=True)
def test_twenty_equal_searches_at_once_are_one_request(tmdb_server, api):
    tmdb_server.set_mode("slow", seconds=0.1)

    def search_once(_):
        try:
            response = search(api)
            return response.status_code, response.json().get("count")
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        results = list(threads.map(search_once, range(20)))

    # On a slow machine the request may take longer than a crowd waits.
    assert set(results) <= {(200, 1), (503, None)}
    assert results.count((200, 1)) >= MAX_WAITING
    assert len(tmdb_server.requests) == 1


@pytest.mark.django_db(transaction=True)
def test_search_without_a_free_slot_is_unavailable(api, tmdb_server):
    search(api)

    with get_cache().occupy_waiting_slot(), get_cache().occupy_waiting_slot():
        response = search(api, "query=quarry")
        cached = search(api)

    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.json()["code"] == "tmdb_unavailable"
    assert cached.status_code == 200
    assert len(tmdb_server.requests) == 1


def test_series_of_failures_stops_requests_to_tmdb(api, tmdb_server):
    tmdb_server.set_mode("500")

    responses = [search(api, f"query=lamps{number}") for number in range(6)]

    assert {response.status_code for response in responses} == {503}
    assert len(tmdb_server.requests) == FAILURES_TO_OPEN
    assert 1 <= int(responses[-1]["Retry-After"]) <= 5


def test_rejected_credential_is_not_sent_again_at_once(api, tmdb_server):
    tmdb_server.set_mode("401")

    for number in range(3):
        response = search(api, f"query=lamps{number}")
        assert (response.status_code, response.json()["code"]) == (502, "tmdb_auth_failed")

    assert len(tmdb_server.requests) == 1


# --- Status --------------------------------------------------------------------------------------


def test_status_of_an_idle_service(api, tmdb_server):
    response = api.get("/tmdb/status/")

    assert response.status_code == 200
    assert response.json() == {
        "configured": True,
        "breaker": {"state": "closed", "retry_after_s": 0},
        "requests_left": 30,
        "budget_per_s": 30,
        "cache": {"hits": 0, "stale_hits": 0, "misses": 0, "hit_rate": None},
        "last_success": None,
    }
    assert response["Cache-Control"] == "private, no-store"
    assert tmdb_server.requests == []


def test_status_counts_reads_and_requests(api, tmdb_server):
    for _ in range(4):
        search(api)

    body = api.get("/tmdb/status/").json()

    assert body["cache"] == {"hits": 3, "stale_hits": 0, "misses": 1, "hit_rate": 0.75}
    assert body["requests_left"] == 29
    assert datetime.fromisoformat(body["last_success"]) <= timezone.now()
    assert body["last_success"].endswith("Z")


def test_status_reports_an_open_breaker(api, tmdb_server):
    tmdb_server.set_mode("500")
    for number in range(3):
        search(api, f"query=lamps{number}")

    body = api.get("/tmdb/status/").json()

    assert body["breaker"]["state"] == "open"
    assert 1 <= body["breaker"]["retry_after_s"] <= 5
    assert body["requests_left"] == 0
    assert body["last_success"] is None


def test_status_without_credential_and_cache(api, settings, no_valkey):
    settings.TMDB_TOKEN = ""

    body = api.get("/tmdb/status/").json()

    assert body["configured"] is False
    assert body["breaker"]["state"] == "closed"
    assert body["cache"]["hit_rate"] is None
    # The share of this process.
    assert body["requests_left"] == body["budget_per_s"] == 10


def test_status_takes_no_database_query_and_no_parameter(api, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = api.get("/tmdb/status/")

    assert response.status_code == 200
    assert list(api.get("/tmdb/status/?verbose=1").json()["errors"]) == ["verbose"]


# --- Import --------------------------------------------------------------------------------------


def test_import_stores_the_movie_with_its_people(member, api, tmdb_server):
    response = import_movie(member)

    body = response.json()
    assert response.status_code == 201
    assert response["Location"] == f"/movies/{body['id']}/"
    assert body == api.get(response["Location"]).json()
    assert body["tmdb_id"] == FIRST_ID
    assert body["imdb_id"] == "tt9000000"
    assert body["title"] == "The Salt Cartographer"
    assert body["genres"] == ["Drama", "Mystery"]
    assert body["keywords"] == ["island"]
    assert body["runtime"] == 118
    assert [person["name"] for person in body["directors"]] == ["Ottoline Verhaag"]
    assert [(person["name"], person["character"]) for person in body["cast"]] == [
        ("Bram Ostrander", "The First One"),
        ("Ilse Quintero", "The Other One"),
    ]
    assert body["provenance"]["source"] == "tmdb"
    assert body["provenance"]["stale"] is False
    assert len(tmdb_server.requests) == 1


@pytest.mark.parametrize("words", ["salt cart", "verhaag", "quintero"])
def test_imported_movie_is_found_by_title_and_people(member, api, tmdb_server, words):
    movie_id = import_movie(member).json()["id"]

    results = api.get("/movies/", {"search": words}).json()["results"]

    assert [movie["id"] for movie in results] == [movie_id]


def test_imported_movie_is_counted_in_its_genres(member, api, tmdb_server):
    import_movie(member)

    counts = {genre["name"]: genre["movie_count"] for genre in api.get("/genres/").json()}

    assert counts["Drama"] == 1


def test_stored_movie_is_returned_without_request_and_credential(member, make_movie, settings):
    settings.TMDB_TOKEN = ""
    movie = make_movie("Stored", tmdb_id=550)

    response = import_movie(member, 550)

    assert response.status_code == 200
    assert response.json()["id"] == movie.pk
    assert response["Location"] == f"/movies/{movie.pk}/"


def test_import_refreshes_a_stale_movie(member, make_movie, tmdb_server):
    movie = make_movie("Old title", tmdb_id=FIRST_ID, source=Movie.Source.TMDB)
    Movie.objects.update(synced_at=timezone.now() - timedelta(days=181))

    response = import_movie(member)

    assert response.status_code == 200
    assert response.json()["id"] == movie.pk
    assert response.json()["title"] == "The Salt Cartographer"
    assert response.json()["provenance"]["stale"] is False


def test_import_with_refresh_requests_a_fresh_movie_again(member, tmdb_server):
    first = import_movie(member).json()
    Movie.objects.update(title="Edited")

    response = import_movie(member, refresh=True)

    assert response.status_code == 200
    assert response.json()["title"] == first["title"]
    assert len(tmdb_server.requests) == 2
    assert Credit.objects.count() == 3


def test_movie_stored_by_imdb_id_gets_its_tmdb_id(member, make_movie, tmdb_server):
    movie = make_movie("Known", tmdb_id=None, imdb_id=f"tt{FIRST_ID}")

    response = import_movie(member)

    assert (response.status_code, response.json()["id"]) == (200, movie.pk)
    assert response.json()["tmdb_id"] == FIRST_ID


@pytest.mark.parametrize("mode", ["401", "404", "500", "drop", "wrong_id", "null"])
def test_import_returns_the_stored_movie_while_tmdb_fails(member, tmdb_server, mode):
    first = import_movie(member).json()
    tmdb_server.set_mode(mode)

    response = import_movie(member, refresh=True)

    assert response.status_code == 200
    assert response.json() == first


@pytest.mark.clocked
@pytest.mark.parametrize("mode", sorted(set(PROBLEMS) - {"drip", "slow"} | {"wrong_id"}))
def test_failed_import_stores_nothing(member, tmdb_server, mode):
    status, code = PROBLEMS.get(mode, (503, "tmdb_unavailable"))
    tmdb_server.set_mode(mode, seconds=30)

    started = time.monotonic()
    response = import_movie(member)
    elapsed_s = time.monotonic() - started

    assert elapsed_s < 3.5
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert CREDENTIAL not in response.content.decode()
    assert not Movie.objects.exists()


def test_import_without_a_credential_is_not_configured(member, settings):
    settings.TMDB_TOKEN = ""

    response = import_movie(member)

    assert response.status_code == 503
    assert response.json()["code"] == "tmdb_not_configured"


def test_unknown_movie_is_not_found_and_not_requested_again(member, tmdb_server):
    for _ in range(2):
        response = import_movie(member, 42)
        assert response.status_code == 404
        assert response.json()["detail"] == "TMDb has no movie with this id."

    assert len(tmdb_server.requests) == 1


def test_adult_title_is_not_imported(member, tmdb_server):
    for _ in range(2):
        response = import_movie(member, ADULT_ID)
        assert response.status_code == 404
        assert "adult" in response.json()["detail"]

    assert len(tmdb_server.requests) == 1
    assert not Movie.objects.exists()


def test_video_is_not_imported(member, tmdb_server, monkeypatch):
    monkeypatch.setitem(MOVIES, FIRST_ID, {**MOVIES[FIRST_ID], "video": True})

    response = import_movie(member)

    assert response.status_code == 404
    assert "video" in response.json()["detail"]
    assert not Movie.objects.exists()


def test_import_requires_authentication(api, tmdb_server):
    response = import_movie(api)

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert tmdb_server.requests == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tmdb_id"),
        ({"tmdb_id": None}, "tmdb_id"),
        ({"tmdb_id": 0}, "tmdb_id"),
        ({"tmdb_id": -1}, "tmdb_id"),
        ({"tmdb_id": 2**31}, "tmdb_id"),
        ({"tmdb_id": 10**400}, "tmdb_id"),
        ({"tmdb_id": 1.0}, "tmdb_id"),
        ({"tmdb_id": True}, "tmdb_id"),
        ({"tmdb_id": "005"}, "tmdb_id"),
        ({"tmdb_id": "../account"}, "tmdb_id"),
        ({"tmdb_id": [1]}, "tmdb_id"),
        ({"tmdb_id": 1, "refresh": {}}, "refresh"),
        ({"tmdb_id": 1, "refresh": "perhaps"}, "refresh"),
        ({"tmdb_id": 1, "imdb_id": "tt0000001"}, "imdb_id"),
        ({"imdb_id": "0000001"}, "imdb_id"),
        ({"imdb_id": "tt1/../../account"}, "imdb_id"),
        ({"imdb_id": 5}, "imdb_id"),
        ({"imdb_id": None}, "imdb_id"),
        ([1], "non_field_errors"),
        ("1", "non_field_errors"),
    ],
)
def test_invalid_field_of_an_import_is_named(member, tmdb_server, body, field):
    response = member.post("/tmdb/import/", body)

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]
    assert tmdb_server.requests == []


def test_import_by_imdb_id_finds_the_movie(member, tmdb_server):
    first = member.post("/tmdb/import/", {"imdb_id": f"tt{FIRST_ID}"})
    second = member.post("/tmdb/import/", {"imdb_id": f"tt{FIRST_ID}"})

    assert first.status_code == 201
    assert first.json()["tmdb_id"] == FIRST_ID
    assert (second.status_code, second.json()["id"]) == (200, first.json()["id"])
    assert get_paths(tmdb_server) == [f"/3/find/tt{FIRST_ID}", f"/3/movie/{FIRST_ID}"]
    assert tmdb_server.requests[0].query["external_source"] == "imdb_id"


def test_movie_stored_without_tmdb_id_is_returned_as_it_is(member, tmdb_server, make_movie):
    movie = make_movie("Known", tmdb_id=None, imdb_id="tt1234567")

    response = member.post("/tmdb/import/", {"imdb_id": "tt1234567"})

    assert (response.status_code, response.json()["id"]) == (200, movie.pk)
    assert tmdb_server.requests == []


def test_unknown_imdb_id_is_not_found_and_not_requested_again(member, tmdb_server):
    for _ in range(2):
        assert member.post("/tmdb/import/", {"imdb_id": "tt0000001"}).status_code == 404

    assert len(tmdb_server.requests) == 1


@pytest.mark.clocked
@pytest.mark.django_db(transaction=True)
def test_twenty_equal_imports_at_once_create_one_movie(client_of, make_user, tmdb_server):
    user = make_user("ann")
    clients = [client_of(user) for _ in range(20)]

    def import_once(client):
        try:
            return import_movie(client).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        statuses = sorted(threads.map(import_once, clients))

    assert statuses == [200] * 19 + [201]
    assert Movie.objects.count() == 1
    assert Credit.objects.count() == 3


# --- Bulk import ---------------------------------------------------------------------------------


def test_bulk_import_returns_a_result_per_id_in_order(member, tmdb_server, make_movie):
    stored = make_movie("Stored", tmdb_id=FIRST_ID + 1)

    response = import_movies(member, FIRST_ID + 2, 42, FIRST_ID + 1, ADULT_ID, FIRST_ID + 2)

    new = Movie.objects.get(tmdb_id=FIRST_ID + 2)
    created = {"tmdb_id": FIRST_ID + 2, "status": "created", "movie_id": new.pk}
    assert response.status_code == 200
    assert response.json() == [
        created,
        {"tmdb_id": 42, "status": "not_found", "movie_id": None},
        {"tmdb_id": FIRST_ID + 1, "status": "existing", "movie_id": stored.pk},
        {"tmdb_id": ADULT_ID, "status": "not_found", "movie_id": None},
        created,
    ]
    assert Credit.objects.filter(movie=new).count() == 3
    assert len(tmdb_server.requests) == 3


def test_bulk_import_stores_twenty_movies(member, tmdb_server):
    ids = range(FIRST_GENERATED_ID, FIRST_GENERATED_ID + 20)

    first, second = import_movies(member, *ids), import_movies(member, *ids)

    assert {result["status"] for result in first.json()} == {"created"}
    assert {result["status"] for result in second.json()} == {"existing"}
    assert Movie.objects.filter(details_missing=False, runtime__isnull=False).count() == 20
    assert len(tmdb_server.requests) == 20


def test_bulk_import_fetches_missing_details(api, member, tmdb_server):
    api.get("/movies/trending/?window=week")

    response = import_movies(member, FIRST_ID)

    assert response.json()[0]["status"] == "existing"
    assert Movie.objects.get(tmdb_id=FIRST_ID).runtime == 118


def test_unreadable_movie_does_not_affect_others_in_a_bulk_import(member, tmdb_server, monkeypatch):
    monkeypatch.setitem(MOVIES, FIRST_ID, {**MOVIES[FIRST_ID], "runtime": "long"})

    response = import_movies(member, FIRST_ID, FIRST_ID + 1)

    assert [result["status"] for result in response.json()] == ["error", "created"]


def test_movie_that_the_database_rejects_does_not_affect_others(member, tmdb_server, monkeypatch):
    def upsert_or_reject(*, movies, source):
        if any(movie.tmdb_id == FIRST_ID for movie in movies):
            raise IntegrityError("rejected")
        return movies_upsert(movies=movies, source=source)

    monkeypatch.setattr("tmdb.services.movies_upsert", upsert_or_reject)

    response = import_movies(member, FIRST_ID, FIRST_ID + 1)

    assert [result["status"] for result in response.json()] == ["error", "created"]


@pytest.mark.clocked
def test_bulk_import_ends_within_the_time_limit_while_tmdb_hangs(member, tmdb_server, make_movie):
    make_movie("Stored", tmdb_id=FIRST_ID + 1)
    tmdb_server.set_mode("slow", seconds=30)

    started = time.monotonic()
    response = import_movies(member, *range(FIRST_ID, FIRST_ID + 12))
    elapsed_s = time.monotonic() - started

    assert elapsed_s < 3.5
    assert response.status_code == 200
    statuses = [result["status"] for result in response.json()]
    assert statuses == ["error", "existing"] + ["error"] * 10


def test_bulk_import_reports_a_rejected_or_missing_credential(member, tmdb_server, settings):
    tmdb_server.set_mode("401")
    rejected = import_movies(member, FIRST_ID)
    settings.TMDB_TOKEN = ""
    missing = import_movies(member, FIRST_ID)

    assert (rejected.status_code, rejected.json()["code"]) == (502, "tmdb_auth_failed")
    assert (missing.status_code, missing.json()["code"]) == (503, "tmdb_not_configured")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tmdb_ids": []},
        {"tmdb_ids": list(range(1, 22))},
        {"tmdb_ids": [0]},
        {"tmdb_ids": [2**31]},
        {"tmdb_ids": ["x"]},
        {"tmdb_ids": [None]},
        {"tmdb_ids": "5"},
        {"tmdb_ids": {"1": 1}},
    ],
)
def test_invalid_field_of_a_bulk_import_is_named(member, tmdb_server, body):
    response = member.post("/tmdb/import/bulk/", body)

    assert response.status_code == 400
    assert all(name.startswith("tmdb_ids") for name in response.json()["errors"])
    assert tmdb_server.requests == []


def test_too_many_bulk_imports_from_one_address_are_throttled(member, tmdb_server, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "tmdb_bulk": (1, 60)}

    first, second = import_movies(member, FIRST_ID), import_movies(member, FIRST_ID)

    assert (first.status_code, second.status_code) == (200, 429)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tmdb/import/", {"tmdb_id": FIRST_ID}),
        ("/tmdb/import/bulk/", {"tmdb_ids": [550, FIRST_ID]}),
    ],
)
def test_import_without_a_free_slot_is_unavailable(member, make_movie, tmdb_server, path, body):
    make_movie("Stored", tmdb_id=550)

    with get_cache().occupy_waiting_slot(), get_cache().occupy_waiting_slot():
        response = member.post(path, body)
        without_request = import_movies(member, 550)

    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert without_request.status_code == 200
    assert tmdb_server.requests == []


# --- Movie details -------------------------------------------------------------------------------


@pytest.fixture
def listed_movie(api, tmdb_server):
    """The id of a movie that is stored from a list, without details."""
    movie_id = api.get("/movies/trending/?window=week").json()["results"][0]["id"]
    tmdb_server.requests.clear()
    return movie_id


@pytest.fixture
def stale_movie(make_movie):
    movie = make_movie(
        "Old title",
        tmdb_id=FIRST_ID,
        source="tmdb",
        overview="TMDb's words.",
        tagline="TMDb's line.",
        poster_path="/old.jpg",
        backdrop_path="/old.jpg",
        runtime=99,
    )
    Movie.objects.update(synced_at=timezone.now() - timedelta(days=181))
    return movie


def test_details_are_fetched_when_a_movie_is_first_opened(api, tmdb_server, listed_movie):
    for _ in range(2):
        body = api.get(f"/movies/{listed_movie}/").json()
        assert (body["runtime"], body["imdb_id"]) == (118, f"tt{FIRST_ID}")
        assert [person["name"] for person in body["directors"]] == ["Ottoline Verhaag"]
        assert body["provenance"]["stale"] is False

    assert get_paths(tmdb_server) == [f"/3/movie/{FIRST_ID}"]


def test_complete_movie_takes_two_queries_and_no_request(
    api, tmdb_server, make_movie, django_assert_num_queries
):
    movie = make_movie("Whole", source="tmdb", directors=["A Director"])

    with django_assert_num_queries(2):
        response = api.get(f"/movies/{movie.pk}/")

    assert response.json()["title"] == "Whole"
    assert tmdb_server.requests == []


@pytest.mark.parametrize("movie_id", [1, 2**62])
def test_unknown_movie_is_not_found(api, tmdb_server, movie_id):
    assert api.get(f"/movies/{movie_id}/").status_code == 404


@pytest.mark.parametrize("mode", ["401", "500", "html", "wrong_id", "null"])
def test_movie_is_shown_without_details_while_tmdb_fails(api, tmdb_server, listed_movie, mode):
    tmdb_server.set_mode(mode)

    for _ in range(2):
        response = api.get(f"/movies/{listed_movie}/")
        assert response.status_code == 200
        assert response.json()["title"] == "The Salt Cartographer"
        assert response.json()["runtime"] is None

    # The first response needs one request, or two with the retry of a 5xx; the second none.
    assert 1 <= get_paths(tmdb_server).count(f"/3/movie/{FIRST_ID}") <= 2


def test_movie_is_shown_without_details_if_there_is_no_credential(api, listed_movie, settings):
    settings.TMDB_TOKEN = ""

    assert api.get(f"/movies/{listed_movie}/").json()["runtime"] is None


def test_movie_that_tmdb_deleted_is_marked_and_shown(api, tmdb_server, listed_movie):
    tmdb_server.deleted_ids.add(FIRST_ID)

    for _ in range(2):
        body = api.get(f"/movies/{listed_movie}/").json()
        assert body["title"] == "The Salt Cartographer"

    assert Movie.objects.get(pk=listed_movie).removed_at_source is not None
    assert get_paths(tmdb_server).count(f"/3/movie/{FIRST_ID}") == 1


def test_stale_movie_is_refreshed_before_it_is_shown(api, tmdb_server, stale_movie):
    body = api.get(f"/movies/{stale_movie.pk}/").json()

    assert body["title"] == "The Salt Cartographer"
    assert body["provenance"]["stale"] is False


def test_stale_movie_is_shown_without_tmdbs_texts_and_images_while_tmdb_fails(
    api, tmdb_server, stale_movie
):
    tmdb_server.set_mode("500")

    body = api.get(f"/movies/{stale_movie.pk}/").json()
    (summary,) = api.get("/movies/").json()["results"]

    assert (body["title"], body["runtime"]) == ("Old title", 99)
    assert (body["overview"], body["tagline"]) == ("", "")
    assert body["poster_url"] is body["backdrop_url"] is None
    assert body["provenance"]["stale"] is True
    assert summary["poster_url"] is summary["backdrop_url"] is None


def test_read_only_endpoints_reject_writes_and_the_import_rejects_reads(member, tmdb_server):
    statuses = [
        member.post("/movies/trending/", {}).status_code,
        member.post("/tmdb/search/", {}).status_code,
        member.get("/tmdb/import/").status_code,
    ]

    assert statuses == [405, 405, 405]
