"""Formats of log lines: JSON for machines in production, and text for people at the desk."""

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


class ReadableFormatter(logging.Formatter):
    """One line a record: time, level, message, and what took how long for whom.

    The traceback of an error follows on lines of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")
        parts = [
            f"{datetime.fromtimestamp(record.created):%H:%M:%S} {record.levelname:<7} {message}"
        ]
        duration_ms, user_id = (getattr(record, name, None) for name in ("duration_ms", "user_id"))
        if duration_ms is not None:
            parts.append(f"in {duration_ms} ms")
        if user_id is not None:
            parts.append(f"for user {user_id}")
        request_id = current_request_id.get()
        if request_id is not None and record.levelno >= logging.WARNING:
            parts.append(f"(request {request_id})")
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class RoutineJobFilter(logging.Filter):
    """Drop the lines of successful jobs of the queue `jobs`, which runs one every few seconds."""

    def filter(self, record: logging.LogRecord) -> bool:
        job = getattr(record, "job", None) or {}
        return record.levelno > logging.INFO or job.get("queue") != "jobs"
