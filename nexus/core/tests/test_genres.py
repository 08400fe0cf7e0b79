import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.core.genres import GENRE_NAMES, TMDB_GENRES, find_genre, find_genre_by_id, sort_genres


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Science Fiction", "Science Fiction"),
        ("science fiction", "Science Fiction"),
        ("  DRAMA ", "Drama"),
        ("878", "Science Fiction"),
        ("10770", "TV Movie"),
        ("Sci-Fi", None),
        ("1", None),
        ("٢٨", None),
        ("28" + "0" * 5000, None),
        ("", None),
        ("\x00", None),
    ],
)
def test_genre_is_found_by_name_in_any_case_or_by_tmdb_id(text, name):
    assert find_genre(text) == name


@pytest.mark.parametrize("name", GENRE_NAMES)
def test_every_genre_is_found_by_its_id_and_its_name(name):
    assert find_genre_by_id(TMDB_GENRES[name]) == name
    assert find_genre(str(TMDB_GENRES[name])) == name
    assert find_genre(name.upper()) == name


def test_unknown_id_is_no_genre():
    assert find_genre_by_id(1) is None


@given(st.lists(st.sampled_from(GENRE_NAMES)))
def test_sorted_genres_are_unique_and_in_tmdbs_order(names):
    ordered = sort_genres(names)

    assert set(ordered) == set(names)
    positions = [GENRE_NAMES.index(name) for name in ordered]
    assert positions == sorted(set(positions))


def test_genres_that_tmdb_has_added_come_last_by_name():
    assert sort_genres(["Opera", "Western", "Noir", "Drama", "Opera"]) == [
        *("Drama", "Western", "Noir", "Opera")
    ]


@given(st.text())
def test_find_genre_returns_a_genre_or_none_for_any_text(text):
    assert find_genre(text) in {None, *GENRE_NAMES}
