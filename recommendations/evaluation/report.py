"""An evaluation as a page of Markdown, with the figures beside the bars they have to meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recommendations.evaluation.aggregates import BUCKETS, Figure
from recommendations.evaluation.groups import MIN_SHARED, PRODUCT, RANDOM, STRATEGIES
from recommendations.evaluation.protocol import (
    ALL,
    DECAYED_POPULARITY,
    ENGINE,
    FROZEN,
    LAST_TENTH,
    NEW,
    POPULARITY,
    ROLLING_DAYS,
    STRONG,
    WEAK,
    WITH_HISTORY,
)

#: Datasets with at least so many ratings have the bars of MovieLens 1M, others of latest-small.
LARGE = 300_000
#: The groups with a bar.
PAIRS = f"{RANDOM}, 2"
#: A bucket's calibration has to meet a bar if the ECE by chance alone is at most this.
MAX_ECE_BY_CHANCE = 0.010


@dataclass(frozen=True)
class Bar:
    """A figure with its `floor`, which has to be met, and its `aim`."""

    name: str
    value: float
    floor: float
    aim: float | None = None
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        return self.value <= self.floor if self.at_most else self.value >= self.floor

    @property
    def is_reached(self) -> bool:
        if self.aim is None:
            return self.is_met
        return self.value <= self.aim if self.at_most else self.value >= self.aim


def check_bars(run: dict[str, Any]) -> list[Bar]:
    """Return the bars of this protocol with what was measured."""
    engine = run["recommenders"].get(ENGINE)
    if engine is None:
        return []
    is_large = run["data"]["ratings"] >= LARGE
    check = {
        WEAK: _check_weak,
        STRONG: _check_strong,
        ROLLING_DAYS: _check_rolling_days,
        LAST_TENTH: _check_last_tenth,
        FROZEN: _check_frozen,
    }[run["protocol"]]
    return [bar for bar in check(run, engine, is_large) if bar.value is not None]


def _check_weak(run: dict[str, Any], engine: dict[str, Any], is_large: bool) -> list[Bar]:
    bars = []
    if ALL in engine["ranking"]:
        ranking = engine["ranking"][ALL]
        floor, aim = (0.398, 0.403) if is_large else (0.325, 0.332)
        bars.append(Bar("nDCG@10", ranking["ndcg_at_10"][0], floor, aim))
        unlikely = ranking["has_unlikely"][0]
        bars.append(Bar("members with a movie under 30 % in 20", unlikely, 0.0, at_most=True))
    if ALL in engine["scoring"]:
        scoring = engine["scoring"][ALL]
        if is_large:
            bars.append(Bar("AUC", scoring["auc"][0], 0.830, 0.832))
            bars.append(Bar("mean AUC of a member", scoring["mean_auc"][0], 0.772, 0.776))
        floor, aim = (0.008, 0.006) if is_large else (0.016, 0.012)
        bars.append(Bar("ECE", scoring["ece"][0], floor, aim, at_most=True))
    if PAIRS in run.get("groups", {}):
        pairs = run["groups"][PAIRS]
        first = pairs["first_liked_by_all"][PRODUCT][0]
        # None if no pair has a movie that both liked: check_bars leaves the bar out.
        bars.append(Bar("first movie liked by both of a pair", first, 0.80, 0.81))
        bars.append(Bar("ECE of pairs", pairs["ece"][0], 0.015, 0.010, at_most=True))
    return bars + _check_buckets(engine)


def _check_strong(run: dict[str, Any], engine: dict[str, Any], is_large: bool) -> list[Bar]:
    bars = []
    ranking = engine["ranking"]
    if is_large and ALL in ranking:
        bars.append(Bar("nDCG@10 of new members", ranking[ALL]["ndcg_at_10"][0], 0.400, 0.413))
    for length, floor, aim in (("1", 0.09, 0.11), ("5", 0.37, 0.41), ("20", 0.87, 0.92)):
        popular = [
            run["recommenders"][name]["ranking"][length]["ndcg_at_10"][0]
            for name in (POPULARITY, DECAYED_POPULARITY)
            if length in run["recommenders"].get(name, {}).get("ranking", {})
        ]
        if length in ranking and any(popular):
            gain = ranking[length]["ndcg_at_10"][0] / max(popular) - 1
            bars.append(Bar(f"nDCG@10 above popularity, history {length}", gain, floor, aim))
    return bars + _check_buckets(engine)


def _check_rolling_days(run: dict[str, Any], engine: dict[str, Any], is_large: bool) -> list[Bar]:
    if is_large:
        return []
    return [
        Bar(f"nDCG@10, {group}", engine["ranking"][group]["ndcg_at_10"][0], floor, aim)
        for group, floor, aim in ((WITH_HISTORY, 0.130, 0.150), (NEW, 0.445, 0.465))
        if group in engine["ranking"]
    ]


def _check_last_tenth(run: dict[str, Any], engine: dict[str, Any], is_large: bool) -> list[Bar]:
    if ALL not in engine["ranking"]:
        return []
    floor, aim = (0.100, 0.110) if is_large else (0.095, 0.100)
    return [Bar("nDCG@10", engine["ranking"][ALL]["ndcg_at_10"][0], floor, aim)]


def _check_frozen(run: dict[str, Any], engine: dict[str, Any], is_large: bool) -> list[Bar]:
    if is_large or ALL not in engine["scoring"]:
        return []
    return [Bar("ECE", engine["scoring"][ALL]["ece"][0], 0.035, 0.025, at_most=True)]


def _check_buckets(engine: dict[str, Any]) -> list[Bar]:
    scoring = engine["scoring"]
    return [
        Bar(f"ECE, history {name}", scoring[name]["ece"][0], 0.020, 0.012, at_most=True)
        for name in BUCKETS
        if name in scoring and scoring[name]["ece_by_chance"][0] <= MAX_ECE_BY_CHANCE
    ]


def render_markdown(run: dict[str, Any], *, pictures: Sequence[str] = ()) -> str:
    """Return the whole report; `pictures` are names of files beside it."""
    data = run["data"]
    size = (
        f"{data['ratings']:,} ratings, {data['members']:,} members, {data['movies']:,} movies; "
        f"protocol {run['protocol']}, seed {run['seed']}, {run['cases']:,} cases"
    )
    parts = [f"# {data['name']}: {run['protocol']}", size + ".", NOTES[run["protocol"]]]
    if run["validation"]:
        parts.append("Measured on the part for validation; the part for testing was not used.")
    bars = check_bars(run)
    if bars:
        parts += ["## Bars", _format_bars(bars)]
    header, *rows = list_ranking(run)
    parts += ["## Ranking", RANKING_NOTE, _format_table(header, rows)]
    header, *rows = list_scoring(run)
    if rows:
        parts += ["## Probabilities", SCORING_NOTE, _format_table(header, rows)]
    header, *rows = list_groups(run)
    if rows:
        parts += ["## Groups", GROUPS_NOTE, _format_table(header, rows)]
    parts += [f"![]({name})" for name in pictures]
    lines = [
        f"- {run['algorithm']}: {_format_parameters(run['parameters'])}",
        *(f"- {name}: {value}" for name, value in run.get("machine", {}).items()),
        *(
            f"- {name}: {each['seconds']['fitting']:.1f} s of fitting, "
            f"{each['seconds']['measuring']:.1f} s of measuring"
            for name, each in run["recommenders"].items()
        ),
    ]
    parts += ["## How", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


NOTES = {
    WEAK: "A fifth of each member's ratings, chosen by a hash, is held out.",
    STRONG: "Members are new: nothing was fitted on them. They have histories of growing length.",
    ROLLING_DAYS: (
        "The newest fifth of the ratings, day by day: what members rate on a day, with everything "
        "before it as history. Fitted at a few cut-offs; ratings after the cut-off enter as "
        "histories, and trend and recent popularity are those of the day."
    ),
    LAST_TENTH: "The newest tenth of each member's ratings is held out.",
    FROZEN: (
        "Fitted before the newest fifth of the ratings, with histories that end there, and scored "
        "on all of them."
    ),
}
RANKING_NOTE = (
    "Held-out ratings of 4 stars or more are relevant; all movies but those in the history are "
    "ranked. Recall divides by min(K, relevant). Unlikely is the share of members with a movie "
    "under 30 % in the first 20. ± is one standard error."
)
SCORING_NOTE = (
    "The probability of 4 stars or more for each held-out rating. ECE in 15 bins; beside it, by "
    "chance: the ECE that exactly right probabilities would have. Standard errors leave out groups "
    "of members."
)
GROUPS_NOTE = (
    f"Groups drawn so that their held-out ratings share at least {MIN_SHARED} movies. For each "
    "strategy: how often all members liked the first of these movies, over the groups that have a "
    "movie all liked; of these there are so many in the third column. Liked by all: the share of "
    "all shared movies. ECE of the joint probability, which is the product of the members', over "
    "all groups."
)


def _format_bars(bars: Sequence[Bar]) -> str:
    rows = [
        [
            bar.name,
            _format_limit(bar.floor, bar),
            "" if bar.aim is None else _format_limit(bar.aim, bar),
            _format_number(bar.value),
            "reached" if bar.is_reached else "met" if bar.is_met else "**missed**",
        ]
        for bar in bars
    ]
    return _format_table(["", "floor", "aim", "measured", ""], rows)


def _format_limit(value: float, bar: Bar) -> str:
    return f"{'≤' if bar.at_most else '≥'} {_format_number(value)}"


def list_ranking(run: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the ranking table, the header first."""
    header = ["", "history", "members", "nDCG@10", "Recall@20", "Recall@50"]
    header += ["coverage", "novelty", "unlikely"]
    measures = ("ndcg_at_10", "recall_at_20", "recall_at_50")
    return [
        header,
        *(
            [
                name,
                group,
                f"{each['members']:,}",
                *(_format_figure(each[measure]) for measure in measures),
                _format_number(each["coverage_at_10"][0]),
                _format_number(each["novelty_at_10"][0], digits=1),
                _format_number(each["has_unlikely"][0]),
            ]
            for name, figures in run["recommenders"].items()
            for group, each in figures["ranking"].items()
        ),
    ]


def list_scoring(run: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of probabilities, the header first."""
    measures = ("auc", "mean_auc", "log_loss", "brier", "ece", "ece_by_chance")
    header = ["", "history", "ratings", "AUC", "mean AUC", "log loss", "Brier", "ECE", "by chance"]
    return [
        header,
        *(
            [
                name,
                group,
                f"{each['ratings']:,}",
                *(_format_figure(each[measure]) for measure in measures),
            ]
            for name, figures in run["recommenders"].items()
            for group, each in figures["scoring"].items()
        ),
    ]


def list_groups(run: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of groups, the header first."""
    header = [
        "groups, members",
        "groups",
        "with a liked movie",
        "liked by all",
        *STRATEGIES,
        "ECE",
        "by chance",
    ]
    return [
        header,
        *(
            [
                name,
                f"{each['groups']:,}",
                f"{each['groups_with_liked']:,}",
                _format_number(each["liked_by_all"]),
                *(_format_figure(each["first_liked_by_all"][strategy]) for strategy in STRATEGIES),
                _format_figure(each["ece"]),
                _format_figure(each["ece_by_chance"]),
            ]
            for name, each in run.get("groups", {}).items()
        ),
    ]


def render_ablation(runs: Sequence[dict[str, Any]]) -> str:
    """Return one table of the engine without each part, from the runs of several protocols."""
    data = runs[0]["data"]
    by_protocol = {run["protocol"]: run["recommenders"] for run in runs}
    columns: list[tuple[str, str, str, str, str]] = [
        ("nDCG@10, weak", WEAK, "ranking", ALL, "ndcg_at_10"),
        ("AUC", WEAK, "scoring", ALL, "auc"),
        ("log loss", WEAK, "scoring", ALL, "log_loss"),
        ("ECE", WEAK, "scoring", ALL, "ece"),
        ("unlikely", WEAK, "ranking", ALL, "has_unlikely"),
        ("nDCG@10, last tenth", LAST_TENTH, "ranking", ALL, "ndcg_at_10"),
        ("nDCG@10, days, with history", ROLLING_DAYS, "ranking", WITH_HISTORY, "ndcg_at_10"),
        ("nDCG@10, days, new", ROLLING_DAYS, "ranking", NEW, "ndcg_at_10"),
        ("ECE, frozen", FROZEN, "scoring", ALL, "ece"),
    ]
    columns = [column for column in columns if column[1] in by_protocol]
    rows = []
    for name in dict.fromkeys(name for figures in by_protocol.values() for name in figures):
        cells = [name]
        for _, protocol, kind, group, measure in columns:
            figures = by_protocol[protocol].get(name, {}).get(kind, {}).get(group, {})
            digits = 4 if measure == "ece" else 3
            cells.append(_format_number(figures.get(measure, [None])[0], digits=digits))
        rows.append(cells)
    table = _format_table(["", *(column[0] for column in columns)], rows)
    return f"# {data['name']}: the engine without each of its parts\n\n{table}\n"


def _format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _format_figure(figure: Figure) -> str:
    value, error = figure
    if error is None:
        return _format_number(value)
    return f"{_format_number(value)} ± {_format_number(error)}"


def _format_number(value: float | None, *, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _format_parameters(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items()) or "–"
