"""TMDb's films as clients see them."""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.dto import MAX_TMDB_ID
from movies.serializers import POSTER_SIZE, build_image_url
from nexus.core.api.fields import StrictCharField, StrictIntegerField, UTCDateTimeField
from tmdb.selectors import FoundFilm
from tmdb.services import BULK_MAX


class BreakerSerializer(serializers.Serializer[Any]):
    """Whether requests go out to TMDb."""

    state = serializers.ChoiceField(
        choices=("closed", "open", "half_open"),
        help_text="`open`: TMDb is in trouble and left alone; `half_open`: the next one finds out.",
    )
    retry_after_s = serializers.IntegerField(
        help_text="Until one is let through; 0 but for `open`."
    )


class CacheCountsSerializer(serializers.Serializer[Any]):
    """Reads through the cache in the last hour or two, of all workers."""

    hits = serializers.IntegerField(help_text="Answered by a fresh copy.")
    stale_hits = serializers.IntegerField(help_text="Answered by a stale copy, renewed meanwhile.")
    misses = serializers.IntegerField(help_text="For which TMDb was asked.")
    hit_rate = serializers.FloatField(
        allow_null=True, help_text="The part that a copy answered, 0 to 1; null without reads."
    )


class TmdbStatusSerializer(serializers.Serializer[Any]):
    """How this service stands with TMDb."""

    configured = serializers.BooleanField(help_text="Whether there is a credential.")
    breaker = BreakerSerializer()
    requests_left = serializers.IntegerField(help_text="That may be sent to TMDb at this moment.")
    budget_per_s = serializers.IntegerField(help_text="Requests to TMDb in any one second.")
    cache = CacheCountsSerializer()
    last_success = UTCDateTimeField(
        allow_null=True, help_text="When TMDb last answered a request; null where none is known."
    )


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
        return build_image_url(film.hit.poster_path or "", POSTER_SIZE)


class TmdbImportWriteSerializer(serializers.Serializer[Any]):
    """Which film to bring in from TMDb: exactly one of the two ids."""

    tmdb_id = StrictIntegerField(
        required=False, min_value=1, max_value=MAX_TMDB_ID, help_text="This or `imdb_id`."
    )
    imdb_id = StrictCharField(
        required=False,
        validators=[RegexValidator(r"\Att[0-9]{7,10}\Z", "This is not an id of IMDb's.")],
        help_text="As in tt0133093.",
    )
    refresh = serializers.BooleanField(
        required=False, default=False, help_text="Ask TMDb again even where the film is fresh."
    )

    class Meta:
        swagger_schema_fields = {"example": {"tmdb_id": 603}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "tmdb_id" in attrs and "imdb_id" in attrs:
            raise serializers.ValidationError({"imdb_id": ["Use either tmdb_id or imdb_id."]})
        if "tmdb_id" not in attrs and "imdb_id" not in attrs:
            missing = {"tmdb_id": ["This field, or imdb_id, is required."]}
            raise serializers.ValidationError(missing, code="required")
        return attrs


class TmdbBulkImportWriteSerializer(serializers.Serializer[Any]):
    """Which films to bring in from TMDb."""

    tmdb_ids = serializers.ListField(
        child=StrictIntegerField(min_value=1, max_value=MAX_TMDB_ID),
        allow_empty=False,
        max_length=BULK_MAX,
    )

    class Meta:
        swagger_schema_fields = {"example": {"tmdb_ids": [603, 604]}}


class BulkImportedSerializer(serializers.Serializer[Any]):
    """What became of one film; `movie_id` is its id here."""

    tmdb_id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=("created", "existing", "not_found", "error"))
    movie_id = serializers.IntegerField(allow_null=True)
