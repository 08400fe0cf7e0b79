"""Who asks, and what is shown to them in particular."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rest_framework.request import Request

from accounts.models import User
from social.models import Playlist
from social.selectors.playlists import get_playlist_previews
from social.serializers.playlists import PlaylistSerializer


def member(request: Request) -> User:
    """The caller, where the permissions let members alone in."""
    assert isinstance(request.user, User)
    return request.user


def shown_playlists(request: Request) -> Callable[[Sequence[Playlist]], Any]:
    """How playlists show to the caller, with two queries for all of them."""

    def shown(rows: Sequence[Playlist]) -> Any:
        context = {"looks": get_playlist_previews(rows, viewer_id=request.user.pk)}
        return PlaylistSerializer(rows, many=True, context=context).data

    return shown


def shown_playlist(request: Request, playlist: Playlist) -> Any:
    """How one playlist shows to the caller."""
    return shown_playlists(request)([playlist])[0]
