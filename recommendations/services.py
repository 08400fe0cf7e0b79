"""What members say of recommendations."""

from __future__ import annotations

from django.db import connection, transaction
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from movies.models import Movie
from nexus.core.api.exceptions import NotFound
from recommendations.models import Feedback


@transaction.atomic
def feedback_set(*, user_id: int, movie_id: int, kind: str) -> Feedback:
    """What a member says of a movie, new or instead of what they said before.

    Raises NotFound for an unknown movie.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        # Both rows are kept from deletion, which would otherwise fail the commit.
        cursor.execute(
            """
            WITH member AS (SELECT id FROM accounts_user WHERE id = %(user)s FOR KEY SHARE),
                 movie AS (SELECT id FROM movies_movie WHERE id = %(movie)s FOR KEY SHARE)
            INSERT INTO recommendations_feedback
                (user_id, movie_id, kind, created_at, updated_at)
            SELECT member.id, movie.id, %(kind)s, %(now)s, %(now)s FROM member, movie
            ON CONFLICT (user_id, movie_id)
                DO UPDATE SET kind = excluded.kind, updated_at = excluded.updated_at
            RETURNING id
            """,
            {"user": user_id, "movie": movie_id, "kind": kind, "now": now},
        )
        row = cursor.fetchone()
    if row is None:
        if Movie.objects.filter(id=movie_id).exists():
            raise AuthenticationFailed("This account is gone.", code="user_not_found")
        raise NotFound
    return Feedback.objects.with_movie().get(id=row[0])


def feedback_delete(*, user_id: int, movie_id: int) -> None:
    """Take back what a member said of a movie. Raises NotFound where they said nothing."""
    deleted, _ = Feedback.objects.filter(user_id=user_id, movie_id=movie_id).delete()
    if not deleted:
        raise NotFound
