"""What a ranking and a chance are worth, by the literature's measures.

Shapes: u members, k places of a list, p held-out ratings with the chance given to each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]

ECE_BINS = 15
#: Groups of members, each left out once, for standard errors.
JACKKNIFE_GROUPS = 20
# A chance of 0 or 1 that proves wrong would cost without end.
_CERTAIN = 1e-6


def ndcg(hits: Bools, relevant: Ints, *, at: int) -> Array:
    """(u,) Normalised discounted cumulative gain of each list's first `at` places, 0 to 1.

    `hits` (u, k) says which places hold a relevant movie, `relevant` (u,) how many there are; NaN
    where there is none. Gain 1, discount 1 / log2(place + 1), ideal: min(at, relevant) hits first.
    Source: Järvelin and Kekäläinen, TOIS 2002.
    """
    discounts = 1 / np.log2(np.arange(2, at + 2))
    ideal = np.concatenate([[np.nan], np.cumsum(discounts)])[np.minimum(relevant, at)]
    first = hits[:, :at]
    gained: Array = first @ discounts[: first.shape[1]] / ideal
    return gained


def recall(hits: Bools, relevant: Ints, *, at: int) -> Array:
    """(u,) Part of the relevant movies in the first `at` places, of min(at, relevant); NaN for none."""
    possible = np.where(relevant > 0, np.minimum(relevant, at), np.nan)
    found: Array = hits[:, :at].sum(axis=1) / possible
    return found


def coverage(lists: Ints, *, movies: int) -> float:
    """Part of the catalogue's movies that stand in somebody's list; places below 0 are empty."""
    return len(np.unique(lists[lists >= 0])) / movies


def novelty(lists: Ints, popularity: Array) -> float:
    """Mean surprise of the movies shown, in bits: -log2 of the part of members who have rated each.

    `popularity` (movies,) is that part. Source: Zhou et al., PNAS 2010.
    """
    shown = lists[lists >= 0]
    if not len(shown):
        return float("nan")
    # A movie that nobody has rated is twice as surprising as the least rated.
    least = popularity[popularity > 0].min(initial=1.0) / 2
    return float(-np.log2(np.maximum(popularity[shown], least)).mean())


def auc(liked: Bools, chances: Array) -> float:
    """Chance that a liked movie is above one that is not; ties count half; NaN with one kind only.

    Source: Hanley and McNeil, Radiology 1982 (the Mann-Whitney statistic).
    """
    return float(auc_by_member(np.zeros(len(liked), dtype=np.int64), liked, chances)[0])


def auc_by_member(members: Ints, liked: Bools, chances: Array) -> Array:
    """(u,) AUC within each member's ratings, members 0 to u - 1; NaN where all or none are liked."""
    if not len(members):
        return np.full(1, np.nan)
    order = np.lexsort((chances, members))
    owners, values, labels = members[order], chances[order], liked[order]
    # Ranks within the member, ties at their mean.
    fresh = np.concatenate([[True], (owners[1:] != owners[:-1]) | (values[1:] != values[:-1])])
    group = np.cumsum(fresh) - 1
    places = np.arange(len(owners), dtype=np.float64)
    mean_place = np.bincount(group, places) / np.bincount(group)
    count = int(owners[-1]) + 1
    starts = np.searchsorted(owners, np.arange(count))
    ranks = mean_place[group] - starts[owners] + 1
    good = np.bincount(owners, labels, count)
    bad = np.bincount(owners, ~labels, count)
    above = np.bincount(owners, ranks * labels, count) - good * (good + 1) / 2
    pairs = good * bad
    result: Array = np.where(pairs > 0, above / np.maximum(pairs, 1), np.nan)
    return result


def mean_auc(members: Ints, liked: Bools, chances: Array) -> float:
    """AUC within a member, the mean over members who have both kinds."""
    each = auc_by_member(members, liked, chances)
    known = each[~np.isnan(each)]
    return float(known.mean()) if len(known) else float("nan")


def log_loss(liked: Bools, chances: Array) -> float:
    """Mean negative log likelihood, natural logarithm."""
    safe = np.clip(chances, _CERTAIN, 1 - _CERTAIN)
    return float(-np.where(liked, np.log(safe), np.log1p(-safe)).mean())


def brier(liked: Bools, chances: Array) -> float:
    """Mean squared error of the chance. Source: Brier, 1950."""
    return float(((chances - liked) ** 2).mean())


def reliability(liked: Bools, chances: Array, *, bins: int = ECE_BINS) -> Array:
    """(bins, 3) of equally wide bins of chance: ratings, mean chance, part liked; NaN where empty."""
    bin_of = np.minimum((chances * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_of, minlength=bins).astype(np.float64)
    with np.errstate(invalid="ignore"):
        said = np.bincount(bin_of, chances, bins) / count
        true = np.bincount(bin_of, liked, bins) / count
    return np.column_stack([count, said, true])


def ece(liked: Bools, chances: Array, *, bins: int = ECE_BINS) -> float:
    """Expected calibration error: mean distance between chance said and part liked, over bins.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015; equally wide bins.
    """
    count, said, true = reliability(liked, chances, bins=bins).T
    full = count > 0
    return float((count * np.abs(said - true))[full].sum() / count.sum())


def ece_by_luck(chances: Array, *, bins: int = ECE_BINS) -> float:
    """The ECE to be expected of chances that are exactly right, from so few ratings.

    Mean distance of a normal from its mean, sqrt(2 / pi) standard deviations, in each bin. Without
    it small samples look badly calibrated, and no two sizes can be compared.
    """
    bin_of = np.minimum((chances * bins).astype(np.int64), bins - 1)
    variance = np.bincount(bin_of, chances * (1 - chances), bins)
    return float(np.sqrt(2 / np.pi) * np.sqrt(variance).sum() / max(len(chances), 1))


def standard_error(measure: Callable[[Bools], float], members: Ints) -> float:
    """Of a measure of rows, by leaving out each of JACKKNIFE_GROUPS groups of members once.

    `measure` is told which rows to keep; `members` (p,) says whose each row is. Members, not
    ratings, are what was sampled. Source: the grouped jackknife; Efron, 1982.
    """
    groups = members % JACKKNIFE_GROUPS
    present = np.unique(groups)
    if len(present) < 2:
        return float("nan")
    values = np.array([measure(groups != each) for each in present.tolist()])
    spread = ((values - values.mean()) ** 2).sum()
    return float(np.sqrt((len(values) - 1) / len(values) * spread))
