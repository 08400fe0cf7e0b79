"""A whole evaluation: every recommender on the same rounds, and the figures as one plain dict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from recommendations.algorithms.parameters import VERSION
from recommendations.algorithms.types import LIKED
from recommendations.evaluation import aggregates as figures
from recommendations.evaluation.baselines import ItemNeighbours, Popularity
from recommendations.evaluation.engine import Learned
from recommendations.evaluation.protocol import (
    Dataset,
    Outcome,
    Progress,
    Recommender,
    Round,
    measure,
    strong,
    weak,
)

PROTOCOLS = ("weak", "strong")


def recommenders() -> list[Recommender]:
    """The baselines, and the engine last."""
    return [Popularity(), ItemNeighbours(), Learned()]


def evaluation(
    data: Dataset,
    *,
    protocol: str,
    seed: int,
    folds: int,
    members: int | None,
    validation: bool,
    progress: Progress,
    make: Callable[[], Sequence[Recommender]] = recommenders,
) -> dict[str, Any]:
    """Figures of every recommender by one protocol, of PROTOCOLS.

    `members` bounds how many are measured on in a round; all are learned from.
    """
    rounds = _rounds(
        data, protocol=protocol, seed=seed, folds=folds, members=members, validation=validation
    )
    asked = list(make())
    outcomes: dict[str, list[Outcome]] = {each.name: [] for each in asked}
    seconds = {each.name: {"training": 0.0, "answering": 0.0} for each in asked}
    cases = 0
    for each in rounds:
        cases += len(each.cases)
        for recommender in asked:
            began = time.perf_counter()
            recommender.fit(each.training, data.content, progress)
            trained = time.perf_counter()
            outcomes[recommender.name].append(measure(recommender, each.cases, progress))
            seconds[recommender.name]["training"] += trained - began
            seconds[recommender.name]["answering"] += time.perf_counter() - trained
    popularity = _popularity(data)
    return {
        "protocol": protocol,
        "seed": seed,
        "folds": folds if protocol == "strong" else 1,
        "validation": validation,
        "members_at_most": members,
        "cases": cases,
        "algorithm": VERSION,
        "parameters": _parameters(asked),
        "data": described(data),
        "recommenders": {
            name: _figures(Outcome.together(parts), popularity) | {"seconds": seconds[name]}
            for name, parts in outcomes.items()
        },
    }


def described(data: Dataset) -> dict[str, Any]:
    """The size of a dataset."""
    ratings = data.ratings
    return {
        "name": data.name,
        "members": len(np.unique(ratings.users)),
        "movies": len(data.content),
        "movies_rated": len(np.unique(ratings.movies)),
        "ratings": len(ratings),
        "liked": float((ratings.stars >= LIKED).mean()) if len(ratings) else None,
    }


def _rounds(
    data: Dataset,
    *,
    protocol: str,
    seed: int,
    folds: int,
    members: int | None,
    validation: bool,
) -> Iterator[Round]:
    if protocol == "weak":
        return weak(data, seed=seed, members=members, validation=validation)
    return strong(data, seed=seed, folds=folds, members=members, validation=validation)


def _figures(outcome: Outcome, popularity: figures.Array) -> dict[str, Any]:
    return {
        "ranking": figures.ranking(outcome, popularity=popularity),
        "scoring": figures.scoring(outcome),
        "reliability": figures.reliability(outcome),
    }


def _popularity(data: Dataset) -> figures.Array:
    """(m,) The part of the members who have rated each movie."""
    places = np.searchsorted(data.content.movie_ids, data.ratings.movies)
    members = max(len(np.unique(data.ratings.users)), 1)
    return np.bincount(places, minlength=len(data.content)) / members


def _parameters(asked: Sequence[Recommender]) -> dict[str, Any]:
    for each in asked:
        if isinstance(each, Learned) and each.model is not None:
            return asdict(each.model.parameters)
    return {}
