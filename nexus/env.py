"""Reads settings from the environment; what is missing or malformed is named, with an example."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

_DIGITS = re.compile(r"[0-9]{1,18}")
_TRUE = {"1", "true", "yes", "on"}
# As many bytes as the hash of HS256 has (RFC 7518, 3.2).
MIN_KEY_LENGTH = 32
_FALSE = {"0", "false", "no", "off", ""}


def _refuse(name: str, problem: str, example: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} {problem}. Example: {name}={example}")


def text(name: str, *, default: str | None = None, example: str = "") -> str:
    """The variable, or `default`; with no default it must be set and not empty."""
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise _refuse(name, "is not set", example)
    return default


def flag(name: str, *, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in _TRUE:
        return True
    if value.strip().lower() in _FALSE:
        return False
    raise _refuse(name, f"is {value!r}, neither true nor false", "1")


def whole_number(name: str, *, default: int, at_least: int, at_most: int) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if not (_DIGITS.fullmatch(value) and at_least <= int(value) <= at_most):
        problem = f"is {value!r}, not a whole number from {at_least} to {at_most}"
        raise _refuse(name, problem, str(default))
    return int(value)


def positive_number(name: str, *, default: float) -> float:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not 0 < number < 1e9:
        raise _refuse(name, f"is {value!r}, not a number above 0", f"{default:g}")
    return number


def one_of(name: str, *, choices: tuple[str, ...], default: str) -> str:
    value = os.environ.get(name, "").strip().upper() or default
    if value not in choices:
        raise _refuse(name, f"is {value!r}, none of {', '.join(choices)}", default)
    return value


def names(name: str, *, default: str = "") -> list[str]:
    """A list, separated by commas."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def keys(name: str, *, default: str | None, example: str) -> list[str]:
    """Secret keys, separated by commas, of 32 characters or more each; none is ever shown."""
    found = [part.strip() for part in text(name, default=default, example=example).split(",")]
    if any(len(key) < MIN_KEY_LENGTH for key in found):
        raise _refuse(name, f"holds a key of fewer than {MIN_KEY_LENGTH} characters", example)
    return found


def _parts(value: str) -> SplitResult | None:
    """The parts of a URL; None where its host or port cannot be read."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts


def origins(name: str, *, example: str) -> list[str]:
    """A list of origins, each a scheme and a host with no path."""
    values = names(name)
    for value in values:
        if not _is_origin(value):
            raise _refuse(name, f"holds {value!r}, which is not an origin", example)
    return values


def _is_origin(value: str) -> bool:
    parts = _parts(value)
    if parts is None or not parts.hostname or "@" in parts.netloc:
        return False
    return value in (f"http://{parts.netloc}", f"https://{parts.netloc}")


def url(name: str, *, schemes: tuple[str, ...], default: str | None = None, example: str) -> str:
    value = text(name, default=default, example=example)
    parts = _parts(value)
    # The value may hold a password, so no message shows more of it than its scheme.
    if parts is None:
        raise _refuse(name, "cannot be read as a URL", example)
    if parts.scheme not in schemes:
        found = parts.scheme or "no scheme"
        raise _refuse(name, f"has {found!r} where one of {', '.join(schemes)} must stand", example)
    return value


def database(name: str, *, example: str) -> dict[str, Any]:
    """Django's DATABASES entry for a PostgreSQL URL."""
    value = url(name, schemes=("postgres", "postgresql"), example=example)
    try:
        config = dict(environ.Env.db_url_config(value))
    except (ValueError, ImproperlyConfigured):
        raise _refuse(name, "cannot be read as a database URL", example) from None
    if not config.get("NAME"):
        raise _refuse(name, "names no database", example)
    config["ENGINE"] = "django.db.backends.postgresql"
    return config


def email(name: str, *, example: str) -> dict[str, Any]:
    """Django's EMAIL_* settings for a URL; without one, mails are printed to the log."""
    schemes = ("smtp", "smtps", "smtp+tls", "smtp+ssl", "consolemail")
    value = url(name, schemes=schemes, default="consolemail://", example=example)
    try:
        config = dict(environ.Env.email_url_config(value))
    except (ValueError, KeyError, ImproperlyConfigured):
        raise _refuse(name, "cannot be read as a mail URL", example) from None
    return {
        key: config[key] for key in config if key.startswith("EMAIL_") and key != "EMAIL_FILE_PATH"
    }
