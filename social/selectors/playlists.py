"""What a list of playlists shows of the films in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection

from social.models import Playlist, PlaylistItem

COVERS = 4
# How far a list is read for its covers.
_COVERS_WITHIN = 20
# Lists that are longer say nothing of what was seen, where many lists are shown at once.
LONG = 1000


@dataclass
class PlaylistPreview:
    """`seen_count` is None for nobody, and where it would cost too much to count."""

    poster_paths: list[str] = field(default_factory=list)
    seen_count: int | None = None


def get_playlist_previews(
    playlists: Sequence[Playlist], *, viewer_id: int | None
) -> dict[UUID, PlaylistPreview]:
    """The covers of these lists and how many of their films the viewer has seen, in two queries."""
    looks = {playlist.id: PlaylistPreview() for playlist in playlists}
    filled = [playlist for playlist in playlists if playlist.movie_count]
    for playlist_id, paths in _covers([playlist.id for playlist in filled]).items():
        looks[playlist_id].poster_paths = paths
    if viewer_id is None:
        return looks
    counted = [each for each in playlists if len(playlists) == 1 or each.movie_count <= LONG]
    seen = _seen([playlist.id for playlist in counted], viewer_id)
    for playlist in counted:
        looks[playlist.id].seen_count = seen.get(playlist.id, 0)
    return looks


def _covers(playlist_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    if not playlist_ids:
        return {}
    items = (
        PlaylistItem.objects.filter(playlist_id__in=playlist_ids, position__lte=_COVERS_WITHIN)
        .exclude(movie__poster_path="")
        .select_related("movie")
        .only("playlist_id", "movie__poster_path", "movie__source", "movie__synced_at")
        .order_by("playlist_id", "position")
    )
    covers: dict[UUID, list[str]] = defaultdict(list)
    for item in items:
        # Of a film that is stale, TMDb's images are not shown.
        if not item.movie.is_stale and len(covers[item.playlist_id]) < COVERS:
            covers[item.playlist_id].append(item.movie.poster_path)
    return covers


def _seen(playlist_ids: Sequence[UUID], viewer_id: int) -> dict[UUID, int]:
    """By list; a film is seen once it was rated or watched."""
    if not playlist_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH seen AS MATERIALIZED ("
            " SELECT movie_id FROM social_rating WHERE user_id = %s"
            " UNION SELECT movie_id FROM social_viewing WHERE user_id = %s"
            ") SELECT item.playlist_id, count(*) FROM social_playlistitem AS item"
            " JOIN seen USING (movie_id) WHERE item.playlist_id = ANY(%s) GROUP BY 1",
            [viewer_id, viewer_id, list(playlist_ids)],
        )
        return dict(cursor.fetchall())
