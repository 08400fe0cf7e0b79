"""Work on the imports that members have asked for, as the serving processes do."""

from __future__ import annotations

import signal
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from social.models import Import
from social.transfer.job_queue import run_imports

POLL_S = 2.0


class Command(BaseCommand):
    help = (
        "Read, match, apply and undo the imports that wait, then end. The serving processes do the"
        " same; this is for one that serves nothing, or to see what happens. Ctrl-C ends it after"
        " the piece at hand, and whoever comes next goes on from there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--watch", action="store_true", help="wait for more, until Ctrl-C")
        parser.add_argument("--dry-run", action="store_true", help="say what waits, do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            for job in Import.objects.exclude(step="").order_by("queued_at", "id"):
                self._tell(job)
            return
        self._stopping = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        done = run_imports(go_on=self._goes_on, on_progress=self._tell)
        while options["watch"] and self._goes_on():
            time.sleep(POLL_S)
            done += run_imports(go_on=self._goes_on, on_progress=self._tell)
        self.stdout.write(f"{done:,} finished.")

    def _goes_on(self) -> bool:
        return not self._stopping

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _tell(self, job: Import) -> None:
        if job.step:
            part = f" of {job.total:,}" if job.total else ""
            self.stderr.write(f"import {job.pk}, {job.step}: {job.position:,}{part}")
