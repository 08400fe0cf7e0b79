"""Which ratings are held out: decided by a hash of seed, member and movie, or by time.

A split is the same on every machine and does not depend on the order of the ratings. In a split by
hash a rating stays on its side when other ratings come or go. The part for validation never contains
a rating of the part for testing.

Shapes: r ratings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Ids = NDArray[np.integer]

TEST_SHARE = 0.2
#: The share of the ratings outside the test part that a validation measures on.
VALIDATION_SHARE = 0.2
#: The newest share of each member's ratings.
NEWEST_SHARE = 0.1
# Each use of the hash has its own salt, so that the draws are independent.
_TEST, _VALIDATION, _FOLD, _ORDER = 1, 2, 3, 4
# Constants of splitmix64. Source: Steele, Lea and Flood, OOPSLA 2014.
_GAMMA, _MIX_1, _MIX_2 = (
    np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def draw(seed: int, salt: int, *ids: Ids) -> NDArray[np.float64]:
    """(r,) Return numbers in [0, 1) that depend only on the seed, the salt and the ids of each row."""
    state = np.zeros(len(ids[0]), dtype=np.uint64)
    for each in (np.array([seed]), np.array([salt]), *ids):
        state = _mix(state ^ _mix(each.astype(np.int64).view(np.uint64)))
    numbers: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = values + _GAMMA
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))


def hold_out(users: Ids, movies: Ids, *, seed: int, validation: bool = False) -> tuple[Mask, Mask]:
    """(r,) each: Return which ratings to fit on and which to measure on.

    A test measures on TEST_SHARE and fits on all others. A validation uses neither for TEST_SHARE and
    measures on VALIDATION_SHARE of the others.
    """
    test = draw(seed, _TEST, users, movies) < TEST_SHARE
    if not validation:
        return ~test, test
    chosen = draw(seed, _VALIDATION, users, movies) < VALIDATION_SHARE
    return ~test & ~chosen, ~test & chosen


def hold_out_newest(
    users: Ids, movies: Ids, times: Ids, *, seed: int, validation: bool = False
) -> tuple[Mask, Mask]:
    """(r,) each: Return which ratings to fit on, and the newest tenth of each member's to measure on.

    At least one rating of each member with two or more is held out. A hash decides between ratings
    of the same second. A validation measures on the newest tenth of what is older than the test part.
    """
    order = np.lexsort((draw(seed, _ORDER, users, movies), -times, users))
    test = _first_of_each_member(users, order)
    if not validation:
        return ~test, test
    chosen = _first_of_each_member(users, order[~test[order]])
    return ~test & ~chosen, chosen


def _first_of_each_member(users: Ids, order: NDArray[np.intp]) -> Mask:
    """(r,) Return whether a rating is in the first NEWEST_SHARE of its member's, in this order."""
    owners = users[order]
    starts = np.searchsorted(owners, owners)
    counts = np.searchsorted(owners, owners, side="right") - starts
    wanted = np.where(counts > 1, np.maximum(np.round(NEWEST_SHARE * counts), 1), 0)
    chosen = np.zeros(len(users), dtype=bool)
    chosen[order[np.arange(len(order)) - starts < wanted]] = True
    return chosen


def split_at(times: Ids, share: float) -> tuple[Mask, Mask]:
    """(r,) each: Return which ratings are before and after the moment at which `share` were made."""
    if not len(times):
        return np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
    is_before = times < np.quantile(times, share)
    return is_before, ~is_before


def assign_folds(users: Ids, *, seed: int, folds: int) -> NDArray[np.int64]:
    """(r,) Return the fold in which each rating's member is new: 0 to folds - 1."""
    return (draw(seed, _FOLD, users) * folds).astype(np.int64)


def order_histories(users: Ids, movies: Ids, *, seed: int) -> NDArray[np.intp]:
    """(r,) Return the rows by member and, within a member, in an order drawn by hash.

    The first h rows of a member are a history of h ratings.
    """
    return np.lexsort((draw(seed, _ORDER, users, movies), users))
