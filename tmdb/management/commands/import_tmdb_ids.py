"""Import TMDb's daily export of ids (tmdb.sync.id_export)."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from tmdb.sync.base_command import SyncCommand
from tmdb.sync.id_export import NAME, ExportFileError, exported_movies_import


class Command(SyncCommand):
    help = (
        "Store the movies of TMDb's daily export (movie_ids_MM_DD_YYYY.json.gz) with title and "
        "popularity. Their details are fetched when they are first opened."
    )
    name = NAME

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.json.gz", type=Path)
        parser.add_argument(
            "--min-popularity",
            type=_parse_popularity,
            default=0.0,
            metavar="X",
            help="skip movies less popular than this; default: 0",
        )
        self.add_dry_run_argument(parser)

    def run_sync(self, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]
        try:
            result = exported_movies_import(
                path=options["file"],
                min_popularity=options["min_popularity"],
                report_progress=self.report_progress,
                dry_run=dry_run,
            )
        except ExportFileError as error:
            raise CommandError(str(error)) from error
        if result.resumed:
            self.stdout.write("Continued a run that was cut off; the counts include it.")
        store, update = ("Would store", "update") if dry_run else ("Stored", "updated")
        self.report_summary(
            f"{store} {result.created:,} new movies and {update} the popularity of "
            f"{result.updated:,}; {result.unchanged:,} are unchanged; skipped {result.skipped:,} "
            f"(adult, video or less popular); read {result.lines:,} lines",
            result.failures,
        )


def _parse_popularity(text: str) -> float:
    try:
        popularity = float(text)
    except ValueError:
        popularity = math.nan
    if not 0 <= popularity < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a popularity; write a number from 0 on")
    return popularity
