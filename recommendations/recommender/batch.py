"""Feeds and match scores of many members, for exports: a training is in memory as a whole.

The computation is that of feed and match_score; only the reads differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from django.db import connection

from accounts.models import User
from movies.models import Movie
from recommendations.algorithms.types import Array, Ids, Movies, Places, positions
from recommendations.models import Feedback
from recommendations.recommender.feed import SHORT_HISTORY, preselect, rank_candidates
from recommendations.recommender.match_score import compute_percents
from recommendations.recommender.queries import (
    FEEDBACK_INTEREST,
    FEEDBACK_LIMIT,
    PART_COLUMNS,
    Candidates,
    FeedCandidates,
    Judgment,
    Member,
    build_member,
    build_movies,
    count_days,
)
from recommendations.recommender.results import Feed
from recommendations.selectors import FEED_DEPTH, HISTORY_LIMIT
from recommendations.training.pipeline import fit_as_of
from recommendations.training.store import (
    CatalogueRow,
    Lists,
    Progress,
    Whole,
    active_head,
    catalogue_rows,
    whole_from_model,
    whole_read,
)
from social.models import Viewing

MEMBERS_AT_ONCE = 200
UNWANTED = (Feedback.Kind.HIDE, Feedback.Kind.LESS)

# One row a member and movie, in the sequence of queries.read_member.
_JUDGMENTS_SQL = """
SELECT user_id, movie_id, rating.score, feedback.kind,
       extract(epoch FROM rating.created_at)::bigint
FROM (
    SELECT * FROM social_rating
    WHERE user_id = ANY(%(users)s) AND updated_at < %(before)s::timestamptz
) AS rating
FULL JOIN (
    SELECT * FROM recommendations_feedback
    WHERE user_id = ANY(%(users)s) AND updated_at < %(before)s::timestamptz
) AS feedback
    USING (user_id, movie_id)
ORDER BY user_id, rating.created_at DESC NULLS LAST, rating.id DESC, feedback.updated_at DESC
"""


@dataclass(frozen=True)
class BatchMember:
    member: Member
    #: Movies that are not to be shown to them.
    excluded: Ids


class Batch:
    """A training in memory, and what the catalogue adds to it."""

    def __init__(self, whole: Whole, *, before: datetime | None = None) -> None:
        """`before`: use only what members did before this moment."""
        self._whole = whole
        self._head = head = whole.head
        self._before = before
        m = len(head.movie_ids)
        self._target_starts = self._whole.targets.starts(m)
        self._taste_starts = self._whole.taste.starts(m)
        self._feed_starts = self._whole.feed.starts(m)
        exists = Movie.objects.filter(id__any=head.movie_ids.tolist())
        self._gone = ~np.isin(head.movie_ids, list(exists.values_list("id", flat=True)))
        self._series, self._released, self._incomplete_series = self._read_series()
        #: The catalogue's rows of movies that the training does not know, read when they come up.
        self._unknown: dict[int, CatalogueRow] = {}

    @classmethod
    def of_active(cls) -> Batch | None:
        """Return None if no training is active."""
        head = active_head()
        return None if head is None else cls(whole_read(head))

    @classmethod
    def as_of(cls, moment: datetime, *, progress: Progress) -> Batch:
        """Fit a model on what was known at that moment, and return its batch.

        Raises TooFewRatingsError.
        """
        return cls(whole_from_model(fit_as_of(moment, progress=progress)), before=moment)

    def members(self, users: Sequence[User]) -> Iterator[tuple[User, BatchMember]]:
        """Yield the members with their ratings, feedback and viewings; MEMBERS_AT_ONCE in two queries."""
        for start in range(0, len(users), MEMBERS_AT_ONCE):
            some = users[start : start + MEMBERS_AT_ONCE]
            judgments: dict[int, list[Judgment]] = {user.pk: [] for user in some}
            with connection.cursor() as cursor:
                before = self._before or "infinity"
                cursor.execute(_JUDGMENTS_SQL, {"users": list(judgments), "before": before})
                for user_id, *rest in cursor.fetchall():
                    judgments[user_id].append(Judgment(*rest))
            self._read_unknown({each.movie_id for some in judgments.values() for each in some})
            watched: dict[int, list[int]] = {user.pk: [] for user in some}
            viewings = Viewing.objects.filter(user_id__in=list(watched))
            if self._before is not None:
                viewings = viewings.filter(watched_at__lt=self._before)
            for user_id, movie_id in viewings.values_list("user_id", "movie_id"):
                watched[user_id].append(movie_id)
            for user in some:
                yield user, self._build_member(user, judgments[user.pk], watched[user.pk])

    def feed(self, batch_member: BatchMember) -> Feed | None:
        """Return the unfiltered feed, or None if the training alone does not determine it.

        As of a moment the training alone has to, because the catalogue is that of today.
        """
        member = batch_member.member
        is_past = self._before is not None
        if member.history.n < SHORT_HISTORY and not is_past:
            return None
        order = np.round(preselect(member), 9)
        unwanted, is_known = positions(self._head.movie_ids, batch_member.excluded)
        order[unwanted[is_known]] = -np.inf
        order[self._gone] = -np.inf
        available = int(np.isfinite(order).sum())
        if available < FEED_DEPTH and not is_past:
            return None
        places = np.sort(np.argsort(-order, kind="stable")[: min(FEED_DEPTH, available)])
        if np.isin(self._series[places], self._incomplete_series).any() and not is_past:
            return None
        return rank_candidates(member, self._feed_candidates(order, places))

    def scores(self, batch_member: BatchMember, movie_ids: Sequence[int]) -> dict[int, float]:
        """Return the match score of each movie that exists, by its id."""
        self._read_unknown(set(movie_ids))
        candidates = self._candidates(self._existing(np.unique(movie_ids)))
        percents = compute_percents(batch_member.member, candidates)
        return dict(zip(candidates.movies.ids.tolist(), percents.tolist(), strict=True))

    def _existing(self, ids: Ids) -> Ids:
        places, is_known = positions(self._head.movie_ids, ids)
        exists = is_known & ~self._gone[places] if len(self._gone) else is_known
        return ids[exists | np.isin(ids, list(self._unknown))]

    def _movies(self, ids: Ids) -> Movies:
        blank: tuple[list[str], None, float, int, int, float] = ([], None, 0.0, 0, 0, 0.0)
        places, _ = positions(self._head.movie_ids, ids)
        return build_movies(
            self._head,
            [self._unknown.get(each, (each, *blank)) for each in ids.tolist()],
            self._whole.vectors[places],
        )

    def _read_series(self) -> tuple[Ids, Ids, Ids]:
        """Return the movies' collections, the days of their release, and the incomplete collections.

        (m,) each, 0 for a movie of no collection. Of an incomplete one the training lacks a part that
        may come first.
        """
        parts = Movie.objects.filter(collection__isnull=False).values_list(*PART_COLUMNS)
        table = np.array([(*part[:2], count_days(*part[2:])) for part in parts], dtype=np.int64)
        ids, collections, days = table.reshape(-1, 3).T
        places, is_known = positions(self._head.movie_ids, ids)
        series, released = np.zeros((2, len(self._head.movie_ids)), dtype=np.int64)
        series[places[is_known]] = collections[is_known]
        released[places[is_known]] = days[is_known]
        last_known: dict[int, int] = {}
        for collection, day in zip(collections[is_known], days[is_known], strict=True):
            last_known[collection] = max(day, last_known.get(collection, 0))
        unknown = zip(collections[~is_known], days[~is_known], strict=True)
        incomplete = {each for each, day in unknown if day <= last_known.get(each, 0)}
        return series, released, np.array(sorted(incomplete), dtype=np.int64)

    def _feed_candidates(self, order: Array, places: Places) -> FeedCandidates:
        """Return the movies at these places, and the first part that passes of each of their series."""
        parts = np.flatnonzero(
            np.isfinite(order)
            & np.isin(self._series, self._series[places][self._series[places] > 0])
        )
        parts = parts[np.lexsort((parts, self._released[parts], self._series[parts]))]
        _, first = np.unique(self._series[parts], return_index=True)
        places = np.union1d(places, parts[first])
        chosen = self._candidates(self._head.movie_ids[places])
        return FeedCandidates(
            chosen.movies, chosen.feed, chosen.taste, self._series[places], self._released[places]
        )

    def _candidates(self, ids: Ids) -> Candidates:
        places, is_known = positions(self._head.movie_ids, ids)
        whole = self._whole
        return Candidates(
            self._movies(ids),
            Lists.some(whole.feed, self._feed_starts, places).only(is_known),
            Lists.some(whole.taste, self._taste_starts, places).only(is_known),
        )

    def _build_member(
        self, user: User, judgments: Sequence[Judgment], watched: Sequence[int]
    ) -> BatchMember:
        unwanted = [
            each.movie_id for each in judgments if each.score is not None or each.kind in UNWANTED
        ]
        rated = [each for each in judgments if each.score is not None][:HISTORY_LIMIT]
        unrated = [
            each for each in judgments if each.score is None and each.kind in FEEDBACK_INTEREST
        ]
        counted = [
            each if each.kind in FEEDBACK_INTEREST else replace(each, kind=None)
            for each in (*rated, *unrated[:FEEDBACK_LIMIT])
        ]
        ids = np.array([each.movie_id for each in counted], dtype=np.int64)
        places, is_known = positions(self._head.movie_ids, ids)
        lists = Lists.some(self._whole.targets, self._target_starts, places).only(is_known)
        # The profile does not say since when a genre is a favorite.
        favorites = user.favorite_genres if self._before is None else []
        member = build_member(self._head, favorites, counted, self._movies(ids), lists)
        return BatchMember(member, np.array([*unwanted, *watched], dtype=np.int64))

    def _read_unknown(self, movie_ids: set[int]) -> None:
        """Read the catalogue's rows of movies that the training does not know."""
        ids = np.array(sorted(movie_ids), dtype=np.int64)
        _, is_known = positions(self._head.movie_ids, ids)
        new = [each for each in ids[~is_known].tolist() if each not in self._unknown]
        if new:
            rows = catalogue_rows(new)
            if self._before is not None:
                # TMDb's votes and the numbers of ratings are those of today.
                rows = [(*row[:3], 0.0, 0, 0, 0.0) for row in rows]
            self._unknown.update((row[0], row) for row in rows)
