"""Measure imports and the task worker with real processes.

    make bench-imports                         everything (about 15 minutes)
    python -m benchmarks.imports [NAME ...]    memory, time, trouble, fairness or mail

`memory`: 40 uploads of 20 MiB through gunicorn, and the memory of each process. `time`: an import of
10,000 rows. `trouble`: one of 10,000 rows with every kind of trouble. `fairness`: an import of one row beside five of 100,000 rows. `mail`: a reset mail beside
a running training. The exit status is 1 if a promise of docs/reliability.md is broken.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import requests

from benchmarks.service import (
    GUNICORN,
    SETTINGS,
    create_database,
    find_free_port,
    manage,
    wait_until_ready,
)
from nexus.dev import embedded

UPLOADS = 40
FILE_BYTES = 20 * 1024 * 1024
MOVIES = 10_000
MEMBERS = UPLOADS + 10
LARGE_ROWS = 100_000
# Promises 22 and 23, and the delay of a mail.
MAX_WEB_GROWTH_MB = 20
MAX_WORKER_MB = 300
MAX_SMALL_IMPORT_S = 10
MAX_MAIL_S = 10
_SAMPLE_INTERVAL_S = 0.1
_TIMEOUT_S = 1800

_SETUP = f"""
from datetime import timedelta
from accounts.models import User
from accounts.tokens import family_create
from nexus.core.api.jwt import AccessToken
from movies.dto import MovieData
from movies.services.upsert import movies_upsert
AccessToken.lifetime = timedelta(days=1)
for start in range(0, {MOVIES}, 1000):
    movies_upsert(
        movies=[
            MovieData(title=f"Film {{n}}", release_year=2000, tmdb_id=n + 1)
            for n in range(start, start + 1000)
        ],
        source="starter",
    )
for n in range({MEMBERS}):
    user = User.objects.create_user(username=f"bench{{n}}", email=f"bench{{n}}@example.org")
    print(family_create(user=user).access)
user.set_password("a long password of benchmarks 7")
user.save()
"""


_MAIL_DELAYS = """
SELECT max(at) - min(at) FROM procrastinate_events JOIN procrastinate_jobs ON job_id = procrastinate_jobs.id
WHERE queue_name = 'mail' AND status = 'succeeded' GROUP BY job_id ORDER BY job_id
"""


@dataclass
class System:
    url: str
    web_pids: list[int]
    worker_pid: int
    tokens: list[str]
    environment: dict[str, str]

    def request(self, method: str, path: str, member: int, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[member]}"}
        response = requests.request(method, self.url + path, headers=headers, timeout=60, **options)
        response.raise_for_status()
        return response.json()

    def upload(self, member: int, name: str, content: bytes) -> int:
        files = {"file": (name, io.BytesIO(content))}
        job_id: int = self.request("POST", "/imports/", member, files=files)["id"]
        return job_id

    def wait_for(self, member: int, job_id: int, state: str) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while (job := self.request("GET", f"/imports/{job_id}/?page_size=1", member))[
            "state"
        ] != state:
            if job["state"] == "failed" or time.monotonic() > deadline:
                raise RuntimeError(f"Import {job_id} is {job['state']}: {job['reason']}")
            time.sleep(0.2)


# --- Files ---------------------------------------------------------------------------------------


def make_ratings_csv(rows: int, *, offset: int = 0) -> bytes:
    lines = ["Date,Name,Year,Letterboxd URI,Rating"]
    lines += [
        f"2024-02-01,Film {(n + offset) % MOVIES},2000,https://boxd.it/{n},4" for n in range(rows)
    ]
    return "\n".join(lines).encode()


def make_reviews_csv(number: int) -> bytes:
    """Return Letterboxd's reviews.csv of FILE_BYTES, with reviews of 9,000 characters."""
    header = b"Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
    parts, size = [header], len(header)
    for n in range(MOVIES):
        review = f"{number} {n} " + "word " * 1800
        row = f'2024-02-01,Film {n},2000,https://boxd.it/{n},4,,"{review}",,2024-02-01\n'.encode()
        if size + len(row) > FILE_BYTES:
            break
        parts.append(row)
        size += len(row)
    return b"".join(parts)


def make_trakt_json(number: int) -> bytes:
    """Return Trakt's ratings of FILE_BYTES: elements of 4,000 bytes."""
    elements = []
    for n in range(FILE_BYTES // 4_200):
        movie = {"title": f"Film {n % MOVIES}", "year": 2000, "ids": {"tmdb": n % MOVIES + 1}}
        overview = f"{number} {n} " + "é" * 1950
        element = {"rated_at": "2024-02-01T00:00:00.000Z", "rating": 8, "movie": movie}
        elements.append(json.dumps({**element, "overview": overview}, ensure_ascii=False))
    return f"[{','.join(elements)}]".encode()[: FILE_BYTES - 2]


def make_archive(number: int) -> bytes:
    """Return Letterboxd's archive of nearly FILE_BYTES, stored without compression."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("ratings.csv", make_ratings_csv(2_000))
        archive.writestr("reviews.csv", make_reviews_csv(number)[: FILE_BYTES - 200_000])
    return data.getvalue()


# Rows of Letterboxd's diary (%d becomes a number of its own), and the verdict that each must get.
TROUBLED_ROWS = (
    ("2024-02-01,Film %d,2000,u,4,,,2024-02-01", "matched"),
    ("2024-02-01,Film %d,2000,u,4,Yes,horror,2024-02-01", "matched"),
    ("someday,Film %d,2000,u,9,,,2024-13-41", "matched"),
    ("1970-01-01,Film %d,2000,u,4,,,1970-01-01", "matched"),
    ("2024-02-01,Film %d,2001,u,4,,,2024-02-01", "ambiguous"),
    ("2024-02-01,Film %d!,2000,u,4,,,2024-02-01", "ambiguous"),
    ("2024-02-01,Film %d,,u,4,,,2024-02-01", "ambiguous"),
    ("2024-02-01,Film %d,MM,u,4,,,2024-02-01", "ambiguous"),
    ("2024-02-01,No film %d,2000,u,4,,,2024-02-01", "missing"),
    ("2024-02-01,,2000,u,4,,,2024-02-01", "invalid"),
    ('2024-02-01,"Film %d,2000,u,4,,,2024-02-01', "invalid"),
    ("2024-02-01,Film %d,2000,u,4,,,2024-02-01,more", "invalid"),
    ("2024-02-01,Film", "invalid"),
)
# What the summary must count of these.
TROUBLED_KINDS = frozenset(
    {
        *("tags", "rewatch_flags", "bad_date", "bad_year", "score_out_of_range", "no_title"),
        *("unclosed_quote", "too_many_columns", "half_row"),
    }
)


def make_troubled_csv(rows: int) -> tuple[bytes, list[str]]:
    """Return a diary of as many rows, and the verdict of each."""
    lines = ["Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date"]
    verdicts = []
    for n in range(rows):
        line, verdict = TROUBLED_ROWS[n % len(TROUBLED_ROWS)]
        lines.append(line % n if "%d" in line else line)
        verdicts.append(verdict)
    return "\n".join(lines).encode(), verdicts


FILES: tuple[tuple[str, Callable[[int], bytes]], ...] = (
    ("reviews.csv", make_reviews_csv),
    ("ratings.json", make_trakt_json),
    ("letterboxd.zip", make_archive),
)

# --- Measurements --------------------------------------------------------------------------------


def read_memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def sample_peaks(pids: Sequence[int]) -> Iterator[dict[int, float]]:
    """Record the highest memory of each process during the block."""
    peaks = dict.fromkeys(pids, 0.0)
    stopped = threading.Event()

    def sample() -> None:
        while not stopped.wait(_SAMPLE_INTERVAL_S):
            for pid in pids:
                with suppress(FileNotFoundError):
                    peaks[pid] = max(peaks[pid], read_memory_mb(pid))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        stopped.set()
        thread.join()


def measure_memory(system: System) -> bool:
    # A worker that has served nothing has not imported everything yet.
    for _ in range(40):
        system.request("GET", "/imports/", 0)
    for member, (name, make) in enumerate(FILES):
        small = make_ratings_csv(3) if name.endswith("csv") else make(-1)[:0]
        if small:
            job_id = system.upload(MEMBERS - 1 - member, name, small)
            system.wait_for(MEMBERS - 1 - member, job_id, "ready")
    before = {pid: read_memory_mb(pid) for pid in system.web_pids}
    worker_before = read_memory_mb(system.worker_pid)
    jobs = []
    with sample_peaks([*system.web_pids, system.worker_pid]) as peaks:
        for member in range(UPLOADS):
            name, make = FILES[member % len(FILES)]
            jobs.append((member, system.upload(member, name, make(member))))
        for member, job_id in jobs:
            system.wait_for(member, job_id, "ready")
    growth = max(peaks[pid] - before[pid] for pid in system.web_pids)
    peak = peaks[system.worker_pid]
    print(
        f"memory: {UPLOADS} uploads of 20 MiB: web workers {min(before.values()):.0f} MB, grow by at"
        f" most {growth:.1f} MB; task worker {worker_before:.0f} MB, at most {peak:.0f} MB",
        flush=True,
    )
    return growth <= MAX_WEB_GROWTH_MB and peak <= MAX_WORKER_MB


def measure_time(system: System) -> bool:
    member = UPLOADS
    started = time.monotonic()
    job_id = system.upload(member, "ratings.csv", make_ratings_csv(MOVIES))
    system.wait_for(member, job_id, "ready")
    read_s = time.monotonic() - started
    started = time.monotonic()
    system.request("POST", f"/imports/{job_id}/apply/", member, json={})
    system.wait_for(member, job_id, "applied")
    apply_s = time.monotonic() - started
    print(
        f"time: {MOVIES:,} rows: ready after {read_s:.1f} s, applied after {apply_s:.1f} s more",
        flush=True,
    )
    return True


def measure_trouble(system: System) -> bool:
    """Import a file with every kind of trouble: it must show progress, and a reason on every row."""
    member = UPLOADS
    # A line has one row for the rating and one for the viewing, if it has both: 21 rows in 13 lines.
    content, verdicts = make_troubled_csv(MOVIES * len(TROUBLED_ROWS) // 21)
    started = time.monotonic()
    job_id = system.upload(member, "diary.csv", content)
    steps: set[tuple[str, int]] = set()
    job = system.request("GET", f"/imports/{job_id}/", member)
    while job["state"] == "reading":
        steps.add((job["progress"]["step"], job["progress"]["done"]))
        time.sleep(0.2)
        job = system.request("GET", f"/imports/{job_id}/?page_size=1", member)
    read_s = time.monotonic() - started
    verdict_by_line: dict[int, str] = {}
    without_reason = 0
    url: str | None = f"/imports/{job_id}/?page_size=100"
    while url is not None:
        page = system.request("GET", url, member)["rows"]
        for row in page["results"]:
            verdict_by_line[row["line"]] = row["verdict"]
            without_reason += row["verdict"] != "matched" and not row["reason"]
        url = page["next"] and page["next"].removeprefix(system.url)
    wrong = sum(
        verdict_by_line.get(line) != verdict for line, verdict in enumerate(verdicts, start=2)
    )
    missing = TROUBLED_KINDS - {entry["kind"] for entry in job["left_out"]}
    print(
        f"trouble: {job['progress']['total']:,} rows: ready after {read_s:.1f} s, {len(steps)} states of progress,"
        f" {wrong} wrong verdicts, {without_reason} rows without a reason,"
        f" {len(missing)} kinds missing in the summary",
        flush=True,
    )
    return job["state"] == "ready" and len(steps) > 2 and not (wrong or without_reason or missing)


def measure_fairness(system: System) -> bool:
    members = range(UPLOADS + 1, UPLOADS + 6)
    with sample_peaks([system.worker_pid]) as peaks:
        for member in members:
            system.upload(member, "ratings.csv", make_ratings_csv(LARGE_ROWS, offset=member))
        durations = []
        for n in range(5):
            small = UPLOADS + 6
            started = time.monotonic()
            job_id = system.upload(small, "ratings.csv", make_ratings_csv(1, offset=n))
            system.wait_for(small, job_id, "ready")
            system.request("POST", f"/imports/{job_id}/apply/", small, json={})
            system.wait_for(small, job_id, "applied")
            durations.append(time.monotonic() - started)
    listed = ", ".join(f"{duration:.1f}" for duration in durations)
    print(
        f"fairness: imports of 1 row beside 5 of {LARGE_ROWS:,} rows: read and applied in {listed} s;"
        f" task worker at most {peaks[system.worker_pid]:.0f} MB",
        flush=True,
    )
    return max(durations) <= MAX_SMALL_IMPORT_S


def measure_mail(system: System) -> bool:
    """Measure from the request of a mail to the mail, while a training computes."""
    # Ratings to train on.
    manage("load_starter", environment=system.environment)
    training = subprocess.Popen(
        [sys.executable, "-m", "nexus.core.background.child", "train_recommender", "--force"],
        env=system.environment,
        cwd=embedded.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    time.sleep(2)
    is_training = training.poll() is None
    for _ in range(3):
        body = {"email": f"bench{MEMBERS - 1}@example.org"}
        requests.post(
            f"{system.url}/auth/password/reset/", json=body, timeout=60
        ).raise_for_status()
        time.sleep(1)
    with psycopg.connect(system.environment["DATABASE_URL"]) as connection:
        rows = connection.execute(_MAIL_DELAYS).fetchall()
    delays = [delay.total_seconds() for (delay,) in rows]
    still_training = training.poll() is None
    training.communicate()
    listed = ", ".join(f"{delay * 1000:.0f}" for delay in delays)
    beside = "beside a training" if is_training and still_training else "after a training"
    print(f"mail: {listed} ms from the request to the sent mail, {beside}", flush=True)
    return len(delays) == 3 and max(delays) <= MAX_MAIL_S


MEASUREMENTS = {
    "memory": measure_memory,
    "time": measure_time,
    "trouble": measure_trouble,
    "fairness": measure_fairness,
    "mail": measure_mail,
}


@contextmanager
def run_system() -> Iterator[System]:
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="imports-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        with embedded.run_servers(data):
            port = find_free_port()
            environment = {
                **os.environ,
                **SETTINGS,
                "DATABASE_URL": create_database("imports"),
                "PORT": str(port),
                # Mails are written to the log.
                "EMAIL_URL": "consolemail://",
            }
            manage("migrate", "--verbosity", "0", environment=environment)
            tokens = manage(
                "shell", "--verbosity", "0", "--command", _SETUP, environment=environment
            )
            web = subprocess.Popen(
                [*GUNICORN, "--bind", f"127.0.0.1:{port}"], env=environment, cwd=embedded.ROOT
            )
            worker = subprocess.Popen(
                [sys.executable, "manage.py", "run_worker"], env=environment, cwd=embedded.ROOT
            )
            url = f"http://127.0.0.1:{port}"
            try:
                wait_until_ready(url)
                children = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text().split()
                pids = [int(pid) for pid in children]
                yield System(url, pids, worker.pid, tokens.split(), environment)
            finally:
                for process in (web, worker):
                    process.terminate()
                for process in (web, worker):
                    process.wait(timeout=60)


def main(names: Sequence[str]) -> int:
    """Run the measurements with these names, or all; return the exit status."""
    with run_system() as system:
        results = [
            measure(system)
            for name, measure in MEASUREMENTS.items()
            if name in (names or MEASUREMENTS)
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
