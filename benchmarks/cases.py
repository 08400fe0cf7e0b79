"""The cases of benchmarks.queries, measured in the database of DATABASE_URL.

Run by it with Django set up; prints a JSON array of `{kind, query, ms, cpu_ms, count, faults}`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

# What the probe of a list reads at most (nexus.core.db.bounded_page.MAX_LIST_DEPTH and one).
MOST_SORTED = 10_001

Params = tuple[tuple[str, str], ...]


def main() -> None:
    repeat, every, only = sys.argv[1:]
    json.dump(_measured(int(repeat), only, int(every)), sys.stdout)


def _measured(repeat: int, only: str, every: int) -> list[dict[str, Any]]:
    run, statements = _runner()
    found = []
    told = time.monotonic()
    cases = [
        case
        for number, case in enumerate(_cases())
        if (not only or only in urlencode(case[1])) and (number % every == 0 or "," not in case[0])
    ]
    for number, (kind, params) in enumerate(cases):
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"  {number} of {len(cases)}", file=sys.stderr, flush=True)
        times, busy = [], []
        count = None
        try:
            for _ in range(repeat):
                with statements() as spent:
                    count = run(params)
                times.append(sum(ms for *_, ms, _ in spent))
                busy.append(sum(ms for *_, ms in spent))
                if times[-1] > 1_000:
                    break
            faults = _faults([(sql, given) for sql, given, *_ in spent])
        except ValidationError:
            continue  # A page that so small a catalogue does not have.
        except Exception as error:
            times, busy, faults = [5_000.0], [5_000.0], [f"{type(error).__name__}: {error}"[:100]]
        found.append(
            {
                "kind": kind,
                "query": urlencode(params),
                "ms": round(min(times), 3),
                "cpu_ms": round(min(busy), 3),
                "count": count,
                "faults": faults,
            }
        )
    return found


def _runner() -> tuple[Callable[[Params], int], Any]:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '5s'")
    factory = APIRequestFactory()

    def run(params: Params) -> int:
        request = Request(factory.get("/movies/", dict(params), SERVER_NAME="localhost"))
        query = MovieListQuery.parse(request)
        body = list_movies(request, query, query["ordering"])
        count: int = body.data["count"]
        return count

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        schedule = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")

    def busy_ms() -> float:
        # Linux alone tells it, and of a server on this machine alone.
        return int(schedule.read_text().split()[0]) / 1e6 if schedule.exists() else 0.0

    @contextmanager
    def statements() -> Iterator[list[tuple[str, Any, float, float]]]:
        spent: list[tuple[str, Any, float, float]] = []

        def timed(execute: Any, sql: str | bytes, params: Any, many: bool, context: Any) -> Any:
            busy, began = busy_ms(), time.perf_counter()
            result = execute(sql, params, many, context)
            took = (time.perf_counter() - began) * 1_000
            text = sql.decode() if isinstance(sql, bytes) else sql
            spent.append((text, params, took, busy_ms() - busy))
            return result

        with connection.execute_wrapper(timed):
            yield spent

    return run, statements


def _faults(statements: list[tuple[str, Any]]) -> list[str]:
    faults: list[str] = []

    def read(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") == "movies_movie":
            faults.append("Seq Scan")
        if node["Node Type"] in ("Sort", "Incremental Sort"):
            given = sum(child["Actual Rows"] * child["Actual Loops"] for child in node["Plans"])
            if given > MOST_SORTED:
                faults.append(f"{node['Node Type']} of {given:.0f}")
        for child in node.get("Plans", ()):
            read(child)

    with connection.cursor() as cursor:
        for statement, params in statements:
            if statement.lstrip().upper().startswith(("SELECT", "WITH", "(SELECT")):
                cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", params)
                plan = cursor.fetchone()[0]
                plan = json.loads(plan) if isinstance(plan, str) else plan
                read(plan[0]["Plan"])
    return sorted(set(faults))


def _cases() -> list[tuple[str, Params]]:
    values = _values()
    orderings = [name for name in ORDERING_NAMES if not name.endswith("relevance")]
    singles = [(name, value) for name, some in values.items() for value in some]
    cases: list[tuple[str, Params]] = [("ordering", (("ordering", name),)) for name in orderings]
    cases += [("filter", (single,)) for single in singles]
    cases += [
        ("filter, ordering", (single, ("ordering", name)))
        for single in singles
        for name in orderings
    ]
    cases += [
        ("relevance", (("search", value), ("ordering", "relevance"))) for value in values["search"]
    ]
    cases += [
        ("filter, filter", (one, other))
        for one, other in combinations(singles, 2)
        if one[0] != other[0] and not _refused({one[0]: one[1], other[0]: other[1]})
    ]
    deep = (("page", "500"), ("page_size", "20"))
    cases += [("deep", (("ordering", name), *deep)) for name in orderings]
    cases += [
        ("deep", (single, *deep))
        for single in (
            ("genre", "Drama"),
            ("language", "en"),
            ("year_gte", "1990"),
            ("min_rating", "5"),
        )
    ]
    return cases


def _refused(params: dict[str, str]) -> bool:
    """Whether the API answers 400: the low end above the high one."""
    pairs = (("year_gte", "year_lte"), ("min_rating", "max_rating"), ("min_runtime", "max_runtime"))
    return any(
        low in params and high in params and float(params[low]) > float(params[high])
        for low, high in pairs
    )


def _values() -> dict[str, list[str]]:
    """For each filter a frequent, a middling, a rare and an absent value, where there are."""

    def ranked(statement: str) -> list[str]:
        """The most frequent, one of middling frequency, one of the rare."""
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute(statement)
            rows = [str(row[0]) for row in cursor.fetchall()]
            cursor.execute("SET statement_timeout = '5s'")
        return [*dict.fromkeys((rows[0], rows[len(rows) // 20], rows[len(rows) * 2 // 3]))]

    keywords = ranked(
        "SELECT k FROM movies_movie, jsonb_array_elements_text(keywords) AS k GROUP BY k"
        " ORDER BY count(*) DESC, k"
    )
    people = ranked(
        "SELECT person_id FROM movies_credit GROUP BY person_id ORDER BY count(*) DESC, person_id"
    )
    rare_word = ranked(
        "SELECT sort_title FROM movies_movie WHERE sort_title !~ ' ' AND length(sort_title) > 5"
        " GROUP BY 1 ORDER BY count(*), 1"
    )[0]
    return {
        "search": ["the", "love", rare_word, "of the", "b", "lo", "qqq", "love night"],
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
        "language": ["en", "ja", "mt", "qq"],
        "person": [*people, "999999999"],
        "keyword": [*keywords, "no such keyword"],
        "tmdb_id": ["77"],
        "imdb_id": ["tt0000077"],
    }
