"""Path parts."""

from __future__ import annotations

from nexus.core.api.fields import MAX_ID


class IdConverter:
    """A primary key as its plain digits; `005`, `1_0` and what a bigint cannot hold are no path."""

    regex = "[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        if int(value) > MAX_ID:
            raise ValueError(value)
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class UsernameConverter:
    """A username in any case; what no username can be is no path."""

    regex = "[A-Za-z0-9_.+@-]{1,150}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
