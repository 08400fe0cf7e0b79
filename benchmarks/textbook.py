"""Reference views for benchmarks.http: empty views, and the movie list as a DRF tutorial writes it.

The same gunicorn serves them behind the same middleware as the service's own routes
(benchmarks.settings).
"""

from __future__ import annotations

import os
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework import serializers, viewsets
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from movies.models import Movie
from nexus.urls import handler400 as handler400
from nexus.urls import handler403 as handler403
from nexus.urls import handler404 as handler404
from nexus.urls import handler500 as handler500
from nexus.urls import urlpatterns as service_urlpatterns


def empty(request: HttpRequest) -> HttpResponse:
    """Return the process id, by which benchmarks.keepalive spreads connections over the workers."""
    return HttpResponse(str(os.getpid()), content_type="text/plain")


class EmptyView(APIView):
    permission_classes = [AllowAny]

    def get(self, request: Request) -> Response:
        return Response({})


class EmptyMemberView(EmptyView):
    permission_classes = [IsAuthenticated]


class TextbookSerializer(serializers.ModelSerializer[Movie]):
    poster_url = serializers.SerializerMethodField()
    backdrop_url = serializers.SerializerMethodField()

    class Meta:
        model = Movie
        fields = (
            *("id", "tmdb_id", "imdb_id", "title", "original_title", "release_date"),
            *("release_year", "genres", "runtime", "original_language", "vote_average"),
            *("vote_count", "popularity", "weighted_rating", "average_score", "rating_count"),
            *("poster_url", "backdrop_url"),
        )

    def get_poster_url(self, movie: Movie) -> str | None:
        return f"https://image.tmdb.org/t/p/w500{movie.poster_path}" if movie.poster_path else None

    def get_backdrop_url(self, movie: Movie) -> str | None:
        if not movie.backdrop_path:
            return None
        return f"https://image.tmdb.org/t/p/w1280{movie.backdrop_path}"


class TextbookPagination(PageNumberPagination):
    page_size = 20


class TextbookViewSet(viewsets.ModelViewSet[Movie]):
    queryset = Movie.objects.order_by("-popularity")
    serializer_class = TextbookSerializer
    pagination_class = TextbookPagination

    def get_queryset(self) -> QuerySet[Movie]:
        movies = super().get_queryset()
        genre = self.request.query_params.get("genre")
        return movies.filter(genres__contains=[genre]) if genre else movies


urlpatterns: list[Any] = [
    path("bench/empty/", empty),
    path("bench/drf/", EmptyView.as_view()),
    path("bench/member/", EmptyMemberView.as_view()),
    path("bench/movies/", TextbookViewSet.as_view({"get": "list"})),
    path("bench/movies/<int:pk>/", TextbookViewSet.as_view({"get": "retrieve"})),
    *service_urlpatterns,
]
