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
from movies.serializers import MovieSerializer, MovieSummarySerializer
from movies.views import summaries
from nexus.core.errors import Problem
from nexus.core.fields import UTCDateTimeField
from nexus.core.pagination import paginated, paginated_upstream
from nexus.core.ratelimit import ScopedThrottle
from nexus.core.views import PUBLIC, ApiViewSet, Page, contract
from tmdb.cache import SearchTerms
from tmdb.errors import (
    TmdbAdult,
    TmdbAuthFailed,
    TmdbError,
    TmdbNotConfigured,
    TmdbNotFound,
    TmdbUnavailable,
)
from tmdb.filters import LAST_PAGE, TmdbSearchQuery, TrendingQuery
from tmdb.selectors import tmdb_search, trending
from tmdb.serializers import SearchHitSerializer, TmdbImportWriteSerializer
from tmdb.services import movie_import

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
        answers={200: Page(SearchHitSerializer)},
        errors={429: "Too many searches of TMDb from this address.", **TROUBLE},
    )
    def list(self, request: Request) -> Response:
        """Find films at TMDb.

        In TMDb's own fields, with `in_library` and `movie_id` where this catalogue holds the film.
        """
        found = tmdb_search(SearchTerms(**self.query))
        return paginated_upstream(
            request,
            number=self.query["page"],
            last=min(found.total_pages, LAST_PAGE),
            count=found.total_results,
            results=list(SearchHitSerializer(found.films, many=True).data),
        )


class TmdbImportViewSet(TmdbViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        body=TmdbImportWriteSerializer,
        answers={201: MovieSerializer, 200: MovieSerializer},
        errors={404: "TMDb has no such film, or it is an adult title.", **TROUBLE},
    )
    def create(self, request: Request) -> Response:
        """Bring one film in from TMDb.

        201 where it is new, 200 where it was here; TMDb is asked again where the film is older
        than TMDb's terms allow, or with `refresh`.
        """
        imported = movie_import(**self.body)
        movie = Movie.objects.with_credits().filter(pk=imported.movie.pk).first()
        if movie is None:
            raise Http404
        return Response(
            MovieSerializer(movie).data,
            status=status.HTTP_201_CREATED if imported.created else status.HTTP_200_OK,
            headers={"Location": reverse("movie-detail", args=[movie.pk])},
        )


class TrendingViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(
        query=TrendingQuery,
        answers={
            200: Page(
                MovieSummarySerializer,
                extra={"source": "string", "as_of": "string", "stale": "boolean"},
            )
        },
    )
    def list(self, request: Request) -> Response:
        """What is seen and rated most of late.

        `source` is `local`: this community's ratings, the newer the weightier; `window` says how
        fast their weight fades. While nobody has rated anything, by TMDb's popularity.
        """
        movies, ordering = trending(self.query["window"])
        # To the minute, so that the answer keeps its ETag meanwhile.
        as_of = timezone.now().replace(second=0, microsecond=0)
        return paginated(
            request,
            self.query,
            movies,
            ordering,
            summaries,
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
