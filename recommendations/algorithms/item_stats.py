"""What is known of a movie whoever looks at it: quality, bias, counts and trend.

Quality is the Bayesian chance of being liked, as a logit: the likes among its ratings, with
`quality_prior` ratings' worth of prior. The prior comes from TMDb's votes by a fixed formula if there
are votes and they may be used, else it is the community's share of likes.

Shapes: r ratings, u members, m movies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import LIKED, Array, Encoded, MovieContent, Movies

# TMDb's mean of v votes counts for v / (v + VOTES_SHRINKAGE) of its distance from VOTES_CENTER; a
# point of ten is VOTES_SLOPE on the logit scale of a like, and VOTES_STARS stars.
VOTES_SHRINKAGE = 50.0
VOTES_CENTER = 6.6
VOTES_SLOPE = 1.1
VOTES_STARS = 0.4
# The share of likes among ratings whose mean is s stars is about sigmoid(LIKE_SLOPE * (s - LIKE_CENTER)).
LIKE_SLOPE, LIKE_CENTER = 2.2, 3.55
#: The mean interest of a rating (types.interest).
MEAN_INTEREST = 0.7
# Before the first training the best known movie counts as seen by this share of the members.
MAX_REACH = 0.5
MAX_BIAS_ROUNDS = 30
BIAS_TOLERANCE = 1e-7
SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class RatingSums:
    """The community's ratings of m movies as the catalogue counts them, after a training or before any."""

    count: Array  # (m,)
    stars: Array  # (m,) sums


@dataclass(frozen=True)
class Totals:
    """The community as a whole, and the centers of the signals."""

    members: int = 0
    ratings: int = 0
    mean_stars: float = 3.5
    liked_share: float = 0.5
    #: Means over ratings of the quality and of the log count of the rated movie.
    quality: float = 0.0
    log_count: float = 0.0


def votes_above_average(content: MovieContent) -> Array:
    """(m,) Return the points of ten above the usual, as far as the votes can be trusted."""
    votes = content.vote_count.astype(np.float64)
    above = votes / (votes + VOTES_SHRINKAGE) * (content.vote_average - VOTES_CENTER)
    return np.where(votes > 0, above, 0.0)


def prior_probability(content: MovieContent, liked_share: float) -> Array:
    """(m,) Return the probability of a like before the first rating."""
    probability: Array = expit(logit(liked_share) + VOTES_SLOPE * votes_above_average(content))
    return probability


def unrated_movies(content: MovieContent, totals: Totals, parameters: Parameters) -> Movies:
    """Return rows for movies that nobody of the community has rated."""
    m = len(content)
    return Movies(
        ids=content.movie_ids,
        genres=content.genres,
        years=content.years,
        quality=logit(prior_probability(content, totals.liked_share)),
        bias=VOTES_STARS * votes_above_average(content),
        count=np.zeros(m),
        rate=np.zeros(m),
        recent_rate=np.zeros(m),
        trend=np.ones(m),
        factors=np.zeros((m, parameters.als_factors), dtype=np.float32),
        residual_factors=np.zeros((m, parameters.residual_factors), dtype=np.float32),
    )


def untrained_movies(
    content: MovieContent, ratings: RatingSums, totals: Totals, parameters: Parameters
) -> Movies:
    """Return rows for movies that the training does not know; all of them before the first training.

    The formulas are those of a training, with what sums tell: likes are estimated from the mean stars,
    and members have no bias. Before the first training a movie is as widely known as in the community
    that knows it better, this one or TMDb's.
    """
    rows = unrated_movies(content, totals, parameters)
    count = ratings.count
    mean_stars = ratings.stars / np.maximum(count, 1)
    likes = count * expit(LIKE_SLOPE * (mean_stars - LIKE_CENTER))
    prior = parameters.quality_prior * expit(rows.quality)
    above = ratings.stars - count * totals.mean_stars
    ridge = parameters.bias_ridge
    if totals.members:
        rate = MEAN_INTEREST * count / totals.members
    else:
        votes = content.vote_count.astype(np.float64)
        rate = MAX_REACH * np.maximum(
            count / max(float(count.max(initial=0)), 1.0),
            votes / max(float(votes.max(initial=0)), 1.0),
        )
    return replace(
        rows,
        quality=logit((likes + prior) / (count + parameters.quality_prior)),
        bias=(above + ridge * rows.bias) / (count + ridge),
        count=count,
        rate=rate,
        recent_rate=rate,
    )


def fit_biases(encoded: Encoded, content: MovieContent, ridge: float) -> tuple[float, Array, Array]:
    """Return the mean, the members' (u,) and the movies' (m,) biases, in stars.

    Least squares with a ridge on the members' biases and on the movies' distance from what TMDb's
    votes predict, by turns until nothing moves.
    """
    u, m = encoded.shape
    stars = encoded.stars.astype(np.float64)
    mean = float(stars.mean()) if len(stars) else 0.0
    prior = VOTES_STARS * votes_above_average(content.of(encoded.movie_ids))
    user_bias, movie_bias = np.zeros(u), prior
    per_user = np.bincount(encoded.users, minlength=u) + ridge
    per_movie = np.bincount(encoded.movies, minlength=m) + ridge
    for _ in range(MAX_BIAS_ROUNDS):
        rest = stars - mean - user_bias[encoded.users]
        new_movie = (np.bincount(encoded.movies, rest, minlength=m) + ridge * prior) / per_movie
        rest = stars - mean - new_movie[encoded.movies]
        new_user = np.bincount(encoded.users, rest, minlength=u) / per_user
        change = max(
            np.abs(new_movie - movie_bias).max(initial=0),
            np.abs(new_user - user_bias).max(initial=0),
        )
        user_bias, movie_bias = new_user, new_movie
        if change < BIAS_TOLERANCE:
            break
    return mean, user_bias, movie_bias


def rated_movies(
    encoded: Encoded,
    content: MovieContent,
    movie_bias: Array,
    parameters: Parameters,
    as_of: float,
) -> tuple[Movies, Totals]:
    """Return the row of each rated movie, without its vectors, and the community's totals.

    `as_of` is the moment, in seconds since 1970, at which trend and recent popularity are taken.
    """
    u, m = encoded.shape
    count = np.bincount(encoded.movies, minlength=m).astype(np.float64)
    liked = encoded.stars >= LIKED
    likes = np.bincount(encoded.movies, liked, minlength=m)
    # Half a like either way: a share of nothing or everything has no logit.
    liked_share = float((liked.sum() + 0.5) / (len(liked) + 1))
    described = content.of(encoded.movie_ids)
    prior_count = parameters.quality_prior
    prior = prior_count * prior_probability(described, liked_share)
    quality = logit((likes + prior) / (count + prior_count))
    interest = np.bincount(encoded.movies, encoded.interest(), minlength=m)
    rate = interest / max(u, 1)
    movies = Movies(
        ids=encoded.movie_ids,
        genres=described.genres,
        years=described.years,
        quality=quality,
        bias=movie_bias,
        count=count,
        rate=rate,
        recent_rate=_recent_rate(encoded, count, rate, parameters, as_of),
        trend=_trend(encoded, count, parameters, as_of),
        factors=np.zeros((m, 0), dtype=np.float32),
        residual_factors=np.zeros((m, 0), dtype=np.float32),
    )
    r = max(len(encoded.stars), 1)
    totals = Totals(
        members=u,
        ratings=len(encoded.stars),
        mean_stars=float(encoded.stars.mean(dtype=np.float64)) if len(encoded.stars) else 3.5,
        liked_share=liked_share,
        quality=float((quality * count).sum() / r),
        log_count=float((np.log1p(count) * count).sum() / r),
    )
    return movies, totals


def _decayed_counts(encoded: Encoded, half_life_days: float, as_of: float) -> Array | None:
    """(m,) Return the decayed ratings of each movie; None if times are unknown."""
    if encoded.times is None:
        return None
    ages = np.asarray((as_of - encoded.times) / SECONDS_A_DAY, dtype=np.float64)
    return decayed_counts(
        encoded.movies, ages, half_life_days=half_life_days, movie_count=encoded.shape[1]
    )


def _recent_rate(
    encoded: Encoded, count: Array, rate: Array, parameters: Parameters, as_of: float
) -> Array:
    """(m,) Return the shares of the recent interest on the scale of the rate."""
    decayed = _decayed_counts(encoded, parameters.popularity_half_life_days, as_of)
    if decayed is None:
        return rate
    recent = smooth_recent(decayed, count, prior_ratings=parameters.recent_prior)
    scaled: Array = recent * float(rate.sum())
    return scaled


def _trend(encoded: Encoded, count: Array, parameters: Parameters, as_of: float) -> Array:
    decayed = _decayed_counts(encoded, parameters.trend_half_life_days, as_of)
    if decayed is None:
        return np.ones(len(count))
    return trend(
        decayed,
        count,
        smoothing=parameters.trend_smoothing,
        prior_ratings=parameters.recent_prior,
    )


def decayed_counts(
    movies: NDArray[np.integer], ages_days: Array, *, half_life_days: float, movie_count: int
) -> Array:
    """(m,) Return the ratings of each movie, each counted 2^(-age / half-life).

    `movies` (r,) are places. Ratings of the future count as new.
    """
    weights = np.exp2(-np.maximum(ages_days, 0.0) / half_life_days)
    counts = np.bincount(movies, weights, minlength=movie_count)
    return np.asarray(counts, dtype=np.float64)


def smooth_recent(decayed: Array, counts: Array, *, prior_ratings: float) -> Array:
    """(m,) Return the recent interest in each movie as shares that add up to 1.

    The shares of all interest count for `prior_ratings` ratings, so that a community in which nothing
    was rated lately keeps its whole-time shares.
    """
    total = max(float(counts.sum()), 1e-12)
    recent: Array = (decayed + prior_ratings * counts / total) / (decayed.sum() + prior_ratings)
    return recent


def trend(decayed: Array, counts: Array, *, smoothing: float, prior_ratings: float) -> Array:
    """(m,) Return how much more of the recent than of all interest a movie has; 1 is no change.

        t_j = (d_j + smoothing / m) / (a_j + smoothing / m)

    d are the shares of the recent interest (`smooth_recent`), a those of all interest and m the
    number of movies with ratings.
    """
    rated = int((counts > 0).sum())
    if not rated:
        return np.ones(len(counts))
    recent = smooth_recent(decayed, counts, prior_ratings=prior_ratings)
    overall = counts / float(counts.sum())
    ratio: Array = (recent + smoothing / rated) / (overall + smoothing / rated)
    return ratio
