"""A migrated database that tests copy: PostgreSQL copies one faster than Django migrates one."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from importlib import metadata

import psycopg
from psycopg import sql

from nexus.dev.embedded import ROOT

PREFIX = "template_nexus_"
# Held while the template is made; other processes that need it wait.
LOCK_KEY = 7_411_903
# What migrations, and the handlers of post_migrate, are made of.
_SOURCES = ("*/migrations/*.py", "nexus/core/migrations/*.py", "accounts/roles.py")
_PACKAGES = ("django", "procrastinate")


def prepare_template() -> str:
    """Return the name of a database with all migrations; make it if the migrations are new."""
    name = PREFIX + _hash_migrations()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        names = [
            row[0]
            for row in server.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX]
            )
        ]
        if name not in names:
            # Those of other migrations, or of an interrupted run.
            for old_name in names:
                server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(old_name)))
            _make_template(server, name)
    return name


def _make_template(server: psycopg.Connection, name: str) -> None:
    unfinished = sql.Identifier(f"{PREFIX}unfinished")
    server.execute(sql.SQL("CREATE DATABASE {}").format(unfinished))
    url = replace_database(os.environ["DATABASE_URL"], f"{PREFIX}unfinished")
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"],
        env={**os.environ, "DATABASE_URL": url},
        cwd=ROOT,
        check=True,
    )
    server.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(unfinished, sql.Identifier(name))
    )


def replace_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{name}", url)


def _hash_migrations() -> str:
    versions = [f"{package} {metadata.version(package)}" for package in _PACKAGES]
    digest = hashlib.sha256(" ".join(versions).encode())
    for pattern in _SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
