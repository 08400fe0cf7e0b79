"""Endpoints of playlists and their items."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.urls import reverse
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from movies.views import LocalizedViewSet
from nexus.core.api.etag import is_current_version
from nexus.core.api.exceptions import NotFound, Problem
from nexus.core.api.pagination import paginate
from nexus.core.api.permissions import IsNotGuestOrReadOnly
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import PageOf, contract
from social.filters import (
    BY_POSITION,
    PLAYLIST_ORDERINGS,
    PlaylistListQuery,
    filter_playlists,
)
from social.models import Playlist, PlaylistItem
from social.serializers.playlists import (
    PlaylistCopySerializer,
    PlaylistItemNoteSerializer,
    PlaylistItemsAddedSerializer,
    PlaylistItemsAddSerializer,
    PlaylistItemSerializer,
    PlaylistOrderSerializer,
    PlaylistSerializer,
    PlaylistWriteSerializer,
    serialize_playlists,
)
from social.services.playlists import (
    playlist_copy,
    playlist_create,
    playlist_delete,
    playlist_item_annotate,
    playlist_item_remove,
    playlist_items_add,
    playlist_reorder,
    playlist_update,
)

ONLY_OWNER = "Only its owner may change a playlist."
MAY_NOT_SHARE = "A moderator has made the playlist private, so it cannot be shared."


def _serialize_items(rows: list[Any]) -> Any:
    return PlaylistItemSerializer(rows, many=True).data


class PlaylistAccess(LocalizedViewSet):
    """Finds the playlist of a request and checks that the caller may read or change it."""

    permission_classes = [IsAuthenticatedOrReadOnly, IsNotGuestOrReadOnly]

    def _get_readable(self, pk: UUID) -> Playlist:
        """Return a playlist. Raises NotFound (404) also for another member's private one."""
        playlists = Playlist.objects.readable_by(self.request.user.pk).with_owner()
        playlist = playlists.filter(id=pk).first()
        if playlist is None:
            raise NotFound
        return playlist

    def _get_own(self, pk: UUID) -> Playlist:
        """Return one of the caller's playlists.

        Raises PermissionDenied (403) for another member's playlist that the caller may read,
        NotFound (404) for one they may not read.
        """
        playlist = self._get_readable(pk)
        if playlist.owner_id != self.request.user.pk:
            raise PermissionDenied(ONLY_OWNER)
        return playlist


class PlaylistViewSet(PlaylistAccess):
    @contract(query=PlaylistListQuery, responses={200: PageOf(PlaylistSerializer)})
    def list(self, request: Request) -> Response:
        """List public playlists and the caller's own."""
        playlists = filter_playlists(
            Playlist.objects.listed_for(request.user.pk).with_owner(), self.query
        )
        return paginate(
            request,
            self.query,
            playlists,
            PLAYLIST_ORDERINGS[self.query["ordering"]],
            lambda rows: serialize_playlists(rows, viewer_id=request.user.pk),
        )

    @contract(
        body=PlaylistWriteSerializer,
        responses={201: PlaylistSerializer},
        errors={409: "A quota is full: `too_many_playlists`."},
        response_headers={201: ["Location"]},
    )
    def create(self, request: Request) -> Response:
        """Create a playlist, optionally with movies.

        `Location` is its URL.
        """
        playlist = playlist_create(owner=cast(User, request.user), **self.body)
        return self._build_created_response(playlist)

    @contract(responses={200: PlaylistSerializer})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Return a playlist.

        Its `ETag` carries the version that a reorder must match.
        """
        playlist = self._get_readable(pk)
        response = Response(self._serialize(playlist))
        response.version = playlist.version  # type: ignore[attr-defined]
        return response

    @contract(
        body=PlaylistWriteSerializer,
        responses={200: PlaylistSerializer},
        errors={403: f"{ONLY_OWNER} {MAY_NOT_SHARE}"},
    )
    def update(self, request: Request, pk: UUID) -> Response:
        """Change a playlist. The name is required; other fields that are not sent do not change."""
        return self._change(pk)

    @contract(
        body=PlaylistWriteSerializer,
        responses={200: PlaylistSerializer},
        errors={403: f"{ONLY_OWNER} {MAY_NOT_SHARE}"},
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change the fields of a playlist that are sent."""
        return self._change(pk)

    @contract(responses={204: None}, errors={403: ONLY_OWNER})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a playlist and its items."""
        playlist_delete(playlist_id=self._get_own(pk).id)
        return Response(status=204)

    @contract(
        body=PlaylistCopySerializer,
        responses={201: PlaylistSerializer},
        errors={
            403: MAY_NOT_SHARE,
            409: "A quota is full: `too_many_playlists`, `too_many_playlist_items`,"
            " `too_many_all_playlist_items`.",
        },
        response_headers={201: ["Location"]},
    )
    def copy(self, request: Request, pk: UUID) -> Response:
        """Create a playlist with the movies of another one that the caller may read.

        The copy has the order of its source and no notes. By default it has the same name and is
        private.
        """
        source = self._get_readable(pk)
        copy = playlist_copy(owner=cast(User, request.user), source=source, **self.body)
        return self._build_created_response(copy)

    def _change(self, pk: UUID) -> Response:
        owner = self._get_own(pk).owner
        playlist = playlist_update(playlist_id=pk, **self.body)
        playlist.owner = owner
        return Response(self._serialize(playlist))

    def _build_created_response(self, playlist: Playlist) -> Response:
        location = self.request.build_absolute_uri(reverse("playlist-detail", args=[playlist.id]))
        return Response(self._serialize(playlist), status=201, headers={"Location": location})

    def _serialize(self, playlist: Playlist) -> Any:
        return serialize_playlists([playlist], viewer_id=self.request.user.pk)[0]


class PlaylistItemViewSet(PlaylistAccess):
    @contract(query=PageQuery, responses={200: PageOf(PlaylistItemSerializer)})
    def list(self, request: Request, pk: UUID) -> Response:
        """List a playlist's items in order.

        The `ETag` carries the version that a reorder must match.
        """
        playlist = self._get_readable(pk)
        items = PlaylistItem.objects.with_movie().filter(playlist_id=playlist.id)
        response = paginate(request, self.query, items, BY_POSITION, _serialize_items)
        # The version was read before the items. If they are newer, a reorder is rejected (412).
        response.version = playlist.version  # type: ignore[attr-defined]
        return response

    @contract(
        body=PlaylistItemsAddSerializer,
        responses={200: PlaylistItemsAddedSerializer},
        errors={
            403: ONLY_OWNER,
            409: "A quota is full: `too_many_playlist_items`, `too_many_all_playlist_items`.",
        },
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Append movies. Movies that are already in the playlist do not move."""
        playlist = self._get_own(pk)
        result = playlist_items_add(playlist_id=playlist.id, **self.body)
        return Response(PlaylistItemsAddedSerializer(result).data)

    @contract(
        body=PlaylistItemNoteSerializer,
        responses={200: PlaylistItemSerializer},
        errors={403: ONLY_OWNER},
    )
    def partial_update(self, request: Request, pk: UUID, movie_id: int) -> Response:
        """Set the note of an item, if one is sent."""
        playlist = self._get_own(pk)
        item = playlist_item_annotate(
            playlist_id=playlist.id, movie_id=movie_id, note=self.body.get("note")
        )
        return Response(PlaylistItemSerializer(item).data)

    @contract(responses={204: None}, errors={403: ONLY_OWNER})
    def destroy(self, request: Request, pk: UUID, movie_id: int) -> Response:
        """Remove a movie from a playlist. The ones behind it move up."""
        playlist_item_remove(playlist_id=self._get_own(pk).id, movie_id=movie_id)
        return Response(status=204)

    @contract(
        body=PlaylistOrderSerializer,
        responses={200: PlaylistOrderSerializer, 204: None},
        errors={
            403: ONLY_OWNER,
            412: "The playlist has changed since the `ETag` in `If-Match` was read.",
            428: "`If-Match` is missing.",
        },
        response_headers={200: ["ETag"], 204: ["ETag"]},
        headers={"If-Match": "The `ETag` of the playlist or of its items."},
    )
    def reorder(self, request: Request, pk: UUID) -> Response:
        """Put all movies of a playlist into a new order.

        The `ETag` of the response is the `If-Match` of the next reorder. 204 if the movies are
        already in this order: nothing changed, not even the `ETag`.
        """
        playlist = self._get_own(pk)
        if "If-Match" not in request.headers:
            detail = "Send the ETag of the playlist's items in the header If-Match."
            raise Problem(428, "precondition_required", detail)
        movie_ids = self.body["movie_ids"]
        playlist, is_changed = playlist_reorder(
            playlist_id=playlist.id,
            movie_ids=movie_ids,
            is_current=lambda version: is_current_version(request._request, version),
        )
        headers = {"ETag": f'"{playlist.version}"'}
        if not is_changed:
            return Response(status=204, headers=headers)
        return Response({"movie_ids": movie_ids}, headers=headers)
