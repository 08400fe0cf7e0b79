"""Locks that the writes of this room share."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, models
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import User
from movies.models import Movie
from nexus.core.api.exceptions import field_error


def lock_existing(model: type[models.Model], ids: Sequence[int]) -> set[int]:
    """Which of these rows exist, kept from deletion until the transaction ends.

    Without the lock a row deleted meanwhile would fail the commit, where foreign keys are checked.
    """
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM {table} WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",  # noqa: S608
            [list(ids)],
        )
        return {row[0] for row in cursor.fetchall()}


def lock_member_and_movie(*, user_id: int, movie_id: int) -> None:
    """Keep a member and a film from deletion until the transaction ends.

    Raises AuthenticationFailed (401) where the member is gone, ValidationError (400) on `movie`
    for an unknown film.
    """
    require_member_and_movie(
        bool(lock_existing(User, [user_id])), bool(lock_existing(Movie, [movie_id])), movie_id
    )


def require_member_and_movie(member: bool, movie: bool, movie_id: int) -> None:
    """What lock_member_and_movie raises, where whether they are there is known."""
    if not member:
        raise account_not_found()
    if not movie:
        raise field_error("movie", f"There is no film with the id {movie_id}.", "does_not_exist")


def account_not_found() -> AuthenticationFailed:
    """The 401 for a caller whose account was deleted after the token was checked."""
    return AuthenticationFailed("This account no longer exists.", code="user_not_found")


def lock_members(user_ids: Sequence[int]) -> set[int]:
    """Which of these members exist, locked for a change of their counters, in the order of ids.

    All who lock more than one do it in that order, so that nobody waits in a circle. References to
    the members, as ratings make them, go on meanwhile.
    """
    rows = User.objects.select_for_update(no_key=True).filter(pk__in=user_ids).order_by("pk")
    return set(rows.values_list("pk", flat=True))
