"""Refresh movies that changed at TMDb or are old (tmdb.sync.changes)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from tmdb.gateway import build_batch_gateway
from tmdb.sync.base_command import SyncCommand, make_integer_parser
from tmdb.sync.changes import NAME, REFRESH_AFTER, movies_refresh

DEFAULT_LIMIT = 10_000


class Command(SyncCommand):
    help = (
        "Refresh the movies that changed at TMDb since the last run, and those last synced more "
        f"than {REFRESH_AFTER.days} days ago. Movies that TMDb deleted are marked and stay."
    )
    name = NAME

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--limit",
            type=make_integer_parser(1, 10_000_000),
            default=DEFAULT_LIMIT,
            help=f"movies to refresh at most; default: {DEFAULT_LIMIT:,}",
        )
        self.add_dry_run_argument(parser)

    def run_sync(self, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]
        result = movies_refresh(
            gateway=build_batch_gateway(),
            limit=options["limit"],
            report_progress=self.report_progress,
            dry_run=dry_run,
        )
        if dry_run:
            summary = f"Would refresh {result.changed:,} changed and {result.old:,} old movies"
        else:
            summary = (
                f"Refreshed {result.refreshed:,} movies of {result.changed:,} changed and "
                f"{result.old:,} old ones; marked {result.removed:,} that TMDb deleted"
            )
        if result.is_limited:
            summary += "; the limit leaves some to the next run"
        self.report_summary(summary, result.failures)
