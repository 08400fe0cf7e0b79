from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from movies import search
from movies.models import Movie

pytestmark = pytest.mark.django_db

TITLES = [
    ("The Fly", "La Mouche", ["Ann Fly"]),
    ("千と千尋", "", []),
    ("A", "A", ["A a", "Œuvre Ann"]),
    ("…", "", []),
]


def words_of(movie):
    """Each word of a film with its weights; places do not count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lexeme, ARRAY(SELECT DISTINCT unnest(weights) ORDER BY 1)"
            " FROM movies_movie, unnest(search_vector) WHERE id = %s",
            [movie.id],
        )
        return dict(cursor.fetchall())


def test_films_of_before_are_given_the_beginnings_of_their_words(make_movie):
    beginnings_add = import_module("movies.migrations.0004_samples_and_words").beginnings_add
    expected = {}
    for title, original, people in TITLES:
        movie = make_movie(title)
        vector = search.build_search_vector(title=title, original_title=original, people=people)
        Movie.objects.filter(id=movie.id).update(search_vector=vector)
        expected[movie.id] = words_of(movie)
        before = " ".join(word for word in vector.split() if not word.startswith("'^"))
        Movie.objects.filter(id=movie.id).update(search_vector=before)
    for _ in range(2):  # the second time there is nothing left to do
        with connection.schema_editor() as editor:
            beginnings_add(apps, editor)
        assert {movie.id: words_of(movie) for movie in Movie.objects.all()} == expected
    assert "^fl" in expected[min(expected)]
