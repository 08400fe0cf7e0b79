"""Account deletion: the member, everything they own and everything that names them.

It lives here and not in accounts, which does not know what a member owns.
"""

from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery

from accounts.models import User
from movies.models import Movie
from social.models import Block, Follow, Rating


@transaction.atomic
def account_delete(*, user: User) -> None:
    """Delete a member with all their data, and subtract their ratings from the movies' counters."""
    # FOR UPDATE conflicts with the lock that every write for this member takes.
    User.objects.select_for_update().get(pk=user.pk)
    _subtract_ratings(user)
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


def _subtract_ratings(user: User) -> None:
    """Subtract the member's ratings from the movies' counters, in one update for all movies.

    The rows are locked in the order of every writer of ratings: ratings, then movies by id.
    """
    ratings = Rating.objects.filter(user=user).order_by("id")
    list(ratings.select_for_update().values_list("id"))
    movies = Movie.objects.filter(pk__in=ratings.order_by().values("movie_id"))
    list(movies.select_for_update(no_key=True).order_by("id").values_list("id"))
    score = ratings.order_by().filter(movie=OuterRef("pk")).values("score")
    movies.update(rating_count=F("rating_count") - 1, rating_sum=F("rating_sum") - Subquery(score))
