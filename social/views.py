"""Ratings, reviews, playlists and statistics over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import reverse
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import AllowAny, IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.serializers import PasswordSerializer
from accounts.services import password_matches
from accounts.views import ProfileViewSet
from movies.models import Movie
from nexus.core.conditional import matches_version
from nexus.core.errors import NotFound, Problem, field_error
from nexus.core.pagination import paginated
from nexus.core.query import PageQuery
from nexus.core.ratelimit import hit_or_refuse
from nexus.core.views import PUBLIC, ApiViewSet, Page, contract
from social import services
from social.filters import (
    BY_POSITION,
    NEWEST_FIRST,
    PLAYLIST_ORDERINGS,
    RATING_ORDERINGS,
    PlaylistListQuery,
    RatingListQuery,
    ReviewListQuery,
    filtered_playlists,
    filtered_ratings,
)
from social.models import Playlist, PlaylistItem, Rating
from social.selectors import member_stats
from social.serializers import (
    PlaylistItemNoteSerializer,
    PlaylistItemsAddedSerializer,
    PlaylistItemsAddSerializer,
    PlaylistItemSerializer,
    PlaylistOrderSerializer,
    PlaylistSerializer,
    PlaylistWriteSerializer,
    RatingEditSerializer,
    RatingSerializer,
    RatingWriteSerializer,
    ReviewSerializer,
    StatsSerializer,
)

ONLY_THE_OWNER = "Only its owner may change a playlist."


def _member(request: Request) -> User:
    """The caller, where the permissions let members alone in."""
    assert isinstance(request.user, User)
    return request.user


def _ratings(rows: list[Any]) -> Any:
    return RatingSerializer(rows, many=True).data


def _reviews(rows: list[Any]) -> Any:
    return ReviewSerializer(rows, many=True).data


def _playlists(rows: list[Any]) -> Any:
    return PlaylistSerializer(rows, many=True).data


def _items(rows: list[Any]) -> Any:
    return PlaylistItemSerializer(rows, many=True).data


class RatingViewSet(ApiViewSet):
    """The caller's own ratings; there is no way to another member's."""

    permission_classes = [IsAuthenticated]

    @contract(query=RatingListQuery, answers={200: Page(RatingSerializer)})
    def list(self, request: Request) -> Response:
        """The caller's ratings."""
        ratings = filtered_ratings(
            Rating.objects.with_movie().filter(user_id=_member(request).pk), self.query
        )
        ordering = RATING_ORDERINGS[self.query["ordering"]]
        return paginated(request, self.query, ratings, ordering, _ratings)

    @contract(
        body=RatingWriteSerializer,
        answers={201: RatingSerializer, 200: RatingSerializer},
        errors={409: "The rating was withdrawn and made again elsewhere at the same time."},
    )
    def create(self, request: Request) -> Response:
        """Rate a film, or rate it anew.

        201 for a first rating, 200 for a replaced one, which keeps the review and the spoiler mark
        that are not sent. Sending the same again is safe.
        """
        body = dict(self.body)
        outcome = services.rating_set(
            user_id=_member(request).pk, movie_id=body.pop("movie"), **body
        )
        status = 201 if outcome.created else 200
        return Response(RatingSerializer(outcome.rating).data, status=status)

    @contract(answers={200: RatingSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """One rating of the caller's."""
        return Response(RatingSerializer(self._own(pk)).data)

    @contract(body=RatingEditSerializer, answers={200: RatingSerializer})
    def update(self, request: Request, pk: int) -> Response:
        """Change a rating; what is left out stays as it is, but the score must be sent."""
        return self._changed(pk)

    @contract(body=RatingEditSerializer, answers={200: RatingSerializer})
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is sent of a rating."""
        return self._changed(pk)

    @contract(answers={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Withdraw a rating."""
        services.rating_delete(rating_id=self._own(pk).id)
        return Response(status=204)

    def _own(self, pk: int) -> Rating:
        own = Rating.objects.with_movie().filter(id=pk, user_id=_member(self.request).pk).first()
        if own is None:
            raise NotFound
        return own

    def _changed(self, pk: int) -> Response:
        rating = self._own(pk)
        body = dict(self.body)
        if body.pop("movie", rating.movie_id) != rating.movie_id:
            raise field_error("movie", "A rating stays with its film; rate the other one.")
        return Response(RatingSerializer(services.rating_update(rating_id=rating.id, **body)).data)


class ReviewViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(query=ReviewListQuery, answers={200: Page(ReviewSerializer)})
    def list(self, request: Request, movie_id: int) -> Response:
        """What members with a public profile wrote of a film, newest first."""
        if not Movie.objects.filter(id=movie_id).exists():
            raise NotFound
        reviews = Rating.objects.visible_reviews().filter(movie_id=movie_id).with_author()
        if self.query["hide_spoilers"]:
            reviews = reviews.filter(contains_spoilers=False)
        return paginated(request, self.query, reviews, NEWEST_FIRST, _reviews)


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
    @contract(query=PlaylistListQuery, answers={200: Page(PlaylistSerializer)})
    def list(self, request: Request) -> Response:
        """Public playlists and the caller's own."""
        playlists = filtered_playlists(
            Playlist.objects.listed_for(request.user.pk).with_owner(), self.query
        )
        ordering = PLAYLIST_ORDERINGS[self.query["ordering"]]
        return paginated(request, self.query, playlists, ordering, _playlists)

    @contract(body=PlaylistWriteSerializer, answers={201: PlaylistSerializer})
    def create(self, request: Request) -> Response:
        """Make a playlist, with films if wanted. `Location` leads to it."""
        playlist = services.playlist_create(owner=_member(request), **self.body)
        location = request.build_absolute_uri(reverse("playlist-detail", args=[playlist.id]))
        return Response(
            PlaylistSerializer(playlist).data, status=201, headers={"Location": location}
        )

    @contract(answers={200: PlaylistSerializer})
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One playlist; its ETag carries the version that a reorder must match."""
        playlist = self._readable(pk)
        response = Response(PlaylistSerializer(playlist).data)
        response.version = playlist.version  # type: ignore[attr-defined]
        return response

    @contract(
        body=PlaylistWriteSerializer,
        answers={200: PlaylistSerializer},
        errors={403: ONLY_THE_OWNER},
    )
    def update(self, request: Request, pk: UUID) -> Response:
        """Change a playlist; what is left out stays as it is, but the name must be sent."""
        return self._changed(pk)

    @contract(
        body=PlaylistWriteSerializer,
        answers={200: PlaylistSerializer},
        errors={403: ONLY_THE_OWNER},
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change what is sent of a playlist."""
        return self._changed(pk)

    @contract(answers={204: None}, errors={403: ONLY_THE_OWNER})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a playlist and its items."""
        services.playlist_delete(playlist_id=self._own(pk).id)
        return Response(status=204)

    def _changed(self, pk: UUID) -> Response:
        playlist = self._own(pk)
        changed = services.playlist_update(playlist_id=playlist.id, **self.body)
        changed.owner = playlist.owner
        return Response(PlaylistSerializer(changed).data)


class PlaylistItemViewSet(PlaylistAccess):
    @contract(query=PageQuery, answers={200: Page(PlaylistItemSerializer)})
    def list(self, request: Request, pk: UUID) -> Response:
        """A playlist's films in order; the ETag carries the version that a reorder must match."""
        playlist = self._readable(pk)
        items = PlaylistItem.objects.with_movie().filter(playlist_id=playlist.id)
        response = paginated(request, self.query, items, BY_POSITION, _items)
        # Read before the items: should they be newer, a reorder with it is refused, not wrong.
        response.version = playlist.version  # type: ignore[attr-defined]
        return response

    @contract(
        body=PlaylistItemsAddSerializer,
        answers={200: PlaylistItemsAddedSerializer},
        errors={403: ONLY_THE_OWNER},
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Add films at the end; those already in stay where they are."""
        playlist = self._own(pk)
        outcome = services.playlist_items_add(playlist_id=playlist.id, **self.body)
        return Response(PlaylistItemsAddedSerializer(outcome).data)

    @contract(
        body=PlaylistItemNoteSerializer,
        answers={200: PlaylistItemSerializer},
        errors={403: ONLY_THE_OWNER},
    )
    def partial_update(self, request: Request, pk: UUID, movie_id: int) -> Response:
        """Set the note on a film in a playlist, where one is sent."""
        playlist = self._own(pk)
        item = services.playlist_item_annotate(
            playlist_id=playlist.id, movie_id=movie_id, note=self.body.get("note")
        )
        return Response(PlaylistItemSerializer(item).data)

    @contract(answers={204: None}, errors={403: ONLY_THE_OWNER})
    def destroy(self, request: Request, pk: UUID, movie_id: int) -> Response:
        """Take a film out of a playlist; those behind it move up."""
        services.playlist_item_remove(playlist_id=self._own(pk).id, movie_id=movie_id)
        return Response(status=204)

    @contract(
        body=PlaylistOrderSerializer,
        answers={200: PlaylistOrderSerializer},
        errors={
            403: ONLY_THE_OWNER,
            412: "The playlist has changed since the `ETag` in `If-Match` was read.",
            428: "There is no `If-Match`.",
        },
        headers={"If-Match": "The `ETag` of the playlist or of its items."},
    )
    def reorder(self, request: Request, pk: UUID) -> Response:
        """Put all films of a playlist into a new order; the answer's `ETag` serves the next one."""
        playlist = self._own(pk)
        if "If-Match" not in request.headers:
            detail = "Send the ETag of the playlist's items as If-Match."
            raise Problem(428, "precondition_required", detail)
        movie_ids = self.body["movie_ids"]
        changed = services.playlist_reorder(
            playlist_id=playlist.id,
            movie_ids=movie_ids,
            is_current=lambda version: matches_version(request._request, version),
        )
        return Response({"movie_ids": movie_ids}, headers={"ETag": f'"{changed.version}"'})


class StatsViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(answers={200: StatsSerializer})
    def retrieve(self, request: Request) -> Response:
        """The caller's ratings in numbers; a rating counts as one viewing."""
        return Response(StatsSerializer(member_stats(user_id=_member(request).pk)).data)


class MeViewSet(ProfileViewSet):
    """The caller's profile, which accounts owns, and leaving, which takes what social knows."""

    @contract(
        body=PasswordSerializer,
        answers={204: None},
        errors={400: "The password is missing or wrong."},
    )
    def destroy(self, request: Request) -> Response:
        """Delete the account and everything it owns."""
        user = _member(request)
        hit_or_refuse(request, "login_account", str(user.pk))
        if not password_matches(user=user, password=self.body["password"]):
            raise field_error("password", "This is not the account's password.", "wrong_password")
        services.account_delete(user=user)
        return Response(status=204)
