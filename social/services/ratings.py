"""Writes of ratings.

Rows are locked in one order, so that writers do not deadlock: the member, the rating, then the
movie, whose counters change last.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from movies.models import Movie
from movies.services.ratings import movie_apply_rating
from nexus.core.api.exceptions import AccountNotFound, NotFound, Problem, field_error
from nexus.core.db.transactions import long_transaction
from social.models import Rating, WatchlistItem
from social.queries import recount_ratings


@transaction.atomic
def rating_set(
    *,
    user_id: int,
    movie_id: int,
    score: float,
    review: str | None = None,
    contains_spoilers: bool | None = None,
    keep_in_watchlist: bool = False,
) -> tuple[Rating, bool]:
    """Rate a movie, or replace the member's rating of it. Return the rating and whether it is new.

    A replaced rating keeps its review and spoiler mark if they are None here. The movie leaves the
    member's watchlist unless `keep_in_watchlist`. Raises ValidationError (400) on `movie` for an
    unknown movie, AccountNotFound (401) if the member was deleted, Problem (409) if the rating is
    deleted by another request at the same time.
    """
    # One member's ratings are written one after another: otherwise all but one of several
    # simultaneous first ratings of a movie would fail on the unique constraint and start again.
    if not User.objects.select_for_update(no_key=True).filter(pk=user_id).exists():
        raise AccountNotFound
    now = timezone.now()
    try:
        rating, created = Rating.objects.select_for_update().get_or_create(
            user_id=user_id,
            movie_id=movie_id,
            defaults={
                "score": score,
                "review": review or "",
                "contains_spoilers": bool(contains_spoilers),
                "created_at": now,
                "updated_at": now,
            },
        )
    except IntegrityError as error:
        # An import inserted the rating after it was looked for, and it was deleted again.
        raise Problem(
            409, "conflict", "Another request is changing this rating. Try again."
        ) from error
    if not keep_in_watchlist:
        WatchlistItem.objects.filter(user_id=user_id, movie_id=movie_id).delete()
    if created:
        movie_apply_rating(movie_id=movie_id, old_score=None, new_score=score)
    else:
        _update_rating(rating, score, review, contains_spoilers)
    movie = Movie.objects.summaries().filter(id=movie_id).first()
    if movie is None:
        raise field_error("movie", f"There is no movie with the id {movie_id}.", "does_not_exist")
    rating.movie = movie
    return rating, created


@transaction.atomic
def rating_update(
    *,
    rating_id: int,
    score: float | None = None,
    review: str | None = None,
    contains_spoilers: bool | None = None,
) -> Rating:
    """Change the fields of a rating that are not None. Raises NotFound if it does not exist."""
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    _update_rating(rating, score, review, contains_spoilers)
    rating.movie = Movie.objects.summaries().get(id=rating.movie_id)
    return rating


@transaction.atomic
def rating_delete(*, rating_id: int) -> None:
    """Delete a rating. Raises NotFound if it does not exist."""
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    rating.delete()
    movie_apply_rating(movie_id=rating.movie_id, old_score=rating.score, new_score=None)


def ratings_recount(*, movie_ids: Sequence[int] | None = None) -> int:
    """Compute movies' rating counters and trends from their ratings. Return how many were wrong.

    For bulk loads, which write ratings without these services. None means all movies.
    """
    with long_transaction():
        return recount_ratings(movie_ids)


def _update_rating(
    rating: Rating, score: float | None, review: str | None, contains_spoilers: bool | None
) -> None:
    """Change the fields of a locked rating that are not None, and the movie's counters with them."""
    now = timezone.now()
    old_score = rating.score
    if score is not None:
        rating.score = score
    if review is not None:
        if not review:
            rating.reviewed_at = None
        elif not rating.review:
            rating.reviewed_at = now
        rating.review = review
    if contains_spoilers is not None:
        rating.contains_spoilers = contains_spoilers
    rating.updated_at = now
    rating.save(update_fields=["score", "review", "contains_spoilers", "reviewed_at", "updated_at"])
    if rating.score != old_score:
        movie_apply_rating(movie_id=rating.movie_id, old_score=old_score, new_score=rating.score)
