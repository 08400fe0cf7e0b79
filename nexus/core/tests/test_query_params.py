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


def read(query, text):
    return query.parse(Request(APIRequestFactory().get(f"/?{text}")))


def errors_of(query, text):
    with pytest.raises(ValidationError) as refused:
        read(query, text)
    return {
        name: [detail.code for detail in details] for name, details in refused.value.detail.items()
    }


def test_known_parameters_are_read_in_their_types():
    assert read(Example, "number=7&tag=a&tag=b") == {"number": 7, "tag": ["a", "b"]}
    assert read(Example, "") == {}


def test_an_unknown_parameter_is_named():
    assert errors_of(Example, "nummer=7") == {"nummer": ["unknown"]}
    assert errors_of(NoQuery, "page=1") == {"page": ["unknown"]}


def test_a_parameter_that_stands_twice_is_named():
    assert errors_of(Example, "number=7&number=7") == {"number": ["repeated"]}


def test_every_wrong_parameter_is_named_at_once():
    found = errors_of(Example, "number=x&other=1&another=2")
    assert found == {"number": ["invalid"], "other": ["unknown"], "another": ["unknown"]}


def test_the_first_page_of_twenty_is_the_default():
    assert read(PageQuery, "") == {"page_size": 20}
    assert read(PageQuery, "page=2&page_size=100") == {"page": 2, "page_size": 100}


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
def test_a_page_out_of_bounds_is_refused_by_name(text, name):
    assert set(errors_of(PageQuery, text)) == {name}


def test_the_deepest_page_is_allowed():
    assert read(PageQuery, "page=100&page_size=100")["page"] == 100
    assert read(PageQuery, "page=500")["page"] == 500


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/movies/", "/movies/top_rated/", "/genres/"])
def test_over_http_an_unknown_parameter_is_a_400_that_names_it(api, path):
    answer = api.get(path, {"nonsense": "1"})
    assert answer.status_code == 400
    body = answer.json()
    assert set(body["errors"]) == {"nonsense"}
    assert body["detail"] == "Invalid: nonsense."
    assert body["code"] == "invalid"
