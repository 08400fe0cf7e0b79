import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from django_redis import get_redis_connection

from tmdb import gateway as gate_module
from tmdb.client.errors import TmdbAuthFailed, TmdbUnavailable
from tmdb.gateway import BUDGET_PER_S, FAILURES_TO_OPEN, SharedGate

pytestmark = pytest.mark.clocked

BASE_URL = "http://127.0.0.1:1/3"


@pytest.fixture(params=["shared", "local"])
def make_gate(request, settings):
    """Makes gates of one credential, with Valkey and without it."""
    if request.param == "local":
        location = {"LOCATION": "redis://127.0.0.1:9/0"}
        settings.CACHES = {"default": {**settings.CACHES["default"], **location}}
    return make_shared


def make_shared(*, credential="a-credential", patient=False):
    return SharedGate(base_url=BASE_URL, credential=credential, processes=2, patient=patient)


def enter(gate, within_s=0.3):
    return gate.enter(time.monotonic() + within_s)


def fail(gate, times=1, outcome="failed", **more):
    for _ in range(times):
        gate.leave(enter(gate), outcome, **more)


def most_in_a_second(times):
    return max(sum(start <= at < start + 1 for at in times) for start in times)


# --- The breaker ---------------------------------------------------------------------------------


def test_four_failures_in_a_row_open_the_breaker(make_gate):
    gate = make_gate()
    fail(gate, FAILURES_TO_OPEN - 1)
    assert gate.look().breaker == "closed"
    fail(gate)
    with pytest.raises(TmdbUnavailable) as raised:
        enter(gate)
    assert 1 <= raised.value.retry_after_s <= 5
    look = gate.look()
    assert (look.breaker, look.requests_left) == ("open", 0)
    assert 1 <= look.retry_after_s <= 5


def test_a_success_between_failures_keeps_it_closed(make_gate):
    gate = make_gate()
    for _ in range(2):
        fail(gate, FAILURES_TO_OPEN - 1)
        gate.leave(enter(gate), "ok")
    assert gate.look().breaker == "closed"


def test_what_says_nothing_of_tmdb_counts_for_nothing(make_gate):
    gate = make_gate()
    fail(gate, 2 * FAILURES_TO_OPEN, "none")
    assert gate.look().breaker == "closed"


def test_an_open_breaker_lets_one_probe_through_and_a_success_closes_it(make_gate, monkeypatch):
    monkeypatch.setattr(gate_module, "PROBE_EVERY_S", 0.2)
    gate = make_gate()
    fail(gate, FAILURES_TO_OPEN)
    time.sleep(0.22)
    assert gate.look().breaker == "half_open"
    probe = enter(gate)
    with pytest.raises(TmdbUnavailable):
        enter(gate)
    gate.leave(probe, "ok")
    assert gate.look().breaker == "closed"
    for _ in range(3):
        gate.leave(enter(gate), "ok")


def test_probes_start_one_interval_apart_however_long_they_take(make_gate, monkeypatch):
    monkeypatch.setattr(gate_module, "PROBE_EVERY_S", 0.25)
    gate = make_gate()
    fail(gate, FAILURES_TO_OPEN)
    began, starts = time.monotonic(), []
    while time.monotonic() - began < 0.85:
        try:
            token = enter(gate)
        except TmdbUnavailable:
            time.sleep(0.01)
            continue
        starts.append(time.monotonic())
        time.sleep(0.15)
        gate.leave(token, "failed")
    assert len(starts) == 3
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(0.23 < gap < 0.4 for gap in gaps)


def test_a_probe_whose_process_died_is_followed_by_another(make_gate, monkeypatch):
    monkeypatch.setattr(gate_module, "PROBE_EVERY_S", 0.2)
    gate = make_gate()
    fail(gate, FAILURES_TO_OPEN)
    for _ in range(2):
        time.sleep(0.22)
        assert enter(gate)


def test_a_refused_credential_opens_it_for_long_and_says_why(make_gate):
    gate = make_gate()
    fail(gate, 1, "auth")
    with pytest.raises(TmdbAuthFailed):
        enter(gate)
    assert 25 < gate.look().retry_after_s <= 30


def test_an_outage_after_a_refused_credential_is_told_as_an_outage(make_gate, monkeypatch):
    monkeypatch.setattr(gate_module, "AUTH_PAUSE_S", 0.1)
    gate = make_gate()
    fail(gate, 1, "auth")
    time.sleep(0.12)
    fail(gate)
    with pytest.raises(TmdbUnavailable):
        enter(gate)


def test_failures_and_what_is_in_flight_are_never_more_than_open_it(make_gate):
    gate = make_gate()
    flying = [enter(gate) for _ in range(FAILURES_TO_OPEN)]
    with pytest.raises(TmdbUnavailable) as raised:
        enter(gate)
    assert raised.value.retry_after_s == 1
    # A failed one leaves no room, a good one does.
    gate.leave(flying.pop(), "failed")
    with pytest.raises(TmdbUnavailable):
        enter(gate)
    gate.leave(flying.pop(), "ok")
    assert enter(gate)


def test_who_finds_no_room_waits_for_it(make_gate):
    gate = make_gate()
    flying = [enter(gate) for _ in range(FAILURES_TO_OPEN)]
    threading.Timer(0.1, gate.leave, [flying[0], "ok"]).start()
    started = time.monotonic()
    assert enter(gate, within_s=2.0)
    assert 0.08 < time.monotonic() - started < 1


def test_an_outage_of_thirty_seconds_costs_ten_calls_and_five_to_recover_from():
    # The arithmetic that the figures of the module stand on.
    assert FAILURES_TO_OPEN + int(30 / gate_module.PROBE_EVERY_S) <= 10
    assert gate_module.PROBE_EVERY_S < 5


# --- The budget ----------------------------------------------------------------------------------


def test_no_second_has_more_than_the_budget():
    gates = [make_shared() for _ in range(3)]
    began, starts, lock = time.monotonic(), [], threading.Lock()

    def send(number):
        gate = gates[number % 3]
        while time.monotonic() - began < 1.6:
            try:
                token = enter(gate, within_s=2.0)
            except TmdbUnavailable:
                continue
            with lock:
                starts.append(time.monotonic())
            gate.leave(token, "ok")

    with ThreadPoolExecutor(9) as threads:
        list(threads.map(send, range(9)))
    assert BUDGET_PER_S - 3 <= most_in_a_second(starts) <= BUDGET_PER_S
    assert len(starts) >= 1.4 * BUDGET_PER_S


def test_without_valkey_each_process_has_its_share(settings):
    location = {"LOCATION": "redis://127.0.0.1:9/0"}
    settings.CACHES = {"default": {**settings.CACHES["default"], **location}}
    gate = make_shared()
    began, count = time.monotonic(), 0
    while time.monotonic() - began < 0.9:
        try:
            gate.leave(enter(gate), "ok")
            count += 1
        except TmdbUnavailable:
            time.sleep(0.01)
    assert count == BUDGET_PER_S // 3
    assert gate.look().budget_per_s == BUDGET_PER_S // 3


def test_who_would_wait_beyond_the_deadline_is_refused_at_once(make_gate):
    gate = make_gate()
    for _ in range(gate.look().requests_left):
        gate.leave(enter(gate), "ok")
    with pytest.raises(TmdbUnavailable, match="budget") as raised:
        enter(gate)
    assert raised.value.retry_after_s in (1, 2)
    assert gate.look().requests_left == 0


def test_batch_work_leaves_room_in_the_budget_and_in_flight():
    batch, gate = make_shared(patient=True), make_shared()
    for _ in range(gate_module.BATCH_BUDGET_PER_S):
        batch.leave(enter(batch), "ok")
    with pytest.raises(TmdbUnavailable):
        enter(batch)
    assert gate.look().requests_left == BUDGET_PER_S - gate_module.BATCH_BUDGET_PER_S
    flying = [enter(gate), enter(gate)]
    time.sleep(1.1)
    with pytest.raises(TmdbUnavailable):
        enter(batch)
    assert enter(gate)
    assert flying


def test_batch_work_waits_for_an_open_breaker(make_gate, monkeypatch):
    monkeypatch.setattr(gate_module, "PROBE_EVERY_S", 0.3)
    gate = make_gate(patient=True)
    fail(gate, FAILURES_TO_OPEN)
    started = time.monotonic()
    assert enter(gate, within_s=2.0)
    assert 0.2 < time.monotonic() - started < 1.2


def test_a_429_closes_the_budget_for_all(make_gate):
    gate, started = make_gate(), time.monotonic()
    fail(gate, 1, "busy", closed_s=0.8)
    assert gate.look().requests_left == 0
    with pytest.raises(TmdbUnavailable) as raised:
        enter(gate)
    assert raised.value.retry_after_s == 1
    assert enter(gate, within_s=2.0)
    assert 0.8 <= time.monotonic() - started < 1.8


def test_a_success_does_not_end_what_a_429_asked_for(make_gate):
    gate = make_gate()
    other = enter(gate)
    fail(gate, 1, "busy", closed_s=5.0)
    gate.leave(other, "ok")
    with pytest.raises(TmdbUnavailable):
        enter(gate)


# --- What is shared ------------------------------------------------------------------------------


def test_workers_share_the_breaker_and_credentials_do_not():
    fail(make_shared(), FAILURES_TO_OPEN)
    with pytest.raises(TmdbUnavailable):
        enter(make_shared())
    assert enter(make_shared(credential="another"))


def test_a_place_of_a_process_that_died_is_free_again(monkeypatch):
    monkeypatch.setattr(gate_module, "LEASE_S", 0.2)
    for _ in range(FAILURES_TO_OPEN):
        enter(make_shared())
    assert enter(make_shared(), within_s=1.0)


def test_the_last_success_is_told(make_gate):
    gate = make_gate()
    assert gate.look().last_success is None
    gate.leave(enter(gate), "ok")
    assert abs(gate.look().last_success - time.time()) < 1


def test_garbage_where_the_state_should_be_harms_nothing():
    gate = make_shared()
    redis = get_redis_connection("default")
    gate.leave(enter(gate), "ok")
    for name in redis.keys("*gate*"):
        redis.delete(name)
        redis.set(name, b"\xff garbage")
    for _ in range(3):
        gate.leave(enter(gate), "ok")
    assert gate.look().breaker == "closed"


def test_the_keys_do_not_hold_the_credential():
    fail(make_shared(), FAILURES_TO_OPEN)
    names = b" ".join(get_redis_connection("default").keys("*"))
    assert b"gate" in names
    assert b"a-credential" not in names
