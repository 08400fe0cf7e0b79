"""TMDb's search and import, the detail of a movie and the trending movies over HTTP.

A failure of TMDb is reported as such (502 or 503), never as a mistake of the caller.
"""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from movies.models import Movie
from movies.serializers import MovieSerializer, MovieSummarySerializer
from movies.views import LocalizedViewSet, serialize_movies
from nexus.core.api.fields import UTCDateTimeField
from nexus.core.api.pagination import get_slice_bounds, paginate, paginate_slice, paginate_upstream
from nexus.core.api.throttling import ScopedThrottle
from nexus.core.api.views import NO_STORE, PUBLIC, ApiViewSet, ListOf, PageOf, contract
from tmdb.cache import SearchTerms
from tmdb.client.errors import TmdbError
from tmdb.filters import LAST_PAGE, TmdbSearchQuery, TrendingQuery
from tmdb.gateway import TIME_LIMIT_S, time_limit
from tmdb.selectors import get_tmdb_status, search_tmdb
from tmdb.serializers import (
    BulkImportResultSerializer,
    SearchHitSerializer,
    TmdbBulkImportWriteSerializer,
    TmdbImportWriteSerializer,
    TmdbStatusSerializer,
)
from tmdb.services import (
    movie_complete,
    movie_import,
    movie_import_by_imdb_id,
    movies_import,
)
from tmdb.trending import TmdbTrend, get_community_trend
from tmdb.views.base import TMDB_ERRORS, TmdbViewSet


class TmdbSearchViewSet(TmdbViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [ScopedThrottle]
    throttle_scope = "tmdb"

    @contract(
        query=TmdbSearchQuery,
        responses={200: PageOf(SearchHitSerializer)},
        errors={429: "Too many searches of TMDb from this address.", **TMDB_ERRORS},
    )
    def list(self, request: Request) -> Response:
        """Search TMDb for movies.

        Results have TMDb's own fields, with `in_library` and `movie_id` for movies that this
        catalogue stores.
        """
        page = search_tmdb(SearchTerms(**self.query))
        response = paginate_upstream(
            request,
            number=self.query["page"],
            last=min(page.total_pages, LAST_PAGE),
            count=page.total_results,
            results=list(SearchHitSerializer(page.results, many=True).data),
        )
        response["Age"] = str(page.age_s)
        response["Content-Language"] = self.query["language"]
        return response


class TmdbStatusViewSet(ApiViewSet):
    permission_classes = [AllowAny]

    @contract(responses={200: TmdbStatusSerializer})
    def retrieve(self, request: Request) -> Response:
        """Get the state of this service's access to TMDb.

        It covers all workers together and sends no request to TMDb.
        """
        return Response(TmdbStatusSerializer(get_tmdb_status()).data)


class TmdbImportViewSet(LocalizedViewSet, TmdbViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        body=TmdbImportWriteSerializer,
        responses={201: MovieSerializer, 200: MovieSerializer},
        errors={404: "TMDb has no such movie, or it is an adult title.", **TMDB_ERRORS},
        response_headers={201: ["Location"], 200: ["Location"]},
    )
    def create(self, request: Request) -> Response:
        """Import a movie from TMDb by its TMDb id or IMDb id.

        201 if it is new, 200 if it was stored already. A stored movie is refreshed if it is older
        than TMDb's terms allow, or with `refresh`.
        """
        if "imdb_id" in self.body:
            imported = movie_import_by_imdb_id(**self.body)
        else:
            imported = movie_import(**self.body)
        movie = get_object_or_404(Movie.objects.with_credits(), pk=imported.movie.pk)
        return Response(
            MovieSerializer(movie).data,
            status=status.HTTP_201_CREATED if imported.created else status.HTTP_200_OK,
            headers={"Location": reverse("movie-detail", args=[movie.pk])},
        )


class TmdbBulkImportViewSet(TmdbViewSet):
    permission_classes = [IsAuthenticated]
    throttle_classes = [ScopedThrottle]
    throttle_scope = "tmdb_bulk"

    @contract(
        body=TmdbBulkImportWriteSerializer,
        responses={200: ListOf(BulkImportResultSerializer)},
        errors={
            429: "Too many bulk imports from this address.",
            502: "tmdb_auth_failed, if no movie could be imported because of it",
            503: "tmdb_not_configured, if no movie could be imported because of it; "
            "tmdb_unavailable with Retry-After, if too many requests wait for TMDb already",
        },
    )
    def create(self, request: Request) -> Response:
        """Import up to twenty movies from TMDb.

        One result per id, in order. A movie that TMDb did not return in time is an `error` and can
        be requested again; it does not affect the others.
        """
        results = movies_import(tmdb_ids=self.body["tmdb_ids"])
        return Response(BulkImportResultSerializer(results, many=True).data)


class MovieDetailViewSet(LocalizedViewSet):
    """A movie's detail; it is here because TMDb supplies what is missing or stale.

    recommendations.views mounts it, and adds what `append` names.
    """

    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(responses={200: MovieSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """Get a movie with its people, keywords and provenance.

        Details that are missing or older than TMDb's terms allow are fetched from TMDb first. If
        that fails, `provenance.stale` is true and TMDb's texts and images are left out.
        """
        movies = Movie.objects.with_credits()
        movie = get_object_or_404(movies, pk=pk)
        if movie_complete(movie=movie):
            movie = get_object_or_404(movies.all(), pk=pk)
        return Response(MovieSerializer(movie).data)


class TrendingViewSet(LocalizedViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(
        query=TrendingQuery,
        responses={
            200: PageOf(
                MovieSummarySerializer,
                extra_fields={
                    "source": serializers.ChoiceField(
                        choices=("tmdb", "local"), help_text="Whose trend it is."
                    ),
                    "as_of": UTCDateTimeField(help_text="When the list was made."),
                    "stale": serializers.BooleanField(
                        help_text="Whether a newer one is on its way."
                    ),
                },
                name="TrendingPage",
            )
        },
    )
    def list(self, request: Request) -> Response:
        """List the movies that are watched and rated most of late.

        With `source: tmdb` this is TMDb's list, at most 100 movies in TMDb's order; a page may be
        shorter because this catalogue does not store adult titles and videos. `as_of` is when TMDb
        sent it, and `stale` that a newer one is being fetched. While TMDb is unavailable, `source`
        is `local`: this community's ratings, weighted by age; `window` is how fast the weight
        falls. While nobody has rated a movie, movies are ordered by popularity.
        """
        try:
            # A page of this list may need several pages of TMDb.
            with time_limit(TIME_LIMIT_S):
                trend = TmdbTrend(self.query["window"])
                trending = trend.get_slice(*get_slice_bounds(self.query, trend.count))
        except TmdbError:
            return self._list_community_trend(request)
        response = paginate_slice(
            request,
            self.query,
            trend.count,
            serialize_movies(trending.movies),
            source="tmdb",
            as_of=UTCDateTimeField().to_representation(trending.as_of),
            stale=trending.is_stale,
        )
        response["Age"] = str(max(0, int((timezone.now() - trending.as_of).total_seconds())))
        if trending.is_stale:
            # A refresh is running; a cached response would hide its result for a minute.
            response["Cache-Control"] = NO_STORE
        return response

    def _list_community_trend(self, request: Request) -> Response:
        movies, ordering = get_community_trend(self.query["window"])
        # To the minute, so that the ETag stays the same within it.
        as_of = timezone.now().replace(second=0, microsecond=0)
        return paginate(
            request,
            self.query,
            movies,
            ordering,
            serialize_movies,
            source="local",
            as_of=UTCDateTimeField().to_representation(as_of),
            stale=False,
        )
