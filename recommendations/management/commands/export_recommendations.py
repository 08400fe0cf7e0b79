"""`manage.py export_recommendations --top K --out FILE.csv [--as-of DATE]`"""

from __future__ import annotations

import csv
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from recommendations.export import RECOMMENDATION_COLUMNS, open_batch, recommendation_rows
from recommendations.management.arguments import add_as_of, report_steps
from recommendations.training.pipeline import TrainingError


class Command(BaseCommand):
    help = "Write the best recommendations of every member, or of those named, as CSV."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--top", type=int, default=20, help="movies a member (1 to 300)")
        parser.add_argument(
            "--out", required=True, metavar="FILE.csv", help="- for standard output"
        )
        parser.add_argument(
            "--usernames", metavar="FILE", help="only these members, one username a line"
        )
        add_as_of(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["top"] <= 300:
            raise CommandError("--top must be from 1 to 300.")
        users = User.objects.filter(is_active=True).order_by("id")
        if options["usernames"]:
            users = users.filter(pk__in=self._read_user_ids(Path(options["usernames"])))
        total = users.count()
        started, report = time.monotonic(), report_steps(self.stderr.write)
        try:
            batch = open_batch(options["as_of"], progress=report)
        except TrainingError as error:
            raise CommandError(str(error)) from error
        with Path(options["out"]).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(RECOMMENDATION_COLUMNS)
            done = 0
            members = users.iterator(chunk_size=500)
            for rows in recommendation_rows(members, top=options["top"], batch=batch):
                writer.writerows(rows)
                done += 1
                report(f"{total:,} members", done / total)
        seconds = time.monotonic() - started
        self.stderr.write(f"Recommendations of {done:,} members in {seconds:.1f} s.")

    def _read_user_ids(self, path: Path) -> list[int]:
        try:
            names = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path} cannot be read: {error}") from error
        ids = dict(User.objects.filter(username__in=names).values_list("username", "id"))
        if unknown := [name for name in names if name not in ids]:
            first = ", ".join(unknown[:10])
            self.stderr.write(f"{len(unknown)} of {len(names)} usernames are unknown: {first}")
        return list(ids.values())
