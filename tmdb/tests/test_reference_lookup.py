"""Films of somebody's file that the catalogue does not have, from TMDb."""

import pytest

from movies.dto import MovieReference
from movies.models import Movie
from nexus.core.api.exceptions import Problem
from tmdb import cache
from tmdb import parsers as parse
from tmdb.fake.server import FIRST_ID
from tmdb.reference_lookup import look_up_movies


def known(server, number=0):
    """What the server says of one of its films."""
    return parse.movie(cache.client().movie(FIRST_ID + number), tmdb_id=FIRST_ID + number)


def test_films_are_found_by_each_id_and_by_title_and_year(db, tmdb_server):
    film, second, third = (known(tmdb_server, number) for number in (0, 1, 2))
    found = look_up_movies(
        [
            MovieReference("Anything", 1900, tmdb_id=film.tmdb_id),
            MovieReference("Anything", 1900, imdb_id=second.imdb_id),
            MovieReference(third.title.upper(), third.release_date.year),
            MovieReference(film.title, film.release_date.year, tmdb_id=film.tmdb_id),
            MovieReference("No film is called that", 1999),
            MovieReference("Gone", tmdb_id=42),
            MovieReference("Gone", imdb_id="tt9999999"),
        ]
    )
    ids = dict(Movie.objects.values_list("tmdb_id", "id"))
    assert set(ids) == {film.tmdb_id, second.tmdb_id, third.tmdb_id}
    assert found == [
        ids[film.tmdb_id],
        ids[second.tmdb_id],
        ids[third.tmdb_id],
        ids[film.tmdb_id],
        None,
        None,
        None,
    ]
    again = look_up_movies([MovieReference("x", tmdb_id=film.tmdb_id)])
    assert again == [ids[film.tmdb_id]]


def test_without_a_credential_it_cannot_be_asked(db):
    with pytest.raises(Problem) as told:
        look_up_movies([MovieReference("Alien", 1979)])
    assert told.value.status_code == 503
