"""Account deletion: the member, everything they own and everything that names them.

It lives here and not in accounts, which does not know what a member owns.
"""

from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Q

from accounts.models import User
from movies.services.ratings import RatingChange
from social.models import Block, Follow, Rating
from social.services.figures import figures_apply


@transaction.atomic
def account_delete(*, user: User) -> None:
    """Delete a member with all their data, and subtract their ratings from the movies' figures."""
    # FOR UPDATE conflicts with the lock that every write for this member takes.
    User.objects.select_for_update().get(pk=user.pk)
    withdrawn = _lock_ratings(user)
    # Two members who follow or block each other may be deleted at the same time. Both deletions
    # lock the rows in the order of ids, so that they do not deadlock.
    for model, sides in ((Follow, ("follower", "followed")), (Block, ("blocker", "blocked"))):
        rows = model.objects.filter(Q(**{sides[0]: user}) | Q(**{sides[1]: user}))
        list(rows.select_for_update().order_by("id").values_list("id"))
    # The admin log stores the names of changed objects, and these two contain the username.
    LogEntry.objects.filter(
        Q(content_type__model="user", object_id=str(user.pk))
        | Q(content_type__model="tokenfamily", object_repr__startswith=f"{user.username} since "),
        content_type__app_label="accounts",
    ).delete()
    user.delete()
    # Every writer of ratings locks the movies last.
    figures_apply(changes=withdrawn)


def _lock_ratings(user: User) -> list[RatingChange]:
    """Lock the member's ratings. Return what their deletion changes in the movies' figures."""
    counted = Rating.objects.select_for_update().filter(user=user, is_counted=True)
    rows = counted.order_by("movie_id").values_list("movie_id", "score", "created_at")
    return [RatingChange(movie_id, score, None, created_at) for movie_id, score, created_at in rows]
