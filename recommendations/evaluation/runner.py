"""A whole evaluation: every recommender on the same rounds, and the figures as one plain dict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from recommendations.algorithms.parameters import VERSION
from recommendations.algorithms.types import LIKED
from recommendations.evaluation.aggregates import (
    Array,
    aggregate_ranking,
    aggregate_reliability,
    aggregate_scoring,
)
from recommendations.evaluation.baselines import (
    EASE,
    DecayedPopularity,
    ImplicitALS,
    ItemKNN,
    Popularity,
)
from recommendations.evaluation.engine import Engine, RankingVariant
from recommendations.evaluation.groups import evaluate_groups
from recommendations.evaluation.protocol import (
    ENGINE,
    FROZEN,
    LAST_TENTH,
    ROLLING_DAYS,
    STRONG,
    WEAK,
    Dataset,
    Outcome,
    Progress,
    Recommender,
    Round,
    measure,
    split_frozen,
    split_last_tenth,
    split_rolling_days,
    split_strong,
    split_weak,
)

#: The parts that the ablation switches off one by one, and the parameters that do it. The first only
#: change the ranking; the others need a fit, and each shows in one protocol.
RANKING_PARTS: dict[str, dict[str, Any]] = {
    "without implicit ALS": {"als_weight": 0.0},
    "without recency": {"recency_floor": 1.0},
    "without trend": {"trend_power": 0.0},
    "without recent popularity": {"recent_popularity": False},
    "without probability floor": {"probability_floor": 0.0},
}
FITTED_PARTS: dict[str, dict[str, dict[str, Any]]] = {
    WEAK: {"without residual factors": {"residual_factors": 0}},
    FROZEN: {"without level refit": {"refit_level": False}},
}
#: The ablation's protocols: time does nothing in a split by hash.
ABLATION_PROTOCOLS = (WEAK, LAST_TENTH, ROLLING_DAYS, FROZEN)


def make_recommenders() -> list[Recommender]:
    """Return the baselines, and the engine last."""
    return [Popularity(), DecayedPopularity(), ItemKNN(), EASE(), ImplicitALS(), Engine()]


def make_ablation(protocol: str) -> list[Recommender]:
    """Return the engine, and a variant without each part that the protocol shows.

    Parts that only change the ranking share the engine's model.
    """
    engine = Engine()
    ranking_parts = {} if protocol == FROZEN else RANKING_PARTS
    fitted_parts = FITTED_PARTS.get(protocol, {})
    return [
        engine,
        *(RankingVariant(name, changes, engine) for name, changes in ranking_parts.items()),
        *(Engine(name, changes) for name, changes in fitted_parts.items()),
    ]


def evaluate(
    data: Dataset,
    *,
    protocol: str,
    seed: int,
    folds: int,
    members: int | None,
    validation: bool,
    progress: Progress,
    make: Callable[[], Sequence[Recommender]] = make_recommenders,
) -> dict[str, Any]:
    """Return the figures of every recommender by one of PROTOCOLS.

    `members`: measure on at most so many in a round; all members are fitted.
    """
    rounds = _split(
        data, protocol=protocol, seed=seed, folds=folds, members=members, validation=validation
    )
    recommenders = list(make())
    outcomes: dict[str, list[Outcome]] = {each.name: [] for each in recommenders}
    seconds = {each.name: {"fitting": 0.0, "measuring": 0.0} for each in recommenders}
    round_count = case_count = 0
    groups: dict[str, Any] = {}
    for current in rounds:
        round_count += 1
        case_count += current.case_count
        for recommender in recommenders:
            started = time.perf_counter()
            recommender.fit(current.training, data.content, as_of=current.as_of, progress=progress)
            seconds[recommender.name]["fitting"] += time.perf_counter() - started
        for session in current.sessions:
            for recommender in recommenders:
                started = time.perf_counter()
                outcome = measure(recommender, session, progress)
                outcomes[recommender.name].append(outcome)
                seconds[recommender.name]["measuring"] += time.perf_counter() - started
                is_engine = protocol == WEAK and recommender.name == ENGINE
                if is_engine and outcome.probabilities is not None:
                    progress("groups", 0.0)
                    floor = _parameters([recommender]).get("probability_floor", 0.0)
                    groups = evaluate_groups(
                        session.cases, outcome.probabilities, floor=floor, seed=seed
                    )
    popularity = _popularity(data)
    return {
        "protocol": protocol,
        "seed": seed,
        "rounds": round_count,
        "validation": validation,
        "members_at_most": members,
        "cases": case_count,
        "algorithm": VERSION,
        "parameters": _parameters(recommenders),
        "data": describe(data),
        "groups": groups,
        "recommenders": {
            name: _aggregate(Outcome.concatenate(parts), popularity) | {"seconds": seconds[name]}
            for name, parts in outcomes.items()
            if parts
        },
    }


def describe(data: Dataset) -> dict[str, Any]:
    """Return the size of a dataset."""
    ratings = data.ratings
    return {
        "name": data.name,
        "members": len(np.unique(ratings.users)),
        "movies": len(data.content),
        "movies_rated": len(np.unique(ratings.movies)),
        "ratings": len(ratings),
        "liked": float((ratings.stars >= LIKED).mean()) if len(ratings) else None,
    }


def _split(
    data: Dataset,
    *,
    protocol: str,
    seed: int,
    folds: int,
    members: int | None,
    validation: bool,
) -> Iterator[Round]:
    if protocol == STRONG:
        return split_strong(data, seed=seed, folds=folds, members=members, validation=validation)
    split = {
        WEAK: split_weak,
        ROLLING_DAYS: split_rolling_days,
        LAST_TENTH: split_last_tenth,
        FROZEN: split_frozen,
    }[protocol]
    return split(data, seed=seed, members=members, validation=validation)


def _aggregate(outcome: Outcome, popularity: Array) -> dict[str, Any]:
    return {
        "ranking": aggregate_ranking(outcome, popularity=popularity),
        "scoring": aggregate_scoring(outcome),
        "reliability": aggregate_reliability(outcome),
    }


def _popularity(data: Dataset) -> Array:
    """(m,) Return the share of the members who have rated each movie."""
    members = max(len(np.unique(data.ratings.users)), 1)
    return np.bincount(data.places, minlength=len(data.content)) / members


def _parameters(recommenders: Sequence[Recommender]) -> dict[str, Any]:
    for recommender in recommenders:
        if isinstance(recommender, Engine):
            return asdict(recommender.parameters)
    return {}
