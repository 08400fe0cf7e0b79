"""Measure what the service guarantees about TMDb: `make bench-tmdb`, about five minutes.

gunicorn runs as deployed (2 workers) with PostgreSQL and Valkey; TMDb is the fake
server on loopback, and the load comes from processes of its own. Each line shows a guarantee, its
bound and the measured figure. The exit status is 1 if a bound is missed.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import redis

from benchmarks.load import RequestResult, start_load
from benchmarks.service import (
    GUNICORN,
    SETTINGS,
    compute_percentile,
    create_database,
    find_free_port,
    format_ms,
    get_valkey_url,
    manage,
    wait_until_ready,
)
from nexus.dev import embedded
from tmdb.fake.server import FakeTmdbServer

SLOW_S = 1.2
OUTAGE_S = 30.0
EXPORT_LINES = 200_000
DATABASE = "bench_tmdb"
VALKEY_DATABASE = 13


class Benchmark:
    """The running service, Valkey and fake TMDb, and how many bounds were met and missed."""

    def __init__(
        self,
        url: str,
        service_pid: int,
        server: FakeTmdbServer,
        valkey: redis.Redis,
        environment: dict[str, str],
    ) -> None:
        self.url, self.service_pid, self.server = url, service_pid, server
        self.valkey, self.environment = valkey, environment
        self.met = self.missed = 0
        self._searches = 0

    def report(self, guarantee: str, bound: str, measured: str, *, is_met: bool) -> None:
        if is_met:
            self.met += 1
        else:
            self.missed += 1
        verdict = "ok  " if is_met else "MISS"
        print(f"  {verdict}  {guarantee:<62} {bound:>14}   {measured}", flush=True)

    def make_uncached_path(self) -> str:
        """Return the path of a search that has not been requested before."""
        self._searches += 1
        return f"/tmdb/search/?query=lamps{self._searches}"

    def get(self, path: str) -> tuple[int, float]:
        """Return the status of a request and the seconds it took."""
        started = time.perf_counter()
        try:
            with urlopen(self.url + path, timeout=20) as response:
                response.read()
                status = response.status
        except HTTPError as error:
            status = error.code
        return status, time.perf_counter() - started

    def start_load(
        self, paths: Sequence[str], *, rate_s: float | None, connections: int = 16
    ) -> Callable[[], list[RequestResult]]:
        """Start sending requests; the returned function waits for their results."""
        return start_load(self.url, paths, rate_s=rate_s, connections=connections)

    def record_load(
        self, paths: Sequence[str], *, rate_s: float | None, connections: int = 16
    ) -> tuple[list[RequestResult], list[float]]:
        """Send requests; return their results and the times of the requests that TMDb received."""
        before = len(self.server.requests)
        results = self.start_load(paths, rate_s=rate_s, connections=connections)()
        return results, [request.received_at for request in self.server.requests[before:]]

    def reset(self) -> None:
        """Let TMDb work, and empty the cache with the breaker in it."""
        self.server.set_mode("ok")
        time.sleep(0.3)
        self.valkey.flushdb()

    def make_copies_stale(self) -> None:
        """Make every copy of TMDb's responses stale, and drop the responses made from them."""
        for name in self.valkey.keys("*response:*"):
            self.valkey.delete(name)
        for name in self.valkey.keys("*tmdb:*"):
            raw: Any = self.valkey.get(name) if self.valkey.type(name) == b"string" else None
            if raw and raw.startswith(b"{"):
                copy = json.loads(raw)
                copy["fresh_until"] = copy["stored_at"]
                self.valkey.set(name, json.dumps(copy), keepttl=True)


def count_most_in_a_second(times: Sequence[float]) -> int:
    """Return the largest number of times in any interval of one second."""
    ordered = sorted(times)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def format_statuses(results: Sequence[RequestResult]) -> str:
    counts = Counter(result.status for result in results)
    return ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))


# --- Parts ---------------------------------------------------------------------------------------


def measure_cached_responses(bench: Benchmark) -> None:
    bench.server.set_mode("slow", seconds=SLOW_S)
    for name, make_uncached_path, cached_path in (
        ("/tmdb/search/", bench.make_uncached_path, "/tmdb/search/?query=lamps"),
        ("/movies/trending/", lambda: "/movies/trending/", "/movies/trending/"),
    ):
        uncached = []
        for _ in range(5):
            bench.valkey.flushdb()
            status, seconds = bench.get(make_uncached_path())
            assert status == 200, (name, status)
            uncached.append(seconds)
        # Both workers serve the path once before it is measured.
        bench.start_load([cached_path] * 20, rate_s=20)()
        results = bench.start_load([cached_path] * 500, rate_s=50)()
        cached = [result.latency_s for result in results]
        failures = sum(result.status != 200 for result in results)
        p95, uncached_p50 = compute_percentile(cached, 0.95), compute_percentile(uncached, 0.5)
        bench.report(
            f"{name} from the cache, 50 requests/s, p95",
            "< 80 ms",
            f"{format_ms(p95)} (p50 {format_ms(compute_percentile(cached, 0.5))}, {failures} failed)",
            is_met=p95 < 0.080 and not failures,
        )
        bench.report(
            f"{name} uncached p50 compared with cached p95",
            ">= 15 times",
            f"{uncached_p50 / p95:.0f} times ({format_ms(uncached_p50)} uncached)",
            is_met=uncached_p50 / p95 >= 15,
        )
        bench.make_copies_stale()
        status, seconds = bench.get(cached_path)
        bench.report(
            f"{name} from a stale copy, first request",
            "< 200 ms",
            f"{format_ms(seconds)} (status {status})",
            is_met=status == 200 and seconds < 0.2,
        )


def measure_stampede(bench: Benchmark) -> None:
    for seconds in (0.1, SLOW_S):
        bench.reset()
        bench.server.set_mode("slow", seconds=seconds)
        paths = [bench.make_uncached_path()] * 100
        results, calls = bench.record_load(paths, rate_s=None, connections=100)
        bench.report(
            f"requests to TMDb for 100 equal uncached ones, TMDb takes {seconds} s",
            "1",
            f"{len(calls)} ({format_statuses(results)})",
            is_met=len(calls) == 1 and {result.status for result in results} <= {200, 503},
        )


def measure_rate_limit(bench: Benchmark) -> None:
    bench.reset()
    paths = [f"/tmdb/search/?query=copper{number % 50}" for number in range(1000)]
    results, calls = bench.record_load(paths, rate_s=1000 / 60)
    most = count_most_in_a_second(calls)
    bench.report(
        "requests to TMDb in any second, 1,000 searches of 50 keys",
        "<= 30",
        f"{most} ({len(calls)} requests to TMDb, {format_statuses(results)})",
        is_met=most <= 30 and len(calls) <= 60,
    )
    bench.reset()
    paths = [bench.make_uncached_path() for _ in range(400)]
    results, calls = bench.record_load(paths, rate_s=None, connections=8)
    most = count_most_in_a_second(calls)
    bench.report(
        "requests to TMDb in any second, 400 keys at full speed",
        "<= 30",
        f"{most} ({len(calls)} requests to TMDb, {format_statuses(results)})",
        is_met=most <= 30,
    )


def measure_outages(bench: Benchmark) -> None:
    for mode in ("500", "slow", "429"):
        bench.reset()
        bench.server.set_mode(mode, seconds=60.0)
        paths = [bench.make_uncached_path() for _ in range(int(OUTAGE_S * 5))]
        results, calls = bench.record_load(paths, rate_s=5)
        slowest_s = max(result.latency_s for result in results)
        bench.report(
            f"requests to TMDb in an outage of 30 s ({mode})",
            "<= 10",
            f"{len(calls)} ({format_statuses(results)})",
            is_met=len(calls) <= 10,
        )
        bench.report(
            f"slowest response in the outage ({mode})",
            "<= 3 s",
            f"{slowest_s:.2f} s",
            is_met=slowest_s <= 3.0,
        )
        bench.server.set_mode("ok")
        started = time.perf_counter()
        while bench.get(bench.make_uncached_path())[0] != 200:
            if time.perf_counter() - started > 15:
                break
            time.sleep(0.1)
        recovery_s = time.perf_counter() - started
        bench.report(
            f"recovery after the outage ({mode})",
            "<= 5 s",
            f"{recovery_s:.2f} s",
            is_met=recovery_s <= 5,
        )


def measure_other_requests(bench: Benchmark) -> None:
    for path in ("/movies/", "/health/live/"):
        bench.get(path)
        for what, searches, delay_s in (
            ("20 keys", [bench.make_uncached_path() for _ in range(20)], 0.0),
            # A crowd may share a slow fetch for the first 0.5 s.
            ("one key, after 0.5 s", [bench.make_uncached_path()] * 20, 0.5),
        ):
            bench.reset()
            bench.server.set_mode("slow", seconds=60.0)
            wait_for_searches = bench.start_load(searches, rate_s=None, connections=20)
            deadline = time.monotonic() + 10
            before = len(bench.server.requests)
            while len(bench.server.requests) == before and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(delay_s)
            results = bench.start_load([path] * 40, rate_s=25, connections=8)()
            wait_for_searches()
            latencies = [result.latency_s for result in results]
            failures = sum(result.status != 200 for result in results)
            p95 = compute_percentile(latencies, 0.95)
            bench.report(
                f"{path} p95 while 20 searches hang ({what})",
                "< 100 ms",
                f"{format_ms(p95)} (maximum {format_ms(max(latencies))}, {failures} failed)",
                is_met=p95 < 0.100 and not failures,
            )


def measure_killed_workers(bench: Benchmark) -> None:
    """Kill all workers while one fetches a key: the key must not stay locked."""
    bench.server.set_mode("slow", seconds=60.0, times=1)
    path, before = bench.make_uncached_path(), len(bench.server.requests)
    wait_for_search = bench.start_load([path], rate_s=None, connections=1)
    while len(bench.server.requests) == before:
        time.sleep(0.01)
    pid = bench.service_pid
    for worker_pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(worker_pid), signal.SIGKILL)
    started = time.perf_counter()
    wait_for_search()
    while time.perf_counter() - started < 20:
        try:
            if bench.get(path)[0] == 200:
                break
        except OSError:
            time.sleep(0.05)
    recovery_s = time.perf_counter() - started
    bench.report(
        "response after all workers were killed during a fetch, with their start",
        "<= 5 s",
        f"{recovery_s:.2f} s",
        is_met=recovery_s <= 5,
    )


def measure_id_export(bench: Benchmark) -> None:
    """Import an export of new movies, and the same export with another popularity."""
    with tempfile.TemporaryDirectory() as directory:
        for what, popularity in (("new movies", 1.0), ("changed popularity", 2.0)):
            path = Path(directory) / f"{popularity}.json.gz"
            _write_export(path, popularity)
            started = time.perf_counter()
            output = manage("import_tmdb_ids", str(path), environment=bench.environment)
            seconds = time.perf_counter() - started
            counts = re.findall(r"[\d,]+", output)
            is_complete = f"{EXPORT_LINES:,}" in counts
            bench.report(
                f"import_tmdb_ids, {EXPORT_LINES:,} lines of {what}",
                ">= 3,000/s",
                f"{EXPORT_LINES / seconds:,.0f}/s ({seconds:.1f} s)",
                is_met=is_complete and EXPORT_LINES / seconds >= 3_000,
            )


def _write_export(path: Path, popularity: float) -> None:
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        for number in range(EXPORT_LINES):
            line = {
                "adult": False,
                "id": 20_000_000 + number,
                "original_title": f"The Copper Meridian {number}",
                "popularity": popularity,
                "video": False,
            }
            file.write(json.dumps(line) + "\n")


PARTS: dict[str, Callable[[Benchmark], None]] = {
    "cache": measure_cached_responses,
    "stampede": measure_stampede,
    "rate_limit": measure_rate_limit,
    "others": measure_other_requests,
    "killed": measure_killed_workers,
    "outages": measure_outages,
    "id_export": measure_id_export,
}


@contextmanager
def run_service() -> Iterator[Benchmark]:
    """Run the service on an empty database and an empty Valkey database of its own."""
    with embedded.run_servers(), FakeTmdbServer() as server:
        environment = {
            **os.environ,
            **SETTINGS,
            "DATABASE_URL": create_database(DATABASE),
            "REDIS_URL": get_valkey_url(VALKEY_DATABASE),
            "TMDB_BASE_URL": server.base_url,
            "TMDB_ACCESS_TOKEN": server.credential,
        }
        valkey = redis.Redis.from_url(environment["REDIS_URL"])
        valkey.flushdb()
        manage_here = partial(manage, environment=environment)
        manage_here("migrate", "--verbosity", "0")
        manage_here("load_starter")
        port = find_free_port()
        service = subprocess.Popen(
            [*GUNICORN, "--bind", f"127.0.0.1:{port}"], env=environment, cwd=embedded.ROOT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url)
            yield Benchmark(url, service.pid, server, valkey, environment)
        finally:
            service.terminate()
            service.wait(timeout=30)


def main(names: Sequence[str]) -> int:
    """Measure the named parts, or all; return the exit status."""
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"Unknown part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}.")
        return 2
    with run_service() as bench:
        for name in names or PARTS:
            bench.reset()
            PARTS[name](bench)
    print(f"{bench.met} of {bench.met + bench.missed} bounds met.")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
