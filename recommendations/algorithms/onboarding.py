"""Which movies a new member should rate first: those whose ratings are most informative.

Popularity times entropy is Rashid et al., "Getting to know you", IUI 2002. The sum over what is not
covered yet is facility location, for which greedy choice is near the best (Nemhauser et al., 1978).

Shapes: m movies.
"""

from __future__ import annotations

import numpy as np

from recommendations.algorithms.types import Array


def entropy(probability: Array) -> Array:
    """(m,) Return the bits of the answer to "did you like it?"; 1 if half of all members did."""
    safe = np.clip(probability, 1e-9, 1 - 1e-9)
    bits: Array = -(safe * np.log2(safe) + (1 - safe) * np.log2(1 - safe))
    return bits


def choose_informative(
    rate: Array, probability: Array, similarity: Array, *, count: int
) -> list[int]:
    """Return the indices of `count` movies, the most informative first.

    Each next movie j has the greatest

        sqrt(rate_j) * entropy(probability_j) * sum_i rate_i * max(0, similarity_ji - covered_i)

    where covered_i is the greatest similarity of i to a movie already chosen: a movie should be known to
    the member, members should differ about it, and it should be similar to many movies that no earlier
    one is similar to. `rate` (m,) is how widely seen a movie is, `probability` (m,) that of a like,
    `similarity` (m, m) is 0 to 1 with ones on its diagonal.
    """
    value = np.sqrt(rate) * entropy(probability)
    covered = np.zeros(len(rate))
    is_left = np.ones(len(rate), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(count, len(rate))):
        gain = np.maximum(similarity - covered[None, :], 0.0) @ rate
        # Rounded, so that movies that differ in the last bits only keep their order.
        best = int(np.where(is_left, np.round(value * gain, 12), -1.0).argmax())
        chosen.append(best)
        is_left[best] = False
        covered = np.maximum(covered, similarity[best])
    return chosen
