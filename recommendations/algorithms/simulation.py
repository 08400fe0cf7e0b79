"""Simulated members, so that the match score holds at every stage of a membership.

Strangers are members whom the movies were fitted without; they are met with histories of growing
length. Regulars are members whose ratings, but for a few, the movies were fitted on; they are asked
about those few with all the others as history. A small community is simulated in several rounds
with other strangers in each, a large one in a single round on a bounded sample.

`newest_outcomes` follows the order of time instead: what members rated lately, with the history they
had the day before.

Shapes: x observations, k coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from recommendations.algorithms.calibration import NewestOutcomes
from recommendations.algorithms.encoding import Encoded
from recommendations.algorithms.item_stats import SECONDS_A_DAY
from recommendations.algorithms.match_score import NAMES as SIGNALS
from recommendations.algorithms.match_score import compute_signals, percents
from recommendations.algorithms.model import Model
from recommendations.algorithms.types import LIKED, Array, History, Ids, MovieContent, Places

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
NAMES = ("intercept", *SIGNALS)

# The newest outcomes: the newest share of the ratings, if they are enough ratings of enough members,
# and if the newest of all is recent. Windows of 90 to 730 days have too few members: in a cut at 70 %
# of latest-small, 180 days have 18 members, and what they like is not what the next ones like.
NEWEST_SHARE, MAX_AGE_DAYS = 0.2, 180
MIN_NEWEST, MIN_NEWEST_MEMBERS, MIN_RATINGS_BEFORE = 300, 20, 2_000
MAX_NEWEST_MEMBERS, MAX_NEWEST_QUESTIONS = 1_000, 100

Report = Callable[[float], None]
#: Fits the movies on some of the ratings, with lists for the movies of these ids.
FitPart = Callable[[Encoded, Ids, Report], Model]
# The share of a round's time that fitting takes.
_FITTING = 0.8


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


def simulate(
    encoded: Encoded, content: MovieContent, seed: int, fit_part: FitPart, report: Report
) -> Observations:
    """Return the observations of all rounds; the same for the same ratings and seed."""
    random = np.random.default_rng(seed)
    rounds = count_rounds(encoded.shape[0])
    order = random.permutation(encoded.shape[0])
    parts: list[Observations] = []
    for number in range(rounds):
        report_round = partial(_report_round, report, number, rounds)
        parts.extend(
            _simulate_round(encoded, content, order, number, rounds, random, fit_part, report_round)
        )
        report_round(1.0)
    return Observations.concatenate(parts)


def _report_round(report: Report, number: int, rounds: int, share: float) -> None:
    report((number + share) / rounds)


def _simulate_round(
    encoded: Encoded,
    content: MovieContent,
    order: Places,
    number: int,
    rounds: int,
    random: np.random.Generator,
    fit_part: FitPart,
    report: Report,
) -> Iterator[Observations]:
    size = min(round(STRANGER_SHARE * len(order)), ENOUGH_STRANGERS)
    strangers = order[number * size : (number + 1) * size]
    others = np.setdiff1d(order, strangers)
    regulars = random.permutation(others)[: MAX_REGULARS // rounds]
    is_hidden = np.isin(encoded.users, regulars)
    is_hidden &= random.random(len(encoded.users)) < REGULAR_TEST_SHARE
    rest = encoded.only(~(np.isin(encoded.users, strangers) | is_hidden))
    participants = [
        *_make_strangers(encoded, strangers, random),
        *_make_regulars(encoded, regulars, is_hidden, random),
    ]
    if not participants or not len(rest.stars):
        return
    questions = np.unique(np.concatenate([each.questions for each in participants]))
    wanted = np.unique(encoded.movie_ids[encoded.movies[questions]])
    model = fit_part(rest, wanted, lambda share: report(_FITTING * share))
    for participant in participants:
        yield from _observe(encoded, content, model, participant, random)


def _make_strangers(
    encoded: Encoded, members: Places, random: np.random.Generator
) -> Iterator[_Participant]:
    for start, end in _member_ranges(encoded, members):
        own = random.permutation(np.arange(start, end))
        held_out = max(round(STRANGER_TEST_SHARE * len(own)), 1)
        questions = own[:held_out][:MAX_STRANGER_QUESTIONS]
        weight = held_out / len(questions)
        yield _Participant(questions, own[held_out:], weight, is_regular=False)


def _make_regulars(
    encoded: Encoded,
    members: Places,
    is_hidden: NDArray[np.bool_],
    random: np.random.Generator,
) -> Iterator[_Participant]:
    for start, end in _member_ranges(encoded, members):
        own = np.arange(start, end)
        hidden = own[is_hidden[own]]
        if len(hidden):
            questions = random.permutation(hidden)[:MAX_REGULAR_QUESTIONS]
            weight = len(hidden) / len(questions)
            yield _Participant(questions, own[~is_hidden[own]], weight, is_regular=True)


def _member_ranges(encoded: Encoded, members: Places) -> Iterator[tuple[int, int]]:
    """Yield the range of each member's ratings, which are ordered by member."""
    starts = np.searchsorted(encoded.users, members)
    ends = np.searchsorted(encoded.users, members, side="right")
    yield from zip(starts.tolist(), ends.tolist(), strict=True)


def _history(encoded: Encoded, content: MovieContent, model: Model, shown: Places) -> History:
    movies = model.rows_of(encoded.movie_ids[encoded.movies[shown]], content)
    return History.of(movies, encoded.stars[shown])


def _observe(
    encoded: Encoded,
    content: MovieContent,
    model: Model,
    participant: _Participant,
    random: np.random.Generator,
) -> Iterator[Observations]:
    """Yield a member's observations with each history they can have."""
    questions, pool = participant.questions, participant.pool
    movies = model.rows_of(encoded.movie_ids[encoded.movies[questions]], content)
    liked = (encoded.stars[questions] >= LIKED).astype(np.float64)
    everything = _history(encoded, content, model, pool)
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
            np.stack([np.ones(len(movies)), *(values[name] for name in NAMES[1:])], axis=1),
            liked,
            np.full(len(movies), participant.weight),
            np.full(len(movies), stage, dtype=np.intp),
        )


def newest_outcomes(
    encoded: Encoded,
    content: MovieContent,
    as_of: float,
    seed: int,
    fit_part: Callable[[Encoded, Ids], Model],
) -> NewestOutcomes | None:
    """Return the newest ratings beside what was predicted before they were made.

    The movies are fitted on everything before them; a member's history is what they rated before
    the day. None if times are unknown, ratings are too few, or the newest one is old.
    """
    if encoded.times is None or len(encoded.times) < MIN_RATINGS_BEFORE + MIN_NEWEST:
        return None
    days_ago = np.floor((as_of - encoded.times) / SECONDS_A_DAY)
    is_newest = days_ago <= np.quantile(days_ago, NEWEST_SHARE)
    members = np.unique(encoded.users[is_newest])
    if (
        days_ago.min() > MAX_AGE_DAYS
        or is_newest.sum() < MIN_NEWEST
        or len(members) < MIN_NEWEST_MEMBERS
        or (~is_newest).sum() < MIN_RATINGS_BEFORE
    ):
        return None
    random = np.random.default_rng(seed)
    members = np.sort(random.permutation(members)[:MAX_NEWEST_MEMBERS])
    rows_by_member = [
        np.arange(start, end)[is_newest[start:end]]
        for start, end in _member_ranges(encoded, members)
    ]
    questions = [random.permutation(rows)[:MAX_NEWEST_QUESTIONS] for rows in rows_by_member]
    wanted = np.unique(encoded.movie_ids[encoded.movies[np.concatenate(questions)]])
    model = fit_part(encoded.only(~is_newest), wanted)
    parts = []
    for rows, own in zip(rows_by_member, questions, strict=True):
        # Very active members like less: all of their ratings have to count.
        weight = len(rows) / len(own)
        for day in np.unique(days_ago[own]):
            today = own[days_ago[own] == day]
            start, end = next(_member_ranges(encoded, encoded.users[today[:1]]))
            before = np.arange(start, end)[days_ago[start:end] > day]
            history = _history(encoded, content, model, before)
            movies = model.rows_of(encoded.movie_ids[encoded.movies[today]], content)
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
