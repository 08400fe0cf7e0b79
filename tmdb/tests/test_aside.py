import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django_redis import get_redis_connection

from nexus.core.cache import client as cache
from nexus.core.cache import locks
from nexus.core.cache.client import TTL_S
from tmdb import aside
from tmdb.aside import cached
from tmdb.client.errors import (
    TmdbAdult,
    TmdbAuthFailed,
    TmdbNotConfigured,
    TmdbNotFound,
    TmdbUnavailable,
    TmdbUnusable,
    TmdbVideo,
)

pytestmark = pytest.mark.clocked

KEY = "tmdb:test:thing"


class Source:
    """A `fetch` that counts its calls and answers with their number, or raises."""

    def __init__(self, *, error=None, takes_s=0.0):
        self.calls, self.error, self.takes_s = 0, error, takes_s

    def __call__(self):
        self.calls += 1
        number = self.calls
        time.sleep(self.takes_s)
        if self.error:
            raise self.error
        return {"number": number}


def ask(source, *, key=KEY, kind="search", **more):
    return cached(key, kind=kind, fetch=source, **more)


def raw(key=KEY):
    return cache.make_key(key)


def entry(key=KEY):
    return cache.get(key)


def change(key=KEY, **fields):
    held = {**entry(key), **fields}
    cache.set(key, held, ttl_s=1000)


def expire(key=KEY):
    held = entry(key)
    change(key, stored_at=held["stored_at"] - 5000, fresh_until=time.time() - 1)


@pytest.fixture(autouse=True)
def _settled():
    yield
    aside.settle()


@pytest.fixture
def no_valkey(settings):
    location = {"LOCATION": "redis://127.0.0.1:9/0"}
    settings.CACHES = {"default": {**settings.CACHES["default"], **location}}


# --- Copies --------------------------------------------------------------------------------------


def test_the_first_read_asks_and_the_second_does_not():
    source = Source()
    first, second = ask(source), ask(source)
    assert (first.value, first.source, first.age_s) == ({"number": 1}, "tmdb", 0)
    assert (second.value, second.source) == ({"number": 1}, "fresh")
    assert abs(second.as_of.timestamp() - time.time()) < 2
    assert source.calls == 1


def test_the_age_of_a_copy_is_told():
    ask(Source())
    change(stored_at=time.time() - 90)
    found = ask(Source())
    assert (found.source, found.age_s) == ("fresh", 90)


def test_a_copy_is_plain_json_with_its_times():
    ask(Source())
    assert set(entry()) == {"stored_at", "fresh_until", "value"}
    assert entry()["value"] == {"number": 1}


def test_times_to_live_differ_by_a_tenth_at_most_and_outlast_freshness_by_a_day():
    lives = set()
    for number in range(30):
        ask(Source(), key=f"{KEY}{number}")
        held = entry(f"{KEY}{number}")
        lives.add(round(held["fresh_until"] - held["stored_at"]))
        left = get_redis_connection("default").ttl(raw(f"{KEY}{number}"))
        assert abs(left - TTL_S["tmdb_stale"] - (held["fresh_until"] - held["stored_at"])) < 3
    assert len(lives) > 10
    assert 0.9 * TTL_S["tmdb_search"] <= min(lives) <= max(lives) <= 1.1 * TTL_S["tmdb_search"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe",
        b"not json",
        b"[]",
        b"7",
        b'{"value": {}}',
        b'{"stored_at": "x", "fresh_until": 9e9, "value": {}}',
        b'{"stored_at": 1, "fresh_until": 9e99, "value": {}}',
        b'{"stored_at": NaN, "fresh_until": NaN, "value": {}}',
        b'{"stored_at": 9e9, "fresh_until": 9e9, "value": {}}',
        b'{"stored_at": 1, "fresh_until": 9e9}',
    ],
)
def test_a_copy_that_cannot_be_read_is_none(garbage):
    get_redis_connection("default").set(raw(), garbage)
    source = Source()
    assert ask(source).source == "tmdb"
    assert source.calls == 1


def test_a_copy_that_its_reader_refuses_is_none():
    def read(value):
        if "number" not in value:
            raise TmdbUnusable("odd")
        return value["number"]

    cached(KEY, kind="search", fetch=lambda: {"other": 1})
    found = ask(Source(), read=read)
    assert (found.value, found.source) == (1, "tmdb")
    assert ask(Source(), read=read).source == "fresh"


# --- Stale copies --------------------------------------------------------------------------------


def test_a_stale_copy_is_served_at_once_while_one_refresh_runs():
    source = Source()
    ask(source)
    expire()
    source.takes_s = 1.0
    started = time.monotonic()
    for _ in range(5):
        found = ask(source)
        assert (found.value, found.source, found.stale) == ({"number": 1}, "stale", True)
    assert time.monotonic() - started < 0.8
    aside.settle()
    assert source.calls == 2
    assert (ask(source).value, ask(source).source) == ({"number": 2}, "fresh")


@pytest.mark.parametrize(
    "error",
    [
        TmdbUnavailable("gone"),
        TmdbAuthFailed("bad"),
        TmdbNotConfigured("none"),
        TmdbUnusable("odd"),
        RuntimeError("a bug"),
    ],
)
def test_a_stale_copy_outlives_trouble(error):
    source = Source()
    ask(source)
    for _ in range(3):
        expire()
        source.error = error
        assert ask(source).value == {"number": 1}
        aside.settle()
    assert ask(source).value == {"number": 1}


def test_after_a_refresh_that_failed_the_next_waits_a_moment(monkeypatch):
    monkeypatch.setattr(aside, "REFRESH_PAUSE_S", 0.2)
    source = Source()
    ask(source)
    expire()
    source.error = TmdbUnavailable("gone")
    for _ in range(10):
        ask(source)
        aside.settle()
    assert source.calls == 2
    time.sleep(0.25)
    ask(source)
    aside.settle()
    assert source.calls == 3


def test_another_workers_refresh_is_left_to_it():
    source = Source()
    ask(source)
    expire()
    assert locks.acquire_lock(aside._lease_key(KEY), ttl_s=5)
    assert ask(source).stale
    aside.settle()
    assert source.calls == 1


def test_a_worker_that_died_while_it_refreshed_is_replaced():
    source = Source()
    ask(source)
    expire()
    locks.acquire_lock(aside._lease_key(KEY), ttl_s=0.1)
    time.sleep(0.15)
    ask(source)
    aside.settle()
    assert source.calls == 2


def test_refreshes_beyond_the_few_that_run_are_dropped():
    sources = [Source() for _ in range(5)]
    for number, source in enumerate(sources):
        ask(source, key=f"{KEY}{number}")
        expire(f"{KEY}{number}")
        source.takes_s = 0.2
    for number, source in enumerate(sources):
        assert ask(source, key=f"{KEY}{number}").stale
    aside.settle()
    assert sum(source.calls - 1 for source in sources) == aside.REFRESHERS
    # What was dropped is done when it is asked for again.
    for number, source in enumerate(sources):
        ask(source, key=f"{KEY}{number}")
        aside.settle()
    assert [source.calls for source in sources] == [2] * 5


def test_a_film_is_not_served_stale():
    source = Source()
    ask(source, kind="movie")
    expire()
    cache.delete(KEY)
    assert ask(source, kind="movie").source == "tmdb"


# --- What TMDb does not have, and trouble --------------------------------------------------------


@pytest.mark.parametrize("error", [TmdbNotFound, TmdbAdult, TmdbVideo])
def test_that_there_is_none_is_remembered_briefly_and_as_what_it_was(error):
    source = Source(error=error("no"))
    for _ in range(3):
        with pytest.raises(TmdbNotFound) as raised:
            ask(source)
        assert type(raised.value) is error
    assert source.calls == 1
    assert 0 < get_redis_connection("default").ttl(raw()) <= TTL_S["tmdb_missing"]
    expire()
    source.error = None
    assert ask(source).value == {"number": 2}


@pytest.mark.parametrize(
    "error", [TmdbUnavailable("x"), TmdbAuthFailed("x"), TmdbUnusable("x"), ValueError("x")]
)
def test_trouble_is_never_remembered(error):
    source = Source(error=error)
    for _ in range(2):
        with pytest.raises(type(error)):
            ask(source)
    assert source.calls == 2
    assert get_redis_connection("default").keys("*thing*") == []


def test_what_is_wanted_anew_is_asked_for_once_for_all():
    source = Source(takes_s=0.2)
    ask(source)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: ask(source, anew=True).value, range(4)))
    assert found == [{"number": 2}] * 4
    assert source.calls == 2


def test_peeking_asks_nobody():
    assert aside.peek(KEY) is None
    ask(Source())
    assert aside.peek(KEY).value == {"number": 1}
    expire()
    assert aside.peek(KEY).stale
    with pytest.raises(TmdbNotFound):
        ask(Source(error=TmdbNotFound("no")), key="tmdb:test:none")
    assert aside.peek("tmdb:test:none") is None


def test_a_copy_is_made_in_the_background_unless_there_is_known_to_be_none():
    source = Source()
    aside.refresh(KEY, kind="list", fetch=source)
    aside.settle()
    assert aside.peek(KEY).value == {"number": 1}
    missing = Source(error=TmdbNotFound("no"))
    for _ in range(2):
        aside.refresh("tmdb:test:none", kind="list", fetch=missing)
        aside.settle()
        time.sleep(0.01)
    assert missing.calls == 1


# --- One call a key ------------------------------------------------------------------------------


def test_who_comes_while_a_call_runs_shares_its_answer():
    source = Source(takes_s=0.1)
    with ThreadPoolExecutor(30) as threads:
        found = list(threads.map(lambda _: ask(source).value, range(30)))
    assert found == [{"number": 1}] * 30
    assert source.calls == 1


def test_who_comes_while_another_worker_asks_waits_for_its_answer():
    token = locks.acquire_lock(aside._lease_key(KEY), ttl_s=5)

    def other_worker():
        aside._store(KEY, {"value": {"number": 70}}, ttl_s=100, stale_s=100)
        locks.release_lock(aside._lease_key(KEY), token)

    threading.Timer(0.3, other_worker).start()
    source = Source()
    assert ask(source).value == {"number": 70}
    assert source.calls == 0


def test_a_worker_that_died_while_it_asked_is_replaced_in_time():
    locks.acquire_lock(aside._lease_key(KEY), ttl_s=0.4)
    source, started = Source(), time.monotonic()
    assert ask(source).value == {"number": 1}
    assert 0.3 < time.monotonic() - started < 2


def test_the_lease_ends_early_enough_for_the_next_to_ask():
    assert aside.LEASE_S < aside.BUDGET_S - aside.LEAST_LEFT_S


def test_who_waits_for_another_worker_gives_up_within_the_budget(monkeypatch):
    monkeypatch.setattr(aside, "BUDGET_S", 0.6)
    locks.acquire_lock(aside._lease_key(KEY), ttl_s=5)
    started = time.monotonic()
    with pytest.raises(TmdbUnavailable) as raised:
        ask(Source())
    assert time.monotonic() - started < 2
    assert raised.value.retry_after_s == 1


def test_the_lease_is_given_back_after_trouble():
    with pytest.raises(TmdbUnavailable):
        ask(Source(error=TmdbUnavailable("gone")))
    assert locks.acquire_lock(aside._lease_key(KEY), ttl_s=1)


# --- Those who wait ------------------------------------------------------------------------------


def waiting(ask_one, count):
    """How many were answered, and how long the slowest of the others waited."""

    def run(number):
        started = time.monotonic()
        try:
            ask_one(number)
        except TmdbUnavailable as error:
            return time.monotonic() - started, error.retry_after_s
        return None

    with ThreadPoolExecutor(count) as threads:
        refused = [waited for waited in threads.map(run, range(count)) if waited is not None]
    assert {after_s for _, after_s in refused} <= {1}
    return count - len(refused), max((took for took, _ in refused), default=0.0)


def test_only_two_keys_are_waited_for_and_the_rest_refused_at_once():
    source = Source(takes_s=0.5)
    answered, slowest = waiting(lambda number: ask(source, key=f"{KEY}{number}"), 10)
    assert (answered, source.calls) == (aside.MAX_WAITING, aside.MAX_WAITING)
    assert slowest < 0.2


def test_a_crowd_of_one_key_leaves_when_its_call_takes_long():
    source = Source(takes_s=0.9)
    answered, slowest = waiting(lambda number: ask(source), 10)
    assert (answered, source.calls) == (aside.MAX_WAITING, 1)
    assert aside.CROWD_PATIENCE_S - 0.05 < slowest < aside.CROWD_PATIENCE_S + 0.2


def test_places_are_free_again_after_answers_and_trouble():
    for number in range(5):
        with pytest.raises(TmdbUnavailable, match="gone"):
            ask(Source(error=TmdbUnavailable("gone")), key=f"{KEY}{number}")
        ask(Source(), key=f"{KEY}:{number}")
    with aside.place(), aside.place(), pytest.raises(TmdbUnavailable), aside.place():
        pass
    with aside.place():
        pass


def test_a_copy_is_served_while_all_places_are_taken():
    ask(Source())
    with aside.place(), aside.place():
        assert ask(Source()).source == "fresh"
        expire()
        assert ask(Source()).source == "stale"
        with pytest.raises(TmdbUnavailable):
            ask(Source(), key="tmdb:test:other")


# --- Without Valkey ------------------------------------------------------------------------------


def test_without_valkey_each_read_asks_and_a_crowd_asks_once(no_valkey):
    source = Source(takes_s=0.1)
    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(lambda _: ask(source).value, range(10)))
    assert found == [{"number": 1}] * 10
    assert ask(source).value == {"number": 2}


def test_without_valkey_only_two_keys_are_waited_for(no_valkey):
    source = Source(takes_s=0.5)
    answered, slowest = waiting(lambda number: ask(source, key=f"{KEY}{number}"), 8)
    assert answered == aside.MAX_WAITING
    assert slowest < 0.3


# --- Counts --------------------------------------------------------------------------------------


def test_reads_are_counted_by_what_answered_them():
    ask(Source())
    ask(Source())
    ask(Source())
    expire()
    ask(Source(takes_s=0.1))
    assert aside.hit_counts() == {"hits": 2, "stale_hits": 1, "misses": 1}


def test_counts_that_are_garbage_are_none():
    window = int(time.time() // aside.STATS_WINDOW_S)
    redis = get_redis_connection("default")
    redis.set(cache.make_key(aside._stats_key(window)), json.dumps([1]))
    ask(Source())
    assert set(aside.hit_counts()) == {"hits", "stale_hits", "misses"}
    redis.hset(cache.make_key(aside._stats_key(window)), "hits", "many")
    assert aside.hit_counts()["hits"] == 0
