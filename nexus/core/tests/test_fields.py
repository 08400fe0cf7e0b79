from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from nexus.core.api.fields import (
    MAX_ID,
    IdField,
    StrictCharField,
    StrictFloatField,
    StrictIntegerField,
    UTCDateTimeField,
)

NOT_NUMBERS = ["", " ", "abc", "1_0", "١", "1e3", "0x10", "+1", "--1", "nan", "inf", "-inf", "1\n"]


@pytest.mark.parametrize(
    ("data", "value"), [(0, 0), (-7, -7), ("0", 0), ("12", 12), ("-3", -3), (2**70, 2**70)]
)
def test_an_integer_is_a_number_or_plain_digits(data, value):
    assert StrictIntegerField().run_validation(data) == value


@pytest.mark.parametrize(
    "data", [*NOT_NUMBERS, "005", "00", "1.0", 1.0, True, False, None, [], {}, "9" * 20, "9" * 9999]
)
def test_values_that_only_int_accepts_are_rejected(data):
    with pytest.raises(ValidationError):
        StrictIntegerField().run_validation(data)


@pytest.mark.parametrize("data", [0, -1, MAX_ID + 1, "0", str(MAX_ID + 1), 2**200])
def test_an_id_is_in_the_range_of_a_bigint_key(data):
    with pytest.raises(ValidationError):
        IdField().run_validation(data)
    assert IdField().run_validation(str(MAX_ID)) == MAX_ID


@pytest.mark.parametrize(
    ("data", "value"), [(3.5, 3.5), (4, 4.0), ("3.5", 3.5), ("-0.25", -0.25), ("10", 10.0)]
)
def test_a_float_is_a_number_or_plain_decimals(data, value):
    number = StrictFloatField().run_validation(data)

    assert number == value
    assert type(number) is float


@pytest.mark.parametrize(
    "data",
    [
        *NOT_NUMBERS,
        "1.",
        ".5",
        "05.0",
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        float("-inf"),
        1e300,
        10**400,
        "9" * 400,
    ],
)
def test_values_that_only_float_accepts_are_rejected(data):
    with pytest.raises(ValidationError):
        StrictFloatField().run_validation(data)


@given(st.text())
def test_any_text_becomes_a_number_or_a_validation_error(text):
    for field in (StrictIntegerField(), IdField(), StrictFloatField()):
        with suppress(ValidationError):
            assert isinstance(field.run_validation(text), int | float)


@pytest.mark.parametrize("data", [1, 1.5, True, None, [], {}])
def test_a_number_is_rejected_as_text(data):
    with pytest.raises(ValidationError):
        StrictCharField().run_validation(data)


def test_text_is_accepted_unchanged():
    assert StrictCharField().run_validation("7") == "7"


def test_a_time_is_rendered_in_utc_with_z():
    field = UTCDateTimeField()

    utc = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)

    assert field.to_representation(utc) == "2026-03-04T05:06:07.890Z"

    east = utc.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert field.to_representation(east) == "2026-03-04T05:06:07.890Z"
    assert field.to_representation(None) is None
