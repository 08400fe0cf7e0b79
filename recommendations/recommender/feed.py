"""The personal feed: the movies a member would watch next, from ratings and feedback alone.

A view calls `build_feed`. It reads the member and the candidates (queries), scores and ranks them
(algorithms), and returns a list that explains itself page by page (explanations).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accounts.models import User
from movies.models import MovieQuerySet
from nexus.core.genres import GENRE_NAMES, sort_genres
from recommendations.algorithms.match_score import TASTE_SHRINKAGE, percents, residuals
from recommendations.algorithms.ranking import (
    POPULARITY_WEIGHT,
    DiversityReport,
    popularity_weight,
    rank,
    sequence_feed,
)
from recommendations.algorithms.types import Array, History, Links, Movies, positions
from recommendations.recommender import explanations
from recommendations.recommender.match_score import (
    compute_affinities,
    find_similarities,
    opinion_of,
)
from recommendations.recommender.queries import (
    FeedCandidates,
    Member,
    read_candidates,
    read_member,
)
from recommendations.recommender.results import (
    Feed,
    RankedList,
    Recommendation,
)
from recommendations.selectors import FEED_DEPTH, movie_rows, recommendable

#: Below so many ratings, and before the first training, the top rated and the trend are candidates too.
SHORT_HISTORY = 5
#: So many of the member's movies are named as a reason.
MAX_SUPPORT = 3
#: Stars that a disliked movie must take from the prediction to be named as an objection.
MIN_OBJECTION = 0.05


def build_feed(
    user: User, movies: MovieQuerySet, *, diversity: float = 0.0, include_watchlist: bool = True
) -> Feed:
    """Return at most FEED_DEPTH of these movies, best first, in two queries and one for each page.

    It contains no movie that the member has rated, watched or hidden, or wants less of.
    """
    member = read_member(user, lists=True)
    shown = recommendable(movies, user, include_watchlist=include_watchlist)
    return build_member_feed(member, shown, favorites=user.favorite_genres, diversity=diversity)


def build_member_feed(
    member: Member, shown: MovieQuerySet, *, favorites: Sequence[str], diversity: float = 0.0
) -> Feed:
    """Return the feed of the movies in `shown`; one query."""
    candidates = read_candidates(
        member.head,
        shown,
        order=_leave_out_rated(member, preselect(member)),
        favorites=sort_genres(set(favorites) & set(GENRE_NAMES)),
        short=member.history.n < SHORT_HISTORY or not len(member.head.movie_ids),
    )
    return rank_candidates(member, candidates, diversity=diversity)


def preselect(member: Member) -> Array:
    """(m,) Return the order of all movies of the training by popularity and the member's lists alone."""
    head, history = member.head, member.history
    if history.n or not head.parameters.recent_popularity:
        order = popularity_weight(history.n) * head.rates
    else:
        order = POPULARITY_WEIGHT * head.recent_rates
    lists = member.targets
    interest = (history.wants * history.recency)[lists.owners] * lists.weights
    preselected: Array = order + np.bincount(lists.places, interest, minlength=len(order))
    return preselected


def _leave_out_rated(member: Member, order: Array) -> Array:
    """Return the order with -inf for rated movies, so that no query looks at them."""
    places, is_known = positions(member.head.movie_ids, member.history.movies.ids)
    order = order.copy()
    order[places[is_known & member.history.rated]] = -np.inf
    return order


def rank_candidates(member: Member, candidates: FeedCandidates, *, diversity: float = 0.0) -> Feed:
    """Return the feed of these candidates."""
    head, history, movies = member.head, member.history, candidates.movies
    strategy = "personalized" if history.n else "cold_start"
    if not len(movies):
        report = DiversityReport(diversity, 0.0, 0)
        return Feed(RankedList.empty(), strategy, head.algorithm, report)
    feed = candidates.feed.from_targets(head, history.movies.ids)
    taste = candidates.taste.from_targets(head, history.movies.ids)
    percent = percents(history, movies, feed, taste, head.coefficients)
    order = rank(history, movies, feed, percent, head.factor_gram, head.parameters)
    is_eligible = percent >= 100 * head.parameters.probability_floor
    if not history.n and history.favorites.any():
        # The favorite genres come first, whatever else is rated well.
        is_favorite = (movies.genres @ history.favorites > 0) & is_eligible
        order = order + is_favorite * (np.ptp(order) + 1.0)
    indices, report = sequence_feed(
        order,
        movies,
        diversity=diversity,
        series=candidates.series,
        released=candidates.released,
        is_eligible=is_eligible,
    )

    def build(index: int) -> Recommendation:
        return Recommendation(int(movies.ids[index]), round(float(percent[index]), 1))

    items = RankedList(
        indices[:FEED_DEPTH], build, lambda page: _explain(member, movies, feed, taste, page)
    )
    return Feed(items, strategy, head.algorithm, report)


def _find_similar_liked(history: History, movie: Movies) -> list[int]:
    """Return the index of the supporting movie most similar by genres and period; empty if none is."""
    similarity = find_similarities(history, movie) * explanations.find_supporting(history)
    return [int(similarity.argmax())] if similarity.any() else []


def _explain(
    member: Member, movies: Movies, feed: Links, taste: Links, page: Sequence[int]
) -> list[list[str]]:
    """Return the reasons for the movies at these indices; one query for all of them."""
    history = member.history
    can_support = explanations.find_supporting(history)
    support = feed.weights * np.maximum(history.wants, 0.0)[feed.rated] * can_support[feed.rated]
    residual = residuals(history, member.head.totals)
    objection = taste.weights * np.where(can_support, 0.0, np.minimum(residual, 0.0))[taste.rated]
    supporting: list[list[int]] = []
    objecting: list[int | None] = []
    for index in page:
        links = np.flatnonzero(feed.movies == index)
        strongest = links[np.argsort(-support[links], kind="stable")[:MAX_SUPPORT]]
        supports = [int(feed.rated[link]) for link in strongest if support[link] > 0]
        supporting.append(supports or _find_similar_liked(history, movies[np.array([index])]))
        links = np.flatnonzero(taste.movies == index)
        weight = float(taste.weights[links].sum()) + TASTE_SHRINKAGE
        worst = links[np.argsort(objection[links], kind="stable")[:1]]
        objecting.extend(
            int(taste.rated[link]) if -objection[link] / weight >= MIN_OBJECTION else None
            for link in worst
        )
        if not len(worst):
            objecting.append(None)
    named = {index for indices in supporting for index in indices}
    named |= {index for index in objecting if index is not None}
    shown = movies.ids[list(page)].tolist()
    rows = {row.id: row for row in movie_rows({*shown, *history.movies.ids[list(named)].tolist()})}
    opinions = {index: opinion_of(member, index, rows) for index in named}
    affinities = compute_affinities(member)
    return [
        explanations.explain_recommendation(
            rows[movie_id],
            support=[opinion for index in indices if (opinion := opinions[index])],
            objection=opinions[objecting_index] if objecting_index is not None else None,
            affinities=affinities,
            favorites=history.favorites,
        )
        # A movie deleted since the query before is not shown.
        if movie_id in rows
        else []
        for movie_id, indices, objecting_index in zip(shown, supporting, objecting, strict=True)
    ]
