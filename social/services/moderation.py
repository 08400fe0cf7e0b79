"""Reports of reviews, and the moderators' decisions about them."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from nexus.core.api.exceptions import AccountNotFound, NotFound, Problem
from social.models import Rating, ReviewReport
from social.queries import lock_existing


@transaction.atomic
def review_report(
    *, reporter_id: int, rating_id: int, reason: str, comment: str = ""
) -> tuple[ReviewReport, bool]:
    """Report a review to the moderators. Return the report and whether it is new.

    A member's first report of a review is not changed by later ones. Raises NotFound if the
    reporter sees no such review, Problem (403) if the review is their own.
    """
    if not lock_existing(User, [reporter_id]):
        raise AccountNotFound
    lock_existing(Rating, [rating_id])
    review = Rating.objects.reviews_visible_to(reporter_id).filter(id=rating_id).first()
    if review is None:
        raise NotFound
    if review.user_id == reporter_id:
        raise Problem(403, "own_review", "This review is your own. Change or delete it instead.")
    return ReviewReport.objects.get_or_create(
        rating_id=rating_id,
        reporter_id=reporter_id,
        defaults={"reason": reason, "comment": comment},
    )


@transaction.atomic
def review_hide(*, rating_id: int) -> None:
    """Hide a review from everybody but its author, and uphold its open reports.

    The score still counts. Raises NotFound if the rating does not exist.
    """
    _set_hidden(rating_id, hidden=True)
    _resolve_reports(rating_id, ReviewReport.State.OPEN, ReviewReport.State.UPHELD)


@transaction.atomic
def review_restore(*, rating_id: int) -> None:
    """Show a hidden review again, and dismiss the reports that were upheld.

    Raises NotFound if the rating does not exist.
    """
    _set_hidden(rating_id, hidden=False)
    _resolve_reports(rating_id, ReviewReport.State.UPHELD, ReviewReport.State.DISMISSED)


@transaction.atomic
def reports_dismiss(*, rating_id: int) -> None:
    """Dismiss a review's open reports without changing the review."""
    _resolve_reports(rating_id, ReviewReport.State.OPEN, ReviewReport.State.DISMISSED)


def _set_hidden(rating_id: int, *, hidden: bool) -> None:
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    if bool(rating.hidden_at) != hidden:
        rating.hidden_at = timezone.now() if hidden else None
        rating.save(update_fields=["hidden_at"])


def _resolve_reports(
    rating_id: int, from_state: ReviewReport.State, to_state: ReviewReport.State
) -> None:
    reports = ReviewReport.objects.filter(rating_id=rating_id, state=from_state)
    reports.update(state=to_state, resolved_at=timezone.now())
