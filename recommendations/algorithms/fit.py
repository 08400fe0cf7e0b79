"""A training: the movies' side from all ratings, the coefficients from memberships played through.

The coefficients must be right for a member the movies have never seen and for one whose own ratings
they were made of: maths.simulation asks both. The movies' side that serves is then made from all
ratings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recommendations.algorithms import item_stats as movies_side
from recommendations.algorithms import neighbors as neighbours
from recommendations.algorithms.calibration import Coefficients, fitted
from recommendations.algorithms.encoding import Encoded, encoded
from recommendations.algorithms.gram import sources_of
from recommendations.algorithms.model import Model
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.simulation import NAMES, simulated
from recommendations.algorithms.types import Content, Ids, Places, Ratings, positions

Progress = Callable[[str, float], None]

#: What a question counts for in the fit, by stage; the last are the regulars with all they have.
STAGE_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 0.5, 8.0)
#: What little data leaves standing: fitted (prior of 1,000 at nothing) on a training part of
#: MovieLens latest-small, rounded.
DEFAULTS = {
    "intercept": 0.0,
    "quality": 0.2,
    "quality_trusted": 0.05,
    "count": 0.06,
    "count_trusted": 0.0,
    "bias": 1.2,
    "bias_trusted": 0.5,
    "genre": 0.5,
    "genre_trusted": 0.5,
    "genre_settled": 3.6,
    "period": 0.7,
    "period_trusted": 1.0,
    "period_settled": 0.8,
    "generosity": 2.2,
    "generosity_trusted": 2.1,
    "generosity_settled": 1.7,
    "leaning": 0.2,
    "leaning_trusted": -0.15,
    "leaning_settled": -0.2,
    "taste": 1.1,
    "taste_trusted": 0.7,
    "taste_settled": -0.3,
    "feed": 0.03,
    "feed_trusted": 0.03,
    "feed_settled": 0.15,
    "trusted": -0.15,
    "settled": -0.6,
}
#: How many observations the defaults count for.
PRIOR_OBSERVATIONS = 1000.0


def train(
    ratings: Ratings, content: Content, parameters: Parameters, *, progress: Progress
) -> Model:
    """Learn the movies' parameters from the community's ratings; the same input, the same model.

    Raises BadRatings for a row that is not a number of stars. Memory is bounded by blocks.
    """
    ratings.check()
    given = encoded(ratings)
    if not parameters.use_votes:
        content = content.without_votes()
    progress("calibrating", 0.0)
    coefficients = calibrated(given, content, parameters, progress)
    progress("learning", 0.0)
    return movies_learned(given, content, parameters, coefficients, progress=progress)


def learned_anew(model: Model, ratings: Ratings, content: Content, *, progress: Progress) -> Model:
    """The movies' side made from these ratings, with the model's coefficients and parameters.

    For members who were kept out while the model was tried.
    """
    ratings.check()
    if not model.parameters.use_votes:
        content = content.without_votes()
    return movies_learned(
        encoded(ratings), content, model.parameters, model.coefficients, progress=progress
    )


def movies_learned(
    given: Encoded,
    content: Content,
    parameters: Parameters,
    coefficients: Coefficients,
    *,
    targets: Places | None = None,
    progress: Progress,
    stage: str = "learning",
) -> Model:
    """The movies' side. With `targets`, only these places of movies get lists."""
    mean, of_users, of_movies = movies_side.biases(given, content, parameters.bias_ridge)
    movies, totals = movies_side.rated_movies(given, content, of_movies, parameters.quality_prior)
    sources = sources_of(movies.count.astype(np.int64))
    chosen = np.arange(len(movies)) if targets is None else targets
    feed = neighbours.for_ranking(
        given,
        sources,
        chosen,
        k=parameters.neighbours,
        ridge=parameters.ridge,
        dropout=parameters.dropout,
        shrinkage=parameters.likeness_shrinkage,
        alone=parameters.alone,
        alone_k=parameters.alone_neighbours,
        alone_shrinkage=parameters.alone_shrinkage,
        member_power=parameters.member_power,
        movie_power=parameters.movie_power,
        told=lambda share: progress(stage, 0.7 * share),
    )
    taste = neighbours.for_taste(
        given,
        sources,
        chosen,
        neighbours.residuals(given, mean, of_users, of_movies),
        k=parameters.taste_neighbours,
        shrinkage=parameters.taste_shrinkage,
        power=parameters.taste_power,
        told=lambda share: progress(stage, 0.7 + 0.3 * share),
    )
    known = Coefficients(coefficients.intercept, coefficients.weights, totals)
    return Model(movies, feed, taste, totals, known, parameters)


def calibrated(
    given: Encoded, content: Content, parameters: Parameters, progress: Progress
) -> Coefficients:
    """The coefficients of the chance, from what simulated members answered."""

    def learn(rest: Encoded, wanted: Ids, told: Callable[[float], None]) -> Model:
        targets, held = positions(rest.movie_ids, wanted)
        return movies_learned(
            rest,
            content,
            parameters.scaled(len(rest.stars) / len(given.stars)),
            Coefficients(0.0, {}),
            targets=targets[held],
            progress=lambda stage, share: told(share),
        )

    answers = simulated(
        given, content, parameters.seed, learn, lambda share: progress("calibrating", share)
    )
    weight = answers.weight * np.array(STAGE_WEIGHTS)[answers.stage]
    defaults = np.array([DEFAULTS[name] for name in NAMES])
    found, _ = fitted(answers.values, answers.liked, weight, defaults, PRIOR_OBSERVATIONS)
    return Coefficients(float(found[0]), dict(zip(NAMES[1:], found[1:].tolist(), strict=True)))
