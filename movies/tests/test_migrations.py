from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from movies import search
from movies.models import Movie

pytestmark = pytest.mark.django_db

MOVIES = [
    ("The Fly", "La Mouche", ["Ann Fly"]),
    ("千と千尋", "", []),
    ("A", "A", ["A a", "Œuvre Ann"]),
    ("…", "", []),
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
    for title, original, people in MOVIES:
        movie = make_movie(title)
        vector = search.build_search_vector(title=title, original_title=original, people=people)
        Movie.objects.filter(id=movie.id).update(search_vector=vector)
        expected[movie.id] = read_lexemes(movie)
        before = " ".join(word for word in vector.split() if not word.startswith("'^"))
        Movie.objects.filter(id=movie.id).update(search_vector=before)

    # An interrupted migration runs again.
    for _ in range(2):
        with connection.schema_editor() as editor:
            beginnings_add(apps, editor)

        assert {movie.id: read_lexemes(movie) for movie in Movie.objects.all()} == expected
    assert "^fl" in expected[min(expected)]
