"""Previews of playlists: covers, and how many of the movies the viewer has seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Count

from social.models import Playlist, PlaylistItem, Rating, Viewing

MAX_COVERS = 4
#: Covers are the first posters among this many items.
MAX_COVER_POSITION = 20
#: In a list of several playlists, `seen_count` is not counted for longer ones.
MAX_COUNTED_ITEMS = 1000


@dataclass
class PlaylistPreview:
    """What a playlist shows in addition to its own fields.

    `seen_count` is None if there is no viewer or the playlist is too long to count.
    """

    poster_paths: list[str] = field(default_factory=list)
    seen_count: int | None = None


def get_playlist_previews(
    playlists: Sequence[Playlist], *, viewer_id: int | None
) -> dict[UUID, PlaylistPreview]:
    """Return the previews of playlists by id, in two queries."""
    previews = {playlist.id: PlaylistPreview() for playlist in playlists}
    with_items = [playlist.id for playlist in playlists if playlist.movie_count]
    for playlist_id, poster_paths in _read_poster_paths(with_items).items():
        previews[playlist_id].poster_paths = poster_paths
    if viewer_id is not None:
        counted = [
            playlist.id
            for playlist in playlists
            if len(playlists) == 1 or playlist.movie_count <= MAX_COUNTED_ITEMS
        ]
        seen_counts = _count_seen(counted, viewer_id)
        for playlist_id in counted:
            previews[playlist_id].seen_count = seen_counts.get(playlist_id, 0)
    return previews


def _read_poster_paths(playlist_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    if not playlist_ids:
        return {}
    items = (
        PlaylistItem.objects.filter(playlist_id__in=playlist_ids, position__lte=MAX_COVER_POSITION)
        .exclude(movie__poster_path="")
        .select_related("movie")
        .only("playlist_id", "movie__poster_path", "movie__source", "movie__synced_at")
        .order_by("playlist_id", "position")
    )
    poster_paths: dict[UUID, list[str]] = defaultdict(list)
    for item in items:
        # TMDb's terms forbid to show the images of a stale movie.
        if not item.movie.is_stale and len(poster_paths[item.playlist_id]) < MAX_COVERS:
            poster_paths[item.playlist_id].append(item.movie.poster_path)
    return poster_paths


def _count_seen(playlist_ids: Sequence[UUID], viewer_id: int) -> dict[UUID, int]:
    """Count the movies of each playlist that the viewer has rated or watched."""
    if not playlist_ids:
        return {}
    rated = Rating.objects.filter(user_id=viewer_id).order_by().values("movie_id")
    watched = Viewing.objects.filter(user_id=viewer_id).order_by().values("movie_id")
    items = PlaylistItem.objects.filter(
        playlist_id__in=playlist_ids, movie_id__in=rated.union(watched)
    )
    counts = items.order_by().values("playlist_id").annotate(count=Count("id"))
    return dict(counts.values_list("playlist_id", "count"))
