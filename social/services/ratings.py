"""Writes of ratings.

Rows are locked in one order, so that writers do not deadlock: the member, the rating, then the
movie, whose figures change last. They change if the rating is counted, which is decided when it is
created, from the visibility of the locked member, and later by social.services.figures.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from movies.models import Movie
from movies.services.ratings import RatingChange, movie_apply_rating
from nexus.core.api.exceptions import AccountNotFound, GuestNotAllowed, NotFound, field_error
from nexus.core.quotas import check_quota, make_quota_problem
from social.models import HiddenReview, Rating, WatchlistItem
from social.queries import lock_existing
from social.services.figures import figures_apply


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
    unknown movie, AccountNotFound (401) if the member was deleted, Problem (409) if the member has as
    many ratings or reviews as the quotas allow, GuestNotAllowed (403) for a guest's review.
    """
    # With the lock, a member's ratings are created one after another, and not while the visibility
    # changes.
    members = User.objects.select_for_update(no_key=True).only("visibility", "is_active", "origin")
    member = members.filter(pk=user_id).first()
    if member is None:
        raise AccountNotFound
    if review and member.is_guest:
        raise GuestNotAllowed
    rating = Rating.objects.select_for_update().filter(user_id=user_id, movie_id=movie_id).first()
    if not keep_in_watchlist:
        WatchlistItem.objects.filter(user_id=user_id, movie_id=movie_id).delete()
    created = rating is None
    if rating is None:
        rating = _create_rating(member, movie_id, score, review, contains_spoilers)
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
    """Change the fields of a rating that are not None.

    Raises NotFound if it does not exist, Problem (409) if the member has as many reviews as the quota
    allows, GuestNotAllowed (403) for a guest's review.
    """
    # The member first, as everywhere: the reviews are counted under this lock.
    members = User.objects.select_for_update(no_key=True, of=("self",)).filter(ratings=rating_id)
    member = members.only("origin").first()
    if member is None:
        raise NotFound
    if review and member.is_guest:
        raise GuestNotAllowed
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
    if rating.is_counted:
        change = RatingChange(rating.movie_id, rating.score, None, rating.created_at)
        figures_apply(changes=[change])


def _create_rating(
    member: User, movie_id: int, score: float, review: str | None, contains_spoilers: bool | None
) -> Rating:
    """Create a locked member's first rating of a movie."""
    if Rating.objects.filter(user=member).count() >= settings.MEMBER_QUOTAS["ratings"]:
        raise make_quota_problem("ratings")
    if review:
        check_quota("reviews", Rating.objects.with_review_by(member.pk))
    now = timezone.now()
    rating = Rating.objects.create(
        user_id=member.pk,
        movie_id=movie_id,
        score=score,
        review=review or "",
        contains_spoilers=bool(contains_spoilers),
        is_counted=member.is_counted,
        # A moderator's decision outlives a deleted rating.
        hidden_at=get_hidden_at(member.pk, [movie_id]).get(movie_id),
        created_at=now,
        updated_at=now,
    )
    if rating.is_counted:
        movie_apply_rating(movie_id=movie_id, old_score=None, new_score=score, rated_at=now)
    else:
        lock_existing(Movie, [movie_id])
    return rating


def get_hidden_at(user_id: int, movie_ids: Collection[int]) -> dict[int, datetime]:
    """Return when moderators hid the member's reviews, by movie, for those that are hidden."""
    hidden = HiddenReview.objects.filter(user_id=user_id, movie_id__in=movie_ids)
    return dict(hidden.values_list("movie_id", "hidden_at"))


def _update_rating(
    rating: Rating, score: float | None, review: str | None, contains_spoilers: bool | None
) -> None:
    """Change the fields of a locked rating that are not None, and the movie's figures with them."""
    now = timezone.now()
    old_score = rating.score
    if score is not None:
        rating.score = score
    if review is not None:
        if not review:
            rating.reviewed_at = None
        elif not rating.review:
            check_quota("reviews", Rating.objects.with_review_by(rating.user_id))
            rating.reviewed_at = now
        rating.review = review
    if contains_spoilers is not None:
        rating.contains_spoilers = contains_spoilers
    rating.updated_at = now
    rating.save(update_fields=["score", "review", "contains_spoilers", "reviewed_at", "updated_at"])
    if rating.is_counted and rating.score != old_score:
        movie_apply_rating(movie_id=rating.movie_id, old_score=old_score, new_score=rating.score)
