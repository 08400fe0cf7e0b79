"""The order of a feed made more varied, and what that did to its first page. Free of Django."""

from __future__ import annotations

import numpy as np

from recommendations.algorithms.content_similarity import Kinds, kinship
from recommendations.algorithms.diversity import diversified
from recommendations.algorithms.types import Array
from recommendations.recommender.results import Diversity

# Of the feed, as many as are shown on the first pages are chosen for diversity.
DIVERSIFIED_DEPTH = 100
#: Of what is told: the first page as it is by default, whatever the size of the one asked for.
FIRST_PAGE = 20


def mixed(order: Array, movies: Kinds, *, diversity: float) -> tuple[list[int], Diversity]:
    """Places of the movies, first to last (scoring.diversified), and what mixing did."""
    plain = diversified(order, np.zeros((0, 0)), diversity=0.0, depth=0)
    chosen = plain
    if diversity:
        kin = kinship(movies, movies)
        chosen = diversified(order, kin, diversity=diversity, depth=DIVERSIFIED_DEPTH)
    before, after = plain[:FIRST_PAGE], chosen[:FIRST_PAGE]
    return chosen, Diversity(
        diversity=diversity,
        intra_list_similarity=_mean_likeness(movies, after),
        promoted_count=len(set(after) - set(before)),
    )


def _mean_likeness(movies: Kinds, places: list[int]) -> float:
    """Mean likeness of two different movies of these; 0 where there are no two."""
    n = len(places)
    if n < 2:
        return 0.0
    some = movies[np.array(places)]
    among = kinship(some, some)
    return round(float((among.sum() - np.trace(among)) / (n * (n - 1))), 3)
