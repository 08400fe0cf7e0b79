"""The match score: the chance, in percent, that a member gives a movie 4 stars or more.

A logistic over six signals. Each is a formula of the member's own ratings, so that a new rating
counts at once and nothing is trained; only the seven coefficients below are fixed. They were fitted
(ridge 1, five folds by member) on simulated histories of 0 to all ratings of members whose other
ratings were held out, and rounded. Free of Django.

Shapes: a member's history has n movies, the movies to score are m, genres are g columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.functions import sigmoid as sigmoid
from recommendations.algorithms.shapley import rounded as rounded
from recommendations.algorithms.shapley import split

# What the two formulas share lives in `maths`, and is used from here under the same names.
from recommendations.algorithms.types import LIKED as LIKED
from recommendations.algorithms.types import Array as Array
from recommendations.algorithms.types import interest as interest

ALGORITHM = "signals-1"

# Coefficients on the logit scale; `baseline` is the score of nobody for nothing.
BASELINE = -0.13
WEIGHTS = {
    "quality": 1.46,
    "genre": 1.6,
    "period": 1.65,
    "generosity": 4.4,
    "taste": 1.1,
    "peers": 1.2,
}
#: The three parts of the contract, and the signals each is made of.
PARTS: dict[str, tuple[str, ...]] = {
    "genre_affinity": ("genre", "period"),
    "rating_history": ("generosity", "taste", "peers"),
    "popularity": ("quality",),
}

# Shrinkage, in ratings: how many it takes for one's own mean to count as much as no effect.
GENEROSITY_SHRINKAGE = 5.0
GENRE_SHRINKAGE = 5.0
PERIOD_SHRINKAGE = 8.0
HISTORY_SHRINKAGE = 10.0
TASTE_SHRINKAGE = 1.0
PEERS_SHRINKAGE = 0.1
PERIOD_YEARS = 5
NEAREST = 20
LIKENESS_POWER = 3
QUALITY_CENTRE = 7.0
# P(4 stars or more) of a movie whose mean is s stars: the logistic that fits the community's marks.
LIKE_SLOPE, LIKE_CENTRE = 2.2, 3.55
# A favorite genre in the profile speaks like this many ratings, one star above expectation.
FAVORITE_RATINGS = 3.0
# Short histories lean on what everybody sees, by PRIOR_WEIGHT * PRIOR / (PRIOR + n).
POPULARITY_PRIOR_RATINGS, POPULARITY_PRIOR_WEIGHT = 10.0, 0.3
# How far the feed looks past what is popular anyway; at 0.2 it costs no nDCG where the history is
# long, and 3 % of it at ten ratings.
POPULARITY_DISCOUNT, POPULARITY_FLOOR = 0.2, 0.02
CONFIDENCE_HISTORY, CONFIDENCE_VOTES = 10.0, 50.0


@dataclass(frozen=True)
class Movies:
    """Features of movies, a row each."""

    ids: NDArray[np.int64]  # (m,)
    genres: Array  # (m, g), 1 where the movie has the genre
    years: NDArray[np.int64]  # (m,), 0 where unknown
    quality: Array  # (m,), weighted rating, 0 to 10
    votes: Array  # (m,), number of votes behind it
    reach: Array  # (m,), how widely seen, 0 to 1

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, chosen: NDArray[np.integer]) -> Movies:
        return Movies(
            self.ids[chosen],
            self.genres[chosen],
            self.years[chosen],
            self.quality[chosen],
            self.votes[chosen],
            self.reach[chosen],
        )


@dataclass(frozen=True)
class History:
    """A member: nothing but their ratings, and the genres they named."""

    movies: Movies  # n rows
    stars: Array  # (n,), 1 to 5
    favorites: Array  # (g,), 1 for a favorite genre

    def __len__(self) -> int:
        return len(self.movies)


@dataclass(frozen=True)
class PeerVotes:
    """What the members most like this one made of the movies to score; shares of all peers' weight."""

    weight: Array  # (m,), of those who rated the movie
    stars: Array  # (m,), weighted sum of their stars
    feed: Array  # (m,), weighted sum of their interest (`interest`), 0 to 1

    @classmethod
    def none(cls, m: int) -> PeerVotes:
        return cls(np.zeros(m), np.zeros(m), np.zeros(m))


@dataclass(frozen=True)
class Affinities:
    """How far above expectation a member rates each genre, with what it rests on."""

    genre: Array  # (g,), shrunk mean residual in stars
    counts: Array  # (g,), ratings
    mean_stars: Array  # (g,), plain mean, 0 where none


def expected_stars(quality: Array) -> Array:
    """The stars a movie gets from the average member, of its weighted rating on 0 to 10."""
    return quality / 2


def expected_chance(quality: Array) -> Array:
    """The chance, 0 to 1, that the average member likes a movie of this weighted rating."""
    return sigmoid(LIKE_SLOPE * (expected_stars(quality) - LIKE_CENTRE))


def trust(n: float, shrinkage: float = HISTORY_SHRINKAGE) -> float:
    """How much n observations count, 0 to 1."""
    return n / (n + shrinkage)


def residuals(history: History) -> Array:
    """(n,) stars above what this member was expected to give."""
    above = history.stars - expected_stars(history.movies.quality)
    rest: Array = above - above.sum() / (len(history) + GENEROSITY_SHRINKAGE)
    return rest


def generosity(history: History) -> float:
    """Likes above expectation, a rating, shrunk."""
    if not len(history):
        return 0.0
    expected = expected_chance(history.movies.quality)
    above: float = ((history.stars >= LIKED) - expected).sum()
    return above / (len(history) + GENEROSITY_SHRINKAGE)


def affinities(history: History) -> Affinities:
    """Genre by genre, shrunk towards the member's own mean, so that one movie is no taste."""
    genres = history.movies.genres
    counts = genres.sum(axis=0)
    above = residuals(history) @ genres + FAVORITE_RATINGS * history.favorites
    weight = counts + FAVORITE_RATINGS * history.favorites + GENRE_SHRINKAGE
    return Affinities(
        genre=above / weight,
        counts=counts,
        mean_stars=history.stars @ genres / np.maximum(counts, 1),
    )


def signals(
    history: History, movies: Movies, likeness: Array, peers: PeerVotes
) -> dict[str, Array]:
    """(m,) each: the signals of WEIGHTS. `likeness` is (m, n), 0 to 1."""
    n, m = len(history), len(movies)
    above = residuals(history)
    named = FAVORITE_RATINGS * history.favorites.sum()
    affinity = affinities(history).genre
    per_movie = movies.genres @ affinity / np.maximum(movies.genres.sum(axis=1), 1)
    seen = peers.weight
    expected = expected_stars(movies.quality)
    return {
        "quality": movies.quality - QUALITY_CENTRE,
        "genre": trust(n + named) * per_movie,
        "period": trust(n) * _period(history, above, movies),
        "generosity": np.full(m, generosity(history)),
        "taste": trust(n) * taste(likeness, above),
        "peers": trust(n) * (peers.stars - expected * seen) / (seen + PEERS_SHRINKAGE),
    }


def taste(likeness: Array, above: Array) -> Array:
    """(m,) What the NEAREST of the history got from this member, weighted by likeness^3, shrunk."""
    weight = _nearest(likeness) ** LIKENESS_POWER
    mean: Array = weight @ above / (weight.sum(axis=1) + TASTE_SHRINKAGE)
    return mean


@dataclass(frozen=True)
class Scores:
    """(m,) each, on the percent scale; the parts and `baseline` add up to `percent`."""

    percent: Array
    parts: dict[str, Array]
    baseline: float


def score(values: dict[str, Array]) -> Scores:
    """The chance in percent, and what each part adds to it (maths.shapley)."""
    logits = {
        part: sum((WEIGHTS[name] * values[name] for name in names), np.zeros(1))
        for part, names in PARTS.items()
    }
    baseline, parts, percent = split(BASELINE, logits)
    return Scores(percent, parts, baseline)


def confidence(n: int, votes: float) -> float:
    """How much the score rests on, 0 to 1; grows with the history and with the movie's votes."""
    return round(0.8 * trust(n, CONFIDENCE_HISTORY) + 0.2 * trust(votes, CONFIDENCE_VOTES), 2)


def rank(percent: Array, peers: PeerVotes, movies: Movies, n: int) -> Array:
    """(m,) The order of the feed: what peers are interested in, more where it will be liked.

    (feed + 0.3 * 10 / (10 + n) * reach) * sqrt(P(like)) / (reach + 0.02)^0.2

    Ranking by the chance alone would show obscure movies that few would choose; by interest alone,
    movies the member would not like. The discount keeps a thin history from being shown what
    everybody is shown (as RP3beta does: Paudel et al., TiiS 2017).
    """
    prior = POPULARITY_PRIOR_WEIGHT * trust(POPULARITY_PRIOR_RATINGS, n)
    interesting = peers.feed + prior * movies.reach
    known = (movies.reach + POPULARITY_FLOOR) ** POPULARITY_DISCOUNT
    order: Array = interesting * np.sqrt(percent / 100) / known
    return order


def _period(history: History, above: Array, movies: Movies) -> Array:
    """(m,) Shrunk mean residual of the movies within PERIOD_YEARS years."""
    apart = np.abs(movies.years[:, None] - history.movies.years[None, :])
    known = (movies.years[:, None] > 0) & (history.movies.years[None, :] > 0)
    near = (apart <= PERIOD_YEARS) & known
    mean: Array = near @ above / (near.sum(axis=1) + PERIOD_SHRINKAGE)
    return mean


def _nearest(likeness: Array) -> Array:
    """The likeness matrix with all but each row's NEAREST entries set to zero."""
    if likeness.shape[1] <= NEAREST:
        return likeness
    border = -np.partition(-likeness, NEAREST - 1, axis=1)[:, NEAREST - 1 : NEAREST]
    return np.where(likeness >= border, likeness, 0.0)
