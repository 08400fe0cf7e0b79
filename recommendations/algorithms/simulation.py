"""Memberships played through, so that the chance is right at every stage of one.

Some members are strangers: the movies' side is made without them, and they are met with histories
that grow. The others are regulars: the movies' side is made of their ratings but for a few, and of
those they are asked with all the others for a history. Few members say little, so a small community
is played through in several rounds with other strangers; a large one in one, of a bounded sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from recommendations.algorithms import signals
from recommendations.algorithms.encoding import Encoded
from recommendations.algorithms.model import Model
from recommendations.algorithms.types import LIKED, Array, Content, History, Ids, Places

#: Rounds until so many strangers were met, each round with this share of the members at most.
ENOUGH_STRANGERS, STRANGERS, MOST_ROUNDS = 800, 0.15, 5
#: Regulars in all rounds together, and the share of their ratings that is held out.
MOST_REGULARS, ASKED_OF_REGULARS = 3000, 0.06
ASKED_OF_STRANGERS = 0.2
# Questions a member: many members say more than many questions, for members differ.
MOST_OF_STRANGERS, MOST_OF_REGULARS = 20, 12
#: Lengths of a stranger's simulated histories, from and to; None: all there is.
STAGES: tuple[tuple[int, int | None], ...] = ((0, 0), (1, 5), (6, 20), (21, 100), (21, None))
#: The stage of a regular, who is met with all there is.
REGULAR = len(STAGES)
NAMES = ("intercept", *signals.NAMES)

Told = Callable[[float], None]
#: Makes the movies' side from some of the ratings, with lists for the movies of these ids, and tells
#: how far it is.
Learn = Callable[[Encoded, Ids, Told], Model]
# Of a round's time; the rest goes into asking.
_LEARNING = 0.8


@dataclass(frozen=True)
class Simulated:
    """x answers of members with simulated histories."""

    values: Array  # (x, k), the signals by NAMES
    liked: Array  # (x,), 1 where the movie was given 4 stars or more
    #: (x,) How many ratings each stands for: of members with very many not all are asked about.
    weight: Array
    stage: Places  # (x,)

    @classmethod
    def together(cls, parts: list[Simulated]) -> Simulated:
        nothing = cls(np.zeros((0, len(NAMES))), np.zeros(0), np.zeros(0), np.zeros(0, np.intp))
        parts = [nothing, *parts]
        return cls(
            *(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0]))
        )


@dataclass(frozen=True)
class _Asked:
    """A member with what they are asked about, and what their histories are drawn from."""

    asked: Places  # among the ratings
    pool: Places
    weight: float
    regular: bool


def rounds_for(members: int) -> int:
    """How many rounds a community of that size is played."""
    return min(max(math.ceil(ENOUGH_STRANGERS / max(STRANGERS * members, 1)), 1), MOST_ROUNDS)


def simulated(given: Encoded, content: Content, seed: int, learn: Learn, told: Told) -> Simulated:
    """What the members of all rounds answered; the same for the same ratings and seed."""
    dice = np.random.default_rng(seed)
    rounds = rounds_for(given.shape[0])
    order = dice.permutation(given.shape[0])
    parts: list[Simulated] = []
    for turn in range(rounds):
        within = partial(_told_of_round, told, turn, rounds)
        parts.extend(_round(given, content, order, turn, rounds, dice, learn, within))
        within(1.0)
    return Simulated.together(parts)


def _told_of_round(told: Told, turn: int, rounds: int, share: float) -> None:
    told((turn + share) / rounds)


def _round(
    given: Encoded,
    content: Content,
    order: Places,
    turn: int,
    rounds: int,
    dice: np.random.Generator,
    learn: Learn,
    told: Told,
) -> Iterator[Simulated]:
    """One movies' side, and what its strangers and regulars answer."""
    size = min(round(STRANGERS * len(order)), ENOUGH_STRANGERS)
    strangers = order[turn * size : (turn + 1) * size]
    others = np.setdiff1d(order, strangers)
    regulars = dice.permutation(others)[: MOST_REGULARS // rounds]
    of_strangers = np.isin(given.users, strangers)
    hidden = np.isin(given.users, regulars)
    hidden &= dice.random(len(given.users)) < ASKED_OF_REGULARS
    rest = given.only(~(of_strangers | hidden))
    members = [
        *_of_strangers(given, strangers, dice),
        *_of_regulars(given, regulars, hidden, dice),
    ]
    if not members or not len(rest.stars):
        return
    wanted = np.unique(np.concatenate([member.asked for member in members]))
    ids = np.unique(given.movie_ids[given.movies[wanted]])
    model = learn(rest, ids, lambda share: told(_LEARNING * share))
    for member in members:
        yield from _answers(given, content, model, member, dice)


def _of_strangers(given: Encoded, members: Places, dice: np.random.Generator) -> Iterator[_Asked]:
    starts = np.searchsorted(given.users, members)
    ends = np.searchsorted(given.users, members, side="right")
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        own = dice.permutation(np.arange(start, end))
        held_out = max(round(ASKED_OF_STRANGERS * len(own)), 1)
        asked = own[:held_out][:MOST_OF_STRANGERS]
        yield _Asked(asked, own[held_out:], held_out / len(asked), regular=False)


def _of_regulars(
    given: Encoded, members: Places, hidden: np.ndarray, dice: np.random.Generator
) -> Iterator[_Asked]:
    starts = np.searchsorted(given.users, members)
    ends = np.searchsorted(given.users, members, side="right")
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        own = np.arange(start, end)
        out = own[hidden[own]]
        if len(out):
            asked = dice.permutation(out)[:MOST_OF_REGULARS]
            yield _Asked(asked, own[~hidden[own]], len(out) / len(asked), regular=True)


def _answers(
    given: Encoded, content: Content, model: Model, member: _Asked, dice: np.random.Generator
) -> Iterator[Simulated]:
    """A member's answers with each history they can have."""
    movies = model.movies_of(given.movie_ids[given.movies[member.asked]], content)
    liked = (given.stars[member.asked] >= LIKED).astype(np.float64)
    stages = [(REGULAR, (0, None))] if member.regular else list(enumerate(STAGES))
    for stage, (least, most) in stages:
        if len(member.pool) < least:
            continue
        length = len(member.pool) if most is None else int(dice.integers(least, most + 1))
        shown = dice.permutation(member.pool)[:length]
        history = History.of(
            model.movies_of(given.movie_ids[given.movies[shown]], content), given.stars[shown]
        )
        feed, taste = model.links(history, movies)
        found = signals.signals(history, movies, feed, taste, model.totals)
        yield Simulated(
            np.stack([np.ones(len(movies)), *(found[name] for name in NAMES[1:])], axis=1),
            liked,
            np.full(len(movies), member.weight),
            np.full(len(movies), stage, dtype=np.intp),
        )
