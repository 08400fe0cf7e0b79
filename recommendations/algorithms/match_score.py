"""The chance of a like, with its parts, what each rating added, and what it were without one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recommendations.algorithms import shapley, signals
from recommendations.algorithms.calibration import Coefficients
from recommendations.algorithms.functions import sigmoid, trust
from recommendations.algorithms.signals import PARTS, SETTLED_AFTER, TERMS, TRUSTED_AFTER
from recommendations.algorithms.types import Array, History, Links, Movies, Places

# Short histories lean on what everybody sees: by this share of its rate at first, and half as much
# after so many ratings.
POPULARITY_PRIOR, POPULARITY_PRIOR_RATINGS = 0.2, 10.0
# And on the chance of a like: its power is 1 at first, 3/4 after so many ratings, 1/2 in the end.
LIKING_RATINGS = 10.0


@dataclass(frozen=True)
class Scores:
    """(m,) each, on the percent scale; the parts and `baseline` add up to `percent`."""

    percent: Array
    parts: dict[str, Array]
    baseline: float
    #: (m,) the bare sum of the ranking: interest times what it says.
    spoken: Array


def _weighted(coefficients: Coefficients, values: dict[str, Array], name: str) -> Array:
    terms = (coefficients.weights.get(term, 0.0) * values[term] for term in TERMS[name])
    return sum(terms, np.zeros(1))


def _slope(coefficients: Coefficients, name: str, n: int) -> float:
    """What a unit of a signal of the history is worth after n ratings, on the logit scale."""
    growth = (1.0, trust(n, TRUSTED_AFTER), trust(n, SETTLED_AFTER))
    weights = (coefficients.weights.get(term, 0.0) for term in TERMS[name])
    return sum(weight * share for weight, share in zip(weights, growth, strict=True))


def score(
    history: History, movies: Movies, feed: Links, taste: Links, coefficients: Coefficients
) -> Scores:
    """The chance that this member gives each movie 4 stars or more, and what it is made of."""
    values = signals.signals(history, movies, feed, taste, coefficients.totals)
    logits = {
        part: sum((_weighted(coefficients, values, name) for name in names), np.zeros(1))
        for part, names in PARTS.items()
    }
    baseline, parts, percent = shapley.split(coefficients.intercept, logits)
    return Scores(percent, parts, baseline, values["spoken"])


def percents(
    history: History, movies: Movies, feed: Links, taste: Links, coefficients: Coefficients
) -> Array:
    """(m,) `score` without its parts."""
    return _percents(
        coefficients, signals.signals(history, movies, feed, taste, coefficients.totals)
    )


def _percents(coefficients: Coefficients, values: dict[str, Array]) -> Array:
    names = [name for part in PARTS.values() for name in part]
    logit = sum((_weighted(coefficients, values, name) for name in names), np.zeros(1))
    percent: Array = 100 * sigmoid(coefficients.intercept + logit)
    return percent


def popularity_prior(n: float) -> float:
    """How much the rate of a movie counts in the ranking after n ratings; less and less."""
    return POPULARITY_PRIOR * trust(POPULARITY_PRIOR_RATINGS, n)


def rank(scores: Scores, history: History, movies: Movies) -> Array:
    """(m,) The order of the feed: what is wanted, more where it will be liked.

    (sum of x_i w_ij + 0.2 b * rate) * P(like)^((1 + b) / 2) with b = 10 / (10 + n); movies of equal
    rank keep their order.
    """
    wanted = scores.spoken + popularity_prior(history.n) * movies.rate
    power = (1 + trust(LIKING_RATINGS, history.n)) / 2
    order: Array = wanted * (scores.percent / 100) ** power
    return order


def contributions(
    history: History, movies: Movies, feed: Links, taste: Links, coefficients: Coefficients
) -> Array:
    """(n,) points of percent each rated movie added to the one movie to score, by feed and taste.

    The two signals are sums over the rated movies, so each movie's share of them is known; points
    are the share times what the logit is worth in percent where the score stands.
    """
    if len(movies) != 1:
        raise ValueError("Contributions are of one movie.")
    n = len(history)
    totals = coefficients.totals
    values = signals.signals(history, movies, feed, taste, totals)
    above = signals.above_expectation(history, totals)
    spoken = np.bincount(feed.rated, feed.weights * history.wants[feed.rated], minlength=n)
    alike = np.bincount(taste.rated, taste.weights * above[taste.rated], minlength=n)
    by_feed = spoken * float(_weighted(coefficients, values, "feed")[0])
    by_feed = by_feed / max(float(values["spoken"][0]), 1e-9)
    mean = alike / (float(taste.weights.sum()) + signals.TASTE_SHRINKAGE)
    by_taste = mean * _slope(coefficients, "taste", history.n)
    chance = float(_percents(coefficients, values)[0]) / 100
    points: Array = 100 * chance * (1 - chance) * (by_feed + by_taste)
    return points


def without_each(
    history: History,
    movies: Movies,
    places: Iterable[int],
    feed: Links,
    taste: Links,
    coefficients: Coefficients,
) -> list[Array]:
    """For each place of the history the (m,) percents had that movie not been rated: exact."""
    return [
        percents(
            history.without(place),
            movies,
            _without(feed, place),
            _without(taste, place),
            coefficients,
        )
        for place in places
    ]


def _without(links: Links, place: int) -> Links:
    keep = links.rated != place
    rated: Places = links.rated[keep]
    return Links(links.movies[keep], rated - (rated > place), links.weights[keep])
