import json
import logging
import sys
import threading
from datetime import datetime

import pytest

from nexus.core.observability.logging import JsonFormatter, current_request_id


@pytest.fixture
def line():
    """Formats one record and reads it back."""

    def line(message="hello", *args, exc_info=None, **extra):
        record = logging.getLogger("some.logger").makeRecord(
            "some.logger", logging.WARNING, __file__, 1, message, args, exc_info, extra=extra
        )
        text = JsonFormatter().format(record)
        assert "\n" not in text
        return json.loads(text)

    return line


def test_a_record_is_one_line_of_json(line):
    written = line("%s and %d", "a\nb", 3)
    assert datetime.fromisoformat(written.pop("time")).utcoffset().total_seconds() == 0
    assert written == {
        "level": "WARNING",
        "logger": "some.logger",
        "message": "a\nb and 3",
        "request_id": None,
    }


def test_extras_stand_beside_the_message_whatever_they_are(line):
    written = line(user_id=7, path="/é/", thing=object, nested={"a": {1}})
    assert (written["user_id"], written["path"]) == (7, "/é/")
    assert "object" in written["thing"]


def test_a_traceback_stays_within_the_line(line):
    try:
        raise ValueError("on purpose")
    except ValueError:
        written = line(exc_info=sys.exc_info())
    assert written["traceback"].endswith("ValueError: on purpose")


def test_a_line_bears_the_id_of_its_own_request(line):
    token = current_request_id.set("mine")
    try:
        seen = []
        thread = threading.Thread(target=lambda: seen.append(line()["request_id"]))
        thread.start()
        thread.join()
        assert line()["request_id"] == "mine"
        assert seen == [None]
    finally:
        current_request_id.reset(token)
    assert line()["request_id"] is None


@pytest.mark.parametrize("text", ["é", "\ud800", "\x00", "\u2028", "🎬"])
def test_odd_characters_do_not_break_the_line(line, text):
    assert line(text)["message"] == text
    assert JsonFormatter().format(logging.makeLogRecord({"msg": text})).isascii()


def test_during_a_request_every_line_bears_its_id(api, db, capsys, settings):
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
    (written,) = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert written["request_id"] == "the-id"
    assert (written["method"], written["path"], written["status"]) == ("GET", "/nowhere/", 404)
    assert written["level"] == "INFO"
