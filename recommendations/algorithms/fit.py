"""Fit a model: the coefficients from simulated members, then the movies from all ratings.

The coefficients must hold for members the model has never seen and for members it has learned from:
algorithms.simulation meets both. The movies' rows and lists that serve are then fitted on all ratings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recommendations.algorithms import factorization, item_stats, neighbors
from recommendations.algorithms.calibration import (
    DEFAULTS,
    Coefficients,
    fit_coefficients,
    refit_level,
)
from recommendations.algorithms.encoding import Encoded, encode
from recommendations.algorithms.model import Model
from recommendations.algorithms.neighbors import Executor, ThreadExecutor, choose_sources
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.simulation import NAMES, newest_outcomes, simulate
from recommendations.algorithms.types import Ids, MovieContent, Places, Ratings, positions

Progress = Callable[[str, float], None]

#: The weight of an observation by its stage; the last one is members with all they have.
STAGE_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 0.5, 8.0)
#: How many observations the default intercept counts for: the share of likes differs by community.
INTERCEPT_OBSERVATIONS = 30.0


def fit(
    ratings: Ratings,
    content: MovieContent,
    parameters: Parameters,
    *,
    as_of: float,
    progress: Progress,
    executor: Executor | None = None,
) -> Model:
    """Fit a model on the community's ratings; the same input gives the same model.

    `as_of` is the moment for which it is fitted, in seconds since 1970: what is recent is recent then.
    Raises BadRatings for a row that is not a number of stars.
    """
    ratings.check()
    executor = executor or ThreadExecutor()
    encoded = encode(ratings)
    if not parameters.use_votes:
        content = content.without_votes()
    progress("calibrating", 0.0)
    coefficients = fit_match_score(encoded, content, parameters, as_of, executor, progress)
    progress("learning", 0.0)
    return fit_movies(
        encoded, content, parameters, coefficients, executor, as_of=as_of, progress=progress
    )


def refit_movies(
    model: Model,
    ratings: Ratings,
    content: MovieContent,
    *,
    as_of: float,
    progress: Progress,
    executor: Executor | None = None,
) -> Model:
    """Fit the movies on these ratings, with the model's coefficients and parameters.

    For members whom the model did not learn from while it was validated.
    """
    ratings.check()
    if not model.parameters.use_votes:
        content = content.without_votes()
    return fit_movies(
        encode(ratings),
        content,
        model.parameters,
        model.coefficients,
        executor or ThreadExecutor(),
        as_of=as_of,
        progress=progress,
    )


def fit_movies(
    encoded: Encoded,
    content: MovieContent,
    parameters: Parameters,
    coefficients: Coefficients,
    executor: Executor,
    *,
    as_of: float,
    targets: Places | None = None,
    progress: Progress,
    stage: str = "learning",
) -> Model:
    """Fit rows, vectors and lists. Only the movies at the places of `targets` get lists."""
    mean, user_bias, movie_bias = item_stats.fit_biases(encoded, content, parameters.bias_ridge)
    movies, totals = item_stats.rated_movies(encoded, content, movie_bias, parameters, as_of)
    residuals = neighbors.residuals_of(encoded, mean, user_bias, movie_bias)
    sources = choose_sources(movies.count.astype(np.int64), least=parameters.min_source_ratings)
    if targets is None:
        targets = np.arange(len(movies))
    ranking = neighbors.fit_ranking_lists(
        encoded,
        sources,
        targets,
        parameters,
        executor=executor,
        progress=lambda part: progress(stage, 0.6 * part),
    )
    taste = neighbors.fit_taste_lists(
        encoded,
        sources,
        targets,
        residuals,
        parameters,
        executor=executor,
        progress=lambda part: progress(stage, 0.6 + 0.3 * part),
    )
    movies = movies.with_vectors(
        factorization.fit_implicit(
            encoded,
            factors=parameters.als_factors,
            alpha=parameters.als_alpha,
            ridge=parameters.als_ridge,
            seed=parameters.seed,
        ),
        factorization.fit_residual(
            encoded,
            residuals,
            factors=parameters.residual_factors,
            ridge=parameters.residual_ridge,
            seed=parameters.seed,
        ),
    )
    progress(stage, 1.0)
    known = replace(coefficients, totals=totals, residual_ridge=parameters.residual_ridge)
    return Model(movies, ranking, taste, totals, known, parameters)


def fit_match_score(
    encoded: Encoded,
    content: MovieContent,
    parameters: Parameters,
    as_of: float,
    executor: Executor,
    progress: Progress,
) -> Coefficients:
    """Fit the coefficients on simulated members, and their level on the newest ratings."""

    def fit_part(
        part: Encoded, wanted: Ids, coefficients: Coefficients, report: Callable[[float], None]
    ) -> Model:
        targets, is_known = positions(part.movie_ids, wanted)
        return fit_movies(
            part,
            content,
            # The match score does not read the ranking's vectors.
            replace(parameters.scaled(len(part.stars) / len(encoded.stars)), als_factors=0),
            coefficients,
            executor,
            as_of=as_of,
            targets=targets[is_known],
            progress=lambda stage, share: report(share),
        )

    observations = simulate(
        encoded,
        content,
        parameters.seed,
        lambda part, wanted, report: fit_part(part, wanted, Coefficients(0.0, {}), report),
        lambda share: progress("calibrating", 0.85 * share),
    )
    weight = observations.weight * np.array(STAGE_WEIGHTS)[observations.stage]
    defaults = np.array([DEFAULTS[name] for name in NAMES])
    prior = np.full(len(NAMES), parameters.weigh_defaults(encoded.shape[0]))
    prior[0] = INTERCEPT_OBSERVATIONS
    fitted, _ = fit_coefficients(observations.values, observations.liked, weight, defaults, prior)
    weights = dict(zip(NAMES[1:], fitted[1:].tolist(), strict=True))
    coefficients = Coefficients(float(fitted[0]), weights)
    if not parameters.refit_level:
        return coefficients
    outcomes = newest_outcomes(
        encoded,
        content,
        as_of,
        parameters.seed,
        lambda part, wanted: fit_part(
            part, wanted, coefficients, lambda share: progress("calibrating", 0.85 + 0.15 * share)
        ),
    )
    if outcomes is None:
        return coefficients
    return refit_level(coefficients, outcomes)
