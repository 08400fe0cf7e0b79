"""The frame of the commands that keep the catalogue: one run, progress, summary, exit code."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tmdb.client.errors import TmdbAuthFailed, TmdbNotConfigured
from tmdb.sync.checkpoint import AlreadyRunning, Failures, Interrupted, sole_run

SECONDS_BETWEEN_LINES = 1.0


class KeepingCommand(BaseCommand):
    """Ends with status 1 where anything failed; `work` calls `finish` with the summary."""

    name: str
    _began = _last_line = 0.0

    def add_dry_run(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing, say what would be"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._began = self._last_line = time.monotonic()
        try:
            with sole_run(self.name):
                self.work(options)
        except AlreadyRunning:
            raise CommandError(
                f"{self.name} is running already; one at a time is enough."
            ) from None
        except Interrupted as error:
            raise CommandError(
                f"TMDb does not answer ({error}). What was done is stored; run it again to go on."
            ) from None
        except TmdbNotConfigured:
            raise CommandError("TMDB_ACCESS_TOKEN is not set; this command needs it.") from None
        except TmdbAuthFailed as error:
            raise CommandError(f"TMDb does not take this credential: {error}.") from None

    def work(self, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def progress(self, what: str, done: int, total: int | None) -> None:
        """A line a second at most."""
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            part = f" of {total:,} ({done / total:.0%})" if total else ""
            self.stderr.write(f"{what}: {done:,}{part}")

    def finish(self, summary: str, failures: Failures) -> None:
        self.stdout.write(f"{summary} ({time.monotonic() - self._began:.1f} s).")
        if failures.count:
            for line in failures.first:
                self.stderr.write(f"  {line}")
            if failures.count > len(failures.first):
                self.stderr.write(f"  … and {failures.count - len(failures.first):,} more")
            raise CommandError(f"{failures.count:,} failed.")


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write it as 2026-01-31") from None


def number_between(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and lowest <= int(text[:12]) <= highest:
            return int(text)
        raise ArgumentTypeError(f"{text!r} is no whole number from {lowest} to {highest}")

    return read
