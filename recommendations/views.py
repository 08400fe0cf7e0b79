"""The match score, the personal feed and similar films over HTTP."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

from django.http import Http404
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from movies.filters import filtered
from movies.models import Movie
from nexus.core.pagination import paginated_list
from nexus.core.query import PageQuery
from nexus.core.views import PUBLIC, ApiViewSet, Page, contract
from recommendations import engine
from recommendations.filters import FeedQuery
from recommendations.serializers import (
    MatchScoreSerializer,
    RecommendationSerializer,
    SimilarSerializer,
)


class RecommendationViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        query=FeedQuery,
        answers={
            200: Page(RecommendationSerializer, {"strategy": "string", "algorithm": "string"})
        },
    )
    def list(self, request: Request) -> Response:
        """What to watch next: the caller's personal feed.

        Never a title the caller has rated. `strategy` is `personalized` from the first rating on;
        before it is `cold_start`: top rated and trending films, favourite genres first.
        """
        films = filtered(Movie.objects.all(), self.query)
        feed = engine.feed(cast(User, request.user), films, diversity=self.query["diversity"])
        return paginated_list(
            request,
            self.query,
            feed.items,
            _recommendations,
            strategy=feed.strategy,
            algorithm=engine.ALGORITHM,
        )

    @contract(answers={200: MatchScoreSerializer})
    def match_score(self, request: Request, pk: int) -> Response:
        """How likely the caller is to like this film, and why.

        `match_score` is the chance in percent that the caller gives it 4 stars or more. `baseline`
        and the points of the three components add up to it.
        """
        matches = engine.matches(cast(User, request.user), [pk])
        if not matches:
            raise Http404
        answer = {**dataclasses.asdict(matches[0]), "algorithm": engine.ALGORITHM}
        return Response(MatchScoreSerializer(answer).data)


class SimilarViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(query=PageQuery, answers={200: Page(SimilarSerializer)})
    def list(self, request: Request, pk: int) -> Response:
        """Films like this one, most alike first.

        By shared taste where this community's ratings say enough, else by genres, period, people and
        what TMDb lists beside the film.
        """
        movie = Movie.objects.summaries().filter(pk=pk).first()
        if movie is None:
            raise Http404
        return paginated_list(
            request,
            self.query,
            engine.similar(movie),
            _similar,
        )


def _recommendations(items: list[Any]) -> Any:
    return RecommendationSerializer(_with_movies(items), many=True).data


def _similar(items: list[Any]) -> Any:
    return SimilarSerializer(_with_movies(items), many=True).data


def _with_movies(items: Sequence[Any]) -> list[dict[str, Any]]:
    """The page's items with their films, in one query; a film deleted meanwhile is left out."""
    movies = Movie.objects.summaries().in_bulk([item.movie_id for item in items])
    return [
        {**vars(item), "movie": movies[item.movie_id]} for item in items if item.movie_id in movies
    ]
