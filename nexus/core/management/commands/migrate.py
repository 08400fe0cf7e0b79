"""Django's `migrate`, so run that those who are being served do not notice.

A change of a table needs it for itself for a moment, and while it waits for a long reader everybody
else waits behind it. So it waits a moment only, lets the others pass, and tries again. What locks
nobody out (concurrent indexes, validation) waits for as long as it takes.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.core.management.base import CommandError, CommandParser, OutputWrapper
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import Error, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

# How long others may be kept waiting behind a change of a table that cannot begin yet.
LOCK_TIMEOUT_S = 0.5
# Between two tries, for those who waited behind it.
PAUSE_S = 2.0
WAIT_S = 600
TELL_EVERY_S = 10.0
LOOK_EVERY_S = 0.1
# Any number that no other advisory lock of this database has.
_ADVISORY_LOCK = 0x6E657875736D6967
_PATIENT = re.compile(r"\bCONCURRENTLY\b|\bVALIDATE CONSTRAINT\b")
_NEW_INDEX = re.compile(r'^(CREATE (?:UNIQUE )?INDEX CONCURRENTLY) (?!IF )("?)([^"\s]+)\2')

_BLOCKERS = """
SELECT pid, usename, application_name, state, extract(epoch FROM now() - xact_start)
FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(%s))
"""
_IS_INVALID = """
SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid
"""


class Command(DjangoCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--wait",
            type=float,
            default=WAIT_S,
            metavar="SECONDS",
            help="how long to try for a table that somebody else uses (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if connection.in_atomic_block:
            # Nothing in there could be tried again.
            super().handle(*args, **options)
            return
        deadline = time.monotonic() + options["wait"]
        with _alone(connection, deadline), _Watch(connection, self.stderr) as watch:
            while not self._done(connection, watch, *args, **options):
                if time.monotonic() > deadline:
                    raise CommandError(
                        f"Gave up after {options['wait']:g} s: {watch.blockers}. What is done so "
                        "far is done; run it again, or end that process with "
                        "SELECT pg_terminate_backend(<its number>)."
                    )
                watch.tell("Others are let pass; trying again")
                time.sleep(PAUSE_S)

    def _done(
        self, connection: BaseDatabaseWrapper, watch: _Watch, *args: Any, **options: Any
    ) -> bool:
        """Whether all could be done; each migration that was done is done, either way."""
        with _short_of_patience(connection), connection.execute_wrapper(_patiently(watch)):
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                waited = psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected
                if not isinstance(error.__cause__, waited):
                    raise
                return False
        return True


@contextmanager
def _alone(connection: BaseDatabaseWrapper, deadline: float) -> Iterator[None]:
    """Hold off any other `migrate` of this database.

    The lock is the database session's: where this process is killed, and what it was at goes on,
    the next one waits for the end of that.
    """
    with connection.cursor() as cursor:
        # Asked for time and again: who waits inside a statement is waited for by concurrent indexes.
        while not _scalar(cursor, "SELECT pg_try_advisory_lock(%s)", _ADVISORY_LOCK):
            if time.monotonic() > deadline:
                raise CommandError("Another `migrate` is at work on this database.")
            time.sleep(LOOK_EVERY_S)
    try:
        yield
    finally:
        # A session that is gone has let go of it.
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_ADVISORY_LOCK])


def _scalar(cursor: Any, sql: str, *params: Any) -> Any:
    cursor.execute(sql, params)
    row = cursor.fetchone()
    return row and row[0]


@contextmanager
def _short_of_patience(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Set the limits of a session that changes tables for the length of the block."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}")
        cursor.execute("SET statement_timeout = 0")
    try:
        yield
    finally:
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
            cursor.execute("RESET statement_timeout")


def _patiently(watch: _Watch) -> Callable[..., Any]:
    """A wrapper of statements, in which those that lock nobody out wait for as long as it takes."""

    def run(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not _PATIENT.search(sql):
            return execute(sql, params, many, context)
        # Not through a cursor of Django's, which would come by here again.
        session = context["connection"].connection
        session.execute("SET lock_timeout = 0")
        if new := _NEW_INDEX.match(sql):
            name = new[3]
            if session.execute(_IS_INVALID, [f'"{name}"']).fetchone():
                watch.say(f"{name} was left unfinished by a run that was cut off: made anew.")
                session.execute(f'DROP INDEX CONCURRENTLY "{name}"')
            # One that is whole was made before this migration was cut off at something else.
            sql = _NEW_INDEX.sub(rf'\1 IF NOT EXISTS "{name}"', sql)
        result = execute(sql, params, many, context)
        session.execute(f"SET lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}")
        return result

    return run


class _Watch:
    """Looks, from a session of its own, at who keeps this one waiting, and says so at times."""

    def __init__(self, connection: BaseDatabaseWrapper, stderr: OutputWrapper) -> None:
        self.blockers = "others use a table that is to be changed"
        self._alias = connection.alias
        self._stderr = stderr
        self._told_at = 0.0
        self._over = threading.Event()
        with connection.cursor() as cursor:
            self._pid = _scalar(cursor, "SELECT pg_backend_pid()")
        self._thread = threading.Thread(target=self._look, name="migrate-watch", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def say(self, message: str) -> None:
        self._stderr.write(message)
        self._stderr.flush()

    def tell(self, what: str) -> None:
        if time.monotonic() - self._told_at > TELL_EVERY_S:
            self._told_at = time.monotonic()
            self.say(f"{what}: {self.blockers}.")

    def _look(self) -> None:
        try:
            waiting = 0
            while not self._over.wait(LOOK_EVERY_S):
                with connections[self._alias].cursor() as cursor:
                    cursor.execute(_BLOCKERS, [self._pid])
                    rows = cursor.fetchall()
                waiting = waiting + 1 if rows else 0
                if rows:
                    self.blockers = "; ".join(_described(*row) for row in rows)
                # Longer than a try: it locks nobody out.
                if waiting * LOOK_EVERY_S > 2 * LOCK_TIMEOUT_S:
                    self.tell("Waiting, in nobody's way")
        except Error:
            # Whoever cannot be watched is migrated all the same.
            return
        finally:
            connections[self._alias].close()


def _described(pid: int, user: str, application: str, state: str, age_s: float | None) -> str:
    # Without the statement, which may hold what is nobody's business.
    who = f"{user}, {application}" if application else user
    since = f", in a transaction for {age_s:.0f} s" if age_s is not None else ""
    return f"process {pid} ({who}) uses it{since}, {state}"
