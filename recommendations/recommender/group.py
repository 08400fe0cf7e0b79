"""Recommendations for a group that wants to see one movie together.

A view calls `recommend_to_group`. It reads the members and the candidates (queries), scores them for
each member, and ranks them by the members' votes and the probability that all like them
(algorithms.groups).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from accounts.models import User
from movies.models import MovieQuerySet
from nexus.core.genres import GENRE_NAMES, sort_genres
from recommendations.algorithms.groups import joint_probability, rank_for_group
from recommendations.algorithms.match_score import percents
from recommendations.algorithms.ranking import take_first
from recommendations.algorithms.types import LIKED, Array, Ids, Links
from recommendations.recommender.explanations import (
    MIN_DEVIATION,
    MIN_LIKED_STARS,
    ExplainedList,
    compute_affinities,
    explain_to_group,
    find_similarities,
)
from recommendations.recommender.feed import MAX_SUPPORT, SHORT_HISTORY, compute_order
from recommendations.recommender.queries import (
    FEED_DEPTH,
    MAX_PRESELECTED,
    POPULAR,
    Candidates,
    Member,
    MovieRow,
    leave_out_seen,
    leave_out_unwanted,
    read_candidates,
    read_members,
    read_rows,
)
from social.models.groups import MAX_GROUP_MEMBERS, MIN_GROUP_MEMBERS

#: At most so many movies come first because members voted for them.
MAX_VOTED = 100
NO_VOTES: Mapping[int, int] = {}


@dataclass(frozen=True)
class MemberScore:
    """The match score of a movie for one member of a group."""

    username: str
    match_score: float


@dataclass(frozen=True)
class GroupRecommendation:
    """A movie for a group; `group_score` is the probability in percent that all like it."""

    movie_id: int
    group_score: float
    members: list[MemberScore]
    reasons: Sequence[str] = ()
    movie: MovieRow | None = None


@dataclass(frozen=True)
class GroupFeed:
    items: ExplainedList[GroupRecommendation]
    strategy: str
    algorithm: str
    #: The usernames of those who are scored without any rating of their own.
    members_without_ratings: list[str]


def recommend_to_group(
    users: Sequence[User],
    movies: MovieQuerySet,
    *,
    name_ratings: bool,
    include_seen: bool = False,
    yes_votes: Mapping[int, int] = NO_VOTES,
) -> GroupFeed:
    """Return at most FEED_DEPTH of these movies, most likely to be liked by all members first.

    Two queries and one for each page, whatever the number of members. It contains no movie that any of
    them has hidden or wants less of and, unless `include_seen`, none that any has rated or watched.
    Movies with `yes_votes` (their number by id) come first, the most votes before fewer. Movies under the
    probability floor for any member come last. A member without ratings is scored as in their own feed:
    by popularity and favorite genres. With `name_ratings` reasons name movies that all members liked;
    without it, if the reader may not see the ratings of them all, they only say that there are some.

    Raises ValueError for fewer than MIN_GROUP_MEMBERS or more than MAX_GROUP_MEMBERS different members.
    """
    if not MIN_GROUP_MEMBERS <= len({user.pk for user in users}) <= MAX_GROUP_MEMBERS:
        raise ValueError(f"A group has {MIN_GROUP_MEMBERS} to {MAX_GROUP_MEMBERS} members.")
    members = read_members(users, targets=True)
    leave_out = leave_out_unwanted if include_seen else leave_out_seen
    voted = sorted(yes_votes, key=lambda movie_id: -yes_votes[movie_id])[:MAX_VOTED]
    ranked_ids = _merge_orders(members, include_rated=include_seen)
    candidates = _read_group_candidates(
        users,
        members,
        leave_out(movies, users),
        ranked=np.concatenate(
            [np.array(voted, dtype=np.int64), ranked_ids[~np.isin(ranked_ids, voted)]]
        ),
    )
    header = members[0].header
    percent = np.array([_score(member, candidates) for member in members])
    ranked = rank_for_group(percent / 100, floor=header.parameters.probability_floor)
    votes = np.array([yes_votes.get(movie_id, 0) for movie_id in candidates.movies.ids.tolist()])
    ranked = ranked[np.argsort(-votes[ranked], kind="stable")]
    items = GroupItems(
        ranked[:FEED_DEPTH].tolist(), users, members, candidates, percent, name_ratings=name_ratings
    )
    without = [
        user.username for user, member in zip(users, members, strict=True) if not member.history.n
    ]
    strategy = "cold_start" if len(without) == len(users) else "personalized"
    return GroupFeed(items, strategy, header.algorithm, without)


def _read_group_candidates(
    users: Sequence[User], members: Sequence[Member], shown: MovieQuerySet, *, ranked: Ids
) -> Candidates:
    """Return the movies worth scoring: the first of `ranked` that are in `shown`. One query."""
    header = members[0].header
    favorites = {name for user in users for name in user.favorite_genres}
    return read_candidates(
        header,
        shown,
        ranked=ranked,
        favorites=sort_genres(favorites & set(GENRE_NAMES)),
        is_short=not len(header.movie_ids)
        or any(member.history.n < SHORT_HISTORY for member in members),
        # The parts of a series are ranked one by one.
        with_first_parts=False,
    )


def _merge_orders(members: Sequence[Member], *, include_rated: bool = False) -> Ids:
    """Return the ids of the first movie of each member, then of the second of each, and so on.

    They are at most MAX_PRESELECTED and, unless `include_rated`, without those that a member has rated.
    """
    movie_ids = members[0].header.movie_ids
    best_rank = np.full(len(movie_ids), np.iinfo(np.int32).max, dtype=np.int32)
    for member in members:
        places, order = compute_order(member)
        places = places[take_first(order, POPULAR)]
        best_rank[places] = np.minimum(best_rank[places], np.arange(len(places)))
    ranked = np.flatnonzero(best_rank < np.iinfo(np.int32).max)
    ranked = ranked[np.argsort(best_rank[ranked], kind="stable")]
    ids: Ids = movie_ids[ranked]
    if include_rated:
        return ids[:MAX_PRESELECTED]
    rated = [member.history.movies.ids[member.history.rated] for member in members]
    return ids[~np.isin(ids, np.concatenate(rated))][:MAX_PRESELECTED]


def _score(member: Member, candidates: Candidates) -> Array:
    """(m,) Return the match scores of the candidates, unrounded."""
    header, history = member.header, member.history
    index = header.index(history.movies.ids)
    feed, taste = candidates.feed.links(index), candidates.taste.links(index)
    return percents(history, candidates.movies, feed, taste, header.coefficients)


class GroupItems(ExplainedList[GroupRecommendation]):
    def __init__(
        self,
        indices: Sequence[int],
        users: Sequence[User],
        members: Sequence[Member],
        candidates: Candidates,
        percent: Array,
        *,
        name_ratings: bool,
    ) -> None:
        super().__init__(indices)
        self._users, self._members, self._candidates = users, members, candidates
        self._percent, self._joint = percent, 100 * joint_probability(percent / 100)
        self._name_ratings = name_ratings

    def build(self, index: int) -> GroupRecommendation:
        scores = [
            MemberScore(user.username, round(float(score), 1))
            for user, score in zip(self._users, self._percent[:, index], strict=True)
        ]
        movie_id = int(self._candidates.movies.ids[index])
        return GroupRecommendation(movie_id, round(float(self._joint[index]), 1), scores)

    def explain(self, indices: Sequence[int]) -> list[GroupRecommendation]:
        """Return the items of these movies with reasons; one query for all of them."""
        shared = _find_liked_by_all(self._members)
        links = self._candidates.feed.links(self._members[0].header.index(shared))
        supporting = [
            _select_strongest(links, index, shared) or self._find_most_similar(index, shared)
            for index in indices
        ]
        named = (
            {movie_id for ids in supporting for movie_id in ids} if self._name_ratings else set()
        )
        rows = read_rows({*self._candidates.movies.ids[list(indices)].tolist(), *named})
        genres = _find_genres_of_all(self._members)
        items = []
        for index, ids in zip(indices, supporting, strict=True):
            item = self.build(index)
            if row := rows.get(item.movie_id):
                reasons = explain_to_group(
                    row,
                    titles=[rows[each]["title"] for each in ids if each in rows],
                    is_supported=bool(ids),
                    genres=genres,
                )
                items.append(replace(item, reasons=reasons, movie=row))
        return items

    def _find_most_similar(self, index: int, shared: Ids) -> list[int]:
        """Return the id of the shared movie most similar by genres and period; empty if none is.

        The shared movies are in the history of every member, so any member will do.
        """
        history = self._members[0].history
        movie = self._candidates.movies[np.array([index])]
        similarity = find_similarities(history, movie) * np.isin(history.movies.ids, shared)
        return [int(history.movies.ids[similarity.argmax()])] if similarity.any() else []


def _find_liked_by_all(members: Sequence[Member]) -> Ids:
    """Return the ids of the movies that every member has rated and liked."""
    liked = []
    for member in members:
        history = member.history
        is_liked = history.rated & (history.stars >= LIKED)
        liked.append(set(history.movies.ids[is_liked].tolist()))
    return np.array(sorted(set.intersection(*liked)), dtype=np.int64)


def _select_strongest(links: Links, index: int, shared: Ids) -> list[int]:
    """Return the ids of the shared movies that add most to a candidate, most first."""
    own = np.flatnonzero((links.movies == index) & (links.weights > 0))
    strongest = own[np.argsort(-links.weights[own], kind="stable")[:MAX_SUPPORT]]
    ids: list[int] = shared[links.rated[strongest]].tolist()
    return ids


def _find_genres_of_all(members: Sequence[Member]) -> set[str]:
    """Return the genres that each member named as a favorite or rates high and above expectation."""
    is_liked = np.ones(len(GENRE_NAMES), dtype=bool)
    for member in members:
        affinities = compute_affinities(member)
        is_liked &= (member.history.favorites > 0) | (
            (affinities.above_expectation >= MIN_DEVIATION)
            & (affinities.mean_stars >= MIN_LIKED_STARS)
        )
    return {name for name, liked in zip(GENRE_NAMES, is_liked, strict=True) if liked}
