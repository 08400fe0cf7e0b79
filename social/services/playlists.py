"""Writes of playlists and their items.

Each service locks the playlist before it reads the items, so that positions stay without gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from accounts.models import User
from accounts.services import user_lock
from movies.models import Movie
from nexus.core.api.exceptions import NotFound, Problem, field_error
from nexus.core.quotas import check_quota
from social.models import Playlist, PlaylistItem
from social.queries import copy_items, lock_existing, set_item_positions


@dataclass(frozen=True)
class AddedItems:
    """The result for each movie id sent to playlist_items_add, in the order sent."""

    added: list[int]
    existing: list[int]
    not_found: list[int]


@transaction.atomic
def playlist_create(
    *,
    owner: User,
    name: str,
    description: str = "",
    visibility: str = Playlist.Visibility.PUBLIC,
    movie_ids: Sequence[int] = (),
) -> Playlist:
    """Create a playlist of these movies.

    Raises AccountNotFound (401) if the owner was deleted, ValidationError (400) on `movie_ids` for
    unknown movies, Problem (409) if the owner has as many playlists as the quota allows.
    """
    user_lock(user_id=owner.pk)
    check_quota("playlists", Playlist.objects.filter(owner=owner))
    playlist = Playlist.objects.create(
        owner=owner,
        name=name,
        description=description,
        visibility=visibility,
        published_at=timezone.now() if visibility == Playlist.Visibility.PUBLIC else None,
    )
    if movie_ids:
        _replace_items(playlist, movie_ids)
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
    """Change the fields that are not None. `movie_ids` replaces the whole content.

    Movies that stay in the playlist keep their notes. Raises NotFound if the playlist does not
    exist, Problem (403) if a moderator has hidden it and `visibility` is not private,
    ValidationError (400) on `movie_ids` for unknown movies.
    """
    playlist = _lock_playlist(playlist_id)
    _check_may_share(playlist, visibility)
    if name is not None:
        playlist.name = name
    if description is not None:
        playlist.description = description
    if visibility is not None:
        playlist.visibility = visibility
    if playlist.visibility == Playlist.Visibility.PUBLIC and playlist.published_at is None:
        playlist.published_at = timezone.now()
    playlist.save(update_fields=["name", "description", "visibility", "published_at", "updated_at"])
    if movie_ids is not None:
        _replace_items(playlist, movie_ids)
    return playlist


@transaction.atomic
def playlist_copy(
    *, owner: User, source: Playlist, name: str | None = None, visibility: str | None = None
) -> Playlist:
    """Create a playlist with the movies of another one, in its order and without its notes.

    By default the copy has the name of its source and is private. Raises Problem (403) if a
    moderator has hidden the source and the copy is not private, Problem (409) if the owner has as many
    playlists or items as the quotas allow.
    """
    visibility = visibility or Playlist.Visibility.PRIVATE
    _check_may_share(source, visibility)
    copy = playlist_create(
        owner=owner, name=name if name is not None else source.name, visibility=visibility
    )
    if source.hidden_at is not None:
        copy.hidden_at = source.hidden_at
        copy.save(update_fields=["hidden_at"])
    movie_ids = _read_order(source)
    _check_item_quotas(owner.pk, length=len(movie_ids), adding=len(movie_ids))
    lock_existing(Movie, movie_ids)
    copy.movie_count = copy_items(source_id=source.id, copy_id=copy.id)
    _increment_version(copy)
    return copy


@transaction.atomic
def playlist_delete(*, playlist_id: UUID) -> None:
    """Delete a playlist and its items. Raises NotFound if it does not exist."""
    _lock_playlist(playlist_id).delete()


@transaction.atomic
def playlist_items_add(*, playlist_id: UUID, movie_ids: Sequence[int]) -> AddedItems:
    """Append movies in the order given. Movies that are already in the playlist do not move.

    Raises NotFound if the playlist does not exist, Problem (409) if the playlist or the owner would
    have more items than the quotas allow.
    """
    owner_id = Playlist.objects.filter(id=playlist_id).values_list("owner_id", flat=True).first()
    if owner_id is None:
        raise NotFound
    user_lock(user_id=owner_id)
    playlist = _lock_playlist(playlist_id)
    current = _read_order(playlist)
    in_playlist = set(current)
    sent = list(dict.fromkeys(movie_ids))
    in_catalogue = lock_existing(Movie, sent)
    new = [pk for pk in sent if pk in in_catalogue and pk not in in_playlist]
    if new:
        _check_item_quotas(owner_id, length=len(current) + len(new), adding=len(new))
        _write_order(playlist, [*current, *new])
    return AddedItems(
        added=new,
        existing=[pk for pk in sent if pk in in_playlist],
        not_found=[pk for pk in sent if pk not in in_catalogue],
    )


@transaction.atomic
def playlist_item_annotate(*, playlist_id: UUID, movie_id: int, note: str | None) -> PlaylistItem:
    """Set the note of an item, unless it is None. Raises NotFound if the movie is not in it."""
    playlist = _lock_playlist(playlist_id)
    item = PlaylistItem.objects.with_movie().filter(playlist=playlist, movie_id=movie_id).first()
    if item is None:
        raise NotFound
    if note is not None and note != item.note:
        item.note = note
        item.save(update_fields=["note"])
        _increment_version(playlist)
    return item


@transaction.atomic
def playlist_item_remove(*, playlist_id: UUID, movie_id: int) -> None:
    """Remove a movie and move the ones behind it up. Raises NotFound if it is not in the playlist."""
    if not playlist_items_remove(playlist_id=playlist_id, movie_ids=[movie_id]):
        raise NotFound


@transaction.atomic
def playlist_items_remove(*, playlist_id: UUID, movie_ids: Sequence[int]) -> int:
    """Remove movies and move the ones behind them up. Return how many were in the playlist.

    Raises NotFound if the playlist does not exist.
    """
    playlist = _lock_playlist(playlist_id)
    current = _read_order(playlist)
    removed = set(current) & set(movie_ids)
    if removed:
        _write_order(playlist, [pk for pk in current if pk not in removed])
    return len(removed)


@transaction.atomic
def playlist_reorder(
    *, playlist_id: UUID, movie_ids: Sequence[int], is_current: Callable[[int], bool]
) -> tuple[Playlist, bool]:
    """Put the movies of a playlist into this order. Return the playlist and whether it changed.

    An order that is the current one changes nothing, not even the version. Raises NotFound if the
    playlist does not exist, Problem (412) if `is_current` rejects its version, ValidationError
    (400) on `movie_ids` unless they are exactly the movies of the playlist.
    """
    playlist = _lock_playlist(playlist_id)
    if not is_current(playlist.version):
        detail = "The playlist has changed since its ETag was read. Read its items again."
        raise Problem(412, "precondition_failed", detail)
    current = _read_order(playlist)
    if len(movie_ids) != len(current) or set(movie_ids) != set(current):
        message = "Send every movie of the playlist exactly once, and no other."
        raise field_error("movie_ids", message, "not_the_members")
    is_changed = list(movie_ids) != current
    if is_changed:
        _write_order(playlist, movie_ids)
    return playlist, is_changed


def _check_may_share(playlist: Playlist, visibility: str | None) -> None:
    """Raise Problem (403) if a moderator has hidden the playlist and `visibility` would share it."""
    if playlist.hidden_at and visibility not in (None, Playlist.Visibility.PRIVATE):
        detail = "A moderator has made this playlist private. You can keep it, but not share it."
        raise Problem(403, "hidden_by_moderator", detail)


def _lock_playlist(playlist_id: UUID) -> Playlist:
    playlist = Playlist.objects.select_for_update().filter(id=playlist_id).first()
    if playlist is None:
        raise NotFound
    return playlist


def _read_order(playlist: Playlist) -> list[int]:
    items = PlaylistItem.objects.filter(playlist=playlist).order_by("position")
    return list(items.values_list("movie_id", flat=True))


def _replace_items(playlist: Playlist, movie_ids: Sequence[int]) -> None:
    order = list(dict.fromkeys(movie_ids))
    unknown = sorted(set(order) - lock_existing(Movie, order))
    if unknown:
        message = f"There are no movies with these ids: {', '.join(map(str, unknown))}."
        raise field_error("movie_ids", message, "does_not_exist")
    _write_order(playlist, order)


def _write_order(playlist: Playlist, movie_ids: Sequence[int]) -> None:
    """Make these movies the content of a locked playlist, at positions 1, 2, 3 and so on.

    Only items whose position changes are written.
    """
    items = PlaylistItem.objects.filter(playlist=playlist)
    current = set(items.values_list("movie_id", flat=True))
    if not current <= set(movie_ids):
        items.exclude(movie_id__any=movie_ids).delete()
    set_item_positions(playlist_id=playlist.id, movie_ids=movie_ids)
    PlaylistItem.objects.bulk_create(
        PlaylistItem(playlist=playlist, movie_id=movie_id, position=position)
        for position, movie_id in enumerate(movie_ids, start=1)
        if movie_id not in current
    )
    playlist.movie_count = len(movie_ids)
    _increment_version(playlist)


def _check_item_quotas(owner_id: int, *, length: int, adding: int) -> None:
    """Raise Problem (409) if a playlist would be too long, or its locked owner have too many items."""
    check_quota("playlist_items", 0, adding=length)
    own = Playlist.objects.filter(owner_id=owner_id).aggregate(total=Sum("movie_count"))
    check_quota("all_playlist_items", own["total"] or 0, adding=adding)


def _increment_version(playlist: Playlist) -> None:
    playlist.version += 1
    playlist.save(update_fields=["version", "movie_count", "updated_at"])
