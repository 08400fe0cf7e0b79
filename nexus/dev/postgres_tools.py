"""PostgreSQL's own programs for the database of the settings: pg_dump, pg_restore, psql."""

from __future__ import annotations

import os
import shutil
import subprocess

from django.core.management.base import CommandError
from django.db import connection

from nexus.dev.embedded import find_postgres_programs


def run_program(name: str, *arguments: str, is_connected: bool = True) -> None:
    """Run the program and raise CommandError if it fails. Its messages go to standard error."""
    connection.ensure_connection()
    info = connection.connection.info
    if is_connected:
        arguments = (*arguments, f"--dbname={info.dsn}")
    # Not an argument, because other users of the machine can read those.
    environment = {**os.environ, "PGPASSWORD": info.password}
    command = [find_program(name, info.server_version // 10_000), *arguments]
    process = subprocess.run(command, env=environment)  # noqa: S603 (our own command)
    if process.returncode != 0:
        raise CommandError(f"{name} ended with status {process.returncode}. See the lines above.")


def find_program(name: str, version: int) -> str:
    """Return the path of the program, of this major version if the wheel has it."""
    folder = find_postgres_programs(version)
    path = str(folder / name) if folder else shutil.which(name)
    if path is None:
        raise CommandError(
            f"{name} is not installed. Install the client of PostgreSQL {version}"
            " (on Debian, postgresql-client)."
        )
    return path
