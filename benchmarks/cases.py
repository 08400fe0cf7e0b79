"""The cases of benchmarks.queries, measured on the database of DATABASE_URL.

Runs in a process that benchmarks.queries starts. Prints a JSON array of
`{kind, query, ms, cpu_ms, count, plans}`; only the slowest cases have plans.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from movies.filters import ORDERING_NAMES, MovieListQuery
from movies.views import list_movies

EXPLAINED_CASES = 5
PROGRESS_EVERY_S = 10
# A slower case is measured once.
SLOW_MS = 1_000
DEEP_PAGE = (("page", "500"), ("page_size", "20"))

Params = tuple[tuple[str, str], ...]
# One provider, one of few movies, and eight with every kind of payment.
OFFERS: tuple[Params, ...] = (
    (("provider", "8"), ("region", "DE"), ("monetization", "flatrate")),
    (("provider", "613"), ("region", "DE")),
    (("provider", "2|3|10|68|9|8|30|178"), ("region", "DE")),
)


@dataclass
class Statement:
    sql: str
    params: Any
    ms: float
    cpu_ms: float


def main() -> None:
    repeat, every, only = sys.argv[1:]
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '10s'")
    cases = [
        (kind, params)
        for number, (kind, params) in enumerate(build_cases())
        if only in urlencode(params) and (number % int(every) == 0 or "," not in kind)
    ]
    results, printed_at = [], time.monotonic()
    for number, (kind, params) in enumerate(cases):
        if time.monotonic() - printed_at > PROGRESS_EVERY_S:
            printed_at = time.monotonic()
            print(f"  {number} of {len(cases)}", file=sys.stderr, flush=True)
        try:
            figures = measure_case(params, int(repeat))
        except ValidationError:
            continue  # A small catalogue does not have so deep a page.
        results.append({"kind": kind, "query": urlencode(params), **figures, "plans": []})
    slowest = sorted(range(len(results)), key=lambda number: -results[number]["ms"])
    params_of = {urlencode(params): params for _, params in cases}
    for number in slowest[:EXPLAINED_CASES]:
        results[number]["plans"] = explain_case(params_of[results[number]["query"]])
    json.dump(results, sys.stdout)


def measure_case(params: Params, repeat: int) -> dict[str, Any]:
    times, cpu_times, count = [], [], None
    for _ in range(repeat):
        with record_statements() as statements:
            count = run_case(params)
        times.append(sum(statement.ms for statement in statements))
        cpu_times.append(sum(statement.cpu_ms for statement in statements))
        if times[-1] > SLOW_MS:
            break
    return {"ms": round(min(times), 3), "cpu_ms": round(min(cpu_times), 3), "count": count}


def run_case(params: Params) -> int:
    """Read the page of a list and return its count."""
    request = Request(APIRequestFactory().get("/movies/", dict(params), SERVER_NAME="localhost"))
    query = MovieListQuery.parse(request)
    count: int = list_movies(request, query, query.get("ordering")).data["count"]
    return count


def explain_case(params: Params) -> list[list[str]]:
    """Return the plan of each statement as lines, with the times and rows of a run."""
    with record_statements() as statements:
        run_case(params)
    plans = []
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS OFF) {statement.sql}", statement.params)
            plans.append([line[:200] for (line,) in cursor.fetchall()])
    return plans


@contextmanager
def record_statements() -> Iterator[list[Statement]]:
    statements: list[Statement] = []

    def execute_timed(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        cpu_ms, started = read_cpu_ms(), time.perf_counter()
        result = execute(sql, params, many, context)
        ms = (time.perf_counter() - started) * 1_000
        statements.append(Statement(sql, params, ms, read_cpu_ms() - cpu_ms))
        return result

    connection.ensure_connection()
    with connection.execute_wrapper(execute_timed):
        yield statements


def read_cpu_ms() -> float:
    """Return the CPU time of the server process, or 0 if it does not run on this Linux machine."""
    schedule = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    return int(schedule.read_text().split()[0]) / 1e6 if schedule.exists() else 0.0


def build_cases() -> list[tuple[str, Params]]:
    values = pick_values()
    orderings = [name for name in ORDERING_NAMES if not name.endswith("relevance")]
    filters = [(name, value) for name, some in values.items() for value in some]
    cases: list[tuple[str, Params]] = [("ordering", (("ordering", name),)) for name in orderings]
    cases += [("filter", (one,)) for one in filters]
    cases += [
        ("filter, ordering", (one, ("ordering", name))) for one in filters for name in orderings
    ]
    cases += [
        ("relevance", (("search", value), ("ordering", "relevance"))) for value in values["search"]
    ]
    cases += [
        ("filter, filter", (one, other))
        for one, other in combinations(filters, 2)
        if one[0] != other[0] and not is_rejected(dict((one, other)))
    ]
    for offer in OFFERS:
        cases += [("offers", offer)]
        cases += [("offers, ordering", (*offer, ("ordering", name))) for name in orderings]
        cases += [("offers, filter", (*offer, one)) for one in filters]
        cases += [("deep page", (*offer, *DEEP_PAGE))]
    cases += [("deep page", (("ordering", name), *DEEP_PAGE)) for name in orderings]
    cases += [
        ("deep page", (one, *DEEP_PAGE))
        for one in (
            ("genre", "Drama"),
            ("original_language", "en"),
            ("year_gte", "1990"),
            ("min_rating", "5"),
        )
    ]
    return cases


def is_rejected(params: dict[str, str]) -> bool:
    """Return whether a lower bound is above the upper one, which is a 400."""
    pairs = (("year_gte", "year_lte"), ("min_rating", "max_rating"), ("min_runtime", "max_runtime"))
    return any(
        low in params and high in params and float(params[low]) > float(params[high])
        for low, high in pairs
    )


def pick_values() -> dict[str, list[str]]:
    """Return values of each filter: frequent, middling, rare and absent ones."""
    keywords = pick_by_frequency(
        "SELECT k FROM movies_movie, jsonb_array_elements_text(keywords) AS k GROUP BY k"
        " ORDER BY count(*) DESC, k"
    )
    people = pick_by_frequency(
        "SELECT person_id FROM movies_credit GROUP BY person_id ORDER BY count(*) DESC, person_id"
    )
    rare_word = pick_by_frequency(
        "SELECT sort_title FROM movies_movie WHERE sort_title !~ ' ' AND length(sort_title) > 5"
        " GROUP BY 1 ORDER BY count(*), 1"
    )[0]
    return {
        "search": ["the", "love", rare_word, "of the", "b", "lo", "qqq", "love night", "love 1975"],
        "title": ["love", rare_word, "qqq"],
        "genre": ["Drama", "Horror", "Western", "Drama,Documentary", "Action|Comedy"],
        "exclude_genre": ["Drama", "Western"],
        "year": ["2024", "1975", "1900", "1871"],
        "year_gte": ["1980", "2024", "2100"],
        "year_lte": ["2015", "1950", "1880"],
        "min_rating": ["0.5", "7", "8.5", "10"],
        "max_rating": ["9", "4", "0.5"],
        "min_votes": ["1", "50", "1000", "1000000"],
        "min_popularity": ["0.1", "3", "100", "99999"],
        "min_runtime": ["60", "150", "500", "90000"],
        "max_runtime": ["120", "15", "1"],
        "original_language": ["en", "ja", "mt", "qq"],
        "person": [*people, "999999999"],
        "keyword": [*keywords, "no such keyword"],
        "tmdb_id": ["77"],
        "imdb_id": ["tt0000077"],
    }


def pick_by_frequency(statement: str) -> list[str]:
    """Return the first value of a statement, one after a twentieth, and one after two thirds."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(statement)
        values = [str(row[0]) for row in cursor.fetchall()]
        cursor.execute("SET statement_timeout = '10s'")
    return [*dict.fromkeys((values[0], values[len(values) // 20], values[len(values) * 2 // 3]))]
