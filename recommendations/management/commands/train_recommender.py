"""`manage.py train_recommender [--ratings-since DATE] [--dry-run] [--force] [--rollback]`"""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.algorithms.types import BadRatings
from recommendations.training.pipeline import (
    AlreadyTrainingError,
    TooFewRatingsError,
    TrainingError,
    training_rollback,
    training_run,
)

# Told apart by whoever schedules it.
FAILED, ALREADY_RUNNING = 1, 3


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date such as 2026-01-31") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = (
        "Learn from the members' ratings, and rank and score by what was learned from then on. "
        "Ends with 3 where another training is running."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--ratings-since",
            type=_moment,
            metavar="DATE",
            help="learn only from ratings made or changed since then (ISO 8601, UTC)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="learn and measure, but store nothing"
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="however few the ratings, and however much worse than the active training",
        )
        parser.add_argument(
            "--rollback", action="store_true", help="go back to the training before the active one"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["rollback"]:
                self._rollback(dry_run=options["dry_run"])
            else:
                self._train(options)
        except AlreadyTrainingError as error:
            raise CommandError(str(error), returncode=ALREADY_RUNNING) from error
        except (TrainingError, BadRatings) as error:
            raise CommandError(str(error), returncode=FAILED) from error

    def _train(self, options: dict[str, Any]) -> None:
        shown_at, shown_step = time.monotonic(), ""

        def progress(step: str, part: float) -> None:
            nonlocal shown_at, shown_step
            now = time.monotonic()
            if step != shown_step or now - shown_at >= 1:
                shown_at, shown_step = now, step
                self.stderr.write(f"{step}: {part:.0%}")

        try:
            outcome = training_run(
                progress=progress,
                since=options["ratings_since"],
                dry_run=options["dry_run"],
                force=options["force"],
            )
        except TooFewRatingsError as error:
            # Nothing is wrong: a young community is served without training.
            self.stdout.write(f"Nothing trained. {error}")
            return
        training = outcome.training
        if outcome.cleared:
            self.stdout.write(f"Cleared away {outcome.cleared} unfinished training(s).")
        done = "Would train" if options["dry_run"] else f"Training {training.pk} is active"
        self.stdout.write(
            f"{done}: {training.rating_count:,} ratings, {training.member_count:,} members, "
            f"{training.movie_count:,} movies, {training.duration_s:.1f} s."
        )
        self.stdout.write(f"On members it never saw: {_told(outcome.figures)}.")
        if outcome.of_active is not None:
            self.stdout.write(f"The one before it had: {_told(outcome.of_active)}.")
        if outcome.removed:
            self.stdout.write(f"Removed: training {', '.join(map(str, outcome.removed))}.")

    def _rollback(self, *, dry_run: bool) -> None:
        active, before = training_rollback(dry_run=dry_run)
        word = "Would go" if dry_run else "Went"
        self.stdout.write(f"{word} back from training {active.pk} to training {before.pk}.")


def _told(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())
