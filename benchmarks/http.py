"""The service over HTTP beside its references: requests a second, and p50 and p95, by catalogue size.

`python -m benchmarks.http [--films N ...] [--members N] [--rounds N] [--only TEXT] [--soak N]
[--json FILE] [--plot FILE]`

Real gunicorn as it is deployed (2 workers of 4 threads), a client in a process of its own with kept
connections, as many to each worker. Each figure is a ratio to a reference measured on the same
gunicorn: an empty Django view, an empty DRF view, the bare SQL, and the list as a textbook has it
(benchmarks.textbook). All are measured in turn, a second each, round after round, so that what else
the machine does falls on all alike; a figure is the median of its rounds.

Throughput is taken at 8 connections, latency at 2. Everybody's limits are raised out of the way. At
the end stands the memory of each worker; `--soak N` sends N more requests of all reads in turn, and
tells what it grew by after the first twentieth.
"""

from __future__ import annotations

import argparse
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
from typing import Any

import psycopg
from matplotlib.figure import Figure

from benchmarks.catalogue import MEMBERS, SIZES, prepared
from benchmarks.keepalive import Client
from benchmarks.report import describe_machine
from benchmarks.service import (
    GUNICORN,
    SETTINGS,
    find_free_port,
    manage,
    percentile,
    wait_until_ready,
)
from nexus.dev import embedded

WORKERS = 2
CONNECTIONS = 8
LATENCY_CONNECTIONS = 2
SECONDS = 1.0
ASKERS = 100
HISTORY = (150, 260)
DRAMA = "genre=Drama"
MEMORY_MB = 250
MEMORY_TOLD = ("after the rounds", "after a twentieth of the reads", "after all of them")


@dataclass
class Bench:
    """The running service and what to ask it."""

    url: str
    port: int
    database: str
    films: int
    tokens: list[str]
    movie_ids: list[int]
    known_ids: list[int]
    master: int

    def as_member(self, number: int, path: str, **more: Any) -> dict[str, Any]:
        token = self.tokens[number % len(self.tokens)]
        return {"path": path, "headers": {"Authorization": f"Bearer {token}"}, **more}


@dataclass(frozen=True)
class Case:
    """One thing measured; `tag`: with If-None-Match, so that the answer is a 304."""

    name: str
    requests: Callable[[Bench], list[dict[str, Any]]]
    tagged: bool = False
    needs_members: bool = False
    trained: bool = False


def _paths(*paths: str) -> Callable[[Bench], list[dict[str, Any]]]:
    return lambda bench: [{"path": path} for path in paths]


def _pages(path: str, more: str = "") -> Callable[[Bench], list[dict[str, Any]]]:
    # Different pages, so that nothing is served from a copy.
    return _paths(*(f"{path}?page={number}{more}" for number in range(1, 41)))


def _of_members(template: str) -> Callable[[Bench], list[dict[str, Any]]]:
    return lambda bench: [
        bench.as_member(number, template.format(movie=movie))
        for number, movie in enumerate(bench.known_ids * 2)
    ]


def _ratings(bench: Bench) -> list[dict[str, Any]]:
    return [
        bench.as_member(
            number,
            "/ratings/",
            method="POST",
            body={"movie": movie, "score": 1 + (number + int(time.time())) % 9 / 2},
        )
        for number, movie in enumerate(bench.known_ids)
    ]


CASES = [
    Case("empty Django view", _paths("/bench/empty/")),
    Case("empty DRF view", _paths("/bench/drf/")),
    Case("empty DRF view, member", _of_members("/bench/member/"), needs_members=True),
    Case("textbook page of 20", _pages("/bench/movies/")),
    Case("page of 20", _pages("/movies/")),
    Case("textbook page, Drama", _pages("/bench/movies/", f"&{DRAMA}")),
    Case("page, Drama", _pages("/movies/", f"&{DRAMA}")),
    Case("trending", _paths("/movies/trending/")),
    Case("trending, 304", _paths("/movies/trending/"), tagged=True),
    Case("top rated", _paths("/movies/top_rated/")),
    Case("top rated, 304", _paths("/movies/top_rated/"), tagged=True),
    Case("film", lambda bench: [{"path": f"/movies/{pk}/"} for pk in bench.movie_ids]),
    Case(
        "film, 304",
        lambda bench: [{"path": f"/movies/{bench.movie_ids[0]}/"}],
        tagged=True,
    ),
    Case(
        "match score", _of_members("/movies/{movie}/match_score/"), needs_members=True, trained=True
    ),
    Case(
        "recommendations", _of_members("/movies/recommendations/"), needs_members=True, trained=True
    ),
    Case(
        "similar",
        lambda bench: [{"path": f"/movies/{pk}/similar/"} for pk in bench.known_ids],
        trained=True,
    ),
    Case("rating written", _ratings, needs_members=True),
]


@dataclass(frozen=True)
class Promise:
    """A ratio of one case to another: of requests a second, or of p95."""

    case: str
    to: str
    what: str
    bar: float
    films: int | None = None

    def kept(self, ratio: float) -> bool:
        return ratio >= self.bar if self.what == "rate" else ratio <= self.bar


PROMISES = [
    Promise("page of 20", "textbook page of 20", "rate", 2.5, 10_000),
    Promise("page, Drama", "textbook page, Drama", "rate", 20.0, 1_000_000),
    Promise("trending", "empty DRF view", "rate", 0.8),
    Promise("top rated", "empty DRF view", "rate", 0.8),
    Promise("trending, 304", "empty DRF view", "rate", 0.9),
    Promise("top rated, 304", "empty DRF view", "rate", 0.9),
    Promise("film", "empty DRF view", "rate", 0.5),
    Promise("match score", "empty DRF view, member", "p95", 3.0),
    Promise("recommendations", "empty DRF view, member", "p95", 8.0),
    Promise("similar", "empty DRF view, member", "p95", 3.0),
    Promise("rating written", "bare INSERT with commit", "p95", 5.0),
]


@dataclass
class Figures:
    """One case's rounds."""

    rates: list[float] = field(default_factory=list)
    p50s: list[float] = field(default_factory=list)
    p95s: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return {
            "rate": statistics.median(self.rates) if self.rates else None,
            "p50": statistics.median(self.p50s),
            "p95": statistics.median(self.p95s),
            "statuses": self.statuses,
        }


def _wanted(case: Case, only: str) -> bool:
    return not only or any(part in case.name for part in only.split(","))


def measured(bench: Bench, *, rounds: int, only: str) -> dict[str, Figures]:
    """Every case in turn, `rounds` times."""
    found: dict[str, Figures] = {}
    wanted = [
        case
        for case in CASES
        if (
            not only
            or case.name.startswith("empty")
            or any(o in case.name for o in only.split(","))
        )
        and (bench.tokens or not case.needs_members)
    ]
    client = Client(bench.port, WORKERS)
    try:
        for number in range(rounds + 1):
            for case in wanted:
                requests = case.requests(bench)
                if case.tagged:
                    tag = client.tag(requests[0]["path"])
                    requests = [{**each, "headers": {"If-None-Match": tag}} for each in requests]
                some = client.load(requests, connections=CONNECTIONS, seconds=SECONDS)
                few = client.load(requests, connections=LATENCY_CONNECTIONS, seconds=SECONDS)
                if number == 0:
                    continue  # warms up
                figures = found.setdefault(case.name, Figures())
                figures.rates.append(some.rate)
                figures.p50s.append(percentile(few.latencies_s, 0.5))
                figures.p95s.append(percentile(few.latencies_s, 0.95))
                for answers in (some, few):
                    for status, count in answers.statuses.items():
                        figures.statuses[status] = figures.statuses.get(status, 0) + count
            if number:
                for name, times in _bare(bench).items():
                    figures = found.setdefault(name, Figures())
                    figures.p50s.append(percentile(times, 0.5))
                    figures.p95s.append(percentile(times, 0.95))
            print(f"  round {number} of {rounds}", file=sys.stderr, flush=True)
    finally:
        client.close()
    return found


_BARE_PAGE = "SELECT * FROM movies_movie ORDER BY popularity DESC, id LIMIT 20 OFFSET %s"
_BARE_INSERT = (
    "INSERT INTO social_rating (user_id, movie_id, score, review, contains_spoilers, created_at,"
    " updated_at) VALUES (%s, %s, 4, '', false, now(), now())"
)


def _bare(bench: Bench) -> dict[str, list[float]]:
    """What the statements cost alone, in seconds each: no framework and no HTTP."""
    found: dict[str, list[float]] = {"bare SELECT of 20": [], "bare INSERT with commit": []}
    with psycopg.connect(bench.database, autocommit=True) as connection:
        for number in range(200):
            began = time.perf_counter()
            connection.execute(_BARE_PAGE, [number % 40 * 20]).fetchall()
            found["bare SELECT of 20"].append(time.perf_counter() - began)
        if bench.tokens:
            row = connection.execute("SELECT max(id) FROM accounts_user").fetchone()
            assert row is not None
            connection.execute("DELETE FROM social_rating WHERE user_id = %s", [row[0]])
            for movie in bench.known_ids:
                began = time.perf_counter()
                connection.execute(_BARE_INSERT, [row[0], movie])
                found["bare INSERT with commit"].append(time.perf_counter() - began)
    return {name: times for name, times in found.items() if times}


# Members with some 200 ratings, and a session of each.
_TOKENS = f"""
from accounts.models import User
from accounts.tokens import family_create
from django.db.models import Count
from social.models import Rating
some = (Rating.objects.values_list("user_id").annotate(n=Count("id"))
        .filter(n__range={HISTORY}).order_by("user_id")[:{ASKERS}])
for user in User.objects.filter(id__in=[pk for pk, _ in some]):
    print(family_create(user=user).access)
"""


# The day since which so many ratings were given, or of the first.
_TRAINED_ON = 300_000
_SINCE = f"""
SELECT coalesce((SELECT updated_at FROM social_rating ORDER BY id DESC OFFSET {_TRAINED_ON} LIMIT 1),
    (SELECT min(updated_at) FROM social_rating))
"""


@contextmanager
def serving(films: int, members: int | None, *, trained: bool, **settings: str) -> Iterator[Bench]:
    """gunicorn on the database of that many films; needs the embedded servers.

    `trained`: with an active training, which takes minutes where there is none. It learns from the
    newest ratings alone: those of 200,000 films, for of all 20 million it takes longer than the rest.
    """
    database = prepared(films, members)
    port = find_free_port()
    environment = {
        **os.environ,
        **SETTINGS,
        "DATABASE_URL": database,
        "RATE_LIMIT_SCALE": "100000",
        # As it is deployed, with a line for each request; nobody reads them.
        "LOG_LEVEL": "INFO",
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "WEB_CONCURRENCY": str(WORKERS),
        **settings,
    }
    tokens: list[str] = []
    with psycopg.connect(database) as connection:

        def ids(statement: str) -> list[Any]:
            return [row[0] for row in connection.execute(statement).fetchall()]

        chosen = ids("SELECT id FROM movies_movie WHERE NOT details_missing ORDER BY id LIMIT 1000")
        known = ids("SELECT id FROM movies_movie ORDER BY rating_count DESC, id LIMIT 200")
        rated = bool(ids("SELECT id FROM social_rating LIMIT 1"))
        serves = bool(ids("SELECT id FROM recommendations_training WHERE active"))
        since = ids(_SINCE)[0]
    if rated:
        if trained and not serves:
            manage(
                *("train_recommender", "--force", "--ratings-since", f"{since:%Y-%m-%d}"),
                environment=environment,
            )
        tokens = manage("shell", "--verbosity", "0", "--command", _TOKENS, environment=environment).split()  # fmt: skip
    master = subprocess.Popen(
        [*GUNICORN, "--bind", f"127.0.0.1:{port}"],
        env=environment,
        cwd=embedded.ROOT,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url)
        yield Bench(url, port, database, films, tokens, chosen, known, master.pid)
    finally:
        master.terminate()
        master.wait(timeout=30)


def memory_mb(bench: Bench) -> list[int]:
    """Of each worker, what is resident, shared libraries included (Linux alone tells it)."""
    task = Path(f"/proc/{bench.master}/task/{bench.master}/children")
    workers = task.read_text().split() if task.exists() else []
    found = []
    for worker in workers:
        lines = Path(f"/proc/{worker}/status").read_text().splitlines()
        [resident] = [line.split()[1] for line in lines if line.startswith("VmRSS")]
        found.append(int(resident) // 1024)
    return found


def soaked(bench: Bench, count: int) -> list[list[int]]:
    """The workers' memory after a twentieth of so many reads, and after all of them."""
    requests = [
        each
        for case in CASES
        if (bench.tokens or not case.needs_members)
        and not case.name.startswith(("textbook", "rating written"))
        for each in case.requests(bench)[:40]
    ]
    found = []
    client = Client(bench.port, WORKERS)
    try:
        for part in (count // 20, count - count // 20):
            client.load(requests, connections=CONNECTIONS, count=part)
            found.append(memory_mb(bench))
    finally:
        client.close()
    return found


def _ratio(figures: dict[str, dict[str, Any]], promise: Promise) -> float | None:
    case, to = figures.get(promise.case), figures.get(promise.to)
    if case is None or to is None or not case[promise.what] or not to[promise.what]:
        return None
    return float(case[promise.what] / to[promise.what])


def _tell(films: int, figures: dict[str, dict[str, Any]]) -> None:
    print(f"\n{films:,} films\n  {'':<26} {'a second':>9} {'p50 ms':>8} {'p95 ms':>8}  answers")
    for name, each in figures.items():
        rate = f"{each['rate']:.0f}" if each["rate"] else ""
        told = ", ".join(f"{count} x {status}" for status, count in each["statuses"].items())
        print(f"  {name:<26} {rate:>9} {each['p50'] * 1e3:>8.2f} {each['p95'] * 1e3:>8.2f}  {told}")
    print()
    for promise in PROMISES:
        ratio = _ratio(figures, promise)
        if ratio is None:
            continue
        bar = f"{'>=' if promise.what == 'rate' else '<='} {promise.bar:g}"
        of = promise.films is None or promise.films == films
        told = ("ok" if promise.kept(ratio) else "MISS") if of else ""
        print(f"  {told:<4} {promise.case:<18} {promise.what:<4} {ratio:>6.2f} of {promise.to:<24} {bar if of else ''}")  # fmt: skip


def _plot(path: Path, sizes: dict[int, dict[str, dict[str, Any]]]) -> None:
    films = sorted(sizes)
    shown = ("page of 20", "page, Drama", "top rated", "film", "match score", "recommendations", "similar")  # fmt: skip
    figure = Figure(figsize=(9, 4))
    for part, axes in zip(("p50", "p95"), figure.subplots(1, 2, sharey=True), strict=True):
        for name in shown:
            some = [n for n in films if name in sizes[n]]
            axes.plot(some, [sizes[n][name][part] * 1e3 for n in some], marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel="films", title=part)
    figure.axes[0].set_ylabel("ms")
    figure.axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--members", type=int, help=f"of the database; {MEMBERS} unless told")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose names contain one of these (,)")
    parser.add_argument("--soak", type=int, default=0, help="so many reads more, for the memory")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    sizes, memories = {}, {}
    with embedded.run_servers():
        for films in options.films:
            trained = any(_wanted(case, options.only) for case in CASES if case.trained)
            with serving(films, options.members, trained=trained) as bench:
                found = measured(bench, rounds=options.rounds, only=options.only)
                memory = [memory_mb(bench)]
                if options.soak:
                    memory += soaked(bench, options.soak)
            sizes[films] = {name: figures.plain() for name, figures in found.items()}
            _tell(films, sizes[films])
            memories[films] = memory
            for when, workers in zip(MEMORY_TOLD, memory, strict=False):
                print(
                    f"  memory a worker {when}: {', '.join(map(str, workers))} MB (<= {MEMORY_MB})"
                )
    if options.json:
        options.json.write_text(
            json.dumps(
                {"machine": describe_machine(), "sizes": sizes, "memory_mb": memories}, indent=1
            )
        )
    if options.plot:
        _plot(options.plot, sizes)


if __name__ == "__main__":
    main()
