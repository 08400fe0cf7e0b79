"""Ratings as a sparse matrix: members by films, in compact numbers.

A rating becomes a weight of interest x (`data.interest`). Member u is scaled by (n_u / mean n)^-power,
so that one who rated everything does not outvote hundreds, and film i by its weighted count^-0.1, which
keeps the most popular from speaking for everything (Steck, "Markov random fields for collaborative
filtering", NeurIPS 2019, scales items likewise).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommendations.algorithms.types import BadRatings, Floats, Ids, Ratings, interest


@dataclass(frozen=True)
class Encoded:
    """The ratings by place: which member (row) rated which film (column)."""

    user_ids: Ids  # (u,) ascending
    film_ids: Ids  # (m,) ascending
    users: NDArray[np.int32]  # (r,)
    films: NDArray[np.int32]  # (r,)
    stars: Floats  # (r,)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.user_ids), len(self.film_ids)

    def only(self, chosen: NDArray[np.bool_]) -> Encoded:
        """Some of the ratings, without the members and films that have none left."""
        user_ids, users = np.unique(self.users[chosen], return_inverse=True)
        film_ids, films = np.unique(self.films[chosen], return_inverse=True)
        return Encoded(
            self.user_ids[user_ids],
            self.film_ids[film_ids],
            users.astype(np.int32),
            films.astype(np.int32),
            self.stars[chosen],
        )

    def matrix(self, values: Floats) -> sparse.csr_array:
        """(u, m) with these values, one a rating."""
        counts = np.bincount(self.users, minlength=self.shape[0])
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return sparse.csr_array((values, self.films, starts), shape=self.shape)


def encoded(ratings: Ratings) -> Encoded:
    """The ratings by place, in one order whatever the order they come in.

    So sums of floats come out the same to the last bit. Raises BadRatings if a member rates a film
    twice.
    """
    user_ids, users = np.unique(ratings.users, return_inverse=True)
    film_ids, films = np.unique(ratings.films, return_inverse=True)
    key = users.astype(np.int64) * max(len(film_ids), 1) + films
    users, films = users.astype(np.int32), films.astype(np.int32)
    stars = np.asarray(ratings.stars, dtype=np.float32)
    if (np.diff(key) <= 0).any():
        order = np.argsort(key, kind="stable")
        key, users, films, stars = key[order], users[order], films[order], stars[order]
        twice = np.diff(key) == 0
        if twice.any():
            row = int(twice.argmax())
            raise BadRatings(
                f"Member {user_ids[users[row]]} rates film {film_ids[films[row]]} twice."
            )
    return Encoded(user_ids.astype(np.int64), film_ids.astype(np.int64), users, films, stars)


def weights(given: Encoded) -> Floats:
    """(r,) The interest of each rating."""
    return interest(given.stars).astype(np.float32)


def member_scale(given: Encoded, power: float) -> Floats:
    """(u,) (n_u / mean n)^-power: 1 for a member of mean activity, so that a ridge keeps its sense."""
    counts = np.maximum(np.bincount(given.users, minlength=given.shape[0]), 1)
    scale: Floats = ((counts / max(len(given.stars), 1) * max(len(counts), 1)) ** -power).astype(
        np.float32
    )
    return scale


def film_scale(given: Encoded, power: float) -> Floats:
    """(m,) (sum of interest)^-power."""
    totals = np.bincount(given.films, weights=weights(given), minlength=given.shape[1])
    scale: Floats = (np.maximum(totals, 0.1) ** -power).astype(np.float32)
    return scale
