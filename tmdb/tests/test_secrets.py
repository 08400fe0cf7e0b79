"""TMDb's credential: in no answer, log line, cache value or exception, whatever TMDb does."""

import logging
import traceback

import pytest
import requests
from django_redis import get_redis_connection

from nexus.core.cache import client as cache
from tmdb import aside
from tmdb.cache import SearchTerms, search_key
from tmdb.client.errors import TmdbError
from tmdb.client.http import Client
from tmdb.fake.server import CREDENTIAL, FIRST_ID, MODES

LAMPS = SearchTerms(query="lamps", page=1, language="en-US", include_adult=False)


def everything_in_the_cache():
    """Names and contents of all keys, of every type."""
    redis = get_redis_connection("default")
    reads = {
        b"string": lambda key: [redis.get(key)],
        b"hash": lambda key: [part for pair in redis.hgetall(key).items() for part in pair],
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        # It ended between the two questions.
        b"none": lambda key: [],
    }
    found = []
    for key in redis.keys("*"):
        found += [key, *reads[redis.type(key)](key)]
    return b"\n".join(found)


@pytest.mark.django_db
@pytest.mark.parametrize("mode", MODES)
def test_no_answer_log_or_cache_entry_holds_the_credential(
    api, client_of, make_user, tmdb_server, mode, caplog, capfd, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    member = client_of(make_user("ann"))
    # A copy that is stale, so that a refresh in the background meets the trouble as well.
    api.get("/tmdb/search/?query=lamps")
    held = cache.get(search_key(LAMPS))
    cache.set(search_key(LAMPS), {**held, "fresh_until": held["stored_at"]}, ttl_s=1000)
    monkeypatch.setattr(aside, "BUDGET_S", 0.35)
    tmdb_server.switch(mode, seconds=5)
    answers = [
        api.get("/tmdb/search/?query=lamps"),
        api.get("/tmdb/search/?query=quarry"),
        api.get("/movies/trending/"),
        member.post("/tmdb/import/", {"tmdb_id": FIRST_ID}),
        api.get("/tmdb/status/"),
    ]
    aside.settle()
    assert answers[0].status_code == answers[-1].status_code == 200
    for answer in answers:
        assert CREDENTIAL not in answer.content.decode() + str(answer.headers)
    assert {answer.status_code for answer in answers} <= {200, 201, 404, 502, 503}
    for record in caplog.records:
        assert CREDENTIAL not in logging.Formatter().format(record) + repr(record.__dict__)
    assert CREDENTIAL not in "".join(capfd.readouterr())
    held = everything_in_the_cache()
    assert b"tmdb:" in held
    assert CREDENTIAL.encode() not in held
    assert all(CREDENTIAL not in asked.line for asked in tmdb_server.requests)


@pytest.mark.parametrize("mode", MODES)
def test_no_exception_holds_the_credential(tmdb_server, mode):
    client = Client(
        requests.Session(), base_url=tmdb_server.base_url, credential=CREDENTIAL, budget_s=0.35
    )
    tmdb_server.switch(mode, seconds=5)
    errors = []
    try:
        client.movie(FIRST_ID)
    except TmdbError as error:
        errors.append(error)
    client.close()
    for error in errors:
        assert CREDENTIAL not in "".join(traceback.format_exception(error))
    while errors:
        error = errors.pop()
        assert CREDENTIAL not in repr(error) + repr(vars(error))
        # These hold the request with all its headers.
        assert not isinstance(error, requests.RequestException)
        errors += [each for each in (error.__cause__, error.__context__) if each is not None]
