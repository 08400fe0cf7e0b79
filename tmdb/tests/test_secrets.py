"""TMDb's credential is in no response, log line, cache value or exception, however TMDb fails."""

import logging
import time
import traceback

import pytest
import requests
from django_redis import get_redis_connection

from nexus.core.cache import client as cache_client
from nexus.dev.jobs import run_waiting_jobs
from tmdb import cache
from tmdb.cache import SearchTerms
from tmdb.client.errors import TmdbError
from tmdb.client.http import TmdbClient, make_movie_request
from tmdb.fake.server import CREDENTIAL, FIRST_ID, MODES

LAMPS = SearchTerms(query="lamps", page=1, language="en-US", include_adult=False)


def read_all_keys_and_values():
    """Return the names and contents of all keys of every type in Valkey."""
    redis = get_redis_connection("default")
    readers = {
        b"string": lambda key: [redis.get(key)],
        b"hash": lambda key: [part for pair in redis.hgetall(key).items() for part in pair],
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        # The key expired between the two commands.
        b"none": lambda key: [],
    }
    parts = []
    for key in redis.keys("*"):
        parts += [key, *(part or b"" for part in readers[redis.type(key)](key))]
    return b"\n".join(parts)


@pytest.mark.django_db
@pytest.mark.parametrize("mode", MODES)
def test_no_response_log_or_cache_entry_contains_the_credential(
    api, client_of, make_user, tmdb_server, mode, caplog, capfd, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    member = client_of(make_user("ann"))
    # A stale copy, so that a background refresh fails as well.
    api.get("/tmdb/search/?query=lamps")
    copy = cache_client.get(LAMPS.cache_key)
    stale_copy = {**copy, "fresh_until": copy["stored_at"]}
    cache_client.set(LAMPS.cache_key, stale_copy, ttl_s=1000)
    monkeypatch.setattr(cache, "TIME_LIMIT_S", 0.35)
    tmdb_server.set_mode(mode, seconds=5)

    responses = [
        api.get("/tmdb/search/?query=lamps"),
        api.get("/tmdb/search/?query=quarry"),
        api.get("/movies/trending/"),
        member.post("/tmdb/import/", {"tmdb_id": FIRST_ID}),
        api.get("/tmdb/status/"),
    ]
    run_waiting_jobs()

    assert responses[0].status_code == responses[-1].status_code == 200
    assert {response.status_code for response in responses} <= {200, 201, 404, 502, 503}
    for response in responses:
        assert CREDENTIAL not in response.content.decode() + str(response.headers)
    for record in caplog.records:
        assert CREDENTIAL not in logging.Formatter().format(record) + repr(record.__dict__)
    assert CREDENTIAL not in "".join(capfd.readouterr())
    cached = read_all_keys_and_values()
    assert b"tmdb:" in cached
    assert CREDENTIAL.encode() not in cached
    assert all(CREDENTIAL not in request.line for request in tmdb_server.requests)


@pytest.mark.parametrize("mode", MODES)
def test_no_exception_contains_the_credential(tmdb_server, mode):
    client = TmdbClient(
        requests.Session(),
        base_url=tmdb_server.base_url,
        credential=CREDENTIAL,
        read_timeout_s=0.35,
    )
    tmdb_server.set_mode(mode, seconds=5)

    errors = []
    try:
        client.send(make_movie_request(FIRST_ID), deadline=time.monotonic() + 0.35)
    except TmdbError as error:
        errors.append(error)
    client.close()

    for error in errors:
        assert CREDENTIAL not in "".join(traceback.format_exception(error))
    while errors:
        error = errors.pop()
        assert CREDENTIAL not in repr(error) + repr(vars(error))
        # An error of requests holds the request with all its headers.
        assert not isinstance(error, requests.RequestException)
        errors += [cause for cause in (error.__cause__, error.__context__) if cause is not None]
