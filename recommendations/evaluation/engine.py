"""The engine as a recommender to be measured: the algorithms that serve, with the model in memory."""

from __future__ import annotations

import time

import numpy as np

from recommendations.algorithms.fit import fit
from recommendations.algorithms.match_score import percents
from recommendations.algorithms.model import Model
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.ranking import rank
from recommendations.algorithms.types import History, MovieContent, Ratings
from recommendations.evaluation.protocol import Answer, Known, Places, Progress


class Learned:
    """Fits a model and ranks the whole catalogue, movies that nobody has rated among them."""

    name = "the engine"

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters
        self.model: Model | None = None

    def fit(self, ratings: Ratings, content: MovieContent, progress: Progress) -> None:
        self.model = fit(
            ratings,
            content,
            self.parameters or Parameters.for_size(len(ratings)),
            as_of=time.time(),
            progress=lambda what, part: progress(f"{self.name}: {what}", part),
        )
        self._movies = self.model.rows_of(content.movie_ids, content)

    def answer(self, known: Known, asked: Places) -> Answer:
        model = self.model
        assert model is not None, "fit comes first"
        history = History.of(
            self._movies[known.movies], known.stars, recency=known.recency(model.parameters)
        )
        feed, taste = model.links(history, self._movies)
        percent = percents(history, self._movies, feed, taste, model.coefficients)
        order = rank(history, self._movies, feed, percent, model.factor_gram, model.parameters)
        return Answer(np.asarray(order, dtype=np.float64), percent[asked] / 100)
