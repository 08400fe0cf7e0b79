"""Send generated requests, and chains of them, to the service.

    make fuzz [MINUTES=10]

The server is gunicorn as deployed, on its own database and Valkey database, with the starter catalogue
and the fake TMDb server. Every run generates other data. The report has a row for each operation and
lists the findings; Ctrl-C ends the run with the report too. The exit status is 1 after a finding,
if a chain of nexus.tests.chains.CORE was never completed, or if a 5xx was not logged exactly once.
"""

from __future__ import annotations

import argparse
import itertools
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
    create_database,
    find_free_port,
    get_valkey_url,
    manage,
    wait_until_ready,
)
from nexus.dev import embedded
from nexus.dev.pytest_plugin import PASSWORD
from nexus.tests.chains import (
    CORE,
    Ledger,
    ServiceUnderTest,
    add_realistic_values,
    build_state_machine,
    load_schema,
    run_calls,
    run_chains,
)
from tmdb.fake.server import FIRST_ID, FakeTmdbServer

DATABASE, VALKEY_DATABASE = "fuzz", 14
PROGRESS_S = 30.0
IMPORT_WAIT_S = 3.0


@dataclass
class HttpService:
    """The running service."""

    url: str
    names: dict[str, str] = field(default_factory=dict)

    def call(self, case: Case, headers: dict[str, str]) -> Response:
        return case.call(base_url=self.url, headers=headers)

    def token(self, caller: str) -> str:
        name = self.names.get(caller, caller)
        body = {"username": name, "password": PASSWORD}
        response = requests.post(f"{self.url}/auth/token/", json=body, timeout=30)
        if response.status_code == 401:
            # The user does not exist yet, or a generated request has deleted the account.
            name = self.names[caller] = f"{caller}{time.time_ns()}"
            body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
            response = requests.post(f"{self.url}/auth/register/", json=body, timeout=30)
        response.raise_for_status()
        return str(response.json()["access"])

    def run_background_work(self, case: Case, response: Response) -> None:
        """Wait a moment until the import worker has finished the current step of an import."""
        is_working = case.path.startswith("/imports/") and response.status_code in (201, 202)
        deadline = time.monotonic() + IMPORT_WAIT_S
        while is_working and time.monotonic() < deadline:
            url = f"{self.url}/imports/{response.json()['id']}/"
            headers = {"Authorization": response.request.headers["Authorization"]}
            state = requests.get(url, headers=headers, timeout=30).json().get("state", "")
            is_working = str(state).endswith("ing")
            time.sleep(0.02)


@contextmanager
def run_service(log: Path) -> Iterator[tuple[HttpService, list[int]]]:
    """Run the service on empty databases during the block; yield it and the ids of five movies."""
    with embedded.run_servers(), FakeTmdbServer() as tmdb:
        environment = {
            **os.environ,
            **SETTINGS,
            "RATE_LIMIT_SCALE": "1000000",
            "LOG_LEVEL": "ERROR",
            "DATABASE_URL": create_database(DATABASE),
            "REDIS_URL": get_valkey_url(VALKEY_DATABASE),
            "TMDB_BASE_URL": tmdb.base_url,
            "TMDB_ACCESS_TOKEN": tmdb.credential,
        }
        redis.Redis.from_url(environment["REDIS_URL"]).flushdb()
        manage("migrate", "--verbosity", "0", environment=environment)
        manage("load_starter", environment=environment)
        manage("shell", "--verbosity", "0", "--command", _CREATE_STAFF, environment=environment)
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            rows = connection.execute("SELECT id FROM movies_movie ORDER BY id LIMIT 5").fetchall()
        port = find_free_port()
        with log.open("wb") as stderr:
            gunicorn = subprocess.Popen(
                [*GUNICORN, "--bind", f"127.0.0.1:{port}"],
                env=environment,
                cwd=embedded.ROOT,
                stderr=stderr,
            )
        try:
            service = HttpService(f"http://127.0.0.1:{port}")
            wait_until_ready(service.url)
            yield service, [row[0] for row in rows]
        finally:
            gunicorn.terminate()
            gunicorn.wait(timeout=30)


_CREATE_STAFF = f"""
from accounts.models import User
User.objects.create_superuser(username="mod", email="mod@example.org", password={PASSWORD!r})
"""


def fuzz(http: HttpService, movie_ids: list[int], ledger: Ledger, *, seconds: float) -> None:
    """Send chains and single requests until the time is over."""
    schema = requests.get(f"{http.url}/swagger.json", timeout=30).json()
    service = ServiceUnderTest(
        call=http.call,
        token=http.token,
        callers=("ann", "ben", "mod"),
        run_background_work=http.run_background_work,
    )
    # One schema allows any value. The other has ids that exist, so that more requests succeed.
    any_values = load_schema(schema)
    known_ids = add_realistic_values(
        schema, movie_ids=movie_ids, tmdb_ids=[FIRST_ID, FIRST_ID + 1, FIRST_ID + 2]
    )
    machine = build_state_machine(known_ids, service, ledger)
    modes = itertools.cycle([GenerationMode.NEGATIVE, GenerationMode.POSITIVE])
    began = reported_at = time.monotonic()
    for number in itertools.count():
        now = time.monotonic()
        if now - began >= seconds:
            return
        run_chains(machine, chains=15, steps=25, seeded=False)
        if number % 4 == 0:
            run_calls(any_values, next(modes), service, ledger, examples=2, seeded=False)
        if now - reported_at > PROGRESS_S:
            reported_at = now
            print(
                f"{now - began:>5.0f} s  {sum(ledger.calls.values())} requests, "
                f"{ledger.count_status(200, 300, chained=True)} successful ones in chains, "
                f"{len(ledger.findings)} findings",
                flush=True,
            )


def find_log_errors(log: Path, ledger: Ledger) -> Iterator[str]:
    """Describe lines that are not JSON, and each 5xx that was not logged exactly once."""
    lines_by_request: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        try:
            record: dict[str, Any] = json.loads(line)
        except ValueError:
            yield f"A log line is not JSON: {line[:200]}"
            continue
        if record.get("status", 0) >= 500:
            lines_by_request[record["request_id"]] += 1
        elif "traceback" in record:
            yield f"A traceback without a 5xx: {line[:400]}"
    for request_id in set(lines_by_request) | ledger.failed:
        if lines_by_request[request_id] != 1 or request_id not in ledger.failed:
            received = "received" if request_id in ledger.failed else "not received"
            yield f"{lines_by_request[request_id]} log lines of a {received} 5xx: {request_id}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    minutes = parser.parse_args(arguments).minutes
    for variable in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(variable, None)
    ledger = Ledger()
    is_interrupted = False
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        log = Path(folder) / "log"
        with run_service(log) as (http, movie_ids):
            try:
                fuzz(http, movie_ids, ledger, seconds=minutes * 60)
            except KeyboardInterrupt:
                is_interrupted = True
        findings = [*ledger.findings.values(), *find_log_errors(log, ledger)]
    missing_chains = CORE - ledger.operations(chained=True)
    print("\n".join(ledger.table()))
    print(
        f"{sum(ledger.calls.values())} requests of {len({label for label, _ in ledger.calls})} "
        f"operations. {ledger.count_status(0, 600, chained=True)} used a value of an earlier "
        f"response; {ledger.count_status(200, 300, chained=True)} of these were successful. "
        f"{ledger.count_status(500, 600)} x 5xx, which report a failure of TMDb."
    )
    if missing_chains:
        print(f"Chains that were never completed: {', '.join(sorted(missing_chains))}")
    print("\n".join(findings) if findings else "No findings.")
    return 1 if findings or (missing_chains and not is_interrupted) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
