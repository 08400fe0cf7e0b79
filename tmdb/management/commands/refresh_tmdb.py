from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from tmdb.cache import batch_client
from tmdb.sync.base_command import KeepingCommand, number_between
from tmdb.sync.changes import NAME, REFRESH_AFTER, tmdb_refresh

DEFAULT_LIMIT = 10_000


class Command(KeepingCommand):
    help = (
        "Ask TMDb again for the films that changed there since the last refresh, and for those "
        f"held longer than {REFRESH_AFTER.days} days. What TMDb deleted is marked and stays."
    )
    name = NAME

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--limit",
            type=number_between(1, 10_000_000),
            default=DEFAULT_LIMIT,
            help=f"films in all; default: {DEFAULT_LIMIT:,}",
        )
        self.add_dry_run(parser)

    def work(self, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]
        done = tmdb_refresh(
            client=batch_client(),
            limit=options["limit"],
            progress=self.progress,
            dry_run=dry_run,
        )
        if dry_run:
            summary = f"Would refresh: films {done.changed:,} changed, {done.old:,} old"
        else:
            summary = (
                f"Refreshed: films {done.refreshed:,} of {done.changed:,} changed and {done.old:,} "
                f"old; {done.removed:,} are gone at TMDb and were marked"
            )
        if done.left_over:
            summary += "; the limit leaves some to the next run"
        self.finish(summary, done.failures)
