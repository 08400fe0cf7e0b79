import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django_redis import get_redis_connection
from procrastinate.contrib.django.models import ProcrastinateJob

from nexus.core.cache import client as cache_client
from nexus.core.cache import locks
from tmdb import cache
from tmdb.cache import (
    MAX_WAITING,
    NOT_FOUND_TTL_S,
    STALE_TTL_S,
    TTL_S,
    StaleWhileRevalidateCache,
    TmdbResource,
)
from tmdb.client.errors import (
    TmdbAdultTitle,
    TmdbAuthFailed,
    TmdbInvalidResponse,
    TmdbNotConfigured,
    TmdbNotFound,
    TmdbUnavailable,
    TmdbVideo,
)
from tmdb.client.http import TmdbRequest
from tmdb.gateway import MIN_TIME_LEFT_S, TIME_LIMIT_S

pytestmark = [pytest.mark.clocked, pytest.mark.django_db]

KEY = "tmdb:test:thing"


class NumberingGateway:
    """Counts its fetches per request and returns their number, or raises `error`."""

    def __init__(self):
        self.error, self.delay_s = None, 0.0
        self.fetches = []

    def fetch(self, request):
        self.fetches.append(request.path)
        number = self.fetches.count(request.path)
        time.sleep(self.delay_s)
        if self.error:
            raise self.error
        return {"number": number}


def parse_document(document):
    if not isinstance(document, dict):
        raise TmdbInvalidResponse("not an object")
    return document


def make_resource(key=KEY, *, kind="search", parse=parse_document):
    return TmdbResource(key, kind, TmdbRequest(f"/{key}", {}), parse)


def make_resources(count):
    return [make_resource(f"{KEY}:{number}") for number in range(count)]


def lock_key(resource):
    return f"{resource.key}:lock"


def change_copy(key=KEY, **fields):
    cache_client.set(key, {**cache_client.get(key), **fields}, ttl_s=1000)


def make_stale(key=KEY):
    copy = cache_client.get(key)
    change_copy(key, stored_at=copy["stored_at"] - 5000, fresh_until=time.time() - 1)


def run_refreshes(swr_cache):
    """Refresh what is queued, as the task worker does with its own cache."""
    jobs = ProcrastinateJob.objects.filter(task_name="tmdb.tasks.refresh_copy", status="todo")
    keys = list(jobs.order_by("id").values_list("args__key", flat=True))
    jobs.delete()
    for key in keys:
        # A bug fails the job.
        with suppress(RuntimeError):
            swr_cache.refresh(key)


@pytest.fixture(autouse=True)
def _any_document(monkeypatch):
    """Let the task worker accept the documents of these tests, which are none of TMDb's."""
    monkeypatch.setitem(cache._PARSERS, "search", parse_document)


@pytest.fixture
def gateway():
    return NumberingGateway()


@pytest.fixture
def swr_cache(gateway):
    return StaleWhileRevalidateCache(gateway)


# --- Fresh copies --------------------------------------------------------------------------------


def test_second_read_is_served_from_the_copy(swr_cache, gateway):
    first, second = (swr_cache.get(make_resource()) for _ in range(2))

    assert (first.value, first.source, first.age_s) == ({"number": 1}, "tmdb", 0)
    assert (second.value, second.source) == ({"number": 1}, "fresh")
    assert abs(second.as_of.timestamp() - time.time()) < 2
    assert len(gateway.fetches) == 1


def test_age_of_a_copy_is_returned(swr_cache):
    swr_cache.get(make_resource())
    change_copy(stored_at=time.time() - 90)

    copy = swr_cache.get(make_resource())

    assert (copy.source, copy.age_s) == ("fresh", 90)


def test_copy_is_plain_json_with_its_times(swr_cache):
    swr_cache.get(make_resource())

    copy = cache_client.get(KEY)

    assert set(copy) == {"stored_at", "fresh_until", "document"}
    assert copy["document"] == {"number": 1}


def test_times_to_live_vary_by_a_tenth_and_outlast_freshness_by_the_stale_time(swr_cache):
    fresh_times = set()
    for resource in make_resources(30):
        swr_cache.get(resource)
        copy = cache_client.get(resource.key)
        fresh_s = copy["fresh_until"] - copy["stored_at"]
        ttl_s = get_redis_connection("default").ttl(cache_client.make_key(resource.key))
        assert abs(ttl_s - STALE_TTL_S - fresh_s) < 3
        fresh_times.add(round(fresh_s))

    assert len(fresh_times) > 10
    assert 0.9 * TTL_S["search"] <= min(fresh_times) <= max(fresh_times) <= 1.1 * TTL_S["search"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe",
        b"not json",
        b"[]",
        b"7",
        b'{"document": {}}',
        b'{"stored_at": "x", "fresh_until": 9e9, "document": {}}',
        b'{"stored_at": 1, "fresh_until": 9e99, "document": {}}',
        b'{"stored_at": NaN, "fresh_until": NaN, "document": {}}',
        b'{"stored_at": 9e9, "fresh_until": 9e9, "document": {}}',
        b'{"stored_at": 1, "fresh_until": 9e9}',
    ],
)
def test_unreadable_copy_is_a_miss(swr_cache, gateway, garbage):
    get_redis_connection("default").set(cache_client.make_key(KEY), garbage)

    value = swr_cache.get(make_resource())

    assert value.source == "tmdb"
    assert len(gateway.fetches) == 1


def test_copy_that_the_parser_rejects_is_a_miss(swr_cache):
    def parse_other(document):
        if "other" in document:
            raise TmdbInvalidResponse("odd")
        return document["number"]

    swr_cache.get(make_resource())
    change_copy(document={"other": 1})

    value = swr_cache.get(make_resource(parse=parse_other))

    assert (value.value, value.source) == (2, "tmdb")
    assert swr_cache.get(make_resource(parse=parse_other)).source == "fresh"


# --- Stale copies --------------------------------------------------------------------------------


def test_stale_copy_is_served_at_once_while_one_refresh_runs(swr_cache, gateway):
    swr_cache.get(make_resource())
    make_stale()
    gateway.delay_s = 1.0

    started = time.monotonic()
    copies = [swr_cache.get(make_resource()) for _ in range(5)]
    elapsed_s = time.monotonic() - started
    run_refreshes(swr_cache)

    assert [(copy.value, copy.is_stale) for copy in copies] == [({"number": 1}, True)] * 5
    assert elapsed_s < 0.8
    assert len(gateway.fetches) == 2
    copy = swr_cache.get(make_resource())
    assert (copy.value, copy.source) == ({"number": 2}, "fresh")


@pytest.mark.parametrize(
    "error",
    [
        TmdbUnavailable("down"),
        TmdbAuthFailed("bad"),
        TmdbNotConfigured("none"),
        TmdbInvalidResponse("odd"),
        RuntimeError("a bug"),
    ],
)
def test_stale_copy_survives_failed_refreshes(swr_cache, gateway, error):
    swr_cache.get(make_resource())
    gateway.error = error

    for _ in range(3):
        make_stale()
        assert swr_cache.get(make_resource()).value == {"number": 1}
        run_refreshes(swr_cache)

    assert swr_cache.get(make_resource()).value == {"number": 1}


def test_stale_copy_is_queued_again_after_an_interval(swr_cache, gateway, monkeypatch):
    monkeypatch.setattr(cache, "REFRESH_INTERVAL_S", 2.0)
    swr_cache.get(make_resource())
    make_stale()
    gateway.error = TmdbUnavailable("down")

    for _ in range(5):
        swr_cache.get(make_resource())
        run_refreshes(swr_cache)
    fetches_in_interval = len(gateway.fetches)
    time.sleep(2.1)
    swr_cache.get(make_resource())
    run_refreshes(swr_cache)

    assert fetches_in_interval == 2
    assert len(gateway.fetches) == 3


def test_refresh_of_another_worker_is_not_repeated(swr_cache, gateway):
    swr_cache.get(make_resource())
    make_stale()
    assert locks.acquire_lock(lock_key(make_resource()), ttl_s=5)

    copy = swr_cache.get(make_resource())
    run_refreshes(swr_cache)

    assert copy.is_stale
    assert len(gateway.fetches) == 1


def test_worker_that_died_during_a_refresh_is_replaced(swr_cache, gateway):
    swr_cache.get(make_resource())
    make_stale()
    locks.acquire_lock(lock_key(make_resource()), ttl_s=0.1)
    time.sleep(0.15)

    swr_cache.get(make_resource())
    run_refreshes(swr_cache)

    assert len(gateway.fetches) == 2


def test_job_names_the_key_and_not_what_is_searched_for(swr_cache):
    resource = TmdbResource(
        KEY, "search", TmdbRequest("/search", {"query": "secret"}), parse_document
    )

    swr_cache.get_without_waiting(resource)

    job = ProcrastinateJob.objects.get(task_name="tmdb.tasks.refresh_copy")
    assert (job.args, job.queue_name) == ({"key": KEY}, "tmdb")


def test_copy_without_a_request_is_not_refreshed(swr_cache, gateway):
    for request in (None, "odd", {"kind": "movie"}, {"kind": "search", "odd": 1}):
        cache_client.set(f"{KEY}:request", request, ttl_s=100)

        swr_cache.refresh(KEY)

    assert gateway.fetches == []


def test_movie_is_never_stored_longer_than_it_is_fresh(swr_cache):
    swr_cache.get(make_resource(kind="movie"))

    ttl_s = get_redis_connection("default").ttl(cache_client.make_key(KEY))

    assert ttl_s <= 1.1 * TTL_S["movie"]


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error_class", [TmdbNotFound, TmdbAdultTitle, TmdbVideo])
def test_not_found_is_cached_briefly_with_its_class(swr_cache, gateway, error_class):
    gateway.error = error_class("no")

    for _ in range(3):
        with pytest.raises(TmdbNotFound) as raised:
            swr_cache.get(make_resource())
        assert type(raised.value) is error_class

    assert len(gateway.fetches) == 1
    assert 0 < get_redis_connection("default").ttl(cache_client.make_key(KEY)) <= NOT_FOUND_TTL_S
    make_stale()
    gateway.error = None
    assert swr_cache.get(make_resource()).value == {"number": 2}


@pytest.mark.parametrize(
    "error",
    [TmdbUnavailable("x"), TmdbAuthFailed("x"), TmdbInvalidResponse("x"), ValueError("x")],
)
def test_other_errors_are_not_cached(swr_cache, gateway, error):
    gateway.error = error

    for _ in range(2):
        with pytest.raises(type(error)):
            swr_cache.get(make_resource())

    assert len(gateway.fetches) == 2
    assert get_redis_connection("default").keys("*thing*") == []


# --- Reads with refresh, and without waiting -----------------------------------------------------


def test_forced_refresh_ignores_the_copy_and_is_shared(swr_cache, gateway):
    swr_cache.get(make_resource())
    gateway.delay_s = 0.2

    with ThreadPoolExecutor(4) as threads:
        values = list(
            threads.map(lambda _: swr_cache.get(make_resource(), refresh=True).value, range(4))
        )

    assert values == [{"number": 2}] * 4
    assert len(gateway.fetches) == 2


def test_absent_copy_is_fetched_in_the_background(swr_cache):
    first = swr_cache.get_without_waiting(make_resource())
    run_refreshes(swr_cache)
    second = swr_cache.get_without_waiting(make_resource())

    assert first is None
    assert (second.value, second.source) == ({"number": 1}, "fresh")


def test_stale_copy_is_returned_and_refreshed_in_the_background(swr_cache, gateway):
    swr_cache.get(make_resource())
    make_stale()

    copy = swr_cache.get_without_waiting(make_resource())
    run_refreshes(swr_cache)

    assert copy.is_stale
    assert len(gateway.fetches) == 2


def test_cached_not_found_is_not_refreshed_in_the_background(swr_cache, gateway):
    gateway.error = TmdbNotFound("no")

    for _ in range(2):
        assert swr_cache.get_without_waiting(make_resource()) is None
        run_refreshes(swr_cache)

    assert len(gateway.fetches) == 1


# --- One fetch per key ---------------------------------------------------------------------------


def test_concurrent_reads_of_one_key_share_a_fetch(swr_cache, gateway):
    gateway.delay_s = 0.1

    with ThreadPoolExecutor(30) as threads:
        values = list(threads.map(lambda _: swr_cache.get(make_resource()).value, range(30)))

    assert values == [{"number": 1}] * 30
    assert len(gateway.fetches) == 1


def test_read_waits_for_the_fetch_of_another_worker(swr_cache, gateway):
    token = locks.acquire_lock(lock_key(make_resource()), ttl_s=5)

    def finish_other_worker():
        copy = {"stored_at": time.time(), "fresh_until": time.time() + 100}
        cache_client.set(KEY, {**copy, "document": {"number": 70}}, ttl_s=100)
        locks.release_lock(lock_key(make_resource()), token)

    threading.Timer(0.3, finish_other_worker).start()
    value = swr_cache.get(make_resource()).value

    assert value == {"number": 70}
    assert gateway.fetches == []


def test_worker_that_died_during_a_fetch_is_replaced_in_time(swr_cache):
    locks.acquire_lock(lock_key(make_resource()), ttl_s=0.4)

    started = time.monotonic()
    value = swr_cache.get(make_resource()).value

    assert value == {"number": 1}
    assert 0.3 < time.monotonic() - started < 2


def test_lock_expires_early_enough_for_another_fetch():
    assert cache.LOCK_TTL_S < TIME_LIMIT_S - MIN_TIME_LEFT_S


def test_waiting_for_another_worker_ends_within_the_time_limit(swr_cache, monkeypatch):
    monkeypatch.setattr(cache, "TIME_LIMIT_S", 0.6)
    locks.acquire_lock(lock_key(make_resource()), ttl_s=5)

    started = time.monotonic()
    with pytest.raises(TmdbUnavailable) as raised:
        swr_cache.get(make_resource())

    assert time.monotonic() - started < 2
    assert raised.value.retry_after_s == 1


def test_lock_is_released_after_a_failed_fetch(swr_cache, gateway):
    gateway.error = TmdbUnavailable("down")

    with pytest.raises(TmdbUnavailable):
        swr_cache.get(make_resource())

    assert locks.acquire_lock(lock_key(make_resource()), ttl_s=1)


# --- Waiting requests ----------------------------------------------------------------------------


def read_at_once(swr_cache, resources):
    """Return how many reads succeeded and how long the slowest rejected read waited."""

    def read(resource):
        started = time.monotonic()
        try:
            swr_cache.get(resource)
        except TmdbUnavailable as error:
            return time.monotonic() - started, error.retry_after_s
        return None

    with ThreadPoolExecutor(len(resources)) as threads:
        rejected = [waited for waited in threads.map(read, resources) if waited is not None]
    assert {retry_after_s for _, retry_after_s in rejected} == {1}
    return len(resources) - len(rejected), max(wait_s for wait_s, _ in rejected)


def test_only_a_few_keys_are_waited_for_and_others_are_rejected_at_once(swr_cache, gateway):
    gateway.delay_s = 0.5

    succeeded, slowest_s = read_at_once(swr_cache, make_resources(10))

    assert succeeded == len(gateway.fetches) == MAX_WAITING
    assert slowest_s < 0.2


def test_crowd_for_one_key_is_rejected_when_its_fetch_is_slow(swr_cache, gateway):
    gateway.delay_s = 0.9

    succeeded, slowest_s = read_at_once(swr_cache, [make_resource()] * 10)

    assert succeeded == MAX_WAITING
    assert len(gateway.fetches) == 1
    assert cache.SHARED_FETCH_WAIT_S - 0.05 < slowest_s < cache.SHARED_FETCH_WAIT_S + 0.2


def test_slots_are_free_again_after_results_and_errors(swr_cache, gateway):
    for number, resource in enumerate(make_resources(10)):
        gateway.error = TmdbUnavailable("down") if number % 2 else None
        if gateway.error:
            with pytest.raises(TmdbUnavailable, match="down"):
                swr_cache.get(resource)
        else:
            swr_cache.get(resource)

    with (
        swr_cache.occupy_waiting_slot(),
        swr_cache.occupy_waiting_slot(),
        pytest.raises(TmdbUnavailable),
        swr_cache.occupy_waiting_slot(),
    ):
        pass
    with swr_cache.occupy_waiting_slot():
        pass


def test_copies_are_served_while_all_slots_are_occupied(swr_cache):
    swr_cache.get(make_resource())

    with swr_cache.occupy_waiting_slot(), swr_cache.occupy_waiting_slot():
        fresh = swr_cache.get(make_resource())
        make_stale()
        stale = swr_cache.get(make_resource())
        with pytest.raises(TmdbUnavailable):
            swr_cache.get(make_resource("tmdb:test:other"))

    assert (fresh.source, stale.source) == ("fresh", "stale")


# --- Without Valkey ------------------------------------------------------------------------------


def test_without_valkey_each_read_fetches_and_concurrent_reads_share_it(
    swr_cache, gateway, no_valkey
):
    gateway.delay_s = 0.1

    with ThreadPoolExecutor(10) as threads:
        values = list(threads.map(lambda _: swr_cache.get(make_resource()).value, range(10)))

    assert values == [{"number": 1}] * 10
    assert swr_cache.get(make_resource()).value == {"number": 2}


def test_without_valkey_only_a_few_keys_are_waited_for(swr_cache, gateway, no_valkey):
    gateway.delay_s = 0.5

    succeeded, slowest_s = read_at_once(swr_cache, make_resources(8))

    assert succeeded == MAX_WAITING
    assert slowest_s < 0.3


# --- Read counts ---------------------------------------------------------------------------------


def test_reads_are_counted_by_their_source(swr_cache, gateway):
    for _ in range(3):
        swr_cache.get(make_resource())
    make_stale()
    swr_cache.get(make_resource())

    assert cache.get_read_counts() == {"hits": 2, "stale_hits": 1, "misses": 1}


def test_garbage_in_the_read_counts_is_ignored(swr_cache):
    window = int(time.time() // cache.READ_COUNTS_WINDOW_S)
    name = cache_client.make_key(cache._make_read_counts_key(window))
    redis = get_redis_connection("default")

    redis.set(name, json.dumps([1]))
    swr_cache.get(make_resource())
    counts = cache.get_read_counts()
    redis.hset(name, "hits", "many")

    assert set(counts) == {"hits", "stale_hits", "misses"}
    assert cache.get_read_counts()["hits"] == 0
