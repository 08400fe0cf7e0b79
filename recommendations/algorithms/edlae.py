"""Weights of a movie's neighbours in the ranking: a graded, scaled, neighbour-limited EDLAE.

For target j with the K movies N most like it:

    (G_NN + diag(lambda + p / (1 - p) * g_kk)) w = G_Nj

which is Steck's EASE (WWW 2019) with the dropout ridge of EDLAE (NeurIPS 2020), restricted to
neighbours as fsSLIM is (Ning and Karypis, ICDM 2011). Targets are independent of each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.types import Floats

# Targets solved at once: 20 MB of float32 at K = 200.
BATCH = 128


def solved(
    among: Floats,
    products: Floats,
    neighbours: NDArray[np.intp],
    diagonal: Floats,
    *,
    ridge: float,
    dropout: float,
) -> Floats:
    """(b, k) The weights of each target's neighbours.

    `among` (s, s) are the products of the sources, `products` (b, s) those of the targets with
    them, `neighbours` (b, k) places among the sources, `diagonal` (s,) that of `among`.
    """
    b, k = neighbours.shape
    weights = np.empty((b, k), dtype=np.float32)
    penalty = (ridge + dropout / (1 - dropout) * diagonal).astype(np.float32)
    right = np.take_along_axis(products, neighbours, axis=1)
    inner = np.arange(k)
    for start in range(0, b, BATCH):
        chosen = neighbours[start : start + BATCH]
        systems = among[chosen[:, :, None], chosen[:, None, :]]
        systems[:, inner, inner] += penalty[chosen]
        solution = np.linalg.solve(systems, right[start : start + BATCH, :, None])
        weights[start : start + BATCH] = solution[:, :, 0]
    return weights
