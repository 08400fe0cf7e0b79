"""The watchlist and viewings over HTTP: the caller's own, with no way to another member's."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from nexus.core.api.pagination import paginate
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import ApiViewSet, PageOf, contract
from social.filters import VIEWINGS_NEWEST_FIRST, WATCHLIST_NEWEST_FIRST, ViewingListQuery
from social.models import Viewing, WatchlistItem
from social.serializers.diary import (
    ViewingSerializer,
    ViewingWriteSerializer,
    WatchlistItemSerializer,
    WatchlistWriteSerializer,
)
from social.services.diary import viewing_add, viewing_remove, watchlist_add, watchlist_remove
from social.views.callers import member


def _items(rows: list[Any]) -> Any:
    return WatchlistItemSerializer(rows, many=True).data


def _viewings(rows: list[Any]) -> Any:
    return ViewingSerializer(rows, many=True).data


class WatchlistViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=PageQuery, responses={200: PageOf(WatchlistItemSerializer)})
    def list(self, request: Request) -> Response:
        """The films that the caller means to see, last added first."""
        items = WatchlistItem.objects.with_movie().filter(user_id=member(request).pk)
        return paginate(request, self.query, items, WATCHLIST_NEWEST_FIRST, _items)

    @contract(
        body=WatchlistWriteSerializer,
        responses={201: WatchlistItemSerializer, 200: WatchlistItemSerializer},
        errors={409: "The film was taken off and put on elsewhere at the same time."},
    )
    def create(self, request: Request) -> Response:
        """Put a film on the watchlist; 200 where it is on it already."""
        item, created = watchlist_add(user_id=member(request).pk, movie_id=self.body["movie"])
        return Response(WatchlistItemSerializer(item).data, status=201 if created else 200)

    @contract(responses={204: None})
    def destroy(self, request: Request, movie_id: int) -> Response:
        """Take a film off the watchlist."""
        watchlist_remove(user_id=member(request).pk, movie_id=movie_id)
        return Response(status=204)


class HistoryViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=ViewingListQuery, responses={200: PageOf(ViewingSerializer)})
    def list(self, request: Request) -> Response:
        """When the caller saw which film, latest first."""
        viewings = Viewing.objects.with_movie().filter(user_id=member(request).pk)
        if "movie" in self.query:
            viewings = viewings.filter(movie_id=self.query["movie"])
        return paginate(request, self.query, viewings, VIEWINGS_NEWEST_FIRST, _viewings)

    @contract(
        body=ViewingWriteSerializer,
        responses={201: ViewingSerializer, 200: ViewingSerializer},
        errors={409: "The viewing was taken back and noted elsewhere at the same time."},
    )
    def create(self, request: Request) -> Response:
        """Note that the caller saw a film, as often as they saw it; 200 for the same moment again."""
        body = dict(self.body)
        viewing, created = viewing_add(
            user_id=member(request).pk, movie_id=body.pop("movie"), **body
        )
        return Response(ViewingSerializer(viewing).data, status=201 if created else 200)

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Take back a viewing."""
        viewing_remove(user_id=member(request).pk, viewing_id=pk)
        return Response(status=204)
