from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from movies.dto import CollectionData
from movies.models import MAX_AGE, Movie
from movies.serializers import (
    SUMMARY_COLUMNS,
    MovieSerializer,
    MovieSummarySerializer,
    movie_summary_payload,
)

pytestmark = pytest.mark.django_db

MODEL_COLUMNS = {field.name for field in Movie._meta.concrete_fields}


def read_payload(movie):
    row = Movie.objects.values(*SUMMARY_COLUMNS).get(pk=movie.pk)
    return movie_summary_payload(row)


@pytest.fixture
def full_movie(make_movie):
    movie = make_movie(
        "Alien",
        source="tmdb",
        genres=["Horror", "Science Fiction"],
        release_date=date(1979, 5, 25),
        runtime=117,
        vote_average=8.1,
        vote_count=14_000,
        popularity=71.3,
        poster_path="/a.jpg",
        backdrop_path="/b.jpg",
    )
    Movie.objects.filter(pk=movie.pk).update(rating_count=3, rating_sum=11.0)
    return movie


@pytest.fixture
def stale_movie(make_movie):
    movie = make_movie(
        "Stale",
        source="tmdb",
        overview="Text of TMDb's.",
        tagline="Text of TMDb's.",
        poster_path="/c.jpg",
        backdrop_path="/d.jpg",
    )
    long_ago = timezone.now() - MAX_AGE - timedelta(days=1)
    Movie.objects.filter(pk=movie.pk).update(synced_at=long_ago)
    return movie


def test_every_summary_field_that_is_a_column_is_read_and_shown_without_further_lines(full_movie):
    """The claim of CONTRIBUTING.md: Meta.fields alone decides."""
    plain_fields = [name for name in MovieSummarySerializer.Meta.fields if name in MODEL_COLUMNS]
    rounded = {"release_date", "weighted_rating", "average_score"}

    payload = read_payload(full_movie)

    assert set(plain_fields) <= set(SUMMARY_COLUMNS)
    assert list(payload) == list(MovieSummarySerializer.Meta.fields)
    stored = Movie.objects.values().get(pk=full_movie.pk)
    for name in set(plain_fields) - rounded:
        assert payload[name] == stored[name], name


def test_computed_summary_fields_are_rounded_and_complete(full_movie):
    payload = read_payload(full_movie)

    assert payload["release_date"] == "1979-05-25"
    assert payload["average_score"] == 3.67
    # By hand: (14,000 * 8.1 + 2 * 11 + 25 * 6.5) / (14,000 + 3 + 25)
    assert payload["weighted_rating"] == 8.097
    assert payload["poster_url"].endswith("/w500/a.jpg")
    assert payload["backdrop_url"].endswith("/w1280/b.jpg")


def test_summary_of_movie_without_optional_data_has_nulls(make_movie):
    movie = make_movie("Bare", tmdb_id=None, imdb_id=None)

    payload = read_payload(movie)

    for name in ("tmdb_id", "imdb_id", "release_date", "runtime", "average_score"):
        assert payload[name] is None, name
    assert (payload["poster_url"], payload["backdrop_url"]) == (None, None)


def test_stale_movie_is_shown_without_texts_and_images_of_tmdb(stale_movie):
    payload = MovieSerializer(Movie.objects.with_credits().get(pk=stale_movie.pk)).data

    assert (payload["overview"], payload["tagline"]) == ("", "")
    assert (payload["poster_url"], payload["backdrop_url"]) == (None, None)
    assert payload["provenance"]["stale"] is True
    assert read_payload(stale_movie)["poster_url"] is None


def test_instance_and_row_have_the_same_representation(full_movie, stale_movie):
    for movie in Movie.objects.all():
        assert MovieSummarySerializer(movie).data == read_payload(movie)


def test_detail_has_every_field_and_costs_two_queries(make_movie, django_assert_num_queries):
    created = make_movie(
        "Alien",
        directors=["Ridley Scott"],
        cast=["Sigourney Weaver", "Tom Skerritt"],
        keywords=["space"],
        overview="In space.",
        tagline="Nobody hears.",
        status="Released",
        collection=CollectionData(8091, "Alien Collection"),
    )
    created_at = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    Movie.objects.filter(pk=created.pk).update(created_at=created_at)

    with django_assert_num_queries(2):
        payload = MovieSerializer(Movie.objects.with_credits().get(pk=created.pk)).data

    assert list(payload) == list(MovieSerializer.Meta.fields)
    assert payload["directors"] == [
        {"id": created.credits.get(role="director").person_id, "name": "Ridley Scott"}
    ]
    assert [member["name"] for member in payload["cast"]] == ["Sigourney Weaver", "Tom Skerritt"]
    assert payload["collection"] == {
        "id": created.collection_id,
        "tmdb_id": 8091,
        "name": "Alien Collection",
    }
    assert (payload["overview"], payload["tagline"]) == ("In space.", "Nobody hears.")
    assert (payload["status"], payload["keywords"]) == ("Released", ["space"])
    assert payload["created_at"] == "2026-05-01T12:30:00.000Z"


def test_detail_of_movie_without_credits_and_collection_is_empty(make_movie):
    payload = MovieSerializer(Movie.objects.with_credits().get(pk=make_movie("Bare").pk)).data

    assert (payload["directors"], payload["cast"], payload["collection"]) == ([], [], None)
