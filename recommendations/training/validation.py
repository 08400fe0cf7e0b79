"""What a model is worth to members it has not seen yet. Free of Django."""

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

# Members kept out while a training is tried, by a hash of their id: enough to tell a broken training
# from a good one, and few enough that what they would have taught is hardly missed.
HELD_OUT_SHARE = 0.05
HELD_OUT_AT_MOST = 500
# A fixed seed: two trainings keep the same members out, and so can be compared on them.
_SEED, _SALT = 4, 11
RANKED = 10


def kept_out(users: NDArray[np.integer], *, members: int) -> NDArray[np.bool_]:
    """(r,) Which ratings are of members that a training of so many members is tried on.

    Whoever is kept out among many is kept out among fewer too.
    """
    share = min(HELD_OUT_SHARE, HELD_OUT_AT_MOST / max(members, 1))
    chosen: NDArray[np.bool_] = draw(_SEED, _SALT, users) < share
    return chosen


def tried(model: Model, ratings: Ratings, content: MovieContent) -> dict[str, Any]:
    """Figures of a model on members it never saw, each told all but a fifth of their ratings.

    `members`, `ratings` measured on; `ndcg_at_10` over members with a liked movie held out; `auc`,
    `log_loss`, `ece` and the `reliability` diagram of the match score: ratings, mean probability and
    share liked of each bin. No figure where there is nothing to measure on.
    """
    known, asked = hold_out(ratings.users, ratings.movies, seed=_SEED)
    gains, liked, chances = [], [], []
    for user in np.unique(ratings.users[asked]):
        mine = ratings.users == user
        told, wanted = ratings[mine & known], ratings[mine & asked]
        history = History.of(model.rows_of(told.movies.astype(np.int64), content), told.stars)
        movies = model.rows_of(wanted.movies.astype(np.int64), content)
        percent = percents(history, movies, *model.links(history, movies), model.coefficients)
        liked.append(wanted.stars >= LIKED)
        chances.append(percent / 100)
        if liked[-1].any():
            gains.append(_gain(model, history, movies.ids[liked[-1]]))
    if not liked:
        return {"members": 0, "ratings": 0}
    truth, said = np.concatenate(liked), np.concatenate(chances)
    figures = {
        "ndcg_at_10": float(np.mean(gains)) if gains else float("nan"),
        "auc": metrics.auc(truth, said),
        "log_loss": metrics.log_loss(truth, said),
        "ece": metrics.ece(truth, said),
    }
    return {
        "members": len(liked),
        "ratings": len(truth),
        **{name: round(value, 4) for name, value in figures.items() if np.isfinite(value)},
        "reliability": [
            [int(count), round(predicted, 4), round(observed, 4)]
            for count, predicted, observed in metrics.reliability(truth, said).tolist()
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
