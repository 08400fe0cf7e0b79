"""Playlists over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import reverse
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from nexus.core.api.etag import is_current_version
from nexus.core.api.exceptions import NotFound, Problem
from nexus.core.api.pagination import paginate
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import ApiViewSet, PageOf, contract
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
from social.views.callers import member, shown_playlist, shown_playlists

ONLY_THE_OWNER = "Only its owner may change a playlist."


def _items(rows: list[Any]) -> Any:
    return PlaylistItemSerializer(rows, many=True).data


class PlaylistAccess(ApiViewSet):
    """Who may open and who may change a playlist: its visibility says, and its owner is."""

    permission_classes = [IsAuthenticatedOrReadOnly]

    def _readable(self, pk: UUID) -> Playlist:
        """Raises NotFound (404) for other members' private lists, as for none."""
        lists = Playlist.objects.readable_by(self.request.user.pk).with_owner()
        playlist = lists.filter(id=pk).first()
        if playlist is None:
            raise NotFound
        return playlist

    def _own(self, pk: UUID) -> Playlist:
        """Raises PermissionDenied (403) for what the caller may see but not change."""
        playlist = self._readable(pk)
        if playlist.owner_id != self.request.user.pk:
            raise PermissionDenied(ONLY_THE_OWNER)
        return playlist


class PlaylistViewSet(PlaylistAccess):
    @contract(query=PlaylistListQuery, responses={200: PageOf(PlaylistSerializer)})
    def list(self, request: Request) -> Response:
        """Public playlists and the caller's own."""
        playlists = filter_playlists(
            Playlist.objects.listed_for(request.user.pk).with_owner(), self.query
        )
        ordering = PLAYLIST_ORDERINGS[self.query["ordering"]]
        shown = shown_playlists(request)
        return paginate(request, self.query, playlists, ordering, shown)

    @contract(body=PlaylistWriteSerializer, responses={201: PlaylistSerializer})
    def create(self, request: Request) -> Response:
        """Make a playlist, with films if wanted. `Location` leads to it."""
        playlist = playlist_create(owner=member(request), **self.body)
        return self._made(playlist)

    @contract(responses={200: PlaylistSerializer})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One playlist; its ETag carries the version that a reorder must match."""
        playlist = self._readable(pk)
        response = Response(shown_playlist(request, playlist))
        response.version = playlist.version  # type: ignore[attr-defined]
        return response

    @contract(
        body=PlaylistWriteSerializer,
        responses={200: PlaylistSerializer},
        errors={403: ONLY_THE_OWNER},
    )
    def update(self, request: Request, pk: UUID) -> Response:
        """Change a playlist; what is left out stays as it is, but the name must be sent."""
        return self._changed(pk)

    @contract(
        body=PlaylistWriteSerializer,
        responses={200: PlaylistSerializer},
        errors={403: ONLY_THE_OWNER},
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change what is sent of a playlist."""
        return self._changed(pk)

    @contract(responses={204: None}, errors={403: ONLY_THE_OWNER})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a playlist and its items."""
        playlist_delete(playlist_id=self._own(pk).id)
        return Response(status=204)

    @contract(body=PlaylistCopySerializer, responses={201: PlaylistSerializer})
    def copy(self, request: Request, pk: UUID) -> Response:
        """Make a playlist of the films of another that the caller may open.

        In its order and without its notes; under its name and private, unless told otherwise.
        """
        copied = playlist_copy(owner=member(request), source=self._readable(pk), **self.body)
        return self._made(copied)

    def _changed(self, pk: UUID) -> Response:
        playlist = self._own(pk)
        changed = playlist_update(playlist_id=playlist.id, **self.body)
        changed.owner = playlist.owner
        return Response(shown_playlist(self.request, changed))

    def _made(self, playlist: Playlist) -> Response:
        location = self.request.build_absolute_uri(reverse("playlist-detail", args=[playlist.id]))
        answer = shown_playlist(self.request, playlist)
        return Response(answer, status=201, headers={"Location": location})


class PlaylistItemViewSet(PlaylistAccess):
    @contract(query=PageQuery, responses={200: PageOf(PlaylistItemSerializer)})
    def list(self, request: Request, pk: UUID) -> Response:
        """A playlist's films in order; the ETag carries the version that a reorder must match."""
        playlist = self._readable(pk)
        items = PlaylistItem.objects.with_movie().filter(playlist_id=playlist.id)
        response = paginate(request, self.query, items, BY_POSITION, _items)
        # Read before the items: should they be newer, a reorder with it is refused, not wrong.
        response.version = playlist.version  # type: ignore[attr-defined]
        return response

    @contract(
        body=PlaylistItemsAddSerializer,
        responses={200: PlaylistItemsAddedSerializer},
        errors={403: ONLY_THE_OWNER},
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Add films at the end; those already in stay where they are."""
        playlist = self._own(pk)
        result = playlist_items_add(playlist_id=playlist.id, **self.body)
        return Response(PlaylistItemsAddedSerializer(result).data)

    @contract(
        body=PlaylistItemNoteSerializer,
        responses={200: PlaylistItemSerializer},
        errors={403: ONLY_THE_OWNER},
    )
    def partial_update(self, request: Request, pk: UUID, movie_id: int) -> Response:
        """Set the note on a film in a playlist, where one is sent."""
        playlist = self._own(pk)
        item = playlist_item_annotate(
            playlist_id=playlist.id, movie_id=movie_id, note=self.body.get("note")
        )
        return Response(PlaylistItemSerializer(item).data)

    @contract(responses={204: None}, errors={403: ONLY_THE_OWNER})
    def destroy(self, request: Request, pk: UUID, movie_id: int) -> Response:
        """Take a film out of a playlist; those behind it move up."""
        playlist_item_remove(playlist_id=self._own(pk).id, movie_id=movie_id)
        return Response(status=204)

    @contract(
        body=PlaylistOrderSerializer,
        responses={200: PlaylistOrderSerializer, 204: None},
        errors={
            403: ONLY_THE_OWNER,
            412: "The playlist has changed since the `ETag` in `If-Match` was read.",
            428: "There is no `If-Match`.",
        },
        headers={"If-Match": "The `ETag` of the playlist or of its items."},
    )
    def reorder(self, request: Request, pk: UUID) -> Response:
        """Put all films of a playlist into a new order; the answer's `ETag` serves the next one.

        204 where they are in this order already: nothing changed, and the `ETag` is as it was.
        """
        playlist = self._own(pk)
        if "If-Match" not in request.headers:
            detail = "Send the ETag of the playlist's items as If-Match."
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
