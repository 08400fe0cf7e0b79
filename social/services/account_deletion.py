"""Account deletion: the member, everything they own and everything that names them.

It lives here and not in accounts, which does not know what a member owns.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from accounts.models import User, end_sessions
from movies.services.ratings import RatingChange
from nexus.core.background.jobs import jobs_delete_of_member
from nexus.core.db.lookups import without_case
from social.models import Block, Follow, ImportRow, Rating
from social.models.imports import MEMBER_KINDS
from social.services.figures import figures_apply
from social.services.groups import groups_leave_all


@transaction.atomic
def account_delete(*, user: User) -> None:
    """Delete a member with all their data, and subtract their ratings from the movies' figures."""
    # FOR UPDATE conflicts with the lock that every write for this member takes.
    User.objects.select_for_update().get(pk=user.pk)
    # Deleting the user resets its id.
    user_id = user.pk
    withdrawn = _lock_ratings(user)
    # Two members who follow or block each other may be deleted at the same time. Both deletions
    # lock the rows in the order of ids, so that they do not deadlock.
    for model, sides in ((Follow, ("follower", "followed")), (Block, ("blocker", "blocked"))):
        rows = model.objects.filter(Q(**{sides[0]: user}) | Q(**{sides[1]: user}))
        list(rows.select_for_update().order_by("id").values_list("id"))
    groups_leave_all(user_id=user.pk)
    _delete_log_entries(user)
    end_sessions([user.pk])
    # The rows of other members' imports that follow or block this member.
    naming_rows = ImportRow.objects.filter(kind__in=MEMBER_KINDS)
    naming_rows.filter(title__lower=without_case(user.username)).delete()
    user.delete()
    # Every writer of ratings locks the movies last.
    figures_apply(changes=withdrawn)
    # After the deletion, because a request that has queued a job may have held a lock until now.
    jobs_delete_of_member(user_id=user_id)


def guests_delete_expired(*, limit: int) -> int:
    """Delete at most `limit` guests who have not registered in time. Return how many were found."""
    expired = User.objects.filter(
        origin=User.Origin.GUEST, date_joined__lte=timezone.now() - settings.GUEST_LIFETIME
    )
    found = list(expired.order_by("date_joined")[:limit].values_list("pk", flat=True))
    for user_id in found:
        with transaction.atomic():
            # With the lock, one who registers at this moment is none any more.
            guest = expired.select_for_update().filter(pk=user_id).first()
            if guest is not None:
                account_delete(user=guest)
    return len(found)


def _delete_log_entries(user: User) -> None:
    """Delete the entries of the admin's log about the member and about what they own."""
    for content_type in ContentType.objects.filter(logentry__isnull=False).distinct():
        model = content_type.model_class()
        if model is None:
            continue
        fields = model._meta.concrete_fields
        owner_keys = [field.name for field in fields if field.related_model is User]
        is_own = Q(pk=user.pk) if model is User else Q()
        for key in owner_keys:
            is_own |= Q(**{key: user})
        if not is_own:
            continue
        own_ids = model._default_manager.filter(is_own).values(text=Cast("pk", TextField()))
        LogEntry.objects.filter(content_type=content_type, object_id__in=own_ids).delete()


def _lock_ratings(user: User) -> list[RatingChange]:
    """Lock the member's ratings. Return what their deletion changes in the movies' figures."""
    counted = Rating.objects.select_for_update().filter(user=user, is_counted=True)
    rows = counted.order_by("movie_id").values_list("movie_id", "score", "created_at")
    return [RatingChange(movie_id, score, None, created_at) for movie_id, score, created_at in rows]
