"""Products of movies with movies, in blocks of rows: never movies x movies at once.

A movie speaks for others only if enough members rated it: the `sources`, at most MOST_SOURCES of
them. The Gram among sources is the one dense matrix there is, of a size that the catalogue cannot
make grow (400 MB at most); for all other movies a block of rows at a time is made and dropped. The
sums over members are what a distributed engine would take over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommendations.algorithms.types import Floats, Places

MOST_SOURCES = 10_000
# Rows a block: 40 MB of float32 at the most sources.
BLOCK = 1024


def sources_of(counts: NDArray[np.integer], *, most: int = MOST_SOURCES) -> Places:
    """Places of the movies that may speak for others, ascending: the most rated ones."""
    if len(counts) <= most:
        return np.arange(len(counts))
    return np.sort(np.argsort(-counts, kind="stable")[:most])


class Gram:
    """X'X of a sparse (u, m) matrix X, its columns limited to the s sources."""

    def __init__(self, matrix: sparse.csr_array, sources: Places) -> None:
        self.sources = sources
        self._of_sources = matrix[:, sources] if len(sources) < matrix.shape[1] else matrix
        self._movies = matrix.T.tocsr()
        #: (m,) The diagonal, for all movies.
        self.diagonal: Floats = np.bincount(
            matrix.indices, matrix.data.astype(np.float64) ** 2, minlength=matrix.shape[1]
        ).astype(np.float32)

    def rows(self, places: Places) -> Floats:
        """(len(places), s) dense: products of these movies with the sources."""
        block: Floats = (self._movies[places] @ self._of_sources).toarray()
        return block

    def among_sources(self) -> Floats:
        """(s, s) dense."""
        whole = np.empty((len(self.sources), len(self.sources)), dtype=np.float32)
        for start in range(0, len(self.sources), BLOCK):
            whole[start : start + BLOCK] = self.rows(self.sources[start : start + BLOCK])
        return whole
