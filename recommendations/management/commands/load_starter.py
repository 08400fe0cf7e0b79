from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.datasets.starter import MoviesFileError, starter_load


class Command(BaseCommand):
    help = (
        "Load the starter catalogue and a made-up community, marked as sample, whose members "
        "cannot log in. Can be run again at any time; remove_sample_data deletes it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing; print what would be written"
        )

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        started = time.monotonic()
        try:
            loaded = starter_load(dry_run=dry_run)
        except MoviesFileError as error:
            raise CommandError(str(error)) from error
        if loaded.names_taken:
            self.stderr.write(
                f"{len(loaded.names_taken)} sample members were left out, because members who "
                f"registered have their names: {', '.join(loaded.names_taken[:5])}"
            )
        if not loaded.changed_anything:
            self.stdout.write(
                f"The starter catalogue ({loaded.movies.unchanged} movies, {loaded.members_known} "
                "sample members) was there already; nothing was changed."
            )
            return
        self.stdout.write(
            f"{'Would write' if dry_run else 'Loaded'}: movies {loaded.movies.created} new, "
            f"{loaded.movies.updated} changed, {loaded.movies.unchanged} as they were; sample members "
            f"{loaded.members_created} new, {loaded.members_known} known, with "
            f"{loaded.ratings:,} ratings, {loaded.reviews} reviews and {loaded.playlists} playlists "
            f"({time.monotonic() - started:.1f} s)."
        )
