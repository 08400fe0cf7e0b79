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

NO_NUMBERS = ["", " ", "abc", "1_0", "١", "1e3", "0x10", "+1", "--1", "nan", "inf", "-inf", "1\n"]


@pytest.mark.parametrize(
    ("sent", "value"), [(0, 0), (-7, -7), ("0", 0), ("12", 12), ("-3", -3), (2**70, 2**70)]
)
def test_an_integer_is_taken_as_number_or_plain_digits(sent, value):
    assert StrictIntegerField().run_validation(sent) == value


@pytest.mark.parametrize(
    "sent", [*NO_NUMBERS, "005", "00", "1.0", 1.0, True, False, None, [], {}, "9" * 20, "9" * 9999]
)
def test_what_only_int_would_take_is_no_integer(sent):
    with pytest.raises(ValidationError):
        StrictIntegerField().run_validation(sent)


@pytest.mark.parametrize("sent", [0, -1, MAX_ID + 1, "0", str(MAX_ID + 1), 2**200])
def test_an_id_is_what_a_bigint_key_can_be(sent):
    with pytest.raises(ValidationError):
        IdField().run_validation(sent)
    assert IdField().run_validation(str(MAX_ID)) == MAX_ID


@pytest.mark.parametrize(
    ("sent", "value"), [(3.5, 3.5), (4, 4.0), ("3.5", 3.5), ("-0.25", -0.25), ("10", 10.0)]
)
def test_a_float_is_taken_as_number_or_plain_decimals(sent, value):
    taken = StrictFloatField().run_validation(sent)
    assert taken == value
    assert type(taken) is float


@pytest.mark.parametrize(
    "sent",
    [
        *NO_NUMBERS,
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
def test_what_only_float_would_take_is_no_float(sent):
    with pytest.raises(ValidationError):
        StrictFloatField().run_validation(sent)


@given(st.text())
def test_whatever_text_is_sent_the_answer_is_a_number_or_a_validation_error(text):
    for field in (StrictIntegerField(), IdField(), StrictFloatField()):
        with suppress(ValidationError):
            assert isinstance(field.run_validation(text), int | float)


@pytest.mark.parametrize("sent", [1, 1.5, True, None, [], {}])
def test_a_number_is_no_text(sent):
    with pytest.raises(ValidationError):
        StrictCharField().run_validation(sent)


def test_a_text_is_taken_as_it_is():
    assert StrictCharField().run_validation("7") == "7"


def test_a_time_is_written_in_utc_with_z():
    field = UTCDateTimeField()
    utc = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
    assert field.to_representation(utc) == "2026-03-04T05:06:07.890Z"
    east = utc.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert field.to_representation(east) == "2026-03-04T05:06:07.890Z"
    assert field.to_representation(None) is None
