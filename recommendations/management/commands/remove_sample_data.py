from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.datasets.starter import MoviesFileError, sample_remove


class Command(BaseCommand):
    help = (
        "Delete what load_starter stored: the sample members with all they own, and the "
        "starter movies that nobody else uses and no other source has taken over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="delete nothing; print what would be deleted"
        )
        parser.add_argument("--keep-movies", action="store_true", help="delete the members only")

    def handle(self, *, dry_run: bool, keep_movies: bool, **options: Any) -> None:
        try:
            removed = sample_remove(keep_movies=keep_movies, dry_run=dry_run)
        except MoviesFileError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{'Would remove' if dry_run else 'Removed'}: {removed.members} sample members with "
            f"{removed.ratings:,} ratings and {removed.playlists} playlists; "
            f"{removed.movies} movies and {removed.people} people credited in no other movie."
        )
        if keep_movies:
            self.stdout.write("Stays: all movies.")
        for reason, number in removed.movies_kept.items():
            self.stdout.write(f"Stays: {number} movies {reason}.")
