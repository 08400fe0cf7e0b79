"""`manage.py run`: what `make run` does once everything is installed."""

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
from nexus.dev.embedded import DATA_DIR

READY_TIMEOUT_S = 60.0
# Beside the data it speaks of: whoever deletes the one deletes the other.
STARTER_MARK = DATA_DIR / "starter-loaded"


@contextmanager
def _sample_tmdb() -> Iterator[dict[str, str]]:
    """Hold TMDb's test server for the length of the block; the settings that lead to it."""
    command = [sys.executable, "-m", "tmdb.fake.server", "--until-eof"]
    # Not in the foreground group, so that Ctrl-C does not end it before the service.
    server = subprocess.Popen(  # noqa: S603 (our own command)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert server.stdout is not None
    # Left, it closes the server's standard input and waits for its end.
    with server:
        words = server.stdout.readline().split()
        if not words:
            raise CommandError("The sample of TMDb did not start; the lines above say why.")
        yield dict(word.split("=", 1) for word in words)


class Command(BaseCommand):
    help = "Migrate, load the starter catalogue on the first run, and serve with gunicorn."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-starter", action="store_true", help="begin with an empty catalogue"
        )
        parser.add_argument(
            "--tmdb",
            choices=("sample",),
            help="instead of TMDb: a server in its shapes with made-up films, for which no key is needed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        port = env.whole_number("PORT", default=8000, at_least=1, at_most=65535)
        call_command("migrate", verbosity=0, interactive=False)
        if not STARTER_MARK.exists() and not options["no_starter"]:
            self.stdout.write("First run: loading the starter catalogue …")
            call_command("load_starter", stdout=self.stdout, stderr=self.stderr)
            call_command("train_recommender", stdout=self.stdout, stderr=self.stderr)
            DATA_DIR.mkdir(exist_ok=True)
            STARTER_MARK.touch()
        if options["tmdb"] == "sample":
            with _sample_tmdb() as settings:
                self._serve(port, settings)
        else:
            self._serve(port, {})

    def _serve(self, port: int, settings: dict[str, str]) -> None:
        command = [sys.executable, "-m", "gunicorn", "nexus.wsgi"]
        command += ["--bind", f"127.0.0.1:{port}"]
        # A group of its own: Ctrl-C reaches this process, which ends gunicorn in good order.
        server = subprocess.Popen(  # noqa: S603 (our own command)
            command, env={**os.environ, "PORT": str(port), **settings}, start_new_session=True
        )

        def stop(number: int, frame: FrameType | None) -> None:
            server.send_signal(signal.SIGTERM)

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        if self._is_ready(server, port):
            self._greet(port, sample_tmdb=bool(settings))
        code = server.wait()
        if code not in (0, -signal.SIGTERM):
            raise CommandError(f"gunicorn ended with status {code}; the lines above say why.")
        self.stdout.write("Stopped.")

    def _is_ready(self, server: subprocess.Popen[bytes], port: int) -> bool:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while server.poll() is None and time.monotonic() < deadline:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health/ready/", timeout=5):
                    return True
            except (URLError, OSError):
                time.sleep(0.1)
        return False

    def _greet(self, port: int, *, sample_tmdb: bool) -> None:
        base = f"http://localhost:{port}"
        tmdb = ""
        if sample_tmdb:
            tmdb = f"""
TMDb is a sample of thousands of made-up films, on this machine; nothing goes to TMDb:
  {base}/movies/trending/
  {base}/tmdb/search/?query=copper    (and import them at /tmdb/import/)
"""
        self.stdout.write(
            f"""
Nexus Movie API is ready.

  API         {base}/
  Swagger UI  {base}/swagger/
  ReDoc       {base}/redoc/
  Admin       {base}/admin/   (make an admin: .venv/bin/python manage.py createsuperuser)
{tmdb}
Ctrl-C stops everything; the data stays in {DATA_DIR.name}/.
"""
        )
        self.stdout.flush()
