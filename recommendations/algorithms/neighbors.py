"""Lists of movies that speak for a movie: in the ranking, in the match score, and as similar movies.

*Ranking*: EDLAE, the weight of each rated movie in the ranking of another, by one ridge regression
each. For target j with the K sources N most similar to it:

    (G_NN + diag(lambda + p / (1 - p) * g_kk)) w = G_Nj

This is EASE (Steck, WWW 2019) with the dropout ridge of EDLAE (Steck, NeurIPS 2020), restricted to
neighbors as fsSLIM is (Ning and Karypis, ICDM 2011). Targets do not depend on each other. G are the
products of movies by the scaled interest of their ratings: member u is scaled by (n_u / mean n)^-power,
so that a member who rated everything does not outvote hundreds, and movie i by its summed
interest^-power, so that the most popular movies do not speak for everything (Steck, "Markov random
fields for collaborative filtering", NeurIPS 2019, scales items likewise).

*Match score*: the movies whose residuals agree, by shrunk cosine.

Each list is made for a block of targets at a time (`Block`), by an object that can be sent to
another process, so that a cluster computes the same as one machine. A movie speaks for others only if
enough members rated it: the sources, at most MAX_SOURCES of them. The Gram matrix among sources is the
one dense matrix, of a size that the catalogue cannot make grow (400 MB at most). For all other movies a
block of rows at a time is computed and dropped.

Shapes: r ratings, m movies, s sources, b targets of a block, k neighbors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg.lapack import sposv
from threadpoolctl import threadpool_limits

from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import (
    Array,
    Encoded,
    Floats,
    Places,
    positions,
)

MAX_SOURCES = 10_000
# Rows a block: 40 MB of float32 with the most sources.
BLOCK_ROWS = 1024
# Targets whose systems are gathered at once: 20 MB of float32 and 41 MB of places at K = 200.
BATCH = 128
# A matrix of ratings of at most so many cells (20 MB of float32) is multiplied as a dense one: a fifth
# of the time at 100,000 ratings. At a million it would take longer.
MAX_DENSE_CELLS = 5_000_000
# Threads, each with one BLAS thread, so that they do not compete.
THREADS = 2

#: In place of a target's similarity to itself; that to others is greater.
ITSELF = np.float32(-1)

#: The lists of a block of targets: how many entries each has (b,), and one list after the other
#: the places of the sources and their weights.
Block = tuple[NDArray[np.int64], NDArray[np.intp], Floats]
Progress = Callable[[float], None]


class Executor(Protocol):
    """Where blocks are computed: threads of this process, or a cluster (training.cluster)."""

    def map(self, compute: Callable[[Places], Any], blocks: Iterable[Places]) -> Iterator[Any]:
        """Yield the results in the order of the blocks. `compute` can be pickled."""


class ThreadExecutor:
    """Compute blocks in threads of this process, no more of them ahead than there are threads."""

    def map(self, compute: Callable[[Places], Any], blocks: Iterable[Places]) -> Iterator[Any]:
        rest = iter(blocks)
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
            running = [pool.submit(compute, block) for block in islice(rest, THREADS)]
            while running:
                result = running.pop(0).result()
                running.extend(pool.submit(compute, block) for block in islice(rest, 1))
                yield result


def member_scale(encoded: Encoded, power: float) -> Floats:
    """(u,) Return (n_u / mean n)^-power, which is 1 for a member of mean activity."""
    counts = np.maximum(np.bincount(encoded.users, minlength=encoded.shape[0]), 1)
    mean = max(len(encoded.stars), 1) / max(len(counts), 1)
    scale: Floats = ((counts / mean) ** -power).astype(np.float32)
    return scale


def movie_scale(encoded: Encoded, power: float) -> Floats:
    """(m,) Return (sum of interest)^-power."""
    totals = np.bincount(encoded.movies, encoded.interest(), minlength=encoded.shape[1])
    scale: Floats = (np.maximum(totals, 0.1) ** -power).astype(np.float32)
    return scale


def cosine(
    products: Floats, target_diagonal: Floats, source_diagonal: Floats, shrinkage: float
) -> Floats:
    """(b, s) Return the shrunk cosine g_ij / (sqrt(g_ii g_jj) + shrinkage)."""
    norms = np.sqrt(target_diagonal)[:, None] * np.sqrt(source_diagonal)[None, :]
    norms += np.float32(shrinkage)
    shrunk: Floats = np.divide(products, norms, out=norms)
    return shrunk


def choose_nearest(similarity: Floats, k: int) -> NDArray[np.intp]:
    """(b, k) Return the places of each row's k greatest positive values, ascending; at most s - 1.

    A row with fewer positive values is filled up with other places, but not with the target's own.
    Most values are 0: a partition of whole rows takes ten times as long as one of the others.
    """
    k = min(k, similarity.shape[1] - 1)
    if k < 1:
        return np.zeros((len(similarity), 0), dtype=np.intp)
    chosen = np.empty((len(similarity), k), dtype=np.intp)
    for row, values in enumerate(similarity):
        places = np.flatnonzero(values > 0)
        if len(places) > k:
            nearest = np.argpartition(values[places], len(places) - k)[len(places) - k :]
            places = places[nearest]
        elif len(places) < k:
            others = np.flatnonzero((values <= 0) & (values != ITSELF))
            places = np.concatenate([places, others[: k - len(places)]])
        chosen[row] = places
    chosen.sort(axis=1)
    return chosen


def choose_sources(
    counts: NDArray[np.integer], *, least: int = 1, most: int = MAX_SOURCES
) -> Places:
    """Return the places of the movies that may speak for others, ascending.

    They have `least` ratings or more, and are the `most` most rated of these.
    """
    sources = np.flatnonzero(counts >= least)
    if len(sources) <= most:
        return sources
    return np.sort(sources[np.argsort(-counts[sources], kind="stable")[:most]])


class Gram:
    """X'X of a sparse (u, m) matrix X, its columns limited to the s sources."""

    def __init__(self, matrix: sparse.csr_matrix, sources: Places) -> None:
        self.sources = sources
        columns = matrix[:, sources] if len(sources) < matrix.shape[1] else matrix
        is_small = columns.shape[0] * columns.shape[1] <= MAX_DENSE_CELLS
        self._source_columns = columns.toarray() if is_small else columns
        self._movie_rows = matrix.T.tocsr()
        #: (m,) The diagonal, for all movies.
        self.diagonal: Floats = np.bincount(
            matrix.indices, matrix.data.astype(np.float64) ** 2, minlength=matrix.shape[1]
        ).astype(np.float32)

    def rows(self, places: Places) -> Floats:
        """(len(places), s) Return the products of these movies with the sources, dense."""
        block = self._movie_rows[places] @ self._source_columns
        dense: Floats = block.toarray() if sparse.issparse(block) else block
        return dense

    def among_sources(self, executor: Executor) -> Floats:
        """(s, s) Return the products of the sources with each other, dense."""
        s = len(self.sources)
        products = np.empty((s, s), dtype=np.float32)
        start = 0
        for block in executor.map(self.rows, split_blocks(self.sources)):
            products[start : start + len(block)] = block
            start += len(block)
        return products


def split_blocks(places: Places) -> list[Places]:
    """Split places into blocks of BLOCK_ROWS."""
    return [places[start : start + BLOCK_ROWS] for start in range(0, len(places), BLOCK_ROWS)]


def solve_weights(
    source_gram: Floats,
    products: Floats,
    neighbors: NDArray[np.intp],
    *,
    ridge: float,
    dropout: float,
) -> Floats:
    """(b, k) Return the weights of each target's neighbors.

    `source_gram` (s, s) are the products of the sources, `products` (b, s) those of the targets
    with them, `neighbors` (b, k) places among the sources.
    """
    b, k = neighbors.shape
    weights = np.empty((b, k), dtype=np.float32)
    if not k:
        return weights
    penalty = (ridge + dropout / (1 - dropout) * np.diagonal(source_gram)).astype(np.float32)
    right = np.take_along_axis(products, neighbors, axis=1)
    diagonal = np.arange(k)
    flat, s = source_gram.ravel(), len(source_gram)
    for start in range(0, b, BATCH):
        chosen = neighbors[start : start + BATCH]
        # The same as source_gram[chosen[:, :, None], chosen[:, None, :]], in half the time.
        systems = flat.take(chosen[:, :, None] * s + chosen[:, None, :])
        systems[:, diagonal, diagonal] += penalty[chosen]
        # By Cholesky, which takes less than half the time of np.linalg.solve.
        for row, system in enumerate(systems, start=start):
            _, weights[row], failed_at = sposv(system.T, right[row], lower=True, overwrite_a=True)
            if failed_at:
                raise np.linalg.LinAlgError("The products of movies are not positive definite.")
    return weights


@dataclass(frozen=True)
class RankingBlocks:
    """Computes lists for the ranking: EDLAE's weights and the pair weights, the scales folded in.

    EDLAE's weights are what a movie says beside many others. A short history has few others, so a
    movie says more: `pair_weight * g_ij / (g_jj + pair_shrinkage)`, the share of those interested
    in j who are interested in i (EDLAE's limit if dropout removes all other movies), is added for
    the movies j for which it is greatest.
    """

    gram: Gram
    source_gram: Floats  # (s, s)
    source_scale: Floats  # (s,)
    parameters: Parameters

    def __call__(self, places: Places) -> Block:
        parameters, sources = self.parameters, self.gram.sources
        source_diagonal = self.gram.diagonal[sources]
        products = self._products(places)
        similarity = cosine(
            products,
            self.gram.diagonal[places],
            source_diagonal,
            parameters.similarity_shrinkage,
        )
        _exclude_itself(similarity, sources, places)
        nearest = choose_nearest(similarity, parameters.neighbors)
        weights = solve_weights(
            self.source_gram,
            products,
            nearest,
            ridge=parameters.ridge,
            dropout=parameters.dropout,
        )
        # A movie that nobody rated together with the target only fills the number of neighbors.
        weights *= np.take_along_axis(similarity, nearest, axis=1) > 0
        # From here on in place: a block with all its temporaries is most of a training's memory.
        total = similarity
        total.fill(0)
        np.put_along_axis(total, nearest, weights * self.source_scale[nearest], axis=1)
        share = products
        share /= source_diagonal + np.float32(parameters.pair_shrinkage)
        _exclude_itself(share, sources, places)
        pairs = choose_nearest(share, parameters.pair_neighbors)
        pair_weights = np.maximum(np.take_along_axis(share, pairs, axis=1), np.float32(0))
        pair_weights *= np.float32(parameters.pair_weight)
        pair_weights += np.take_along_axis(total, pairs, axis=1)
        np.put_along_axis(total, pairs, pair_weights, axis=1)
        return _nonzero(total)

    def _products(self, places: Places) -> Floats:
        """(b, s) Return the products, from the source Gram for targets that are sources."""
        at, is_source = positions(self.gram.sources, places)
        if is_source.all():
            return self.source_gram[at]
        products = np.empty((len(places), len(self.gram.sources)), dtype=np.float32)
        products[is_source] = self.source_gram[at[is_source]]
        products[~is_source] = self.gram.rows(places[~is_source])
        return products


@dataclass(frozen=True)
class TasteBlocks:
    """Computes lists for the match score: movies whose residuals agree, by shrunk cosine^power."""

    gram: Gram
    parameters: Parameters

    def __call__(self, places: Places) -> Block:
        parameters, sources = self.parameters, self.gram.sources
        similarity = cosine(
            self.gram.rows(places),
            self.gram.diagonal[places],
            self.gram.diagonal[sources],
            parameters.taste_shrinkage,
        )
        _exclude_itself(similarity, sources, places)
        nearest = choose_nearest(similarity, parameters.taste_neighbors)
        weights = np.maximum(np.take_along_axis(similarity, nearest, axis=1), np.float32(0))
        total = similarity
        total.fill(0)
        np.put_along_axis(total, nearest, weights ** np.float32(parameters.taste_power), axis=1)
        return _nonzero(total)


def fit_ranking_lists(
    encoded: Encoded,
    sources: Places,
    targets: Places,
    parameters: Parameters,
    *,
    executor: Executor,
    progress: Progress,
) -> sparse.csr_array:
    """(m, m) Return for each target what interest in another movie says for it; other rows are empty."""
    scale = movie_scale(encoded, parameters.movie_power)
    members = member_scale(encoded, parameters.member_power)
    values = encoded.interest() * members[encoded.users] * scale[encoded.movies]
    gram = Gram(encoded.matrix(values), sources)
    source_gram = gram.among_sources(executor)
    progress(0.3)
    blocks = RankingBlocks(gram, source_gram, scale[sources], parameters)
    return _join_blocks(
        encoded, sources, targets, blocks, executor, lambda part: progress(0.3 + 0.7 * part)
    )


def fit_taste_lists(
    encoded: Encoded,
    sources: Places,
    targets: Places,
    residuals: Array,
    parameters: Parameters,
    *,
    executor: Executor,
    progress: Progress,
) -> sparse.csr_array:
    """(m, m) Return for each target the movies whose (r,) residuals agree with its own."""
    gram = Gram(encoded.matrix(residuals.astype(np.float32)), sources)
    blocks = TasteBlocks(gram, parameters)
    return _join_blocks(encoded, sources, targets, blocks, executor, progress)


def _exclude_itself(similarity: Floats, sources: Places, places: Places) -> None:
    at, is_source = positions(sources, places)
    similarity[np.flatnonzero(is_source), at[is_source]] = ITSELF


def _nonzero(weights: Floats) -> Block:
    # np.nonzero takes many times as long on floats.
    rows, columns = np.divmod(np.flatnonzero(weights != 0), weights.shape[1])
    return np.bincount(rows, minlength=len(weights)), columns, weights[rows, columns]


def _join_blocks(
    encoded: Encoded,
    sources: Places,
    targets: Places,
    compute: Callable[[Places], Block],
    executor: Executor,
    progress: Progress,
) -> sparse.csr_array:
    """(m, m) Compute the lists of all targets and put them together: row j is that of movie j."""
    m = encoded.shape[1]
    counts = np.zeros(m, dtype=np.int32)
    movies, weights = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.float32)]
    blocks = split_blocks(targets)
    for number, (lengths, columns, values) in enumerate(executor.map(compute, blocks)):
        counts[blocks[number]] = lengths
        movies.append(sources[columns].astype(np.int32))
        weights.append(values.astype(np.float32))
        progress((number + 1) / len(blocks))
    starts = np.concatenate(([0], np.cumsum(counts)))
    return sparse.csr_array((np.concatenate(weights), np.concatenate(movies), starts), shape=(m, m))


def residuals_of(encoded: Encoded, mean: float, user_bias: Array, movie_bias: Array) -> Array:
    """(r,) Return the stars beyond what the movie's and the member's bias predict."""
    rest: Array = encoded.stars - mean - user_bias[encoded.users] - movie_bias[encoded.movies]
    return rest
