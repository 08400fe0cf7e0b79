"""What a training learns: rows of movies, the lists of what speaks for what, and coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommendations.algorithms import factorization
from recommendations.algorithms.calibration import Coefficients
from recommendations.algorithms.item_stats import Totals, unrated_movies
from recommendations.algorithms.neighbors import transpose
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import (
    Array,
    Floats,
    History,
    Ids,
    Links,
    MovieContent,
    Movies,
    NeighborLists,
    Places,
    positions,
)


@dataclass(frozen=True)
class Model:
    movies: Movies  # all movies with ratings, ids ascending
    feed: NeighborLists  # by target: what speaks for movies[k] in the ranking
    taste: NeighborLists  # by target: the movies most like movies[k] by who liked them
    totals: Totals
    coefficients: Coefficients
    parameters: Parameters

    @cached_property
    def factor_gram(self) -> Array:
        """(k, k) The Gram matrix of the movies' vectors, for the fold-in of a member."""
        return factorization.gram(self.movies.factors)

    def rows_of(self, movie_ids: Ids, content: MovieContent) -> Movies:
        """Return the rows of these movies in their order, rated or not."""
        places, is_known = positions(self.movies.ids, movie_ids)
        if is_known.all():
            return self.movies[places]
        described = content.of(movie_ids)
        if not self.parameters.use_votes:
            described = described.without_votes()
        rows = unrated_movies(described, self.totals, self.parameters)
        return rows.with_rows(is_known, self.movies[places[is_known]])

    def links(self, history: History, movies: Movies) -> tuple[Links, Links]:
        """Return the ranking and the taste links from the history to the movies to score."""
        return self._feed.links(history, movies), self._taste.links(history, movies)

    @cached_property
    def _feed(self) -> _Lists:
        return _Lists(self.feed, self.movies.ids)

    @cached_property
    def _taste(self) -> _Lists:
        return _Lists(self.taste, self.movies.ids)


class _Lists:
    """The lists of all movies, read from the side that has fewer of them to read."""

    def __init__(self, lists: NeighborLists, ids: Ids) -> None:
        self._ids = ids
        self._by_source = transpose(lists, ids)
        self._by_target = self._by_source.T.tocsr()

    def links(self, history: History, movies: Movies) -> Links:
        sources, source_known = positions(self._ids, history.movies.ids)
        targets, target_known = positions(self._ids, movies.ids)
        if len(movies) < len(history):
            to, by, weights = _select(self._by_target, targets, target_known, sources, source_known)
        else:
            by, to, weights = _select(self._by_source, sources, source_known, targets, target_known)
        return Links(to, by, weights)


def _select(
    lists: sparse.csr_array,
    rows: Places,
    row_known: NDArray[np.bool_],
    columns: Places,
    column_known: NDArray[np.bool_],
) -> tuple[Places, Places, Floats]:
    """Return the entries of these rows in these columns: place in `rows`, in `columns`, value."""
    place = np.full(lists.shape[1], -1, dtype=np.intp)
    place[columns[column_known]] = np.flatnonzero(column_known)
    chosen = lists[rows[row_known]]
    entry_rows = np.repeat(np.flatnonzero(row_known), np.diff(chosen.indptr))
    entry_columns = place[chosen.indices]
    is_wanted = entry_columns >= 0
    return entry_rows[is_wanted], entry_columns[is_wanted], chosen.data[is_wanted]
