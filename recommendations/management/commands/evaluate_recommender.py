from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from recommendations.algorithms.types import BadRatings
from recommendations.datasets.movielens import FolderError
from recommendations.evaluation.datasets import movielens_dataset, own_dataset
from recommendations.evaluation.protocol import Dataset
from recommendations.evaluation.report import bars, markdown
from recommendations.evaluation.runner import PROTOCOLS, evaluation
from recommendations.models import Training

try:
    from recommendations.evaluation import plots
except ImportError:  # matplotlib is needed for development alone
    plots = None  # type: ignore[assignment]

SECONDS_BETWEEN_LINES = 2.0
FEWEST_RATINGS = 100
_MEASURED_WITH = ("numpy", "scipy")


class Command(BaseCommand):
    help = (
        "Measure the engine beside popularity and item-kNN on held-out ratings: "
        "a report in Markdown, figures in JSON, pictures in PNG. Writes nothing to the database "
        "but the figures of the service's own ratings, which go with the active training."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--data", type=Path, metavar="DIR", help="a MovieLens folder (default: own ratings)"
        )
        parser.add_argument("--protocol", choices=[*PROTOCOLS, "both"], default="both")
        parser.add_argument("--seed", type=int, default=1, help="of the splits (default 1)")
        parser.add_argument(
            "--folds", type=int, default=5, help="rounds of the strong protocol (default 5)"
        )
        parser.add_argument(
            "--members",
            type=int,
            default=10_000,
            help="measure on so many members a round at most (default 10000)",
        )
        parser.add_argument(
            "--validation", action="store_true", help="for tuning: leave the part for testing alone"
        )
        parser.add_argument(
            "--output", type=Path, default=Path("evaluation"), metavar="DIR", help="for the files"
        )
        parser.add_argument("--dry-run", action="store_true", help="store nothing in the database")

    def handle(self, *, output: Path, protocol: str, dry_run: bool, **options: Any) -> None:
        if options["folds"] < 2 or options["members"] < 1 or options["seed"] < 0:
            raise CommandError("--folds is at least 2, --members at least 1, --seed at least 0.")
        self._began = self._last_line = time.monotonic()
        data = self._read(options["data"])
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"--output {output}: {error}") from error
        for each in PROTOCOLS if protocol == "both" else (protocol,):
            run = evaluation(
                data,
                protocol=each,
                seed=options["seed"],
                folds=options["folds"],
                members=options["members"],
                validation=options["validation"],
                progress=self._progress,
            )
            run["machine"] = machine()
            self._write(run, output)
            if options["data"] is None and not dry_run and not options["validation"]:
                self._store(run)

    def _read(self, folder: Path | None) -> Dataset:
        try:
            data = own_dataset(self._progress) if folder is None else movielens_dataset(folder)
        except (FolderError, BadRatings, OSError) as error:
            raise CommandError(str(error)) from error
        if len(data.ratings) < FEWEST_RATINGS:
            raise CommandError(
                f"{len(data.ratings)} ratings are too few to measure with; "
                f"{FEWEST_RATINGS} are the least."
            )
        return data

    def _progress(self, what: str, part: float) -> None:
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.stderr.write(f"{what}: {part:.0%} ({now - self._began:.0f} s)")

    def _write(self, run: dict[str, Any], output: Path) -> None:
        stem = f"{run['data']['name'].replace(' ', '-')}-{run['protocol']}"
        pictures = []
        if plots is None:
            self.stderr.write("No pictures: matplotlib is not installed (requirements-dev.txt).")
        else:
            for name, draw in (
                ("reliability", plots.reliability_diagram),
                ("history", plots.history_curve),
            ):
                if draw(run, output / f"{stem}-{name}.png"):
                    pictures.append(f"{stem}-{name}.png")
        report = markdown(run, pictures=pictures)
        (output / f"{stem}.md").write_text(report, encoding="utf-8")
        text = json.dumps(run, indent=1, allow_nan=False)
        (output / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
        self.stdout.write(report)
        self.stdout.write(f"Written: {output / stem}.md, .json and {len(pictures)} pictures.")
        if missed := [bar.what for bar in bars(run) if not bar.kept]:
            self.stdout.write(self.style.WARNING(f"Missed: {', '.join(missed)}."))

    def _store(self, run: dict[str, Any]) -> None:
        training = Training.objects.filter(active=True).only("metrics").first()
        if training is None:
            self.stderr.write("There is no active training to keep these figures with.")
            return
        reports = training.metrics.get("evaluation", {}) | {run["protocol"]: run}
        training.metrics = training.metrics | {"evaluation": reports}
        training.save(update_fields=["metrics"])
        self.stdout.write(f"Kept with training {training.pk}; see it in admin.")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{name: version(name) for name in _MEASURED_WITH},
        "commit": _commit() or "unknown",
        "peak memory": f"{_peak_memory_mb():,.0f} MB",
    }


def _commit() -> str | None:
    """The commit that runs, with a + where files differ from it."""
    git = shutil.which("git")
    if git is None:
        return os.environ.get("RENDER_GIT_COMMIT")
    found = subprocess.run(  # noqa: S603
        [git, "describe", "--always", "--dirty=+", "--abbrev=12"],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or os.environ.get("RENDER_GIT_COMMIT")


def _peak_memory_mb() -> float:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
