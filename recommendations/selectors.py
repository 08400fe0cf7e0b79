"""What a member has said about movies, with the match score of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Q

from accounts.models import User
from recommendations.models import Feedback
from recommendations.recommender.match_score import compute_percents
from recommendations.recommender.queries import read_members, read_movies
from social.models import Rating, Viewing, WatchlistItem


@dataclass(frozen=True)
class RatingState:
    """The member's rating of a movie."""

    id: int
    score: float | None
    has_review: bool


@dataclass(frozen=True)
class MovieState:
    """A movie as one member sees it: the fields of MovieStateSerializer."""

    movie_id: int
    rating: RatingState | None
    watchlisted_at: datetime | None
    watched_count: int
    last_watched_at: datetime | None
    feedback: str | None
    match_score: float


def get_movie_states(user: User, movie_ids: Sequence[int]) -> list[MovieState]:
    """Return the state of each movie that exists, in this sequence, in six queries."""
    [member] = read_members([user], targets=False)
    candidates = read_movies(member.header, movie_ids)
    scores = dict(
        zip(
            candidates.movies.ids.tolist(),
            compute_percents(member, candidates).tolist(),
            strict=True,
        )
    )
    own: dict[str, Any] = {"user_id": user.pk, "movie_id__in": list(scores)}
    ratings = {
        movie_id: RatingState(*values)
        for movie_id, *values in Rating.objects.filter(**own)
        .annotate(has_review=~Q(review=""))
        .values_list("movie_id", "id", "score", "has_review")
    }
    watchlisted = dict(WatchlistItem.objects.filter(**own).values_list("movie_id", "added_at"))
    viewings = {
        movie_id: (count, last)
        for movie_id, count, last in Viewing.objects.filter(**own)
        .values("movie_id")
        .annotate(count=Count("id"), last=Max("watched_at"))
        .values_list("movie_id", "count", "last")
    }
    feedback = dict(Feedback.objects.filter(**own).values_list("movie_id", "kind"))
    states = []
    for movie_id in movie_ids:
        if movie_id not in scores:
            continue
        watched_count, last_watched_at = viewings.get(movie_id, (0, None))
        states.append(
            MovieState(
                movie_id=movie_id,
                rating=ratings.get(movie_id),
                watchlisted_at=watchlisted.get(movie_id),
                watched_count=watched_count,
                last_watched_at=last_watched_at,
                feedback=feedback.get(movie_id),
                match_score=scores[movie_id],
            )
        )
    return states
