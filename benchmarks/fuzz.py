"""Send generated requests, and chains of them, to the service.

    make fuzz [MINUTES=10]

The service is gunicorn and a task worker as deployed, on its own database and Valkey database, with the
starter catalogue and the fake TMDb server. Every run generates other data. First every query parameter
of every GET, and the lists and pages of the admin, get hostile cursors, dates and repeated values; then
requests and chains of them are generated until the time is over, and up to five times as long until
every chain of nexus.tests.chains.CORE was completed. The report has a row for each operation and lists
the findings; Ctrl-C ends the run with the report too. The exit status is 1 after a finding, if one of
these chains was never completed, if a 5xx was not logged exactly once, or if the database rejected a
value that the service had accepted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
    EXPECTED_5XX,
    FILES,
    Ledger,
    ServiceUnderTest,
    add_realistic_values,
    build_state_machine,
    load_schema,
    run_calls,
    run_chains,
)
from nexus.tests.hostile_values import CURSORS, MOMENT_CURSORS, MOMENTS, TEXTS, encode
from tmdb.fake.server import FIRST_ID, FakeTmdbServer

DATABASE, VALKEY_DATABASE = "fuzz", 14
PROGRESS_S = 30.0
IMPORT_WAIT_S = 3.0
MAX_EXTENSION = 5
# Percent-encoded, without the last text, which fills a URL alone.
VALUES = [*(quote(moment) for moment in MOMENTS), *TEXTS[:-1]]
# Fields that models have, and lookups of their types.
ADMIN_FIELDS = (
    *("id", "created_at", "updated_at", "state", "user", "movie", "score", "release_date"),
    *("date_joined", "last_login", "watched_at", "popularity", "visibility", "search_vector"),
)
ADMIN_LOOKUPS = ("", "__exact", "__gte", "__lt", "__year", "__month", "__date", "__in", "__isnull")


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
            # With production's logs, which are JSON.
            "PRODUCTION": "1",
            "HTTPS": "0",
            # Nobody requests the static files, which are not collected.
            "PYTHONWARNINGS": "ignore:No directory at",
            "JWT_SIGNING_KEYS": "a key of the fuzzer that is long enough for HS256",
            "TMDB_SYNC_PAGES": "0",
            "RATE_LIMIT_SCALE": "1000000",
            "LOG_LEVEL": "WARNING",
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
        gunicorn = [*GUNICORN, "--bind", f"127.0.0.1:{port}"]
        worker = [sys.executable, "manage.py", "run_worker"]
        options: dict[str, Any] = {"env": environment, "cwd": embedded.ROOT}
        with log.open("wb") as stderr:
            processes = [
                subprocess.Popen(gunicorn, stderr=stderr, **options),
                # Its commands write their progress, which is no log.
                subprocess.Popen(worker, stderr=subprocess.DEVNULL, **options),
            ]
        try:
            service = HttpService(f"http://127.0.0.1:{port}")
            wait_until_ready(service.url)
            yield service, [row[0] for row in rows]
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(timeout=30)


_CREATE_STAFF = f"""
from accounts.models import User
User.objects.create_superuser(username="mod", email="mod@example.org", password={PASSWORD!r})
"""


def fuzz(http: HttpService, movie_ids: list[int], ledger: Ledger, *, seconds: float) -> None:
    """Send hostile queries, then chains and single requests until the time is over.

    It is extended, on a busy machine, until every chain of CORE was completed once.
    """
    schema = requests.get(f"{http.url}/swagger.json", timeout=30).json()
    hostile = HostileQueries(http, movie_ids, ledger)
    hostile.send_to_api(schema)
    hostile.send_to_admin()
    print(f"{sum(ledger.calls.values())} hostile queries", flush=True)
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
        missing_chains = CORE - ledger.operations(chained=True)
        if now - began >= (seconds * MAX_EXTENSION if missing_chains else seconds):
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


class HostileQueries:
    """Sends hostile query strings to every GET of the schema and to the pages of the admin."""

    def __init__(self, http: HttpService, movie_ids: Sequence[int], ledger: Ledger) -> None:
        self.url, self.ledger, self.random = http.url, ledger, random.Random()
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {http.token('ann')}"
        self.ids = {
            "/playlists/": self._create("/playlists/", json={"name": "x", "movie_ids": movie_ids}),
            "/ratings/": self._create("/ratings/", json={"movie": movie_ids[0], "score": 4}),
            "/imports/": self._create("/imports/", files={"file": ("r.csv", FILES[0])}),
            "/": movie_ids[0],
        }
        self.username = http.names.get("ann", "ann")

    def _create(self, path: str, **content: Any) -> Any:
        response = self.session.post(f"{self.url}{path}", timeout=30, **content)
        response.raise_for_status()
        return response.json()["id"]

    def send_to_api(self, schema: dict[str, Any]) -> None:
        for template, item in schema["paths"].items():
            if "get" not in item:
                continue
            pk = next(pk for start, pk in self.ids.items() if template.startswith(start))
            path = template.format(id=pk, movie_id=self.ids["/"], username=self.username, number=1)
            for parameter in item["get"]["parameters"]:
                if parameter["in"] != "query":
                    continue
                for query in self._make_queries(parameter["name"]):
                    self._send(f"GET {template}", path, query)

    def send_to_admin(self) -> None:
        """Log in as staff; send filters to each list, and ids and filters to the pages of an object."""
        page = self.session.get(f"{self.url}/admin/login/", timeout=30)
        form = {"username": "mod", "password": PASSWORD, "next": "/admin/"}
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[0]
        index = self.session.post(page.url, data={**form, "csrfmiddlewaretoken": token}, timeout=30)
        lists = sorted(set(re.findall(r'href="(/admin/\w+/\w+/)"', index.text)))
        assert lists, "The login to the admin failed."
        for path in lists:
            for name in (*ADMIN_FIELDS, "q", "o", "p", "e", "_to_field", "_changelist_filters"):
                lookups = ADMIN_LOOKUPS if name in ADMIN_FIELDS else ("",)
                for value in self.random.sample(VALUES, 4):
                    query = f"{name}{self.random.choice(lookups)}={value}"
                    self._send(f"GET {path}", path, query)
            for text in ("%00", "a%00b", "9" * 30, "-1", "_5F", "%ff"):
                for page_name in ("change", "delete", "history"):
                    self._send(f"GET {path}", f"{path}{text}/{page_name}/", "x=%00")

    def _make_queries(self, name: str) -> Iterator[str]:
        if name == "cursor":
            for cursor in (*MOMENT_CURSORS, *CURSORS, *(self._make_cursor() for _ in range(30))):
                yield f"cursor={cursor}"
        yield from (f"{name}={value}" for value in self.random.sample(VALUES, 12))
        yield from (
            "&".join(f"{name}={value}" for value in self.random.choices(VALUES, k=times))[:4000]
            for times in (2, 21, 300)
        )
        yield "&".join([f"{name}=1"] * 500)

    def _make_cursor(self) -> str:
        parts: list[Any] = [
            *MOMENTS,
            *(
                None,
                True,
                0,
                1,
                -1,
                2**31,
                2**63 - 1,
                2**63,
                10**40,
                0.5,
                -1e308,
                1e400,
                "x",
                [],
                {},
            ),
            str(uuid.UUID(int=self.random.getrandbits(128))),
            self.random.choice(["rated", "reviewed", "published"]),
        ]
        return encode(json.dumps(self.random.choices(parts, k=self.random.randint(1, 4))))

    def _send(self, label: str, path: str, query: str) -> None:
        url = f"{self.url}{path}?{query}"
        response = self.session.get(url, timeout=60, allow_redirects=False)
        status = response.status_code
        self.ledger.calls[label, status] += 1
        if status < 500 or response.json().get("code") in EXPECTED_5XX:
            return
        self.ledger.failed.add(response.headers.get("X-Request-ID", ""))
        self.ledger.findings.setdefault(
            (label, "hostile query", query[:60]), f"{status} {url[:300]}"
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
        elif (
            "traceback" in record
            # The admin has no serializers that refuse such a value before the database does.
            and not record.get("path", "").startswith("/admin/")
            and not record["logger"].startswith("django.security")
        ):
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
