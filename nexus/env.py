"""Settings from environment variables. An error names the variable and gives an example.

django-environ parses URLs. Its casts of booleans and numbers are not used, because they accept
malformed values: `DEBUG=ture` would be False, and `RATE_LIMIT_SCALE=1e3` would be 13.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environ import Env

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}
# The length of an HS256 hash (RFC 7518, 3.2).
MIN_KEY_LENGTH = 32
DATABASE_SCHEMES = ("postgres", "postgresql")
MAIL_SCHEMES = ("smtp", "smtps", "smtp+tls", "smtp+ssl", "consolemail")


def read(
    name: str,
    parse: Callable[..., Any] = str,
    *,
    default: Any = None,
    example: str = "",
    **options: Any,
) -> Any:
    """Return `parse(value, **options)` for the variable, or `default` if it is empty or not set.

    Raises ImproperlyConfigured if there is no default, or if `parse` raises ValueError, whose message
    continues a sentence that begins with the name. No message contains a value that may be secret.
    """
    value = os.environ.get(name, "").strip()
    if not value and default is not None:
        return default
    try:
        if not value:
            raise ValueError("is not set")
        return parse(value, **options)
    except ValueError as error:
        message = f"{name} {error}. Example: {name}={example or default}"
        raise ImproperlyConfigured(message) from None


def read_boolean(name: str, *, default: bool) -> bool:
    """Return the variable as a boolean: `default` if it is not set, False if it is empty."""
    default = default and name not in os.environ
    return bool(read(name, parse_boolean, default=default, example="1"))


def parse_boolean(value: str) -> bool:
    if value.lower() not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError(f"is {value!r}, neither true nor false")
    return value.lower() in TRUE_WORDS


def parse_integer(value: str, *, minimum: int, maximum: int) -> int:
    if not (re.fullmatch(r"[0-9]{1,18}", value) and minimum <= int(value) <= maximum):
        raise ValueError(f"is {value!r}, not an integer from {minimum} to {maximum}")
    return int(value)


def parse_positive_number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise ValueError(f"is {value!r}, not a number above 0")
    return number


def parse_choice(value: str, *, choices: tuple[str, ...]) -> str:
    if value.upper() not in choices:
        raise ValueError(f"is {value!r}, none of {', '.join(choices)}")
    return value.upper()


def parse_list(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def parse_secret_keys(value: str) -> list[str]:
    keys = [key.strip() for key in value.split(",")]
    if any(len(key) < MIN_KEY_LENGTH for key in keys):
        raise ValueError(f"contains a key of fewer than {MIN_KEY_LENGTH} characters")
    return keys


def parse_origins(value: str) -> list[str]:
    """Return a list of origins: a scheme and a host each, without a path."""
    origins = parse_list(value)
    for origin in origins:
        has_form = re.fullmatch(r"https?://[^/?#@]+", origin)
        if not (has_form and _is_valid_url(origin) and urlsplit(origin).hostname):
            raise ValueError(f"contains {origin!r}, which is not an origin")
    return origins


def parse_url(value: str, *, schemes: tuple[str, ...]) -> str:
    if not _is_valid_url(value):
        raise ValueError("is not a valid URL")
    if (scheme := urlsplit(value).scheme) not in schemes:
        raise ValueError(f"has the scheme {scheme!r} instead of one of {', '.join(schemes)}")
    return value


def parse_database_url(value: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for a PostgreSQL URL."""
    config = dict(Env.db_url_config(parse_url(value, schemes=DATABASE_SCHEMES)))
    if not config.get("NAME"):
        raise ValueError("does not name a database")
    return config


def parse_mail_url(value: str) -> dict[str, Any]:
    """Return Django's EMAIL_* settings for a URL."""
    return dict(Env.email_url_config(parse_url(value, schemes=MAIL_SCHEMES)))


def _is_valid_url(value: str) -> bool:
    try:
        _ = urlsplit(value).port
    except ValueError:
        return False
    return True
