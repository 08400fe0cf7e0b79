"""What the engine has to beat: popularity and item-kNN.

Shapes: m movies of the catalogue, by place; u members in training.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from recommendations.algorithms.types import LIKED, MovieContent, Ratings, interest
from recommendations.evaluation.protocol import Answer, Known, Places, Progress

#: Ratings that the community's mean counts for in a movie's chance of being liked.
PRIOR_RATINGS = 5.0
NEIGHBOURS = 100
#: Movies whose neighbours are looked for at once; bounds the memory.
MOVIES_AT_ONCE = 500


def matrix(
    ratings: Ratings, content: MovieContent
) -> tuple[sparse.csr_matrix, NDArray[np.integer]]:
    """(u, m) interest in the movies rated, and the members' ids."""
    members, rows = np.unique(ratings.users, return_inverse=True)
    columns = np.searchsorted(content.movie_ids, ratings.movies)
    values = interest(ratings.stars.astype(np.float64)).astype(np.float32)
    shape = (len(members), len(content))
    return sparse.csr_matrix((values, (rows, columns)), shape=shape), members


class Popularity:
    """The movies most rated; the chance is the movie's own, shrunk to the community's."""

    name = "popularity"

    def fit(self, ratings: Ratings, content: MovieContent, progress: Progress) -> None:
        places = np.searchsorted(content.movie_ids, ratings.movies)
        liked = ratings.stars >= LIKED
        mean = float(liked.mean()) if len(liked) else 0.5
        self._count = np.bincount(places, minlength=len(content)).astype(np.float64)
        likes = np.bincount(places, liked, len(content))
        self._chance = (likes + PRIOR_RATINGS * mean) / (self._count + PRIOR_RATINGS)

    def answer(self, known: Known, asked: Places) -> Answer:
        return Answer(self._count, self._chance[asked])


class ItemNeighbours:
    """Item-kNN: the sum, over the history, of the interest in a movie times its cosine.

    A movie keeps its NEIGHBOURS nearest. It ranks and has no chances. Source: Deshpande and Karypis,
    TOIS 2004.
    """

    name = "item-kNN"

    def fit(self, ratings: Ratings, content: MovieContent, progress: Progress) -> None:
        taste, _ = matrix(ratings, content)
        norms = np.sqrt(np.asarray(taste.multiply(taste).sum(axis=0)).ravel())
        scaled = (taste @ sparse.diags(1 / np.maximum(norms, 1e-9))).tocsc().astype(np.float32)
        by_movie = scaled.T.tocsr()
        parts = []
        for start in range(0, len(content), MOVIES_AT_ONCE):
            progress(f"{self.name}: neighbours", start / len(content))
            # A row a target; its own cosine is left out.
            cosine = (by_movie[start : start + MOVIES_AT_ONCE] @ scaled).tocsr()
            parts.append(_nearest(cosine, first=start, kept=NEIGHBOURS))
        self._weights = sparse.vstack(parts).T.tocsr() if parts else sparse.csr_matrix((0, 0))

    def answer(self, known: Known, asked: Places) -> Answer:
        if not len(known.movies):
            return Answer(np.zeros(self._weights.shape[1]), None)
        order = interest(known.stars) @ self._weights[known.movies]
        return Answer(np.asarray(order).ravel().astype(np.float64), None)


def _nearest(cosine: sparse.csr_matrix, *, first: int, kept: int) -> sparse.csr_matrix:
    """Each row's `kept` greatest entries but the diagonal; row 0 is movie `first`."""
    values, columns, starts = [], [], [0]
    for row in range(cosine.shape[0]):
        entries = slice(cosine.indptr[row], cosine.indptr[row + 1])
        places, weights = cosine.indices[entries], cosine.data[entries]
        others = places != first + row
        places, weights = places[others], weights[others]
        if len(weights) > kept:
            chosen = np.argpartition(-weights, kept)[:kept]
            places, weights = places[chosen], weights[chosen]
        values.append(weights)
        columns.append(places)
        starts.append(starts[-1] + len(weights))
    return sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), np.array(starts)), shape=cosine.shape
    )
