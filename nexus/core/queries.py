"""What a request asks of the database: counted, timed, and marked with the request's id."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Queries:
    """A wrapper for `connection.execute_wrapper`, for the length of one request.

    The id stands in front as a comment, so that pg_stat_activity and the log of slow queries, which
    cut what is long, say whose query it is. Nothing is prepared on the server (Django's default), and
    pg_stat_statements tells queries apart by their parse tree, which holds no comments.
    """

    def __init__(self, request_id: str) -> None:
        # Of RequestLogMiddleware's safe characters: neither `*/` nor a `%` can be in it.
        self._comment = f"/* {request_id} */ "
        self.count = 0
        self.seconds = 0.0

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        if isinstance(sql, str):
            sql = self._comment + sql
        self.count += 1
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.seconds += time.perf_counter() - started
