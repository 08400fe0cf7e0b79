import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from nexus.core.api.fields import StrictIntegerField
from nexus.core.api.query_params import NoQuery, PageQuery, QuerySerializer


class Example(QuerySerializer):
    repeatable = frozenset({"tag"})

    number = StrictIntegerField(required=False)
    tag = serializers.ListField(child=serializers.CharField(), required=False)


def parse(query, text):
    return query.parse(Request(APIRequestFactory().get(f"/?{text}")))


def parse_with_errors(query, text):
    with pytest.raises(ValidationError) as error:
        parse(query, text)
    return {
        name: [detail.code for detail in details] for name, details in error.value.detail.items()
    }


def test_known_parameters_are_parsed_to_their_types():
    assert parse(Example, "number=7&tag=a&tag=b") == {"number": 7, "tag": ["a", "b"]}
    assert parse(Example, "") == {}


def test_an_unknown_parameter_is_rejected_by_name():
    assert parse_with_errors(Example, "nummer=7") == {"nummer": ["unknown"]}
    assert parse_with_errors(NoQuery, "page=1") == {"page": ["unknown"]}


def test_a_repeated_parameter_is_rejected_by_name():
    assert parse_with_errors(Example, "number=7&number=7") == {"number": ["repeated"]}


def test_all_bad_parameters_are_reported_together():
    errors = parse_with_errors(Example, "number=x&other=1&another=2")

    assert errors == {"number": ["invalid"], "other": ["unknown"], "another": ["unknown"]}


def test_the_default_page_is_the_first_of_size_twenty():
    assert parse(PageQuery, "") == {"page_size": 20}
    assert parse(PageQuery, "page=2&page_size=100") == {"page": 2, "page_size": 100}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=1.0", "page"),
        ("page=", "page"),
        ("page=005", "page"),
        ("page=%D9%A1", "page"),
        ("page=99999999999999999999", "page"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=all", "page_size"),
        ("page=501", "page"),
        ("page=101&page_size=100", "page"),
        ("page=1&cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=" + "a" * 1001, "cursor"),
    ],
)
def test_a_page_out_of_bounds_is_rejected_by_name(text, name):
    assert set(parse_with_errors(PageQuery, text)) == {name}


def test_the_deepest_page_is_allowed():
    assert parse(PageQuery, "page=100&page_size=100")["page"] == 100
    assert parse(PageQuery, "page=500")["page"] == 500


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/movies/", "/movies/top_rated/", "/genres/"])
def test_over_http_an_unknown_parameter_is_a_400_that_names_it(api, path):
    response = api.get(path, {"nonsense": "1"})

    assert response.status_code == 400

    body = response.json()
    assert set(body["errors"]) == {"nonsense"}
    assert body["detail"] == "Invalid: nonsense."
    assert body["code"] == "invalid"
