"""The match score: the calibrated probability of 4 stars or more, what it is made of, and why.

    score = 100 * sigmoid(b_0 + sum_i b_i * signal_i)

The signals are those of algorithms.signals, the coefficients those of algorithms.calibration. The three
parts get their exact Shapley values on the percent scale.

Shapes: n movies of the history, m movies to score.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recommendations.algorithms import residual_factors, shapley, signals
from recommendations.algorithms.calibration import Coefficients
from recommendations.algorithms.functions import shrink, sigmoid
from recommendations.algorithms.signals import PARTS, SETTLED_AFTER, TERMS, TRUSTED_AFTER
from recommendations.algorithms.types import Array, History, Links, Movies, Places


@dataclass(frozen=True)
class Scores:
    """(m,) each, on the percent scale; the parts and `baseline` add up to `percent`."""

    percent: Array
    parts: dict[str, Array]
    baseline: float


def score(
    history: History, movies: Movies, feed: Links, taste: Links, coefficients: Coefficients
) -> Scores:
    """Return the probability that the member gives each movie 4 stars or more, with its parts."""
    values = _signals(history, movies, feed, taste, coefficients)
    logits = {
        part: sum((_term(coefficients, values, name) for name in names), np.zeros(1))
        for part, names in PARTS.items()
    }
    baseline, parts, percent = shapley.split(coefficients.intercept, logits)
    return Scores(percent, parts, baseline)


def percents(
    history: History, movies: Movies, feed: Links, taste: Links, coefficients: Coefficients
) -> Array:
    """(m,) Return `score` without its parts."""
    return _percents(coefficients, _signals(history, movies, feed, taste, coefficients))


def rating_contributions(
    history: History, movies: Movies, feed: Links, taste: Links, coefficients: Coefficients
) -> Array:
    """(n,) Return the points of percent that each rating adds to the score of a single movie.

    Three signals are sums over the rated movies, so each one's share is known: the feed's sum, the
    taste and the factorization. Points are the share times the slope of the percent at the score.
    Raises ValueError for more than one movie.
    """
    if len(movies) != 1:
        raise ValueError("Contributions are of one movie.")
    n, rated = len(history), history.rated
    values = _signals(history, movies, feed, taste, coefficients)
    residual = signals.residuals(history, coefficients.totals)
    interest = np.bincount(feed.rated, feed.weights * history.wants[feed.rated], minlength=n)
    by_feed = interest * float(_term(coefficients, values, "feed")[0])
    by_feed = by_feed / max(float(values["interest_sum"][0]), 1e-9)
    similar = np.bincount(taste.rated, taste.weights * residual[taste.rated], minlength=n)
    mean = similar / (float(taste.weights.sum()) + signals.TASTE_SHRINKAGE)
    by_taste = mean * _slope(coefficients, "taste", history.n)
    by_factors = np.zeros(n)
    by_factors[rated] = residual_factors.rating_shares(
        history.movies.residual_factors[rated],
        residual[rated],
        movies.residual_factors,
        ridge=coefficients.residual_ridge,
    )[0]
    by_factors *= _slope(coefficients, "factors", history.n)
    probability = float(_percents(coefficients, values)[0]) / 100
    points: Array = 100 * probability * (1 - probability) * (by_feed + by_taste + by_factors)
    return points


def percents_without(
    history: History,
    movies: Movies,
    places: Iterable[int],
    feed: Links,
    taste: Links,
    coefficients: Coefficients,
) -> list[Array]:
    """Return for each place of the history the (m,) percents without that rating: exact."""
    return [
        percents(
            history.without(place),
            movies,
            _links_without(feed, place),
            _links_without(taste, place),
            coefficients,
        )
        for place in places
    ]


def _signals(
    history: History, movies: Movies, feed: Links, taste: Links, coefficients: Coefficients
) -> dict[str, Array]:
    return signals.compute_signals(
        history, movies, feed, taste, coefficients.totals, coefficients.residual_ridge
    )


def _term(coefficients: Coefficients, values: dict[str, Array], name: str) -> Array:
    """(m,) Return what a signal adds to the logit."""
    terms = (coefficients.weights.get(term, 0.0) * values[term] for term in TERMS[name])
    return sum(terms, np.zeros(1))


def _slope(coefficients: Coefficients, name: str, n: int) -> float:
    """Return what a unit of a signal of the history adds to the logit after n ratings."""
    growth = (1.0, shrink(n, TRUSTED_AFTER), shrink(n, SETTLED_AFTER))
    weights = (coefficients.weights.get(term, 0.0) for term in TERMS[name])
    return sum(weight * share for weight, share in zip(weights, growth, strict=True))


def _percents(coefficients: Coefficients, values: dict[str, Array]) -> Array:
    names = [name for part in PARTS.values() for name in part]
    logit = sum((_term(coefficients, values, name) for name in names), np.zeros(1))
    percent: Array = 100 * sigmoid(coefficients.intercept + logit)
    return percent


def _links_without(links: Links, place: int) -> Links:
    keep = links.rated != place
    rated: Places = links.rated[keep]
    return Links(links.movies[keep], rated - (rated > place), links.weights[keep])
