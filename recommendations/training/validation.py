"""Measure a model on members it has not learned from. No Django."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.match_score import percents
from recommendations.algorithms.model import Model
from recommendations.algorithms.ranking import rank
from recommendations.algorithms.types import LIKED, History, Ids, MovieContent, Ratings
from recommendations.evaluation import metrics
from recommendations.evaluation.splits import draw, hold_out

# Members that are held out to measure a training, by a hash of their id: enough to tell a broken
# training from a good one, and so few that the training hardly loses by it.
HELD_OUT_SHARE = 0.05
HELD_OUT_AT_MOST = 500
# A fixed seed: two trainings hold out the same members, so their figures can be compared.
_SEED, _SALT = 4, 11
RANKED = 10


def draw_held_out(users: NDArray[np.integer], *, members: int) -> NDArray[np.bool_]:
    """(r,) Return which ratings are of members that are held out of a training of so many members.

    Members who are held out of a large community are held out of a smaller one too.
    """
    share = min(HELD_OUT_SHARE, HELD_OUT_AT_MOST / max(members, 1))
    chosen: NDArray[np.bool_] = draw(_SEED, _SALT, users) < share
    return chosen


def measure_on_strangers(model: Model, ratings: Ratings, content: MovieContent) -> dict[str, Any]:
    """Return the figures of a model on members it has not learned from.

    A member's history is all but a fifth of their ratings; that fifth is predicted. `members` and
    `ratings` are counts; `ndcg_at_10` is over members who liked a movie of their fifth; `auc`,
    `log_loss` and `ece` are of the match score, and `reliability` is its diagram: the number of
    ratings, mean probability and share liked of each bin. A figure that cannot be computed is left
    out.
    """
    is_known, is_wanted = hold_out(ratings.users, ratings.movies, seed=_SEED)
    gains, liked, probabilities = [], [], []
    for user in np.unique(ratings.users[is_wanted]):
        is_own = ratings.users == user
        known, wanted = ratings[is_own & is_known], ratings[is_own & is_wanted]
        history = History.of(model.rows_of(known.movies.astype(np.int64), content), known.stars)
        movies = model.rows_of(wanted.movies.astype(np.int64), content)
        percent = percents(history, movies, *model.links(history, movies), model.coefficients)
        liked.append(wanted.stars >= LIKED)
        probabilities.append(percent / 100)
        if liked[-1].any():
            gains.append(_gain(model, history, movies.ids[liked[-1]]))
    if not liked:
        return {"members": 0, "ratings": 0}
    outcomes, predicted = np.concatenate(liked), np.concatenate(probabilities)
    figures = {
        "ndcg_at_10": float(np.mean(gains)) if gains else float("nan"),
        "auc": metrics.auc(outcomes, predicted),
        "log_loss": metrics.log_loss(outcomes, predicted),
        "ece": metrics.ece(outcomes, predicted),
    }
    return {
        "members": len(liked),
        "ratings": len(outcomes),
        **{name: round(value, 4) for name, value in figures.items() if np.isfinite(value)},
        "reliability": [
            [int(count), round(mean_probability, 4), round(share_liked, 4)]
            for count, mean_probability, share_liked in metrics.reliability(
                outcomes, predicted
            ).tolist()
            if count
        ],
    }


def _gain(model: Model, history: History, relevant: Ids) -> float:
    movies = model.movies
    feed, taste = model.links(history, movies)
    percent = percents(history, movies, feed, taste, model.coefficients)
    order = rank(history, movies, feed, percent, model.factor_gram, model.parameters)
    order = np.where(np.isin(movies.ids, history.movies.ids), -np.inf, order)
    first = movies.ids[np.argsort(-order, kind="stable")[:RANKED]]
    hits = np.isin(first, relevant)[None, :]
    return float(metrics.ndcg(hits, np.array([len(relevant)]), at=RANKED)[0])
