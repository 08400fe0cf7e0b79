"""Measure the service over HTTP against reference views: requests a second, p50 and p95 latency.

    python -m benchmarks.http [--movies N ...] [--members N] [--rounds N] [--only TEXT] [--soak N]
                              [--json FILE] [--plot FILE]

The server is gunicorn with 2 workers, as deployed. The client is one process with
reused connections, spread evenly over the workers. Two references run on the same gunicorn behind
the same middleware (benchmarks.textbook): an empty view, and the movie list as a DRF tutorial writes
it. A third is the plain SQL statement without a framework.

All cases run in turn, one second each, round after round, so that other load on the machine affects
all of them alike. A figure is the median over the rounds. Throughput is measured with 8 connections,
latency with 2. Rate limits are raised until they do not matter.

"Cached" cases read responses that are already in the response cache (nexus.core.cache.responses).
"Uncached" cases send each request to a host name that was not used before. The host is part of the
cache key, so each of these requests is a miss, and its response is stored as in production.

The report ends with the memory of each worker. `--soak N` sends N more reads and reports the memory
after the first twentieth and after all of them, to show a leak.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psycopg
from matplotlib.figure import Figure

from benchmarks.catalogue import MEMBERS, SIZES, prepare_catalogue
from benchmarks.keepalive import Client
from benchmarks.report import describe_machine
from benchmarks.service import (
    GUNICORN,
    SETTINGS,
    compute_percentile,
    find_free_port,
    manage,
    wait_until_ready,
)
from nexus.dev import embedded

WORKERS = 2
CONNECTIONS = 8
LATENCY_CONNECTIONS = 2
SECONDS = 1.0
# Members who send requests, and how many ratings each of them has.
SENDING_MEMBERS = 100
RATINGS_PER_SENDING_MEMBER = (150, 260)
PAGES = 40
# More than a case sends before its list of requests starts over, so that each host name is new.
UNCACHED_REQUESTS = 5_000
UNCACHED_DOMAIN = "uncached.test"
DRAMA = "genre=Drama"
# The training reads only the ratings since the day of the 300,000th newest; at 20 million ratings a
# full training takes longer than all the rest.
TRAINING_RATINGS = 300_000
MAX_WORKER_MEMORY_MB = 250
MEMORY_MOMENTS = ("after the rounds", "after a twentieth of the reads", "after all reads")

Request = dict[str, Any]
_host_numbers = itertools.count()


@dataclass
class BenchmarkedService:
    """The running gunicorn, and the data that requests are made of."""

    url: str
    port: int
    database_url: str
    tokens: list[str]
    movie_ids: list[int]
    most_rated_ids: list[int]
    master_pid: int

    def member_request(self, number: int, path: str, **more: Any) -> Request:
        """Return a request with the token of the member of this number, counted in a circle."""
        token = self.tokens[number % len(self.tokens)]
        return {"path": path, "headers": {"Authorization": f"Bearer {token}"}, **more}


RequestFactory = Callable[[BenchmarkedService], list[Request]]


@dataclass(frozen=True)
class HttpCase:
    """One kind of request to measure."""

    name: str
    requests: RequestFactory
    # Send each request to a new host name, so that the response cache has no response for it.
    is_uncached: bool = False
    # Send the first request with If-None-Match and the current ETag, so that the response is a 304.
    is_conditional: bool = False
    needs_members: bool = False
    needs_training: bool = False

    def build_requests(self, service: BenchmarkedService, client: Client) -> list[Request]:
        requests = self.requests(service)
        if self.is_conditional:
            headers = {"If-None-Match": client.fetch_etag(requests[0]["path"])}
            requests = [{**requests[0], "headers": headers}]
        if self.is_uncached:
            requests = [
                {**request, "headers": {"Host": f"{next(_host_numbers)}.{UNCACHED_DOMAIN}"}}
                for request in itertools.islice(itertools.cycle(requests), UNCACHED_REQUESTS)
            ]
        return requests


def get_paths(*paths: str) -> RequestFactory:
    return lambda service: [{"path": path} for path in paths]


def get_pages(path: str, query: str = "") -> RequestFactory:
    return get_paths(*(f"{path}?page={number}{query}" for number in range(1, PAGES + 1)))


def get_details(service: BenchmarkedService) -> list[Request]:
    return [{"path": f"/movies/{movie}/"} for movie in service.movie_ids[:PAGES]]


def get_similar(service: BenchmarkedService) -> list[Request]:
    return [{"path": f"/movies/{movie}/similar/"} for movie in service.most_rated_ids[:PAGES]]


def get_as_members(template: str) -> RequestFactory:
    return lambda service: [
        service.member_request(number, template.format(movie=movie))
        for number, movie in enumerate(service.most_rated_ids * 2)
    ]


def post_ratings(service: BenchmarkedService) -> list[Request]:
    return [
        service.member_request(
            number,
            "/ratings/",
            method="POST",
            # Another score each second, so that a repeated rating changes the row.
            body={"movie": movie, "score": 1 + (number + int(time.time())) % 9 / 2},
        )
        for number, movie in enumerate(service.most_rated_ids)
    ]


CASES = [
    HttpCase("empty Django view", get_paths("/bench/empty/")),
    HttpCase("empty DRF view", get_paths("/bench/drf/")),
    HttpCase("empty DRF view, member", get_as_members("/bench/member/"), needs_members=True),
    HttpCase("textbook page", get_pages("/bench/movies/")),
    HttpCase("page, uncached", get_pages("/movies/"), is_uncached=True),
    HttpCase("page, cached", get_pages("/movies/")),
    HttpCase("textbook page, Drama", get_pages("/bench/movies/", f"&{DRAMA}")),
    HttpCase("page, Drama, uncached", get_pages("/movies/", f"&{DRAMA}"), is_uncached=True),
    HttpCase("detail, uncached", get_details, is_uncached=True),
    HttpCase("detail, cached", get_details),
    HttpCase("detail, 304", get_details, is_conditional=True),
    HttpCase("trending, uncached", get_paths("/movies/trending/"), is_uncached=True),
    HttpCase("trending, cached", get_paths("/movies/trending/")),
    HttpCase("trending, 304", get_paths("/movies/trending/"), is_conditional=True),
    HttpCase("top rated, uncached", get_paths("/movies/top_rated/"), is_uncached=True),
    HttpCase("top rated, cached", get_paths("/movies/top_rated/")),
    HttpCase("top rated, 304", get_paths("/movies/top_rated/"), is_conditional=True),
    HttpCase("similar, uncached", get_similar, is_uncached=True, needs_training=True),
    HttpCase("similar, cached", get_similar, needs_training=True),
    HttpCase(
        "match score",
        get_as_members("/movies/{movie}/match_score/"),
        needs_members=True,
        needs_training=True,
    ),
    HttpCase(
        "recommendations",
        get_as_members("/movies/recommendations/"),
        needs_members=True,
        needs_training=True,
    ),
    HttpCase("rating written", post_ratings, needs_members=True),
]
BARE_SELECT = "plain SELECT of 20"
BARE_INSERT = "plain INSERT with commit"


@dataclass(frozen=True)
class Target:
    """A bound on a case: on its requests a second (at least) or on its p95 (at most).

    With a `reference` the bound is on the ratio of the case to the reference.
    """

    case: str
    figure: Literal["rate", "p95"]
    bound: float
    reference: str | None = None
    # Only for the catalogue of this size.
    movies: int | None = None

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.figure == "rate" else value <= self.bound


TARGETS = [
    Target("page, uncached", "rate", 1.5, "textbook page"),
    Target("page, Drama, uncached", "rate", 20.0, "textbook page, Drama", movies=1_000_000),
    Target("page, cached", "rate", 0.9, "empty DRF view"),
    Target("detail, cached", "rate", 0.9, "empty DRF view"),
    Target("trending, cached", "rate", 0.9, "empty DRF view"),
    Target("top rated, cached", "rate", 0.9, "empty DRF view"),
    Target("similar, cached", "rate", 0.9, "empty DRF view"),
    Target("trending, 304", "rate", 0.9, "empty DRF view"),
    Target("top rated, 304", "rate", 0.9, "empty DRF view"),
    Target("detail, uncached", "rate", 0.5, "empty DRF view"),
    Target("match score", "p95", 3.0, "empty DRF view, member"),
    Target("recommendations", "p95", 8.0, "empty DRF view, member"),
    Target("similar, uncached", "p95", 3.0, "empty DRF view, member"),
    Target("rating written", "p95", 5.0, BARE_INSERT),
    Target("rating written", "rate", 200.0),
]


@dataclass
class Samples:
    """The measurements of one case, one entry a round."""

    rates: list[float] = field(default_factory=list)
    p50s: list[float] = field(default_factory=list)
    p95s: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    def add_latencies(self, latencies_s: list[float]) -> None:
        self.p50s.append(compute_percentile(latencies_s, 0.5))
        self.p95s.append(compute_percentile(latencies_s, 0.95))

    def add_statuses(self, statuses: dict[str, int]) -> None:
        for status, count in statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count

    def summarize(self) -> dict[str, Any]:
        return {
            "rate": statistics.median(self.rates) if self.rates else None,
            "p50": statistics.median(self.p50s),
            "p95": statistics.median(self.p95s),
            "statuses": self.statuses,
        }


def is_selected(case: HttpCase, only: str) -> bool:
    """Return whether `--only` names the case; empty references always run."""
    return case.name.startswith("empty") or any(part in case.name for part in only.split(","))


def run_rounds(service: BenchmarkedService, *, rounds: int, only: str) -> dict[str, Samples]:
    """Run every selected case in turn, once to warm up and then `rounds` times."""
    samples: dict[str, Samples] = {}
    cases = [
        case
        for case in CASES
        if is_selected(case, only) and (service.tokens or not case.needs_members)
    ]
    client = Client(service.port, WORKERS)
    try:
        for number in range(rounds + 1):
            for case in cases:
                is_warm_up = number == 0
                case_samples = samples.setdefault(case.name, Samples())
                run_case(service, client, case, Samples() if is_warm_up else case_samples)
            if number > 0:
                for name, latencies_s in time_statements(service).items():
                    samples.setdefault(name, Samples()).add_latencies(latencies_s)
            print(f"  round {number} of {rounds}", file=sys.stderr, flush=True)
    finally:
        client.close()
    return samples


def run_case(service: BenchmarkedService, client: Client, case: HttpCase, samples: Samples) -> None:
    """Measure throughput, then latency, and add both to the samples."""
    requests = case.build_requests(service, client)
    if case.name.endswith(", cached"):
        client.load(requests, connections=1, count=len(requests))
    throughput = client.load(requests, connections=CONNECTIONS, seconds=SECONDS)
    if case.is_uncached:
        requests = case.build_requests(service, client)
    latency = client.load(requests, connections=LATENCY_CONNECTIONS, seconds=SECONDS)
    samples.rates.append(throughput.rate)
    samples.add_latencies(latency.latencies_s)
    samples.add_statuses(throughput.statuses)
    samples.add_statuses(latency.statuses)


_SELECT_PAGE = "SELECT * FROM movies_movie ORDER BY popularity DESC, id LIMIT 20 OFFSET %s"
_INSERT_RATING = (
    "INSERT INTO social_rating (user_id, movie_id, score, review, contains_spoilers, created_at,"
    " updated_at) VALUES (%s, %s, 4, '', false, now(), now())"
)


def time_statements(service: BenchmarkedService) -> dict[str, list[float]]:
    """Return the seconds of each plain statement: without a framework and without HTTP."""
    latencies_s: dict[str, list[float]] = {BARE_SELECT: [], BARE_INSERT: []}
    with psycopg.connect(service.database_url, autocommit=True) as connection:
        for number in range(200):
            started = time.perf_counter()
            connection.execute(_SELECT_PAGE, [number % PAGES * 20]).fetchall()
            latencies_s[BARE_SELECT].append(time.perf_counter() - started)
        if service.tokens:
            row = connection.execute("SELECT max(id) FROM accounts_user").fetchone()
            assert row is not None
            connection.execute("DELETE FROM social_rating WHERE user_id = %s", [row[0]])
            for movie in service.most_rated_ids:
                started = time.perf_counter()
                connection.execute(_INSERT_RATING, [row[0], movie])
                latencies_s[BARE_INSERT].append(time.perf_counter() - started)
    return {name: values for name, values in latencies_s.items() if values}


# Prints an access token for each sending member.
_TOKENS_SCRIPT = f"""
from accounts.models import User
from accounts.tokens import family_create
from django.db.models import Count
from social.models import Rating
counts = (Rating.objects.values_list("user_id").annotate(n=Count("id"))
          .filter(n__range={RATINGS_PER_SENDING_MEMBER}).order_by("user_id")[:{SENDING_MEMBERS}])
for user in User.objects.filter(id__in=[pk for pk, _ in counts]):
    print(family_create(user=user).access)
"""

# The day of the oldest rating to train on.
_TRAINING_START = f"""
SELECT coalesce(
    (SELECT updated_at FROM social_rating ORDER BY id DESC OFFSET {TRAINING_RATINGS} LIMIT 1),
    (SELECT min(updated_at) FROM social_rating))
"""


@contextmanager
def serve(
    movies: int, members: int | None, *, needs_training: bool, **settings: str
) -> Iterator[BenchmarkedService]:
    """Run gunicorn on the database of this many movies; the embedded servers must be running.

    With `needs_training` the database gets an active training if it has none, which takes minutes.
    """
    database_url = prepare_catalogue(movies, members)
    port = find_free_port()
    environment = {
        **os.environ,
        **SETTINGS,
        "ALLOWED_HOSTS": f"127.0.0.1,.{UNCACHED_DOMAIN}",
        "DATABASE_URL": database_url,
        "RATE_LIMIT_SCALE": "100000",
        # One log line a request, as deployed; the output is discarded.
        "LOG_LEVEL": "INFO",
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "WEB_CONCURRENCY": str(WORKERS),
        **settings,
    }
    with psycopg.connect(database_url) as connection:

        def fetch_column(statement: str) -> list[Any]:
            return [row[0] for row in connection.execute(statement).fetchall()]

        movie_ids = fetch_column(
            "SELECT id FROM movies_movie WHERE NOT details_missing ORDER BY id LIMIT 1000"
        )
        most_rated_ids = fetch_column(
            "SELECT id FROM movies_movie ORDER BY rating_count DESC, id LIMIT 200"
        )
        [training_start] = fetch_column(_TRAINING_START)
        has_training = bool(fetch_column("SELECT id FROM recommendations_training WHERE active"))
    tokens: list[str] = []
    if training_start is not None:
        if needs_training and not has_training:
            since = f"{training_start:%Y-%m-%d}"
            manage(
                "train_recommender", "--force", "--ratings-since", since, environment=environment
            )
        script = ("shell", "--verbosity", "0", "--command", _TOKENS_SCRIPT)
        tokens = manage(*script, environment=environment).split()
    master = subprocess.Popen(
        [*GUNICORN, "--bind", f"127.0.0.1:{port}"],
        env=environment,
        cwd=embedded.ROOT,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url)
        yield BenchmarkedService(
            url, port, database_url, tokens, movie_ids, most_rated_ids, master.pid
        )
    finally:
        master.terminate()
        master.wait(timeout=30)


def read_worker_memory_mb(service: BenchmarkedService) -> list[int]:
    """Return the resident memory of each worker, shared libraries included (Linux only)."""
    children = Path(f"/proc/{service.master_pid}/task/{service.master_pid}/children")
    workers = children.read_text().split() if children.exists() else []
    sizes = []
    for worker in workers:
        lines = Path(f"/proc/{worker}/status").read_text().splitlines()
        [resident_kb] = [line.split()[1] for line in lines if line.startswith("VmRSS")]
        sizes.append(int(resident_kb) // 1024)
    return sizes


def soak(service: BenchmarkedService, count: int) -> list[list[int]]:
    """Send `count` reads; return the workers' memory after a twentieth of them and after all."""
    requests = [
        request
        for case in CASES
        if (service.tokens or not case.needs_members)
        and not case.name.startswith(("textbook", "rating written"))
        for request in case.requests(service)[:PAGES]
    ]
    memory = []
    client = Client(service.port, WORKERS)
    try:
        for part in (count // 20, count - count // 20):
            client.load(requests, connections=CONNECTIONS, count=part)
            memory.append(read_worker_memory_mb(service))
    finally:
        client.close()
    return memory


def compute_target_value(figures: dict[str, dict[str, Any]], target: Target) -> float | None:
    """Return the figure or ratio that the target bounds, or None if it was not measured."""
    case = figures.get(target.case)
    if case is None or not case[target.figure]:
        return None
    if target.reference is None:
        return float(case[target.figure])
    reference = figures.get(target.reference)
    if reference is None or not reference[target.figure]:
        return None
    return float(case[target.figure] / reference[target.figure])


def print_report(movies: int, figures: dict[str, dict[str, Any]]) -> None:
    print(f"\n{movies:,} movies\n  {'':<26} {'a second':>9} {'p50 ms':>8} {'p95 ms':>8}  responses")
    for name, row in figures.items():
        rate = f"{row['rate']:.0f}" if row["rate"] else ""
        statuses = ", ".join(f"{count} x {status}" for status, count in row["statuses"].items())
        print(
            f"  {name:<26} {rate:>9} {row['p50'] * 1e3:>8.2f} {row['p95'] * 1e3:>8.2f}  {statuses}"
        )
    print()
    for target in TARGETS:
        value = compute_target_value(figures, target)
        if value is None or target.movies not in (None, movies):
            continue
        verdict = "ok" if target.is_met(value) else "MISS"
        sign = ">=" if target.figure == "rate" else "<="
        unit = f"of {target.reference}" if target.reference else "a second"
        print(
            f"  {verdict:<4} {target.case:<22} {target.figure:<4} {value:>7.2f} {unit:<26}"
            f" {sign} {target.bound:g}"
        )


PLOTTED = (
    "page, uncached",
    "page, Drama, uncached",
    "page, cached",
    "detail, uncached",
    "match score",
    "recommendations",
    "similar, uncached",
)


def plot(path: Path, sizes: dict[int, dict[str, dict[str, Any]]]) -> None:
    figure = Figure(figsize=(9, 4))
    axes_pair = figure.subplots(1, 2, sharey=True)
    for percentile_name, axes in zip(("p50", "p95"), axes_pair, strict=True):
        for name in PLOTTED:
            movies = [size for size in sorted(sizes) if name in sizes[size]]
            latencies_ms = [sizes[size][name][percentile_name] * 1e3 for size in movies]
            axes.plot(movies, latencies_ms, marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel="movies", title=percentile_name)
    figure.axes[0].set_ylabel("ms")
    figure.axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--movies", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--members", type=int, help=f"members of the database (default {MEMBERS})")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", default="", help="only cases whose name contains one of these texts (TEXT,TEXT)"
    )
    parser.add_argument("--soak", type=int, default=0, help="reads to send after the rounds")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    sizes, memory_by_size = {}, {}
    needs_training = any(is_selected(case, options.only) for case in CASES if case.needs_training)
    with embedded.run_servers():
        for movies in options.movies:
            with serve(movies, options.members, needs_training=needs_training) as service:
                samples = run_rounds(service, rounds=options.rounds, only=options.only)
                memory = [read_worker_memory_mb(service)]
                if options.soak:
                    memory += soak(service, options.soak)
            sizes[movies] = {name: rounds.summarize() for name, rounds in samples.items()}
            print_report(movies, sizes[movies])
            memory_by_size[movies] = memory
            for moment, workers in zip(MEMORY_MOMENTS, memory, strict=False):
                megabytes = ", ".join(map(str, workers))
                print(
                    f"  memory of each worker {moment}: {megabytes} MB (<= {MAX_WORKER_MEMORY_MB})"
                )
    if options.json:
        report = {"machine": describe_machine(), "sizes": sizes, "memory_mb": memory_by_size}
        options.json.write_text(json.dumps(report, indent=1))
    if options.plot:
        plot(options.plot, sizes)


if __name__ == "__main__":
    main()
