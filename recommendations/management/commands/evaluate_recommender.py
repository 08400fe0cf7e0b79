from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from recommendations.algorithms.types import BadRatings
from recommendations.datasets.movielens import FolderError
from recommendations.evaluation.datasets import read_movielens, read_own_ratings
from recommendations.evaluation.protocol import PROTOCOLS, Dataset
from recommendations.evaluation.report import check_bars, render_ablation, render_markdown
from recommendations.evaluation.runner import ABLATION_PROTOCOLS, evaluate, make_ablation
from recommendations.management.arguments import report_steps
from recommendations.models import Training

try:
    from recommendations.evaluation import plots
except ImportError:  # matplotlib is only in requirements-dev.txt
    plots = None  # type: ignore[assignment]

MIN_RATINGS = 100
_LIBRARIES = ("numpy", "scipy")


class Command(BaseCommand):
    help = (
        "Measure the engine beside baselines on held-out ratings: a report in Markdown, figures in "
        "JSON, charts in PNG. Writes nothing to the database but the figures of the service's own "
        "ratings, which are stored with the active training."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--data", type=Path, metavar="DIR", help="a MovieLens folder (default: own ratings)"
        )
        parser.add_argument(
            "--protocol",
            choices=[*PROTOCOLS, "all"],
            default="all",
            help="how ratings are held out: by a hash (weak), for new members (strong), or by time",
        )
        parser.add_argument(
            "--ablation",
            action="store_true",
            help="measure the engine without each of its parts instead of the baselines",
        )
        parser.add_argument("--seed", type=int, default=1, help="of the splits (default 1)")
        parser.add_argument(
            "--folds", type=int, default=5, help="rounds of the strong protocol (default 5)"
        )
        parser.add_argument(
            "--members",
            type=int,
            default=10_000,
            help="measure on at most so many members in a round (default 10000)",
        )
        parser.add_argument(
            "--validation", action="store_true", help="for tuning: do not use the part for testing"
        )
        parser.add_argument(
            "--output", type=Path, default=Path("evaluation"), metavar="DIR", help="for the files"
        )
        parser.add_argument("--dry-run", action="store_true", help="store nothing in the database")

    def handle(self, *, output: Path, protocol: str, dry_run: bool, **options: Any) -> None:
        if options["folds"] < 2 or options["members"] < 1 or options["seed"] < 0:
            raise CommandError("--folds is at least 2, --members at least 1, --seed at least 0.")
        self._progress = report_steps(self.stderr.write)
        data = self._read(options["data"])
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"--output {output}: {error}") from error
        arguments = {name: options[name] for name in ("seed", "folds", "members", "validation")}
        if options["ablation"]:
            protocols = ABLATION_PROTOCOLS if protocol == "all" else (protocol,)
            self._ablate(data, protocols, output, arguments)
            return
        for each in PROTOCOLS if protocol == "all" else (protocol,):
            run = evaluate(data, protocol=each, progress=self._progress, **arguments)
            run["machine"] = describe_machine()
            self._write(run, output)
            if options["data"] is None and not dry_run and not options["validation"]:
                self._store(run)

    def _ablate(
        self, data: Dataset, protocols: Sequence[str], output: Path, arguments: dict[str, Any]
    ) -> None:
        runs = [
            evaluate(
                data,
                protocol=protocol,
                progress=self._progress,
                make=partial(make_ablation, protocol),
                **arguments,
            )
            for protocol in protocols
        ]
        stem = f"{data.name.replace(' ', '-')}-ablation"
        table = render_ablation(runs)
        (output / f"{stem}.md").write_text(table, encoding="utf-8")
        (output / f"{stem}.json").write_text(_dump(runs), encoding="utf-8")
        self.stdout.write(table)
        self.stdout.write(f"Written: {output / stem}.md and .json.")

    def _read(self, folder: Path | None) -> Dataset:
        try:
            data = read_own_ratings(self._progress) if folder is None else read_movielens(folder)
        except (FolderError, BadRatings, OSError) as error:
            raise CommandError(str(error)) from error
        if len(data.ratings) < MIN_RATINGS:
            raise CommandError(
                f"{len(data.ratings)} ratings are too few to measure with; "
                f"at least {MIN_RATINGS} are needed."
            )
        return data

    def _write(self, run: dict[str, Any], output: Path) -> None:
        stem = f"{run['data']['name'].replace(' ', '-')}-{run['protocol']}"
        pictures = []
        if plots is None:
            self.stderr.write("No charts: matplotlib is not installed (requirements-dev.txt).")
        else:
            for name, plot in (
                ("reliability", plots.plot_reliability),
                ("history", plots.plot_history),
            ):
                if plot(run, output / f"{stem}-{name}.png"):
                    pictures.append(f"{stem}-{name}.png")
        report = render_markdown(run, pictures=pictures)
        (output / f"{stem}.md").write_text(report, encoding="utf-8")
        (output / f"{stem}.json").write_text(_dump(run), encoding="utf-8")
        self.stdout.write(report)
        self.stdout.write(f"Written: {output / stem}.md, .json and {len(pictures)} charts.")
        if missed := [bar.name for bar in check_bars(run) if not bar.is_met]:
            self.stdout.write(self.style.WARNING(f"Missed: {', '.join(missed)}."))

    def _store(self, run: dict[str, Any]) -> None:
        training = Training.objects.filter(active=True).only("metrics").first()
        if training is None:
            self.stderr.write("There is no active training to store these figures with.")
            return
        reports = training.metrics.get("evaluation", {}) | {run["protocol"]: run}
        training.metrics = training.metrics | {"evaluation": reports}
        training.save(update_fields=["metrics"])
        self.stdout.write(f"Stored with training {training.pk}; the admin shows it.")


def _dump(figures: Any) -> str:
    return json.dumps(figures, indent=1, allow_nan=False) + "\n"


def describe_machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "commit": _find_commit() or "unknown",
        "peak memory": f"{_peak_memory_mb():,.0f} MB",
    }


def _find_commit() -> str | None:
    """Return the commit that runs, with a + if files differ from it."""
    git = shutil.which("git")
    if git is None:
        return os.environ.get("RENDER_GIT_COMMIT")
    described = subprocess.run(  # noqa: S603
        [git, "describe", "--always", "--dirty=+", "--abbrev=12"],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or os.environ.get("RENDER_GIT_COMMIT")


def _peak_memory_mb() -> float:
    """Return the largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
