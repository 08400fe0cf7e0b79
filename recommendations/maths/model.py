"""The trained model: what `train` makes of ratings, and all that serving needs of it.

How to use it
    model = train(ratings, content, Parameters.for_size(len(ratings)), progress=print)

In memory (batch, evaluation), for one member after the other:
    history = History.of(model.films_of(rated_ids, content), stars, favourites)
    films = model.films                        # or model.films_of(ids, content): also unrated films
    feed, taste = model.links(history, films)  # which rated film speaks for which film to score
    scores = score(history, films, feed, taste, model.coefficients)
    order = rank(scores, history, films)       # greater is earlier; rated films are the caller's to drop

From rows of the database: keep with each film of a training its row of `Films` and its lists
(`model.feed`, `model.taste`: by target; `.transposed(ids)` of them: by rated film). Then
    feed = Links.by_target(lists of the films to score, history.films.ids)    # a match score
    feed = Links.by_source(lists of the rated films, ids of the films to score)  # a feed
and call `score`, `rank` as above. Films that the training does not know get their row from
`unrated_films(content, model.totals)`, and have no links.

`model.coefficients` and `model.totals` are small: `.as_dict()` and `.from_dict()` for JSON.
"""

from __future__ import annotations

from recommendations.maths.calibration import Coefficients
from recommendations.maths.films import Totals, unrated_films
from recommendations.maths.learned import Model
from recommendations.maths.neighbours import transposed
from recommendations.maths.parameters import Parameters
from recommendations.maths.scoring import (
    Scores,
    contributions,
    percents,
    popularity_prior,
    rank,
    score,
    without_each,
)
from recommendations.maths.training import learned_anew, train

VERSION = "edlae-1"

__all__ = [
    "VERSION",
    "Coefficients",
    "Model",
    "Parameters",
    "Scores",
    "Totals",
    "contributions",
    "learned_anew",
    "percents",
    "popularity_prior",
    "rank",
    "score",
    "train",
    "transposed",
    "unrated_films",
    "without_each",
]
