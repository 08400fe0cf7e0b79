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

    results = look_up_movies(
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
    movie_ids = [result.movie_id for result in results]
    assert movie_ids == [first, second, third, None, None, None, first]
    assert len(stored) == 3
    assert [result.query for result in results[3:6]] == [
        "“No movie has this title” (1999)",
        "the TMDb id 42, then “Deleted” without a year",
        "the IMDb id tt9999999, then “Deleted” without a year",
    ]


def test_stored_movie_is_not_fetched_again(db, tmdb_server, make_movie):
    movie = make_movie("Stored", tmdb_id=FIRST_ID)

    (result,) = look_up_movies([MovieReference("Stored", tmdb_id=FIRST_ID)])

    assert result.movie_id == movie.pk
    assert tmdb_server.requests == []


def get_titles(result):
    movies = Movie.objects.in_bulk(result.candidates)
    return [movies[key].title for key in result.candidates]


def test_movie_of_the_year_beside_is_a_candidate(db, tmdb_server):
    year = int(THIRD["release_date"][:4])

    results = look_up_movies(
        [
            MovieReference(THIRD["title"], year - 1),
            MovieReference(THIRD["title"], year + 5),
            MovieReference(THIRD["title"]),
            MovieReference(THIRD["title"], year, imdb_id="tt9999999"),
        ]
    )

    assert [result.movie_id for result in results] == [None] * 4
    assert [get_titles(result) for result in results] == [
        [THIRD["title"]],
        [],
        [THIRD["title"]],
        # It has another id than the file says.
        [THIRD["title"]],
    ]


def test_spelling_that_makes_another_title_is_a_candidate(db, tmdb_server):
    title, year = THIRD["title"], int(THIRD["release_date"][:4])

    (result,) = look_up_movies([MovieReference(f"{title}!", year)])

    assert (result.movie_id, get_titles(result)) == (None, [title])


def test_same_reference_is_looked_up_once(db, tmdb_server):
    look_up_movies([MovieReference(THIRD["title"], int(THIRD["release_date"][:4]))] * 5)

    assert [request.path for request in tmdb_server.requests] == [
        "/3/search/movie",
        f"/3/movie/{THIRD['id']}",
    ]


def test_id_of_a_series_is_no_movie(db, tmdb_server, monkeypatch):
    found = {"movie_results": [], "tv_episode_results": [{"id": 1, "name": "Pilot"}]}
    monkeypatch.setattr("tmdb.fake.server.find_movie", lambda imdb_id: found)

    (result,) = look_up_movies([MovieReference("Pilot", 2008, imdb_id="tt0959621")])

    assert (result.movie_id, result.candidates) == (None, ())
    assert result.other_media == "an episode of a series"


def test_lookup_without_a_credential_is_unavailable(db):
    with pytest.raises(Problem) as raised:
        look_up_movies([MovieReference("Alien", 1979)])

    assert raised.value.status_code == 503
