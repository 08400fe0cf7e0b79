from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers

from nexus.core.api.fields import find_read_only_fields, find_unknown_fields


class Person(serializers.Serializer):
    name = serializers.CharField()


class Book(serializers.Serializer):
    title = serializers.CharField()
    author = Person()
    readers = Person(many=True)
    editors = serializers.ListField(child=Person())
    notes = serializers.DictField()


class StoredBook(Book):
    id = serializers.IntegerField()


class Receipt(serializers.Serializer):
    number = serializers.IntegerField()


KNOWN = set(Book().fields)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)


def list_paths(errors, path=()):
    if isinstance(errors, list):
        return {path}
    return {found for name, each in errors.items() for found in list_paths(each, (*path, name))}


def find(body, **options):
    return list_paths(find_unknown_fields(Book(), body, **options))


def test_unknown_fields_are_named_at_every_depth():
    body = {
        "title": "Emma",
        "titel": "Emma",
        "author": {"name": "Jane", "nane": 1},
        "readers": [{"name": "Ann"}, {"age": 7}],
        "editors": [{"x": 1}, {"name": "Ben"}],
        "notes": {"anything": "goes"},
    }

    assert find(body) == {
        ("titel",),
        ("author", "nane"),
        ("readers", "1", "age"),
        ("editors", "0", "x"),
    }


def test_the_error_names_the_fields_that_are_known():
    [error] = find_unknown_fields(Person(), {"nane": "x"})["nane"]

    assert (str(error), error.code) == ("Unknown field. Use one of: name.", "unknown")


@given(st.dictionaries(st.sampled_from(sorted(KNOWN)) | st.text(max_size=6), JSON, max_size=6))
def test_exactly_the_names_that_no_field_has_are_unknown(body):
    found = find(body)

    assert {path[0] for path in found if len(path) == 1} == body.keys() - KNOWN
    assert all(path[0] in {"author", "readers", "editors"} for path in found if len(path) > 1)
    assert find(body, ignored=body.keys()) == {path for path in found if len(path) > 1}


@given(JSON)
def test_a_body_of_any_type_is_searched_without_an_error(body):
    find_unknown_fields(Book(), body)


def test_read_only_fields_are_those_of_the_resource_that_the_body_writes():
    assert find_read_only_fields(Book, StoredBook) == {"id"}
    assert find_read_only_fields(Book, Receipt) == set()
    assert find_read_only_fields(None, Person) == {"name"}
