#!/usr/bin/env python
"""Django's command line, on embedded servers where none are configured."""

import os
import sys

from nexus.dev import embedded


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexus.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(
            f"Django is not importable ({error}). Run `make install`, then use .venv/bin/python."
        ) from error
    with embedded.run_servers():
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
