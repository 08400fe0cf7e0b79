"""Writes of ratings and playlists.

Each locks its rating or playlist before it looks at it, and a film's counters last. Rows that are
only referred to are locked FOR KEY SHARE, which stands in nobody's way but a deletion's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Max
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import User
from movies.models import Movie
from movies.services import TREND_HALF_LIFE_DAYS, rating_changed, trend_position
from nexus.core.errors import NotFound, Problem, field_error
from social.models import Playlist, PlaylistItem, Rating

MAX_ITEMS = 10_000
# How often a rating that is withdrawn while it is being replaced is tried again.
_ATTEMPTS = 5


@dataclass(frozen=True)
class RatingSet:
    rating: Rating
    created: bool


@dataclass(frozen=True)
class ItemsAdded:
    """What became of the films sent, each list in the order sent."""

    added: list[int]
    existing: list[int]
    not_found: list[int]


# --- Ratings -------------------------------------------------------------------------------------


@transaction.atomic
def rating_set(
    *,
    user_id: int,
    movie_id: int,
    score: float,
    review: str | None = None,
    contains_spoilers: bool | None = None,
) -> RatingSet:
    """A member's rating of a film, new or replaced; a replaced one keeps what is None.

    Raises ValidationError (400) on `movie` for an unknown film.
    """
    if not _held(User, [user_id]):
        raise AuthenticationFailed("This account is gone.", code="user_not_found")
    if not _held(Movie, [movie_id]):
        raise field_error("movie", f"There is no film with the id {movie_id}.", "does_not_exist")
    for _ in range(_ATTEMPTS):
        rating_id = _rating_insert(
            user_id=user_id,
            movie_id=movie_id,
            score=score,
            review=review or "",
            contains_spoilers=bool(contains_spoilers),
        )
        if rating_id is not None:
            rating_changed(movie_id=movie_id, old=None, new=score)
            return RatingSet(Rating.objects.with_movie().get(id=rating_id), created=True)
        known = (
            Rating.objects.select_for_update().filter(user_id=user_id, movie_id=movie_id).first()
        )
        if known is not None:
            _rating_write(known, score=score, review=review, contains_spoilers=contains_spoilers)
            return RatingSet(Rating.objects.with_movie().get(id=known.id), created=False)
    raise Problem(409, "conflict", "This rating is being changed elsewhere. Try again.")


@transaction.atomic
def rating_update(
    *,
    rating_id: int,
    score: float | None = None,
    review: str | None = None,
    contains_spoilers: bool | None = None,
) -> Rating:
    """Change what is not None of a rating. Raises NotFound where it is gone."""
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    _rating_write(rating, score=score, review=review, contains_spoilers=contains_spoilers)
    return Rating.objects.with_movie().get(id=rating_id)


@transaction.atomic
def rating_delete(*, rating_id: int) -> None:
    """Withdraw a rating. Raises NotFound where it is gone."""
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    rating.delete()
    rating_changed(movie_id=rating.movie_id, old=rating.score, new=None)


@transaction.atomic
def ratings_recount(*, movie_ids: Sequence[int] | None = None) -> int:
    """Recompute films' rating counters and trends from their ratings; how many were off.

    For imports, which write ratings past the services. All films where `movie_ids` is None.
    """
    every = movie_ids is None
    films = "" if every else "WHERE movie.id = ANY(%(movie_ids)s)"
    ratings = "" if every else "WHERE rating.movie_id = ANY(%(movie_ids)s)"
    params: dict[str, Any] = {"movie_ids": None if movie_ids is None else list(movie_ids)}
    unix = datetime.fromtimestamp(0, UTC)
    for column, half_life_days in TREND_HALF_LIFE_DAYS.items():
        # A position is linear in time, so its value at the Unix epoch and its slope are all of it.
        params[f"{column}_start"] = trend_position(half_life_days, unix)
        params[f"{column}_slope"] = 1 / 86_400 / half_life_days
    with connection.cursor() as cursor:
        # A whole catalogue takes longer than a request may.
        cursor.execute("SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '1min'")
        # Locked first, so that a rating made meanwhile is either seen below or added after.
        cursor.execute(
            f"SELECT count(*) FROM (SELECT id FROM movies_movie AS movie {films}"  # noqa: S608
            " ORDER BY id FOR NO KEY UPDATE) AS locked",
            params,
        )
        cursor.execute(_RECOUNT.format(films=films, ratings=ratings), params)
        return int(cursor.rowcount)


# movies.services._trend_after_one_more for all ratings at once: log2(sum(2^position)), with the
# greatest position taken out so that the powers stay within a double.
# Materialized, because without statistics (a first import) the planner would compute the sums again
# for every film.
_RECOUNT = """
    WITH found AS MATERIALIZED (
        SELECT movie_id,
               count(*) AS rating_count,
               sum(score) AS rating_sum,
               max(day_top) + ln(sum(power(2, greatest(day - day_top, -200)))) / ln(2)
                   AS trend_day,
               max(week_top) + ln(sum(power(2, greatest(week - week_top, -200)))) / ln(2)
                   AS trend_week
        FROM (
            SELECT movie_id, score, day, week,
                   max(day) OVER film AS day_top,
                   max(week) OVER film AS week_top
            FROM (
                SELECT rating.movie_id, rating.score,
                       %(trend_day_start)s::float8 + %(trend_day_slope)s::float8
                           * extract(epoch FROM rating.created_at)::float8 AS day,
                       %(trend_week_start)s::float8 + %(trend_week_slope)s::float8
                           * extract(epoch FROM rating.created_at)::float8 AS week
                FROM social_rating AS rating
                {ratings}
            ) AS placed
            WINDOW film AS (PARTITION BY movie_id)
        ) AS topped
        GROUP BY movie_id
    ),
    now AS MATERIALIZED (
        SELECT movie.id,
               coalesce(found.rating_count, 0) AS rating_count,
               coalesce(found.rating_sum, 0) AS rating_sum,
               found.trend_day,
               found.trend_week
        FROM movies_movie AS movie
        LEFT JOIN found ON found.movie_id = movie.id
        {films}
    )
    UPDATE movies_movie AS target
    SET rating_count = now.rating_count,
        rating_sum = now.rating_sum,
        trend_day = now.trend_day,
        trend_week = now.trend_week
    FROM now
    WHERE target.id = now.id
      AND (target.rating_count, target.rating_sum, target.trend_day, target.trend_week)
          IS DISTINCT FROM (now.rating_count, now.rating_sum, now.trend_day, now.trend_week)
"""


def _rating_insert(
    *, user_id: int, movie_id: int, score: float, review: str, contains_spoilers: bool
) -> int | None:
    """The new row's id, or None where there is one already, after waiting for a rival's commit."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO social_rating"
            " (user_id, movie_id, score, review, contains_spoilers, created_at, updated_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (user_id, movie_id) DO NOTHING RETURNING id",
            [user_id, movie_id, score, review, contains_spoilers, now, now],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def _rating_write(
    rating: Rating, *, score: float | None, review: str | None, contains_spoilers: bool | None
) -> None:
    """Change a locked rating and what follows from its score."""
    old = rating.score
    if score is not None:
        rating.score = score
    if review is not None:
        rating.review = review
    if contains_spoilers is not None:
        rating.contains_spoilers = contains_spoilers
    rating.updated_at = timezone.now()
    rating.save(update_fields=["score", "review", "contains_spoilers", "updated_at"])
    if rating.score != old:
        rating_changed(movie_id=rating.movie_id, old=old, new=rating.score)


# --- Leaving -------------------------------------------------------------------------------------


@transaction.atomic
def account_delete(*, user: User) -> None:
    """Remove a member with all they own, and their ratings from the films' counters.

    Here and not in accounts, which does not know what a member owns.
    """
    # Whoever writes for this member meanwhile holds the row FOR KEY SHARE, and is waited for.
    User.objects.select_for_update().get(pk=user.pk)
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
    user.delete()


# --- Playlists -----------------------------------------------------------------------------------


@transaction.atomic
def playlist_create(
    *,
    owner: User,
    name: str,
    description: str = "",
    visibility: str = Playlist.Visibility.PUBLIC,
    movie_ids: Sequence[int] = (),
) -> Playlist:
    """A new playlist of these films. Raises ValidationError (400) that names unknown ones."""
    if not _held(User, [owner.pk]):
        raise AuthenticationFailed("This account is gone.", code="user_not_found")
    playlist = Playlist.objects.create(
        owner=owner, name=name, description=description, visibility=visibility
    )
    if movie_ids:
        _items_replace(playlist, movie_ids)
    return playlist


@transaction.atomic
def playlist_update(
    *,
    playlist_id: UUID,
    name: str | None = None,
    description: str | None = None,
    visibility: str | None = None,
    movie_ids: Sequence[int] | None = None,
) -> Playlist:
    """Change what is not None; `movie_ids` becomes the whole content, kept films keep their notes.

    Raises NotFound where the playlist is gone, ValidationError (400) that names unknown films.
    """
    playlist = _locked(playlist_id)
    if name is not None:
        playlist.name = name
    if description is not None:
        playlist.description = description
    if visibility is not None:
        playlist.visibility = visibility
    playlist.save(update_fields=["name", "description", "visibility", "updated_at"])
    if movie_ids is not None:
        _items_replace(playlist, movie_ids)
    return playlist


@transaction.atomic
def playlist_delete(*, playlist_id: UUID) -> None:
    """Raises NotFound where the playlist is gone."""
    _locked(playlist_id).delete()


@transaction.atomic
def playlist_items_add(*, playlist_id: UUID, movie_ids: Sequence[int]) -> ItemsAdded:
    """Put films at the end, in the order given; those already in stay where they are.

    Raises ValidationError (400) where the list would grow over MAX_ITEMS.
    """
    playlist = _locked(playlist_id)
    wanted = list(dict.fromkeys(movie_ids))
    known = _held(Movie, wanted)
    members = set(
        PlaylistItem.objects.filter(playlist=playlist, movie_id__in=wanted).values_list(
            "movie_id", flat=True
        )
    )
    added = [movie_id for movie_id in wanted if movie_id in known and movie_id not in members]
    if added:
        _items_append(playlist, added)
        _settle(playlist)
    return ItemsAdded(
        added=added,
        existing=[movie_id for movie_id in wanted if movie_id in members],
        not_found=[movie_id for movie_id in wanted if movie_id not in known],
    )


@transaction.atomic
def playlist_item_annotate(*, playlist_id: UUID, movie_id: int, note: str | None) -> PlaylistItem:
    """Set the note of a film in a playlist, unless None. Raises NotFound where it is not in it."""
    playlist = _locked(playlist_id)
    item = PlaylistItem.objects.with_movie().filter(playlist=playlist, movie_id=movie_id).first()
    if item is None:
        raise NotFound
    if note is not None and note != item.note:
        item.note = note
        item.save(update_fields=["note"])
        _settle(playlist)
    return item


@transaction.atomic
def playlist_item_remove(*, playlist_id: UUID, movie_id: int) -> None:
    """Take a film out; those behind it move up. Raises NotFound where it is not in the list."""
    playlist = _locked(playlist_id)
    removed, _ = PlaylistItem.objects.filter(playlist=playlist, movie_id=movie_id).delete()
    if not removed:
        raise NotFound
    _settle(playlist)


@transaction.atomic
def playlist_reorder(
    *, playlist_id: UUID, movie_ids: Sequence[int], is_current: Callable[[int], bool]
) -> Playlist:
    """Put all films of a playlist into this order, if its version `is_current`.

    Raises Problem (412) where it is not, ValidationError (400) where the films are not exactly its
    own, NotFound where the playlist is gone.
    """
    playlist = _locked(playlist_id)
    if not is_current(playlist.version):
        detail = "The playlist has changed since. Read its items again."
        raise Problem(412, "precondition_failed", detail)
    members = set(PlaylistItem.objects.filter(playlist=playlist).values_list("movie_id", flat=True))
    if len(movie_ids) != len(members) or set(movie_ids) != members:
        message = "Send every film of the playlist exactly once, and no other."
        raise field_error("movie_ids", message, "not_the_members")
    _items_place(playlist, movie_ids)
    _settle(playlist)
    return playlist


def _locked(playlist_id: UUID) -> Playlist:
    playlist = Playlist.objects.select_for_update().filter(id=playlist_id).first()
    if playlist is None:
        raise NotFound
    return playlist


def _items_replace(playlist: Playlist, movie_ids: Sequence[int]) -> None:
    wanted = list(dict.fromkeys(movie_ids))
    unknown = sorted(set(wanted) - _held(Movie, wanted))
    if unknown:
        message = f"There are no films with these ids: {', '.join(map(str, unknown))}."
        raise field_error("movie_ids", message, "does_not_exist")
    items = PlaylistItem.objects.filter(playlist=playlist)
    items.exclude(movie_id__in=wanted).delete()
    members = set(items.values_list("movie_id", flat=True))
    _items_append(playlist, [movie_id for movie_id in wanted if movie_id not in members])
    _items_place(playlist, wanted)
    _settle(playlist)


def _items_append(playlist: Playlist, movie_ids: Sequence[int]) -> None:
    items = PlaylistItem.objects.filter(playlist=playlist)
    if items.count() + len(movie_ids) > MAX_ITEMS:
        message = f"A playlist holds at most {MAX_ITEMS} films."
        raise field_error("movie_ids", message, "too_many")
    last = items.aggregate(last=Max("position"))["last"] or 0
    PlaylistItem.objects.bulk_create(
        PlaylistItem(playlist=playlist, movie_id=movie_id, position=position)
        for position, movie_id in enumerate(movie_ids, start=last + 1)
    )


def _items_place(playlist: Playlist, movie_ids: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE social_playlistitem AS item SET position = wanted.position"
            " FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (movie_id, position)"
            " WHERE item.playlist_id = %s AND item.movie_id = wanted.movie_id"
            " AND item.position <> wanted.position",
            [list(movie_ids), playlist.id],
        )


def _settle(playlist: Playlist) -> None:
    """After a change of its items: close gaps, count, and raise the version of a locked playlist."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE social_playlistitem AS item SET position = placed.position"
            " FROM (SELECT id, row_number() OVER (ORDER BY position, id) AS position"
            " FROM social_playlistitem WHERE playlist_id = %s) AS placed"
            " WHERE item.id = placed.id AND item.position <> placed.position",
            [playlist.id],
        )
    playlist.version += 1
    playlist.movie_count = PlaylistItem.objects.filter(playlist=playlist).count()
    playlist.save(update_fields=["version", "movie_count", "updated_at"])


def _held(model: type[models.Model], ids: Sequence[int]) -> set[int]:
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
