"""Searches as people type them: numbers, signs, scripts, exact titles and years."""

import pytest

from movies.search import build_search_vector, split_year

pytestmark = pytest.mark.django_db

MOVIES = {
    "8½": {"popularity": 1.0},
    "Alien³": {"popularity": 2.0},
    "9 1/2 Weeks": {"popularity": 3.0},
    "Cube 2: Hypercube": {"popularity": 4.0},
    "Rocky II": {"popularity": 5.0},
    "Ocean's Eleven": {"popularity": 6.0},
    "Terminator 2: Judgment Day": {"popularity": 7.0},
    "Mr. & Mrs. Smith": {"popularity": 8.0},
    "War and Peace": {"popularity": 9.0},
    "Romeo + Juliet": {"popularity": 10.0},
    "Spider-Man": {"popularity": 11.0},
    "M*A*S*H": {"popularity": 12.0},
    "WALL·E": {"popularity": 13.0},
    "Walled In": {"popularity": 99.0},
    "U-571": {"popularity": 14.0},
    "M": {"popularity": 15.0},
    "Martha Marcy May Marlene": {"popularity": 16.0},
    "Spirited Away": {"original_title": "千と千尋の神隠し", "popularity": 17.0},
    "Seven Samurai": {"original_title": "七人の侍", "popularity": 18.0},
    "Oldboy": {"original_title": "올드보이", "popularity": 19.0},
    "Battleship Potemkin": {"original_title": "Броненосец «Потёмкин»", "popularity": 20.0},
    "Dune": {"release_year": 2021, "popularity": 90.0},
    "Blade Runner": {"release_year": 1982, "popularity": 50.0},
    "Blade Runner 2049": {"release_year": 2017, "popularity": 40.0},
    "1984": {"release_year": 1956, "popularity": 5.5},
    "Dune Drifter": {"release_year": 2020, "popularity": 91.0},
}


@pytest.fixture
def movies(make_movie):
    for title, fields in MOVIES.items():
        make_movie(title, **fields)
    make_movie("Dune", release_year=1984, popularity=1.0)


SEARCHES = {
    "8 1/2": ["8½"],
    "8½": ["8½"],
    "alien 3": ["Alien³"],
    "alien3": ["Alien³"],
    "ALIEN³": ["Alien³"],
    "9½ weeks": ["9 1/2 Weeks"],
    "cube²": ["Cube 2: Hypercube"],
    "cube2": ["Cube 2: Hypercube"],
    "rocky 2": ["Rocky II"],
    "rocky ii": ["Rocky II"],
    "oceans 11": ["Ocean's Eleven"],
    "terminator2": ["Terminator 2: Judgment Day"],
    "mr and mrs smith": ["Mr. & Mrs. Smith"],
    "mr & mrs smith": ["Mr. & Mrs. Smith"],
    "mr mrs smith": ["Mr. & Mrs. Smith"],
    "war & peace": ["War and Peace"],
    "romeo and juliet": ["Romeo + Juliet"],
    "spiderman": ["Spider-Man"],
    "spider man": ["Spider-Man"],
    "mash": ["M*A*S*H"],
    "m.a.s.h.": ["M*A*S*H"],
    "walle": ["WALL·E", "Walled In"],
    "wall-e": ["WALL·E"],
    "u571": ["U-571"],
    "千尋": ["Spirited Away"],
    "神隠し": ["Spirited Away"],
    "千と千尋の神隠し": ["Spirited Away"],
    "侍": ["Seven Samurai"],
    "七人 侍": ["Seven Samurai"],
    "보이": ["Oldboy"],
    "ПОТЕМКИН": ["Battleship Potemkin"],
    "броненос": ["Battleship Potemkin"],
}


def search(api, **query):
    results = api.get("/movies/", query).json()["results"]
    return [(movie["title"], movie["release_year"]) for movie in results]


@pytest.mark.parametrize("ordering", [{}, {"ordering": "relevance"}])
def test_movies_are_found_as_people_type_their_titles(api, movies, ordering):
    for text, titles in SEARCHES.items():
        results = [title for title, _ in search(api, search=text, **ordering)]
        assert results == titles, text


def test_a_title_of_one_letter_comes_before_popular_movies_with_the_letter(api, movies):
    for query in ({}, {"ordering": "relevance"}):
        titles = [title for title, _ in search(api, search="m", **query)]
        assert titles[0] == "M"
        assert "Martha Marcy May Marlene" in titles

    by_popularity = search(api, search="m", ordering="-popularity")
    assert by_popularity[0] != ("M", None)


def test_a_whole_word_ranks_before_many_words_that_begin_with_it(api, make_movie):
    make_movie("Martha Marcy May Marlene", popularity=99.0)
    make_movie("Dial M for Murder", popularity=1.0)

    titles = [title for title, _ in search(api, search="m", ordering="relevance")]

    assert titles == ["Dial M for Murder", "Martha Marcy May Marlene"]


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("dune 1984", [("Dune", 1984), ("Dune", 2021), ("Dune Drifter", 2020)]),
        ("1984 dune", [("Dune", 1984), ("Dune", 2021), ("Dune Drifter", 2020)]),
        ("dune (2020)", [("Dune", 2021), ("Dune", 1984), ("Dune Drifter", 2020)]),
        ("dune 1999", [("Dune", 2021), ("Dune", 1984), ("Dune Drifter", 2020)]),
        ("blade runner 2049", [("Blade Runner 2049", 2017), ("Blade Runner", 1982)]),
        ("1984", [("1984", 1956)]),
    ],
)
@pytest.mark.parametrize("ordering", [{}, {"ordering": "relevance"}])
def test_a_year_beside_the_words_prefers_movies_of_the_year(api, movies, ordering, text, results):
    assert search(api, search=text, **ordering) == results


@pytest.mark.parametrize(
    ("text", "words", "year"),
    [
        ("dune 1984", "dune", 1984),
        ("1917 2019", "1917", 2019),
        ("2001", "2001", None),
        ("2001 !", "2001 !", None),
        ("dune 1500", "dune 1500", None),
        ("dune ١٩٨٤", "dune ١٩٨٤", None),
        ("", "", None),
    ],
)
def test_a_year_is_a_year_only_beside_a_word(text, words, year):
    assert split_year(text) == (words, year)


def test_a_long_title_has_a_bounded_vector():
    for text in ("千" * 500, "a-" * 250, "1 " * 250, "& " * 250, "³" * 500):
        vector = build_search_vector(title=text, original_title=text[1:], people=[text])
        assert len(vector.encode()) < 40_000
