from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from tmdb.sync.base_command import KeepingCommand
from tmdb.sync.id_export import NAME, ExportError, export_import


class Command(KeepingCommand):
    help = (
        "Store the films of TMDb's daily export (movie_ids_MM_DD_YYYY.json.gz) with title and "
        "popularity; their details follow when somebody asks for them."
    )
    name = NAME

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.json.gz", type=Path)
        parser.add_argument(
            "--min-popularity",
            type=_popularity,
            default=0.0,
            metavar="X",
            help="leave films below this out; default: 0",
        )
        self.add_dry_run(parser)

    def work(self, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]
        try:
            done = export_import(
                path=options["file"],
                min_popularity=options["min_popularity"],
                progress=self.progress,
                dry_run=dry_run,
            )
        except ExportError as error:
            raise CommandError(str(error)) from error
        if done.resumed:
            self.stdout.write("A run that was cut off was taken up; its counts are included.")
        self.finish(
            f"{'Would store' if dry_run else 'Stored'}: films {done.created:,} new, popularity of "
            f"{done.updated:,} changed, {done.unchanged:,} as they were; {done.left_out:,} left out "
            f"(adult, video or less popular); {done.lines:,} lines",
            done.failures,
        )


def _popularity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"{text!r} is no popularity: a number from 0 on")
    return value
