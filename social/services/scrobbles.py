"""Viewings that media servers report by webhooks."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from accounts.services import user_lock
from movies.title_matching import match_references
from social.models import Viewing
from social.services.diary import viewing_add
from social.webhooks import Playback, get_local_time

#: A server reports one viewing several times: at 90 %, when it stops, and when somebody goes on.
SAME_VIEWING = timedelta(hours=12)


@transaction.atomic
def scrobble_record(
    *, user_id: int, token_id: int, playback: Playback, watched_at: datetime
) -> Viewing | None:
    """Record a viewing that a server reports with a personal access token.

    Return None if the catalogue does not have the movie for certain, or the same token has reported it
    within SAME_VIEWING. Raises AccountNotFound (401) if the member was deleted, Problem (409) if the
    quota is full.
    """
    [match] = match_references([playback.movie])
    if match.movie_id is None:
        return None
    user_lock(user_id=user_id)
    reported = Viewing.objects.filter(
        user_id=user_id,
        movie_id=match.movie_id,
        scrobble_token_id=token_id,
        watched_at__gt=watched_at - SAME_VIEWING,
    )
    if reported.exists():
        return None
    viewing, _ = viewing_add(
        user_id=user_id,
        movie_id=match.movie_id,
        watched_at=get_local_time(watched_at, playback),
    )
    Viewing.objects.filter(id=viewing.pk).update(scrobble_token_id=token_id)
    return viewing
