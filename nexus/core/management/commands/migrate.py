"""Django's `migrate`, which changes tables without making requests wait.

A change of a table needs an exclusive lock for a moment. While it waits for one behind a long reader,
every later statement on that table waits behind it. So each attempt waits half a second at most, lets
the others pass and tries again. Concurrent index builds and constraint validation block nobody and
wait as long as they need.
"""

from __future__ import annotations

import re
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import OperationalError, connections
from psycopg.errors import DeadlockDetected, LockNotAvailable

from nexus.core.db import transactions
from nexus.core.db.advisory_locks import AdvisoryLock, session_lock

# Time for the requests that waited behind an attempt to finish.
RETRY_AFTER_S = 2.0
WHAT_TO_DO = """Completed migrations stay applied. Run `migrate` again when the table is free, or end
the process with SELECT pg_terminate_backend(<number>)."""
_NON_BLOCKING = re.compile(r"\bCONCURRENTLY\b|\bVALIDATE CONSTRAINT\b")
_CREATE_INDEX = re.compile(r'CREATE (?:UNIQUE )?INDEX CONCURRENTLY ("[^"]+")')


class Command(DjangoCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--wait", type=float, default=600, help="seconds to retry (default: 600)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        using, wait_s = options["database"], options["wait"]
        deadline = time.monotonic() + wait_s
        with session_lock(AdvisoryLock.MIGRATION, wait_s=wait_s, using=using) as is_acquired:
            if not is_acquired:
                raise CommandError("Another `migrate` is running on this database.")
            while not self._attempt(*args, **options):
                others = transactions.describe_open_transactions(using) or "none any more"
                reason = f"A table is in use; open transactions: {others}."
                if time.monotonic() > deadline:
                    raise CommandError(f"Gave up after {wait_s:g} s. {reason} {WHAT_TO_DO}")
                self.stderr.write(f"{reason} Trying again.")
                time.sleep(RETRY_AFTER_S)

    def _attempt(self, *args: Any, **options: Any) -> bool:
        """Migrate; return False if a lock was not available. Completed migrations stay applied."""
        connection = connections[options["database"]]
        timeouts = {"lock_timeout": "500ms", "statement_timeout": "0"}
        with (
            transactions.session_settings(connection, **timeouts),
            connection.execute_wrapper(self._execute),
        ):
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                    raise
                return False
        return True

    def _execute(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Execute one statement, without a lock timeout if it blocks nobody."""
        connection = context["connection"]
        if not _NON_BLOCKING.search(sql):
            return execute(sql, params, many, context)
        if index := _CREATE_INDEX.match(sql):
            if transactions.drop_invalid_index(connection, index[1]):
                self.stderr.write(f"Rebuilding {index[1]}, left invalid by an interrupted run.")
            # An interrupted run may have built some indexes of a migration already.
            sql = sql.replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS", 1)
        if others := transactions.describe_open_transactions(connection.alias):
            self.stderr.write(f"Waiting, blocking nobody, for open transactions: {others}.")
        with transactions.session_settings(connection, lock_timeout="0"):
            return execute(sql, params, many, context)
