import copy
import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django_redis import get_redis_connection

from nexus.core.cache import client as cache
from nexus.core.cache import computed, locks

ECHO = "return {KEYS[1], ARGV[1]}"


@pytest.fixture
def connect_cache(settings):
    """Return a function that connects the cache to another Unix socket."""

    def connect(path):
        caches = copy.deepcopy(settings.CACHES)
        caches["default"]["LOCATION"] = f"unix://{path}?db=0"
        settings.CACHES = caches

    yield connect
    cache.breaker.reset()


@pytest.fixture
def dead_server(connect_cache, tmp_path):
    connect_cache(tmp_path / "nobody.sock")


@pytest.fixture
def hung_server(connect_cache, tmp_path):
    """A server that accepts connections and never responds."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(64)
        connect_cache(path)
        yield


@pytest.fixture
def redis():
    return get_redis_connection("default")


def run_in_threads(count, call):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(), range(count)))


# --- Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, 1.5, "Amélie", [], {"a": [1, None]}, True])
def test_get_returns_the_value_that_was_set(value):
    cache.set("thing", value, ttl_s=60)

    assert cache.get("thing") == value


def test_bytes_are_returned_as_they_were_set():
    cache.set_bytes("thing", b"\xff\n{}", ttl_s=60)

    assert cache.get_bytes("thing") == b"\xff\n{}"


def test_a_missing_or_deleted_value_is_a_miss():
    assert cache.get("thing") is None
    assert cache.get_bytes("thing") is None
    cache.set("thing", 1, ttl_s=60)

    cache.delete("thing")

    assert cache.get("thing") is None


def test_a_value_expires_after_its_ttl(redis):
    cache.set("thing", [1], ttl_s=60)

    assert 0 < redis.ttl(cache.make_key("thing")) <= 60


def test_values_are_stored_as_json(redis):
    cache.set("thing", {"a": 1}, ttl_s=60)

    assert json.loads(redis.get(cache.make_key("thing"))) == {"a": 1}


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"\xff\xfe", b"\x80\x04K\x01.", b"[" * 100_000, b"9" * 5000, b"not json"],
)
def test_a_value_that_cannot_be_decoded_is_a_miss(redis, garbage):
    redis.set(cache.make_key("thing"), garbage)

    assert cache.get("thing") is None

    cache.set("thing", 2, ttl_s=60)
    assert cache.get("thing") == 2


@pytest.mark.parametrize("garbage", [b"{", b"[1, 2]", b'"text"', b"7", b"\xff"])
def test_garbage_in_the_cache_does_not_reach_a_response(api, db, redis, garbage):
    redis.set(cache.make_key("movies:genre_counts"), garbage)

    response = api.get("/genres/")

    assert response.status_code == 200
    assert {genre["movie_count"] for genre in response.json()} == {0}


# --- A cache that is down ------------------------------------------------------------------------


@pytest.mark.clocked
def test_a_dead_server_is_a_miss_at_once(dead_server):
    started = time.monotonic()

    assert cache.get("thing") is None
    cache.set("thing", 1, ttl_s=60)
    cache.delete("thing")
    assert cache.increment_window("thing", window_s=60) == (0, 60)
    assert not cache.is_available()

    assert time.monotonic() - started < 0.3


@pytest.mark.clocked
def test_a_hung_server_delays_three_commands_and_then_none(hung_server):
    for _ in range(cache.breaker.FAILURE_THRESHOLD):
        started = time.monotonic()
        assert cache.get("thing") is None
        assert time.monotonic() - started < 0.5

    started = time.monotonic()
    for _ in range(100):
        assert cache.get("thing") is None
        cache.set("thing", 1, ttl_s=60)

    # Without the breaker these are 200 timeouts of 0.2 s.
    assert time.monotonic() - started < 0.2


def test_an_outage_is_logged_once(dead_server, caplog):
    with caplog.at_level(logging.WARNING, logger="nexus.core.cache.client"):
        for _ in range(10):
            cache.get("thing")
            # Close the breaker, so that the next command fails too.
            cache.breaker.open_until = 0.0

    assert len(caplog.records) == 1
    assert "does not respond" in caplog.text


def test_the_cache_is_used_again_when_the_breaker_closes(
    connect_cache, settings, tmp_path, caplog, redis
):
    caches = settings.CACHES
    connect_cache(tmp_path / "nobody.sock")
    for _ in range(cache.breaker.FAILURE_THRESHOLD):
        cache.set("thing", 1, ttl_s=60)
    settings.CACHES = caches

    cache.set("thing", 1, ttl_s=60)
    assert redis.get(cache.make_key("thing")) is None

    cache.breaker.open_until = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="nexus.core.cache.client"):
        cache.set("thing", 1, ttl_s=60)
    assert cache.get("thing") == 1
    assert "responds again" in caplog.text


def test_two_failures_do_not_open_the_breaker(connect_cache, settings, tmp_path):
    caches = settings.CACHES
    connect_cache(tmp_path / "nobody.sock")
    for _ in range(cache.breaker.FAILURE_THRESHOLD - 1):
        cache.get("thing")
    settings.CACHES = caches

    cache.set("thing", 1, ttl_s=60)

    assert cache.get("thing") == 1


def test_without_the_cache_the_service_responds_and_limits_nobody(api, db, dead_server, settings):
    settings.RATE_LIMIT_SCALE = 0.01

    responses = [api.get("/genres/") for _ in range(5)]

    assert [response.status_code for response in responses] == [200] * 5
    assert {len(response.json()) for response in responses} == {19}
    assert api.get("/movies/").json()["count"] == 0


# --- Windows -------------------------------------------------------------------------------------


def test_a_window_closes_on_time_however_many_counts_follow(redis):
    assert cache.increment_window("w", window_s=60) == (1, 60)
    assert cache.increment_window("w", window_s=60)[0] == 2
    redis.pexpire(cache.make_key("w"), 1500)

    assert cache.increment_window("w", window_s=60) == (3, 2)


def test_a_count_after_the_window_opens_the_next_one(redis):
    cache.increment_window("w", window_s=60)
    redis.pexpire(cache.make_key("w"), 10)
    time.sleep(0.05)

    assert cache.increment_window("w", window_s=60) == (1, 60)


def test_concurrent_counts_get_every_number_once():
    def count():
        return [cache.increment_window("w", window_s=60)[0] for _ in range(20)]

    numbers = [number for some in run_in_threads(16, count) for number in some]

    assert sorted(numbers) == list(range(1, 321))


# --- Scripts and counters ------------------------------------------------------------------------


def test_a_script_runs_on_prefixed_keys(redis):
    key = cache.make_key("thing").encode()

    assert cache.run_script(ECHO, keys=["thing"], args=["x"]) == [key, b"x"]

    redis.script_flush()
    assert cache.run_script(ECHO, keys=["thing"], args=[7]) == [key, b"7"]


def test_a_script_that_meets_garbage_deletes_it_and_is_logged(redis, caplog):
    redis.set(cache.make_key("thing"), b"garbage")
    push = "return redis.call('RPUSH', KEYS[1], ARGV[1])"

    assert cache.run_script(push, keys=["thing"], args=["x"]) is None

    assert "script" in caplog.text
    assert cache.run_script(push, keys=["thing"], args=["x"]) == 1


def test_fields_of_a_hash_are_counted():
    for field in ("hits", "hits", "misses"):
        cache.incr_field("reads", field, ttl_s=60)

    assert cache.get_fields("reads") == {"hits": 2, "misses": 1}
    assert cache.get_fields("other") == {}


# --- Locks ---------------------------------------------------------------------------------------


def test_a_lock_is_held_until_its_holder_releases_it():
    token = locks.acquire_lock("work", ttl_s=5)
    assert token
    assert locks.acquire_lock("work", ttl_s=5) is None

    locks.release_lock("work", "another's token")
    assert locks.acquire_lock("work", ttl_s=5) is None

    locks.release_lock("work", token)
    assert locks.acquire_lock("work", ttl_s=5)


def test_a_lock_expires():
    locks.acquire_lock("work", ttl_s=0.05)
    time.sleep(0.08)

    assert locks.acquire_lock("work", ttl_s=5)


def test_a_lock_can_be_released_a_little_later():
    token = locks.acquire_lock("work", ttl_s=5)

    locks.release_lock("work", token, after_s=0.05)

    assert locks.acquire_lock("work", ttl_s=5) is None
    time.sleep(0.08)
    assert locks.acquire_lock("work", ttl_s=5)


def test_one_of_many_processes_acquires_a_lock():
    tokens = run_in_threads(16, lambda: locks.acquire_lock("work", ttl_s=5))

    assert len([token for token in tokens if token]) == 1


def test_without_the_cache_everybody_acquires_the_lock_and_nothing_is_counted(dead_server):
    for _ in range(2):
        assert locks.acquire_lock("work", ttl_s=5) == locks.UNSHARED_LOCK
    locks.release_lock("work", locks.UNSHARED_LOCK)

    assert cache.run_script(ECHO, keys=["thing"], args=["x"]) is None
    cache.incr_field("reads", "hits", ttl_s=60)
    assert cache.get_fields("reads") == {}


# --- Computed values -----------------------------------------------------------------------------


def test_one_of_many_callers_computes_a_value_and_all_get_it(redis):
    calls = []

    def compute():
        time.sleep(0.1)
        calls.append(threading.get_ident())
        return {"number": len(calls)}

    def get():
        return computed.get_or_compute("thing", compute, expected_type=dict, ttl_s=60)

    assert run_in_threads(16, get) == [{"number": 1}] * 16

    assert (get(), len(calls)) == ({"number": 1}, 1)
    assert 0 < redis.ttl(cache.make_key("thing")) <= 60


def test_a_value_of_another_type_is_computed_again():
    cache.set("thing", [1], ttl_s=60)

    value = computed.get_or_compute("thing", lambda: {"a": 1}, expected_type=dict, ttl_s=60)

    assert value == cache.get("thing") == {"a": 1}


def test_a_value_that_is_invalidated_while_it_is_computed_is_not_stored():
    versions = ["old"]

    def compute():
        value = {"version": versions[0]}
        if versions == ["old"]:
            versions[0] = "new"
            computed.invalidate("thing")
        return value

    def get():
        return computed.get_or_compute("thing", compute, expected_type=dict, ttl_s=60)

    assert get() == {"version": "old"}
    assert cache.get("thing") is None

    assert get() == {"version": "new"}
    assert cache.get("thing") == {"version": "new"}


def test_after_a_failed_computation_the_next_caller_computes():
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        computed.get_or_compute("thing", fail, expected_type=dict, ttl_s=60)

    assert computed.get_or_compute("thing", dict, expected_type=dict, ttl_s=60) == {}


def test_without_the_cache_each_caller_computes_its_own_value(dead_server):
    for _ in range(5):
        value = computed.get_or_compute("thing", lambda: {"a": 1}, expected_type=dict, ttl_s=60)
        assert value == {"a": 1}
