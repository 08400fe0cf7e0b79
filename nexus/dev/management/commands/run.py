"""`manage.py run`: migrate, load the starter catalogue once, serve and run background jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from nexus import env
from nexus.dev.embedded import DATA_DIR, ROOT

READY_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.2
# In the data directory, so that deleting the data deletes the mark too.
STARTER_MARK = DATA_DIR / "starter-loaded"


@contextmanager
def run_sample_tmdb() -> Iterator[dict[str, str]]:
    """Run the fake TMDb server during the block; yield the settings that point to it."""
    command = [sys.executable, "-m", "tmdb.fake.server", "--until-eof"]
    # In a process group of its own, so that Ctrl-C does not end it before the service.
    server = subprocess.Popen(  # noqa: S603 (our own command)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert server.stdout is not None
    # The end of the block closes the server's standard input, which ends it, and waits for it.
    with server:
        assignments = server.stdout.readline().split()
        if not assignments:
            raise CommandError("The sample TMDb server did not start. See the lines above.")
        yield dict(assignment.split("=", 1) for assignment in assignments)


class Command(BaseCommand):
    help = (
        "Migrate, load the starter catalogue on the first run, and run gunicorn and a task worker."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-starter", action="store_true", help="do not load the starter catalogue"
        )
        parser.add_argument(
            "--tmdb",
            choices=("sample",),
            help="use a local server with made-up movies instead of TMDb; it needs no key",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        port = env.read("PORT", env.parse_integer, minimum=1, maximum=65535, default=8000)
        call_command("migrate", verbosity=0, interactive=False)
        if not STARTER_MARK.exists() and not options["no_starter"]:
            self.stdout.write("First run: loading the starter catalogue …")
            call_command("load_starter", stdout=self.stdout, stderr=self.stderr)
            call_command("train_recommender", stdout=self.stdout, stderr=self.stderr)
            DATA_DIR.mkdir(exist_ok=True)
            STARTER_MARK.touch()
        if options["tmdb"] == "sample":
            with run_sample_tmdb() as tmdb_settings:
                self._serve(port, tmdb_settings)
        else:
            self._serve(port, {})

    def _serve(self, port: int, tmdb_settings: dict[str, str]) -> None:
        """Run gunicorn and a task worker until Ctrl-C, or until one of them ends."""
        public_url = {"PUBLIC_URL": f"http://localhost:{port}"}
        environment = {**public_url, **os.environ, "PORT": str(port), **tmdb_settings}
        commands = {
            "gunicorn": ["-m", "gunicorn", "nexus.wsgi", "--bind", f"127.0.0.1:{port}"],
            "The task worker": ["manage.py", "run_worker"],
        }
        # In process groups of their own: Ctrl-C reaches this process, which ends them gracefully.
        processes = {
            name: subprocess.Popen(  # noqa: S603 (our own commands)
                [sys.executable, *command], env=environment, cwd=ROOT, start_new_session=True
            )
            for name, command in commands.items()
        }

        def stop(number: int, frame: FrameType | None) -> None:
            for process in processes.values():
                process.send_signal(signal.SIGTERM)

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        if self._wait_until_ready(processes["gunicorn"], port):
            self._print_addresses(port, sample_tmdb=bool(tmdb_settings))
        while all(process.poll() is None for process in processes.values()):
            time.sleep(POLL_INTERVAL_S)
        stop(signal.SIGTERM, None)
        for name, process in processes.items():
            if process.wait() not in (0, -signal.SIGTERM):
                raise CommandError(
                    f"{name} ended with status {process.returncode}. See the lines above."
                )
        self.stdout.write("Stopped.")

    def _wait_until_ready(self, server: subprocess.Popen[bytes], port: int) -> bool:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while server.poll() is None and time.monotonic() < deadline:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health/ready/", timeout=5):
                    return True
            except (URLError, OSError):
                time.sleep(0.1)
        return False

    def _print_addresses(self, port: int, *, sample_tmdb: bool) -> None:
        base = f"http://localhost:{port}"
        tmdb = ""
        if sample_tmdb:
            tmdb = f"""
TMDb is replaced by a local server with thousands of made-up movies:
  {base}/movies/trending/
  {base}/tmdb/search/?query=copper    (import them with POST /tmdb/import/)
"""
        self.stdout.write(
            f"""
Nexus Movie API is ready.

  API         {base}/
  Swagger UI  {base}/swagger/
  ReDoc       {base}/redoc/
  Admin       {base}/admin/   (create an admin: .venv/bin/python manage.py createsuperuser)
{tmdb}
Press Ctrl-C to stop. The data stays in {DATA_DIR.name}/.
"""
        )
        self.stdout.flush()
