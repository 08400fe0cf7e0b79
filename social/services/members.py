"""Changes of a member's profile."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from rest_framework.exceptions import Throttled

from accounts.models import User
from accounts.services import guest_register, profile_update, user_deactivate
from nexus.core.api.exceptions import AccountNotFound, GuestNotAllowed
from nexus.core.api.throttling import hit_silently
from social.tasks import recount_member_ratings


@transaction.atomic
def member_update(*, user: User, changes: dict[str, Any]) -> User:
    """Set the given fields of the member's profile.

    Who becomes private is invisible at once, with all reviews and lists. Public figures follow in the
    background. Raises Throttled (429) if the visibility changes more often than
    settings.RATE_LIMITS["visibility"] allows, because each change recounts all rated movies, and
    GuestNotAllowed (403) if a guest would become public.
    """
    # The lock makes ratings that are written meanwhile wait, so that they see the new visibility.
    locked = User.objects.select_for_update(no_key=True).only("visibility", "origin")
    current = locked.filter(pk=user.pk).first()
    if current is None:
        raise AccountNotFound
    if current.is_guest and changes.get("visibility", current.visibility) != current.visibility:
        raise GuestNotAllowed
    if changes.get("visibility", current.visibility) != current.visibility:
        usage = hit_silently("visibility", str(user.pk))
        if usage.is_exceeded:
            raise Throttled(wait=usage.reset_s)
        recount_member_ratings.defer(user_id=user.pk)
    return profile_update(user=user, changes=changes)


@transaction.atomic
def member_register_guest(*, user_id: int, username: str, email: str, password: str) -> User:
    """Turn a guest into a public member, whose ratings public figures count in the background."""
    user = guest_register(user_id=user_id, username=username, email=email, password=password)
    recount_member_ratings.defer(user_id=user_id)
    return user


@transaction.atomic
def member_deactivate(*, user_id: int) -> bool:
    """Deactivate a member, whose ratings then count in no figure. Return whether they were active."""
    is_changed = user_deactivate(user_id=user_id)
    if is_changed:
        recount_member_ratings.defer(user_id=user_id)
    return is_changed
