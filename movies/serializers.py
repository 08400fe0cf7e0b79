"""Movies as clients see them.

Each serializer's Meta.fields is the only list of a representation's fields. The columns to read
follow from it, and a plain column needs no further line (CONTRIBUTING.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from rest_framework import serializers

from movies.localization import GenrePayload, MoviePayload
from movies.models import Collection, Credit, Movie, MovieExtras, is_stale
from nexus.core.api.fields import UTCDateTimeField

POSTER_SIZE, BACKDROP_SIZE = "w500", "w1280"
_VIDEO_SITES = {"YouTube": "https://www.youtube.com/watch?v=", "Vimeo": "https://vimeo.com/"}


def build_image_url(path: str, size: str) -> str | None:
    """Return the URL of an image on TMDb's server; None without a path."""
    return f"{settings.TMDB_IMAGE_BASE_URL}{size}{path}" if path else None


def build_video_url(site: str, key: str) -> str | None:
    """Return the page of a video; None for a site whose addresses are not known."""
    base = _VIDEO_SITES.get(site)
    return f"{base}{key}" if base else None


def find_trailer_url(videos: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the page of the best trailer: the official ones come first in `MovieExtras.videos`."""
    urls = (build_video_url(v["site"], v["key"]) for v in videos if v["type"] == "Trailer")
    return next((url for url in urls if url), None)


class MovieSummarySerializer(serializers.ModelSerializer[Movie]):
    """A movie in a list. TMDb's images are left out if its data is stale.

    The fields describe the representation for the schema; `movie_summary_payload` makes it. Takes a
    Movie, or a row of `Movie.objects.values(*SUMMARY_COLUMNS)`.
    """

    is_localized = True

    genres = serializers.ListField(child=serializers.CharField())
    weighted_rating = serializers.FloatField()
    average_score = serializers.FloatField(allow_null=True)
    poster_url = serializers.URLField(allow_null=True)
    backdrop_url = serializers.URLField(allow_null=True)

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

    def to_representation(self, instance: Movie | Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(instance, Movie):
            instance = {name: getattr(instance, name) for name in SUMMARY_COLUMNS}
        return movie_summary_payload(instance)


class DirectorSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class CastMemberSerializer(DirectorSerializer):
    character = serializers.CharField()


class CollectionSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    tmdb_id = serializers.IntegerField(
        allow_null=True, help_text="Null for a series of the starter catalogue."
    )
    name = serializers.CharField()


class ProvenanceSerializer(serializers.Serializer[Any]):
    # DRF has an attribute of this name, which its metaclass replaces by the field.
    source = serializers.ChoiceField(choices=Movie.Source.values)  # type: ignore[assignment]
    synced_at = UTCDateTimeField(allow_null=True)
    stale = serializers.BooleanField(help_text="Older than TMDb's terms allow to store it.")


class MovieSerializer(MovieSummarySerializer):
    """A movie with everything the catalogue knows.

    TMDb's terms allow data to be stored for six months. A movie that could not be refreshed in that
    time is stale and shown without overview, tagline and images.
    """

    keywords = serializers.ListField(child=serializers.CharField())
    directors = DirectorSerializer(many=True)
    cast = CastMemberSerializer(many=True)
    collection = CollectionSerializer(allow_null=True)
    trailer_url = serializers.URLField(
        allow_null=True, help_text="The official trailer if there is one, else another trailer."
    )
    provenance = ProvenanceSerializer()
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
            "trailer_url",
            "provenance",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def to_representation(self, instance: Movie) -> dict[str, Any]:  # type: ignore[override]
        return movie_payload(instance)


class PersonSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    tmdb_id = serializers.IntegerField(allow_null=True)
    name = serializers.CharField()


class RoleCountsSerializer(serializers.Serializer[Any]):
    director = serializers.IntegerField(help_text="Movies the person directed.")
    cast = serializers.IntegerField(help_text="Movies the person plays in.")


class PersonDetailSerializer(PersonSerializer):
    movie_counts = RoleCountsSerializer(help_text="The movies of the catalogue by role.")


class RoleSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=Credit.Role.choices, help_text="What the person did.")
    character = serializers.CharField(help_text="Empty for a director, and if it is unknown.")


class FilmographyEntrySerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    roles = RoleSerializer(many=True, help_text="The person's roles, as a director first.")


class GenreSerializer(serializers.Serializer[Any]):
    is_localized = True

    name = serializers.CharField()
    tmdb_id = serializers.IntegerField()
    movie_count = serializers.IntegerField()

    def to_representation(self, instance: Mapping[str, Any]) -> dict[str, Any]:
        return GenrePayload(super().to_representation(instance))


def _select_columns(fields: tuple[str, ...]) -> tuple[str, ...]:
    columns = {field.name for field in Movie._meta.concrete_fields if not field.is_relation}
    return tuple(name for name in fields if name in columns)


_PLAIN_SUMMARY_COLUMNS = _select_columns(MovieSummarySerializer.Meta.fields)
_PLAIN_COLUMNS = _select_columns(MovieSerializer.Meta.fields)
#: The columns of a row that `movie_summary_payload` takes: the serializer's own, and those that
#: computed fields are computed from.
SUMMARY_COLUMNS = (
    *_PLAIN_SUMMARY_COLUMNS,
    "poster_path",
    "backdrop_path",
    "source",
    "synced_at",
)


def movie_summary_payload(row: Mapping[str, Any]) -> MoviePayload:
    """Return the MovieSummary of a row of SUMMARY_COLUMNS.

    Most requests are for lists, and DRF's representation of a page, field by field, takes twelve times
    as long.
    """
    payload = MoviePayload((name, row[name]) for name in _PLAIN_SUMMARY_COLUMNS)
    released, average = row["release_date"], row["average_score"]
    payload["release_date"] = None if released is None else released.isoformat()
    payload["weighted_rating"] = round(row["weighted_rating"], 3)
    payload["average_score"] = None if average is None else round(average, 2)
    stale = is_stale(row["source"], row["synced_at"])
    payload["poster_url"] = None if stale else build_image_url(row["poster_path"], POSTER_SIZE)
    payload["backdrop_url"] = (
        None if stale else build_image_url(row["backdrop_path"], BACKDROP_SIZE)
    )
    return payload


def collection_payload(collection: Collection) -> dict[str, Any]:
    """Return the representation of a series without its movies."""
    return {
        "id": collection.pk,
        "tmdb_id": collection.tmdb_id if collection.is_known_to_tmdb else None,
        "name": collection.name,
    }


def movie_payload(movie: Movie) -> MoviePayload:
    """Return the representation of a movie from `Movie.objects.with_credits()`."""
    format_time = UTCDateTimeField().to_representation
    payload = {name: getattr(movie, name) for name in _PLAIN_COLUMNS}
    payload |= movie_summary_payload({name: getattr(movie, name) for name in SUMMARY_COLUMNS})
    if movie.is_stale:
        payload["overview"] = payload["tagline"] = ""
    payload["directors"] = [
        {"id": credit.person_id, "name": credit.person.name}
        for credit in movie.credits.all()
        if credit.role == Credit.Role.DIRECTOR
    ]
    payload["cast"] = [
        {"id": credit.person_id, "name": credit.person.name, "character": credit.character}
        for credit in movie.credits.all()
        if credit.role == Credit.Role.CAST
    ]
    collection = movie.collection
    payload["collection"] = collection and collection_payload(collection)
    extras: MovieExtras | None = getattr(movie, "extras", None)
    is_shown = extras is not None and not is_stale(Movie.Source.TMDB, extras.synced_at)
    payload["trailer_url"] = find_trailer_url(extras.videos) if extras and is_shown else None
    payload["provenance"] = {
        "source": movie.source,
        "synced_at": format_time(movie.synced_at),
        "stale": movie.is_stale,
    }
    payload["created_at"] = format_time(movie.created_at)
    payload["updated_at"] = format_time(movie.updated_at)
    return MoviePayload((name, payload[name]) for name in MovieSerializer.Meta.fields)
