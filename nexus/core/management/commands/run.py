"""`manage.py run`: what `make run` does once everything is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from nexus import env
from nexus.core.embedded import DATA_DIR

READY_TIMEOUT_S = 60.0
# Beside the data it speaks of: whoever deletes the one deletes the other.
STARTER_MARK = DATA_DIR / "starter-loaded"


class Command(BaseCommand):
    help = "Migrate, load the starter catalogue on the first run, and serve with gunicorn."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-starter", action="store_true", help="begin with an empty catalogue"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        port = env.whole_number("PORT", default=8000, at_least=1, at_most=65535)
        call_command("migrate", verbosity=0, interactive=False)
        if not STARTER_MARK.exists() and not options["no_starter"]:
            self.stdout.write("First run: loading the starter catalogue …")
            call_command("load_starter", stdout=self.stdout, stderr=self.stderr)
            DATA_DIR.mkdir(exist_ok=True)
            STARTER_MARK.touch()
        self._serve(port)

    def _serve(self, port: int) -> None:
        command = [sys.executable, "-m", "gunicorn", "-c", "python:nexus.gunicorn", "nexus.wsgi"]
        command += ["--bind", f"127.0.0.1:{port}"]
        # A group of its own: Ctrl-C reaches this process, which ends gunicorn in good order.
        server = subprocess.Popen(  # noqa: S603 (our own command)
            command, env={**os.environ, "PORT": str(port)}, start_new_session=True
        )

        def stop(number: int, frame: FrameType | None) -> None:
            server.send_signal(signal.SIGTERM)

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        if self._is_ready(server, port):
            self._greet(port)
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

    def _greet(self, port: int) -> None:
        base = f"http://localhost:{port}"
        self.stdout.write(
            f"""
Nexus Movie API is ready.

  API         {base}/
  Swagger UI  {base}/swagger/
  ReDoc       {base}/redoc/
  Admin       {base}/admin/   (make an admin: .venv/bin/python manage.py createsuperuser)

Ctrl-C stops everything; the data stays in {DATA_DIR.name}/.
"""
        )
        self.stdout.flush()
