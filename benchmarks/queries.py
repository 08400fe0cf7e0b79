"""Measure the database time of movie lists: each filter, each ordering, and their pairs.

    python -m benchmarks.queries [--movies N ...] [--members N] [--repeat N] [--only TEXT]
                                 [--every N] [--json FILE] [--plot FILE]

Each case calls the code of the list (movies.views.list_movies) and adds up the time of its two
queries, as the client sees it: planning, execution and transfer. The time of a case is the least of
its runs. The report also has the CPU time of the server process, which other load on the machine
does not increase. Filter values are drawn from the data: frequent, middling, rare and absent ones.

The targets are those of a million movies: p50 at most 6 ms, p95 at most 35 ms, none above 1 s. The
plans of the five slowest cases are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.catalogue import SIZES, prepare_catalogue
from benchmarks.report import describe_machine
from benchmarks.service import compute_percentile
from nexus.dev import embedded

TARGET_MOVIES = 1_000_000
TARGETS_MS = {"p50": 6.0, "p95": 35.0, "max": 1_000.0}
# Django's settings name one database, so each size is measured in a process of its own.
CHILD = "import django; django.setup(); from benchmarks import cases; cases.main()"

MeasuredCase = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--movies", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--members", type=int, help="members of the database; see catalogue.py")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case")
    parser.add_argument("--only", default="", help="only cases whose query contains this text")
    parser.add_argument("--every", type=int, default=1, help="only every n-th of the pairs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    sizes: dict[int, list[MeasuredCase]] = {}
    with embedded.run_servers():
        for movies in options.movies:
            url = prepare_catalogue(movies, options.members)
            sizes[movies] = measure_cases(url, options)
            print_report(movies, sizes[movies])
    if options.json:
        report = {"machine": describe_machine(), "targets_ms": TARGETS_MS, "sizes": sizes}
        options.json.write_text(json.dumps(report, indent=1))
    if options.plot:
        plot(options.plot, sizes)


def measure_cases(url: str, options: argparse.Namespace) -> list[MeasuredCase]:
    output = subprocess.run(
        [sys.executable, "-c", CHILD, str(options.repeat), str(options.every), options.only],
        cwd=embedded.ROOT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "nexus.settings"},
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    cases: list[MeasuredCase] = json.loads(output)
    return cases


def summarize(cases: list[MeasuredCase], figure: str) -> dict[str, float]:
    times = [case[figure] for case in cases]
    return {
        "p50": compute_percentile(times, 0.5),
        "p95": compute_percentile(times, 0.95),
        "max": max(times),
    }


def print_report(movies: int, cases: list[MeasuredCase]) -> None:
    groups: dict[str, list[MeasuredCase]] = {}
    for case in cases:
        groups.setdefault(case["kind"], []).append(case)
    groups["all"] = cases
    groups["all without words"] = [case for case in cases if not has_words(case)]
    groups["all with words"] = [case for case in cases if has_words(case)]
    print(f"\n{movies:,} movies")
    print(f"  {'':<18} {'cases':>6}   time, ms: p50     p95     max   CPU, ms: p50     p95     max")
    for name, group in groups.items():
        if group:
            figures = [*summarize(group, "ms").values(), *summarize(group, "cpu_ms").values()]
            print(
                "  {:<18} {:>6}       {:>8.1f} {:>7.1f} {:>7.1f}      {:>8.1f} {:>7.1f} {:>7.1f}".format(
                    name, len(group), *figures
                )
            )
    if movies == TARGET_MOVIES:
        for name, value in summarize(cases, "ms").items():
            verdict = "ok" if value <= TARGETS_MS[name] else "MISS"
            print(f"  {verdict:<4} {name} {value:.1f} ms <= {TARGETS_MS[name]:g} ms")
    print("\n  The slowest cases and their plans:")
    for case in sorted((case for case in cases if case["plans"]), key=lambda case: -case["ms"]):
        print(f"\n  {case['ms']:.1f} ms (CPU {case['cpu_ms']:.1f})  {case['query']}  count {case['count']}")  # fmt: skip
        for plan in case["plans"]:
            print("\n".join(f"      {line}" for line in plan))


def plot(path: Path, sizes: dict[int, list[MeasuredCase]]) -> None:
    """Plot p50 and p95 by catalogue size, with and without words."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    movies = sorted(sizes)
    for words, color in ((False, "C0"), (True, "C1")):
        for name, style in (("p50", "--"), ("p95", "-")):
            times = [
                summarize([case for case in sizes[n] if has_words(case) is words], "ms")[name]
                for n in movies
            ]
            label = f"{name} {'with' if words else 'without'} words"
            axes.plot(movies, times, marker="o", linestyle=style, color=color, label=label)
    axes.set(xscale="log", yscale="log", xlabel="movies", ylabel="database time, ms")
    axes.axhline(TARGETS_MS["p95"], linestyle=":", color="gray", label="target p95")
    axes.legend()
    axes.set_title("Lists by filters, orderings and their pairs")
    figure.tight_layout()
    # Without the date, equal figures make equal files.
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def has_words(case: MeasuredCase) -> bool:
    """Return whether a case searches words of titles or people."""
    return any(part.startswith(("search=", "title=")) for part in case["query"].split("&"))


if __name__ == "__main__":
    main()
