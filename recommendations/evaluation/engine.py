"""The engine as a recommender to be measured: the maths that serves, with the model in memory."""

from __future__ import annotations

import numpy as np

from recommendations.algorithms.fit import train
from recommendations.algorithms.match_score import rank, score
from recommendations.algorithms.model import Model
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import Content, History, Ratings
from recommendations.evaluation.protocol import Answer, Known, Places, Progress


class Learned:
    """Trains, and answers over the whole catalogue: movies nobody has rated among them."""

    name = "the engine"

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters
        self.model: Model | None = None

    def fit(self, ratings: Ratings, content: Content, progress: Progress) -> None:
        parameters = self.parameters or Parameters.for_size(len(ratings))
        self.model = train(
            ratings,
            content,
            parameters,
            progress=lambda what, part: progress(f"{self.name}: {what}", part),
        )
        self._movies = self.model.movies_of(content.movie_ids, content)

    def answer(self, known: Known, asked: Places) -> Answer:
        assert self.model is not None, "fit comes first"
        history = History.of(self._movies[known.movies], known.stars)
        feed, taste = self.model.links(history, self._movies)
        scores = score(history, self._movies, feed, taste, self.model.coefficients)
        order = rank(scores, history, self._movies)
        return Answer(np.asarray(order, dtype=np.float64), scores.percent[asked] / 100)
