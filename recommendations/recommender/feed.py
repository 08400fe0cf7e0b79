"""The personal feed: the movies a member would watch next, from ratings and feedback alone.

A view calls `build_feed`. It reads the member and the candidates (queries), scores and ranks them
(algorithms.match_score, algorithms.ranking), and returns a list that explains itself page by page
(explanations).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    take_first,
)
from recommendations.algorithms.types import Array, Ids, Links, Places
from recommendations.recommender.explanations import (
    ExplainedList,
    compute_affinities,
    explain_recommendation,
    find_similarities,
    find_supporting,
    get_opinion,
)
from recommendations.recommender.queries import (
    FEED_DEPTH,
    MAX_PRESELECTED,
    FeedCandidates,
    Member,
    MovieRow,
    leave_out_seen,
    read_candidates,
    read_members,
    read_rows,
)

#: Below so many ratings, and before the first training, the top rated and the trend are candidates too.
SHORT_HISTORY = 5
#: So many of the member's movies are named as a reason.
MAX_SUPPORT = 3
#: Stars that a disliked movie must take from the prediction to be named as an objection.
MIN_OBJECTION = 0.05


@dataclass(frozen=True)
class Recommendation:
    movie_id: int
    match_score: float
    reasons: Sequence[str] = ()
    movie: MovieRow | None = None


@dataclass(frozen=True)
class Feed:
    items: ExplainedList[Recommendation]
    strategy: str
    algorithm: str
    diversity: DiversityReport


def build_feed(
    user: User, movies: MovieQuerySet, *, diversity: float = 0.0, include_watchlist: bool = True
) -> Feed:
    """Return at most FEED_DEPTH of these movies, best first, in two queries and one for each page.

    It contains no movie that the member has rated, watched or hidden, or wants less of.
    """
    [member] = read_members([user], targets=True)
    shown = leave_out_seen(movies, [user], include_watchlist=include_watchlist)
    return build_member_feed(member, shown, favorites=user.favorite_genres, diversity=diversity)


def build_member_feed(
    member: Member, shown: MovieQuerySet, *, favorites: Sequence[str], diversity: float = 0.0
) -> Feed:
    """Return the feed of the movies in `shown`; one query."""
    candidates = read_candidates(
        member.header,
        shown,
        ranked=_preselect(member),
        favorites=sort_genres(set(favorites) & set(GENRE_NAMES)),
        is_short=member.history.n < SHORT_HISTORY or not len(member.header.movie_ids),
    )
    return rank_candidates(member, candidates, diversity=diversity)


def compute_order(member: Member) -> tuple[Places, Array]:
    """Return the order by popularity and the member's lists alone: places in the model, and order (p,).

    The places, ascending, are those of the popular movies and of all in the lists. No other movie can
    be among the first MAX_PRESELECTED.
    """
    header, history, lists = member.header, member.history, member.targets
    is_named = header.is_popular.copy()
    is_named[lists.places] = True
    places = np.flatnonzero(is_named)
    # Summed over these places only: at a million movies fresh memory is most of what it costs.
    index = np.empty(len(is_named), dtype=np.int32)
    index[places] = np.arange(len(places))
    interest = (history.wants * history.recency)[lists.rows] * lists.weights
    sums = np.bincount(index[lists.places], interest, minlength=len(places))
    if history.n or not header.parameters.recent_popularity:
        return places, popularity_weight(history.n) * header.rates[places] + sums
    return places, POPULARITY_WEIGHT * header.recent_rates[places] + sums


def _preselect(member: Member) -> Ids:
    """Return the ids of the MAX_PRESELECTED first movies that are not rated; by id if equal."""
    header, history = member.header, member.history
    places, order = compute_order(member)
    is_left = ~np.isin(header.movie_ids[places], history.movies.ids[history.rated])
    first = take_first(order[is_left], MAX_PRESELECTED)
    return header.movie_ids[places[is_left][first]]


def rank_candidates(member: Member, candidates: FeedCandidates, *, diversity: float = 0.0) -> Feed:
    """Return the feed of these candidates."""
    header, history, movies = member.header, member.history, candidates.movies
    index = header.index(history.movies.ids)
    feed, taste = candidates.feed.links(index), candidates.taste.links(index)
    percent = percents(history, movies, feed, taste, header.coefficients)
    order = rank(history, movies, feed, percent, header.factor_gram, header.parameters)
    is_eligible = percent >= 100 * header.parameters.probability_floor
    if not history.n and history.favorites.any() and len(movies):
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
    items = FeedItems(indices[:FEED_DEPTH], member, candidates, percent, feed, taste)
    strategy = "personalized" if history.n else "cold_start"
    return Feed(items, strategy, header.algorithm, report)


class FeedItems(ExplainedList[Recommendation]):
    def __init__(
        self,
        indices: Sequence[int],
        member: Member,
        candidates: FeedCandidates,
        percent: Array,
        feed: Links,
        taste: Links,
    ) -> None:
        super().__init__(indices)
        self._member, self._movies = member, candidates.movies
        self._percent, self._feed, self._taste = percent, feed, taste

    def build(self, index: int) -> Recommendation:
        return Recommendation(int(self._movies.ids[index]), round(float(self._percent[index]), 1))

    def explain(self, indices: Sequence[int]) -> list[Recommendation]:
        """Return the items of these movies with reasons; one query for all of them."""
        member, history = self._member, self._member.history
        can_support = find_supporting(history)
        supporting = [self._find_support(index, can_support) for index in indices]
        objecting = [self._find_objection(index, can_support) for index in indices]
        named = {index for some in supporting for index in some}
        named |= {index for index in objecting if index is not None}
        shown = self._movies.ids[list(indices)].tolist()
        rows = read_rows({*shown, *history.movies.ids[list(named)].tolist()})
        opinions = {index: get_opinion(member, index, rows) for index in named}
        affinities = compute_affinities(member)
        items = []
        for index, movie_id, support, objection in zip(
            indices, shown, supporting, objecting, strict=True
        ):
            row = rows.get(movie_id)
            if row is None:
                continue
            reasons = explain_recommendation(
                row,
                support=[opinion for each in support if (opinion := opinions[each])],
                objection=None if objection is None else opinions[objection],
                affinities=affinities,
                favorites=history.favorites,
            )
            items.append(Recommendation(movie_id, self.build(index).match_score, reasons, row))
        return items

    def _find_support(self, index: int, can_support: Array) -> list[int]:
        """Return the movies of the history that add most to the order, most first.

        Without any it is the supporting movie that is most similar by genres and period, if one is.
        """
        history = self._member.history
        chosen = np.flatnonzero(self._feed.movies == index)
        rated = self._feed.rated[chosen]
        points = self._feed.weights[chosen] * np.maximum(history.wants, 0.0)[rated]
        points *= can_support[rated]
        strongest = np.argsort(-points, kind="stable")[:MAX_SUPPORT]
        if support := [int(rated[each]) for each in strongest if points[each] > 0]:
            return support
        similarity = find_similarities(history, self._movies[np.array([index])]) * can_support
        return [int(similarity.argmax())] if similarity.any() else []

    def _find_objection(self, index: int, can_support: Array) -> int | None:
        """Return the disliked movie that takes most from the score, if it takes enough to be named."""
        residual = residuals(self._member.history, self._member.header.totals)
        chosen = np.flatnonzero(self._taste.movies == index)
        rated, weights = self._taste.rated[chosen], self._taste.weights[chosen]
        stars = weights * np.where(can_support, 0.0, np.minimum(residual, 0.0))[rated]
        if not len(stars):
            return None
        worst = int(stars.argmin())
        is_enough = -stars[worst] / (float(weights.sum()) + TASTE_SHRINKAGE) >= MIN_OBJECTION
        return int(rated[worst]) if is_enough else None
