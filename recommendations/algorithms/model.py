"""What a training leaves: movies' rows, who speaks for whom, and the coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommendations.algorithms.calibration import Coefficients
from recommendations.algorithms.item_stats import Totals, unrated_movies
from recommendations.algorithms.neighbors import transposed
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import (
    Content,
    Floats,
    History,
    Ids,
    Links,
    Movies,
    Neighbours,
    Places,
    positions,
)


@dataclass(frozen=True)
class Model:
    movies: Movies  # all movies with ratings, ids ascending
    feed: Neighbours  # by target: what speaks for movies[k] in the ranking
    taste: Neighbours  # by target: the movies most like movies[k] by who liked them
    totals: Totals
    coefficients: Coefficients
    parameters: Parameters

    def movies_of(self, movie_ids: Ids, content: Content) -> Movies:
        """Rows of these movies in their order, rated or not."""
        places, held = positions(self.movies.ids, movie_ids)
        if held.all():
            return self.movies[places]
        described = content.of(movie_ids)
        if not self.parameters.use_votes:
            described = described.without_votes()
        return unrated_movies(described, self.totals).replaced(held, self.movies[places[held]])

    def links(self, history: History, movies: Movies) -> tuple[Links, Links]:
        """Feed and taste links from the history to the movies to score."""
        return self._feed.links(history, movies), self._taste.links(history, movies)

    @cached_property
    def _feed(self) -> _Lists:
        return _Lists(self.feed, self.movies.ids)

    @cached_property
    def _taste(self) -> _Lists:
        return _Lists(self.taste, self.movies.ids)


class _Lists:
    """The lists of all movies, to be read from the side that has fewer of them to read."""

    def __init__(self, lists: Neighbours, ids: Ids) -> None:
        self._ids = ids
        self._by_source = transposed(lists, ids)
        self._by_target = self._by_source.T.tocsr()

    def links(self, history: History, movies: Movies) -> Links:
        sources, known = positions(self._ids, history.movies.ids)
        targets, asked = positions(self._ids, movies.ids)
        if len(movies) < len(history):
            to, by, weights = _among(self._by_target, targets, asked, sources, known)
        else:
            by, to, weights = _among(self._by_source, sources, known, targets, asked)
        return Links(to, by, weights)


def _among(
    lists: sparse.csr_array,
    rows: Places,
    held: NDArray[np.bool_],
    columns: Places,
    wanted: NDArray[np.bool_],
) -> tuple[Places, Places, Floats]:
    """The entries of these rows in those columns: place among the rows, the columns, and value."""
    place = np.full(lists.shape[1], -1, dtype=np.intp)
    place[columns[wanted]] = np.flatnonzero(wanted)
    chosen = lists[rows[held]]
    of_row = np.repeat(np.flatnonzero(held), np.diff(chosen.indptr))
    of_column = place[chosen.indices]
    kept = of_column >= 0
    return of_row[kept], of_column[kept], chosen.data[kept]
