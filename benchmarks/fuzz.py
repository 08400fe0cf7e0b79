"""Made-up calls and chains of calls against the real service: `make fuzz MINUTES=10`.

gunicorn as it is deployed, on a database and a Valkey database of its own, with the starter catalogue
and TMDb's test server. The data are other ones each time. Ends, at Ctrl-C too, with a line an
operation and with what was found; with status 1 where that is anything, where a chain that clients
live by was never taken, or where a 5xx left another number of log lines than one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis
import requests
from schemathesis import Case, GenerationMode, Response

from benchmarks.service import (
    GUNICORN,
    SETTINGS,
    database_made,
    find_free_port,
    manage,
    valkey_database,
    wait_until_ready,
)
from nexus.dev import embedded
from nexus.dev.pytest_plugin import PASSWORD
from nexus.tests.chains import (
    CORE,
    Ledger,
    Service,
    chains_of,
    grounded,
    loaded,
    run_calls,
    run_chains,
)
from tmdb.fake.server import FIRST_ID, FakeTmdbServer

DATABASE, VALKEY_DATABASE = "fuzz", 14
PROGRESS_S = 30.0
IMPORT_WAIT_S = 3.0


@dataclass
class Live:
    """The service over HTTP."""

    url: str
    names: dict[str, str] = field(default_factory=dict)

    def call(self, case: Case, headers: dict[str, str]) -> Response:
        return case.call(base_url=self.url, headers=headers)

    def token(self, caller: str) -> str:
        name = self.names.get(caller, caller)
        body = {"username": name, "password": PASSWORD}
        answer = requests.post(f"{self.url}/auth/token/", json=body, timeout=30)
        if answer.status_code == 401:
            # Not made yet, or gone by a call of its own.
            name = self.names[caller] = f"{caller}{time.time_ns()}"
            body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
            answer = requests.post(f"{self.url}/auth/register/", json=body, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["access"])

    def settle(self, case: Case, answer: Response) -> None:
        """Give the background a moment to read, apply or undo an import."""
        begun = case.path.startswith("/imports/") and answer.status_code in (201, 202)
        deadline = time.monotonic() + IMPORT_WAIT_S
        while begun and time.monotonic() < deadline:
            url = f"{self.url}/imports/{answer.json()['id']}/"
            headers = {"Authorization": answer.request.headers["Authorization"]}
            state = requests.get(url, headers=headers, timeout=30).json().get("state", "")
            begun = str(state).endswith("ing")
            time.sleep(0.02)


@contextmanager
def running(log: Path) -> Iterator[tuple[Live, list[int]]]:
    """The service on stores of its own, both emptied before, and the ids of some films."""
    with embedded.run_servers(), FakeTmdbServer() as server:
        environment = _environment(server)
        redis.Redis.from_url(environment["REDIS_URL"]).flushdb()
        manage("migrate", "--verbosity", "0", environment=environment)
        manage("load_starter", environment=environment)
        manage("shell", "--verbosity", "0", "--command", _STAFF, environment=environment)
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            films = connection.execute("SELECT id FROM movies_movie ORDER BY id LIMIT 5").fetchall()
        port = find_free_port()
        with log.open("wb") as lines:
            service = subprocess.Popen(
                [*GUNICORN, "--bind", f"127.0.0.1:{port}"],
                env=environment,
                cwd=embedded.ROOT,
                stderr=lines,
            )
        try:
            live = Live(f"http://127.0.0.1:{port}")
            wait_until_ready(live.url)
            yield live, [each[0] for each in films]
        finally:
            service.terminate()
            service.wait(timeout=30)


_STAFF = f"""
from accounts.models import User
User.objects.create_superuser(username="mod", email="mod@example.org", password={PASSWORD!r})
"""


def _environment(server: FakeTmdbServer) -> dict[str, str]:
    return {
        **os.environ,
        **SETTINGS,
        "RATE_LIMIT_SCALE": "1000000",
        "LOG_LEVEL": "ERROR",
        "DATABASE_URL": database_made(DATABASE),
        "REDIS_URL": valkey_database(VALKEY_DATABASE),
        "TMDB_BASE_URL": server.base_url,
        "TMDB_ACCESS_TOKEN": server.credential,
    }


def fuzz(live: Live, films: list[int], ledger: Ledger, *, seconds: float) -> None:
    """Rounds of chains and of single calls, until the time is over."""
    raw = requests.get(f"{live.url}/swagger.json", timeout=30).json()
    service = Service(
        call=live.call, token=live.token, callers=("ann", "ben", "mod"), settle=live.settle
    )
    wide = loaded(raw)
    near = grounded(raw, films=films, tmdb_ids=[FIRST_ID, FIRST_ID + 1, FIRST_ID + 2])
    machine = chains_of(near, service, ledger)
    begun = told = time.monotonic()
    turns: list[GenerationMode] = [GenerationMode.NEGATIVE, GenerationMode.POSITIVE]
    number = 0
    while time.monotonic() - begun < seconds:
        run_chains(machine, chains=15, steps=25, seeded=False)
        if number % 4 == 0:
            mode = turns[number // 4 % 2]
            run_calls(wide, mode, service, ledger, examples=2, seeded=False)
        number += 1
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            print(
                f"{told - begun:>5.0f} s  {sum(ledger.calls.values())} calls, "
                f"{ledger.with_status(200, 300, chained=True)} in chains answered 2xx, "
                f"{len(ledger.findings)} findings",
                flush=True,
            )


def faults_of_the_log(log: Path, ledger: Ledger) -> Iterator[str]:
    """Lines that are no JSON, and a 5xx with another number of lines than one."""
    by: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            yield f"A log line that is no JSON: {line[:200]}"
            continue
        if told.get("status", 0) >= 500:
            by[told["request_id"]] += 1
        elif "traceback" in told:
            yield f"A traceback without a 5xx: {line[:400]}"
    for request_id in set(by) | ledger.failed:
        if by[request_id] != 1 or request_id not in ledger.failed:
            answered = "answered" if request_id in ledger.failed else "not answered"
            yield f"{by[request_id]} log lines of a 5xx that was {answered}: {request_id}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    minutes = parser.parse_args(arguments).minutes
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    ledger = Ledger()
    stopped = False
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        log = Path(folder) / "log"
        with running(log) as (live, films):
            try:
                fuzz(live, films, ledger, seconds=minutes * 60)
            except KeyboardInterrupt:
                stopped = True
        found = [*ledger.findings.values(), *faults_of_the_log(log, ledger)]
    missed = CORE - ledger.operations(chained=True)
    print("\n".join(ledger.table()))
    calls, in_chains = sum(ledger.calls.values()), ledger.with_status(0, 600, chained=True)
    good = ledger.with_status(200, 300, chained=True)
    print(
        f"{calls} calls of {len({label for label, _ in ledger.calls})} operations; {in_chains} took "
        f"a value from an earlier answer, {good} of these were answered 2xx; "
        f"{ledger.with_status(500, 600)} x 5xx (TMDb's trouble, told as such)."
    )
    if missed:
        print(f"Chains never taken: {', '.join(sorted(missed))}")
    print("\n".join(found) if found else "Nothing found.")
    return 1 if found or (missed and not stopped) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
