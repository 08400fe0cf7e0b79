"""How recommenders are measured: which ratings they learn from, and which ones they must predict.

Each protocol yields rounds. A round has the ratings to fit on and one or more sessions: moments at
which the fitted recommender is measured on cases, each a member with the ratings it may use and the
ratings it must predict.

weak          A fifth of every member's ratings is held out, chosen by a hash; all members are fitted.
strong        Members are new: the recommender was fitted without them. They have 0, 1, 3, 5, ... ratings.
rolling-days  At each of a few cut-offs the recommender is fitted on everything before it. A member is
              measured once for each cut-off: on the first day they rate after it, with everything
              before that day as their history and the trend of that day, and on what they rate in
              the year from that day on.
last-tenth    The newest tenth of every member's ratings is held out.
frozen        Fitted on what came before one moment and scored on everything after it. Histories end
              at that moment too, so this measures how calibration drifts.

The terms weak and strong generalization are Marlin's (NIPS 2003). In all protocols a held-out rating
of 4 stars or more is relevant; all movies of the catalogue but those in the history are ranked; and
every held-out rating is scored.

Shapes: m movies of the catalogue, n ratings of a history, t ratings to predict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.item_stats import SECONDS_A_DAY
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.ranking import recency_weights
from recommendations.algorithms.types import LIKED, MovieContent, Ratings
from recommendations.evaluation.splits import (
    assign_folds,
    draw,
    hold_out,
    hold_out_newest,
    order_histories,
    split_at,
)

Array = NDArray[np.float64]
Places = NDArray[np.intp]
Rows = NDArray[np.intp]

WEAK, STRONG, ROLLING_DAYS = "weak", "strong", "rolling-days"
LAST_TENTH, FROZEN = "last-tenth", "frozen"
PROTOCOLS = (WEAK, STRONG, ROLLING_DAYS, LAST_TENTH, FROZEN)
#: Names of recommenders that a report compares.
ENGINE, POPULARITY, DECAYED_POPULARITY = "the engine", "popularity", "decayed popularity"
#: Lengths of the histories of the strong protocol; None: all that is not held out.
HISTORY_LENGTHS: tuple[int | None, ...] = (0, 1, 3, 5, 10, 20, 50, None)
LIST_LENGTH = 50
# The first places in which a movie that will probably not be liked should not stand.
FIRST_PLACES, UNLIKELY = 20, 0.3
#: The temporal protocols are measured on this newest share of the ratings.
NEWEST_SHARE = 0.2
#: Rolling days: how often the recommender is fitted, and for how long it has to predict.
CUT_OFFS, DAYS_AHEAD = 5, 365
ALL, NEW, WITH_HISTORY = "all", "new", "with history"
_SAMPLE_SALT = 5

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Dataset:
    """The ratings of a community, and its catalogue. Every rated movie is in the catalogue."""

    name: str
    ratings: Ratings
    content: MovieContent

    def __post_init__(self) -> None:
        if not np.isin(self.ratings.movies, self.content.movie_ids).all():
            raise ValueError("A rating is of a movie that is not in the catalogue.")

    @cached_property
    def places(self) -> Places:
        """(r,) The place of each rating's movie in the catalogue."""
        return np.searchsorted(self.content.movie_ids, self.ratings.movies)

    def newest_removed(self, share: float) -> Dataset:
        """Return the dataset as it was before the newest share of its ratings."""
        before, _ = split_at(_times(self), 1 - share)
        return Dataset(self.name, self.ratings[before], self.content)


@dataclass(frozen=True)
class KnownRatings:
    """The ratings of a member that a recommender may use."""

    movies: Places  # (n,)
    stars: Array  # (n,)
    #: (n,) Seconds since 1970; None if unknown.
    times: NDArray[np.int64] | None = None

    def recency(self, parameters: Parameters) -> Array | None:
        """(n,) Return the weights of the ratings by age; None if times are unknown."""
        if self.times is None:
            return None
        return recency_weights(
            self.times, floor=parameters.recency_floor, scale=parameters.recency_scale
        )


@dataclass(frozen=True)
class Prediction:
    """What a recommender predicts for one member."""

    order: Array  # (m,), greater is earlier; -inf: not in the list
    #: (m,) Probability of 4 stars or more; None if the recommender only ranks.
    probabilities: Array | None


class Recommender(Protocol):
    """What can be measured."""

    name: str

    def fit(
        self, ratings: Ratings, content: MovieContent, *, as_of: float, progress: Progress
    ) -> None:
        """Learn from the ratings, for the moment `as_of` in seconds since 1970."""

    def refresh(self, ratings: Ratings, *, as_of: float) -> None:
        """Bring to a later moment what needs no fitting, from all ratings before that moment.

        Does nothing if all that is learned is that of the fit.
        """
        return

    def predict(self, known: KnownRatings) -> Prediction: ...


@dataclass(frozen=True)
class Case:
    """A member, and the ratings to predict."""

    member: int
    #: Cases of one group are reported together: a length of history, NEW, WITH_HISTORY or ALL.
    group: str
    known: KnownRatings
    movies: Places  # (t,)
    liked: NDArray[np.bool_]  # (t,)


@dataclass(frozen=True)
class Session:
    """Cases of one moment."""

    cases: Sequence[Case]
    #: The moment, with all ratings before it, if it is later than the fit; else None.
    as_of: float | None = None
    ratings: Ratings | None = None


@dataclass(frozen=True)
class Round:
    """What to fit on, the moment of the fit, and what to measure on."""

    training: Ratings
    as_of: float
    sessions: Sequence[Session]

    @property
    def case_count(self) -> int:
        return sum(len(session.cases) for session in self.sessions)


@dataclass(frozen=True)
class Outcome:
    """Lists and probabilities beside what happened: c cases in parallel, and p ratings in parallel."""

    members: NDArray[np.int64]  # (c,)
    groups: NDArray[np.str_]  # (c,)
    lists: Places  # (c, LIST_LENGTH), -1: empty
    hits: NDArray[np.bool_]  # (c, LIST_LENGTH)
    relevant: NDArray[np.int64]  # (c,)
    #: (c,) Whether one of the FIRST_PLACES has a probability under UNLIKELY although a movie over it
    #: stands behind.
    has_unlikely: NDArray[np.bool_]
    rating_members: NDArray[np.int64]  # (p,)
    rating_groups: NDArray[np.str_]  # (p,)
    history_lengths: NDArray[np.int64]  # (p,)
    liked: NDArray[np.bool_]  # (p,)
    probabilities: Array | None  # (p,)

    @classmethod
    def concatenate(cls, parts: Sequence[Outcome]) -> Outcome:
        """Return the outcomes of several sessions of one recommender as one."""
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in cls.__dataclass_fields__
            if name != "probabilities"
        }
        scored = [part.probabilities for part in parts if part.probabilities is not None]
        columns["probabilities"] = np.concatenate(scored) if scored else None
        return cls(**columns)


# --- Protocols -----------------------------------------------------------------------------------


def split_weak(
    data: Dataset, *, seed: int, members: int | None = None, validation: bool = False
) -> Iterator[Round]:
    """Yield one round. `members`: measure on at most so many of them."""
    ratings = data.ratings
    train, test = hold_out(ratings.users, ratings.movies, seed=seed, validation=validation)
    yield _one_round(data, train, test, seed=seed, members=members)


def split_last_tenth(
    data: Dataset, *, seed: int, members: int | None = None, validation: bool = False
) -> Iterator[Round]:
    """Yield one round. The moment of the fit is now: members' last tenths begin at different times."""
    ratings = data.ratings
    train, test = hold_out_newest(
        ratings.users, ratings.movies, _times(data), seed=seed, validation=validation
    )
    yield _one_round(data, train, test, seed=seed, members=members)


def split_strong(
    data: Dataset,
    *,
    seed: int,
    folds: int,
    members: int | None = None,
    validation: bool = False,
    lengths: Sequence[int | None] = HISTORY_LENGTHS,
) -> Iterator[Round]:
    """Yield a round for each fold, in which its members are new. `members`: at most, in each round."""
    ratings = data.ratings
    fold = assign_folds(ratings.users, seed=seed, folds=folds)
    train, test = hold_out(ratings.users, ratings.movies, seed=seed, validation=validation)
    order = order_histories(ratings.users, ratings.movies, seed=seed)
    for number in range(folds):
        is_new = fold == number
        chosen = _sample_members(ratings.users[is_new & test], seed, members)
        known = _group_rows(ratings.users, order[(train & is_new)[order]])
        wanted = _group_rows(ratings.users, np.flatnonzero(test & is_new))
        cases = []
        for member in chosen.tolist():
            own = known.get(member, _NO_ROWS)
            cases += [
                _make_case(
                    data,
                    member,
                    own if length is None else own[:length],
                    wanted[member],
                    group=ALL if length is None else str(length),
                )
                for length in lengths
                if length is None or length <= len(own)
            ]
        # In a validation the part for testing stays out.
        yield Round(ratings[~is_new & (train | test)], time.time(), [Session(cases)])


def split_rolling_days(
    data: Dataset,
    *,
    seed: int,
    members: int | None = None,
    validation: bool = False,
    cut_offs: int = CUT_OFFS,
) -> Iterator[Round]:
    """Yield a round for each cut-off, with a session for each day on which members return or join."""
    if validation:
        data = data.newest_removed(NEWEST_SHARE)
    ratings, days = data.ratings, _times(data) // int(SECONDS_A_DAY)
    _, newest = split_at(days, 1 - NEWEST_SHARE)
    borders = np.quantile(days[newest], np.linspace(0, 1, cut_offs + 1)[:-1]).astype(np.int64)
    borders = np.append(np.unique(borders), days.max(initial=0) + 1)
    chosen = _sample_members(ratings.users[newest], seed, members)
    by_member = _group_rows(ratings.users, np.lexsort((days, ratings.users)))
    by_time = ratings[np.argsort(days, kind="stable")]
    for first, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        cases: dict[int, list[Case]] = {}
        for member in chosen.tolist():
            own = by_member[member]
            start = int(np.searchsorted(days[own], first))
            if start == len(own) or (day := int(days[own[start]])) >= end:
                continue
            stop = int(np.searchsorted(days[own], day + DAYS_AHEAD))
            group = WITH_HISTORY if start else NEW
            case = _make_case(data, member, own[:start], own[start:stop], group=group)
            cases.setdefault(day, []).append(case)
        sessions = [
            Session(cases[day], day * SECONDS_A_DAY, _first(by_time, int((days < day).sum())))
            for day in sorted(cases)
        ]
        yield Round(ratings[days < first], first * SECONDS_A_DAY, sessions)


def split_frozen(
    data: Dataset, *, seed: int, members: int | None = None, validation: bool = False
) -> Iterator[Round]:
    """Yield one round: fitted and histories ended at a moment, measured on what came after it."""
    if validation:
        data = data.newest_removed(NEWEST_SHARE)
    ratings, times = data.ratings, _times(data)
    before, after = split_at(times, 1 - NEWEST_SHARE)
    chosen = _sample_members(ratings.users[after], seed, members)
    known = _group_rows(ratings.users, np.flatnonzero(before))
    wanted = _group_rows(ratings.users, np.flatnonzero(after))
    cases = [
        _make_case(
            data,
            member,
            known.get(member, _NO_ROWS),
            wanted[member],
            group=WITH_HISTORY if member in known else NEW,
        )
        for member in chosen.tolist()
    ]
    as_of = float(times[after].min()) if after.any() else time.time()
    yield Round(ratings[before], as_of, [Session(cases)])


_NO_ROWS: Rows = np.zeros(0, dtype=np.intp)


def _one_round(
    data: Dataset,
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
    *,
    seed: int,
    members: int | None,
) -> Round:
    ratings = data.ratings
    chosen = _sample_members(ratings.users[test], seed, members)
    known = _group_rows(ratings.users, np.flatnonzero(train))
    wanted = _group_rows(ratings.users, np.flatnonzero(test))
    cases = [
        _make_case(data, member, known.get(member, _NO_ROWS), wanted[member], group=ALL)
        for member in chosen.tolist()
    ]
    return Round(ratings[train], time.time(), [Session(cases)])


def _first(ratings: Ratings, count: int) -> Ratings:
    """Return the first ratings as views: there is one such set for each day."""
    times = None if ratings.times is None else ratings.times[:count]
    return Ratings(ratings.users[:count], ratings.movies[:count], ratings.stars[:count], times)


def _times(data: Dataset) -> NDArray[np.int64]:
    if data.ratings.times is None:
        raise ValueError("Temporal protocols need the times of the ratings.")
    return data.ratings.times


def _sample_members(
    users: NDArray[np.integer], seed: int, at_most: int | None
) -> NDArray[np.integer]:
    """Return the members in order, or a sample of them chosen by a hash."""
    members = np.unique(users)
    if at_most is None or len(members) <= at_most:
        return members
    return np.sort(members[np.argsort(draw(seed, _SAMPLE_SALT, members), kind="stable")[:at_most]])


def _group_rows(users: NDArray[np.integer], rows: Rows) -> dict[int, Rows]:
    """Return the rows of each member in their order. Rows of one member stand together."""
    owners = users[rows]
    starts = np.flatnonzero(np.diff(owners, prepend=owners[:1] - 1))
    parts = np.split(rows, starts[1:]) if len(rows) else []
    return dict(zip(owners[starts].tolist(), parts, strict=True))


def _make_case(data: Dataset, member: int, known: Rows, test: Rows, *, group: str) -> Case:
    ratings = data.ratings
    return Case(
        member,
        group,
        KnownRatings(
            data.places[known],
            ratings.stars[known].astype(np.float64),
            None if ratings.times is None else ratings.times[known],
        ),
        data.places[test],
        ratings.stars[test] >= LIKED,
    )


# --- Measuring -----------------------------------------------------------------------------------


def measure(recommender: Recommender, session: Session, progress: Progress) -> Outcome:
    """Return what a fitted recommender predicts in each case, beside what happened."""
    if session.as_of is not None and session.ratings is not None:
        recommender.refresh(session.ratings, as_of=session.as_of)
    cases = session.cases
    lists = np.full((len(cases), LIST_LENGTH), -1, dtype=np.intp)
    hits = np.zeros((len(cases), LIST_LENGTH), dtype=bool)
    has_unlikely = np.zeros(len(cases), dtype=bool)
    scored = []
    for row, case in enumerate(cases):
        if row % 100 == 0:
            progress(f"{recommender.name}: measuring", row / len(cases))
        prediction = recommender.predict(case.known)
        places = select_best(prediction.order, exclude=case.known.movies)
        lists[row, : len(places)] = places
        hits[row, : len(places)] = np.isin(places, case.movies[case.liked])
        if prediction.probabilities is not None:
            scored.append(prediction.probabilities[case.movies])
            is_likely = prediction.probabilities >= UNLIKELY
            is_likely[case.known.movies] = False
            # After the last likely movie there is nothing else to show.
            first = places[: min(FIRST_PLACES, int(is_likely.sum()))]
            has_unlikely[row] = not is_likely[first].all()
    sizes = [len(case.movies) for case in cases]
    members = np.array([case.member for case in cases], dtype=np.int64)
    groups = np.array([case.group for case in cases], dtype=np.str_)
    lengths = np.array([len(case.known.movies) for case in cases], dtype=np.int64)
    return Outcome(
        members=members,
        groups=groups,
        lists=lists,
        hits=hits,
        relevant=np.array([case.liked.sum() for case in cases], dtype=np.int64),
        has_unlikely=has_unlikely,
        rating_members=np.repeat(members, sizes),
        rating_groups=np.repeat(groups, sizes),
        history_lengths=np.repeat(lengths, sizes),
        liked=np.concatenate([case.liked for case in cases] or [np.zeros(0, dtype=bool)]),
        probabilities=np.concatenate(scored) if scored else None,
    )


def select_best(order: Array, *, exclude: Places, length: int = LIST_LENGTH) -> Places:
    """Return the places of the greatest values, greatest first and equal ones by place."""
    values = order.astype(np.float64)
    values[exclude] = -np.inf
    if len(values) > length:
        border = np.partition(values, len(values) - length)[len(values) - length]
        chosen = np.flatnonzero(values >= border)
    else:
        chosen = np.arange(len(values))
    chosen = chosen[values[chosen] > -np.inf]
    best: Places = chosen[np.argsort(-values[chosen], kind="stable")][:length]
    return best
