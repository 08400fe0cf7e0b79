"""What the chance of a like is made of: signals, each a formula of the member's own ratings.

Residuals are stars against the community's mean, the movie's bias and the member's, so that a taste
is what a member gives beyond what anybody gives. Sums are shrunk: one movie is no taste. What a
signal is worth may grow with the history: those of the history also come times c = n / (n + 10) and
d = n / (n + 100), those of the movie times c, each under the name with `TRUSTED` or `SETTLED`.
"""

from __future__ import annotations

import numpy as np

from recommendations.algorithms.functions import sigmoid, trust
from recommendations.algorithms.item_stats import Totals
from recommendations.algorithms.types import LIKED, Array, History, Links, Movies

TRUSTED, SETTLED = "_trusted", "_settled"
#: The three parts of the contract, and the signals each is made of.
PARTS: dict[str, tuple[str, ...]] = {
    "genre_affinity": ("genre", "period"),
    "rating_history": ("generosity", "leaning", "taste", "feed", "trusted", "settled"),
    "popularity": ("quality", "count", "bias"),
}
OF_HISTORY = ("genre", "period", "generosity", "leaning", "taste", "feed")
OF_MOVIE = ("quality", "count", "bias")
#: The names under which each signal comes.
TERMS: dict[str, tuple[str, ...]] = {
    **{name: (name, name + TRUSTED) for name in OF_MOVIE},
    **{name: (name, name + TRUSTED, name + SETTLED) for name in OF_HISTORY},
    "trusted": ("trusted",),
    "settled": ("settled",),
}
NAMES: tuple[str, ...] = tuple(term for terms in TERMS.values() for term in terms)

# Shrinkage, in ratings: how many it takes for one's own mean to count as much as no effect.
GENEROSITY_SHRINKAGE = 5.0
LEANING_SHRINKAGE = 5.0
GENRE_SHRINKAGE = 5.0
PERIOD_SHRINKAGE = 8.0
TRUSTED_AFTER, SETTLED_AFTER = 10.0, 100.0
TASTE_SHRINKAGE = 0.3
PERIOD_YEARS = 5
# A favourite genre in the profile speaks like this many ratings, one star above expectation.
FAVOURITE_RATINGS = 3.0
# The feed's sum counts by its logarithm; sums under this are as good as none.
FEED_FLOOR = 0.02


def above_expectation(history: History, totals: Totals) -> Array:
    """(n,) stars above what the movie and the member let expect; 0 for movies not rated."""
    above = (history.stars - totals.mean_stars - history.movies.bias) * history.rated
    own: Array = (above - above.sum() / (history.n + LEANING_SHRINKAGE)) * history.rated
    return own


def leaning(history: History, totals: Totals) -> float:
    """The member's bias: stars above what others gave the same movies, shrunk."""
    above = (history.stars - totals.mean_stars - history.movies.bias) * history.rated
    return float(above.sum()) / (history.n + LEANING_SHRINKAGE)


def generosity(history: History) -> float:
    """Likes above expectation, a rating, shrunk."""
    above = ((history.stars >= LIKED) - sigmoid(history.movies.quality)) * history.rated
    return float(above.sum()) / (history.n + GENEROSITY_SHRINKAGE)


def genre_affinity(history: History, above: Array) -> Array:
    """(g,) shrunk mean residual of the movies of each genre, in stars."""
    genres = history.movies.genres
    named = FAVOURITE_RATINGS * history.favourites
    weight = history.rated @ genres + named + GENRE_SHRINKAGE
    affinity: Array = (above @ genres + named) / weight
    return affinity


def period_affinity(history: History, above: Array, movies: Movies) -> Array:
    """(m,) shrunk mean residual of the rated movies within PERIOD_YEARS years."""
    known = history.rated & (history.movies.years > 0)
    order = np.argsort(history.movies.years[known], kind="stable")
    years = history.movies.years[known][order]
    sums = np.concatenate(([0.0], np.cumsum(above[known][order])))
    first = np.searchsorted(years, movies.years - PERIOD_YEARS, side="left")
    last = np.searchsorted(years, movies.years + PERIOD_YEARS, side="right")
    mean = (sums[last] - sums[first]) / (last - first + PERIOD_SHRINKAGE)
    return np.where(movies.years > 0, mean, 0.0)


def taste(above: Array, links: Links, m: int) -> Array:
    """(m,) residual-weighted mean over the rated movies among each movie's nearest, shrunk."""
    spoken = np.bincount(links.movies, links.weights * above[links.rated], minlength=m)
    weight = np.bincount(links.movies, links.weights, minlength=m)
    mean: Array = spoken / (weight + TASTE_SHRINKAGE)
    return mean


def feed(history: History, links: Links, m: int) -> Array:
    """(m,) the ranking's own sum: interest in the rated movies times what they say of each movie."""
    said = links.weights * history.wants[links.rated]
    return np.bincount(links.movies, said, minlength=m).astype(np.float64)


def signals(
    history: History, movies: Movies, feed_links: Links, taste_links: Links, totals: Totals
) -> dict[str, Array]:
    """(m,) each, by name; `spoken` is the bare feed sum, and no signal."""
    m = len(movies)
    above = above_expectation(history, totals)
    named = FAVOURITE_RATINGS * float(history.favourites.sum())
    c, d = trust(history.n, TRUSTED_AFTER), trust(history.n, SETTLED_AFTER)
    per_movie = movies.genres @ genre_affinity(history, above)
    per_movie = per_movie / np.maximum(movies.genres.sum(axis=1), 1)
    spoken = feed(history, feed_links, m)
    values = {
        "quality": movies.quality - totals.quality,
        "count": np.log1p(movies.count) - totals.log_count,
        "bias": movies.bias,
        "genre": per_movie,
        "period": period_affinity(history, above, movies),
        "generosity": np.full(m, generosity(history)),
        "leaning": np.full(m, leaning(history, totals)),
        "taste": taste(above, taste_links, m),
        "feed": np.log1p(np.maximum(spoken, 0.0) / FEED_FLOOR),
        "trusted": np.full(m, c),
        "settled": np.full(m, d),
    }
    for name in OF_MOVIE:
        values[name + TRUSTED] = c * values[name]
    for name in OF_HISTORY:
        share = trust(history.n + named, TRUSTED_AFTER) if name == "genre" else c
        values[name + TRUSTED] = share * values[name]
        values[name + SETTLED] = d * values[name]
    values["spoken"] = spoken
    return values
