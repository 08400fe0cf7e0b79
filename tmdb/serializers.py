"""TMDb's films as clients see them."""

from __future__ import annotations

from typing import Any

from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.facts import NEWEST_ID
from movies.serializers import POSTER_SIZE, image_url
from nexus.core.fields import StrictIntegerField
from tmdb.selectors import FoundFilm


class SearchHitSerializer(serializers.Serializer[Any]):
    """A hit in TMDb's own fields, with what this catalogue knows of it."""

    id = serializers.IntegerField(source="hit.id", help_text="TMDb's id.")
    title = serializers.CharField(source="hit.title")
    original_title = serializers.CharField(source="hit.original_title")
    overview = serializers.CharField(source="hit.overview")
    release_date = serializers.DateField(source="hit.release_date", allow_null=True)
    genre_ids = serializers.ListField(source="hit.genre_ids", child=serializers.IntegerField())
    genres = serializers.ListField(source="hit.genres", child=serializers.CharField())
    original_language = serializers.CharField(source="hit.original_language")
    popularity = serializers.FloatField(source="hit.popularity")
    vote_average = serializers.FloatField(source="hit.vote_average")
    vote_count = serializers.IntegerField(source="hit.vote_count")
    adult = serializers.BooleanField(source="hit.adult")
    video = serializers.BooleanField(source="hit.video")
    poster_path = serializers.CharField(source="hit.poster_path", allow_null=True)
    backdrop_path = serializers.CharField(source="hit.backdrop_path", allow_null=True)
    poster_url = serializers.SerializerMethodField()
    in_library = serializers.BooleanField(help_text="Whether the catalogue holds it.")
    movie_id = serializers.IntegerField(allow_null=True, help_text="Its id here, where it is held.")

    @swagger_serializer_method(serializers.URLField(allow_null=True))  # type: ignore[untyped-decorator]
    def get_poster_url(self, film: FoundFilm) -> str | None:
        return image_url(film.hit.poster_path or "", POSTER_SIZE)


class TmdbImportWriteSerializer(serializers.Serializer[Any]):
    """Which film to bring in from TMDb."""

    tmdb_id = StrictIntegerField(min_value=1, max_value=NEWEST_ID)
    refresh = serializers.BooleanField(
        required=False, default=False, help_text="Ask TMDb again even where the film is fresh."
    )
