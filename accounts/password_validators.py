"""The password validator of the settings that compares with passwords from data leaks, offline."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.contrib.auth.password_validation import CommonPasswordValidator
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from accounts.models import User

_NOISE = r"[\W\d_]+"
_NOISE_AT_END = re.compile(rf"{_NOISE}\Z")
_NOISE_AT_ENDS = re.compile(rf"\A{_NOISE}|{_NOISE}\Z")
_REPEATED = re.compile(r"(.+?)\1+", re.DOTALL)
# What people write for letters; 1 and ! stand for i or for l.
_SUBSTITUTIONS = [str.maketrans("@4830$57+1!", f"aabeosstt{letter * 2}") for letter in "il"]


class KnownPasswordValidator(CommonPasswordValidator):
    """Rejects passwords of Django's list and of zxcvbn's, also with the changes that people make.

    These are other cases, substituted letters (`P@ssw0rd`), digits and signs at the ends, repetition
    and reversal, if the known password is at least half of the whole. zxcvbn's own estimate is not
    used: it takes 4 seconds for some inputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.passwords |= set(FREQUENCY_LISTS["passwords"])

    def validate(self, password: str, user: User | None = None) -> None:
        for simpler_password in _list_simpler_passwords(password):
            super().validate(simpler_password, user)

    def get_error_message(self) -> str:
        return (
            "This password is known from data leaks, or it is such a password with small changes."
            " Choose another one."
        )


def _list_simpler_passwords(password: str) -> Iterator[str]:
    lower = password.lower()
    for core in (lower, _NOISE_AT_END.sub("", lower), _NOISE_AT_ENDS.sub("", lower)):
        if len(core) * 2 < len(password):
            continue
        for text in (core, *(core.translate(table) for table in _SUBSTITUTIONS)):
            repeated = _REPEATED.fullmatch(text)
            unit = repeated[1] if repeated else text
            yield from (text, unit, text[::-1], unit[::-1])
