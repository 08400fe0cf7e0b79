"""Products of movies with movies, in blocks of rows: never all movies by all movies at once.

A movie speaks for others only if enough members rated it: the sources, at most MAX_SOURCES of them.
The Gram matrix among sources is the one dense matrix, of a size that the catalogue cannot make grow
(400 MB at most). For all other movies a block of rows at a time is computed and dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommendations.algorithms.types import Floats, Places

MAX_SOURCES = 10_000
# Rows a block: 40 MB of float32 with the most sources.
BLOCK_ROWS = 1024


class Executor(Protocol):
    """Where blocks are computed: threads of this process, or a cluster (training.cluster)."""

    def map(self, compute: Callable[[Places], Any], blocks: Iterable[Places]) -> Iterator[Any]:
        """Yield the results in the order of the blocks. `compute` can be pickled."""


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
        self._source_columns = matrix[:, sources] if len(sources) < matrix.shape[1] else matrix
        self._movie_rows = matrix.T.tocsr()
        #: (m,) The diagonal, for all movies.
        self.diagonal: Floats = np.bincount(
            matrix.indices, matrix.data.astype(np.float64) ** 2, minlength=matrix.shape[1]
        ).astype(np.float32)

    def rows(self, places: Places) -> Floats:
        """(len(places), s) Return the products of these movies with the sources, dense."""
        block: Floats = (self._movie_rows[places] @ self._source_columns).toarray()
        return block

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
