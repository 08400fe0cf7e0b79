"""Passwords that are known from data leaks are refused, with the changes that people make."""

import time
from contextlib import suppress

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework.test import APIClient

from accounts.password_validators import KnownPasswordValidator

KNOWN = [
    *("Password123!", "P@ssw0rd!", "Summer2024!", "Monkey12", "qwerty2026!", "trustno1!!"),
    *("Pa$$w0rd123456", "passwordpassword", "!!password!!", "@dm1n1strat0r", "drowssap1"),
    *("1q2w3e4r5t!", "Iloveyou2!", "DRAGON!!", "letmein_2023"),
]
UNKNOWN = [
    *("correct-horse-7-battery", "blue-kettle-42", "kx7-Rm2p", "hT9$kq2z", "anna-48291034"),
    # A known password that is a small part of the whole.
    "dragon-lantern-above-the-hill",
]


@pytest.mark.parametrize("password", KNOWN)
def test_known_password_is_refused(password):
    with pytest.raises(ValidationError) as raised:
        validate_password(password)

    assert [error.code for error in raised.value.error_list] == ["password_too_common"]


@pytest.mark.parametrize("password", UNKNOWN)
def test_other_password_is_accepted(password):
    validate_password(password)


def test_the_list_is_that_of_django_and_that_of_zxcvbn():
    passwords = KnownPasswordValidator().passwords

    assert len(passwords) > 40_000
    assert {"password", "qwerty123", "trustno1"} <= passwords


@pytest.mark.parametrize("password", ["a" * 256, "4@8({[<361!|0$5+7%2" * 13, "1!" * 128])
def test_no_password_takes_long(password):
    validator = KnownPasswordValidator()

    started = time.perf_counter()
    with suppress(ValidationError):
        validator.validate(password)

    # 0.05 ms; zxcvbn's own estimate of the second takes 4 s.
    assert time.perf_counter() - started < 0.1


@pytest.mark.django_db
def test_registration_refuses_a_known_password():
    body = {"username": "ann", "email": "ann@example.org", "password": "Password123!"}

    response = APIClient().post("/auth/register/", body)

    (error,) = response.json()["errors"]["password"]
    assert response.status_code == 400
    assert error["code"] == "weak_password"
    assert "known from data leaks" in error["message"]
