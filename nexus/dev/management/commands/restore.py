"""`manage.py restore FILE`: replace the database by a backup."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from nexus.core.cache import client as cache
from nexus.dev.postgres_tools import run_program

# Tables that the backup does not know would be in the way of later migrations.
EMPTY_THE_DATABASE = """SET client_min_messages = warning;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public"""


class Command(BaseCommand):
    help = (
        "Replace everything in the database by a backup, in one transaction. Stop the service "
        "first. `migrate` afterwards brings an older backup up to date."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--no-input", action="store_false", dest="interactive", help="do not ask for consent"
        )

    def handle(self, *args: Any, file: Path, interactive: bool, **options: Any) -> None:
        if not file.is_file():
            raise CommandError(f"{file} does not exist.")
        if interactive and not has_consent():
            raise CommandError("Nothing was changed.")
        with tempfile.TemporaryDirectory(prefix="nexus-restore-") as folder:
            script = Path(folder) / "restore.sql"
            # An unreadable backup fails here, before anything is changed.
            run_program("pg_restore", f"--file={script}", str(file), is_connected=False)
            run_program(
                "psql",
                *("--no-psqlrc", "--quiet", "--output=/dev/null"),
                *("--set=ON_ERROR_STOP=1", "--single-transaction"),
                *(f"--command={EMPTY_THE_DATABASE}", f"--file={script}"),
            )
        # The cache has values that were computed from the replaced rows.
        if cache.execute(lambda server: server.flushdb(), default=None) is None:
            self.stderr.write("The cache did not respond. Empty it: valkey-cli FLUSHDB")
        self.stdout.write(f"Restored {file}. Start the service again.")


def has_consent() -> bool:
    """Ask on the terminal; without one, there is no consent."""
    name = connection.settings_dict["NAME"]
    try:
        return input(f"Replace everything in the database {name!r}? [y/N] ").lower() == "y"
    except EOFError:
        return False
