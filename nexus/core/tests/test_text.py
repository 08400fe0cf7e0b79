import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.core.text import MAX_WORD_LENGTH, fold, split_words

# Letters that decompose into a base letter and an accent.
ACCENTED = "àáâãäåçèéêëìíîïñòóôõöùúûüýÿāăąćĉċčďēĕėęěĝğġģĥĩīĭįĵķĺļľńņňōŏőŕŗřśŝşšţťũūŭůűųŵŷźżžǎǐǒǔ"


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Amélie", "amelie"),
        ("AMÉLIE", "amelie"),
        ("Ame\u0301lie", "amelie"),
        ("Smørrebrød", "smorrebrod"),
        ("Æon Flux", "aeon flux"),
        ("Straße", "strasse"),
        ("Łódź", "lodz"),
        ("İstanbul", "istanbul"),
        ("ﬁlm", "film"),
        ("千と千尋の神隠し", "千と千尋の神隠し"),
        ("", ""),
    ],
)
def test_fold_returns_lower_case_without_accents(text, folded):
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't Look Now", ["dont", "look", "now"]),
        ("O’Brien", ["obrien"]),
        ("WALL·E", ["wall", "e"]),
        ("Spider-Man: No_Way Home", ["spider", "man", "no", "way", "home"]),
        ("12 Angry Men", ["12", "angry", "men"]),
        ("!?… _", []),
        ("x" * 100, ["x" * MAX_WORD_LENGTH]),
    ],
)
def test_words_consist_of_letters_and_digits_and_apostrophes_do_not_split_them(text, words):
    assert split_words(text) == words


@given(st.text())
def test_folding_a_folded_text_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=st.characters(max_codepoint=0x24F)))
def test_fold_ignores_case(text):
    assert fold(text.upper()) == fold(text.lower()) == fold(text.title())


@given(st.text(alphabet=ACCENTED + "abc xyz"))
def test_fold_ignores_accents(text):
    decomposed = unicodedata.normalize("NFD", text)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))

    assert fold(text) == fold(decomposed) == bare


@given(st.text())
def test_words_contain_no_separator_of_a_tsvector_literal(text):
    for word in split_words(text):
        assert 0 < len(word) <= MAX_WORD_LENGTH
        assert not set(word) & set("'\\:&|!()<>* \t\n\x00")


@given(st.text())
def test_splitting_joined_words_returns_the_words(text):
    words = split_words(text)

    assert split_words(" ".join(words)) == words
