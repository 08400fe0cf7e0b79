import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import requests
from django_redis import get_redis_connection

from tmdb import gateway as gateway_module
from tmdb.client import circuit_breaker as breaker_module
from tmdb.client.circuit_breaker import FAILURES_TO_OPEN, REQUESTS_PER_S
from tmdb.client.errors import (
    TmdbAuthFailed,
    TmdbError,
    TmdbNotConfigured,
    TmdbRateLimited,
    TmdbUnavailable,
)
from tmdb.client.http import TmdbClient, make_movie_request, make_search_request
from tmdb.fake.server import CREDENTIAL, FIRST_ID, FakeTmdbServer
from tmdb.gateway import Gateway, SharedCircuitBreaker, time_limit

pytestmark = pytest.mark.clocked

BASE_URL = "http://127.0.0.1:1/3"
MOVIE = make_movie_request(FIRST_ID)


class RecordingBreaker:
    """Admits every request, or raises `error`; records the outcomes."""

    def __init__(self, error=None):
        self.error, self.releases, self.admitted = error, [], 0

    def acquire(self, deadline):
        if self.error:
            raise self.error
        self.admitted += 1
        return f"token {self.admitted}"

    def release(self, token, outcome, *, pause_s=0):
        self.releases.append((token, outcome, pause_s))


@pytest.fixture
def server():
    with FakeTmdbServer() as server:
        yield server


@pytest.fixture
def make_gateway():
    gateways = []

    def make(base_url, credential=CREDENTIAL, *, breaker=None, read_timeout_s=2.0, **options):
        client = TmdbClient(
            requests.Session(),
            base_url=base_url,
            credential=credential,
            read_timeout_s=read_timeout_s,
        )
        gateways.append(Gateway(client, breaker or RecordingBreaker(), **options))
        return gateways[-1]

    yield make
    for gateway in gateways:
        gateway.close()


@pytest.fixture
def gateway(server, make_gateway):
    return make_gateway(server.base_url)


# --- Retries and the time limit ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["500", "429", "429_retry_after", "drop"])
def test_passing_failure_is_retried_after_a_delay(server, gateway, mode):
    server.set_mode(mode, times=1, retry_after="1")

    started = time.monotonic()
    movie = gateway.fetch(MOVIE)
    elapsed_s = time.monotonic() - started

    assert movie["id"] == FIRST_ID
    assert len(server.requests) == 2
    # At least half of the delay, and what TMDb demands.
    assert elapsed_s > {"429": 0.1, "429_retry_after": 1.0}.get(mode, 0.02)


@pytest.mark.parametrize("mode", ["401", "404", "html", "slow", "redirect", "nan"])
def test_lasting_failure_is_not_retried(server, make_gateway, mode):
    server.set_mode(mode, seconds=5)

    with pytest.raises(TmdbError):
        make_gateway(server.base_url, read_timeout_s=0.3).fetch(MOVIE)

    assert len(server.requests) == 1


def test_request_is_retried_once(server, gateway):
    server.set_mode("drop")

    with pytest.raises(TmdbUnavailable):
        gateway.fetch(MOVIE)

    assert len(server.requests) == 2


def test_batch_work_retries_more_often(server, make_gateway):
    server.set_mode("500", times=4)

    movie = make_gateway(server.base_url, time_limit_s=20, retries=4).fetch(MOVIE)

    assert movie["id"] == FIRST_ID
    assert len(server.requests) == 5


def test_retry_after_beyond_the_time_limit_is_not_waited_for(server, gateway):
    server.set_mode("429_retry_after", retry_after="7")

    started = time.monotonic()
    with pytest.raises(TmdbRateLimited) as raised:
        gateway.fetch(MOVIE)

    assert time.monotonic() - started < 2
    assert raised.value.retry_after_s == 7
    assert len(server.requests) == 1


@pytest.mark.parametrize("mode", ["slow", "drip"])
def test_slow_response_fails_within_the_time_limit(server, make_gateway, mode):
    gateway = make_gateway(server.base_url, read_timeout_s=0.4, time_limit_s=0.6)
    server.set_mode(mode, seconds=10)

    started = time.monotonic()
    with pytest.raises(TmdbUnavailable):
        gateway.fetch(MOVIE)

    assert time.monotonic() - started < 2


def test_dripping_headers_fail_within_the_time_limit(make_gateway):
    # Each byte arrives before the read timeout, so that only the time limit ends the request.
    is_done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def send_slowly():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Padding: ")
                while not is_done.wait(0.1):
                    connection.sendall(b"x")

        thread = threading.Thread(target=send_slowly)
        thread.start()
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/3"
        gateway = make_gateway(base_url, time_limit_s=0.6)

        started = time.monotonic()
        with pytest.raises(TmdbUnavailable, match="within"):
            gateway.fetch(MOVIE)
        elapsed_s = time.monotonic() - started
        is_done.set()
        thread.join()

    assert elapsed_s < 2


def test_requests_of_a_block_share_its_time_limit(server, gateway):
    server.set_mode("slow", seconds=0.4)

    started = time.monotonic()
    with time_limit(1.19):
        gateway.fetch(MOVIE)
        # A longer limit of an inner block does not extend the outer one.
        with time_limit(60):
            gateway.fetch(MOVIE)
            with pytest.raises(TmdbUnavailable):
                gateway.fetch(MOVIE)

    assert time.monotonic() - started < 1.6


def test_at_most_four_requests_run_at_once_and_others_wait_until_the_limit(server, make_gateway):
    gateway = make_gateway(server.base_url, time_limit_s=0.5)
    server.set_mode("slow", seconds=3)

    def fetch(number):
        with pytest.raises(TmdbUnavailable):
            gateway.fetch(make_movie_request(FIRST_ID + number))

    started = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fetch, range(8)))

    assert time.monotonic() - started < 2
    assert len(server.requests) == gateway_module.MAX_CONCURRENT == 4


# --- Outcomes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "outcome", "pause_s"),
    [
        ("ok", "ok", 0),
        ("404", "ok", 0),
        ("422", "ok", 0),
        ("401", "auth", 0),
        ("500", "failed", 0),
        ("drop", "failed", 0),
        ("html", "failed", 0),
        ("403_html", "failed", 0),
        ("slow", "failed", 0),
        ("drip", "failed", 0),
        ("429", "busy", 0.1),
        ("429_retry_after", "busy", 7),
    ],
)
def test_outcome_of_each_request_is_recorded_once(server, make_gateway, mode, outcome, pause_s):
    breaker = RecordingBreaker()
    gateway = make_gateway(
        server.base_url, breaker=breaker, retries=0, read_timeout_s=0.4, time_limit_s=0.8
    )
    server.set_mode(mode, seconds=5)

    if mode == "ok":
        gateway.fetch(MOVIE)
    else:
        with pytest.raises(TmdbError):
            gateway.fetch(MOVIE)

    assert breaker.releases == [("token 1", outcome, pause_s)]


def test_request_that_finds_no_free_thread_is_not_admitted(server, make_gateway):
    breaker = RecordingBreaker()
    gateway = make_gateway(server.base_url, breaker=breaker, time_limit_s=0.5)
    server.set_mode("slow", seconds=3)

    def fetch(_):
        with pytest.raises(TmdbUnavailable):
            gateway.fetch(MOVIE)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(fetch, range(6)))

    assert [outcome for _, outcome, _ in breaker.releases] == ["failed"] * 4


def test_every_retry_is_admitted_by_the_breaker(server, make_gateway):
    breaker = RecordingBreaker()
    server.set_mode("500", times=1)

    make_gateway(server.base_url, breaker=breaker).fetch(MOVIE)

    assert breaker.releases == [("token 1", "failed", 0), ("token 2", "ok", 0)]


def test_request_that_the_breaker_rejects_is_not_sent(server, make_gateway):
    breaker = RecordingBreaker(TmdbUnavailable("the breaker is open", retry_after_s=3))

    with pytest.raises(TmdbUnavailable) as raised:
        make_gateway(server.base_url, breaker=breaker).fetch(MOVIE)

    assert raised.value.retry_after_s == 3
    assert server.requests == []


# --- Configuration and logs ----------------------------------------------------------------------


def test_without_a_credential_no_request_is_sent(server, make_gateway):
    with pytest.raises(TmdbNotConfigured):
        make_gateway(server.base_url, "").fetch(MOVIE)

    assert server.requests == []


@pytest.mark.parametrize("credential", ["two words", "line\nbreak", "é", "\x00"])
def test_credential_that_no_header_can_hold_is_not_sent(server, make_gateway, credential):
    with pytest.raises(TmdbAuthFailed) as raised:
        make_gateway(server.base_url, credential).fetch(MOVIE)

    assert credential not in str(raised.value)
    assert server.requests == []


@pytest.mark.parametrize(
    "base_url",
    [
        "http://tmdb.example.org/3",
        "http://10.0.0.1/3",
        "http://127.0.0.1.example.org/3",
        "ftp://localhost.example.org/",
    ],
)
def test_credential_is_not_sent_unencrypted_to_another_machine(make_gateway, base_url):
    with pytest.raises(TmdbNotConfigured):
        make_gateway(base_url).fetch(MOVIE)


@pytest.mark.parametrize(
    "mode", ["401", "403_html", "429", "500", "html", "drop", "truncated", "huge", "redirect"]
)
def test_failure_is_logged_once_without_credential_and_search_words(server, gateway, mode, caplog):
    caplog.set_level(logging.WARNING)
    server.set_mode(mode)
    request = make_search_request(
        query="private words", page=1, language="en-US", include_adult=False
    )

    with pytest.raises(TmdbError):
        gateway.fetch(request)

    assert len(caplog.records) == 1
    assert CREDENTIAL not in caplog.text
    assert "private" not in caplog.text


def test_no_library_logs_the_credential(gateway, caplog):
    caplog.set_level(logging.DEBUG)

    gateway.fetch(MOVIE)

    assert CREDENTIAL not in caplog.text


def test_rejected_v3_key_is_logged_with_the_setting_to_change(server, make_gateway, caplog):
    key = "0123456789abcdef" * 2

    with pytest.raises(TmdbAuthFailed):
        make_gateway(server.base_url, key).fetch(MOVIE)

    assert "TMDB_ACCESS_TOKEN" in caplog.text
    assert key not in caplog.text


# --- Circuit breaker -----------------------------------------------------------------------------


@pytest.fixture(params=["shared", "local"])
def make_breaker(request):
    """Make breakers of one credential, with Valkey and without it."""
    if request.param == "local":
        request.getfixturevalue("no_valkey")
    return make_shared_breaker


def make_shared_breaker(*, credential="a-credential", is_batch=False):
    return SharedCircuitBreaker(base_url=BASE_URL, credential=credential, is_batch=is_batch)


def acquire(breaker, within_s=0.3):
    return breaker.acquire(time.monotonic() + within_s)


def fail(breaker, times=1, outcome="failed", *, pause_s=0.0):
    for _ in range(times):
        breaker.release(acquire(breaker), outcome, pause_s=pause_s)


def set_probe_interval(monkeypatch, seconds):
    monkeypatch.setattr(gateway_module, "PROBE_INTERVAL_S", seconds)
    monkeypatch.setattr(breaker_module, "PROBE_INTERVAL_S", seconds)


def test_consecutive_failures_open_the_breaker(make_breaker):
    breaker = make_breaker()

    fail(breaker, FAILURES_TO_OPEN - 1)
    state_before = breaker.get_status().state
    fail(breaker)
    with pytest.raises(TmdbUnavailable) as raised:
        acquire(breaker)

    assert state_before == "closed"
    assert 1 <= raised.value.retry_after_s <= 5
    status = breaker.get_status()
    assert (status.state, status.requests_left) == ("open", 0)
    assert 1 <= status.retry_after_s <= 5


def test_success_between_failures_keeps_the_breaker_closed(make_breaker):
    breaker = make_breaker()

    for _ in range(2):
        fail(breaker, FAILURES_TO_OPEN - 1)
        breaker.release(acquire(breaker), "ok")

    assert breaker.get_status().state == "closed"


def test_requests_without_outcome_do_not_open_the_breaker(make_breaker):
    breaker = make_breaker()

    fail(breaker, 2 * FAILURES_TO_OPEN, "none")

    assert breaker.get_status().state == "closed"


def test_open_breaker_admits_one_probe_whose_success_closes_it(make_breaker, monkeypatch):
    set_probe_interval(monkeypatch, 0.2)
    breaker = make_breaker()
    fail(breaker, FAILURES_TO_OPEN)
    time.sleep(0.22)

    state_before = breaker.get_status().state
    probe = acquire(breaker)
    with pytest.raises(TmdbUnavailable):
        acquire(breaker)
    breaker.release(probe, "ok")

    assert state_before == "half_open"
    assert breaker.get_status().state == "closed"
    for _ in range(3):
        breaker.release(acquire(breaker), "ok")


def test_probes_start_one_interval_apart_however_long_they_take(make_breaker, monkeypatch):
    set_probe_interval(monkeypatch, 0.25)
    breaker = make_breaker()
    fail(breaker, FAILURES_TO_OPEN)

    started, probe_starts = time.monotonic(), []
    while time.monotonic() - started < 0.85:
        try:
            token = acquire(breaker)
        except TmdbUnavailable:
            time.sleep(0.01)
            continue
        probe_starts.append(time.monotonic())
        time.sleep(0.15)
        breaker.release(token, "failed")

    assert len(probe_starts) == 3
    gaps = [later - earlier for earlier, later in pairwise(probe_starts)]
    assert all(0.23 < gap < 0.4 for gap in gaps)


def test_probe_of_a_killed_process_is_followed_by_another(make_breaker, monkeypatch):
    set_probe_interval(monkeypatch, 0.2)
    breaker = make_breaker()
    fail(breaker, FAILURES_TO_OPEN)

    for _ in range(2):
        time.sleep(0.22)
        assert acquire(breaker)


def test_rejected_credential_opens_the_breaker_for_longer(make_breaker):
    breaker = make_breaker()

    fail(breaker, 1, "auth")

    with pytest.raises(TmdbAuthFailed):
        acquire(breaker)
    assert 25 < breaker.get_status().retry_after_s <= 30


def test_outage_after_a_rejected_credential_is_reported_as_an_outage(make_breaker, monkeypatch):
    monkeypatch.setattr(gateway_module, "AUTH_PAUSE_S", 0.1)
    monkeypatch.setattr(breaker_module, "AUTH_PAUSE_S", 0.1)
    breaker = make_breaker()

    fail(breaker, 1, "auth")
    time.sleep(0.12)
    fail(breaker)

    with pytest.raises(TmdbUnavailable):
        acquire(breaker)


def test_failures_and_requests_in_flight_together_stay_below_the_threshold(make_breaker):
    breaker = make_breaker()
    tokens = [acquire(breaker) for _ in range(FAILURES_TO_OPEN)]

    with pytest.raises(TmdbUnavailable) as raised:
        acquire(breaker)
    breaker.release(tokens.pop(), "failed")
    with pytest.raises(TmdbUnavailable):
        acquire(breaker)
    breaker.release(tokens.pop(), "ok")

    assert raised.value.retry_after_s == 1
    assert acquire(breaker)


def test_request_waits_for_a_place_in_flight(make_breaker):
    breaker = make_breaker()
    tokens = [acquire(breaker) for _ in range(FAILURES_TO_OPEN)]
    threading.Timer(0.1, breaker.release, [tokens[0], "ok"]).start()

    started = time.monotonic()
    assert acquire(breaker, within_s=2.0)

    assert 0.08 < time.monotonic() - started < 1


def test_outage_of_thirty_seconds_costs_at_most_ten_requests_and_five_seconds():
    # The arithmetic in the module docstring of tmdb.client.circuit_breaker.
    assert FAILURES_TO_OPEN + int(30 / breaker_module.PROBE_INTERVAL_S) <= 10
    assert breaker_module.PROBE_INTERVAL_S < 5


# --- Rate limit ----------------------------------------------------------------------------------


def count_most_in_a_second(times):
    return max(sum(start <= moment < start + 1 for moment in times) for start in times)


def test_no_second_has_more_requests_than_the_rate():
    breakers = [make_shared_breaker() for _ in range(3)]
    started, starts, lock = time.monotonic(), [], threading.Lock()

    def send_requests(number):
        breaker = breakers[number % 3]
        while time.monotonic() - started < 1.6:
            try:
                token = acquire(breaker, within_s=2.0)
            except TmdbUnavailable:
                continue
            with lock:
                starts.append(time.monotonic())
            breaker.release(token, "ok")

    with ThreadPoolExecutor(9) as threads:
        list(threads.map(send_requests, range(9)))

    assert REQUESTS_PER_S - 3 <= count_most_in_a_second(starts) <= REQUESTS_PER_S
    assert len(starts) >= 1.4 * REQUESTS_PER_S


def test_without_valkey_each_process_has_its_share_of_the_rate(no_valkey, settings):
    settings.WEB_CONCURRENCY = 2
    breaker = make_shared_breaker()

    started, count = time.monotonic(), 0
    while time.monotonic() - started < 0.9:
        try:
            breaker.release(acquire(breaker), "ok")
            count += 1
        except TmdbUnavailable:
            time.sleep(0.01)

    assert count == REQUESTS_PER_S // 3
    assert breaker.get_status().requests_per_s == REQUESTS_PER_S // 3


def test_request_that_would_wait_beyond_its_deadline_is_rejected_at_once(make_breaker):
    breaker = make_breaker()
    for _ in range(breaker.get_status().requests_left):
        breaker.release(acquire(breaker), "ok")

    with pytest.raises(TmdbUnavailable, match="rate limit") as raised:
        acquire(breaker)

    assert raised.value.retry_after_s in (1, 2)
    assert breaker.get_status().requests_left == 0


def test_batch_work_leaves_part_of_the_limits_to_other_requests():
    batch_breaker, breaker = make_shared_breaker(is_batch=True), make_shared_breaker()

    for _ in range(gateway_module.BATCH_REQUESTS_PER_S):
        batch_breaker.release(acquire(batch_breaker), "ok")
    with pytest.raises(TmdbUnavailable):
        acquire(batch_breaker)
    left = breaker.get_status().requests_left
    tokens = [acquire(breaker), acquire(breaker)]
    time.sleep(1.1)
    with pytest.raises(TmdbUnavailable):
        acquire(batch_breaker)

    assert left == REQUESTS_PER_S - gateway_module.BATCH_REQUESTS_PER_S
    assert acquire(breaker)
    assert len(tokens) == gateway_module.BATCH_MAX_IN_FLIGHT


def test_batch_work_waits_out_an_open_breaker(make_breaker, monkeypatch):
    set_probe_interval(monkeypatch, 0.3)
    breaker = make_breaker(is_batch=True)
    fail(breaker, FAILURES_TO_OPEN)

    started = time.monotonic()
    assert acquire(breaker, within_s=2.0)

    assert 0.2 < time.monotonic() - started < 1.2


def test_rate_limit_response_pauses_all_requests(make_breaker):
    breaker, started = make_breaker(), time.monotonic()

    fail(breaker, 1, "busy", pause_s=0.8)
    left = breaker.get_status().requests_left
    with pytest.raises(TmdbUnavailable) as raised:
        acquire(breaker)

    assert left == 0
    assert raised.value.retry_after_s == 1
    assert acquire(breaker, within_s=2.0)
    assert 0.8 <= time.monotonic() - started < 1.8


def test_success_does_not_end_the_pause_of_a_rate_limit_response(make_breaker):
    breaker = make_breaker()
    token = acquire(breaker)
    fail(breaker, 1, "busy", pause_s=5.0)

    breaker.release(token, "ok")

    with pytest.raises(TmdbUnavailable):
        acquire(breaker)


# --- Shared state --------------------------------------------------------------------------------


def test_workers_share_a_breaker_and_credentials_do_not():
    fail(make_shared_breaker(), FAILURES_TO_OPEN)

    with pytest.raises(TmdbUnavailable):
        acquire(make_shared_breaker())
    assert acquire(make_shared_breaker(credential="another"))


def test_place_in_flight_of_a_killed_process_becomes_free(monkeypatch):
    monkeypatch.setattr(gateway_module, "IN_FLIGHT_TTL_S", 0.2)
    for _ in range(FAILURES_TO_OPEN):
        acquire(make_shared_breaker())

    assert acquire(make_shared_breaker(), within_s=1.0)


def test_status_has_the_time_of_the_last_success(make_breaker):
    breaker = make_breaker()
    before = breaker.get_status().last_success

    breaker.release(acquire(breaker), "ok")

    assert before is None
    assert abs(breaker.get_status().last_success - time.time()) < 1


def test_garbage_in_the_shared_state_is_replaced():
    breaker = make_shared_breaker()
    redis = get_redis_connection("default")
    breaker.release(acquire(breaker), "ok")
    for name in redis.keys("*gateway*"):
        redis.delete(name)
        redis.set(name, b"\xff garbage")

    for _ in range(3):
        breaker.release(acquire(breaker), "ok")

    assert breaker.get_status().state == "closed"


def test_keys_do_not_contain_the_credential():
    fail(make_shared_breaker(), FAILURES_TO_OPEN)

    names = b" ".join(get_redis_connection("default").keys("*"))

    assert b"gateway" in names
    assert b"a-credential" not in names
