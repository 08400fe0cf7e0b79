"""Arguments that several commands have."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime

from django.utils import timezone

SECONDS_BETWEEN_LINES = 1.0


def parse_moment(text: str) -> datetime:
    """Return the moment of an ISO 8601 date or time, in UTC if it has no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date such as 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_past_moment(text: str) -> datetime:
    """Return a moment that is not in the future."""
    moment = parse_moment(text)
    if moment > timezone.now():
        raise ArgumentTypeError(f"{text} is in the future")
    return moment


def add_as_of(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--as-of",
        type=parse_past_moment,
        metavar="DATE",
        help="use only what was known before this moment (ISO 8601, UTC): fits a model in memory on "
        "the ratings before it, and uses no later rating or feedback",
    )


def report_steps(write: Callable[[str], object]) -> Callable[[str, float], None]:
    """Return a function that writes the share of a step that is done, at most once a second."""
    written_at, written_step = 0.0, ""

    def report(step: str, share: float) -> None:
        nonlocal written_at, written_step
        now = time.monotonic()
        if step != written_step or now - written_at >= SECONDS_BETWEEN_LINES:
            written_at, written_step = now, step
            write(f"{step}: {share:.0%}")

    return report
