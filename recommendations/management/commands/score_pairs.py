"""`manage.py score_pairs --in FILE.csv --out FILE.csv [--as-of DATE]`"""

from __future__ import annotations

import csv
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.export import (
    PAIR_COLUMNS,
    PairsFormatError,
    open_batch,
    pair_scores,
    read_pairs,
)
from recommendations.management.arguments import add_as_of, report_steps
from recommendations.training.pipeline import TrainingError


class Command(BaseCommand):
    help = "Add match_score to a CSV of username,imdb_id; it is fastest if a member's pairs are consecutive."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--in", dest="source", required=True, metavar="FILE.csv")
        parser.add_argument("--out", required=True, metavar="FILE.csv")
        add_as_of(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        source = Path(options["source"])
        try:
            with source.open(encoding="utf-8-sig", newline="") as file:
                pairs = read_pairs(file)
        except (OSError, UnicodeDecodeError, PairsFormatError, csv.Error) as error:
            raise CommandError(f"{source}: {error}") from error
        started, report = time.monotonic(), report_steps(self.stderr.write)
        try:
            batch = open_batch(options["as_of"], progress=report)
        except TrainingError as error:
            raise CommandError(str(error)) from error
        done = unknown = 0
        with Path(options["out"]).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*PAIR_COLUMNS, "match_score"])
            for run in pair_scores(pairs, batch=batch):
                for pair, score in run:
                    writer.writerow([pair.username, pair.imdb_id, "" if score is None else score])
                    if score is None:
                        unknown += 1
                        if unknown <= 10:
                            self.stderr.write(
                                f"line {pair.line}: no such member or movie:"
                                f" {pair.username}, {pair.imdb_id}"
                            )
                done += len(run)
                report(f"{len(pairs):,} pairs", done / len(pairs))
        self.stderr.write(
            f"Scored {done - unknown:,} of {done:,} pairs in {time.monotonic() - started:.1f} s;"
            f" {unknown:,} left empty."
        )
