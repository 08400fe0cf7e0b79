"""Ratings as a sparse matrix of members by movies.

A rating becomes an interest x (`types.interest`). Member u is scaled by (n_u / mean n)^-power, so
that a member who rated everything does not outvote hundreds, and movie i by its summed
interest^-power, so that the most popular movies do not speak for everything. Source: Steck, "Markov
random fields for collaborative filtering", NeurIPS 2019, scales items likewise.

Shapes: r ratings, u members, m movies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommendations.algorithms.types import BadRatings, Floats, Ids, Ratings, interest


@dataclass(frozen=True)
class Encoded:
    """The ratings by place, ordered by member and movie."""

    user_ids: Ids  # (u,) ascending
    movie_ids: Ids  # (m,) ascending
    users: NDArray[np.int32]  # (r,) row of the member
    movies: NDArray[np.int32]  # (r,) column of the movie
    stars: Floats  # (r,)
    times: NDArray[np.int64] | None  # (r,) seconds since 1970, None if unknown

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.user_ids), len(self.movie_ids)

    def only(self, chosen: NDArray[np.bool_]) -> Encoded:
        """Return some of the ratings, without the members and movies that have none left."""
        user_ids, users = np.unique(self.users[chosen], return_inverse=True)
        movie_ids, movies = np.unique(self.movies[chosen], return_inverse=True)
        return Encoded(
            self.user_ids[user_ids],
            self.movie_ids[movie_ids],
            users.astype(np.int32),
            movies.astype(np.int32),
            self.stars[chosen],
            None if self.times is None else self.times[chosen],
        )

    def matrix(self, values: Floats) -> sparse.csr_matrix:
        """(u, m) Return the sparse matrix with these (r,) values."""
        counts = np.bincount(self.users, minlength=self.shape[0])
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return sparse.csr_matrix((values, self.movies, starts), shape=self.shape)


def encode(ratings: Ratings) -> Encoded:
    """Order the ratings by member and movie, so that sums of floats do not depend on their order.

    Raises BadRatings if a member rates a movie twice.
    """
    user_ids, users = np.unique(ratings.users, return_inverse=True)
    movie_ids, movies = np.unique(ratings.movies, return_inverse=True)
    key = users.astype(np.int64) * max(len(movie_ids), 1) + movies
    users, movies = users.astype(np.int32), movies.astype(np.int32)
    stars, times = np.asarray(ratings.stars, dtype=np.float32), ratings.times
    if (np.diff(key) <= 0).any():
        order = np.argsort(key, kind="stable")
        key, users, movies, stars = key[order], users[order], movies[order], stars[order]
        times = None if times is None else times[order]
        is_repeated = np.diff(key) == 0
        if is_repeated.any():
            row = int(is_repeated.argmax())
            raise BadRatings(
                f"Member {user_ids[users[row]]} rates movie {movie_ids[movies[row]]} twice."
            )
    return Encoded(
        user_ids.astype(np.int64), movie_ids.astype(np.int64), users, movies, stars, times
    )


def interest_values(encoded: Encoded) -> Floats:
    """(r,) Return the interest of each rating."""
    return interest(encoded.stars).astype(np.float32)


def member_scale(encoded: Encoded, power: float) -> Floats:
    """(u,) Return (n_u / mean n)^-power, which is 1 for a member of mean activity."""
    counts = np.maximum(np.bincount(encoded.users, minlength=encoded.shape[0]), 1)
    mean = max(len(encoded.stars), 1) / max(len(counts), 1)
    scale: Floats = ((counts / mean) ** -power).astype(np.float32)
    return scale


def movie_scale(encoded: Encoded, power: float) -> Floats:
    """(m,) Return (sum of interest)^-power."""
    totals = np.bincount(encoded.movies, interest_values(encoded), minlength=encoded.shape[1])
    scale: Floats = (np.maximum(totals, 0.1) ** -power).astype(np.float32)
    return scale
