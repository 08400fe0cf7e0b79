"""Measure the CPU time of the costliest request of each operation, and check the rate limits by it.

    python -m benchmarks.costs [--only TEXT] [--markdown FILE]

The requests (benchmarks.cost_cases) are sent inside a process of their own, at a catalogue of 10,000
movies with 2,000 members and a training. The figure is the CPU time of Python and of the database
connection together, the median of up to seven requests. Nothing is served from the response cache.

A request of an operation costs the units of settings.REQUEST_UNITS, 20 ms each. The exit status is 1
if an operation takes more CPU than its units or than 150 ms, or an address could use more than 24 s a
minute.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.catalogue import prepare_catalogue
from benchmarks.service import SETTINGS, get_valkey_url, manage
from nexus.dev import embedded
from tmdb.fake.server import FakeTmdbServer

MOVIES = 10_000
DATABASE, VALKEY_DATABASE = "costs", 13
MS_A_UNIT = 20
MAX_MS = 150
MAX_SECONDS_A_MINUTE = 24
# These hash passwords, which must be slow, or move all that a member owns. Their units, or limits of
# their own, keep them within MAX_SECONDS_A_MINUTE.
COSTLY_BY_DESIGN = {
    "POST /auth/guest/register/",
    "POST /auth/register/",
    "POST /auth/token/",
    "POST /auth/password/change/",
    "POST /auth/password/reset/confirm/",
    "POST /auth/email/change/",
    "DELETE /profiles/me/",
    "POST /imports/",
    "GET /exports/",
}
CHILD = "import django; django.setup(); from benchmarks import cost_cases; cost_cases.main()"

MeasuredCase = dict[str, Any]


def measure(only: str) -> list[MeasuredCase]:
    """Return the costliest case of each operation, in the order of the cases."""
    with embedded.run_servers(), FakeTmdbServer() as tmdb:
        source = prepare_catalogue(MOVIES)
        environment = {
            **os.environ,
            **SETTINGS,
            "RATE_LIMIT_SCALE": "1000000",
            "LOG_LEVEL": "ERROR",
            "REDIS_URL": get_valkey_url(VALKEY_DATABASE),
            "TMDB_BASE_URL": tmdb.base_url,
            "TMDB_ACCESS_TOKEN": tmdb.credential,
            "DJANGO_SETTINGS_MODULE": "nexus.settings",
            "SERVING": "1",
        }
        train(source, environment)
        environment["DATABASE_URL"] = copy_database(source, DATABASE)
        output = subprocess.run(
            [sys.executable, "-c", CHILD, only],
            cwd=embedded.ROOT,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    costliest: dict[str, MeasuredCase] = {}
    for case in json.loads(output.splitlines()[-1]):
        if case["cpu_ms"] > costliest.get(case["operation"], {"cpu_ms": -1})["cpu_ms"]:
            costliest[case["operation"]] = case
    return list(costliest.values())


def train(url: str, environment: Mapping[str, str]) -> None:
    """Train the recommender on the catalogue's ratings, unless that was done before."""
    with psycopg.connect(url) as database:
        query = "SELECT count(*) FROM recommendations_training WHERE active"
        [[trained]] = database.execute(query).fetchall()
    if not trained:
        offline = {**environment, "DATABASE_URL": url, "SERVING": "0"}
        manage("train_recommender", "--force", environment=offline)


def copy_database(url: str, name: str) -> str:
    """Copy a database on the server of DATABASE_URL, replacing an old copy, and return its URL."""
    source = urlsplit(url).path.strip("/")
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def build_table(cases: Sequence[MeasuredCase]) -> str:
    """Return a row for each operation in Markdown, the costliest first."""
    rows = [
        "| operation | costliest request | CPU, ms | units | requests a minute | CPU, s a minute |",
        "|---|---|---:|---:|---:|---:|",
    ]
    rows += [
        f"| `{case['operation']}` | {case['request']} | {case['cpu_ms']:.1f} | {case['units']} |"
        f" {case['requests_a_minute']} | {count_seconds(case):.1f} |"
        for case in sorted(cases, key=lambda case: -case["cpu_ms"])
    ]
    return "\n".join(rows)


def count_seconds(case: MeasuredCase) -> float:
    """Return the seconds of CPU that one address can use in a minute."""
    return float(case["requests_a_minute"] * case["cpu_ms"] / 1e3)


def find_faults(cases: Sequence[MeasuredCase]) -> list[str]:
    """Describe what breaks the promises."""
    faults = []
    for case in cases:
        operation, cpu_ms, units = case["operation"], case["cpu_ms"], case["units"]
        needed = max(1, math.ceil(cpu_ms / MS_A_UNIT))
        if case["status"] >= 400 and not case["request"].startswith("refused"):
            faults.append(f"{operation}: status {case['status']}")
        if needed > units and operation not in COSTLY_BY_DESIGN:
            faults.append(f"{operation}: {cpu_ms:.1f} ms are {needed} units, and it has {units}")
        if cpu_ms > MAX_MS and operation not in COSTLY_BY_DESIGN:
            faults.append(f"{operation}: {cpu_ms:.1f} ms are more than {MAX_MS}")
        if count_seconds(case) > MAX_SECONDS_A_MINUTE:
            faults.append(f"{operation}: more than {MAX_SECONDS_A_MINUTE} s a minute")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="only operations whose name contains this text")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    cases = measure(options.only)
    table, faults = build_table(cases), find_faults(cases)
    print(f"\n{table}\n")
    print("\n".join(faults) if faults else "Every operation is within its units.")
    if options.markdown:
        options.markdown.write_text(f"{table}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
