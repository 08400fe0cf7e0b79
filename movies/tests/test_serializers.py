from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.serializers import ModelSerializer

from movies.dto import CollectionData
from movies.models import MAX_AGE, Movie
from movies.selectors import get_movie_detail, get_movie_summaries
from movies.serializers import MovieSerializer, MovieSummarySerializer, movie_summary_payload

pytestmark = pytest.mark.django_db


def through_the_fields(serializer_class, film):
    return dict(ModelSerializer.to_representation(serializer_class(film), film))


@pytest.fixture
def films(make_movie):
    full = make_movie(
        "Alien",
        source="tmdb",
        genres=["Horror", "Science Fiction"],
        release_year=1979,
        runtime=117,
        vote_average=8.1,
        vote_count=14_000,
        popularity=71.3,
        poster_path="/a.jpg",
        backdrop_path="/b.jpg",
    )
    bare = make_movie("Bare", tmdb_id=None, imdb_id=None)
    stale = make_movie("Stale", source="tmdb", poster_path="/c.jpg", backdrop_path="/d.jpg")
    Movie.objects.filter(pk=full.pk).update(
        rating_count=3, rating_sum=11.0, release_date="1979-05-25", synced_at=timezone.now()
    )
    long_ago = timezone.now() - MAX_AGE - timedelta(days=1)
    Movie.objects.filter(pk=stale.pk).update(synced_at=long_ago)
    return [full.pk, bare.pk, stale.pk]


def test_a_summary_is_what_the_fields_say(films):
    for film in Movie.objects.filter(pk__in=films):
        assert movie_summary_payload(film) == through_the_fields(MovieSummarySerializer, film)


def test_rows_read_by_id_are_the_films_in_that_order(films):
    wanted = [films[2], 2**62, films[0], films[1]]
    rows = get_movie_summaries(wanted)
    assert [row.id for row in rows] == [films[2], films[0], films[1]]
    held = Movie.objects.in_bulk(films)
    assert [movie_summary_payload(row) for row in rows] == [
        movie_summary_payload(held[row.id]) for row in rows
    ]


def test_a_film_is_what_the_fields_say(make_movie, django_assert_num_queries):
    made = make_movie(
        "Alien",
        directors=["Ridley Scott"],
        cast=["Sigourney Weaver", "Tom Skerritt"],
        keywords=["space"],
        overview="In space.",
        tagline="Nobody hears.",
        collection=CollectionData(8091, "Alien Collection"),
    )
    with django_assert_num_queries(1):
        film = get_movie_detail(made.pk)
    told = MovieSerializer(film).data
    assert list(told) == list(MovieSerializer.Meta.fields)
    assert told["collection"] == {"tmdb_id": 8091, "name": "Alien Collection"}
    assert [each["name"] for each in told["cast"]] == ["Sigourney Weaver", "Tom Skerritt"]
    of_movie = ("overview", "tagline", "status", "keywords", "created_at", "updated_at")
    fields = MovieSerializer().fields
    for name in of_movie:
        assert told[name] == fields[name].to_representation(getattr(film.movie, name)), name
    assert get_movie_detail(2**62) is None
