"""The secret address of a member's calendar.

A calendar program sends no token, so the address is the secret. The database has its hash.
"""

from __future__ import annotations

import secrets

from django.utils import timezone

from social.models import CalendarFeed

_SECRET_BYTES = 32


def calendar_feed_renew(*, user_id: int) -> str:
    """Return a new secret of the member's calendar; the one before is dead."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    CalendarFeed.objects.update_or_create(
        user_id=user_id,
        defaults={"digest": CalendarFeed.hash_secret(secret), "created_at": timezone.now()},
    )
    return secret
