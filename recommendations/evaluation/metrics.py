"""Measures of rankings and of probabilities from the literature.

Shapes: u members, k places of a list, p held-out ratings with the probability predicted for each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Ints = NDArray[np.integer]

ECE_BINS = 15
#: Groups of members for standard errors.
JACKKNIFE_GROUPS = 20
# The log loss of a wrong probability of 0 or 1 would be infinite.
_CERTAIN = 1e-6


def ndcg(hits: Mask, relevant: Ints, *, at: int) -> Array:
    """(u,) Return the normalized discounted cumulative gain of the first `at` places, 0 to 1.

    `hits` (u, k) says which places hold a relevant movie, `relevant` (u,) how many relevant movies
    there are; NaN if none. Gain 1, discount 1 / log2(place + 1), ideal: min(at, relevant) hits first.
    Source: Järvelin and Kekäläinen, TOIS 2002.
    """
    discounts = 1 / np.log2(np.arange(2, at + 2))
    ideal = np.concatenate([[np.nan], np.cumsum(discounts)])[np.minimum(relevant, at)]
    first = hits[:, :at]
    gain: Array = first @ discounts[: first.shape[1]] / ideal
    return gain


def recall(hits: Mask, relevant: Ints, *, at: int) -> Array:
    """(u,) Return the hits in the first `at` places divided by min(at, relevant); NaN without relevant."""
    possible = np.where(relevant > 0, np.minimum(relevant, at), np.nan)
    share: Array = hits[:, :at].sum(axis=1) / possible
    return share


def coverage(lists: Ints, *, movies: int) -> float:
    """Return the share of the movies that are in at least one list; places below 0 are empty."""
    return len(np.unique(lists[lists >= 0])) / movies


def novelty(lists: Ints, popularity: Array) -> float:
    """Return the mean self-information of the listed movies, in bits: -log2 of their popularity.

    `popularity` (movies,) is the share of members who have rated each. Source: Zhou et al., PNAS 2010.
    """
    shown = lists[lists >= 0]
    if not len(shown):
        return float("nan")
    # A movie that nobody has rated counts as half as popular as the least popular one.
    least = popularity[popularity > 0].min(initial=1.0) / 2
    return float(-np.log2(np.maximum(popularity[shown], least)).mean())


def auc(liked: Mask, probabilities: Array) -> float:
    """Return the share of pairs with the liked movie above the other; ties count half.

    NaN if all or none are liked. Source: Hanley and McNeil, Radiology 1982 (the Mann-Whitney statistic).
    """
    return float(auc_by_member(np.zeros(len(liked), dtype=np.int64), liked, probabilities)[0])


def auc_by_member(members: Ints, liked: Mask, probabilities: Array) -> Array:
    """(u,) Return the AUC within each member's ratings; NaN if all or none are liked.

    `members` (p,) are numbers from 0 to u - 1.
    """
    if not len(members):
        return np.full(1, np.nan)
    order = np.lexsort((probabilities, members))
    owners, values, labels = members[order], probabilities[order], liked[order]
    # Ranks within the member; ties have their mean rank.
    is_new = np.concatenate([[True], (owners[1:] != owners[:-1]) | (values[1:] != values[:-1])])
    group = np.cumsum(is_new) - 1
    places = np.arange(len(owners), dtype=np.float64)
    mean_place = np.bincount(group, places) / np.bincount(group)
    count = int(owners[-1]) + 1
    starts = np.searchsorted(owners, np.arange(count))
    ranks = mean_place[group] - starts[owners] + 1
    likes = np.bincount(owners, labels, count)
    dislikes = np.bincount(owners, ~labels, count)
    above = np.bincount(owners, ranks * labels, count) - likes * (likes + 1) / 2
    pairs = likes * dislikes
    result: Array = np.where(pairs > 0, above / np.maximum(pairs, 1), np.nan)
    return result


def mean_auc(members: Ints, liked: Mask, probabilities: Array) -> float:
    """Return the mean of `auc_by_member` over the members who have one."""
    each = auc_by_member(members, liked, probabilities)
    known = each[~np.isnan(each)]
    return float(known.mean()) if len(known) else float("nan")


def log_loss(liked: Mask, probabilities: Array) -> float:
    """Return the mean negative log likelihood (natural logarithm)."""
    safe = np.clip(probabilities, _CERTAIN, 1 - _CERTAIN)
    return float(-np.where(liked, np.log(safe), np.log1p(-safe)).mean())


def brier(liked: Mask, probabilities: Array) -> float:
    """Return the mean squared error of the probabilities. Source: Brier, 1950."""
    return float(((probabilities - liked) ** 2).mean())


def reliability(liked: Mask, probabilities: Array, *, bins: int = ECE_BINS) -> Array:
    """(bins, 3) Return for equally wide bins: ratings, mean probability, share liked; NaN if empty."""
    bin_of = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_of, minlength=bins).astype(np.float64)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(bin_of, probabilities, bins) / count
        observed = np.bincount(bin_of, liked, bins) / count
    return np.column_stack([count, predicted, observed])


def ece(liked: Mask, probabilities: Array, *, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error: the mean distance of predicted from observed, over bins.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015; equally wide bins.
    """
    count, predicted, observed = reliability(liked, probabilities, bins=bins).T
    is_filled = count > 0
    return float((count * np.abs(predicted - observed))[is_filled].sum() / count.sum())


def ece_by_chance(probabilities: Array, *, bins: int = ECE_BINS) -> float:
    """Return the ECE that exactly right probabilities would have in a sample of this size.

    It is the mean distance of a normal from its mean, sqrt(2 / pi) standard deviations, in each bin.
    It tells a small sample from a bad calibration.
    """
    bin_of = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    variance = np.bincount(bin_of, probabilities * (1 - probabilities), bins)
    return float(np.sqrt(2 / np.pi) * np.sqrt(variance).sum() / max(len(probabilities), 1))


def standard_error(measure: Callable[[Mask], float], members: Ints) -> float:
    """Return the standard error of a measure, by leaving out each of JACKKNIFE_GROUPS groups once.

    `measure` gets the mask of the rows to use; `members` (p,) is the member of each row. Groups are
    of members and not of ratings, because members are what was sampled. Source: the grouped jackknife; Efron, 1982.
    """
    groups = members % JACKKNIFE_GROUPS
    present = np.unique(groups)
    if len(present) < 2:
        return float("nan")
    values = np.array([measure(groups != each) for each in present.tolist()])
    spread = ((values - values.mean()) ** 2).sum()
    return float(np.sqrt((len(values) - 1) / len(values) * spread))
