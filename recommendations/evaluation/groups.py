"""Recommendations for groups, measured on the movies that all members of a group have rated.

Groups of two, three and four members are drawn whose held-out ratings share at least MIN_SHARED movies.
A strategy picks the first of these movies from the members' probabilities. Measured are how often all
members liked it, over the groups that have such a movie, and the calibration of the joint probability
over all shared movies of all groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.groups import joint_probability, rank_for_group
from recommendations.algorithms.types import LIKED
from recommendations.evaluation import metrics
from recommendations.evaluation.protocol import Case

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SIZES = (2, 3, 4)
RANDOM, LIKE_MINDED = "random", "like-minded"
#: With fewer shared movies there is hardly a choice.
MIN_SHARED = 3
#: So many groups of each kind are drawn; a size has those of them that grew to it.
DRAWN = 2_000
#: The next of like-minded members is one of so many most similar ones.
SIMILAR_MEMBERS = 10
PRODUCT = "product"


def _rank_by(score: Callable[[Array], Array]) -> Callable[[Array, float], int]:
    return lambda probabilities, floor: int(score(probabilities).argmax())


#: Returns the index of the first movie, from probabilities (u, m) and the floor.
STRATEGIES: dict[str, Callable[[Array, float], int]] = {
    PRODUCT: lambda probabilities, floor: int(rank_for_group(probabilities, floor=floor)[0]),
    "average": _rank_by(lambda probabilities: probabilities.mean(axis=0)),
    "least misery": _rank_by(lambda probabilities: probabilities.min(axis=0)),
    "one member's list": _rank_by(lambda probabilities: probabilities[0]),
}


@dataclass(frozen=True)
class HeldOut:
    """The held-out ratings of all cases: u members, m movies."""

    is_rated: Mask  # (u, m)
    liked: Mask  # (u, m)
    probabilities: Array  # (u, m)
    #: (u, m) Liked movies of the histories, each row of length 1, for the similarity of members.
    profiles: NDArray[np.float32]

    @classmethod
    def of(cls, cases: Sequence[Case], probabilities: Array) -> HeldOut:
        """`probabilities` are those of the cases' ratings, laid end to end."""
        movies = np.unique(np.concatenate([case.movies for case in cases]))
        known = np.unique(np.concatenate([case.known.movies for case in cases]))
        is_rated = np.zeros((len(cases), len(movies)), dtype=bool)
        liked = np.zeros_like(is_rated)
        scores = np.zeros(is_rated.shape)
        profiles = np.zeros((len(cases), len(known)), dtype=np.float32)
        sizes = [len(case.movies) for case in cases]
        parts = np.split(probabilities, np.cumsum(sizes)[:-1])
        for row, (case, part) in enumerate(zip(cases, parts, strict=True)):
            at = np.searchsorted(movies, case.movies)
            is_rated[row, at], liked[row, at], scores[row, at] = True, case.liked, part
            is_liked = case.known.stars >= LIKED
            profiles[row, np.searchsorted(known, case.known.movies[is_liked])] = 1.0
        lengths = np.linalg.norm(profiles, axis=1, keepdims=True)
        return cls(is_rated, liked, scores, profiles / np.maximum(lengths, 1.0))


def evaluate_groups(
    cases: Sequence[Case], probabilities: Array, *, floor: float, seed: int
) -> dict[str, dict[str, Any]]:
    """Return the figures by kind and size of the groups, for example "random, 2".

    `probabilities` are those of the cases' ratings, laid end to end.
    """
    if not cases:
        return {}
    held_out = HeldOut.of(cases, probabilities)
    figures: dict[str, dict[str, Any]] = {}
    for kind in (RANDOM, LIKE_MINDED):
        drawn = list(draw_groups(held_out, is_like_minded=kind == LIKE_MINDED, seed=seed))
        for size in SIZES:
            groups = [group[:size] for group in drawn if len(group) >= size]
            if groups:
                figures[f"{kind}, {size}"] = _measure(held_out, groups, floor)
    return figures


def draw_groups(held_out: HeldOut, *, is_like_minded: bool, seed: int) -> Iterator[list[int]]:
    """Yield DRAWN groups of at least two members, as many as the largest size if they exist.

    Members join one by one, drawn from those with whom MIN_SHARED movies stay shared.
    """
    random = np.random.default_rng([seed, is_like_minded])
    rated = held_out.is_rated.astype(np.float32)
    for _ in range(DRAWN):
        group = [int(random.integers(len(rated)))]
        shared = held_out.is_rated[group[0]]
        while len(group) < SIZES[-1]:
            can_join = rated[:, shared].sum(axis=1) >= MIN_SHARED
            can_join[group] = False
            candidates = np.flatnonzero(can_join)
            if not len(candidates):
                break
            if is_like_minded:
                mean = held_out.profiles[group].sum(axis=0)
                similarity = held_out.profiles[candidates] @ mean
                nearest = np.argsort(-similarity, kind="stable")[:SIMILAR_MEMBERS]
                candidates = candidates[nearest]
            group.append(int(random.choice(candidates)))
            shared = shared & held_out.is_rated[group[-1]]
        if len(group) > 1:
            yield group


def _measure(held_out: HeldOut, groups: Sequence[list[int]], floor: float) -> dict[str, Any]:
    hits: dict[str, list[bool]] = {name: [] for name in STRATEGIES}
    joint, liked_by_all, owners, first_members = [], [], [], []
    for group in groups:
        shared = np.flatnonzero(held_out.is_rated[group].all(axis=0))
        probabilities = held_out.probabilities[group][:, shared]
        liked = np.asarray(held_out.liked[group][:, shared].all(axis=0))
        if liked.any():
            first_members.append(group[0])
            for name, choose in STRATEGIES.items():
                hits[name].append(bool(liked[choose(probabilities, floor)]))
        joint.append(joint_probability(probabilities))
        liked_by_all.append(liked)
        owners.append(np.full(len(shared), group[0]))
    predicted, observed = np.concatenate(joint), np.concatenate(liked_by_all)
    return {
        "groups": len(groups),
        "groups_with_liked": len(first_members),
        "liked_by_all": float(observed.mean()),
        "first_liked_by_all": {
            name: _estimate(np.array(each, dtype=np.float64), np.array(first_members))
            for name, each in hits.items()
        },
        "ece": [
            metrics.ece(observed, predicted),
            _finite(
                metrics.standard_error(
                    lambda chosen: metrics.ece(observed[chosen], predicted[chosen]),
                    np.concatenate(owners),
                )
            ),
        ],
        "ece_by_chance": [metrics.ece_by_chance(predicted), None],
    }


def _estimate(values: Array, members: NDArray[np.integer]) -> list[float | None]:
    """Return the mean and its standard error over groups of members; None if there are no values."""
    if not len(values):
        return [None, None]
    error = metrics.standard_error(lambda chosen: float(values[chosen].mean()), members)
    return [float(values.mean()), _finite(error)]


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value
