"""The engine as a recommender to be measured: the algorithms that serve, with the model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from recommendations.algorithms.fit import fit
from recommendations.algorithms.item_stats import (
    SECONDS_A_DAY,
    decayed_counts,
    smooth_recent,
    trend,
)
from recommendations.algorithms.match_score import percents
from recommendations.algorithms.model import Model
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.ranking import rank
from recommendations.algorithms.types import (
    History,
    MovieContent,
    Movies,
    Ratings,
    positions,
)
from recommendations.evaluation.protocol import ENGINE, KnownRatings, Prediction, Progress


class Engine:
    """Fits a model and ranks the whole catalogue, also movies that nobody has rated."""

    def __init__(self, name: str = ENGINE, changes: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.changes = dict(changes or {})
        self._model: Model | None = None
        self._rows: Movies | None = None

    @property
    def model(self) -> Model:
        if self._model is None:
            raise RuntimeError("The engine has not been fitted.")
        return self._model

    @property
    def rows(self) -> Movies:
        """(m,) The catalogue's movies, in its order."""
        if self._rows is None:
            raise RuntimeError("The engine has not been fitted.")
        return self._rows

    @property
    def parameters(self) -> Parameters:
        """What the engine ranks by."""
        return self.model.parameters

    def fit(
        self, ratings: Ratings, content: MovieContent, *, as_of: float, progress: Progress
    ) -> None:
        self._model = fit(
            ratings,
            content,
            replace(Parameters.for_size(len(ratings)), **self.changes),
            as_of=as_of,
            progress=lambda what, share: progress(f"{self.name}: {what}", share),
        )
        self._rows = self.model.rows_of(content.movie_ids, content)

    def refresh(self, ratings: Ratings, *, as_of: float) -> None:
        """Set the trend and the recent popularity of the movies that the model knows."""
        movies = self.model.movies
        places, is_known = positions(movies.ids, np.asarray(ratings.movies, dtype=np.int64))
        if ratings.times is None or not is_known.any():
            return
        places = places[is_known]
        counts = np.bincount(places, minlength=len(movies)).astype(np.float64)
        ages_days = np.asarray((as_of - ratings.times[is_known]) / SECONDS_A_DAY)
        decayed, recent = (
            decayed_counts(places, ages_days, half_life_days=days, movie_count=len(movies))
            for days in (
                self.parameters.trend_half_life_days,
                self.parameters.popularity_half_life_days,
            )
        )
        prior = self.parameters.recent_prior
        rows = {
            "trend": trend(
                decayed, counts, smoothing=self.parameters.trend_smoothing, prior_ratings=prior
            ),
            "recent_rate": smooth_recent(recent, counts, prior_ratings=prior) * movies.rate.sum(),
        }
        catalogue = self.rows
        at, in_catalogue = positions(catalogue.ids, movies.ids)
        for name, values in rows.items():
            column = getattr(catalogue, name).copy()
            column[at[in_catalogue]] = values[in_catalogue]
            catalogue = replace(catalogue, **{name: column})
        self._rows = catalogue

    def predict(self, known: KnownRatings) -> Prediction:
        model, movies = self.model, self.rows
        history = History.of(
            movies[known.movies], known.stars, recency=known.recency(self.parameters)
        )
        feed, taste = model.links(history, movies)
        percent = percents(history, movies, feed, taste, model.coefficients)
        order = rank(history, movies, feed, percent, model.factor_gram, self.parameters)
        return Prediction(np.asarray(order, dtype=np.float64), percent / 100)


class RankingVariant(Engine):
    """A fitted engine that ranks by other parameters; it is not fitted again."""

    def __init__(self, name: str, changes: Mapping[str, Any], fitted: Engine) -> None:
        super().__init__(name, changes)
        self._fitted = fitted

    @property
    def model(self) -> Model:
        return self._fitted.model

    @property
    def rows(self) -> Movies:
        return self._fitted.rows

    @property
    def parameters(self) -> Parameters:
        return replace(self.model.parameters, **self.changes)

    def fit(
        self, ratings: Ratings, content: MovieContent, *, as_of: float, progress: Progress
    ) -> None:
        """Do nothing: the other engine was fitted before."""

    def refresh(self, ratings: Ratings, *, as_of: float) -> None:
        """Do nothing: the other engine was refreshed before."""
