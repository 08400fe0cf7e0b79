"""Matching the titles of a file to the movies of the catalogue."""

import pytest

from movies.dto import MovieReference
from movies.title_matching import MAX_CANDIDATES, match_references


@pytest.fixture
def movies(make_movie):
    return {
        "alien": make_movie("Alien", release_year=1979, tmdb_id=348, imdb_id="tt0078748"),
        "amelie": make_movie(
            "Amélie", release_year=2001, original_title="Le Fabuleux Destin d'Amélie Poulain"
        ),
        "matrix": make_movie("The Matrix", release_year=1999),
        "fast": make_movie("Fast & Furious", release_year=2009),
        "war": make_movie("War and Peace", release_year=1956),
        "spider": make_movie("Spider-Man: No Way Home", release_year=2021),
        "twins_10_votes": make_movie("Twins", release_year=1988, vote_count=10),
        "twins_20_votes": make_movie("Twins", release_year=1988, vote_count=20),
        "undated": make_movie("Undated"),
        "undated_of_1990": make_movie("Undated", release_year=1990, vote_count=5_000),
        "early": make_movie("Early", release_year=1990),
    }


def match(*references):
    return match_references([MovieReference(*fields) for fields in references])


@pytest.mark.parametrize(
    ("title", "year", "name"),
    [
        ("Alien", 1979, "alien"),
        ("ALIEN", 1979, "alien"),
        ("Amelie", 2001, "amelie"),
        ("Le fabuleux destin d’Amelie Poulain", 2001, "amelie"),
        ("The Matrix", 1999, "matrix"),
        ("Matrix, The", 1999, "matrix"),
        ("Fast and Furious", 2009, "fast"),
        ("War & Peace", 1956, "war"),
        ("Spider Man - No Way Home", 2021, "spider"),
        ("spider–man: no way home", 2021, "spider"),
    ],
)
def test_title_and_year_match_the_only_movie_that_has_them(movies, title, year, name):
    (result,) = match((title, year))

    assert result.movie_id == movies[name].pk


@pytest.mark.parametrize(
    ("title", "year", "names"),
    [
        ("Twins", 1988, ["twins_20_votes", "twins_10_votes"]),
        ("Twins", 1989, ["twins_20_votes", "twins_10_votes"]),
        ("Twins", None, ["twins_20_votes", "twins_10_votes"]),
        ("Early", 1991, ["early"]),
        ("Early", 1989, ["early"]),
        ("Undated", 1999, ["undated"]),
        # A sign or an article makes another title.
        ("Alien!", 1979, ["alien"]),
        ("Matrix", 1999, ["matrix"]),
        ("A Matrix", 1999, ["matrix"]),
        ("Le Fabuleux Destin d'Amélie Poulain?", 2001, ["amelie"]),
        # Without a year it is not released yet.
        ("Alien", None, ["alien"]),
        ("Undated", None, ["undated", "undated_of_1990"]),
        ("Early", 1992, []),
        ("Alie", 1979, []),
        ("!!!", 1979, []),
        ("x" * 500, 1979, []),
    ],
)
def test_uncertain_title_has_candidates_with_the_likeliest_first(movies, title, year, names):
    (result,) = match((title, year))

    assert result.movie_id is None
    assert result.candidates == tuple(movies[name].pk for name in names)


def test_ids_match_before_titles(movies):
    alien = movies["alien"].pk

    results = match(
        ("Anything", 1900, 348),
        ("Anything", 1900, None, "tt0078748"),
        ("Alien", 1979, None, None, alien),
    )

    assert [result.movie_id for result in results] == [alien, alien, alien]


def test_ids_of_two_movies_make_both_candidates(movies, make_movie):
    other = make_movie("Alien", release_year=1979, tmdb_id=999, imdb_id="tt9999999")

    (result,) = match(("Alien", 1979, 348, "tt9999999"))

    assert result.movie_id is None
    assert result.candidates == (movies["alien"].pk, other.pk)


@pytest.mark.parametrize("ids", [{"tmdb_id": 12345}, {"imdb_id": "tt1234567"}])
def test_movie_with_another_id_is_no_match(movies, ids):
    (result,) = match_references([MovieReference("Alien", 1979, **ids)])

    assert (result.movie_id, result.candidates) == (None, ())


def test_id_of_another_instance_is_no_match_if_the_title_differs(movies):
    reference = ("Another instance's movie", 1979, None, None, movies["alien"].pk)

    (result,) = match(reference)

    assert (result.movie_id, result.candidates) == (None, ())


def test_many_references_take_a_fixed_number_of_queries(movies, django_assert_num_queries):
    references = [("Alien", 1979, 348), ("Nothing", 1999), ("Twins", 1988), ("Early", 1990)] * 50

    # Three lookups; the last one reads, sets and resets a bound of PostgreSQL.
    with django_assert_num_queries(7):
        assert len(match(*references)) == 200
    with django_assert_num_queries(0):
        assert match() == []


def test_number_of_candidates_is_bounded(make_movie):
    for _ in range(MAX_CANDIDATES + 3):
        make_movie("Untitled", release_year=2000)

    (result,) = match(("Untitled", 2000))

    assert len(result.candidates) == MAX_CANDIDATES
