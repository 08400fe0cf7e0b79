"""Films as clients see them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.models import Credit, Movie
from movies.selectors import MovieDetail
from nexus.core.api.fields import UTCDateTimeField

POSTER_SIZE, BACKDROP_SIZE = "w500", "w1280"


def build_image_url(path: str, size: str) -> str | None:
    """The address of an image of TMDb's; None where there is none."""
    return f"{settings.TMDB_IMAGE_BASE_URL}{size}{path}" if path else None


def movie_summary_payload(movie: Any) -> dict[str, Any]:
    """What MovieSummarySerializer's fields say of a film, a Movie or a SummaryRow."""
    shown = not movie.is_stale
    released, average = movie.release_date, movie.average_score
    return {
        "id": movie.id,
        "tmdb_id": movie.tmdb_id,
        "imdb_id": movie.imdb_id,
        "title": movie.title,
        "original_title": movie.original_title,
        "release_date": None if released is None else released.isoformat(),
        "release_year": movie.release_year,
        "genres": movie.genres,
        "runtime": movie.runtime,
        "original_language": movie.original_language,
        "vote_average": movie.vote_average,
        "vote_count": movie.vote_count,
        "popularity": movie.popularity,
        "weighted_rating": round(movie.weighted_rating, 3),
        "average_score": None if average is None else round(average, 2),
        "rating_count": movie.rating_count,
        "poster_url": build_image_url(movie.poster_path, POSTER_SIZE) if shown else None,
        "backdrop_url": build_image_url(movie.backdrop_path, BACKDROP_SIZE) if shown else None,
    }


class MovieSummarySerializer(serializers.ModelSerializer[Movie]):
    """A film in a line; of one that is stale, TMDb's images are left out.

    The fields are what the schema describes; what is answered is written out in `movie_summary_payload`, because
    going through them takes twelve times as long, and lists are what is asked for most.
    """

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

    def to_representation(self, instance: Movie) -> dict[str, Any]:
        return movie_summary_payload(instance)

    @swagger_serializer_method(serializers.FloatField())
    def get_weighted_rating(self, movie: Movie) -> float:
        return round(float(movie.weighted_rating), 3)

    @swagger_serializer_method(serializers.FloatField(allow_null=True))
    def get_average_score(self, movie: Movie) -> float | None:
        return None if movie.average_score is None else round(movie.average_score, 2)

    @swagger_serializer_method(serializers.URLField(allow_null=True))
    def get_poster_url(self, movie: Movie) -> str | None:
        return None if movie.is_stale else build_image_url(movie.poster_path, POSTER_SIZE)

    @swagger_serializer_method(serializers.URLField(allow_null=True))
    def get_backdrop_url(self, movie: Movie) -> str | None:
        return None if movie.is_stale else build_image_url(movie.backdrop_path, BACKDROP_SIZE)


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
    """A MovieDetail with everything the catalogue knows.

    TMDb's terms let nothing of it be kept over six months without refresh. A film that is stale
    all the same, because TMDb could not be asked, is shown with its facts alone: without overview,
    tagline and images.
    """

    keywords = serializers.ListField(child=serializers.CharField())
    directors = DirectorSerializer(many=True, read_only=True)
    cast = CastMemberSerializer(many=True, read_only=True)
    collection = CollectionSerializer(allow_null=True)
    provenance = ProvenanceSerializer(read_only=True)
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

    def __init__(self, film: MovieDetail | None = None, **kwargs: Any) -> None:
        # It reads a MovieDetail, whatever its base class says.
        super().__init__(film, **kwargs)  # type: ignore[arg-type]

    def to_representation(self, instance: MovieDetail) -> dict[str, Any]:  # type: ignore[override]
        movie, stale = instance.movie, instance.movie.is_stale
        return {
            **movie_summary_payload(movie),
            "overview": "" if stale else movie.overview,
            "tagline": "" if stale else movie.tagline,
            "status": movie.status,
            "keywords": movie.keywords,
            "directors": [
                {"id": each.person_id, "name": each.name}
                for each in instance.billed
                if each.role == Credit.Role.DIRECTOR
            ],
            "cast": [
                {"id": each.person_id, "name": each.name, "character": each.character}
                for each in instance.billed
                if each.role == Credit.Role.CAST
            ],
            "collection": instance.collection,
            "provenance": {
                "source": movie.source,
                "synced_at": _TIME.to_representation(movie.synced_at),
                "stale": stale,
            },
            "created_at": _TIME.to_representation(movie.created_at),
            "updated_at": _TIME.to_representation(movie.updated_at),
        }


_TIME = UTCDateTimeField()


class GenreSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    tmdb_id = serializers.IntegerField()
    movie_count = serializers.IntegerField()
