"""Fit a model: the coefficients from simulated members, then the movies from all ratings.

The coefficients must hold at every stage of a membership, so `simulate` meets two kinds of members.
Strangers are members whom the movies were fitted without; they are met with histories of growing
length. Regulars are members whose ratings, but for a few, the movies were fitted on; they are asked
about those few with all the others as history. A small community is simulated in several rounds with
other strangers in each, a large one in a single round on a bounded sample.

`observe_newest` follows the order of time instead: what members rated lately, with the history they
had the day before. The level of the coefficients is fitted again on it.

The movies that serve are then fitted on all ratings (model.fit_movies).

Shapes: x observations, k coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from recommendations.algorithms.item_stats import SECONDS_A_DAY
from recommendations.algorithms.match_score import (
    DEFAULTS,
    Coefficients,
    NewestOutcomes,
    compute_signals,
    fit_coefficients,
    percents,
    refit_level,
)
from recommendations.algorithms.match_score import NAMES as SIGNALS
from recommendations.algorithms.model import Model, Progress, fit_movies
from recommendations.algorithms.neighbors import Executor, ThreadExecutor
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import (
    LIKED,
    Array,
    Encoded,
    History,
    MovieContent,
    Places,
    Ratings,
    encode,
    positions,
)

#: Rounds until so many strangers were met, with this share of the members in each at most.
ENOUGH_STRANGERS, STRANGER_SHARE, MAX_ROUNDS = 800, 0.15, 5
#: Regulars in all rounds together, and the share of their ratings that they are asked about.
MAX_REGULARS, REGULAR_TEST_SHARE = 3000, 0.06
STRANGER_TEST_SHARE = 0.2
# Questions per member: many members say more than many questions, because members differ.
MAX_STRANGER_QUESTIONS, MAX_REGULAR_QUESTIONS = 20, 12
#: Lengths of a stranger's histories, from and to; None is all there is.
STAGES: tuple[tuple[int, int | None], ...] = ((0, 0), (1, 5), (6, 20), (21, 100), (21, None))
#: The stage of a regular.
REGULAR = len(STAGES)
#: The weight of an observation by its stage; the last one is members with all they have.
STAGE_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 0.5, 8.0)
NAMES = ("intercept", *SIGNALS)
#: How many observations the default intercept counts for: the share of likes differs by community.
INTERCEPT_OBSERVATIONS = 30.0

# The newest outcomes: the newest share of the ratings, if they are enough ratings of enough members,
# and if the newest of all is recent. Windows of 90 to 730 days have too few members: in a cut at 70 %
# of latest-small, 180 days have 18 members, and what they like is not what the next ones like.
NEWEST_SHARE, MAX_AGE_DAYS = 0.2, 180
MIN_NEWEST, MIN_NEWEST_MEMBERS, MIN_RATINGS_BEFORE = 300, 20, 2_000
MAX_NEWEST_MEMBERS, MAX_NEWEST_QUESTIONS = 1_000, 100


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
    community = Community.of(ratings, content, parameters, as_of, executor)
    observations = simulate(community, progress)
    coefficients = _fit_all_coefficients(community, observations)
    if parameters.refit_level:
        outcomes = observe_newest(community, coefficients, progress)
        coefficients = refit_level(coefficients, outcomes) if outcomes else coefficients
    return community.fit_movies(coefficients, progress)


def refit_movies(
    ratings: Ratings,
    content: MovieContent,
    parameters: Parameters,
    coefficients: Coefficients,
    *,
    as_of: float,
    progress: Progress,
    executor: Executor | None = None,
) -> Model:
    """Fit the movies on these ratings, with the coefficients of an earlier fit.

    For members whom the model did not learn from while it was validated.
    """
    community = Community.of(ratings, content, parameters, as_of, executor)
    return community.fit_movies(coefficients, progress)


@dataclass(frozen=True)
class Community:
    """What a model is fitted on, for when and with what."""

    encoded: Encoded
    content: MovieContent
    parameters: Parameters
    as_of: float
    executor: Executor

    @classmethod
    def of(
        cls,
        ratings: Ratings,
        content: MovieContent,
        parameters: Parameters,
        as_of: float,
        executor: Executor | None,
    ) -> Community:
        ratings.check()
        content = content if parameters.use_votes else content.without_votes()
        return cls(encode(ratings), content, parameters, as_of, executor or ThreadExecutor())

    def fit_movies(self, coefficients: Coefficients, progress: Progress) -> Model:
        return fit_movies(
            self.encoded,
            self.content,
            self.parameters,
            coefficients,
            self.executor,
            as_of=self.as_of,
            progress=progress,
        )

    def fit_part(
        self,
        chosen: NDArray[np.bool_],
        questions: Places,
        coefficients: Coefficients,
        progress: Progress,
    ) -> Model:
        """Fit the movies on the chosen ratings, with lists for the movies of the questions alone."""
        part = self.encoded.only(chosen)
        wanted = np.unique(self.encoded.movie_ids[self.encoded.movies[questions]])
        targets, is_known = positions(part.movie_ids, wanted)
        scaled = self.parameters.scaled(len(part.stars) / len(self.encoded.stars))
        return fit_movies(
            part,
            self.content,
            # The match score does not read the ranking's vectors.
            replace(scaled, als_factors=0),
            coefficients,
            self.executor,
            as_of=self.as_of,
            targets=targets[is_known],
            progress=progress,
        )

    def history(self, model: Model, shown: Places) -> History:
        """Return the history of these ratings of one member."""
        encoded = self.encoded
        movies = model.rows_of(encoded.movie_ids[encoded.movies[shown]], self.content)
        return History.of(movies, encoded.stars[shown])

    def member_ranges(self, members: Places) -> Iterator[tuple[int, int]]:
        """Yield the range of each member's ratings, which are ordered by member."""
        starts = np.searchsorted(self.encoded.users, members)
        ends = np.searchsorted(self.encoded.users, members, side="right")
        yield from zip(starts.tolist(), ends.tolist(), strict=True)


def _fit_all_coefficients(community: Community, observations: Observations) -> Coefficients:
    """Return the coefficients of all signals, without the level of the newest ratings."""
    weight = observations.weight * np.array(STAGE_WEIGHTS)[observations.stage]
    defaults = np.array([DEFAULTS[name] for name in NAMES])
    members, _ = community.encoded.shape
    prior = np.full(len(NAMES), community.parameters.weigh_defaults(members))
    prior[0] = INTERCEPT_OBSERVATIONS
    fitted, _ = fit_coefficients(observations.values, observations.liked, weight, defaults, prior)
    weights = dict(zip(SIGNALS, fitted[1:].tolist(), strict=True))
    return Coefficients(float(fitted[0]), weights)


# --- Simulated members ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Observations:
    """Whether simulated members liked movies, and the signals they were scored by."""

    values: Array  # (x, k), the signals by NAMES
    liked: Array  # (x,), 1 for 4 stars or more
    #: (x,) How many ratings each stands for: not all ratings of very active members are asked.
    weight: Array
    stage: Places  # (x,)

    @classmethod
    def concatenate(cls, parts: list[Observations]) -> Observations:
        empty = cls(np.zeros((0, len(NAMES))), np.zeros(0), np.zeros(0), np.zeros(0, np.intp))
        parts = [empty, *parts]
        return cls(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(empty)))


@dataclass(frozen=True)
class _Participant:
    """A member with the ratings they are asked about and those their histories are drawn from."""

    questions: Places  # among the ratings
    pool: Places
    weight: float
    is_regular: bool


def count_rounds(members: int) -> int:
    """Return how many rounds a community of that size is simulated in."""
    rounds = math.ceil(ENOUGH_STRANGERS / max(STRANGER_SHARE * members, 1))
    return min(max(rounds, 1), MAX_ROUNDS)


def simulate(community: Community, progress: Progress) -> Observations:
    """Return the observations of all rounds; the same for the same ratings and seed."""
    random = np.random.default_rng(community.parameters.seed)
    members, _ = community.encoded.shape
    rounds, order = count_rounds(members), random.permutation(members)
    size = min(round(STRANGER_SHARE * members), ENOUGH_STRANGERS)
    parts: list[Observations] = []
    for number in range(rounds):
        strangers = order[number * size : (number + 1) * size]
        regulars = random.permutation(np.setdiff1d(order, strangers))[: MAX_REGULARS // rounds]
        step = f"calibrating, round {number + 1} of {rounds}"
        parts.extend(_simulate_round(community, strangers, regulars, random, step, progress))
    return Observations.concatenate(parts)


def _simulate_round(
    community: Community,
    strangers: Places,
    regulars: Places,
    random: np.random.Generator,
    step: str,
    progress: Progress,
) -> Iterator[Observations]:
    users = community.encoded.users
    is_hidden = np.isin(users, regulars)
    is_hidden &= random.random(len(users)) < REGULAR_TEST_SHARE
    is_left = ~(np.isin(users, strangers) | is_hidden)
    participants = [
        *_make_strangers(community, strangers, random),
        *_make_regulars(community, regulars, is_hidden, random),
    ]
    if not participants or not is_left.any():
        return
    questions = np.concatenate([each.questions for each in participants])
    unknown = Coefficients(0.0, {})
    model = community.fit_part(
        is_left, questions, unknown, lambda _, share: progress(step, 0.8 * share)
    )
    for participant in participants:
        yield from _observe(community, model, participant, random)
    progress(step, 1.0)


def _make_strangers(
    community: Community, members: Places, random: np.random.Generator
) -> Iterator[_Participant]:
    for start, end in community.member_ranges(members):
        own = random.permutation(np.arange(start, end))
        held_out = max(round(STRANGER_TEST_SHARE * len(own)), 1)
        questions = own[:held_out][:MAX_STRANGER_QUESTIONS]
        weight = held_out / len(questions)
        yield _Participant(questions, own[held_out:], weight, is_regular=False)


def _make_regulars(
    community: Community,
    members: Places,
    is_hidden: NDArray[np.bool_],
    random: np.random.Generator,
) -> Iterator[_Participant]:
    for start, end in community.member_ranges(members):
        own = np.arange(start, end)
        hidden = own[is_hidden[own]]
        if len(hidden):
            questions = random.permutation(hidden)[:MAX_REGULAR_QUESTIONS]
            weight = len(hidden) / len(questions)
            yield _Participant(questions, own[~is_hidden[own]], weight, is_regular=True)


def _observe(
    community: Community, model: Model, participant: _Participant, random: np.random.Generator
) -> Iterator[Observations]:
    """Yield a member's observations with each history they can have."""
    encoded, pool = community.encoded, participant.pool
    movies = community.history(model, participant.questions).movies
    liked = (encoded.stars[participant.questions] >= LIKED).astype(np.float64)
    everything = community.history(model, pool)
    feed, taste = model.links(everything, movies)
    stages = [(REGULAR, (0, None))] if participant.is_regular else list(enumerate(STAGES))
    for stage, (least, most) in stages:
        if len(pool) < least:
            continue
        length = len(pool) if most is None else int(random.integers(least, most + 1))
        chosen = random.permutation(len(pool))[:length]
        values = compute_signals(
            History.of(everything.movies[chosen], everything.stars[chosen]),
            movies,
            feed.of_rated(chosen, len(pool)),
            taste.of_rated(chosen, len(pool)),
            model.totals,
            model.coefficients.residual_ridge,
        )
        yield Observations(
            np.stack([np.ones(len(movies)), *(values[name] for name in SIGNALS)], axis=1),
            liked,
            np.full(len(movies), participant.weight),
            np.full(len(movies), stage, dtype=np.intp),
        )


# --- The newest ratings --------------------------------------------------------------------------


def observe_newest(
    community: Community, coefficients: Coefficients, progress: Progress
) -> NewestOutcomes | None:
    """Return the newest ratings beside what was predicted before they were made.

    The movies are fitted on everything before them; a member's history is what they rated before
    the day. None if times are unknown, ratings are too few, or the newest one is old.
    """
    encoded = community.encoded
    if encoded.times is None or len(encoded.times) < MIN_RATINGS_BEFORE + MIN_NEWEST:
        return None
    days_ago = np.floor((community.as_of - encoded.times) / SECONDS_A_DAY)
    is_newest = days_ago <= np.quantile(days_ago, NEWEST_SHARE)
    members = np.unique(encoded.users[is_newest])
    if (
        days_ago.min() > MAX_AGE_DAYS
        or is_newest.sum() < MIN_NEWEST
        or len(members) < MIN_NEWEST_MEMBERS
        or (~is_newest).sum() < MIN_RATINGS_BEFORE
    ):
        return None
    random = np.random.default_rng(community.parameters.seed)
    members = np.sort(random.permutation(members)[:MAX_NEWEST_MEMBERS])
    ranges = list(community.member_ranges(members))
    rows_by_member = [np.arange(start, end)[is_newest[start:end]] for start, end in ranges]
    questions = [random.permutation(rows)[:MAX_NEWEST_QUESTIONS] for rows in rows_by_member]
    model = community.fit_part(
        ~is_newest,
        np.concatenate(questions),
        coefficients,
        lambda _, share: progress("calibrating the level", share),
    )
    parts = []
    for (start, end), rows, own in zip(ranges, rows_by_member, questions, strict=True):
        # Very active members like less: all of their ratings have to count.
        weight = len(rows) / len(own)
        for day in np.unique(days_ago[own]):
            today = own[days_ago[own] == day]
            before = np.arange(start, end)[days_ago[start:end] > day]
            history = community.history(model, before)
            movies = community.history(model, today).movies
            percent = percents(history, movies, *model.links(history, movies), model.coefficients)
            parts.append(
                np.stack(
                    [
                        logit(np.clip(percent / 100, 1e-6, 1 - 1e-6)),
                        (movies.count == 0).astype(np.float64),
                        (encoded.stars[today] >= LIKED).astype(np.float64),
                        np.full(len(today), weight),
                    ]
                )
            )
    return NewestOutcomes(*np.concatenate(parts, axis=1))
