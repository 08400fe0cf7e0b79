import json
import logging
import os
import re
import subprocess
import sys
import threading
from datetime import datetime

import pytest

from nexus.core.observability.logging import (
    JsonFormatter,
    ReadableFormatter,
    current_request_id,
)
from nexus.dev.embedded import ROOT


@pytest.fixture
def write_line():
    """Return a function that formats a record and parses the line."""

    def write_line(message="hello", *args, exc_info=None, **extra):
        record = logging.getLogger("some.logger").makeRecord(
            "some.logger", logging.WARNING, __file__, 1, message, args, exc_info, extra=extra
        )
        text = JsonFormatter().format(record)
        assert "\n" not in text
        return json.loads(text)

    return write_line


def test_a_record_is_one_line_of_json(write_line):
    line = write_line("%s and %d", "a\nb", 3)

    assert datetime.fromisoformat(line.pop("time")).utcoffset().total_seconds() == 0
    assert line == {
        "level": "WARNING",
        "logger": "some.logger",
        "message": "a\nb and 3",
        "request_id": None,
    }


def test_extra_fields_of_any_type_are_added_to_the_line(write_line):
    line = write_line(user_id=7, path="/é/", thing=object, nested={"a": {1}})

    assert (line["user_id"], line["path"]) == (7, "/é/")
    assert "object" in line["thing"]


def test_a_traceback_is_part_of_the_line(write_line):
    try:
        raise ValueError("on purpose")
    except ValueError:
        line = write_line(exc_info=sys.exc_info())

    assert line["traceback"].endswith("ValueError: on purpose")


def test_a_line_has_the_id_of_its_own_request(write_line):
    token = current_request_id.set("mine")

    try:
        request_ids = []
        thread = threading.Thread(target=lambda: request_ids.append(write_line()["request_id"]))
        thread.start()
        thread.join()
        assert write_line()["request_id"] == "mine"
        assert request_ids == [None]
    finally:
        current_request_id.reset(token)

    assert write_line()["request_id"] is None


@pytest.mark.parametrize("text", ["é", "\ud800", "\x00", "\u2028", "🎬"])
def test_odd_characters_do_not_break_the_line(write_line, text):
    assert write_line(text)["message"] == text
    assert JsonFormatter().format(logging.makeLogRecord({"msg": text})).isascii()


def test_lines_of_a_request_have_its_id(api, db, capsys, settings):
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("nexus.request")
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        api.get("/nowhere/", HTTP_X_REQUEST_ID="the-id")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)

    (line,) = [json.loads(text) for text in capsys.readouterr().out.splitlines()]

    assert line["request_id"] == "the-id"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/nowhere/", 404)
    assert line["level"] == "INFO"


@pytest.fixture
def write_readable_line():
    def write_readable_line(message, level=logging.INFO, exc_info=None, **extra):
        record = logging.getLogger("some.logger").makeRecord(
            "some.logger", level, __file__, 1, message, (), exc_info, extra=extra
        )
        return ReadableFormatter().format(record)

    return write_readable_line


def test_a_readable_line_has_time_level_message_duration_and_user(write_readable_line):
    line = write_readable_line("GET /movies/ 200", duration_ms=7.3, user_id=5, method="GET")

    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    GET /movies/ 200 in 7.3 ms for user 5", line)


def test_a_readable_message_stays_on_one_line(write_readable_line):
    assert write_readable_line("one\ntwo\r").endswith("INFO    one\\ntwo\\r")


def test_a_readable_warning_has_the_request_id(write_readable_line):
    token = current_request_id.set("the-id")

    try:
        line = write_readable_line("Slow.", logging.WARNING)
    finally:
        current_request_id.reset(token)

    assert line.endswith("WARNING Slow. (request the-id)")


def test_a_traceback_follows_the_readable_line(write_readable_line):
    try:
        raise ValueError("on purpose")
    except ValueError:
        lines = write_readable_line("Failed.", exc_info=sys.exc_info()).splitlines()

    assert lines[0].endswith("INFO    Failed.")
    assert lines[-1] == "ValueError: on purpose"


def test_a_warning_of_python_is_a_log_line():
    code = "import django, warnings; django.setup(); warnings.warn('on purpose', RuntimeWarning)"
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "nexus.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    (line,) = process.stderr.splitlines()

    assert re.search(r"^\d\d:\d\d:\d\d WARNING .*RuntimeWarning: on purpose", line)
