from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.datasets.movielens import (
    PREFIX,
    FolderError,
    PrefixError,
    Summary,
    movielens_import,
)

SECONDS_BETWEEN_LINES = 1.0


class Command(BaseCommand):
    help = (
        "Import a MovieLens folder (movies.csv, links.csv, ratings.csv): movies, members named "
        "ml-<id> (or as --prefix says) who cannot log in, and their ratings. Can be run again at any time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path)
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing; print what would be written"
        )
        parser.add_argument(
            "--prefix",
            default=PREFIX,
            metavar="NAME",
            help=f"members are named NAME<id> (default {PREFIX}); another one keeps several sets "
            "of ratings side by side, on shared movies",
        )

    def handle(self, *, folder: Path, dry_run: bool, prefix: str, **options: Any) -> None:
        started = time.monotonic()
        self._last_line = started
        try:
            summary = movielens_import(
                folder=folder, progress=self._progress, dry_run=dry_run, prefix=prefix
            )
        except (FolderError, PrefixError) as error:
            raise CommandError(str(error)) from error
        self._report(summary, dry_run=dry_run, seconds=time.monotonic() - started)

    def _progress(self, what: str, rows: int, part: float) -> None:
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.stderr.write(f"{what}: {rows:,} ({part:.0%})")

    def _report(self, summary: Summary, *, dry_run: bool, seconds: float) -> None:
        bad, movies, ratings = summary.bad_rows, summary.movies, summary.ratings
        if bad.count:
            self.stderr.write(f"{bad.count:,} bad rows were left out:")
            for line in bad.first:
                self.stderr.write(f"  {line}")
            if bad.count > len(bad.first):
                self.stderr.write(f"  … and {bad.count - len(bad.first):,} more")
        if summary.names_taken:
            shown = ", ".join(summary.names_taken[:5])
            self.stderr.write(
                f"{len(summary.names_taken):,} members were left out, because members who were not "
                f"imported have their names: {shown}"
            )
        self.stdout.write(
            f"{'Would write' if dry_run else 'Imported'}: "
            f"movies {movies.created:,} new, {movies.updated:,} changed, "
            f"{movies.unchanged:,} as they were, {movies.repeated:,} named twice; "
            f"members {summary.members_created:,} new, {summary.members_known:,} known; "
            f"ratings {ratings.created:,} new, {ratings.updated:,} changed, "
            f"{ratings.unchanged:,} as they were ({seconds:.1f} s)."
        )
        if not summary.changed_anything:
            self.stdout.write("Everything was there already; nothing was changed.")
