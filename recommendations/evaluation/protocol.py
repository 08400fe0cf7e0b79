"""Who is asked what: members as a recommender meets them, and what comes of its answers.

Weak generalisation: every member is in training, and some ratings of each are held out. Strong
generalisation: members are new, nothing is trained again for them, and they are met with histories of
1, 3, 5, … ratings. Source of the terms: Marlin, NIPS 2003.

In both, relevant is a held-out rating of 4 stars or more; a list is made of all movies of the
catalogue but those in the history shown; the chance is asked for every held-out rating.

Shapes: m movies of the catalogue, by place; n ratings of a history; a movies asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.time_decay import recency_weights
from recommendations.algorithms.types import LIKED, MovieContent, Ratings
from recommendations.evaluation.splits import draw, fold_of, held_out, history_order

Array = NDArray[np.float64]
Places = NDArray[np.intp]

#: Lengths of the simulated histories; None: all that is not held out.
HISTORIES: tuple[int | None, ...] = (0, 1, 3, 5, 10, 20, 50, None)
LIST_LENGTH = 50
_SAMPLE = 5

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Dataset:
    """The ratings of a community, and its catalogue. Every movie rated is in the catalogue."""

    name: str
    ratings: Ratings
    content: MovieContent

    def __post_init__(self) -> None:
        if not np.isin(self.ratings.movies, self.content.movie_ids).all():
            raise ValueError("A rating is of a movie that is not in the catalogue.")


@dataclass(frozen=True)
class Known:
    """What a recommender may know of a member: their ratings, by the movies' places."""

    movies: Places  # (n,)
    stars: Array  # (n,)
    #: (n,) When they were made, in seconds since 1970; None if unknown.
    times: NDArray[np.int64] | None
    #: The member's id where they were in training; for baselines that know members.
    member: int | None

    def recency(self, parameters: Parameters) -> Array | None:
        """(n,) Return the weights of the ratings by age; None if times are unknown."""
        if self.times is None:
            return None
        return recency_weights(
            self.times, floor=parameters.recency_floor, scale=parameters.recency_scale
        )


@dataclass(frozen=True)
class Answer:
    order: Array  # (m,), greater is earlier; -inf: not in the list
    chances: Array | None  # (a,), of 4 stars or more; None: the recommender has no chances


class Recommender(Protocol):
    """Anything that can be measured. `name` stands in the report."""

    name: str

    def fit(self, ratings: Ratings, content: MovieContent, progress: Progress) -> None: ...

    def answer(self, known: Known, asked: Places) -> Answer: ...


@dataclass(frozen=True)
class Case:
    """One meeting: a member with a history, and what they rated besides."""

    member: int
    #: Length of the simulated history; None: all.
    history: int | None
    known: Known
    asked: Places  # (a,)
    liked: NDArray[np.bool_]  # (a,)


@dataclass(frozen=True)
class Outcome:
    """What came of c cases with p ratings asked about in all; row by row in parallel."""

    members: NDArray[np.int64]  # (c,)
    histories: NDArray[np.int64]  # (c,), -1: all
    lists: Places  # (c, LIST_LENGTH), -1: empty
    hits: NDArray[np.bool_]  # (c, LIST_LENGTH)
    relevant: NDArray[np.int64]  # (c,)
    asked_member: NDArray[np.int64]  # (p,)
    asked_n: NDArray[np.int64]  # (p,), length of the history it was asked with
    liked: NDArray[np.bool_]  # (p,)
    chances: Array | None  # (p,)

    @classmethod
    def together(cls, parts: Sequence[Outcome]) -> Outcome:
        """The outcomes of several rounds of one recommender as one."""

        def joined(name: str) -> np.ndarray[Any, Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        return cls(
            members=joined("members"),
            histories=joined("histories"),
            lists=joined("lists"),
            hits=joined("hits"),
            relevant=joined("relevant"),
            asked_member=joined("asked_member"),
            asked_n=joined("asked_n"),
            liked=joined("liked"),
            chances=None if parts[0].chances is None else joined("chances"),
        )


@dataclass(frozen=True)
class Round:
    """What to learn from, and the cases to measure with."""

    training: Ratings
    cases: Sequence[Case]


def weak(
    data: Dataset, *, seed: int, members: int | None = None, validation: bool = False
) -> Iterator[Round]:
    """One round: a fifth of everybody's ratings held out. `members`: measure on so many at most."""
    ratings = data.ratings
    learned, measured = held_out(ratings.users, ratings.movies, seed=seed, validation=validation)
    chosen = _sample(np.unique(ratings.users[measured]), seed, members)
    cases = list(_cases(data, learned, measured, chosen, seed, (None,), in_training=True))
    yield Round(ratings[learned], cases)


def strong(
    data: Dataset,
    *,
    seed: int,
    folds: int,
    members: int | None = None,
    validation: bool = False,
    histories: Sequence[int | None] = HISTORIES,
) -> Iterator[Round]:
    """`folds` rounds; in each other members are new. `members`: so many at most in each round."""
    ratings = data.ratings
    fold = fold_of(ratings.users, seed=seed, folds=folds)
    learned, measured = held_out(ratings.users, ratings.movies, seed=seed, validation=validation)
    for turn in range(folds):
        new = fold == turn
        chosen = _sample(np.unique(ratings.users[new & measured]), seed, members)
        cases = list(
            _cases(data, learned & new, measured & new, chosen, seed, histories, in_training=False)
        )
        # Of those who are not new all is learned from, but the part for testing when tuning.
        yield Round(ratings[~new & (learned | measured)], cases)


def _sample(members: NDArray[np.integer], seed: int, at_most: int | None) -> NDArray[np.integer]:
    if at_most is None or len(members) <= at_most:
        return members
    return np.sort(members[np.argsort(draw(seed, _SAMPLE, members), kind="stable")[:at_most]])


def _cases(
    data: Dataset,
    learned: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    chosen: NDArray[np.integer],
    seed: int,
    histories: Sequence[int | None],
    *,
    in_training: bool,
) -> Iterator[Case]:
    ids = data.content.movie_ids
    wanted = np.isin(data.ratings.users, chosen)
    known, asked = data.ratings[learned & wanted], data.ratings[measured & wanted]
    known = known[history_order(known.users, known.movies, seed=seed)]
    asked = asked[np.lexsort((asked.movies, asked.users))]
    known_starts = np.searchsorted(known.users, chosen)
    known_ends = np.searchsorted(known.users, chosen, side="right")
    asked_starts = np.searchsorted(asked.users, chosen)
    asked_ends = np.searchsorted(asked.users, chosen, side="right")
    known_places = np.searchsorted(ids, known.movies)
    asked_places = np.searchsorted(ids, asked.movies)
    known_stars = known.stars.astype(np.float64)
    liked = asked.stars >= LIKED
    for place, member in enumerate(chosen.tolist()):
        held = slice(asked_starts[place], asked_ends[place])
        there = int(known_ends[place] - known_starts[place])
        for length in histories:
            if length is not None and length > there:
                continue
            start = known_starts[place]
            shown = slice(start, start + (there if length is None else length))
            yield Case(
                member,
                length,
                Known(
                    known_places[shown],
                    known_stars[shown],
                    None if known.times is None else known.times[shown],
                    member if in_training else None,
                ),
                asked_places[held],
                liked[held],
            )


def measure(recommender: Recommender, cases: Sequence[Case], progress: Progress) -> Outcome:
    """Ask a fitted recommender about every case."""
    lists = np.full((len(cases), LIST_LENGTH), -1, dtype=np.intp)
    hits = np.zeros((len(cases), LIST_LENGTH), dtype=bool)
    chances = []
    for row, case in enumerate(cases):
        if row % 100 == 0:
            progress(f"{recommender.name}: asking", row / len(cases))
        answer = recommender.answer(case.known, case.asked)
        shown = best(answer.order, without=case.known.movies)
        lists[row, : len(shown)] = shown
        hits[row, : len(shown)] = np.isin(shown, case.asked[case.liked])
        if answer.chances is not None:
            chances.append(answer.chances)
    sizes = [len(case.asked) for case in cases]
    return Outcome(
        members=np.array([case.member for case in cases], dtype=np.int64),
        histories=np.array(
            [-1 if case.history is None else case.history for case in cases], dtype=np.int64
        ),
        lists=lists,
        hits=hits,
        relevant=np.array([case.liked.sum() for case in cases], dtype=np.int64),
        asked_member=np.repeat(np.array([case.member for case in cases], dtype=np.int64), sizes),
        asked_n=np.repeat(np.array([len(case.known.movies) for case in cases], np.int64), sizes),
        liked=np.concatenate([case.liked for case in cases] or [np.zeros(0, dtype=bool)]),
        chances=np.concatenate(chances) if chances else None,
    )


def best(order: Array, *, without: Places, length: int = LIST_LENGTH) -> Places:
    """Places of the `length` greatest, greatest first, equals by place; never one of `without`."""
    open_order = order.astype(np.float64)
    open_order[without] = -np.inf
    if len(open_order) > length:
        border = np.partition(open_order, len(open_order) - length)[len(open_order) - length]
        chosen = np.flatnonzero(open_order >= border)
    else:
        chosen = np.arange(len(open_order))
    chosen = chosen[open_order[chosen] > -np.inf]
    first: Places = chosen[np.argsort(-open_order[chosen], kind="stable")][:length]
    return first
