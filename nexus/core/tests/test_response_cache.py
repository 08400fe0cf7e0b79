import json

import pytest
from django.conf import settings as configured
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from nexus.core.cache import responses

pytestmark = pytest.mark.django_db

TOP_RATED = "/movies/top_rated/"
STORED_KEYS = "nexus:1:response:*"


@pytest.fixture(autouse=True)
def _response_cache(settings):
    settings.RESPONSE_CACHE_TTL_S = 60


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien", genres=["Horror"], vote_average=8.0, vote_count=900)


def count_queries(client, path, **headers):
    with CaptureQueriesContext(connection) as queries:
        response = client.get(path, **headers)
    assert response.status_code == 200, response.content
    return len(queries)


def read_stored_keys():
    return get_redis_connection("default").keys(STORED_KEYS)


def test_responses_are_cached_for_a_minute_unless_a_test_says_otherwise(api, movie):
    api.get(TOP_RATED)

    [key] = read_stored_keys()
    assert 59_000 < get_redis_connection("default").pttl(key) <= 60_000


@pytest.mark.parametrize(
    "path",
    [
        "/movies/",
        "/movies/?genre=Horror&page_size=5",
        "/movies/{id}/",
        "/movies/trending/",
        TOP_RATED,
        "/movies/{id}/similar/",
        "/genres/",
    ],
)
def test_every_public_read_of_the_catalogue_is_cached(api, movie, path):
    path = path.format(id=movie.pk)
    first = api.get(path)

    with CaptureQueriesContext(connection) as queries:
        second = api.get(path)

    assert not queries.captured_queries
    assert second.content == first.content
    assert second["Age"] == "0"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/movies/{id}/reviews/",
        "/profiles/ann/",
        "/playlists/",
        "/movies/?search=alien",
        "/movies/?title=alien",
        "/movies/?cursor=",
    ],
)
def test_other_reads_are_not_stored(api, movie, make_user, path):
    make_user("ann")

    response = api.get(path.format(id=movie.pk))

    assert response.status_code == 200
    assert read_stored_keys() == []


def test_a_cached_response_has_the_headers_of_the_first_one(api, movie):
    first = api.get(TOP_RATED)

    second = api.get(TOP_RATED)

    names = ("ETag", "Content-Type", "Content-Length", "Cache-Control", "Vary", "X-Frame-Options")
    assert [second[name] for name in names] == [first[name] for name in names]
    assert second["RateLimit"] != first["RateLimit"]
    assert second["X-Request-ID"] != first["X-Request-ID"]


def test_a_cached_response_says_how_old_it_is(api, movie):
    api.get(TOP_RATED)
    [key] = read_stored_keys()
    head, _, body = get_redis_connection("default").get(key).partition(b"\n")
    generated_at, headers = json.loads(head)
    aged = json.dumps([generated_at - 41, headers]).encode() + b"\n" + body
    get_redis_connection("default").set(key, aged)

    response = api.get(TOP_RATED)

    assert 41 <= int(response["Age"]) <= 42


def test_a_cached_response_is_revalidated_by_its_etag(api, movie):
    etag = api.get(TOP_RATED)["ETag"]

    response = api.get(TOP_RATED, HTTP_IF_NONE_MATCH=etag)

    assert (response.status_code, response.content) == (304, b"")


def test_a_change_is_seen_at_once_with_a_token_and_later_without(api, movie, make_user, client_of):
    ann = client_of(make_user("ann"))
    api.get(TOP_RATED)

    ann.post("/ratings/", {"movie": movie.pk, "score": 5})

    assert ann.get(TOP_RATED).json()["results"][0]["rating_count"] == 1
    assert api.get(TOP_RATED).json()["results"][0]["rating_count"] == 0


@pytest.mark.parametrize("header", ["Bearer x", "Basic eDp5", ""])
def test_requests_with_authorization_are_neither_read_nor_stored(api, movie, header):
    response = api.get(TOP_RATED, HTTP_AUTHORIZATION=header)

    assert read_stored_keys() == []
    assert response["Cache-Control"] == "private, no-cache"
    assert "Authorization" in response["Vary"]


@pytest.mark.parametrize(
    "change",
    [
        {"HTTP_HOST": "localhost"},
        {"HTTP_X_FORWARDED_PROTO": "https", "secure": True},
        {"QUERY_STRING": "page_size=1"},
    ],
)
def test_scheme_host_and_query_are_part_of_the_key(api, movie, make_movie, change):
    make_movie("Aliens", vote_count=5)
    api.get(TOP_RATED)

    assert count_queries(api, TOP_RATED, **change) > 0


def test_the_order_of_parameters_is_no_part_of_the_key(api, movie):
    api.get("/movies/?year_gte=1970&genre=Horror")

    assert count_queries(api, "/movies/?genre=Horror&year_gte=1970") == 0
    assert count_queries(api, "/movies/?genre=Horror&year_gte=1971") > 0


def test_the_values_of_a_parameter_keep_their_order_in_the_key(rf):
    first = responses.make_cache_key(rf.get("/movies/?genre=1&genre=2"))
    second = responses.make_cache_key(rf.get("/movies/?genre=2&genre=1"))

    assert first != second


@pytest.mark.parametrize("path", ["/api/movies/top_rated/", "/movies/top_rated"])
def test_another_spelling_of_the_path_has_its_own_entry(api, movie, path):
    api.get(TOP_RATED)

    assert count_queries(api, path) > 0
    assert count_queries(api, path) == 0


def test_bad_requests_are_refused_even_if_the_response_is_cached(api, movie):
    api.get(TOP_RATED)

    assert api.get(TOP_RATED, HTTP_ACCEPT="text/html").status_code == 406
    assert api.get(TOP_RATED, HTTP_HOST="elsewhere.example").status_code == 400
    assert api.post(TOP_RATED).status_code == 405
    for _ in range(2):
        assert api.get(f"{TOP_RATED}?page=x").status_code == 400


def test_cached_responses_count_towards_the_rate_limit(api, movie, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "address": (6, 60)}

    assert [api.get(TOP_RATED).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("status", "headers", "cookies", "is_stored"),
    [
        (200, {}, {}, True),
        (201, {}, {}, False),
        (404, {}, {}, False),
        (200, {"Cache-Control": "private, no-store"}, {}, False),
        (200, {"Cache-Control": "private, no-cache"}, {}, False),
        (200, {"Vary": "Authorization, Accept"}, {}, False),
        (200, {}, {"sessionid": "x"}, False),
    ],
)
def test_only_public_200s_that_vary_by_the_token_are_stored(status, headers, cookies, is_stored):
    public = {"Cache-Control": "public, max-age=60", "Vary": "Authorization"}
    response = HttpResponse(b"{}", status=status, headers={**public, **headers})
    for name, value in cookies.items():
        response.set_cookie(name, value)

    responses.store_response("response:key", response)

    assert bool(read_stored_keys()) is is_stored


def test_a_body_over_the_limit_is_not_stored(api, movie, monkeypatch):
    monkeypatch.setattr(responses, "MAX_BODY_BYTES", 100)

    api.get(TOP_RATED)

    assert read_stored_keys() == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\n",
        b"[]\n{}",
        b"[1, 2]\n{}",
        b'["x", {}]\n{}',
        b"[Infinity, {}]\n{}",
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_garbage_in_the_cache_is_a_miss(api, movie, garbage):
    api.get(TOP_RATED)
    for key in read_stored_keys():
        get_redis_connection("default").set(key, garbage)

    response = api.get(TOP_RATED)

    assert response.json()["results"][0]["title"] == "Alien"


def test_a_dead_cache_is_a_miss(api, movie, settings, tmp_path):
    location = f"unix://{tmp_path}/nobody.sock"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": location}}

    for _ in range(2):
        assert count_queries(api, TOP_RATED) > 0


def test_a_cached_response_is_counted_in_the_metrics_under_its_route(api, movie):
    def count_requests():
        lines = api.get("/metrics/").content.decode().splitlines()
        series = 'nexus_http_requests_total{method="GET",route="/movies/top_rated/",status="200"} '
        return sum(float(line.removeprefix(series)) for line in lines if line.startswith(series))

    before = count_requests()
    api.get(TOP_RATED)
    api.get(TOP_RATED)

    assert count_requests() - before == 2


def test_the_settings_turn_the_response_cache_on():
    assert "nexus.core.middleware.ResponseCacheMiddleware" in configured.MIDDLEWARE
