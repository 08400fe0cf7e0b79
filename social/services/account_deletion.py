"""Leaving, which takes all that names the member."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.db.models import F, Q

from accounts.models import User
from nexus.core.cache.responses import films_changed
from social.models import Follow
from social.services.locks import lock_members

# How often the members whose counters a leaving moves are gathered anew, where they change meanwhile.
_ATTEMPTS = 5


@transaction.atomic
def account_delete(*, user: User) -> None:
    """Remove a member with all they own and all that names them, and put right what counted them.

    That is their ratings in the films' counters and their following in other members'. Here and not
    in accounts, which does not know what a member owns.
    """
    _locked_with_neighbours(user.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT movie.id FROM movies_movie AS movie"
            " JOIN social_rating AS rating ON rating.movie_id = movie.id"
            " WHERE rating.user_id = %s ORDER BY movie.id FOR NO KEY UPDATE OF movie) AS locked",
            [user.pk],
        )
        cursor.execute(
            "UPDATE movies_movie AS movie"
            " SET rating_count = movie.rating_count - 1,"
            " rating_sum = movie.rating_sum - rating.score"
            " FROM social_rating AS rating"
            " WHERE rating.movie_id = movie.id AND rating.user_id = %s",
            [user.pk],
        )
    _uncounted(user.pk)
    # What moderators did is logged by the names of things, and two of them are named for the member.
    LogEntry.objects.filter(
        Q(content_type__model="user", object_id=str(user.pk))
        | Q(content_type__model="tokenfamily", object_repr__startswith=f"{user.username} since "),
        content_type__app_label="accounts",
    ).delete()
    user.delete()
    films_changed()


@transaction.atomic
def following_uncount(*, user_ids: Sequence[int]) -> None:
    """Take members' following out of all others' counters: for commands that delete many at once."""
    neighbours = set(
        Follow.objects.filter(follower_id__in=user_ids).values_list("followed_id", flat=True)
    ) | set(Follow.objects.filter(followed_id__in=user_ids).values_list("follower_id", flat=True))
    lock_members([*user_ids, *neighbours])
    for user_id in user_ids:
        _uncounted(user_id)
        Follow.objects.filter(Q(follower_id=user_id) | Q(followed_id=user_id)).delete()


def _locked_with_neighbours(user_id: int) -> None:
    """Lock a member against every reference, and in the one order all whom following ties to them.

    Whoever writes for this member meanwhile holds the row FOR KEY SHARE, and is waited for.
    """
    for attempt in range(_ATTEMPTS):
        neighbours = _neighbours(user_id)
        with transaction.atomic():
            lock_members([user_id, *neighbours])
            User.objects.select_for_update().get(pk=user_id)
            if attempt == _ATTEMPTS - 1 or _neighbours(user_id) <= neighbours:
                return
            # Locked in another order these might be waited for in a circle: let all go first.
            transaction.set_rollback(True)


def _neighbours(user_id: int) -> set[int]:
    made = Follow.objects.filter(follower_id=user_id).values_list("followed_id", flat=True)
    received = Follow.objects.filter(followed_id=user_id).values_list("follower_id", flat=True)
    return {*made, *received}


def _uncounted(user_id: int) -> None:
    made = Follow.objects.filter(follower_id=user_id).values("followed_id")
    received = Follow.objects.filter(followed_id=user_id).values("follower_id")
    User.objects.filter(pk__in=made).update(follower_count=F("follower_count") - 1)
    User.objects.filter(pk__in=received).update(following_count=F("following_count") - 1)
