"""Writes of members' feedback on recommendations."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts.services import user_lock
from movies.models import Movie
from nexus.core.api.exceptions import NotFound
from nexus.core.quotas import check_quota
from recommendations.models import Feedback
from social.queries import lock_existing


@transaction.atomic
def feedback_set(*, user_id: int, movie_id: int, kind: str) -> Feedback:
    """Store a member's feedback on a movie, new or instead of earlier feedback.

    Raises NotFound for an unknown movie, AccountNotFound (401) if the member was deleted, Problem (409)
    if the member has as much feedback as the quota allows.
    """
    user_lock(user_id=user_id)
    if not lock_existing(Movie, [movie_id]):
        raise NotFound
    own = Feedback.objects.filter(user_id=user_id)
    if not own.filter(movie_id=movie_id).exists():
        check_quota("feedback", own)
    now = timezone.now()
    Feedback.objects.bulk_create(
        [Feedback(user_id=user_id, movie_id=movie_id, kind=kind, created_at=now, updated_at=now)],
        update_conflicts=True,
        unique_fields=["user", "movie"],
        update_fields=["kind", "updated_at"],
    )
    return Feedback.objects.with_movie().get(user_id=user_id, movie_id=movie_id)


def feedback_delete(*, user_id: int, movie_id: int) -> None:
    """Delete a member's feedback on a movie. Raises NotFound if there is none."""
    deleted, _ = Feedback.objects.filter(user_id=user_id, movie_id=movie_id).delete()
    if not deleted:
        raise NotFound
