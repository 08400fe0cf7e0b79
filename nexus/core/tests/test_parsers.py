import io
import json

import pytest
from rest_framework.exceptions import ParseError

from nexus.core.api.parsers import MAX_NESTING_DEPTH, StrictJSONParser


def parse(body):
    return StrictJSONParser().parse(io.BytesIO(body))


def nest(depth, opening=b"[", closing=b"]"):
    return opening * depth + b"1" + closing * depth


@pytest.mark.parametrize(
    "value",
    [{}, [], None, True, 0, -1.5, "Amélie 🎬", {"a": [{"b": None}]}, 10**40, "\\u0000 spelled out"],
)
def test_plain_json_is_parsed_unchanged(value):
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The body is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"{", "The body is not JSON"),
        (b"{'a': 1}", "The body is not JSON"),
        (b"[1] 2", "The body is not JSON"),
        (b'{"a": NaN}', "The body is not JSON: NaN is not a JSON value"),
        (b"[Infinity]", "The body is not JSON: Infinity is not a JSON value"),
        (b"[-Infinity]", "The body is not JSON: -Infinity is not a JSON value"),
        (b"[1e999]", "The JSON contains a number that is too large for a float."),
        (b'{"a": {"b": -1e999}}', "The JSON contains a number that is too large for a float."),
        (b"[" + b"9" * 5000 + b"]", "The body is not JSON"),
        (b'["a\\u0000b"]', "The JSON contains a NUL character"),
        (b'{"a\\u0000": 1}', "The JSON contains a NUL character"),
        (b'"a\x00b"', "The body is not JSON"),
        (b'["\\ud83d"]', "The JSON contains a lone surrogate"),
        (b'{"\\udfac": 1}', "The JSON contains a lone surrogate"),
        (b'["\xff"]', "The body is not UTF-8"),
        (b'["\xed\xa0\xbd"]', "The body is not UTF-8"),
        ("[1]".encode("utf-16"), "The body is not UTF-8"),
        (b"\xef\xbb\xbf{}", "The body is not JSON"),
    ],
)
def test_values_that_cannot_be_stored_are_rejected_with_the_cause(body, detail):
    with pytest.raises(ParseError) as error:
        parse(body)
    assert str(error.value.detail).startswith(detail)


def test_a_surrogate_pair_is_one_character():
    assert parse(b'"\\ud83c\\udfac"') == "🎬"


def test_nesting_beyond_the_limit_is_rejected():
    parse(nest(MAX_NESTING_DEPTH))
    for depth in (MAX_NESTING_DEPTH + 1, 950, 100_000):
        with pytest.raises(ParseError, match=f"nested more than {MAX_NESTING_DEPTH} levels deep"):
            parse(nest(depth))
        with pytest.raises(ParseError, match=f"nested more than {MAX_NESTING_DEPTH} levels deep"):
            parse(nest(depth, b'{"a":', b"}"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body", [b"{", b'{"username": "\\u0000"}', b"\xff", b"[1e999]", nest(950), nest(100_000)]
)
def test_over_http_a_bad_body_is_a_400_problem(api, body):
    response = api.generic("POST", "/auth/token/", body, content_type="application/json")

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "parse_error"


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"true"])
def test_over_http_a_body_that_is_not_an_object_is_a_400_problem(api, body):
    response = api.generic("POST", "/auth/token/", body, content_type="application/json")

    assert response.status_code == 400
    assert response.json()["errors"]["non_field_errors"]


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_over_http_another_media_type_is_415(api, kind):
    response = api.generic("POST", "/auth/token/", b"username=a", content_type=kind)

    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"
