"""Movies that an imported file names and the catalogue lacks, found at TMDb."""

import pytest

from movies.dto import MovieReference
from movies.models import Movie
from nexus.core.api.exceptions import Problem
from tmdb.fake.server import FIRST_ID, MOVIES
from tmdb.reference_lookup import look_up_movies

FIRST, SECOND, THIRD = (MOVIES[FIRST_ID + number] for number in range(3))


def test_movies_are_found_by_each_id_and_by_title_and_year(db, tmdb_server):
    third_year = int(THIRD["release_date"][:4])

    movie_ids = look_up_movies(
        [
            MovieReference("Anything", 1900, tmdb_id=FIRST["id"]),
            MovieReference("Anything", 1900, imdb_id=SECOND["imdb_id"]),
            MovieReference(THIRD["title"].upper(), third_year),
            MovieReference("No movie has this title", 1999),
            MovieReference("Deleted", tmdb_id=42),
            MovieReference("Deleted", imdb_id="tt9999999"),
            MovieReference(FIRST["title"], tmdb_id=FIRST["id"]),
        ]
    )

    stored = dict(Movie.objects.values_list("tmdb_id", "id"))
    first, second, third = (stored[movie["id"]] for movie in (FIRST, SECOND, THIRD))
    assert movie_ids == [first, second, third, None, None, None, first]
    assert len(stored) == 3


def test_stored_movie_is_not_fetched_again(db, tmdb_server, make_movie):
    movie = make_movie("Stored", tmdb_id=FIRST_ID)

    movie_ids = look_up_movies([MovieReference("Stored", tmdb_id=FIRST_ID)])

    assert movie_ids == [movie.pk]
    assert tmdb_server.requests == []


def test_lookup_without_a_credential_is_unavailable(db):
    with pytest.raises(Problem) as raised:
        look_up_movies([MovieReference("Alien", 1979)])

    assert raised.value.status_code == 503
