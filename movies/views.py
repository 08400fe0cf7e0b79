"""The catalogue over HTTP; members read it, and only imports and admins write it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.http import Http404
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from movies.filters import (
    ORDERINGS,
    MovieFilters,
    MovieListQuery,
    annotate_rank,
    bounded,
    by_relevance,
    filter_movies,
)
from movies.models import Movie
from movies.selectors import count_movies_by_genre, get_movie_detail
from movies.serializers import (
    SUMMARY_COLUMNS,
    GenreSerializer,
    MovieSerializer,
    MovieSummarySerializer,
    movie_summary_payload,
)
from nexus.core.api.pagination import paginate
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import PUBLIC, ApiViewSet, ListOf, PageOf, contract
from nexus.core.db.bounded_page import Reader


class TopRatedQuery(MovieFilters, PageQuery):
    """The catalogue's filters and the page."""


def summaries(movies: list[Any]) -> Any:
    """A page of films as plain data."""
    return MovieSummarySerializer(movies, many=True).data


def _summaries_of(rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    payloads = []
    for values in rows:
        row = dict(zip(SUMMARY_COLUMNS, values, strict=True))
        row["genres"] = json.loads(row["genres"])
        payloads.append(movie_summary_payload(row))
    return payloads


#: A page of films as plain data.
SUMMARIES = Reader(tuple(f"{{table}}.{name}" for name in SUMMARY_COLUMNS), _summaries_of)


def movie_page(
    request: Request,
    query: dict[str, Any],
    ordering: str,
) -> Response:
    """The page that a validated MovieListQuery asks for, in one of ORDERINGS."""
    every = Movie.objects.summaries()
    if ordering.endswith("relevance"):
        every = annotate_rank(every, query["search"])
    order = bounded(ORDERINGS[ordering], every, query)
    if ordering.endswith("relevance"):
        order = by_relevance(order, query["search"])
    return paginate(request, query, filter_movies(every, query), order, summaries, reader=SUMMARIES)


class MovieViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC
    queryset = Movie.objects.all()

    @contract(query=MovieListQuery, responses={200: PageOf(MovieSummarySerializer)})
    def list(self, request: Request) -> Response:
        """Find films.

        Filters narrow one another; `search` looks at title, original title and people.
        """
        return movie_page(request, self.query, self.query["ordering"])

    @contract(query=TopRatedQuery, responses={200: PageOf(MovieSummarySerializer)})
    def top_rated(self, request: Request) -> Response:
        """The best films, by weighted rating.

        The Bayesian mean of TMDb's votes and this community's ratings, so that a film with few
        votes does not stand above one that thousands liked.
        """
        return movie_page(request, self.query, "-weighted_rating")

    @contract(responses={200: MovieSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """One film, with its people, keywords and provenance.

        What a list of TMDb's left out is fetched when the film is first asked for, and so is what
        has grown older than TMDb's terms allow. Where that fails, `provenance.stale` tells, and
        TMDb's texts and images are left out.
        """
        film = self.held(pk)
        if film is None:
            raise Http404
        return Response(MovieSerializer(film).data)

    def held(self, pk: int) -> Movie | None:
        """The film to show; where the route is mounted, whoever knows its source may complete it."""
        return get_movie_detail(pk)


class GenreViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(responses={200: ListOf(GenreSerializer)})
    def list(self, request: Request) -> Response:
        """TMDb's genres, with the number of films of each."""
        return Response(GenreSerializer(count_movies_by_genre(), many=True).data)
