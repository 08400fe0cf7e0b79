"""URL converters. A path with a value that cannot exist matches no route."""

from __future__ import annotations

from nexus.core.api.fields import MAX_ID


class IdConverter:
    """A primary key in plain digits; not `005`, `1_0` or a number beyond bigint."""

    regex = "[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        if int(value) > MAX_ID:
            raise ValueError(value)
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class MediaServerConverter:
    """A media server whose webhooks are understood."""

    regex = "plex|jellyfin|emby|kodi"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class UsernameConverter:
    """A username in any case."""

    regex = "[A-Za-z0-9_.+@-]{1,150}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
