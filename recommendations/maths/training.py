"""A training: the films' side from all ratings, the coefficients from members kept out of it.

The coefficients must be right for a member the films have never seen and for one whose own ratings
they were made of. So a films' side is made without a tenth of the members (the strangers) and
without a twentieth of the ratings of the others (the regulars); what was held out of both is scored
from simulated histories; and a logistic regression is fitted to what came of it. The films' side
that serves is then made from all ratings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recommendations.maths import films as films_side
from recommendations.maths import neighbours, signals
from recommendations.maths.calibration import Coefficients, fitted
from recommendations.maths.data import LIKED, Array, Content, History, Places, Ratings, positions
from recommendations.maths.encode import Encoded, encoded
from recommendations.maths.gram import sources_of
from recommendations.maths.learned import Model
from recommendations.maths.parameters import Parameters

Progress = Callable[[str, float], None]

# Of members, at most so many, and of their ratings.
STRANGERS, MOST_STRANGERS, ASKED_OF_STRANGERS = 0.12, 800, 0.2
REGULARS, MOST_REGULARS, ASKED_OF_REGULARS = 0.88, 3000, 0.06
# Questions a member: many members say more than many questions, for members differ.
MOST_OF_STRANGERS, MOST_OF_REGULARS = 20, 12
#: Lengths of simulated histories, from and to; the last stands for all there is.
STAGES = ((0, 0), (1, 5), (6, 20), (21, 100), (21, 10**9))
#: What a question counts for in the fit, by stage; the last are the regulars with all they have.
STAGE_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 0.5, 8.0)
MOST_STAGED = 100
NAMES = ("intercept", *signals.NAMES)
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
    """Learn the films' parameters from the community's ratings; the same input, the same model.

    Raises BadRatings for a row that is not a number of stars. Memory is bounded by blocks.
    """
    ratings.check()
    given = encoded(ratings)
    if not parameters.use_votes:
        content = content.without_votes()
    progress("calibrating", 0.0)
    coefficients = calibrated(given, content, parameters, progress)
    progress("learning", 0.0)
    return films_learned(given, content, parameters, coefficients, progress=progress)


def films_learned(
    given: Encoded,
    content: Content,
    parameters: Parameters,
    coefficients: Coefficients,
    *,
    targets: Places | None = None,
    progress: Progress,
    stage: str = "learning",
) -> Model:
    """The films' side. With `targets`, only these places of films get lists."""
    mean, of_users, of_films = films_side.biases(given, content, parameters.bias_ridge)
    films, totals = films_side.rated_films(given, content, of_films, parameters.quality_prior)
    sources = sources_of(films.count.astype(np.int64))
    chosen = np.arange(len(films)) if targets is None else targets
    feed = neighbours.for_ranking(
        given,
        sources,
        chosen,
        k=parameters.neighbours,
        ridge=parameters.ridge,
        dropout=parameters.dropout,
        shrinkage=parameters.likeness_shrinkage,
        member_power=parameters.member_power,
        film_power=parameters.film_power,
        told=lambda share: progress(stage, 0.7 * share),
    )
    taste = neighbours.for_taste(
        given,
        sources,
        chosen,
        neighbours.residuals(given, mean, of_users, of_films),
        k=parameters.taste_neighbours,
        shrinkage=parameters.taste_shrinkage,
        power=parameters.taste_power,
        told=lambda share: progress(stage, 0.7 + 0.3 * share),
    )
    known = Coefficients(coefficients.intercept, coefficients.weights, totals)
    return Model(films, feed, taste, totals, known, parameters)


def calibrated(
    given: Encoded, content: Content, parameters: Parameters, progress: Progress
) -> Coefficients:
    """The coefficients of the chance, from what members held out said."""
    values, liked, weight, stage = simulated(given, content, parameters, progress)
    weight = weight * np.array(STAGE_WEIGHTS)[stage]
    defaults = np.array([DEFAULTS[name] for name in NAMES])
    found, _ = fitted(values, liked, weight, defaults, PRIOR_OBSERVATIONS)
    return Coefficients(float(found[0]), dict(zip(NAMES[1:], found[1:].tolist(), strict=True)))


def simulated(
    given: Encoded, content: Content, parameters: Parameters, progress: Progress
) -> tuple[Array, Array, Array, Places]:
    """Signals (x, k), likes, weights and stages (x,) of simulated questions.

    The weight makes up for questions not asked of members with very many ratings, so that the
    whole is like what members rate.
    """
    dice = np.random.default_rng(parameters.seed)
    u = given.shape[0]
    drawn = dice.permutation(u)
    border = min(round(STRANGERS * u), MOST_STRANGERS)
    strangers = drawn[:border]
    regulars = drawn[border : border + min(round(REGULARS * u), MOST_REGULARS)]
    held_out = np.isin(given.users, strangers)
    asked_of_regulars = np.isin(given.users, regulars)
    asked_of_regulars &= dice.random(len(given.users)) < ASKED_OF_REGULARS
    rest = given.only(~(held_out | asked_of_regulars))
    starts = np.searchsorted(given.users, np.arange(u + 1))
    questions = []
    for user in strangers:
        own = np.arange(starts[user], starts[user + 1])
        own = dice.permutation(own)
        out = max(round(ASKED_OF_STRANGERS * len(own)), 1)
        asked = own[:out][:MOST_OF_STRANGERS]
        questions.append((asked, own[out:], out / len(asked), tuple(enumerate(STAGES))))
    for user in regulars:
        own = np.arange(starts[user], starts[user + 1])
        hidden = asked_of_regulars[own]
        asked = dice.permutation(own[hidden])[:MOST_OF_REGULARS]
        if len(asked):
            whole = ((len(STAGES), STAGES[-1]),)
            questions.append((asked, own[~hidden], hidden.sum() / len(asked), whole))
    if not questions or not len(rest.stars):
        k = len(NAMES)
        return np.zeros((0, k)), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.intp)
    wanted = np.unique(np.concatenate([asked for asked, *_ in questions]))
    targets, held = positions(rest.film_ids, np.unique(given.film_ids[given.films[wanted]]))
    model = films_learned(
        rest,
        content,
        parameters.scaled(len(rest.stars) / len(given.stars)),
        Coefficients(0.0, {}),
        targets=targets[held],
        progress=lambda _, share: progress("calibrating", 0.8 * share),
    )
    rows, answers, weights, asked_at = [], [], [], []
    for asked, pool, each, stages in questions:
        films = model.films_of(given.film_ids[given.films[asked]], content)
        for stage, (least, most) in stages:
            if len(pool) < least and stage < len(STAGES):
                continue
            # The last stage is all there is; of the others, any length within.
            size = len(pool) if most > MOST_STAGED else int(dice.integers(least, most + 1))
            chosen = dice.permutation(pool)[:size]
            history = History.of(
                model.films_of(given.film_ids[given.films[chosen]], content),
                given.stars[chosen],
            )
            feed, taste = model.links(history, films)
            found = signals.signals(history, films, feed, taste, model.totals)
            rows.append(np.stack([np.ones(len(films)), *(found[name] for name in NAMES[1:])], 1))
            answers.append(given.stars[asked] >= LIKED)
            weights.append(np.full(len(asked), each))
            asked_at.append(np.full(len(asked), stage))
    return (
        np.concatenate(rows),
        np.concatenate(answers).astype(float),
        np.concatenate(weights),
        np.concatenate(asked_at),
    )
