"""`manage.py backup FILE`: write the database to a file."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from nexus.dev.postgres_tools import run_program


class Command(BaseCommand):
    help = "Write the database to a file with pg_dump. The service may run meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="must not exist yet")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        if file.exists():
            raise CommandError(f"{file} exists. Delete it, or name another file.")
        unfinished = file.with_name(f"{file.name}.part")
        # Members' addresses and password hashes are for nobody else on this machine.
        unfinished.unlink(missing_ok=True)
        try:
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=0o600))
            run_program(
                "pg_dump",
                *("--format=custom", "--no-owner", "--no-privileges"),
                f"--file={unfinished}",
            )
            unfinished.rename(file)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        finally:
            unfinished.unlink(missing_ok=True)
        self.stdout.write(f"Wrote {file} ({file.stat().st_size / 1e6:,.1f} MB).")
