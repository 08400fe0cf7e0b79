"""Database time of every filter, every ordering, and every pair of them, by catalogue size.

`python -m benchmarks.queries [--films N ...] [--json FILE] [--plot FILE] [--repeat N]`

Each case goes through the list's own code (its parameters, movies.filters, nexus.core.api.pagination)
and counts what its statements took, as the client sees it: planning, execution and the rows'
way. A case's time is the least of its runs, which is what it costs where nothing else runs; beside it stands the
server's CPU time, which a busy machine does not stretch. Then each statement's plan is read: a sequential scan
of the films, and a sort of more than 10,000 rows, are reported as faults. Values are drawn from the
data: frequent, middling, rare and absent.

Promised of a million films: p95 at most 10 ms, the worst at most 50 ms, no such plan, and no more
than 1.5 times the time of 10,000 films.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.catalogue import SIZES, prepared
from benchmarks.report import describe_machine
from benchmarks.service import percentile
from nexus.dev import embedded

PROMISED_P95_MS = 10.0
PROMISED_WORST_MS = 50.0
PROMISED_GROWTH = 1.5
# Django's models want its settings, and those a database, before they are imported.
CHILD = "import django; django.setup(); from benchmarks import cases; cases.main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--members", type=int, help="of the database to use; see catalogue.py")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", help="cases whose parameters contain this text")
    parser.add_argument("--every", type=int, default=1, help="every so many-th of the pairs alone")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    with embedded.run_servers():
        sizes = {}
        for films in options.films:
            url = prepared(films, options.members)
            sizes[films] = _in_child(url, options)
            _tell(films, sizes[films])
    growth = _growth(sizes)
    report = {
        "machine": describe_machine(),
        "promised": _promised(),
        "growth": growth,
        "sizes": sizes,
    }
    if growth:
        least, most = min(sizes), max(sizes)
        print(f"\nfrom {least:,} to {most:,} films: " + "; ".join(f"{k} x {v:.2f}" for k, v in growth.items()))  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    if options.plot:
        _plot(options.plot, sizes)


def _promised() -> dict[str, float]:
    return {"p95_ms": PROMISED_P95_MS, "worst_ms": PROMISED_WORST_MS, "growth": PROMISED_GROWTH}


def _in_child(url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The cases, measured in a process of their own, as Django's settings hold one database."""
    given = [str(options.repeat), str(options.every), options.only or ""]
    command = [sys.executable, "-c", CHILD, *given]
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "nexus.settings",
        "SERVING": "1",
    }
    output = subprocess.run(
        command, cwd=embedded.ROOT, env=environment, check=True, stdout=subprocess.PIPE
    ).stdout
    found: list[dict[str, Any]] = json.loads(output)
    return found


def _growth(sizes: dict[int, list[dict[str, Any]]]) -> dict[str, float]:
    if len(sizes) < 2:
        return {}
    found = {}
    for what in ("ms", "cpu_ms"):
        for words in ("without", "with"):
            low, high = (
                [
                    case[what]
                    for case in sizes[pick(sizes)]
                    if case["kind"] != "deep" and has_words(case) is (words == "with")
                ]
                for pick in (min, max)
            )
            if low and high:
                name = f"{what} {words} words"
                found[f"mean {name}"] = statistics.fmean(high) / statistics.fmean(low)
                found[f"p50 {name}"] = percentile(high, 0.5) / percentile(low, 0.5)
                found[f"p95 {name}"] = percentile(high, 0.95) / percentile(low, 0.95)
    return found


def _tell(films: int, cases: list[dict[str, Any]]) -> None:
    print(f"\n{films:,} films")
    print(f"  {'kind':<18} {'cases':>6}   time: {'p50':>6} {'p95':>7} {'worst':>7}   CPU: {'p50':>6} {'p95':>7} {'worst':>7} ms   faults")  # fmt: skip
    kinds = [*dict.fromkeys(case["kind"] for case in cases)]
    groups = {kind: [case for case in cases if case["kind"] == kind] for kind in kinds}
    groups["all but deep"] = [case for case in cases if case["kind"] != "deep"]
    groups["… without words"] = [case for case in groups["all but deep"] if not has_words(case)]
    groups["… with words"] = [case for case in groups["all but deep"] if has_words(case)]
    for kind, some in groups.items():
        figures: list[float] = []
        for what in ("ms", "cpu_ms"):
            times = [case[what] for case in some]
            figures += [percentile(times, 0.5), percentile(times, 0.95), max(times)]
        faults = sum(bool(case["faults"]) for case in some)
        print(
            "  {:<18} {:>6}         {:>6.1f} {:>7.1f} {:>7.1f}        {:>6.1f} {:>7.1f} {:>7.1f}      {}".format(
                kind, len(some), *figures, faults
            )
        )
    print("  worst:")
    for case in sorted(cases, key=lambda case: -case["cpu_ms"])[:20]:
        told = "; ".join(case["faults"])
        print(
            f"  {case['ms']:>8.1f} ms, CPU {case['cpu_ms']:>6.1f}  {case['query']}  (count {case['count']})  {told}"
        )
    faulty = [case for case in cases if case["faults"]]
    for case in faulty[:12]:
        print(f"  FAULT {case['ms']:>6.1f} ms  {case['query']}  {'; '.join(case['faults'])}")


def _plot(path: Path, sizes: dict[int, list[dict[str, Any]]]) -> None:
    """p50 and p95 against catalogue size, without words and with them, in the file's format."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    films = sorted(sizes)
    for words, color in ((False, "C0"), (True, "C1")):
        for part, style in ((0.5, "--"), (0.95, "-")):
            times = [
                percentile(
                    [c["ms"] for c in sizes[n] if c["kind"] != "deep" and has_words(c) is words],
                    part,
                )
                for n in films
            ]
            label = f"p{part * 100:.0f} {'with' if words else 'without'} words"
            axes.plot(films, times, marker="o", linestyle=style, color=color, label=label)
    axes.set(xscale="log", yscale="log", xlabel="films", ylabel="database time, ms")
    axes.axhline(PROMISED_P95_MS, linestyle=":", color="grey", label="promised p95")
    axes.legend()
    axes.set_title("Lists by filters, orderings and their pairs")
    figure.tight_layout()
    # The same figures make the same file.
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def has_words(case: dict[str, Any]) -> bool:
    """Whether a case asks for words of title or people."""
    return any(part.startswith(("search=", "title=")) for part in case["query"].split("&"))


if __name__ == "__main__":
    main()
