"""What a training learns: rows of movies, the lists of what speaks for what, and coefficients.

`fit_movies` learns all but the coefficients, which are those of algorithms.fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommendations.algorithms import factorization, item_stats, neighbors
from recommendations.algorithms.item_stats import Totals, unrated_movies
from recommendations.algorithms.match_score import Coefficients
from recommendations.algorithms.neighbors import Executor, choose_sources
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import (
    Array,
    Encoded,
    Floats,
    History,
    Ids,
    Links,
    MovieContent,
    Movies,
    Places,
    positions,
)

#: Takes the step and the share of it that is done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Model:
    movies: Movies  # all movies with ratings, ids ascending
    #: (m, m) Row j has what speaks for movie j in the ranking.
    feed: sparse.csr_array
    #: (m, m) Row j has the movies most like movie j by who liked them.
    taste: sparse.csr_array
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

    def __init__(self, by_target: sparse.csr_array, ids: Ids) -> None:
        self._ids = ids
        self._by_target, self._by_source = by_target, by_target.T.tocsr()

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


def fit_movies(
    encoded: Encoded,
    content: MovieContent,
    parameters: Parameters,
    coefficients: Coefficients,
    executor: Executor,
    *,
    as_of: float,
    targets: Places | None = None,
    progress: Progress,
) -> Model:
    """Fit rows, vectors and lists. Only the movies at the places of `targets` get lists."""
    mean, user_bias, movie_bias = item_stats.fit_biases(encoded, content, parameters.bias_ridge)
    movies, totals = item_stats.rated_movies(encoded, content, movie_bias, parameters, as_of)
    residuals = neighbors.residuals_of(encoded, mean, user_bias, movie_bias)
    sources = choose_sources(movies.count.astype(np.int64), least=parameters.min_source_ratings)
    if targets is None:
        targets = np.arange(len(movies))
    ranking = neighbors.fit_ranking_lists(
        encoded,
        sources,
        targets,
        parameters,
        executor=executor,
        progress=lambda part: progress("learning", 0.6 * part),
    )
    taste = neighbors.fit_taste_lists(
        encoded,
        sources,
        targets,
        residuals,
        parameters,
        executor=executor,
        progress=lambda part: progress("learning", 0.6 + 0.3 * part),
    )
    movies = movies.with_vectors(
        factorization.fit_implicit(
            encoded,
            factors=parameters.als_factors,
            alpha=parameters.als_alpha,
            ridge=parameters.als_ridge,
            seed=parameters.seed,
        ),
        factorization.fit_residual(
            encoded,
            residuals,
            factors=parameters.residual_factors,
            ridge=parameters.residual_ridge,
            seed=parameters.seed,
        ),
    )
    progress("learning", 1.0)
    known = replace(coefficients, totals=totals, residual_ridge=parameters.residual_ridge)
    return Model(movies, ranking, taste, totals, known, parameters)
