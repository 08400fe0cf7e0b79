"""Films as clients see them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.models import Credit, Movie
from nexus.core.fields import UTCDateTimeField

POSTER_SIZE, BACKDROP_SIZE = "w500", "w1280"


def image_url(path: str, size: str) -> str | None:
    """The address of an image of TMDb's; None where there is none."""
    return f"{settings.TMDB_IMAGE_BASE_URL}{size}{path}" if path else None


class MovieSummarySerializer(serializers.ModelSerializer[Movie]):
    """A film in a line; of one that is stale, TMDb's images are left out."""

    genres = serializers.ListField(child=serializers.CharField())
    weighted_rating = serializers.SerializerMethodField()
    average_score = serializers.SerializerMethodField()
    poster_url = serializers.SerializerMethodField()
    backdrop_url = serializers.SerializerMethodField()

    class Meta:
        model = Movie
        fields: tuple[str, ...] = (
            "id",
            "tmdb_id",
            "imdb_id",
            "title",
            "original_title",
            "release_date",
            "release_year",
            "genres",
            "runtime",
            "original_language",
            "vote_average",
            "vote_count",
            "popularity",
            "weighted_rating",
            "average_score",
            "rating_count",
            "poster_url",
            "backdrop_url",
        )
        read_only_fields: tuple[str, ...] = fields

    @swagger_serializer_method(serializers.FloatField())
    def get_weighted_rating(self, movie: Movie) -> float:
        return round(float(movie.weighted_rating), 3)

    @swagger_serializer_method(serializers.FloatField(allow_null=True))
    def get_average_score(self, movie: Movie) -> float | None:
        return None if movie.average_score is None else round(movie.average_score, 2)

    @swagger_serializer_method(serializers.URLField(allow_null=True))
    def get_poster_url(self, movie: Movie) -> str | None:
        return None if movie.is_stale else image_url(movie.poster_path, POSTER_SIZE)

    @swagger_serializer_method(serializers.URLField(allow_null=True))
    def get_backdrop_url(self, movie: Movie) -> str | None:
        return None if movie.is_stale else image_url(movie.backdrop_path, BACKDROP_SIZE)


class DirectorSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class CastMemberSerializer(DirectorSerializer):
    character = serializers.CharField()


class CollectionSerializer(serializers.Serializer[Any]):
    tmdb_id = serializers.IntegerField()
    name = serializers.CharField()


class ProvenanceSerializer(serializers.Serializer[Any]):
    # Django REST framework keeps an attribute of this name, which the metaclass takes out of the way.
    source = serializers.ChoiceField(choices=Movie.Source.values)  # type: ignore[assignment]
    synced_at = UTCDateTimeField(allow_null=True)
    stale = serializers.BooleanField(help_text="Older than TMDb's terms let it be kept.")


class MovieSerializer(MovieSummarySerializer):
    """A film with everything the catalogue knows; wants `with_credits()`.

    TMDb's terms let nothing of it be kept over six months without refresh. A film that is stale
    all the same, because TMDb could not be asked, is shown with its facts alone: without overview,
    tagline and images.
    """

    overview = serializers.SerializerMethodField()
    tagline = serializers.SerializerMethodField()
    keywords = serializers.ListField(child=serializers.CharField())
    directors = serializers.SerializerMethodField()
    cast = serializers.SerializerMethodField()
    collection = CollectionSerializer(allow_null=True)
    provenance = serializers.SerializerMethodField()
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()

    class Meta(MovieSummarySerializer.Meta):
        fields = (
            *MovieSummarySerializer.Meta.fields,
            "overview",
            "tagline",
            "status",
            "keywords",
            "directors",
            "cast",
            "collection",
            "provenance",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    @swagger_serializer_method(serializers.CharField())
    def get_overview(self, movie: Movie) -> str:
        return "" if movie.is_stale else movie.overview

    @swagger_serializer_method(serializers.CharField())
    def get_tagline(self, movie: Movie) -> str:
        return "" if movie.is_stale else movie.tagline

    @swagger_serializer_method(DirectorSerializer(many=True))
    def get_directors(self, movie: Movie) -> list[dict[str, Any]]:
        return [
            {"id": credit.person_id, "name": credit.person.name}
            for credit in movie.credits.all()
            if credit.role == Credit.Role.DIRECTOR
        ]

    @swagger_serializer_method(CastMemberSerializer(many=True))
    def get_cast(self, movie: Movie) -> list[dict[str, Any]]:
        return [
            {"id": credit.person_id, "name": credit.person.name, "character": credit.character}
            for credit in movie.credits.all()
            if credit.role == Credit.Role.CAST
        ]

    @swagger_serializer_method(ProvenanceSerializer())
    def get_provenance(self, movie: Movie) -> dict[str, Any]:
        synced_at = UTCDateTimeField().to_representation(movie.synced_at)
        return {"source": movie.source, "synced_at": synced_at, "stale": movie.is_stale}


class GenreSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    tmdb_id = serializers.IntegerField()
    movie_count = serializers.IntegerField()
