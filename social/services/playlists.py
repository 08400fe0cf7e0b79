"""Writes of playlists.

Each locks its rating or playlist before it looks at it, and a film's counters last. Rows that are
only referred to are locked FOR KEY SHARE, which stands in nobody's way but a deletion's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from accounts.models import User
from movies.models import Movie
from nexus.core.api.exceptions import NotFound, Problem, field_error
from social.models import Playlist, PlaylistItem
from social.services.locks import account_not_found, lock_existing

MAX_ITEMS = 10_000


@dataclass(frozen=True)
class ItemsAdded:
    """What became of the films sent, each list in the order sent."""

    added: list[int]
    existing: list[int]
    not_found: list[int]


@dataclass(frozen=True)
class Reordered:
    playlist: Playlist
    changed: bool


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
    if not lock_existing(User, [owner.pk]):
        raise account_not_found()
    playlist = Playlist.objects.create(
        owner=owner,
        name=name,
        description=description,
        visibility=visibility,
        published_at=timezone.now() if visibility == Playlist.Visibility.PUBLIC else None,
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
    if playlist.visibility == Playlist.Visibility.PUBLIC and playlist.published_at is None:
        playlist.published_at = timezone.now()
    playlist.save(update_fields=["name", "description", "visibility", "published_at", "updated_at"])
    if movie_ids is not None:
        _items_replace(playlist, movie_ids)
    return playlist


@transaction.atomic
def playlist_copy(
    *, owner: User, source: Playlist, name: str | None = None, visibility: str | None = None
) -> Playlist:
    """A new playlist of the films of another, in its order and without its notes.

    It has the other's name where None is given, and is private where no visibility is.
    """
    copy = playlist_create(
        owner=owner,
        name=name if name is not None else source.name,
        visibility=visibility or Playlist.Visibility.PRIVATE,
    )
    items = PlaylistItem.objects.filter(playlist=source).order_by("position")
    movie_ids = list(items.values_list("movie_id", flat=True))
    known = lock_existing(Movie, movie_ids)
    _items_append(copy, [movie_id for movie_id in movie_ids if movie_id in known])
    _settle(copy)
    return copy


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
    known = lock_existing(Movie, wanted)
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
def playlist_items_remove(*, playlist_id: UUID, movie_ids: Sequence[int]) -> int:
    """Take films out, how many were in; those behind move up. Raises NotFound where it is gone."""
    playlist = _locked(playlist_id)
    removed, _ = PlaylistItem.objects.filter(playlist=playlist, movie_id__in=movie_ids).delete()
    if removed:
        _settle(playlist)
    return removed


@transaction.atomic
def playlist_reorder(
    *, playlist_id: UUID, movie_ids: Sequence[int], is_current: Callable[[int], bool]
) -> Reordered:
    """Put all films of a playlist into this order, if its version `is_current`.

    Where they are in this order already, nothing changes, the version included. Raises Problem (412)
    where the version is not current, ValidationError (400) where the films are not exactly its own,
    NotFound where the playlist is gone.
    """
    playlist = _locked(playlist_id)
    if not is_current(playlist.version):
        detail = "The playlist has changed since. Read its items again."
        raise Problem(412, "precondition_failed", detail)
    items = PlaylistItem.objects.filter(playlist=playlist).order_by("position")
    members = list(items.values_list("movie_id", flat=True))
    if len(movie_ids) != len(members) or set(movie_ids) != set(members):
        message = "Send every film of the playlist exactly once, and no other."
        raise field_error("movie_ids", message, "not_the_members")
    changed = list(movie_ids) != members
    if changed:
        _items_place(playlist, movie_ids)
        _settle(playlist)
    return Reordered(playlist, changed)


def _locked(playlist_id: UUID) -> Playlist:
    playlist = Playlist.objects.select_for_update().filter(id=playlist_id).first()
    if playlist is None:
        raise NotFound
    return playlist


def _items_replace(playlist: Playlist, movie_ids: Sequence[int]) -> None:
    wanted = list(dict.fromkeys(movie_ids))
    unknown = sorted(set(wanted) - lock_existing(Movie, wanted))
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
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO social_playlistitem (playlist_id, movie_id, position, note, added_at)"
            " SELECT %s, wanted.movie_id, %s + wanted.position, '', %s"
            " FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (movie_id, position)",
            [playlist.id, last, timezone.now(), list(movie_ids)],
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
