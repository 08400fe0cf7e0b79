"""Similarity of two movies by who likes them: from the lists that order the feed.

    similarity_j = sqrt(w_j / max w * n_j / (n_j + 15) * cos_j / max cos) * (0.4 + 0.6 g_j)

over the movies j that EDLAE lists for a movie: w is the weight in its list, n the number of ratings of j,
cos the cosine of the vectors of implicit ALS, and g the cosine of the genres. EDLAE alone puts movies
first that few have rated, and implicit ALS alone what everybody has seen; both have to agree.

Shapes: e movies of the list.
"""

from __future__ import annotations

import numpy as np

from recommendations.algorithms.types import Array

#: Ratings of a listed movie at which it counts half.
COUNT_SHRINKAGE = 15.0
#: The share that does not depend on the genres.
GENRE_FREE_SHARE = 0.4


def list_similarity(weights: Array, counts: Array, cosines: Array, genre_cosines: Array) -> Array:
    """(e,) Return the similarities, 0 to 1; 0 for a movie with a negative weight or cosine."""
    trust = counts / (counts + COUNT_SHRINKAGE)
    together = _scale(weights) * trust * _scale(cosines)
    similarity: Array = np.sqrt(together) * (
        GENRE_FREE_SHARE + (1 - GENRE_FREE_SHARE) * genre_cosines
    )
    return similarity


def _scale(values: Array) -> Array:
    """Return the values divided by the greatest, and 0 for negative ones."""
    positive = np.maximum(values, 0.0)
    return positive / max(float(positive.max(initial=0.0)), 1e-12)
