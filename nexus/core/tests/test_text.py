import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.core.text import MAX_WORD, fold, split_words

# Letters whose accent is a sign of its own once decomposed.
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
def test_a_text_is_folded_to_its_plain_spelling(text, folded):
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't Look Now", ["dont", "look", "now"]),
        ("O’Brien", ["obrien"]),
        ("WALL·E", ["wall", "e"]),
        ("Spider-Man: No_Way Home", ["spider", "man", "no", "way", "home"]),
        ("12 Angry Men", ["12", "angry", "men"]),
        ("!?… _", []),
        ("x" * 100, ["x" * MAX_WORD]),
    ],
)
def test_words_are_letters_and_digits_with_apostrophes_closed_up(text, expected):
    assert split_words(text) == expected


@given(st.text())
def test_folding_twice_is_folding_once(text):
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=st.characters(max_codepoint=0x24F)))
def test_case_does_not_count(text):
    assert fold(text.upper()) == fold(text.lower()) == fold(text.title())


@given(st.text(alphabet=ACCENTED + "abc xyz"))
def test_accents_do_not_count(text):
    decomposed = unicodedata.normalize("NFD", text)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    assert fold(text) == fold(decomposed) == bare


@given(st.text())
def test_a_word_is_never_empty_nor_holds_what_ends_a_word_of_postgresql(text):
    for word in split_words(text):
        assert 0 < len(word) <= MAX_WORD
        assert not set(word) & set("'\\:&|!()<>* \t\n\x00")


@given(st.text())
def test_the_words_of_the_words_are_the_words(text):
    found = split_words(text)
    assert split_words(" ".join(found)) == found
