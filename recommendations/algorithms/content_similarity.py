"""How alike two movies are by what they are: genres, period and people. Free of Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.heuristic import Array, Movies

# Years apart at which two movies of one genre are 1/e as alike.
PERIOD_SCALE_YEARS = 15.0
DIRECTOR, LEAD = 0.45, 0.15
MOST_BY_PEOPLE = 0.75
# What a place on another service's list says: half for the first, a quarter for the eleventh.
MOST_BY_LIST = 0.5
LIST_SCALE = 10.0

#: The people of a movie with the weight of their credit.
People = Mapping[int, float]


class Kinds(Protocol):
    """Genres and years of m movies, as both formulas hold them."""

    @property
    def genres(self) -> NDArray[np.floating]: ...  # (m, g), 1 where the movie has the genre
    @property
    def years(self) -> NDArray[np.int64]: ...  # (m,), 0 where unknown
    def __getitem__(self, chosen: NDArray[np.integer]) -> Kinds: ...


def likeness(a: Movies, b: Movies, people_a: Sequence[People], people_b: Sequence[People]) -> Array:
    """(len(a), len(b)), 0 to 1: genres and period, or people in common, or both.

    1 - (1 - cosine of genres * closeness in time) * (1 - shared people), a noisy or: either ground
    is enough, and both together are more.
    """
    together: Array = 1 - (1 - kinship(a, b)) * (1 - shared_people(people_a, people_b))
    return together


def kinship(a: Kinds, b: Kinds) -> Array:
    """(len(a), len(b)), 0 to 1: cosine of genres * closeness in time."""
    kin: Array = _genre_cosine(a, b) * _closeness(a, b)
    return kin


def listed(content: Array, places: Array) -> Array:
    """(n,) Likeness by content, raised for movies that another service lists beside the target.

    1 - (1 - content) * (1 - MOST_BY_LIST / (1 + place / LIST_SCALE)), the same noisy or; `places`
    count from 0 and are NaN for movies that are not on the list.
    """
    by_list = np.where(np.isnan(places), 0.0, MOST_BY_LIST / (1 + places / LIST_SCALE))
    raised: Array = 1 - (1 - content) * (1 - by_list)
    return raised


def shared_people(people_a: Sequence[People], people_b: Sequence[People]) -> Array:
    """(len(a), len(b)), 0 to MOST_BY_PEOPLE: the lesser of the two credits of each shared person."""
    places: dict[int, list[tuple[int, float]]] = {}
    for column, people in enumerate(people_b):
        for person, weight in people.items():
            places.setdefault(person, []).append((column, weight))
    shared = np.zeros((len(people_a), len(people_b)))
    for row, people in enumerate(people_a):
        for person, weight in people.items():
            for column, other in places.get(person, ()):
                shared[row, column] += min(weight, other)
    return np.minimum(shared, MOST_BY_PEOPLE)


def _genre_cosine(a: Kinds, b: Kinds) -> Array:
    norm_a = np.sqrt(np.maximum(a.genres.sum(axis=1), 1))
    norm_b = np.sqrt(np.maximum(b.genres.sum(axis=1), 1))
    cosine: Array = a.genres @ b.genres.T / (norm_a[:, None] * norm_b[None, :])
    return cosine


def _closeness(a: Kinds, b: Kinds) -> Array:
    apart = np.abs(a.years[:, None] - b.years[None, :])
    # Without a year nothing is known of the distance; a scale's worth is assumed.
    unknown = (a.years[:, None] == 0) | (b.years[None, :] == 0)
    return np.exp(-np.where(unknown, PERIOD_SCALE_YEARS, apart) / PERIOD_SCALE_YEARS)
