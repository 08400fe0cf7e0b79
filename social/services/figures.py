"""Keep public figures in line with the rows that exist.

A movie's figures (rating count, sum and trends) are those of its counted ratings. Each write of a
rating changes them in its own transaction. What they count follows a member's visibility in the
background (`member_ratings_recount`), and `figures_reconcile` finds and corrects what is off
nevertheless.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Max

from accounts.models import User
from movies.models import Movie
from movies.services.ratings import RatingChange, movies_apply_ratings
from nexus.core.db.transactions import long_transaction
from social.models import FiguresCheck, Playlist, Rating
from social.queries import fetch_drifted_movies, recount_ratings

# Each batch locks the movies of so many ratings while it reads all ratings of them.
RECOUNT_BATCH_SIZE = 100
# Movies that one statement of a request recounts, because a statement has 5 s.
APPLY_BATCH_SIZE = 1_000
# Movies that one statement compares with their ratings, without a lock.
CHECK_BATCH_SIZE = 2_000
# The results of so many checks are stored.
MAX_CHECKS = 100

_LOG = logging.getLogger(__name__)


def figures_apply(*, changes: Sequence[RatingChange]) -> None:
    """Update the figures of movies after counted ratings were set, changed or withdrawn.

    Runs in the transaction that writes the ratings, after it has written them.
    """
    imprecise = movies_apply_ratings(changes=changes)
    for start in range(0, len(imprecise), APPLY_BATCH_SIZE):
        recount_ratings(imprecise[start : start + APPLY_BATCH_SIZE])


def ratings_recount(*, movie_ids: Sequence[int] | None = None) -> int:
    """Compute movies' figures from their ratings. Return how many were wrong.

    For bulk loads, which write ratings without these services. None means all movies.
    """
    with long_transaction():
        return recount_ratings(movie_ids)


def member_ratings_recount(*, user_id: int) -> int:
    """Count a member's ratings in public figures if the member is counted, else no longer.

    Return how many ratings changed. Repeating it changes nothing.
    """
    changed = 0
    while batch := _recount_member_batch(user_id):
        changed += batch
    return changed


def _recount_member_batch(user_id: int) -> int:
    """Bring the next ratings in line with the member's visibility, and recount their movies.

    Rows are locked in the order of every writer of ratings: member, ratings, movies.
    """
    with long_transaction():
        member = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
        if member is None:
            return 0
        # Without a score a rating never counts.
        outdated = Rating.objects.filter(
            user=member, score__isnull=False, is_counted=not member.is_counted
        )
        batch = list(
            outdated.select_for_update()
            .order_by("movie_id")
            .values_list("id", "movie_id")[:RECOUNT_BATCH_SIZE]
        )
        Rating.objects.filter(id__in=[pk for pk, _ in batch]).update(is_counted=member.is_counted)
        recount_ratings([movie_id for _, movie_id in batch])
        return len(batch)


def figures_reconcile() -> FiguresCheck:
    """Compare all figures with the rows they count, correct them, and store what was off.

    Figures change in the transaction of the rows they count, so a difference is a defect. Ratings
    whose member has just changed their visibility are corrected but are not a defect.
    """
    check = FiguresCheck()
    for user_id in Rating.objects.counted_wrongly().values_list("user_id", flat=True).distinct():
        check.ratings += member_ratings_recount(user_id=user_id)
    for movie_ids in _list_movie_batches():
        drifted = fetch_drifted_movies(movie_ids)
        check.movies += ratings_recount(movie_ids=drifted) if drifted else 0
    counted = Playlist.objects.annotate(item_count=Count("items")).exclude(
        movie_count=F("item_count")
    )
    for playlist_id in list(counted.values_list("id", flat=True)):
        check.playlists += _recount_playlist(playlist_id)
    check.save()
    if check.movies or check.playlists:
        _LOG.error(
            "The figures of %d movies and of %d playlists differed from the rows they count. They are"
            " corrected. A write has changed one without the other.",
            check.movies,
            check.playlists,
        )
    outdated = FiguresCheck.objects.order_by("-id").values_list("id", flat=True)[MAX_CHECKS:]
    FiguresCheck.objects.filter(id__in=list(outdated)).delete()
    return check


@transaction.atomic
def _recount_playlist(playlist_id: UUID) -> bool:
    """Bring a playlist's movie count in line with its items. Return whether it was wrong."""
    playlist = Playlist.objects.select_for_update().filter(id=playlist_id).first()
    if playlist is None:
        return False
    count, playlist.movie_count = playlist.movie_count, playlist.items.count()
    playlist.save(update_fields=["movie_count"])
    return count != playlist.movie_count


def _list_movie_batches() -> Iterator[list[int]]:
    """Yield the ids of all movies in batches."""
    last = Movie.objects.aggregate(last=Max("id"))["last"] or 0
    for start in range(0, last, CHECK_BATCH_SIZE):
        movies = Movie.objects.filter(id__gt=start, id__lte=start + CHECK_BATCH_SIZE)
        if movie_ids := list(movies.order_by("id").values_list("id", flat=True)):
            yield movie_ids
