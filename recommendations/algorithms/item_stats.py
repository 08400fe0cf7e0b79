"""What is known of a movie apart from who is asked: its quality, bias, count and rate.

Quality is the Bayesian chance of being liked, as a logit: likes among the ratings, with
`quality_prior` ratings' worth of prior. The prior comes from TMDb's votes by a fixed formula, where
there are votes and they may be used, else it is the community's own share of likes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recommendations.algorithms import encoding as encode
from recommendations.algorithms.encoding import Encoded
from recommendations.algorithms.functions import logit, sigmoid
from recommendations.algorithms.types import LIKED, Array, Content, Movies

# TMDb's mean of v votes is worth v / (v + VOTES_SHRINKAGE) of its distance from VOTES_CENTRE; a
# point of ten is VOTES_SLOPE on the logit scale of a like, and VOTES_STARS stars.
VOTES_SHRINKAGE = 50.0
VOTES_CENTRE = 6.6
VOTES_SLOPE = 1.1
VOTES_STARS = 0.4
MOST_BIAS_ROUNDS = 30
BIAS_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Totals:
    """The community as a whole, and the centres of the signals."""

    members: int = 0
    ratings: int = 0
    mean_stars: float = 3.5
    liked_share: float = 0.5
    #: Mean over ratings of the quality and of the log count of the rated movie.
    quality: float = 0.0
    log_count: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Totals:
        return cls(**values)


def by_votes(content: Content) -> Array:
    """(m,) points of ten above the usual, as far as TMDb's votes can be trusted; 0 without votes."""
    votes = content.vote_count.astype(np.float64)
    above = votes / (votes + VOTES_SHRINKAGE) * (content.vote_average - VOTES_CENTRE)
    return np.where(votes > 0, above, 0.0)


def prior_chance(content: Content, liked_share: float) -> Array:
    """(m,) the chance of a like before the first rating."""
    return sigmoid(logit(liked_share) + VOTES_SLOPE * by_votes(content))


def unrated_movies(content: Content, totals: Totals) -> Movies:
    """Rows of movies without any rating of our own."""
    nothing = np.zeros(len(content))
    return Movies(
        ids=content.movie_ids,
        genres=content.genres,
        years=content.years,
        quality=logit(prior_chance(content, totals.liked_share)),
        bias=VOTES_STARS * by_votes(content),
        count=nothing,
        rate=nothing,
    )


def biases(given: Encoded, content: Content, ridge: float) -> tuple[float, Array, Array]:
    """The mean, the members' (u,) and the movies' (m,) biases, in stars.

    Least squares with a ridge on the members' biases and on the movies' distance from what TMDb's
    votes let expect, by turns until nothing moves.
    """
    u, m = given.shape
    stars = given.stars.astype(np.float64)
    mean = float(stars.mean()) if len(stars) else 0.0
    prior = VOTES_STARS * by_votes(content.of(given.movie_ids))
    of_users, of_movies = np.zeros(u), prior
    per_user = np.bincount(given.users, minlength=u) + ridge
    per_movie = np.bincount(given.movies, minlength=m) + ridge
    for _ in range(MOST_BIAS_ROUNDS):
        rest = stars - mean - of_users[given.users]
        movies = (np.bincount(given.movies, rest, minlength=m) + ridge * prior) / per_movie
        rest = stars - mean - movies[given.movies]
        users = np.bincount(given.users, rest, minlength=u) / per_user
        moved = max(
            np.abs(movies - of_movies).max(initial=0), np.abs(users - of_users).max(initial=0)
        )
        of_users, of_movies = users, movies
        if moved < BIAS_TOLERANCE:
            break
    return mean, of_users, of_movies


def rated_movies(
    given: Encoded, content: Content, of_movies: Array, quality_prior: float
) -> tuple[Movies, Totals]:
    """The row of each movie with ratings, and the community's totals."""
    u, m = given.shape
    count = np.bincount(given.movies, minlength=m).astype(np.float64)
    liked = given.stars >= LIKED
    likes = np.bincount(given.movies, liked, minlength=m)
    # Half a like either way: a share of nothing or everything has no logit.
    liked_share = float((liked.sum() + 0.5) / (len(liked) + 1))
    described = content.of(given.movie_ids)
    prior = prior_chance(described, liked_share)
    quality = logit((likes + quality_prior * prior) / (count + quality_prior))
    wanted = np.bincount(given.movies, encode.weights(given), minlength=m)
    movies = Movies(
        ids=given.movie_ids,
        genres=described.genres,
        years=described.years,
        quality=quality,
        bias=of_movies,
        count=count,
        rate=wanted / max(u, 1),
    )
    r = max(len(given.stars), 1)
    totals = Totals(
        members=u,
        ratings=len(given.stars),
        mean_stars=float(given.stars.mean(dtype=np.float64)) if len(given.stars) else 3.5,
        liked_share=liked_share,
        quality=float((quality * count).sum() / r),
        log_count=float((np.log1p(count) * count).sum() / r),
    )
    return movies, totals
