"""Writes of ratings.

Rows are locked in one order, so that writers do not deadlock: the member, the rating, then the
movie, whose figures change last. They change if the rating is counted, which is decided when it is
created, from the visibility of the locked member, and later by social.services.figures.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TypedDict, Unpack

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


class RatingFields(TypedDict, total=False):
    """What a member writes about a movie; `score` None and an empty review remove it."""

    score: float | None
    review: str
    contains_spoilers: bool


@transaction.atomic
def rating_set(
    *,
    user_id: int,
    movie_id: int,
    keep_in_watchlist: bool = False,
    **fields: Unpack[RatingFields],
) -> tuple[Rating, bool]:
    """Rate or review a movie, or change the member's rating of it. Return it and whether it is new.

    Fields that are not given keep their value. The movie leaves the member's watchlist unless
    `keep_in_watchlist`. Raises ValidationError (400) on `movie` for an unknown movie and on `score` if
    neither a score nor a review remains, AccountNotFound (401) if the member was deleted, Problem (409)
    if the member has as many ratings or reviews as the quotas allow, GuestNotAllowed (403) for a
    guest's review.
    """
    # With the lock, a member's ratings are created one after another, and not while the visibility
    # changes.
    members = User.objects.select_for_update(no_key=True).only("visibility", "is_active", "origin")
    member = members.filter(pk=user_id).first()
    if member is None:
        raise AccountNotFound
    rating = Rating.objects.select_for_update().filter(user_id=user_id, movie_id=movie_id).first()
    created = rating is None
    if rating is None:
        rating = _build_rating(member, movie_id)
    _write_rating(rating, member, fields)
    if not keep_in_watchlist:
        WatchlistItem.objects.filter(user_id=user_id, movie_id=movie_id).delete()
    movie = Movie.objects.summaries().filter(id=movie_id).first()
    if movie is None:
        raise field_error("movie", f"There is no movie with the id {movie_id}.", "does_not_exist")
    rating.movie = movie
    return rating, created


@transaction.atomic
def rating_update(*, rating_id: int, **fields: Unpack[RatingFields]) -> Rating:
    """Change the fields of a rating that are given.

    Raises NotFound if it does not exist, and ValidationError, Problem and GuestNotAllowed like
    rating_set.
    """
    # The member first, as everywhere: the reviews are counted under this lock.
    members = User.objects.select_for_update(no_key=True, of=("self",)).filter(ratings=rating_id)
    member = members.only("visibility", "is_active", "origin").first()
    if member is None:
        raise NotFound
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    _write_rating(rating, member, fields)
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


def _apply_to_figures(rating: Rating, *, old_score: float | None) -> None:
    """Change a movie's figures after the counted score of one of its ratings has changed."""
    if rating.counted_score is not None:
        movie_apply_rating(
            movie_id=rating.movie_id,
            old_score=old_score,
            new_score=rating.counted_score,
            rated_at=rating.created_at,
        )
        return
    figures_apply(changes=[RatingChange(rating.movie_id, old_score, None, rating.created_at)])


def _build_rating(member: User, movie_id: int) -> Rating:
    """Return a locked member's first rating of a movie, not saved and still empty."""
    if Rating.objects.filter(user=member).count() >= settings.MEMBER_QUOTAS["ratings"]:
        raise make_quota_problem("ratings")
    now = timezone.now()
    return Rating(
        user_id=member.pk,
        movie_id=movie_id,
        is_counted=False,
        # A moderator's decision outlives a deleted rating.
        hidden_at=get_hidden_at(member.pk, [movie_id]).get(movie_id),
        created_at=now,
    )


def get_hidden_at(user_id: int, movie_ids: Collection[int]) -> dict[int, datetime]:
    """Return when moderators hid the member's reviews, by movie, for those that are hidden."""
    hidden = HiddenReview.objects.filter(user_id=user_id, movie_id__in=movie_ids)
    return dict(hidden.values_list("movie_id", "hidden_at"))


def _write_rating(rating: Rating, member: User, fields: RatingFields) -> None:
    """Set the fields of a new or locked rating, save it, and change the movie's figures with it."""
    is_new = rating.pk is None
    old_score = rating.counted_score
    rating.updated_at = rating.created_at if is_new else timezone.now()
    if "score" in fields:
        rating.set_score(fields["score"], is_member_counted=member.is_counted)
    if "review" in fields:
        _set_review(rating, member, fields["review"])
    if "contains_spoilers" in fields:
        rating.contains_spoilers = fields["contains_spoilers"]
    if rating.score is None and not rating.review:
        message = "A rating needs a score or a review. To remove it, delete the rating."
        raise field_error("score", message, "null" if "score" in fields else "required")
    rating.settle_reviewed_at()
    rating.save()
    if rating.counted_score != old_score:
        _apply_to_figures(rating, old_score=old_score)
    elif is_new:
        lock_existing(Movie, [rating.movie_id])


def _set_review(rating: Rating, member: User, review: str) -> None:
    if review and member.is_guest:
        raise GuestNotAllowed
    if review and not rating.review:
        check_quota("reviews", Rating.objects.with_review_by(member.pk))
        if rating.pk is not None:
            rating.reviewed_at = rating.updated_at
    rating.review = review
