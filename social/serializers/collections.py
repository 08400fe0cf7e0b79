"""Series of movies in responses."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.serializers import (
    CollectionSerializer,
    MovieSummarySerializer,
    collection_payload,
    movie_summary_payload,
)
from social.selectors.collections import SeriesForViewer


class PartSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    seen = serializers.BooleanField(
        allow_null=True,
        help_text="Whether the caller has rated or watched it; null without a token.",
    )


class SeriesSerializer(CollectionSerializer):
    movie_count = serializers.IntegerField()
    seen_count = serializers.IntegerField(
        allow_null=True, help_text="The movies the caller has seen; null without a token."
    )
    movies = PartSerializer(many=True, help_text="The movies in release order.")


def serialize_series(series: SeriesForViewer) -> dict[str, Any]:
    seen = series.seen_ids
    return {
        **collection_payload(series.collection),
        "movie_count": len(series.movies),
        "seen_count": None if seen is None else len(seen),
        "movies": [
            {
                "movie": movie_summary_payload(movie),
                "seen": None if seen is None else movie["id"] in seen,
            }
            for movie in series.movies
        ],
    }
