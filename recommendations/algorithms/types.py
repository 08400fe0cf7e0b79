"""What goes into a training and into a score: ratings, what movies are, and a member's history.

Shapes: r ratings, m movies, n movies of one member's history, g genres, e links.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Places = NDArray[np.intp]

LIKED = 4.0
LOWEST_STARS, HIGHEST_STARS = 0.5, 5.0


class BadRatings(ValueError):  # noqa: N818
    """A rating that cannot be: the message names its row, member and movie."""


@dataclass(frozen=True)
class Ratings:
    """All ratings to learn from, in parallel arrays; a member rates a movie once."""

    users: NDArray[np.integer]  # (r,) ids
    movies: NDArray[np.integer]  # (r,) ids
    stars: Floats  # (r,) 0.5 to 5

    def __len__(self) -> int:
        return len(self.stars)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> Ratings:
        return Ratings(self.users[chosen], self.movies[chosen], self.stars[chosen])

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
class Content:
    """What the catalogue says of movies, rated or not; a row each, ids ascending.

    `vote_average` (0 to 10) and `vote_count` are TMDb's; zeros switch that prior off.
    """

    movie_ids: Ids  # (m,)
    genres: Floats  # (m, g), 1 where the movie has the genre
    years: NDArray[np.int64]  # (m,), 0 where unknown
    vote_average: Floats  # (m,)
    vote_count: Floats  # (m,)

    def __len__(self) -> int:
        return len(self.movie_ids)

    def of(self, movie_ids: Ids) -> Content:
        """The rows of these movies, in their order; movies it does not hold have no content."""
        places, held = positions(self.movie_ids, movie_ids)
        if not len(self):
            width = self.genres.shape[1] if self.genres.ndim == 2 else 0
            nothing = np.zeros(len(movie_ids), dtype=np.float32)
            return Content(
                movie_ids,
                np.zeros((len(movie_ids), width), np.float32),
                np.zeros(len(movie_ids), np.int64),
                nothing,
                nothing,
            )
        return Content(
            movie_ids=movie_ids,
            genres=np.where(held[:, None], self.genres[places], np.float32(0)),
            years=np.where(held, self.years[places], 0),
            vote_average=np.where(held, self.vote_average[places], np.float32(0)),
            vote_count=np.where(held, self.vote_count[places], np.float32(0)),
        )

    def without_votes(self) -> Content:
        """The same with TMDb's votes switched off."""
        nothing = np.zeros(len(self), dtype=np.float32)
        return Content(self.movie_ids, self.genres, self.years, nothing, nothing)


@dataclass(frozen=True)
class Movies:
    """What scoring needs to know of movies, a row each: few numbers, kept with the training."""

    ids: Ids  # (m,)
    genres: Floats  # (m, g)
    years: NDArray[np.int64]  # (m,), 0 where unknown
    quality: Array  # (m,), logit of the Bayesian chance of being liked
    bias: Array  # (m,), stars above the community's mean, shrunk
    count: Array  # (m,), own ratings
    rate: Array  # (m,), share of the members' interest, 0 to 1

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> Movies:
        return Movies(
            self.ids[chosen],
            self.genres[chosen],
            self.years[chosen],
            self.quality[chosen],
            self.bias[chosen],
            self.count[chosen],
            self.rate[chosen],
        )

    def replaced(self, held: NDArray[np.bool_], rows: Movies) -> Movies:
        """The same, with these rows where `held`."""
        both = {}
        for name, values in vars(self).items():
            kept = values.copy()
            kept[held] = getattr(rows, name)
            both[name] = kept
        return Movies(**both)


@dataclass(frozen=True)
class Neighbours:
    """A list of movies with weights for each of f movies: list k is [starts[k]:starts[k + 1]]."""

    starts: NDArray[np.int64]  # (f + 1,)
    movies: Ids  # (e,) ids
    weights: Floats  # (e,)

    def of(self, place: int) -> tuple[Ids, Floats]:
        chosen = slice(self.starts[place], self.starts[place + 1])
        return self.movies[chosen], self.weights[chosen]


@dataclass(frozen=True)
class Links:
    """Which rated movie speaks for which movie to score, and how loudly; entries in parallel."""

    movies: Places  # (e,) place among the movies to score
    rated: Places  # (e,) place in the history
    weights: Floats  # (e,)

    @classmethod
    def none(cls) -> Links:
        nothing = np.zeros(0, dtype=np.intp)
        return cls(nothing, nothing, np.zeros(0, dtype=np.float32))

    @classmethod
    def by_target(cls, lists: Neighbours, history: Ids) -> Links:
        """From a list for each movie to score (what speaks for it): one movie's match score."""
        owners = np.repeat(np.arange(len(lists.starts) - 1), np.diff(lists.starts))
        rated, held = positions_of_unsorted(history, lists.movies)
        return cls(owners[held], rated[held], lists.weights[held])

    @classmethod
    def by_source(cls, lists: Neighbours, targets: Ids) -> Links:
        """From a list for each movie of the history (what it speaks for): a whole feed."""
        owners = np.repeat(np.arange(len(lists.starts) - 1), np.diff(lists.starts))
        movies, held = positions_of_unsorted(targets, lists.movies)
        return cls(movies[held], owners[held], lists.weights[held])

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class History:
    """A member: nothing but their ratings, and the genres they named.

    `movies` are the rows of the rated movies (`Model.movies_of`, or read from the database).
    """

    movies: Movies  # n rows
    stars: Array  # (n,)
    favourites: Array  # (g,), 1 for a favourite genre
    #: (n,) How much each movie says "more like this": `interest(stars)`, unless feedback says else.
    wants: Array
    #: (n,) False for movies that were not rated, only spoken of by feedback: they count in `wants`.
    rated: NDArray[np.bool_]

    @classmethod
    def of(cls, movies: Movies, stars: ArrayLike, favourites: ArrayLike | None = None) -> History:
        given = np.asarray(stars, dtype=np.float64)
        named = np.zeros(movies.genres.shape[1]) if favourites is None else np.asarray(favourites)
        return cls(movies, given, named, interest(given), np.ones(len(given), dtype=bool))

    @cached_property
    def n(self) -> int:
        """Ratings."""
        return int(self.rated.sum())

    def __len__(self) -> int:
        return len(self.movies)

    def without(self, place: int) -> History:
        """The same member, had they not rated that movie."""
        keep = np.arange(len(self)) != place
        return History(
            self.movies[keep],
            self.stars[keep],
            self.favourites,
            self.wants[keep],
            self.rated[keep],
        )


def interest(stars: NDArray[np.floating]) -> Array:
    """A rating as evidence of interest: a watched movie is some, a liked one more."""
    return np.select([stars >= 4, stars >= 3, stars >= 2], [1.0, 0.6, 0.3], 0.1)


def positions(ascending: Ids, wanted: Ids) -> tuple[Places, NDArray[np.bool_]]:
    """Where each wanted id stands, and whether it does (if not, its place means nothing)."""
    if not len(ascending):
        return np.zeros(len(wanted), dtype=np.intp), np.zeros(len(wanted), dtype=bool)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return places, ascending[places] == wanted


def positions_of_unsorted(ids: Ids, wanted: Ids) -> tuple[Places, NDArray[np.bool_]]:
    """`positions` where the ids are in any order."""
    order = np.argsort(ids, kind="stable")
    places, held = positions(ids[order], wanted)
    return (order[places] if len(ids) else places), held
