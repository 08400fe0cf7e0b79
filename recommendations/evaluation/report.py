"""An evaluation as a page of Markdown, its figures beside the bars they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recommendations.evaluation.aggregates import BUCKETS
from recommendations.evaluation.baselines import Popularity
from recommendations.evaluation.engine import Learned

ENGINE = Learned.name
#: Ratings from which a set is held against the bars of the larger size.
LARGE = 300_000
#: A bucket's calibration is judged where luck alone would give at most this ECE.
MOST_LUCK = 0.010


@dataclass(frozen=True)
class Bar:
    """A promised figure: `floor` must be kept, `aim` is hoped for."""

    what: str
    value: float
    floor: float
    aim: float | None = None
    at_most: bool = False

    @property
    def kept(self) -> bool:
        return self.value <= self.floor if self.at_most else self.value >= self.floor

    @property
    def reached(self) -> bool:
        if self.aim is None:
            return self.kept
        return self.value <= self.aim if self.at_most else self.value >= self.aim


def bars(run: dict[str, Any]) -> list[Bar]:
    """The promised figures that this evaluation can be held against."""
    engine = run["recommenders"].get(ENGINE)
    if engine is None:
        return []
    found = []
    ranking, scoring = engine["ranking"], engine["scoring"]
    large = run["data"]["ratings"] >= LARGE
    if run["protocol"] == "weak" and "all" in ranking:
        floor, aim = (0.38, 0.405) if large else (0.32, 0.335)
        found.append(Bar("nDCG@10", ranking["all"]["ndcg_at_10"][0], floor, aim))
    if large and "all" in scoring:
        found.append(Bar("AUC", scoring["all"]["auc"][0], 0.815, 0.830))
        found.append(Bar("mean AUC a member", scoring["all"]["mean_auc"][0], 0.750, 0.770))
    if "all" in scoring:
        found.append(Bar("ECE", scoring["all"]["ece"][0], 0.015, 0.010, at_most=True))
        for name in BUCKETS:
            if name in scoring and scoring[name]["ece_by_luck"][0] <= MOST_LUCK:
                what = f"ECE, history {name}"
                found.append(Bar(what, scoring[name]["ece"][0], 0.020, 0.012, at_most=True))
    if run["protocol"] == "strong":
        found += _above_popularity(run, ranking)
    return [bar for bar in found if bar.value is not None]


def _above_popularity(run: dict[str, Any], ranking: dict[str, Any]) -> list[Bar]:
    popular = run["recommenders"].get(Popularity.name, {}).get("ranking", {})
    found = []
    for length, above in (("1", 0.10), ("5", 0.30), ("20", 0.80)):
        if length in ranking and popular.get(length, {}).get("ndcg_at_10", [None])[0]:
            gain = ranking[length]["ndcg_at_10"][0] / popular[length]["ndcg_at_10"][0] - 1
            found.append(Bar(f"nDCG@10 above popularity, history {length}", gain, above))
    return found


def markdown(run: dict[str, Any], *, pictures: Sequence[str] = ()) -> str:
    """The whole report; `pictures` are files that stand beside it."""
    data = run["data"]
    about = (
        f"{data['ratings']:,} ratings, {data['members']:,} members, {data['movies']:,} movies; "
        f"protocol {run['protocol']}, seed {run['seed']}, {run['cases']:,} cases"
    )
    parts = [f"# {data['name']}: {run['protocol']} generalisation", about + "."]
    if run["validation"]:
        parts.append("Measured on the part for tuning; the part for testing was not looked at.")
    promised = bars(run)
    if promised:
        parts += ["## Held against what is promised", _bars_table(promised)]
    head, *rows = ranking_rows(run)
    parts += ["## Ranking", RANKING_NOTE, _table(head, rows)]
    head, *rows = scoring_rows(run)
    if rows:
        parts += ["## Chances", SCORING_NOTE, _table(head, rows)]
    parts += [f"![]({name})" for name in pictures]
    machine = run.get("machine", {})
    parts += [
        "## How",
        "\n".join(
            [
                f"- {run['algorithm']}: {_listed(run['parameters'])}",
                *(f"- {name}: {value}" for name, value in machine.items()),
                *(
                    f"- {name}: {each['seconds']['training']:.1f} s of training, "
                    f"{each['seconds']['answering']:.1f} s of answering"
                    for name, each in run["recommenders"].items()
                ),
            ]
        ),
    ]
    return "\n\n".join(parts) + "\n"


RANKING_NOTE = (
    "Relevant are held-out ratings of 4 stars or more; lists are of all movies but those in the "
    "history shown. Recall divides by min(K, relevant). ± is one standard error."
)
SCORING_NOTE = (
    "The chance of 4 stars or more, for each held-out rating. ECE in 15 bins; beside it what "
    "luck alone would give, were all chances right. Standard errors leave out groups of members."
)


def _bars_table(promised: Sequence[Bar]) -> str:
    rows = [
        [
            bar.what,
            _promise(bar.floor, bar),
            "" if bar.aim is None else _promise(bar.aim, bar),
            _shown(bar.value),
            "reached" if bar.reached else "kept" if bar.kept else "**missed**",
        ]
        for bar in promised
    ]
    return _table(["", "floor", "aim", "measured", ""], rows)


def _promise(value: float, bar: Bar) -> str:
    return f"{'≤' if bar.at_most else '≥'} {_shown(value)}"


def ranking_rows(run: dict[str, Any]) -> list[list[str]]:
    """The table of rankings, its head first."""
    head = ["", "history", "members", "nDCG@10", "Recall@20", "Recall@50", "coverage", "novelty"]
    measures = ("ndcg_at_10", "recall_at_20", "recall_at_50")
    return [
        head,
        *(
            [
                name,
                history,
                f"{each['members']:,}",
                *(_with_error(each[measure]) for measure in measures),
                _shown(each["coverage_at_10"][0]),
                _shown(each["novelty_at_10"][0], digits=1),
            ]
            for name, of_one in run["recommenders"].items()
            for history, each in of_one["ranking"].items()
        ),
    ]


def scoring_rows(run: dict[str, Any]) -> list[list[str]]:
    """The table of chances, its head first; only that where nobody has chances."""
    measures = ("auc", "mean_auc", "log_loss", "brier", "ece", "ece_by_luck")
    head = ["", "history", "ratings", "AUC", "mean AUC", "log loss", "Brier", "ECE", "luck"]
    return [
        head,
        *(
            [name, history, f"{each['ratings']:,}", *(_with_error(each[one]) for one in measures)]
            for name, of_one in run["recommenders"].items()
            for history, each in of_one["scoring"].items()
        ),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _with_error(figure: Sequence[float | None]) -> str:
    value, error = figure
    return _shown(value) if error is None else f"{_shown(value)} ± {_shown(error)}"


def _shown(value: float | None, *, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _listed(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items()) or "–"
