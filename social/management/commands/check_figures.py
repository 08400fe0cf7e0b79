"""Compare public figures with the rows they count, and correct them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from social.services.figures import figures_reconcile


class Command(BaseCommand):
    help = (
        "Compare the movies' rating counts, sums and trends and the playlists' movie counts with the"
        " rows they count, and correct what differs. Runs every night in the background. Nobody has"
        " to wait for it: only wrong movies are locked, and only while they are corrected."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        check = figures_reconcile()
        self.stdout.write(
            f"Corrected the figures of {check.movies:,} movies and {check.playlists:,} playlists, and"
            f" whether {check.ratings:,} ratings are counted."
        )
