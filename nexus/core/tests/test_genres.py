import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.core.genres import GENRE_NAMES, TMDB_GENRES, genre_named, genre_of_id, in_tmdb_order


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
def test_a_genre_is_known_by_name_in_any_case_or_by_tmdb_id(text, name):
    assert genre_named(text) == name


@pytest.mark.parametrize("name", GENRE_NAMES)
def test_each_genre_is_found_by_its_id_and_its_name(name):
    assert genre_of_id(TMDB_GENRES[name]) == name
    assert genre_named(str(TMDB_GENRES[name])) == name
    assert genre_named(name.upper()) == name


def test_an_unknown_id_is_no_genre():
    assert genre_of_id(1) is None


@given(st.lists(st.sampled_from(GENRE_NAMES)))
def test_names_come_once_each_in_tmdbs_order(names):
    ordered = in_tmdb_order(names)
    assert set(ordered) == set(names)
    positions = [GENRE_NAMES.index(name) for name in ordered]
    assert positions == sorted(set(positions))


def test_a_name_that_is_none_of_tmdbs_is_refused():
    with pytest.raises(KeyError, match="Opera"):
        in_tmdb_order(["Drama", "Opera"])


@given(st.text())
def test_whatever_is_asked_for_the_answer_is_a_genre_or_none(text):
    assert genre_named(text) in {None, *GENRE_NAMES}
