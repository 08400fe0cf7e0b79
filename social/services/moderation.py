"""Reports of reviews, and the moderators' decisions about reviews and playlists.

A decision about a review is about its author and movie, not about the rating's row: the author may
have deleted the review and may post it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import user_lock
from nexus.core.api.exceptions import NotFound, Problem
from nexus.core.quotas import check_quota
from social.models import HiddenReview, Playlist, Rating, ReviewReport
from social.queries import lock_existing


@dataclass(frozen=True)
class ModerationResult:
    """What a decision changed: whether something was hidden or shown, and how many reports it closed."""

    is_changed: bool
    report_count: int


@transaction.atomic
def review_report(
    *, reporter_id: int, rating_id: int, reason: str, comment: str = ""
) -> tuple[ReviewReport, bool]:
    """Report a review to the moderators. Return the report and whether it is new.

    A member's first report of a review is not changed by later ones. Raises NotFound if the
    reporter sees no such review, Problem (403) if the review is their own, Problem (409) if the reporter has
    as many reports as the quota allows.
    """
    user_lock(user_id=reporter_id)
    lock_existing(Rating, [rating_id])
    review = Rating.objects.reviews_visible_to(reporter_id).filter(id=rating_id).first()
    if review is None:
        raise NotFound
    if review.user_id == reporter_id:
        raise Problem(403, "own_review", "This review is your own. Change or delete it instead.")
    reports = ReviewReport.objects.filter(reporter_id=reporter_id)
    if not reports.filter(rating_id=rating_id).exists():
        check_quota("reports", reports)
    return ReviewReport.objects.get_or_create(
        rating_id=rating_id,
        reporter_id=reporter_id,
        defaults={
            "author_id": review.user_id,
            "movie_id": review.movie_id,
            "review": review.review,
            "contains_spoilers": review.contains_spoilers,
            "reason": reason,
            "comment": comment,
        },
    )


@transaction.atomic
def review_hide(*, author_id: int, movie_id: int) -> ModerationResult:
    """Hide what a member writes about a movie from everybody else, and uphold its open reports.

    It stays hidden if the member edits the review, or deletes it and posts another one. The score
    still counts. Raises NotFound if the member does not exist.
    """
    _lock_author(author_id)
    hidden, is_new = HiddenReview.objects.get_or_create(
        user_id=author_id, movie_id=movie_id, defaults={"hidden_at": timezone.now()}
    )
    _set_hidden(author_id, movie_id, hidden.hidden_at)
    return ModerationResult(
        is_new,
        _resolve_reports(author_id, movie_id, ReviewReport.State.OPEN, ReviewReport.State.UPHELD),
    )


@transaction.atomic
def review_restore(*, author_id: int, movie_id: int) -> ModerationResult:
    """Show what a member writes about a movie again, and dismiss the reports that were upheld.

    Raises NotFound if the member does not exist.
    """
    _lock_author(author_id)
    deleted_count, _ = HiddenReview.objects.filter(user_id=author_id, movie_id=movie_id).delete()
    _set_hidden(author_id, movie_id, None)
    return ModerationResult(
        deleted_count > 0,
        _resolve_reports(
            author_id, movie_id, ReviewReport.State.UPHELD, ReviewReport.State.DISMISSED
        ),
    )


@transaction.atomic
def reports_dismiss(*, author_id: int, movie_id: int) -> int:
    """Dismiss the open reports of a review without changing it. Return how many there were."""
    return _resolve_reports(
        author_id, movie_id, ReviewReport.State.OPEN, ReviewReport.State.DISMISSED
    )


@transaction.atomic
def playlist_hide(*, playlist_id: UUID) -> bool:
    """Make a playlist private and keep its owner from sharing it. Return False if it was hidden.

    Raises NotFound if it does not exist.
    """
    playlist = _lock_playlist(playlist_id)
    if playlist.hidden_at is not None:
        return False
    playlist.visibility, playlist.hidden_at = Playlist.Visibility.PRIVATE, timezone.now()
    playlist.save(update_fields=["visibility", "hidden_at"])
    return True


@transaction.atomic
def playlist_restore(*, playlist_id: UUID) -> bool:
    """Let the owner share a hidden playlist again. It stays private until they do.

    Return False if it was not hidden. Raises NotFound if it does not exist.
    """
    playlist = _lock_playlist(playlist_id)
    if playlist.hidden_at is None:
        return False
    playlist.hidden_at = None
    playlist.save(update_fields=["hidden_at"])
    return True


def _lock_playlist(playlist_id: UUID) -> Playlist:
    playlist = Playlist.objects.select_for_update().filter(id=playlist_id).first()
    if playlist is None:
        raise NotFound
    return playlist


def _lock_author(author_id: int) -> None:
    """Wait for the author's writes of ratings, so that a review being posted is hidden too."""
    # FOR UPDATE, because imports lock the member with FOR KEY SHARE.
    if not User.objects.select_for_update().filter(pk=author_id).exists():
        raise NotFound


def _set_hidden(author_id: int, movie_id: int, hidden_at: datetime | None) -> None:
    Rating.objects.filter(user_id=author_id, movie_id=movie_id).update(hidden_at=hidden_at)


def _resolve_reports(
    author_id: int, movie_id: int, from_state: ReviewReport.State, to_state: ReviewReport.State
) -> int:
    reports = ReviewReport.objects.filter(author_id=author_id, movie_id=movie_id, state=from_state)
    return reports.update(state=to_state, resolved_at=timezone.now())
