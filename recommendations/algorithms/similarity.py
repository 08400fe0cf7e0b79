"""Similarity of two movies: by content (genres, period and people), and by who likes them.

By who likes them it comes from the lists that order the feed:

    similarity_j = sqrt(w_j / max w * n_j / (n_j + 15) * cos_j / max cos) * (0.4 + 0.6 g_j)

over the movies j that EDLAE lists for a movie: w is the weight in its list, n the number of ratings of j,
cos the cosine of the vectors of implicit ALS, and g the cosine of the genres. EDLAE alone puts movies
first that few have rated, and implicit ALS alone what everybody has seen; both have to agree.

Shapes: a and b movies, g genres, e movies of a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.types import Array

#: Years apart at which two movies of one genre are 1/e as similar.
PERIOD_SCALE_YEARS = 15.0
#: The weight of a credit, and the greatest similarity by people.
DIRECTOR, LEAD = 0.45, 0.15
MAX_BY_PEOPLE = 0.75
#: The similarity by a rank on another service's list: half for the first, a quarter for the eleventh.
MAX_BY_LIST = 0.5
LIST_SCALE = 10.0

#: Ratings of a listed movie at which it counts half.
COUNT_SHRINKAGE = 15.0
#: The share that does not depend on the genres.
GENRE_FREE_SHARE = 0.4

#: The people of a movie with the weight of their credit.
People = Mapping[int, float]


class HasContent(Protocol):
    """Genres and years of m movies."""

    @property
    def genres(self) -> NDArray[np.floating]: ...  # (m, g), 1 where the movie has the genre
    @property
    def years(self) -> NDArray[np.int64]: ...  # (m,), 0 where unknown


def content_similarity(
    a: HasContent, b: HasContent, people_a: Sequence[People], people_b: Sequence[People]
) -> Array:
    """(a, b) Return the similarity by genres and period, or by people in common, or both, 0 to 1.

    1 - (1 - cosine of genres * closeness in time) * (1 - shared people): a noisy or, in which either
    is enough, and both together are more.
    """
    similarity: Array = 1 - (1 - kinship(a, b)) * (1 - shared_people(people_a, people_b))
    return similarity


def kinship(a: HasContent, b: HasContent) -> Array:
    """(a, b) Return the cosine of genres * closeness in time, 0 to 1."""
    similarity: Array = genre_cosine(a, b) * _closeness(a, b)
    return similarity


def genre_cosine(a: HasContent, b: HasContent) -> Array:
    """(a, b) Return the cosine of genres, 0 to 1."""
    norm_a = np.sqrt(np.maximum(a.genres.sum(axis=1), 1))
    norm_b = np.sqrt(np.maximum(b.genres.sum(axis=1), 1))
    cosine: Array = a.genres @ b.genres.T / (norm_a[:, None] * norm_b[None, :])
    return cosine


def raise_listed(by_content: Array, ranks: Array) -> Array:
    """(n,) Return the similarities by content, raised for movies that another service lists.

    1 - (1 - content) * (1 - MAX_BY_LIST / (1 + rank / LIST_SCALE)), the same noisy or; `ranks` count
    from 0 and are NaN for movies that are not on the list.
    """
    by_list = np.where(np.isnan(ranks), 0.0, MAX_BY_LIST / (1 + ranks / LIST_SCALE))
    raised: Array = 1 - (1 - by_content) * (1 - by_list)
    return raised


def shared_people(people_a: Sequence[People], people_b: Sequence[People]) -> Array:
    """(a, b) Return the sum of the lesser credit of each shared person, 0 to MAX_BY_PEOPLE."""
    places: dict[int, list[tuple[int, float]]] = {}
    for column, people in enumerate(people_b):
        for person, weight in people.items():
            places.setdefault(person, []).append((column, weight))
    shared = np.zeros((len(people_a), len(people_b)))
    for row, people in enumerate(people_a):
        for person, weight in people.items():
            for column, other in places.get(person, ()):
                shared[row, column] += min(weight, other)
    return np.minimum(shared, MAX_BY_PEOPLE)


def _closeness(a: HasContent, b: HasContent) -> Array:
    apart = np.abs(a.years[:, None] - b.years[None, :])
    # Without a year nothing is known of the distance; a scale's worth is assumed.
    unknown = (a.years[:, None] == 0) | (b.years[None, :] == 0)
    return np.exp(-np.where(unknown, PERIOD_SCALE_YEARS, apart) / PERIOD_SCALE_YEARS)


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
