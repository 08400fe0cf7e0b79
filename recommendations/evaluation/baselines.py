"""Recommenders from the literature that the engine is compared with.

A baseline that only ranks shows a member without ratings what is popular.

Shapes: u members, m movies of the catalogue, s movies that a baseline knows, k factors.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from recommendations.algorithms import factorization
from recommendations.algorithms.item_stats import SECONDS_A_DAY, decayed_counts
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.ranking import fold_in
from recommendations.algorithms.types import (
    LIKED,
    Floats,
    MovieContent,
    Ratings,
    encode,
    interest,
    positions,
)
from recommendations.evaluation.protocol import (
    DECAYED_POPULARITY,
    POPULARITY,
    Array,
    KnownRatings,
    Places,
    Prediction,
    Progress,
    Recommender,
)

#: Ratings that the community's mean counts for in a movie's probability of being liked.
PRIOR_RATINGS = 5.0
NEIGHBORS = 100
# Movies whose neighbors are computed at once; bounds the memory.
MOVIES_AT_ONCE = 500
# EASE inverts a dense matrix of the most rated movies: 100 MB of float32 at most.
MAX_EASE_MOVIES = 5_000


def count_ratings(ratings: Ratings, content: MovieContent) -> Array:
    """(m,) Return how many ratings each movie has."""
    places = np.searchsorted(content.movie_ids, ratings.movies)
    return np.bincount(places, minlength=len(content)).astype(np.float64)


def interest_matrix(ratings: Ratings, content: MovieContent) -> sparse.csr_matrix:
    """(u, m) Return the interest of each member in the movies they rated."""
    members, rows = np.unique(ratings.users, return_inverse=True)
    columns = np.searchsorted(content.movie_ids, ratings.movies)
    values = interest(ratings.stars.astype(np.float64)).astype(np.float32)
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(members), len(content)))


class Popularity(Recommender):
    """The most rated movies. The probability is the movie's share of likes, shrunk to the mean."""

    name = POPULARITY

    def __init__(self) -> None:
        self._counts = self._probabilities = np.zeros(0)

    def fit(
        self, ratings: Ratings, content: MovieContent, *, as_of: float, progress: Progress
    ) -> None:
        liked = ratings.stars >= LIKED
        mean = float(liked.mean()) if len(liked) else 0.5
        self._counts = count_ratings(ratings, content)
        likes = count_ratings(ratings[liked], content)
        self._probabilities = (likes + PRIOR_RATINGS * mean) / (self._counts + PRIOR_RATINGS)

    def predict(self, known: KnownRatings) -> Prediction:
        return Prediction(self._counts, self._probabilities)


class DecayedPopularity(Recommender):
    """The most rated movies, a rating counting half after each half-life. It only ranks."""

    name = DECAYED_POPULARITY

    def __init__(self, half_life_days: float = Parameters.popularity_half_life_days) -> None:
        self._half_life_days = half_life_days
        self._movie_ids = np.zeros(0, dtype=np.int64)
        self._order = np.zeros(0)

    def fit(
        self, ratings: Ratings, content: MovieContent, *, as_of: float, progress: Progress
    ) -> None:
        self._movie_ids = content.movie_ids
        self.refresh(ratings, as_of=as_of)

    def refresh(self, ratings: Ratings, *, as_of: float) -> None:
        places = np.searchsorted(self._movie_ids, ratings.movies)
        ages_days = np.zeros(len(ratings))
        if ratings.times is not None:
            ages_days = np.asarray((as_of - ratings.times) / SECONDS_A_DAY)
            # Only the ratio of two weights matters; without this those of old data underflow.
            ages_days -= ages_days.min(initial=np.inf) if len(ages_days) else 0.0
        self._order = decayed_counts(
            places,
            ages_days,
            half_life_days=self._half_life_days,
            movie_count=len(self._movie_ids),
        )

    def predict(self, known: KnownRatings) -> Prediction:
        return Prediction(self._order, None)


class ItemKNN(Recommender):
    """The sum of the interest in the rated movies times their cosine with the candidate.

    A movie keeps its NEIGHBORS nearest. It only ranks. Source: Deshpande and Karypis, TOIS 2004.
    """

    name = "item-kNN"

    def __init__(self) -> None:
        self._counts = np.zeros(0)
        self._weights = sparse.csr_matrix((0, 0))

    def fit(
        self, ratings: Ratings, content: MovieContent, *, as_of: float, progress: Progress
    ) -> None:
        self._counts = count_ratings(ratings, content)
        matrix = interest_matrix(ratings, content)
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
        scaled = (matrix @ sparse.diags(1 / np.maximum(norms, 1e-9))).tocsc().astype(np.float32)
        by_movie = scaled.T.tocsr()
        blocks = []
        for start in range(0, len(content), MOVIES_AT_ONCE):
            progress(f"{self.name}: neighbors", start / len(content))
            cosines = (by_movie[start : start + MOVIES_AT_ONCE] @ scaled).tocsr()
            blocks.append(_select_nearest(cosines, first_movie=start, count=NEIGHBORS))
        self._weights = sparse.vstack(blocks).T.tocsr() if blocks else sparse.csr_matrix((0, 0))

    def predict(self, known: KnownRatings) -> Prediction:
        if not len(known.movies):
            return Prediction(self._counts, None)
        order = interest(known.stars) @ self._weights[known.movies]
        return Prediction(np.asarray(order).ravel().astype(np.float64), None)


def _select_nearest(
    cosines: sparse.csr_matrix, *, first_movie: int, count: int
) -> sparse.csr_matrix:
    """Return the `count` greatest entries of each row, without a movie's cosine with itself.

    Row 0 is the movie at the place `first_movie`.
    """
    values, columns, starts = [], [], [0]
    for row in range(cosines.shape[0]):
        entries = slice(cosines.indptr[row], cosines.indptr[row + 1])
        places, weights = cosines.indices[entries], cosines.data[entries]
        is_other = places != first_movie + row
        places, weights = places[is_other], weights[is_other]
        if len(weights) > count:
            chosen = np.argpartition(-weights, count)[:count]
            places, weights = places[chosen], weights[chosen]
        values.append(weights)
        columns.append(places)
        starts.append(starts[-1] + len(weights))
    return sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), np.array(starts)), shape=cosines.shape
    )


class EASE(Recommender):
    """One linear regression of each movie on all others, in closed form. It only ranks.

        B = I - P diag(P)^-1,  P = (X'X + ridge * I)^-1

    X is the (u, s) interest in the MAX_EASE_MOVIES most rated movies; other movies come last.
    Source: Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019.
    """

    name = "EASE"

    def __init__(self, ridge: float | None = None) -> None:
        self._ridge = ridge
        self._counts = np.zeros(0)
        self._places: Places = np.zeros(0, dtype=np.intp)
        self._weights: Floats = np.zeros((0, 0), dtype=np.float32)

    def fit(
        self, ratings: Ratings, content: MovieContent, *, as_of: float, progress: Progress
    ) -> None:
        progress(f"{self.name}: inverse", 0.0)
        self._counts = count_ratings(ratings, content)
        most_rated = np.argsort(-self._counts, kind="stable")[:MAX_EASE_MOVIES]
        self._places = np.sort(most_rated[self._counts[most_rated] > 0])
        matrix = interest_matrix(ratings, content)[:, self._places]
        system = (matrix.T @ matrix).toarray().astype(np.float32)
        diagonal = np.arange(len(system))
        # In proportion to the members, as sums over members stand against it.
        ridge = matrix.shape[0] / 5 if self._ridge is None else self._ridge
        system[diagonal, diagonal] += np.float32(ridge)
        inverse = np.linalg.inv(system)
        self._weights = inverse / -np.diagonal(inverse)
        self._weights[diagonal, diagonal] = 0.0

    def predict(self, known: KnownRatings) -> Prediction:
        if not len(known.movies):
            return Prediction(self._counts, None)
        rows, is_known = positions(self._places, known.movies)
        order = np.full(len(self._counts), -np.inf)
        order[self._places] = interest(known.stars[is_known]) @ self._weights[rows[is_known]]
        return Prediction(order, None)


class ImplicitALS(Recommender):
    """The engine's implicit matrix factorization (algorithms.factorization) alone. It only ranks."""

    name = "iALS"

    def __init__(self) -> None:
        self._counts = np.zeros(0)
        self._vectors: Floats = np.zeros((0, 0), dtype=np.float32)
        self._gram: NDArray[np.float64] = np.zeros((0, 0))
        self._parameters = Parameters()

    def fit(
        self, ratings: Ratings, content: MovieContent, *, as_of: float, progress: Progress
    ) -> None:
        progress(f"{self.name}: factors", 0.0)
        self._parameters = Parameters.for_size(len(ratings))
        self._counts = count_ratings(ratings, content)
        encoded = encode(ratings)
        factors = factorization.fit_implicit(
            encoded,
            factors=self._parameters.als_factors,
            alpha=self._parameters.als_alpha,
            ridge=self._parameters.als_ridge,
            seed=self._parameters.seed,
        )
        self._vectors = np.zeros((len(content), factors.shape[1]), dtype=np.float32)
        self._vectors[np.searchsorted(content.movie_ids, encoded.movie_ids)] = factors
        self._gram = factorization.gram(factors)

    def predict(self, known: KnownRatings) -> Prediction:
        if not len(known.movies):
            return Prediction(self._counts, None)
        member = fold_in(
            self._vectors[known.movies],
            interest(known.stars),
            self._gram,
            alpha=self._parameters.als_alpha,
            ridge=self._parameters.als_ridge,
        )
        return Prediction((self._vectors @ member).astype(np.float64), None)
