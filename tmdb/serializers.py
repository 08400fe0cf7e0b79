"""Bodies of the TMDb endpoints."""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.dto import MAX_TMDB_ID
from movies.serializers import POSTER_SIZE, build_image_url
from nexus.core.api.fields import StrictCharField, StrictIntegerField, UTCDateTimeField
from tmdb.selectors import SearchResult
from tmdb.services import MAX_BULK_IMPORT


class BreakerSerializer(serializers.Serializer[Any]):
    """The state of the circuit breaker in front of TMDb."""

    state = serializers.ChoiceField(
        choices=("closed", "open", "half_open"),
        help_text="`open`: TMDb fails and no request is sent; `half_open`: one request probes it.",
    )
    retry_after_s = serializers.IntegerField(
        help_text="Seconds until a request is sent again; 0 unless the state is `open`."
    )


class CacheCountsSerializer(serializers.Serializer[Any]):
    """Reads of cached TMDb responses by all workers in the last one to two hours."""

    hits = serializers.IntegerField(help_text="Reads of a fresh copy.")
    stale_hits = serializers.IntegerField(
        help_text="Reads of a stale copy, which was refreshed meanwhile."
    )
    misses = serializers.IntegerField(help_text="Reads that needed a request to TMDb.")
    hit_rate = serializers.FloatField(
        allow_null=True, help_text="Share of hits and stale hits, 0 to 1; null without reads."
    )


class TmdbStatusSerializer(serializers.Serializer[Any]):
    """The state of this service's access to TMDb."""

    configured = serializers.BooleanField(help_text="Whether a credential is set.")
    breaker = BreakerSerializer()
    requests_left = serializers.IntegerField(help_text="Requests that may be sent to TMDb now.")
    budget_per_s = serializers.IntegerField(help_text="Requests to TMDb per second, at most.")
    cache = CacheCountsSerializer()
    last_success = UTCDateTimeField(
        allow_null=True, help_text="When TMDb last responded to a request; null if unknown."
    )


class SearchHitSerializer(serializers.Serializer[Any]):
    """A hit of TMDb's search in TMDb's own fields, with its id in this catalogue."""

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
    in_library = serializers.BooleanField(help_text="Whether this catalogue stores it.")
    movie_id = serializers.IntegerField(
        allow_null=True, help_text="Its id in this catalogue; null if it is not stored."
    )

    @swagger_serializer_method(serializers.URLField(allow_null=True))  # type: ignore[untyped-decorator]
    def get_poster_url(self, result: SearchResult) -> str | None:
        return build_image_url(result.hit.poster_path or "", POSTER_SIZE)


class TmdbImportWriteSerializer(serializers.Serializer[Any]):
    """The movie to import: exactly one of the two ids."""

    tmdb_id = StrictIntegerField(
        required=False, min_value=1, max_value=MAX_TMDB_ID, help_text="This or `imdb_id`."
    )
    imdb_id = StrictCharField(
        required=False,
        validators=[
            RegexValidator(r"\Att[0-9]{7,10}\Z", "This is not an IMDb id; it looks like tt0133093.")
        ],
        help_text="Like `tt0133093`; this or `tmdb_id`.",
    )
    refresh = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Fetch the movie from TMDb even if the stored one is fresh.",
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
    """The movies to import, at most twenty."""

    tmdb_ids = serializers.ListField(
        child=StrictIntegerField(min_value=1, max_value=MAX_TMDB_ID),
        allow_empty=False,
        max_length=MAX_BULK_IMPORT,
    )

    class Meta:
        swagger_schema_fields = {"example": {"tmdb_ids": [603, 604]}}


class BulkImportResultSerializer(serializers.Serializer[Any]):
    """The result for one id; `movie_id` is the movie's id in this catalogue."""

    tmdb_id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=("created", "existing", "not_found", "error"))
    movie_id = serializers.IntegerField(allow_null=True)


class ProviderSerializer(serializers.Serializer[Any]):
    """A company that shows movies."""

    provider_id = serializers.IntegerField(help_text="TMDb's id, as in the filter `provider`.")
    name = serializers.CharField()
    logo_url = serializers.URLField(allow_null=True)


class WatchProvidersSerializer(serializers.Serializer[Any]):
    """Where a movie can be watched in a region; the data is JustWatch's."""

    region = serializers.CharField()
    link = serializers.URLField(
        allow_null=True, help_text="TMDb's page with links to the providers."
    )
    as_of = UTCDateTimeField(
        allow_null=True, help_text="When TMDb sent the offers; null if it does not know the movie."
    )
    stale = serializers.BooleanField(
        help_text="Older than 24 hours, because TMDb has not responded since."
    )
    attribution = serializers.CharField(help_text="To be shown beside the offers.")
    flatrate = ProviderSerializer(many=True, help_text="Part of a subscription.")
    free = ProviderSerializer(many=True)
    ads = ProviderSerializer(many=True, help_text="Free with advertisements.")
    rent = ProviderSerializer(many=True)
    buy = ProviderSerializer(many=True)


class VideoSerializer(serializers.Serializer[Any]):
    """A trailer or clip on a video site."""

    name = serializers.CharField()
    type = serializers.CharField(help_text="TMDb's type, such as `Trailer`, `Teaser` or `Clip`.")
    site = serializers.CharField(help_text="Such as `YouTube`.")
    key = serializers.CharField(help_text="The id of the video on its site.")
    url = serializers.URLField(
        allow_null=True, help_text="Null for a site other than the usual two."
    )
    official = serializers.BooleanField()
    language = serializers.CharField(help_text="ISO 639-1 code; empty if unknown.")
    published_at = UTCDateTimeField(allow_null=True)


class ReleaseSerializer(serializers.Serializer[Any]):
    date = serializers.DateField()
    certification = serializers.CharField(help_text="Empty if unknown.")
    note = serializers.CharField()


class ReleasesSerializer(serializers.Serializer[Any]):
    """The releases of a movie in a region by kind, each list from the earliest on."""

    region = serializers.CharField()
    certification = serializers.CharField(
        help_text="Of the first release in the region that has one; empty if none has."
    )
    as_of = UTCDateTimeField(
        allow_null=True, help_text="When TMDb sent the days; null if it does not know the movie."
    )
    stale = serializers.BooleanField(
        help_text="Older than 7 days, because TMDb has not responded since."
    )
    premiere = ReleaseSerializer(many=True)
    theatrical_limited = ReleaseSerializer(many=True)
    theatrical = ReleaseSerializer(many=True)
    digital = ReleaseSerializer(many=True)
    physical = ReleaseSerializer(many=True)
    tv = ReleaseSerializer(many=True)
