from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.datasets.starter import FilmsFileError, sample_remove


class Command(BaseCommand):
    help = (
        "Take away what load_starter brought: the sample members with all they own, and the "
        "starter films that nobody else uses and no other source has taken over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="take nothing, say what would go"
        )
        parser.add_argument("--keep-films", action="store_true", help="take the members only")

    def handle(self, *, dry_run: bool, keep_films: bool, **options: Any) -> None:
        try:
            removed = sample_remove(keep_films=keep_films, dry_run=dry_run)
        except FilmsFileError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{'Would remove' if dry_run else 'Removed'}: {removed.members} sample members with "
            f"{removed.ratings:,} ratings and {removed.playlists} playlists; "
            f"{removed.films} films and {removed.people} people credited in no other film."
        )
        if keep_films:
            self.stdout.write("Stays: all films, as asked.")
        for reason, number in removed.films_kept.items():
            self.stdout.write(f"Stays: {number} films {reason}.")
