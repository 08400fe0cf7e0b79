"""The base class of the sync commands: one run at a time, progress, summary and exit status."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tmdb.client.errors import TmdbAuthFailed, TmdbNotConfigured
from tmdb.sync.checkpoint import SyncAlreadyRunning, SyncFailures, SyncInterrupted, single_run

PROGRESS_INTERVAL_S = 1.0


class SyncCommand(BaseCommand):
    """A command whose `run_sync` ends with `report_summary`; the exit status is 1 if anything failed."""

    name: str
    _started_at = _reported_at = 0.0

    def add_dry_run_argument(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="report what would be stored; write nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._started_at = self._reported_at = time.monotonic()
        try:
            with single_run(self.name):
                self.run_sync(options)
        except SyncAlreadyRunning:
            raise CommandError(
                f"Another {self.name} is running. Wait until it has ended."
            ) from None
        except SyncInterrupted as error:
            raise CommandError(
                f"TMDb is unavailable ({error}). Run {self.name} again to continue from here."
            ) from None
        except TmdbNotConfigured as error:
            raise CommandError(
                f"{error}. Set TMDB_ACCESS_TOKEN to TMDb's API Read Access Token."
            ) from None
        except TmdbAuthFailed as error:
            raise CommandError(
                f"TMDb rejects the credential ({error}). Check TMDB_ACCESS_TOKEN."
            ) from None

    def run_sync(self, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def report_progress(self, what: str, done: int, total: int | None) -> None:
        """Write a progress line, at most one per PROGRESS_INTERVAL_S."""
        now = time.monotonic()
        if now - self._reported_at >= PROGRESS_INTERVAL_S:
            self._reported_at = now
            share = f" of {total:,} ({done / total:.0%})" if total else ""
            self.stderr.write(f"{what}: {done:,}{share}")

    def report_summary(self, summary: str, failures: SyncFailures) -> None:
        """Write the summary; if anything failed, list the first failures and raise CommandError."""
        self.stdout.write(f"{summary} ({time.monotonic() - self._started_at:.1f} s).")
        if failures.count:
            for reason in failures.reasons:
                self.stderr.write(f"  {reason}")
            if failures.count > len(failures.reasons):
                self.stderr.write(f"  … and {failures.count - len(failures.reasons):,} more")
            raise CommandError(f"{failures.count:,} failed.")


def parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a day; write it like 2026-01-31") from None


def make_integer_parser(lowest: int, highest: int) -> Callable[[str], int]:
    """Return an argument type that accepts the integers from `lowest` to `highest`."""

    def parse_integer(text: str) -> int:
        if text.isascii() and text.isdigit() and lowest <= int(text[:12]) <= highest:
            return int(text)
        raise ArgumentTypeError(f"{text!r} is not an integer from {lowest} to {highest}")

    return parse_integer
