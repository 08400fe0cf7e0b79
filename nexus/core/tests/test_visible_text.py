"""One rule for text and one for URLs that members show to others."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.core.visible_text import (
    find_invisible,
    find_url_problem,
    has_visible,
    remove_invisible,
)

PLAIN = [
    "Ann Ä.",
    "O'Brien & co. <3 100 % 🙂",
    "Дарья",
    "שלום",
    "مرحبا",
    "می‌خواهم",  # Persian, with a zero-width non-joiner
    "क्‍ष",  # Devanagari, with a zero-width joiner
    "👨‍👩‍👧‍👦 ❤️‍🔥 1️⃣",  # emoji of several characters
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England's flag
    "e\u0301",
]
NOT_PLAIN = [
    *("\x00", "\x07", "\x1b[31m", "\x7f", "\x85", "\x9b"),
    *("ann\u202egpj.exe", "\u200eann", "\u200f", "\u061c", "\u2066ann\u2069", "\u202aann"),
    *("\u200b", "ann\u200b", "\ufeffann", "\u2060", "\u00ad", "\u034f", "\u180e", "\u3164"),
    *("ad\u200cmin", "\u200dann", "ann\u200d", "a\u200d\u200db", "\u200c", "a\ufe0fnn", "\ufe0f"),
    *("\u2028", "\u2029", "\ufff9", "\uffff", "\ud800", "\U000e0041ann", "a\U000e0067"),
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_of_many_scripts_is_accepted_and_kept(text):
    assert find_invisible(text, is_line=True) is None
    assert remove_invisible(text, is_line=True) == text
    assert has_visible(text)


@pytest.mark.parametrize("text", NOT_PLAIN)
@pytest.mark.parametrize("is_line", [True, False])
def test_invisible_characters_are_found_and_removed(text, is_line):
    cleaned = remove_invisible(text, is_line=is_line)

    assert find_invisible(text, is_line=is_line) is not None
    assert find_invisible(cleaned, is_line=is_line) is None


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\t"])
def test_line_breaks_are_accepted_in_texts_only(line_break):
    text = f"One{line_break}two"

    assert find_invisible(text, is_line=False) is None
    assert find_invisible(text, is_line=True) is not None
    assert remove_invisible(text, is_line=True) == "One two"


def test_every_control_and_format_character_is_refused_alone():
    joined_or_visible = {
        *range(0x600, 0x606), *(0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD),
        *range(0x13430, 0x13440),
    }  # fmt: skip

    accepted = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and code not in joined_or_visible
        and find_invisible(f"a{chr(code)}b", is_line=True) is None
    ]

    assert accepted == []


@pytest.mark.parametrize("text", ["", " ", "\u00a0\u2003", "\u0301\u0301", "\u2800", " \u2800 "])
def test_space_and_marks_alone_are_not_visible(text):
    assert not has_visible(text)
    assert remove_invisible(text, is_line=False) == ""


@given(st.text(), st.booleans())
def test_removal_leaves_nothing_to_remove(text, is_line):
    cleaned = remove_invisible(text, is_line=is_line)

    assert find_invisible(cleaned, is_line=is_line) is None
    assert remove_invisible(cleaned, is_line=is_line) == cleaned


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.png",
        "https://EXAMPLE.org:8443/a%20b/?q=1&r=a,b#x",
        "https://xn--bcher-kva.example/ä.png",
        "https://[2001:db8::1]/a.png",
        "https://example.org/@ann.png",
    ],
)
def test_public_urls_are_accepted(url):
    assert find_url_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.png",
        "//example.org/a.png",
        "javascript:alert(1)",
        "data:image/png;base64,AA",
        "https://",
        "https:///a.png",
        "https://ann:secret@example.org/a.png",
        "https://ann@example.org/a.png",
        "https://@example.org/a.png",
        "https://example.org/<script>",
        'https://example.org/a.png" onerror="alert(1)',
        "https://example.org/a'b",
        "https://example.org/a b",
        "https://example.org/a\nb",
        "https://example.org/\u202egnp.a",
        "https://example.org\\@evil.example/",
        "https://example.org:99999/",
        "https://[::1/",
    ],
)
def test_urls_with_credentials_markup_or_another_scheme_are_refused(url):
    assert find_url_problem(url) is not None
