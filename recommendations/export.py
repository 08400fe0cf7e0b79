"""Recommendations and match scores of many members, through the same code as the endpoints.

A model is in memory as a whole (`InMemoryModel`), so that only the reads differ from those of a request.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import TextIO, TypeVar

import numpy as np
from django.db.models import BigIntegerField, F, Func, Q
from django.db.models.functions import Lower
from numpy.typing import NDArray

from accounts.models import User
from movies.models import Movie
from recommendations.algorithms.ranking import take_first
from recommendations.algorithms.types import Ids, Movies, Places, positions
from recommendations.models import Feedback
from recommendations.recommender.feed import (
    SHORT_HISTORY,
    Feed,
    Recommendation,
    build_feed,
    compute_order,
    rank_candidates,
)
from recommendations.recommender.match_score import compute_matches, compute_percents
from recommendations.recommender.queries import (
    FEED_DEPTH,
    FEEDBACK_LIMIT,
    HISTORY_LIMIT,
    PART_COLUMNS,
    Candidates,
    CatalogueRow,
    FeedCandidates,
    Judgment,
    Member,
    build_member,
    build_movies,
    count_days,
    load_active_header,
)
from recommendations.training.pipeline import fit_as_of
from recommendations.training.store import (
    InMemoryModel,
    Progress,
    catalogue_rows,
    model_from_training,
    model_in_memory,
    select_rows,
)
from social.models import Rating, Viewing

Item = TypeVar("Item")

MEMBERS_AT_ONCE = 200
RECOMMENDATION_COLUMNS = ("username", "rank", "movie_id", "tmdb_id", "imdb_id", "match_score")
PAIR_COLUMNS = ("username", "imdb_id")
#: Seconds since 1970, as queries.read_members reads them.
_RATED_AT = Func(
    F("created_at"),
    template="extract(epoch FROM %(expressions)s)::bigint",
    output_field=BigIntegerField(),
)


def _build_seen_before(moment: datetime) -> Q:
    """Return the condition that a viewing was before a moment, for certain."""
    day = moment.astimezone(UTC).date()
    return Q(watched_at__lt=moment) | Q(watched_at=None, watched_on__lt=day)


@dataclass(frozen=True)
class BatchMember:
    member: Member
    #: Movies that are not to be shown to them.
    excluded: Ids


class Batch:
    """A model in memory, and what the catalogue adds to it."""

    def __init__(self, model: InMemoryModel, *, before: datetime | None = None) -> None:
        """`before`: use only what members did before this moment."""
        self._model, self._header, self._before = model, model.header, before
        ids = self._header.movie_ids
        exists = Movie.objects.filter(id__any=ids.tolist()).values_list("id", flat=True)
        self._is_deleted = ~np.isin(ids, list(exists))
        self._series, self._released, self._incomplete_series = self._read_series()
        #: The catalogue's rows of movies that the model does not know, read when they come up.
        self._unknown: dict[int, CatalogueRow] = {}

    @classmethod
    def of_active(cls) -> Batch | None:
        """Return None if no training is active."""
        header = load_active_header()
        return None if header is None else cls(model_from_training(header))

    @classmethod
    def as_of(cls, moment: datetime, *, progress: Progress) -> Batch:
        """Fit a model on what was known at that moment, and return its batch.

        Raises TooFewRatingsError.
        """
        return cls(model_in_memory(fit_as_of(moment, progress=progress)), before=moment)

    def members(self, users: Sequence[User]) -> Iterator[tuple[User, BatchMember]]:
        """Yield the members with their ratings, feedback and viewings, MEMBERS_AT_ONCE in three queries."""
        for start in range(0, len(users), MEMBERS_AT_ONCE):
            chunk = users[start : start + MEMBERS_AT_ONCE]
            ratings = {user.pk: list[tuple[int, float, int]]() for user in chunk}
            feedback = {user.pk: dict[int, str]() for user in chunk}
            watched = {user.pk: list[int]() for user in chunk}
            of_members = {"user__in": list(ratings)}
            changed = {} if self._before is None else {"updated_at__lt": self._before}
            seen = Q() if self._before is None else _build_seen_before(self._before)
            rated = Rating.objects.filter(**of_members, **changed).order_by("-created_at", "-id")
            for user_id, movie_id, score, at in rated.values_list(
                "user", "movie", "score", _RATED_AT
            ):
                if score is None:
                    # A review alone says that the member has seen it.
                    watched[user_id].append(movie_id)
                else:
                    ratings[user_id].append((movie_id, score, at))
            judged = Feedback.objects.filter(**of_members, **changed).order_by("-updated_at", "-id")
            for user_id, movie_id, kind in judged.values_list("user", "movie", "kind"):
                feedback[user_id][movie_id] = kind
            viewings = Viewing.objects.filter(seen, **of_members)
            for user_id, movie_id in viewings.values_list("user", "movie"):
                watched[user_id].append(movie_id)
            self._read_unknown(
                {movie_id for own in ratings.values() for movie_id, *_ in own}.union(
                    *feedback.values()
                )
            )
            for user in chunk:
                yield (
                    user,
                    self._build_member(user, ratings[user.pk], feedback[user.pk], watched[user.pk]),
                )

    def feed(self, batch_member: BatchMember) -> Feed | None:
        """Return the unfiltered feed, or None if the model alone does not determine it.

        As of a moment it has to, because the catalogue is that of today.
        """
        member = batch_member.member
        is_past = self._before is not None
        if member.history.n < SHORT_HISTORY and not is_past:
            return None
        is_shown = ~self._is_deleted & ~np.isin(self._header.movie_ids, batch_member.excluded)
        places, order = compute_order(member)
        places, order = places[is_shown[places]], order[is_shown[places]]
        if len(places) < FEED_DEPTH and not is_past:
            return None
        places = np.sort(places[take_first(order, FEED_DEPTH)])
        if np.isin(self._series[places], self._incomplete_series).any() and not is_past:
            return None
        return rank_candidates(member, self._feed_candidates(is_shown, places))

    def scores(self, batch_member: BatchMember, movie_ids: Sequence[int]) -> dict[int, float]:
        """Return the match score of each movie that exists, by its id."""
        self._read_unknown(set(movie_ids))
        candidates = self._candidates(self._existing(np.unique(movie_ids)))
        percents = compute_percents(batch_member.member, candidates)
        return dict(zip(candidates.movies.ids.tolist(), percents.tolist(), strict=True))

    def _existing(self, ids: Ids) -> Ids:
        places, is_known = positions(self._header.movie_ids, ids)
        exists = is_known & ~self._is_deleted[places] if len(self._is_deleted) else is_known
        return ids[exists | np.isin(ids, list(self._unknown))]

    def _movies(self, ids: Ids) -> Movies:
        blank: tuple[list[str], None, float, int, int, float] = ([], None, 0.0, 0, 0, 0.0)
        places, _ = positions(self._header.movie_ids, ids)
        return build_movies(
            self._header,
            [self._unknown.get(each, (each, *blank)) for each in ids.tolist()],
            self._model.vectors[places],
        )

    def _read_series(self) -> tuple[Ids, Ids, Ids]:
        """Return the movies' collections, the days of their release, and the incomplete collections.

        (m,) each, 0 for a movie of no collection. Of an incomplete one the training lacks a part that
        may come first.
        """
        parts = Movie.objects.filter(collection__isnull=False).values_list(*PART_COLUMNS)
        table = np.array([(*part[:2], count_days(*part[2:])) for part in parts], dtype=np.int64)
        ids, collections, days = table.reshape(-1, 3).T
        places, is_known = positions(self._header.movie_ids, ids)
        series, released = np.zeros((2, len(self._header.movie_ids)), dtype=np.int64)
        series[places[is_known]] = collections[is_known]
        released[places[is_known]] = days[is_known]
        last_known: dict[int, int] = {}
        for collection, day in zip(collections[is_known], days[is_known], strict=True):
            last_known[collection] = max(day, last_known.get(collection, 0))
        unknown = zip(collections[~is_known], days[~is_known], strict=True)
        incomplete = {each for each, day in unknown if day <= last_known.get(each, 0)}
        return series, released, np.array(sorted(incomplete), dtype=np.int64)

    def _feed_candidates(self, is_shown: NDArray[np.bool_], places: Places) -> FeedCandidates:
        """Return the movies at these places, and the first part that passes of each of their series."""
        parts = np.flatnonzero(
            is_shown & np.isin(self._series, self._series[places][self._series[places] > 0])
        )
        parts = parts[np.lexsort((parts, self._released[parts], self._series[parts]))]
        _, first = np.unique(self._series[parts], return_index=True)
        places = np.union1d(places, parts[first])
        chosen = self._candidates(self._header.movie_ids[places])
        return FeedCandidates(
            chosen.movies, chosen.feed, chosen.taste, self._series[places], self._released[places]
        )

    def _candidates(self, ids: Ids) -> Candidates:
        places, is_known = positions(self._header.movie_ids, ids)
        return Candidates(
            self._movies(ids),
            select_rows(self._model.feed, places, is_known),
            select_rows(self._model.taste, places, is_known),
        )

    def _build_member(
        self,
        user: User,
        ratings: Sequence[tuple[int, float, int]],
        feedback: dict[int, str],
        watched: Sequence[int],
    ) -> BatchMember:
        """Return the member; ratings and feedback are the newest first, as in queries.read_members."""
        excluded = [movie_id for movie_id, *_ in ratings]
        excluded += [each for each in feedback if feedback[each] != Feedback.Kind.MORE]
        wishes = [each for each in feedback if feedback[each] != Feedback.Kind.HIDE]
        kinds = {movie_id: feedback[movie_id] for movie_id in wishes[:FEEDBACK_LIMIT]}
        judgments = [
            Judgment(movie_id, score, kinds.pop(movie_id, None), rated_at)
            for movie_id, score, rated_at in ratings[:HISTORY_LIMIT]
        ]
        judgments += [Judgment(movie_id, None, kind, None) for movie_id, kind in kinds.items()]
        ids = np.array([each.movie_id for each in judgments], dtype=np.int64)
        targets = select_rows(self._model.targets, *positions(self._header.movie_ids, ids))
        # The profile does not say since when a genre is a favorite.
        favorites = user.favorite_genres if self._before is None else []
        member = build_member(self._header, favorites, judgments, self._movies(ids), targets)
        return BatchMember(member, np.array([*excluded, *watched], dtype=np.int64))

    def _read_unknown(self, movie_ids: set[int]) -> None:
        """Read the catalogue's rows of movies that the training does not know."""
        ids = np.array(sorted(movie_ids), dtype=np.int64)
        _, is_known = positions(self._header.movie_ids, ids)
        new = [each for each in ids[~is_known].tolist() if each not in self._unknown]
        if new:
            rows = catalogue_rows(new)
            if self._before is not None:
                # TMDb's votes and the numbers of ratings are those of today.
                rows = [(*row[:3], 0.0, 0, 0, 0.0) for row in rows]
            self._unknown.update((row[0], row) for row in rows)


# --- Rows of the files ----------------------------------------------------------------------------


class PairsFormatError(ValueError):
    """The file of pairs cannot be read; the message says what is wrong and where."""


@dataclass(frozen=True)
class Pair:
    line: int
    username: str
    imdb_id: str


def recommendation_rows(
    users: Iterable[User], *, top: int, batch: Batch | None
) -> Iterator[list[list[object]]]:
    """Yield the rows of each member: their `top` recommendations, best first."""
    ids: dict[int, tuple[int | None, str | None]] = {}
    for chunk in _split_chunks(users, MEMBERS_AT_ONCE):
        for user, items in _recommend(batch, chunk, top):
            unknown = [item.movie_id for item in items if item.movie_id not in ids]
            for row in Movie.objects.filter(id__any=unknown).values_list(
                "id", "tmdb_id", "imdb_id"
            ):
                ids[row[0]] = (row[1], row[2])
            shown = [(item, ids[item.movie_id]) for item in items if item.movie_id in ids]
            yield [
                [user.username, rank, item.movie_id, tmdb or "", imdb or "", item.match_score]
                for rank, (item, (tmdb, imdb)) in enumerate(shown, start=1)
            ]


def _recommend(
    batch: Batch | None, users: list[User], top: int
) -> Iterator[tuple[User, list[Recommendation]]]:
    if batch is None:
        for user in users:
            yield user, build_feed(user, Movie.objects.all()).items.without_reasons(top)
        return
    for user, member in batch.members(users):
        feed = batch.feed(member) or build_feed(user, Movie.objects.all())
        yield user, feed.items.without_reasons(top)


def _split_chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def open_batch(as_of: datetime | None, *, progress: Progress) -> Batch | None:
    """Return the active training in memory, or what was known at a moment; None without training.

    Raises TrainingError if nothing was known at that moment.
    """
    return Batch.of_active() if as_of is None else Batch.as_of(as_of, progress=progress)


def read_pairs(file: TextIO) -> list[Pair]:
    """Return the pairs of a CSV file. Raises PairsFormatError if a column is missing."""
    reader = csv.DictReader(file)
    missing = [name for name in PAIR_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        expected = ",".join(PAIR_COLUMNS)
        raise PairsFormatError(
            f"The first line must name the columns {expected}; missing: {', '.join(missing)}."
        )
    return [
        Pair(reader.line_num, (row["username"] or "").strip(), (row["imdb_id"] or "").strip())
        for row in reader
    ]


def pair_scores(
    pairs: list[Pair], *, batch: Batch | None
) -> Iterator[list[tuple[Pair, float | None]]]:
    """Yield the pairs with their scores in the file's order, a run of one member's at a time.

    The score is None if the member or the movie is unknown.
    """
    runs = groupby(pairs, key=lambda pair: pair.username.lower())
    for chunk in _split_chunks(((name, list(run)) for name, run in runs), MEMBERS_AT_ONCE):
        users = {
            user.username.lower(): user
            for user in User.objects.annotate(folded=Lower("username")).filter(
                folded__in={name for name, _ in chunk}
            )
        }
        movies = dict(
            Movie.objects.filter(
                imdb_id__in={pair.imdb_id for _, run in chunk for pair in run}
            ).values_list("imdb_id", "id")
        )
        members: dict[int, BatchMember] = {}
        if batch is not None:
            members = {user.pk: member for user, member in batch.members(list(users.values()))}
        for name, run in chunk:
            user = users.get(name)
            scores: dict[int, float] = {}
            if user is not None:
                wanted = sorted({movies[pair.imdb_id] for pair in run if pair.imdb_id in movies})
                if batch is not None:
                    scores = batch.scores(members[user.pk], wanted)
                else:
                    found = compute_matches(user, wanted, explained=False)
                    scores = {match.movie_id: match.match_score for match in found}
            yield [(pair, scores.get(movies.get(pair.imdb_id, 0))) for pair in run]
