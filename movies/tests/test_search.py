import pytest
from django.db import connection
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from movies.search import MAX_WORDS, query, sort_title, vector


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("Matrix", "'matrix':*"),
        ("The Mátrix rel", "'the' & 'matrix' & 'rel':*"),
        ("don't", "'dont':*"),
        ("' | & ! :* ( ) \\", None),
        ("", None),
    ],
)
def test_a_query_asks_for_all_words_the_last_as_a_prefix(text, literal):
    assert query(text) == literal


def test_a_query_can_keep_to_one_weight():
    assert query("the matr", weights="A") == "'the':A & 'matr':*A"


def test_a_query_is_of_twenty_words_at_most():
    assert query("a " * 100).count("&") == 19


def test_a_vector_weighs_title_over_original_title_over_people():
    assert vector(title="The Fly", original_title="La Mouche", people=["Ann Fly"]) == (
        "'the':1A 'fly':2A,6C 'la':3B 'mouche':4B 'ann':5C"
    )


def test_a_vector_is_bounded():
    literal = vector(title="t", original_title="", people=[f"p{n}" for n in range(1000)])
    assert literal.count(":") == MAX_WORDS


@pytest.mark.parametrize(
    ("title", "sorted_as"),
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
def test_a_title_sorts_without_its_article(title, sorted_as):
    assert sort_title(title) == sorted_as


@pytest.mark.django_db
@hypothesis_settings(max_examples=60, deadline=None)
@given(
    title=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
    people=st.lists(
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20),
        max_size=3,
    ),
)
def test_postgresql_takes_every_vector_and_finds_the_film_by_its_own_title(title, people):
    asked = query(title)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT %s::tsvector @@ coalesce(%s::tsquery, '')",
            [vector(title=title, original_title=title, people=people), asked],
        )
        assert cursor.fetchone()[0] is (asked is not None)
