import pytest
from django.db import connection
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from movies.search import (
    MAX_WORDS,
    build_ranking_tsquery,
    build_search_vector,
    build_tsquery,
    make_sort_title,
)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("Matrix", "'matrix':*"),
        ("The Mátrix rel", "'the' & 'matrix' & '^rel'"),
        ("The Mátrix reloa", "'the' & 'matrix' & 'reloa':*"),
        ("don't", "'^dont'"),
        ("' | & ! :* ( ) \\", None),
        ("", None),
    ],
)
def test_a_query_matches_all_words_and_the_last_one_as_a_prefix(text, literal):
    assert build_tsquery(text) == literal


def test_a_query_can_be_restricted_to_a_weight():
    assert build_tsquery("the matri", weights="A") == "'the':A & 'matri':*A"
    assert build_tsquery("the matr", weights="A") == "'the':A & '^matr':A"


def test_a_ranking_query_matches_the_words_that_a_prefix_begins():
    assert build_ranking_tsquery("The Matr") == "'the' & ('matr' | '^matr')"
    assert build_ranking_tsquery("The Matri") == "'the' & ('matri' | 'matri':*)"


def test_a_query_has_at_most_twenty_words():
    assert build_tsquery("a " * 100).count("&") == 19


def test_a_vector_weighs_title_original_title_and_people():
    literal = build_search_vector(title="The Fly", original_title="La Mouche", people=["Ann Fly"])

    words, _, prefixes = literal.partition(" '^")
    assert words == "'the':1A 'fly':2A,6C 'la':3B 'mouche':4B 'ann':5C"
    assert f"'^{prefixes}".split() == [
        *("'^t':1A", "'^th':1A", "'^the':1A", "'^f':1A", "'^fl':1A", "'^fly':1A"),
        *("'^l':1", "'^la':1", "'^m':1", "'^mo':1", "'^mou':1", "'^mouc':1"),
        *("'^a':1", "'^an':1", "'^ann':1"),
        "'=fly':1A",
    ]


def test_a_vector_has_a_bounded_number_of_words():
    literal = build_search_vector(
        title="t", original_title="", people=[f"p{n}" for n in range(1000)]
    )

    words = [word for word in literal.split() if not word.startswith(("'^", "'="))]
    assert sum(word.count(",") + 1 for word in words) == MAX_WORDS


@pytest.mark.parametrize(
    ("title", "sort_title"),
    [
        ("The Matrix", "matrix"),
        ("A Serious Man", "serious man"),
        ("An Education", "education"),
        ("The", "the"),
        ("The The", "the"),
        ("Éclair", "eclair"),
        ("Theatre", "theatre"),
        ("…", "…"),
    ],
)
def test_a_title_is_sorted_without_its_article(title, sort_title):
    assert make_sort_title(title) == sort_title


@pytest.mark.django_db
@hypothesis_settings(max_examples=60, deadline=None)
@given(
    title=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
    people=st.lists(
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20),
        max_size=3,
    ),
)
def test_postgresql_accepts_every_vector_and_matches_a_movie_by_its_title(title, people):
    vector = build_search_vector(title=title, original_title=title, people=people)
    query = build_tsquery(title)

    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::tsvector @@ coalesce(%s::tsquery, '')", [vector, query])
        assert cursor.fetchone()[0] is (query is not None)


@pytest.mark.django_db
@pytest.mark.parametrize("letters", ["f", "fl", "fly", "flyi", "flyin"])
def test_a_prefix_matches_words_and_with_a_weight_only_words_of_the_title(letters):
    of_title = build_search_vector(title="Flying", original_title="", people=["Ann"])
    of_people = build_search_vector(title="Ann", original_title="", people=["Flying Ann"])

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT %(title)s::tsvector @@ %(any)s::tsquery, %(people)s::tsvector @@ %(any)s::tsquery,"
            " %(title)s::tsvector @@ %(in_title)s::tsquery,"
            " %(people)s::tsvector @@ %(in_title)s::tsquery",
            {
                "title": of_title,
                "people": of_people,
                "any": build_tsquery(letters),
                "in_title": build_tsquery(letters, weights="A"),
            },
        )
        assert cursor.fetchone() == (True, True, True, False)
