"""The sequence of a feed: by its order, more varied if asked for, and with series in their sequence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.content_similarity import kinship
from recommendations.algorithms.diversity import diversify, sort_by_order
from recommendations.algorithms.series import order_series
from recommendations.algorithms.types import Array, Ids, Movies
from recommendations.recommender.results import DiversityReport

#: So many movies of the feed are chosen for diversity: its first pages.
DIVERSIFIED_DEPTH = 100
#: The report describes the first page by default, whatever page is requested.
FIRST_PAGE = 20


def sequence_feed(
    order: Array,
    movies: Movies,
    *,
    diversity: float,
    series: Ids,
    released: Ids,
    is_eligible: NDArray[np.bool_],
) -> tuple[list[int], DiversityReport]:
    """Return the indices of the movies, first to last, and how varied the first page is.

    Eligible are the movies whose probability is not under the floor; the others come last.
    """
    plain = order_series(sort_by_order(order), series, released, is_eligible=is_eligible)
    chosen = plain
    if diversity:
        diversified = diversify(
            order,
            lambda: kinship(movies, movies),
            diversity=diversity,
            depth=DIVERSIFIED_DEPTH,
            is_eligible=is_eligible,
        )
        chosen = order_series(diversified, series, released, is_eligible=is_eligible)
    first_page = chosen[:FIRST_PAGE]
    return chosen, DiversityReport(
        diversity=diversity,
        intra_list_similarity=_mean_similarity(movies, first_page),
        promoted_count=len(set(first_page) - set(plain[:FIRST_PAGE])),
    )


def _mean_similarity(movies: Movies, indices: list[int]) -> float:
    """Return the mean similarity of two different movies of these; 0 if there are no two."""
    n = len(indices)
    if n < 2:
        return 0.0
    chosen = movies[np.array(indices)]
    similarity = kinship(chosen, chosen)
    return round(float((similarity.sum() - np.trace(similarity)) / (n * (n - 1))), 3)
