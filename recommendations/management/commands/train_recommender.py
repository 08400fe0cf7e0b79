"""`manage.py train_recommender [--ratings-since DATE] [--dry-run] [--force] [--rollback] [--cluster ADDRESS]`"""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.algorithms.types import BadRatings
from recommendations.management.arguments import parse_moment, report_steps
from recommendations.training.cluster import ClusterError, connect
from recommendations.training.pipeline import (
    AlreadyTrainingError,
    TooFewRatingsError,
    TrainingError,
    training_rollback,
    training_run,
)

# Exit statuses, for schedulers.
FAILED, ALREADY_RUNNING = 1, 3


class Command(BaseCommand):
    help = (
        "Train on the members' ratings, and rank and score with the result from then on. "
        "The exit status is 3 if another training is running."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--ratings-since",
            type=parse_moment,
            metavar="DATE",
            help="learn only from ratings made or changed since then (ISO 8601, UTC)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="learn and measure, but store nothing"
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="train on fewer ratings than needed, and switch even to a worse training",
        )
        parser.add_argument(
            "--rollback",
            action="store_true",
            help="switch back to the training before the active one",
        )
        parser.add_argument(
            "--cluster",
            metavar="ADDRESS",
            help="compute on the Dask cluster with this scheduler (tcp://host:8786)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["rollback"]:
                self._rollback(dry_run=options["dry_run"])
            else:
                self._train(options)
        except AlreadyTrainingError as error:
            raise CommandError(str(error), returncode=ALREADY_RUNNING) from error
        except (TrainingError, BadRatings, ClusterError) as error:
            raise CommandError(str(error), returncode=FAILED) from error

    def _train(self, options: dict[str, Any]) -> None:
        try:
            address = options["cluster"]
            with connect(address) if address else nullcontext() as executor:
                report = training_run(
                    progress=report_steps(self.stderr.write),
                    since=options["ratings_since"],
                    dry_run=options["dry_run"],
                    force=options["force"],
                    executor=executor,
                )
        except TooFewRatingsError as error:
            # Not an error: a young community is served without a training.
            self.stdout.write(f"Nothing trained. {error}")
            return
        training = report.training
        if report.cleared:
            self.stdout.write(f"Cleared away {report.cleared} unfinished training(s).")
        done = "Would train" if options["dry_run"] else f"Training {training.pk} is active"
        self.stdout.write(
            f"{done}: {training.rating_count:,} ratings, {training.member_count:,} members, "
            f"{training.movie_count:,} movies, {training.duration_s:.1f} s."
        )
        self.stdout.write(f"On held-out members: {_format_figures(report.figures)}.")
        if report.of_active is not None:
            self.stdout.write(f"The one before had: {_format_figures(report.of_active)}.")
        if report.removed:
            self.stdout.write(f"Removed: training {', '.join(map(str, report.removed))}.")

    def _rollback(self, *, dry_run: bool) -> None:
        active, before = training_rollback(dry_run=dry_run)
        word = "Would go" if dry_run else "Went"
        self.stdout.write(f"{word} back from training {active.pk} to training {before.pk}.")


def _format_figures(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())
