"""Which movies to ask a new member about: those whose ratings tell most. Free of Django."""

from __future__ import annotations

import numpy as np

from recommendations.algorithms.types import Array


def entropy(chance: Array) -> Array:
    """(m,) Bits that the answer to "did you like it?" carries; 1 where half of all did."""
    safe = np.clip(chance, 1e-9, 1 - 1e-9)
    bits: Array = -(safe * np.log2(safe) + (1 - safe) * np.log2(1 - safe))
    return bits


def telling(rate: Array, chance: Array, alike: Array, *, count: int) -> list[int]:
    """Places of `count` movies to ask about, the most telling first.

    Each next movie j has the greatest

        sqrt(rate_j) * entropy(chance_j) * sum_i rate_i * max(0, alike_ji - covered_i)

    where covered_i is the greatest likeness of i to a movie already chosen: a movie must be known to
    the member, members must differ about it, and it must say something of many movies that nothing
    asked before says. `rate` (m,) is how widely seen, `chance` (m,) how likely liked, `alike` (m, m)
    0 to 1 with ones on its diagonal. Sources: popularity times entropy is Rashid et al., IUI 2002;
    the sum is facility location, for which greedy choice is near the best (Nemhauser et al., 1978).
    """
    worth = np.sqrt(rate) * entropy(chance)
    covered = np.zeros(len(rate))
    left = np.ones(len(rate), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(count, len(rate))):
        told = np.maximum(alike - covered[None, :], 0.0) @ rate
        # Rounded, so that what differs in the last bits alone keeps the movies' order.
        best = int(np.where(left, np.round(worth * told, 12), -1.0).argmax())
        chosen.append(best)
        left[best] = False
        covered = np.maximum(covered, alike[best])
    return chosen
