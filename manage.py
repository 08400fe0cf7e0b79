#!/usr/bin/env python
"""Django's command line. Outside production it starts embedded servers if none are configured."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Commands that use neither PostgreSQL nor Valkey. `check` uses them only with --database.
COMMANDS_WITHOUT_SERVERS = {
    "check",
    "collectstatic",
    "compilemessages",
    "diffsettings",
    "findstatic",
    "help",
    "makemessages",
    "startapp",
    "version",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexus.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(
            f"Django is not importable ({error}). Run `make install`, then use .venv/bin/python."
        ) from error
    try:
        with provide_servers(sys.argv[1:]):
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        raise SystemExit(f"manage.py: {error}") from None


@contextmanager
def provide_servers(arguments: list[str]) -> Iterator[None]:
    """Run the embedded servers during the block if this command needs servers and none are set."""
    from nexus import env

    if env.read_boolean("PRODUCTION", default=False):
        yield
        return
    # The image does not contain the packages of this module.
    from nexus.dev import embedded

    if needs_servers(arguments):
        with embedded.run_servers():
            yield
    else:
        embedded.set_placeholders()
        yield


def needs_servers(arguments: list[str]) -> bool:
    if not arguments or {"-h", "--help", "--version"}.intersection(arguments):
        return False
    checks_database = any(argument.startswith("--database") for argument in arguments)
    return checks_database or arguments[0] not in COMMANDS_WITHOUT_SERVERS


if __name__ == "__main__":
    main()
