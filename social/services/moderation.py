"""Reports of reviews, and what moderators do about them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from nexus.core.api.exceptions import NotFound, Problem
from social.models import Rating, ReviewReport
from social.services.locks import account_not_found, lock_existing


@dataclass(frozen=True)
class Reported:
    report: ReviewReport
    created: bool


@transaction.atomic
def review_report(*, reporter_id: int, rating_id: int, reason: str, comment: str = "") -> Reported:
    """Report a review to the moderators; a member's first report of it stands.

    Raises NotFound where the reporter sees no such review, Problem (403) for one's own.
    """
    if not lock_existing(User, [reporter_id]):
        raise account_not_found()
    lock_existing(Rating, [rating_id])
    review = Rating.objects.reviews_visible_to(reporter_id).filter(id=rating_id).first()
    if review is None:
        raise NotFound
    if review.user_id == reporter_id:
        raise Problem(403, "own_review", "This review is your own; change or delete it instead.")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO social_reviewreport"
            " (rating_id, reporter_id, reason, comment, state, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (rating_id, reporter_id) DO NOTHING",
            [rating_id, reporter_id, reason, comment, ReviewReport.State.OPEN, timezone.now()],
        )
        created = bool(cursor.rowcount)
    report = ReviewReport.objects.get(rating_id=rating_id, reporter_id=reporter_id)
    return Reported(report, created)


@transaction.atomic
def review_hide(*, rating_id: int) -> None:
    """Show a review to nobody but its author, and uphold its open reports; the stars count on.

    Raises NotFound where the rating is gone.
    """
    _rating_hidden(rating_id, hidden=True)
    _resolve(rating_id, ReviewReport.State.OPEN, ReviewReport.State.UPHELD)


@transaction.atomic
def review_restore(*, rating_id: int) -> None:
    """Show a hidden review again, and dismiss the reports that had it hidden.

    Raises NotFound where the rating is gone.
    """
    _rating_hidden(rating_id, hidden=False)
    _resolve(rating_id, ReviewReport.State.UPHELD, ReviewReport.State.DISMISSED)


@transaction.atomic
def reports_dismiss(*, rating_id: int) -> None:
    """Leave a review as it is, and close its open reports."""
    _resolve(rating_id, ReviewReport.State.OPEN, ReviewReport.State.DISMISSED)


def _rating_hidden(rating_id: int, *, hidden: bool) -> None:
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    if bool(rating.hidden_at) != hidden:
        rating.hidden_at = timezone.now() if hidden else None
        rating.save(update_fields=["hidden_at"])


def _resolve(rating_id: int, old: ReviewReport.State, new: ReviewReport.State) -> None:
    reports = ReviewReport.objects.filter(rating_id=rating_id, state=old)
    reports.update(state=new, resolved_at=timezone.now())
