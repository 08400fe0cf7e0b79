"""Which film somebody else's words mean."""

import pytest

from movies.dto import MovieReference
from movies.title_matching import MAX_CANDIDATES, match_references


@pytest.fixture
def films(make_movie):
    return {
        "alien": make_movie("Alien", release_year=1979, tmdb_id=348, imdb_id="tt0078748"),
        "amelie": make_movie(
            "Amélie", release_year=2001, original_title="Le Fabuleux Destin d'Amélie Poulain"
        ),
        "matrix": make_movie("The Matrix", release_year=1999),
        "fast": make_movie("Fast & Furious", release_year=2009),
        "furious": make_movie("War and Peace", release_year=1956),
        "spider": make_movie("Spider-Man: No Way Home", release_year=2021),
        "one": make_movie("Twins", release_year=1988, vote_count=10),
        "two": make_movie("Twins", release_year=1988, vote_count=20),
        "undated": make_movie("Undated"),
        "early": make_movie("Early", release_year=1990),
    }


def matched(*references):
    return match_references([MovieReference(*each) for each in references])


@pytest.mark.parametrize(
    ("title", "year", "name"),
    [
        ("Alien", 1979, "alien"),
        ("ALIEN", 1979, "alien"),
        ("Amelie", 2001, "amelie"),
        ("Le fabuleux destin d’Amelie Poulain", 2001, "amelie"),
        ("Matrix", 1999, "matrix"),
        ("Matrix, The", 1999, "matrix"),
        ("A Matrix", 1999, "matrix"),
        ("Fast and Furious", 2009, "fast"),
        ("War & Peace", 1956, "furious"),
        ("Spider Man - No Way Home", 2021, "spider"),
        ("Alien", None, "alien"),
    ],
)
def test_a_title_and_year_mean_the_one_film_of_them(films, title, year, name):
    (match,) = matched((title, year))
    assert match.movie_id == films[name].pk


@pytest.mark.parametrize(
    ("title", "year", "names"),
    [
        ("Twins", 1988, ["two", "one"]),
        ("Twins", 1989, ["two", "one"]),
        ("Twins", None, ["two", "one"]),
        ("Early", 1991, ["early"]),
        ("Early", 1989, ["early"]),
        ("Undated", 1999, ["undated"]),
        ("Early", 1992, []),
        ("Alie", 1979, []),
        ("!!!", 1979, []),
        ("x" * 500, 1979, []),
    ],
)
def test_where_it_is_not_sure_there_are_candidates_the_likeliest_first(films, title, year, names):
    (match,) = matched((title, year))
    assert match.movie_id is None
    assert match.candidates == tuple(films[name].pk for name in names)


def test_ids_come_before_titles_and_contradict_them(films, make_movie):
    other = make_movie("Alien", release_year=1979, tmdb_id=999, imdb_id="tt9999999")
    alien = films["alien"].pk
    told = matched(
        ("Anything", 1900, 348),
        ("Anything", 1900, None, "tt0078748"),
        ("Alien", 1979, 348, "tt9999999"),
        ("Alien", 1979, 12345),
        ("Alien", 1979, None, "tt1234567"),
        ("Amélie", 2001, 12345678),
        ("Alien", 1979, None, None, alien),
        ("Another instance's film", 1979, None, None, alien),
    )
    assert [each.movie_id for each in told] == [alien, alien, None, None, None, None, alien, None]
    assert told[2].candidates == (alien, other.pk)
    assert told[3].candidates == told[4].candidates == ()


def test_many_references_take_a_fixed_number_of_queries(films, django_assert_num_queries):
    references = [("Alien", 1979, 348), ("Nothing", 1999), ("Twins", 1988), ("Early", 1990)] * 50
    # Three, and around the last a savepoint and its bound.
    with django_assert_num_queries(7):
        assert len(matched(*references)) == 200
    with django_assert_num_queries(0):
        assert matched() == []


def test_candidates_are_few_however_many_films_there_are(make_movie):
    for _ in range(MAX_CANDIDATES + 3):
        make_movie("Untitled", release_year=2000)
    (match,) = matched(("Untitled", 2000))
    assert len(match.candidates) == MAX_CANDIDATES
