"""The parts of a film series in a feed: the first unseen part comes first, and few stand together.

Comes after the ranking and the diversity, which know no series.

Shapes: m movies.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.types import Ids

#: At most MAX_PARTS of a series in any WINDOW consecutive places.
MAX_PARTS, WINDOW = 2, 10


def order_series(
    ranked: Sequence[int], series: Ids, released: Ids, *, is_eligible: NDArray[np.bool_]
) -> list[int]:
    """Return the (m,) indices `ranked` so that no part of a series precedes an earlier part.

    The parts of a series share the places they have, in the sequence of their release. A part that is
    not eligible comes last, and so do all later parts of its series: nobody is offered the third
    part because the first is not for them. `series` has the id of each movie's series, 0 for none;
    `released` is greater for a later release.
    """
    parts: dict[int, list[int]] = defaultdict(list)
    for index in ranked:
        if series[index]:
            parts[int(series[index])].append(index)
    in_sequence = {}
    is_last = np.zeros(len(series), dtype=bool)
    for each, indices in parts.items():
        indices.sort(key=lambda index: (int(released[index]), index))
        first = list(takewhile(lambda index: is_eligible[index], indices))
        is_last[indices[len(first) :]] = True
        in_sequence[each] = iter(first)
    ordered = []
    for index in ranked:
        part = next(in_sequence[int(series[index])], None) if series[index] else index
        if part is not None:
            ordered.append(part)
    return [*_spread(ordered, series), *(index for index in ranked if is_last[index])]


def _spread(ranked: Sequence[int], series: Ids) -> list[int]:
    """Return the movies with at most MAX_PARTS of a series in WINDOW places, if there are others."""
    waiting, placed = list(ranked), list[int]()
    while waiting:
        recent = Counter(int(series[index]) for index in placed[-(WINDOW - 1) :])
        recent.pop(0, None)
        position = next(
            (at for at, index in enumerate(waiting) if recent[int(series[index])] < MAX_PARTS), 0
        )
        placed.append(waiting.pop(position))
    return placed
