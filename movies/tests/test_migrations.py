from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from movies.models import Movie, Person

pytestmark = pytest.mark.django_db

# The words of movies before migration 0004, and the lexemes that it adds.
WORDS_AND_PREFIXES = [
    (
        "'the':1A 'fly':2A,6C 'la':3B 'ann':4C",
        "'^t':1A '^th':1A '^the':1A '^f':1A '^fl':1A '^fly':1A '^l':1 '^la':1 '^a':1 '^an':1 '^ann':1",
    ),
    ("'千と千尋':1A", "'^千':1A '^千と':1A '^千と千':1A '^千と千尋':1A"),
    (
        "'a':1A,2B,3C 'oeuvre':4C",
        "'^a':1A '^o':1 '^oe':1 '^oeu':1 '^oeuv':1",
    ),
    ("", ""),
]


def read_lexemes(movie):
    """Return the lexemes of a movie with their weights, without positions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lexeme, ARRAY(SELECT DISTINCT unnest(weights) ORDER BY 1)"
            " FROM movies_movie, unnest(search_vector) WHERE id = %s",
            [movie.id],
        )
        return dict(cursor.fetchall())


def test_the_migration_adds_prefixes_to_existing_movies(make_movie):
    beginnings_add = import_module("movies.migrations.0004_samples_and_words").beginnings_add
    expected = {}
    for words, prefixes in WORDS_AND_PREFIXES:
        movie = make_movie()
        Movie.objects.filter(id=movie.id).update(search_vector=f"{words} {prefixes}")
        expected[movie.id] = read_lexemes(movie)
        Movie.objects.filter(id=movie.id).update(search_vector=words)

    # An interrupted migration runs again.
    for _ in range(2):
        with connection.schema_editor() as editor:
            beginnings_add(apps, editor)

        assert {movie.id: read_lexemes(movie) for movie in Movie.objects.all()} == expected
    assert "^fl" in expected[min(expected)]


def test_search_words_of_existing_movies_are_rebuilt(make_movie):
    rebuild = import_module("movies.migrations.0009_search_as_people_type").rebuild_search_words
    titles = ["8½", "Alien³", "千と千尋の神隠し", "…"]
    movies = [
        make_movie(title, original_title="Другое", directors=["Ann Fly"], cast=["Bo Fly"])
        for title in titles
    ]
    expected = [(movie.sort_title, read_lexemes(movie)) for movie in movies]
    Movie.objects.update(search_vector="'old':1A", sort_title="old")

    # An interrupted migration runs again.
    for _ in range(2):
        with connection.schema_editor() as editor:
            rebuild(apps, editor)

        for movie, (sort_title, lexemes) in zip(movies, expected, strict=True):
            movie.refresh_from_db()
            assert (movie.sort_title, read_lexemes(movie)) == (sort_title, lexemes)
    assert "=812" in expected[0][1]


def test_search_words_of_existing_people_are_rebuilt(make_movie):
    rebuild = import_module("movies.migrations.0009_search_as_people_type").rebuild_names
    make_movie(cast=["黒澤明", "Jean-Claude Van Damme"])
    expected = {person.name: str(person.search_vector) for person in Person.objects.all()}
    Person.objects.filter(name="黒澤明").update(search_vector=None)
    Person.objects.exclude(name="黒澤明").update(search_vector="'old':1A")

    with connection.schema_editor() as editor:
        rebuild(apps, editor)

    people = Person.objects.all()
    assert {person.name: str(person.search_vector) for person in people} == expected
    assert "'黒澤':1A" in expected["黒澤明"]
