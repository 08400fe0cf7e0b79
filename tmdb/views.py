"""TMDb over our HTTP: its trouble is told as its own, never as the caller's."""

from __future__ import annotations

from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from rest_framework import status
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from movies.models import Movie
from movies.selectors import get_movie_detail
from movies.serializers import MovieSerializer, MovieSummarySerializer
from movies.views import MovieViewSet, serialize_movies
from nexus.core.api.exceptions import Problem
from nexus.core.api.fields import UTCDateTimeField
from nexus.core.api.pagination import get_slice_bounds, paginate, paginate_slice, paginate_upstream
from nexus.core.api.throttling import ScopedThrottle
from nexus.core.api.views import NO_STORE, PUBLIC, ApiViewSet, ListOf, PageOf, contract
from tmdb.cache import SearchTerms
from tmdb.client.errors import (
    TmdbAdult,
    TmdbAuthFailed,
    TmdbError,
    TmdbNotConfigured,
    TmdbNotFound,
    TmdbUnavailable,
    TmdbVideo,
)
from tmdb.client.http import BUDGET_S, within
from tmdb.filters import LAST_PAGE, TmdbSearchQuery, TrendingQuery
from tmdb.selectors import TmdbTrend, tmdb_search, tmdb_status, trending
from tmdb.serializers import (
    BulkImportedSerializer,
    SearchHitSerializer,
    TmdbBulkImportWriteSerializer,
    TmdbImportWriteSerializer,
    TmdbStatusSerializer,
)
from tmdb.services import movie_import, movie_import_by_imdb_id, movie_shown, movies_import

TROUBLE = {
    502: "tmdb_auth_failed: TMDb does not take this service's credential",
    503: "tmdb_not_configured, or tmdb_unavailable with Retry-After: slow, busy, broken or gone",
}


class TmdbViewSet(ApiViewSet):
    """Tells TmdbError as the contract has it."""

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(_problem(exc) if isinstance(exc, TmdbError) else exc)


class TmdbSearchViewSet(TmdbViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [ScopedThrottle]
    throttle_scope = "tmdb"

    @contract(
        query=TmdbSearchQuery,
        responses={200: PageOf(SearchHitSerializer)},
        errors={429: "Too many searches of TMDb from this address.", **TROUBLE},
    )
    def list(self, request: Request) -> Response:
        """Find films at TMDb.

        In TMDb's own fields, with `in_library` and `movie_id` where this catalogue holds the film.
        """
        found = tmdb_search(SearchTerms(**self.query))
        response = paginate_upstream(
            request,
            number=self.query["page"],
            last=min(found.total_pages, LAST_PAGE),
            count=found.total_results,
            results=list(SearchHitSerializer(found.films, many=True).data),
        )
        response["Age"] = str(found.age_s)
        return response


class TmdbStatusViewSet(ApiViewSet):
    permission_classes = [AllowAny]

    @contract(responses={200: TmdbStatusSerializer})
    def retrieve(self, request: Request) -> Response:
        """How this service stands with TMDb.

        Of all workers together, and without a request to TMDb.
        """
        return Response(TmdbStatusSerializer(tmdb_status()).data)


class TmdbImportViewSet(TmdbViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        body=TmdbImportWriteSerializer,
        responses={201: MovieSerializer, 200: MovieSerializer},
        errors={404: "TMDb has no such film, or it is an adult title.", **TROUBLE},
    )
    def create(self, request: Request) -> Response:
        """Bring one film in from TMDb, by its TMDb id or by its IMDb id.

        201 where it is new, 200 where it was here; TMDb is asked again where the film is older
        than TMDb's terms allow, or with `refresh`.
        """
        wanted = self.body
        importer = movie_import_by_imdb_id if "imdb_id" in wanted else movie_import
        imported = importer(**wanted)
        film = get_movie_detail(imported.movie.pk)
        if film is None:
            raise Http404
        return Response(
            MovieSerializer(film).data,
            status=status.HTTP_201_CREATED if imported.created else status.HTTP_200_OK,
            headers={"Location": reverse("movie-detail", args=[film.pk])},
        )


class TmdbBulkImportViewSet(TmdbViewSet):
    permission_classes = [IsAuthenticated]
    throttle_classes = [ScopedThrottle]
    throttle_scope = "tmdb_bulk"

    @contract(
        body=TmdbBulkImportWriteSerializer,
        responses={200: ListOf(BulkImportedSerializer)},
        errors={
            429: "Too many bulk imports from this address.",
            502: "tmdb_auth_failed, where no film could be had for it",
            503: "tmdb_not_configured, where no film could be had for it; tmdb_unavailable with "
            "Retry-After, where too many wait for TMDb already",
        },
    )
    def create(self, request: Request) -> Response:
        """Bring up to twenty films in from TMDb.

        One result for each id, in order. What TMDb did not answer in time is an `error` and can be
        asked for again; it keeps no other film away.
        """
        imported = movies_import(tmdb_ids=self.body["tmdb_ids"])
        return Response(BulkImportedSerializer(imported, many=True).data)


class FilmViewSet(MovieViewSet):
    """The film's page, mounted here because TMDb is asked for what is missing of it."""

    def find_movie(self, movie_id: int) -> Movie | None:
        return movie_shown(movie_id)


class TrendingViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(
        query=TrendingQuery,
        responses={
            200: PageOf(
                MovieSummarySerializer,
                extra_fields={"source": "string", "as_of": "string", "stale": "boolean"},
            )
        },
    )
    def list(self, request: Request) -> Response:
        """What is seen and rated most of late.

        `source` is `tmdb`: TMDb's own list, 100 films deep, in TMDb's order; a page may be short of
        what TMDb lists and this catalogue does not take. `as_of` is when TMDb was asked, and `stale`
        that it should be asked again. Without TMDb `source` is `local`: this community's ratings,
        the newer the weightier; `window` says how fast their weight fades. While nobody has rated
        anything, by popularity.
        """
        try:
            # A page of ours may take several of TMDb's.
            with within(BUDGET_S):
                trend = TmdbTrend(self.query["window"])
                found = trend.films(*get_slice_bounds(self.query, trend.count))
        except TmdbError:
            return self._local(request)
        response = paginate_slice(
            request,
            self.query,
            trend.count,
            serialize_movies(found.films),
            source="tmdb",
            as_of=UTCDateTimeField().to_representation(found.as_of),
            stale=found.stale,
        )
        response["Age"] = str(max(0, int((timezone.now() - found.as_of).total_seconds())))
        if found.stale:
            # A fresh list is being fetched in the background.
            response["Cache-Control"] = NO_STORE
        return response

    def _local(self, request: Request) -> Response:
        movies, ordering = trending(self.query["window"])
        # To the minute, so that the answer keeps its ETag meanwhile.
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


def _problem(error: TmdbError) -> Problem:
    """What the contract says of each cause; reasons are for the log alone."""
    if isinstance(error, TmdbAdult):
        return Problem(
            404, "not_found", "TMDb marks this as an adult title; they are not kept here."
        )
    if isinstance(error, TmdbVideo):
        return Problem(404, "not_found", "TMDb marks this as a video, not as a film.")
    if isinstance(error, TmdbNotFound):
        return Problem(404, "not_found", "TMDb has no film of this id.")
    if isinstance(error, TmdbNotConfigured):
        detail = "This service has no usable TMDb credential; the catalogue itself works without."
        return Problem(503, "tmdb_not_configured", detail)
    if isinstance(error, TmdbAuthFailed):
        detail = "TMDb does not take this service's credential; its operator has to mend it."
        return Problem(502, "tmdb_auth_failed", detail)
    detail = "TMDb cannot answer at the moment. Try again shortly."
    assert isinstance(error, TmdbUnavailable)
    headers = {"Retry-After": str(error.retry_after_s)}
    return Problem(503, "tmdb_unavailable", detail, headers=headers)
