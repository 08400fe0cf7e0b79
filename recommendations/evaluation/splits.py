"""Which ratings are held out: decided by a hash of seed, member and movie, and by nothing else.

So a split is the same on every machine, whatever the order of the ratings, and a rating stays on its
side when others come or go. The part for tuning never meets the part for testing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ids = NDArray[np.integer]

TEST_SHARE = 0.2
#: Of what is no test; tuning looks at these alone.
VALIDATION_SHARE = 0.2
# Each use of the hash has a salt, so that one draw tells nothing of another.
_TEST, _VALIDATION, _FOLD, _ORDER = 1, 2, 3, 4
# Constants of splitmix64. Source: Steele, Lea and Flood, OOPSLA 2014.
_GAMMA, _MIX_1, _MIX_2 = (
    np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def draw(seed: int, salt: int, *ids: Ids) -> NDArray[np.float64]:
    """(r,) Numbers in [0, 1) that depend on the seed, the salt and the ids of each row alone."""
    state = np.zeros(len(ids[0]), dtype=np.uint64)
    for each in (np.array([seed]), np.array([salt]), *ids):
        state = _mixed(state ^ _mixed(each.astype(np.int64).view(np.uint64)))
    numbers: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = values + _GAMMA
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))


def held_out(
    users: Ids, movies: Ids, *, seed: int, validation: bool = False
) -> tuple[Bools, Bools]:
    """(r,) each: what may be learned from, and what is measured on, of each member's ratings.

    To test, TEST_SHARE are measured on and all others learned from. For tuning (`validation`) those
    are left out altogether, and VALIDATION_SHARE of the others are measured on.
    """
    test = draw(seed, _TEST, users, movies) < TEST_SHARE
    if not validation:
        return ~test, test
    chosen = draw(seed, _VALIDATION, users, movies) < VALIDATION_SHARE
    return ~test & ~chosen, ~test & chosen


def fold_of(users: Ids, *, seed: int, folds: int) -> NDArray[np.int64]:
    """(r,) The fold in which each member is new: 0 to folds - 1."""
    return (draw(seed, _FOLD, users) * folds).astype(np.int64)


def history_order(users: Ids, movies: Ids, *, seed: int) -> NDArray[np.intp]:
    """(r,) Rows by member, and within a member in a drawn order: first h rows make a history of h."""
    return np.lexsort((draw(seed, _ORDER, users, movies), users))
