"""Log lines as JSON objects, each with the id of the request it belongs to."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)

_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "request",
}


class JsonFormatter(logging.Formatter):
    """One line a record: time, level, logger, message, request id, extra fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {
            key: value for key, value in vars(record).items() if key not in _STANDARD_ATTRIBUTES
        }
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": current_request_id.get(),
            **extra,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # ASCII only, so that a record stays one line of JSON in any encoding of stderr.
        return json.dumps(line, default=str)


class RoutineJobFilter(logging.Filter):
    """Drop the lines of successful jobs of the queue `jobs`, which runs one every few seconds."""

    def filter(self, record: logging.LogRecord) -> bool:
        job = getattr(record, "job", None) or {}
        return record.levelno > logging.INFO or job.get("queue") != "jobs"
