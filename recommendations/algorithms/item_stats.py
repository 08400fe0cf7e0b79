"""What is known of a film apart from who is asked: its quality, bias, count and rate.

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
from recommendations.algorithms.types import LIKED, Array, Content, Films

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
    #: Mean over ratings of the quality and of the log count of the rated film.
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


def unrated_films(content: Content, totals: Totals) -> Films:
    """Rows of films without any rating of our own."""
    nothing = np.zeros(len(content))
    return Films(
        ids=content.film_ids,
        genres=content.genres,
        years=content.years,
        quality=logit(prior_chance(content, totals.liked_share)),
        bias=VOTES_STARS * by_votes(content),
        count=nothing,
        rate=nothing,
    )


def biases(given: Encoded, content: Content, ridge: float) -> tuple[float, Array, Array]:
    """The mean, the members' (u,) and the films' (m,) biases, in stars.

    Least squares with a ridge on the members' biases and on the films' distance from what TMDb's
    votes let expect, by turns until nothing moves.
    """
    u, m = given.shape
    stars = given.stars.astype(np.float64)
    mean = float(stars.mean()) if len(stars) else 0.0
    prior = VOTES_STARS * by_votes(content.of(given.film_ids))
    of_users, of_films = np.zeros(u), prior
    per_user = np.bincount(given.users, minlength=u) + ridge
    per_film = np.bincount(given.films, minlength=m) + ridge
    for _ in range(MOST_BIAS_ROUNDS):
        rest = stars - mean - of_users[given.users]
        films = (np.bincount(given.films, rest, minlength=m) + ridge * prior) / per_film
        rest = stars - mean - films[given.films]
        users = np.bincount(given.users, rest, minlength=u) / per_user
        moved = max(
            np.abs(films - of_films).max(initial=0), np.abs(users - of_users).max(initial=0)
        )
        of_users, of_films = users, films
        if moved < BIAS_TOLERANCE:
            break
    return mean, of_users, of_films


def rated_films(
    given: Encoded, content: Content, of_films: Array, quality_prior: float
) -> tuple[Films, Totals]:
    """The row of each film with ratings, and the community's totals."""
    u, m = given.shape
    count = np.bincount(given.films, minlength=m).astype(np.float64)
    liked = given.stars >= LIKED
    likes = np.bincount(given.films, liked, minlength=m)
    # Half a like either way: a share of nothing or everything has no logit.
    liked_share = float((liked.sum() + 0.5) / (len(liked) + 1))
    described = content.of(given.film_ids)
    prior = prior_chance(described, liked_share)
    quality = logit((likes + quality_prior * prior) / (count + quality_prior))
    wanted = np.bincount(given.films, encode.weights(given), minlength=m)
    films = Films(
        ids=given.film_ids,
        genres=described.genres,
        years=described.years,
        quality=quality,
        bias=of_films,
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
    return films, totals
