"""What goes into a training and into a score: ratings, what movies are, and a member's history.

Shapes: r ratings, u members, m movies, n movies of one member's history, g genres, e links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from nexus.core.genres import GENRE_NAMES

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Places = NDArray[np.intp]

LIKED = 4.0
LOWEST_STARS, HIGHEST_STARS = 0.5, 5.0
_GENRE_COLUMN = {name: column for column, name in enumerate(GENRE_NAMES)}


class BadRatings(ValueError):  # noqa: N818
    """A rating is not a number of stars. The message names its row, member and movie."""


@dataclass(frozen=True)
class Ratings:
    """All ratings to learn from, in parallel arrays; a member rates a movie once."""

    users: NDArray[np.integer]  # (r,) ids
    movies: NDArray[np.integer]  # (r,) ids
    stars: Floats  # (r,) 0.5 to 5
    #: (r,) Seconds since 1970. None if unknown: nothing is then learned from their order.
    times: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.stars)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> Ratings:
        times = None if self.times is None else self.times[chosen]
        return Ratings(self.users[chosen], self.movies[chosen], self.stars[chosen], times)

    def check(self) -> None:
        """Raise BadRatings for the first row that is not a number of stars."""
        if not len(self.users) == len(self.movies) == len(self.stars):
            raise BadRatings("Users, movies and stars differ in length.")
        wrong = ~((self.stars >= LOWEST_STARS) & (self.stars <= HIGHEST_STARS))
        if wrong.any():
            row = int(wrong.argmax())
            raise BadRatings(
                f"Row {row} (member {self.users[row]}, movie {self.movies[row]}) has "
                f"{self.stars[row]} stars; {LOWEST_STARS} to {HIGHEST_STARS} are possible."
            )


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

    def interest(self) -> Floats:
        """(r,) Return the interest of each rating."""
        return interest(self.stars).astype(np.float32)


@dataclass(frozen=True)
class MovieContent:
    """What the catalogue says of movies, rated or not; a row each, ids ascending.

    `vote_average` (0 to 10) and `vote_count` are TMDb's; zeros switch that prior off.
    """

    movie_ids: Ids  # (m,)
    genres: Floats  # (m, g), 1 where the movie has the genre
    years: NDArray[np.int64]  # (m,), 0 where unknown
    vote_average: Floats  # (m,)
    vote_count: Floats  # (m,)

    @classmethod
    def of_rows(cls, rows: Sequence[tuple[Any, ...]]) -> MovieContent:
        """Return rows that begin with id, genre names, year, vote average and vote count as arrays."""
        genres = np.zeros((len(rows), len(GENRE_NAMES)), dtype=np.float32)
        for place, row in enumerate(rows):
            for name in row[1]:
                # Genres that TMDb has added since the release of this model count for nothing.
                if name in _GENRE_COLUMN:
                    genres[place, _GENRE_COLUMN[name]] = 1.0
        return cls(
            movie_ids=np.array([row[0] for row in rows], dtype=np.int64),
            genres=genres,
            years=np.array([row[2] or 0 for row in rows], dtype=np.int64),
            vote_average=np.array([row[3] for row in rows], dtype=np.float32),
            vote_count=np.array([row[4] for row in rows], dtype=np.float32),
        )

    def __len__(self) -> int:
        return len(self.movie_ids)

    def of(self, movie_ids: Ids) -> MovieContent:
        """Return the rows of these movies, in their order; unknown movies have no content."""
        places, is_known = positions(self.movie_ids, movie_ids)
        at, columns = np.flatnonzero(is_known), {}
        for name, values in vars(self).items():
            columns[name] = np.zeros((len(movie_ids), *values.shape[1:]), dtype=values.dtype)
            columns[name][at] = values[places[at]]
        return MovieContent(**(columns | {"movie_ids": movie_ids}))

    def without_votes(self) -> MovieContent:
        """Return the same movies without TMDb's votes."""
        nothing = np.zeros(len(self), dtype=np.float32)
        return MovieContent(self.movie_ids, self.genres, self.years, nothing, nothing)


@dataclass(frozen=True)
class Movies:
    """What scoring needs to know of movies, a row each."""

    ids: Ids  # (m,)
    genres: Floats  # (m, g)
    years: NDArray[np.int64]  # (m,), 0 where unknown
    quality: Array  # (m,), logit of the Bayesian chance of being liked
    bias: Array  # (m,), stars above the community's mean, shrunk
    count: Array  # (m,), own ratings
    rate: Array  # (m,), share of the members' interest, 0 to 1
    recent_rate: Array  # (m,), the same with ratings that lose weight with age
    trend: Array  # (m,), 1: as much of the recent interest as of all interest
    factors: (
        Floats  # (m, k), vectors of algorithms.factorization; zero for a movie it does not know
    )
    residual_factors: Floats  # (m, f), likewise

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> Movies:
        return Movies(**{name: values[chosen] for name, values in vars(self).items()})

    def with_rows(self, chosen: NDArray[np.bool_], rows: Movies) -> Movies:
        """Return a copy in which the chosen rows are these."""
        columns = {name: values.copy() for name, values in vars(self).items()}
        for name, values in columns.items():
            values[chosen] = getattr(rows, name)
        return Movies(**columns)

    def with_vectors(self, factors: Floats, residual_factors: Floats) -> Movies:
        return replace(self, factors=factors, residual_factors=residual_factors)


@dataclass(frozen=True)
class Links:
    """The weights of the rated movies for the movies to score: a sparse matrix, e entries in parallel."""

    movies: Places  # (e,) place among the movies to score
    rated: Places  # (e,) place in the history
    weights: Floats  # (e,)

    def of_rated(self, chosen: Places, n: int) -> Links:
        """Return the links from these of the n rated movies, which become the whole history."""
        place = np.full(n, -1, dtype=np.intp)
        place[chosen] = np.arange(len(chosen))
        rated = place[self.rated]
        is_chosen = rated >= 0
        return Links(self.movies[is_chosen], rated[is_chosen], self.weights[is_chosen])

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class History:
    """A member: their ratings and favorite genres, and nothing else."""

    movies: Movies  # n rows: the rated movies, and those of feedback
    stars: Array  # (n,)
    favorites: Array  # (g,), 1 for a favorite genre
    #: (n,) How much the member wants more like each movie: `interest(stars)`, unless feedback says else.
    wants: Array
    #: (n,) False for movies that were not rated but got feedback; they count in `wants` alone.
    rated: NDArray[np.bool_]
    #: (n,) Weight by age (ranking.recency_weights), 1 for the newest.
    recency: Array

    @classmethod
    def of(
        cls,
        movies: Movies,
        stars: ArrayLike,
        favorites: ArrayLike | None = None,
        recency: Array | None = None,
    ) -> History:
        """Return the history of a member who gave no feedback."""
        given = np.asarray(stars, dtype=np.float64)
        n = len(given)
        named = np.zeros(movies.genres.shape[1]) if favorites is None else np.asarray(favorites)
        weights = np.ones(n) if recency is None else recency
        return cls(movies, given, named, interest(given), np.ones(n, dtype=bool), weights)

    @cached_property
    def n(self) -> int:
        """Return the number of ratings."""
        return int(self.rated.sum())

    def __len__(self) -> int:
        return len(self.movies)

    def without(self, place: int) -> History:
        """Return the same member without this rating. The other ratings keep their weights."""
        keep = np.arange(len(self)) != place
        return History(
            self.movies[keep],
            self.stars[keep],
            self.favorites,
            self.wants[keep],
            self.rated[keep],
            self.recency[keep],
        )


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


def interest(stars: NDArray[np.floating]) -> Array:
    """Return the interest that ratings show: a watched movie is some, a liked one more."""
    return np.select([stars >= 4, stars >= 3, stars >= 2], [1.0, 0.6, 0.3], 0.1)


def positions(ascending: Ids, wanted: Ids) -> tuple[Places, NDArray[np.bool_]]:
    """Return the place of each wanted id, and whether it is there (if not, its place means nothing)."""
    if not len(ascending):
        return np.zeros(len(wanted), dtype=np.intp), np.zeros(len(wanted), dtype=bool)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return places, ascending[places] == wanted


def shrink(n: float, shrinkage: float) -> float:
    """Return n / (n + shrinkage): how much n observations count, 0 to 1."""
    return n / (n + shrinkage)
