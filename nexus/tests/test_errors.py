"""What everybody gets when something is wrong, whoever's fault it is."""

import json
import logging
from functools import wraps
from types import ModuleType
from uuid import uuid4

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.urls import path
from psycopg_pool import PoolTimeout
from rest_framework.permissions import AllowAny

import nexus.urls
from nexus.core.api.views import ApiViewSet, contract
from nexus.core.observability.logging import JsonFormatter
from nexus.tests.routes import api_routes

KEYS = {"type", "title", "status", "detail", "code", "request_id"}


class Failing(ApiViewSet):
    """Fails as its test tells it to."""

    permission_classes = [AllowAny]
    error: Exception

    @contract(responses={200: None})
    def list(self, request):
        raise self.error


def failing_plainly(request):
    raise Failing.error


@pytest.fixture
def fails(api, settings):
    """Asks a view of DRF or a plain one that raises this error."""
    module = ModuleType("failing_urls")
    module.urlpatterns = [
        path("failing/", Failing.as_view({"get": "list"})),
        path("failing/plainly/", failing_plainly),
        *nexus.urls.urlpatterns,
    ]
    for name in ("handler400", "handler403", "handler404", "handler500"):
        setattr(module, name, getattr(nexus.urls, name))
    settings.ROOT_URLCONF = module
    api.raise_request_exception = False

    def ask(error, address="/failing/", **headers):
        Failing.error = error
        return api.get(address, headers=headers)

    return ask


@pytest.fixture
def lines(caplog):
    """The log as it is written: one dict a line."""
    caplog.set_level(logging.INFO)
    formatter = JsonFormatter()
    written = []

    class Lines(logging.Handler):
        def emit(self, record):
            # Written now, while the request's id is known.
            written.append(json.loads(formatter.format(record)))

    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


BOTH = pytest.mark.parametrize("address", ["/failing/", "/failing/plainly/"])


@BOTH
def test_an_uncaught_exception_is_a_500_that_reveals_only_its_request_id(fails, db, address):
    answer = fails(RuntimeError("the secret of the house"), address)
    assert answer.status_code == 500
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == KEYS
    assert (body["title"], body["status"], body["code"]) == (
        "Internal Server Error",
        500,
        "server_error",
    )
    assert body["request_id"] == answer["X-Request-ID"]
    assert "secret" not in answer.content.decode()
    assert "Traceback" not in answer.content.decode()


@BOTH
def test_an_uncaught_exception_is_one_log_line_with_its_traceback(fails, lines, db, address):
    answer = fails(RuntimeError("for the log alone"), address)
    (line,) = lines
    assert (line["level"], line["logger"]) == ("ERROR", "nexus.request")
    assert (line["method"], line["path"], line["status"]) == ("GET", address, 500)
    assert line["request_id"] == answer["X-Request-ID"]
    assert line["traceback"].startswith("Traceback")
    assert line["traceback"].endswith("RuntimeError: for the log alone")
    assert line["duration_ms"] >= 0


def test_an_exception_in_any_action_is_one_500_with_one_log_line(
    make_user, client_of, lines, unlimited, monkeypatch
):
    client = client_of(make_user("ann"))
    client.raise_request_exception = False
    tried = 0
    for route in api_routes():
        pk = uuid4() if route.template.startswith(("/playlists/", "/auth/sessions/")) else 1
        path = route.path(pk=pk, movie_id=1, number=1, username="ann")
        for method in route.methods:
            name = route.actions[method.lower()]

            def failing(*args, **kwargs):
                raise RuntimeError("forced")

            with monkeypatch.context() as patched:
                patched.setattr(route.view, name, wraps(getattr(route.view, name))(failing))
                answer = client.generic(
                    method, path, QUERY_STRING="query=x" if "/tmdb/search/" in path else ""
                )
            lines_of_it, lines[:] = list(lines), []
            assert (answer.status_code, answer.json()["code"]) == (500, "server_error"), path
            assert answer["Content-Type"] == "application/problem+json"
            (line,) = lines_of_it
            assert (line["level"], line["method"], line["path"]) == ("ERROR", method, path)
            assert line["request_id"] == answer["X-Request-ID"] == answer.json()["request_id"]
            assert line["traceback"].endswith("RuntimeError: forced")
            tried += 1
    assert tried > 70


def test_a_client_error_is_one_log_line_without_traceback(api, lines, db):
    answers = {
        404: api.get("/nowhere/?q=what-somebody-searched"),
        405: api.post("/movies/", {}),
        401: api.get("/ratings/"),
        400: api.get("/movies/?year=0"),
        413: api.generic("POST", "/ratings/", b"x" * 300_000, content_type="application/json"),
    }
    assert {code: answer.status_code for code, answer in answers.items()} == {n: n for n in answers}
    assert [line["status"] for line in lines] == list(answers)
    for line, answer in zip(lines, answers.values(), strict=True):
        assert "traceback" not in line
        assert line["request_id"] == answer["X-Request-ID"]
    assert "what-somebody-searched" not in str(lines)


@BOTH
@pytest.mark.parametrize(
    "error",
    [
        OperationalError("server closed the connection unexpectedly"),
        OperationalError("canceling statement due to statement timeout"),
        InterfaceError("connection already closed"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}",
)
def test_a_database_that_is_down_is_503_with_retry_after(fails, lines, db, address, error):
    answer = fails(error, address)
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    assert int(answer["Retry-After"]) > 0
    body = answer.json()
    assert set(body) == KEYS
    assert body["code"] == "database_unavailable"
    assert str(error) not in answer.content.decode()
    assert [line["status"] for line in lines] == [503]


def test_an_exhausted_connection_pool_counts_as_a_database_that_is_down():
    with pytest.raises(OperationalError), connection.wrap_database_errors:
        raise PoolTimeout("couldn't get a connection after 3.00 sec")


@pytest.mark.parametrize("sent", ["abc", "A-b_c.9", "x" * 64, "0"])
def test_a_safe_request_id_is_logged_and_sent_back(fails, lines, db, sent):
    answer = fails(RuntimeError("x"), **{"X-Request-ID": sent})
    assert answer["X-Request-ID"] == answer.json()["request_id"] == sent
    assert [line["request_id"] for line in lines] == [sent]


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\nb", "<b>", "é", "a;b", '"', "a/b"])
def test_an_unsafe_request_id_is_replaced(fails, lines, db, sent):
    answer = fails(RuntimeError("x"), **{"X-Request-ID": sent})
    made = answer["X-Request-ID"]
    assert made != sent
    assert len(made) == 32
    assert int(made, 16)
    assert answer.json()["request_id"] == made == lines[0]["request_id"]


def test_every_request_has_its_own_id(api, db):
    ids = {api.get("/genres/")["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize(
    "address",
    ["/", "/movies/", "/nowhere/", "/ratings/", "/swagger/", "/redoc/", "/admin/login/"]
    + ["/failing/", "/failing/plainly/", "/health/live/", "/swagger.json"],
)
def test_every_response_has_the_security_headers(fails, db, address):
    answer = fails(RuntimeError("x"), address)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Request-ID"]
    assert "Server" not in answer
    assert "X-Powered-By" not in answer


def test_responses_over_https_have_the_hsts_header(api, db, settings):
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    answer = api.get("/genres/", secure=True)
    assert answer["Strict-Transport-Security"].startswith("max-age=31536000; includeSubDomains")


@pytest.mark.parametrize("address", ["/nowhere/", "/ratings/", "/movies/?x=1", "/failing/"])
def test_errors_are_no_store(fails, db, address):
    answer = fails(RuntimeError("x"), address)
    assert answer.status_code >= 400
    assert answer["Cache-Control"] == "private, no-store"


def test_an_error_is_json_whatever_the_client_accepts(api, db):
    answer = api.get("/nowhere/", headers={"Accept": "text/html"})
    assert answer["Content-Type"] == "application/problem+json"
    answer = api.get("/movies/", headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    assert answer["Content-Type"] == "application/problem+json"


def test_an_unknown_host_is_400_and_one_log_line(api, db, lines):
    answer = api.get("/", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "evil" not in answer.content.decode()
    assert [line["status"] for line in lines] == [400]


def test_error_messages_quote_at_most_a_part_of_a_long_value(make_user, client_of):
    client = client_of(make_user("ann"))
    answer = client.patch("/profiles/me/", {"favorite_genres": ["x" * 10_000]})
    assert answer.status_code == 400
    assert len(answer.content) < 2_000
    answer = client.patch("/profiles/me/", {"favorite_genres": list(range(5000))})
    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 20
    assert len(answer.content) < 16_384


def test_a_failed_precondition_of_a_read_is_a_problem(api, db):
    answer = api.get("/genres/", headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert answer["Content-Type"] == "application/problem+json"


def test_djangos_error_handlers_return_problems():
    for name in ("handler400", "handler403", "handler404", "handler500"):
        assert getattr(nexus.urls, name).startswith("nexus.core.api.exceptions.")
