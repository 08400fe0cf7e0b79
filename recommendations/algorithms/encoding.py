"""Ratings as a sparse matrix: members by movies, in compact numbers.

A rating becomes a weight of interest x (`data.interest`). Member u is scaled by (n_u / mean n)^-power,
so that one who rated everything does not outvote hundreds, and movie i by its weighted count^-0.1, which
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
    """The ratings by place: which member (row) rated which movie (column)."""

    user_ids: Ids  # (u,) ascending
    movie_ids: Ids  # (m,) ascending
    users: NDArray[np.int32]  # (r,)
    movies: NDArray[np.int32]  # (r,)
    stars: Floats  # (r,)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.user_ids), len(self.movie_ids)

    def only(self, chosen: NDArray[np.bool_]) -> Encoded:
        """Some of the ratings, without the members and movies that have none left."""
        user_ids, users = np.unique(self.users[chosen], return_inverse=True)
        movie_ids, movies = np.unique(self.movies[chosen], return_inverse=True)
        return Encoded(
            self.user_ids[user_ids],
            self.movie_ids[movie_ids],
            users.astype(np.int32),
            movies.astype(np.int32),
            self.stars[chosen],
        )

    def matrix(self, values: Floats) -> sparse.csr_array:
        """(u, m) with these values, one a rating."""
        counts = np.bincount(self.users, minlength=self.shape[0])
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return sparse.csr_array((values, self.movies, starts), shape=self.shape)


def encoded(ratings: Ratings) -> Encoded:
    """The ratings by place, in one order whatever the order they come in.

    So sums of floats come out the same to the last bit. Raises BadRatings if a member rates a movie
    twice.
    """
    user_ids, users = np.unique(ratings.users, return_inverse=True)
    movie_ids, movies = np.unique(ratings.movies, return_inverse=True)
    key = users.astype(np.int64) * max(len(movie_ids), 1) + movies
    users, movies = users.astype(np.int32), movies.astype(np.int32)
    stars = np.asarray(ratings.stars, dtype=np.float32)
    if (np.diff(key) <= 0).any():
        order = np.argsort(key, kind="stable")
        key, users, movies, stars = key[order], users[order], movies[order], stars[order]
        twice = np.diff(key) == 0
        if twice.any():
            row = int(twice.argmax())
            raise BadRatings(
                f"Member {user_ids[users[row]]} rates movie {movie_ids[movies[row]]} twice."
            )
    return Encoded(user_ids.astype(np.int64), movie_ids.astype(np.int64), users, movies, stars)


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


def movie_scale(given: Encoded, power: float) -> Floats:
    """(m,) (sum of interest)^-power."""
    totals = np.bincount(given.movies, weights=weights(given), minlength=given.shape[1])
    scale: Floats = (np.maximum(totals, 0.1) ** -power).astype(np.float32)
    return scale
