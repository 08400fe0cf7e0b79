import copy
import logging
import socket
import threading
import time

import pytest
from django_redis import get_redis_connection

from nexus.core.cache import client as cache
from nexus.core.cache import computed, locks


@pytest.fixture
def served_by(settings):
    """Points the cache at another Unix socket."""

    def point(path):
        caches = copy.deepcopy(settings.CACHES)
        caches["default"]["LOCATION"] = f"unix://{path}?db=0"
        settings.CACHES = caches

    yield point
    cache.breaker.reset()


@pytest.fixture
def dead(served_by, tmp_path):
    served_by(tmp_path / "nobody.sock")


@pytest.fixture
def hung(served_by, tmp_path):
    """A server that takes connections and never says a word."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(64)
        served_by(path)
        yield


def raw_key(key):
    from django.core.cache import cache as django_cache

    return django_cache.make_key(key)


@pytest.mark.parametrize("value", [0, 1, 1.5, "Amélie", [], {"a": [1, None]}, True])
def test_what_is_put_is_got_as_plain_data(value):
    cache.set("thing", value, ttl_s=60)
    assert cache.get("thing") == value


def test_what_was_never_put_or_is_deleted_is_a_miss():
    assert cache.get("thing") is None
    cache.set("thing", 1, ttl_s=60)
    cache.delete("thing")
    assert cache.get("thing") is None


def test_a_value_lives_as_long_as_it_was_told_to():
    cache.set("thing", [1], ttl_s=60)
    assert 0 < get_redis_connection("default").ttl(raw_key("thing")) <= 60


def test_what_is_stored_is_json_and_no_pickle():
    cache.set("thing", {"a": 1}, ttl_s=60)
    assert get_redis_connection("default").get(raw_key("thing")) == b'{"a": 1}'


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"\xff\xfe", b"\x80\x04K\x01.", b"[" * 100_000, b"9" * 5000, b"not json"],
)
def test_a_value_that_cannot_be_decoded_is_a_miss(garbage):
    get_redis_connection("default").set(raw_key("thing"), garbage)
    assert cache.get("thing") is None
    cache.set("thing", 2, ttl_s=60)
    assert cache.get("thing") == 2


def test_garbage_in_the_cache_does_not_reach_an_answer(api, db):
    for garbage in (b"{", b"[1, 2]", b'"text"', b"7", b"\xff"):
        get_redis_connection("default").set(raw_key("movies:genre_counts"), garbage)
        answer = api.get("/genres/")
        assert answer.status_code == 200
        assert {genre["movie_count"] for genre in answer.json()} == {0}


@pytest.mark.clocked
def test_a_dead_server_is_a_miss_at_once(dead):
    started = time.monotonic()
    assert cache.get("thing") is None
    cache.set("thing", 1, ttl_s=60)
    cache.delete("thing")
    assert cache.increment_window("thing", window_s=60) == (0, 60)
    assert not cache.is_available()
    assert time.monotonic() - started < 0.3


@pytest.mark.clocked
def test_a_hung_server_costs_three_requests_a_moment_and_later_ones_nothing(hung):
    for _ in range(cache.breaker.FAILURE_THRESHOLD):
        started = time.monotonic()
        assert cache.get("thing") is None
        assert time.monotonic() - started < 0.5
    started = time.monotonic()
    for _ in range(100):
        assert cache.get("thing") is None
        cache.set("thing", 1, ttl_s=60)
    # Asked each time, it would be 200 waits of 0.2 s.
    assert time.monotonic() - started < 0.2


def test_three_failures_pause_the_cache_and_are_told_once(dead, caplog):
    with caplog.at_level(logging.WARNING, logger="nexus.core.cache.client"):
        for _ in range(10):
            cache.get("thing")
            # As if the pause were over, and the server still away.
            cache.breaker.open_until = 0.0
    assert len(caplog.records) == 1
    assert "does not respond" in caplog.text


def test_after_the_pause_the_cache_is_asked_again(served_by, settings, tmp_path, caplog):
    real = settings.CACHES
    served_by(tmp_path / "nobody.sock")
    for _ in range(cache.breaker.FAILURE_THRESHOLD):
        cache.set("thing", 1, ttl_s=60)
    settings.CACHES = real
    cache.set("thing", 1, ttl_s=60)
    assert get_redis_connection("default").get(raw_key("thing")) is None
    cache.breaker.open_until = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="nexus.core.cache.client"):
        cache.set("thing", 1, ttl_s=60)
    assert cache.get("thing") == 1
    assert "responds again" in caplog.text


def test_two_failures_do_not_pause(served_by, settings, tmp_path):
    real = settings.CACHES
    served_by(tmp_path / "nobody.sock")
    for _ in range(cache.breaker.FAILURE_THRESHOLD - 1):
        cache.get("thing")
    settings.CACHES = real
    cache.set("thing", 1, ttl_s=60)
    assert cache.get("thing") == 1


def test_without_the_cache_the_service_answers_and_limits_nobody(api, db, dead, settings):
    settings.RATE_LIMIT_SCALE = 0.01
    for _ in range(5):
        answer = api.get("/genres/")
        assert answer.status_code == 200
        assert len(answer.json()) == 19
    assert api.get("/movies/").json()["count"] == 0


def test_a_window_counts_up_and_closes_when_it_began_to():
    assert cache.increment_window("w", window_s=60) == (1, 60)
    assert cache.increment_window("w", window_s=60)[0] == 2
    # A later request must not put the window's end off.
    get_redis_connection("default").pexpire(cache.make_key("w"), 1500)
    assert cache.increment_window("w", window_s=60) == (3, 2)


def test_a_window_that_is_over_begins_anew():
    cache.increment_window("w", window_s=60)
    get_redis_connection("default").pexpire(cache.make_key("w"), 10)
    time.sleep(0.05)
    assert cache.increment_window("w", window_s=60) == (1, 60)


def test_counts_of_many_threads_are_each_number_once():
    seen = []

    def count():
        seen.extend(cache.increment_window("w", window_s=60)[0] for _ in range(20))

    threads = [threading.Thread(target=count) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 321))


# --- Scripts, leases, get_fields --------------------------------------------------------------------

ECHO = "return {KEYS[1], ARGV[1]}"


def test_a_script_runs_on_keys_of_ours():
    assert cache.run_script(ECHO, keys=["thing"], args=["x"]) == [
        cache.make_key("thing").encode(),
        b"x",
    ]
    get_redis_connection("default").script_flush()
    assert cache.run_script(ECHO, keys=["thing"], args=[7])[1] == b"7"


def test_a_script_that_meets_garbage_clears_it_and_says_nothing(caplog):
    redis = get_redis_connection("default")
    redis.set(cache.make_key("thing"), b"garbage")
    push = "return redis.call('RPUSH', KEYS[1], ARGV[1])"
    assert cache.run_script(push, keys=["thing"], args=["x"]) is None
    assert "script" in caplog.text
    assert cache.run_script(push, keys=["thing"], args=["x"]) == 1


def test_a_lease_is_one_holders_until_it_ends():
    token = locks.acquire_lock("work", ttl_s=5)
    assert token
    assert locks.acquire_lock("work", ttl_s=5) is None
    locks.release_lock("work", "another's token")
    assert locks.acquire_lock("work", ttl_s=5) is None
    locks.release_lock("work", token)
    assert locks.acquire_lock("work", ttl_s=5)


def test_a_lease_ends_by_itself_and_can_be_shortened():
    locks.acquire_lock("work", ttl_s=0.05)
    time.sleep(0.08)
    token = locks.acquire_lock("work", ttl_s=5)
    locks.release_lock("work", token, after_s=0.05)
    assert locks.acquire_lock("work", ttl_s=5) is None
    time.sleep(0.08)
    assert locks.acquire_lock("work", ttl_s=5)


def test_one_of_many_gets_the_lease():
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(locks.acquire_lock("work", ttl_s=5)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([token for token in got if token]) == 1


def test_tallies_add_up():
    for field in ("hits", "hits", "misses"):
        cache.incr_field("reads", field, ttl_s=60)
    assert cache.get_fields("reads") == {"hits": 2, "misses": 1}
    assert cache.get_fields("other") == {}


def test_without_the_cache_everybody_gets_a_lease_and_nothing_is_counted(dead):
    for _ in range(2):
        assert locks.acquire_lock("work", ttl_s=5) == locks.UNSHARED_LOCK
    locks.release_lock("work", locks.UNSHARED_LOCK)
    assert cache.run_script(ECHO, keys=["thing"], args=["x"]) is None
    cache.incr_field("reads", "hits", ttl_s=60)
    assert cache.get_fields("reads") == {}


def at_once(times, call):
    found = []
    threads = [threading.Thread(target=lambda: found.append(call())) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_one_of_all_who_ask_makes_a_value_and_the_others_get_it():
    made = []

    def make():
        time.sleep(0.1)
        made.append(len(made))
        return {"number": made[-1]}

    def ask():
        return computed.get_or_compute("thing", make, expected_type=dict, ttl_s=60)

    assert at_once(16, ask) == [{"number": 0}] * 16
    assert (ask(), made) == ({"number": 0}, [0])
    assert 0 < get_redis_connection("default").ttl(raw_key("thing")) <= 60
    # What another version left there is made anew.
    cache.set("thing", [1], ttl_s=60)
    assert ask() == {"number": 1}


def test_what_was_being_made_while_it_changed_is_not_kept():
    facts = ["old"]

    def make():
        found = {"facts": facts[0]}
        if facts == ["old"]:
            facts[0] = "new"
            computed.invalidate("thing")
        return found

    assert computed.get_or_compute("thing", make, expected_type=dict, ttl_s=60) == {"facts": "old"}
    assert cache.get("thing") is None
    assert computed.get_or_compute("thing", make, expected_type=dict, ttl_s=60) == {"facts": "new"}
    assert cache.get("thing") == {"facts": "new"}


def test_where_making_fails_the_next_one_makes_it():
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        computed.get_or_compute("thing", fail, expected_type=dict, ttl_s=60)
    assert computed.get_or_compute("thing", dict, expected_type=dict, ttl_s=60) == {}


def test_without_the_cache_each_makes_their_own(dead):
    for _ in range(5):
        assert computed.get_or_compute("thing", lambda: {"a": 1}, expected_type=dict, ttl_s=60) == {
            "a": 1
        }
