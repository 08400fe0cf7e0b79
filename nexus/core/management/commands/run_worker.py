"""Run background jobs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from nexus.core.background.queues import Queue
from nexus.core.background.worker import run_worker


class Command(BaseCommand):
    help = (
        "Run background jobs: mails, imports, periodic work. SIGTERM or Ctrl-C stops it: running jobs"
        " end or go back to their queue. Any number of workers may run at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--queues",
            nargs="+",
            choices=list(Queue),
            default=list(Queue),
            metavar="QUEUE",
            help=f"run these queues only: {', '.join(Queue)} (default: all)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run_worker([Queue(name) for name in options["queues"]])
