"""Run the imports that are waiting, as the serving processes do."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from contextlib import closing
from threading import Event
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from social.models import Import
from social.transfer.job_queue import process_imports

POLL_INTERVAL_S = 2.0


class Command(BaseCommand):
    help = (
        "Read, match, apply and undo the imports that are waiting, then exit. The serving processes"
        " do this too; the command is for a host that serves nothing, or to watch the progress."
        " Ctrl-C stops after the current batch, and another process continues from there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--watch", action="store_true", help="wait for more until Ctrl-C")
        parser.add_argument(
            "--dry-run", action="store_true", help="list what is waiting and do nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            for job in Import.objects.exclude(step=Import.Step.NONE).order_by("queued_at", "id"):
                self._print_progress(job)
            return
        self._stop_requested = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request_stop)
        finished = self._process_imports()
        while options["watch"] and not self._stop_requested.wait(POLL_INTERVAL_S):
            finished += self._process_imports()
        self.stdout.write(f"{finished:,} finished.")

    def _process_imports(self) -> int:
        finished = 0
        with closing(process_imports()) as jobs:
            for job in jobs:
                self._print_progress(job)
                finished += job.step == Import.Step.NONE
                if self._stop_requested.is_set():
                    break
        return finished

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_requested.set()

    def _print_progress(self, job: Import) -> None:
        if job.step:
            total = f" of {job.total:,}" if job.total else ""
            self.stderr.write(f"import {job.pk}, {job.step}: {job.position:,}{total}")
