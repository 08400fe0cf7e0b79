import pytest

from movies.dto import MovieData
from movies.models import Movie
from movies.selectors import count_movies_by_genre, find_movies_in_use
from movies.services.catalogue import movies_remove
from movies.services.upsert import movies_upsert
from nexus.core.genres import TMDB_GENRES

pytestmark = pytest.mark.django_db


def read_positive_counts():
    return {
        genre["name"]: genre["movie_count"]
        for genre in count_movies_by_genre()
        if genre["movie_count"]
    }


def test_genre_counts_contain_every_genre_of_tmdb_in_its_order(make_movie):
    make_movie(genres=["Drama", "Crime"])
    make_movie(genres=["Drama"])
    make_movie()

    counts = count_movies_by_genre()

    assert [(genre["name"], genre["tmdb_id"]) for genre in counts] == list(TMDB_GENRES.items())
    assert read_positive_counts() == {"Drama": 2, "Crime": 1}


def test_genre_counts_are_read_once_and_then_from_the_cache(make_movie, django_assert_num_queries):
    make_movie(genres=["Drama"])

    # The counts, and the genres that TMDb has added.
    with django_assert_num_queries(2):
        count_movies_by_genre()
    with django_assert_num_queries(0):
        assert read_positive_counts() == {"Drama": 1}


def test_genre_counts_follow_every_write_to_the_catalogue(django_capture_on_commit_callbacks):
    for genre in ("Drama", "War"):
        with django_capture_on_commit_callbacks(execute=True):
            movie = MovieData(title="A", tmdb_id=1, genres=(genre,))
            movies_upsert(movies=[movie], source=Movie.Source.TMDB)
        assert read_positive_counts() == {genre: 1}

    with django_capture_on_commit_callbacks(execute=True):
        movies_remove(movie_ids=[Movie.objects.get().id])
    assert read_positive_counts() == {}


def test_rated_movies_are_in_use_and_credited_ones_are_not(make_movie, make_user, client_of):
    rated, free = make_movie("Rated", cast=["Ann"]), make_movie("Free", cast=["Ann"])
    rating = {"movie": rated.id, "score": 4.0}
    assert client_of(make_user("ann")).post("/ratings/", rating).status_code == 201

    used = find_movies_in_use([rated.id, free.id])

    assert set.union(*used.values()) == {rated.id}
    assert find_movies_in_use([free.id]) == find_movies_in_use([]) == {}
