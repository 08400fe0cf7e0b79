"""Endpoints of the caller's watchlist and viewings."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from movies.models import Movie
from movies.views import LocalizedViewSet
from nexus.core.api.exceptions import NotFound
from nexus.core.api.pagination import paginate
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import PageOf, contract
from social.filters import VIEWINGS_NEWEST_FIRST, WATCHLIST_NEWEST_FIRST, ViewingListQuery
from social.models import Viewing, WatchlistItem
from social.serializers.diary import (
    ViewingSerializer,
    ViewingWriteSerializer,
    WatchlistItemSerializer,
    WatchlistWriteSerializer,
)
from social.services.diary import viewing_add, viewing_remove, watchlist_add, watchlist_remove


def _serialize_items(rows: list[Any]) -> Any:
    return WatchlistItemSerializer(rows, many=True).data


def _serialize_viewings(rows: list[Any]) -> Any:
    return ViewingSerializer(rows, many=True).data


class WatchlistViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=PageQuery, responses={200: PageOf(WatchlistItemSerializer)})
    def list(self, request: Request) -> Response:
        """List the movies on the caller's watchlist, newest first."""
        items = WatchlistItem.objects.with_movie().filter(user_id=self.member_id)
        return paginate(request, self.query, items, WATCHLIST_NEWEST_FIRST, _serialize_items)

    @contract(
        body=WatchlistWriteSerializer,
        responses={201: WatchlistItemSerializer, 200: WatchlistItemSerializer},
        errors={409: "A quota is full, or another request removed the movie at the same time."},
    )
    def create(self, request: Request) -> Response:
        """Put a movie on the watchlist; 200 if it is already on it."""
        item, created = watchlist_add(user_id=self.member_id, movie_id=self.body["movie"])
        return Response(WatchlistItemSerializer(item).data, status=201 if created else 200)

    @contract(
        responses={201: WatchlistItemSerializer, 200: WatchlistItemSerializer},
        errors={409: "A quota is full, or another request removed the movie at the same time."},
    )
    def update(self, request: Request, movie_id: int) -> Response:
        """Put a movie on the watchlist; 200 if it is already on it. Repeating the request is safe."""
        if not Movie.objects.filter(id=movie_id).exists():
            raise NotFound
        item, created = watchlist_add(user_id=self.member_id, movie_id=movie_id)
        return Response(WatchlistItemSerializer(item).data, status=201 if created else 200)

    @contract(responses={204: None})
    def destroy(self, request: Request, movie_id: int) -> Response:
        """Remove a movie from the watchlist."""
        watchlist_remove(user_id=self.member_id, movie_id=movie_id)
        return Response(status=204)


class HistoryViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=ViewingListQuery, responses={200: PageOf(ViewingSerializer)})
    def list(self, request: Request) -> Response:
        """List the caller's viewings, newest first; those of unknown days come last."""
        viewings = Viewing.objects.with_movie().with_moment().filter(user_id=self.member_id)
        if "movie" in self.query:
            viewings = viewings.filter(movie_id=self.query["movie"])
        return paginate(request, self.query, viewings, VIEWINGS_NEWEST_FIRST, _serialize_viewings)

    @contract(
        body=ViewingWriteSerializer,
        responses={201: ViewingSerializer, 200: ViewingSerializer},
        errors={409: "A quota is full: `too_many_viewings`, `too_many_viewing_notes`."},
    )
    def create(self, request: Request) -> Response:
        """Record a viewing; 200 if the same movie is already recorded at the same moment.

        If only the day is known, it is the same viewing on the same day.
        """
        body = dict(self.body)
        viewing, created = viewing_add(user_id=self.member_id, movie_id=body.pop("movie"), **body)
        return Response(ViewingSerializer(viewing).data, status=201 if created else 200)

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a viewing."""
        viewing_remove(user_id=self.member_id, viewing_id=pk)
        return Response(status=204)
