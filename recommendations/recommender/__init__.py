"""The engine's one interface: `matches`, `feed`, `similar`, `onboarding`. Endpoints and commands know no more.

A training that is active answers; without one, or with too few ratings to train on, the first
formula does.
"""

from __future__ import annotations

from collections.abc import Sequence

from accounts.models import User
from movies.models import MovieQuerySet
from recommendations.recommender import heuristic as first
from recommendations.recommender import trained as learned
from recommendations.recommender.onboarding import onboarding
from recommendations.recommender.queries import member_read
from recommendations.recommender.results import Feed, Match
from recommendations.recommender.similar import similar
from recommendations.selectors import recommendable

__all__ = ["feed", "matches", "onboarding", "similar"]


def matches(user: User, movie_ids: Sequence[int], *, explained: bool = True) -> list[Match]:
    """The match of each movie that exists, in the order given; three queries, however many movies.

    `explained`: with evidence, because and counterfactuals. (The first formula: seven queries.)
    """
    member = member_read(user, lists=False)
    if member is None:
        return first.matches(user, movie_ids, explained=explained)
    return learned.matches(member, movie_ids, explained=explained)


def feed(
    user: User, movies: MovieQuerySet, *, diversity: float = 0.0, include_watchlist: bool = True
) -> Feed:
    """What to watch next, of the movies that pass, at most FEED_DEPTH; two queries.

    Never one the member has rated or waved away. (The first formula: thirteen queries.)
    """
    member = member_read(user, lists=True)
    shown = recommendable(movies, user, include_watchlist=include_watchlist)
    if member is None:
        return first.feed(user, shown, diversity=diversity)
    return learned.feed(member, shown, favorites=user.favorite_genres, diversity=diversity)
