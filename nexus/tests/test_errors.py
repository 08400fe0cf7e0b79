"""Error responses and their log lines: client errors, uncaught exceptions, a failing database."""

import json
import logging
from functools import wraps
from types import ModuleType
from uuid import uuid4

import pytest
from django.db import DataError, InterfaceError, OperationalError, connection
from django.urls import path
from psycopg_pool import PoolTimeout
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient

import nexus.urls
from accounts.services import access_token_create
from nexus.core.api.views import ApiViewSet, contract
from nexus.core.observability.logging import JsonFormatter
from nexus.tests.routes import list_api_routes

KEYS = {"type", "title", "status", "detail", "code", "request_id"}


class FailingViewSet(ApiViewSet):
    """Raises the error that its test sets."""

    permission_classes = [AllowAny]
    error: Exception

    @contract(responses={200: None})
    def list(self, request):
        raise self.error


def failing_view(request):
    raise FailingViewSet.error


@pytest.fixture
def request_failing(api, settings):
    """Return a function that requests a DRF view, or a Django view, which raises an error."""
    module = ModuleType("failing_urls")
    module.urlpatterns = [
        path("failing/", FailingViewSet.as_view({"get": "list"})),
        path("failing/view/", failing_view),
        *nexus.urls.urlpatterns,
    ]
    for name in ("handler400", "handler403", "handler404", "handler500"):
        setattr(module, name, getattr(nexus.urls, name))
    settings.ROOT_URLCONF = module
    api.raise_request_exception = False

    def send(error, url="/failing/", **headers):
        FailingViewSet.error = error
        return api.get(url, headers=headers)

    return send


@pytest.fixture
def lines(caplog):
    """Collect the log lines as they are written, each as a dict."""
    caplog.set_level(logging.INFO)
    formatter = JsonFormatter()
    lines = []

    class LineHandler(logging.Handler):
        def emit(self, record):
            # Formatted at once, while the request id is set.
            lines.append(json.loads(formatter.format(record)))

    handler = LineHandler()
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


BOTH_VIEWS = pytest.mark.parametrize("url", ["/failing/", "/failing/view/"])


@BOTH_VIEWS
def test_an_uncaught_exception_is_a_500_that_reveals_only_its_request_id(request_failing, db, url):
    response = request_failing(RuntimeError("a secret"), url)

    assert response.status_code == 500
    assert response["Content-Type"] == "application/problem+json"

    body = response.json()
    assert set(body) == KEYS
    assert (body["title"], body["status"], body["code"]) == (
        "Internal Server Error",
        500,
        "server_error",
    )
    assert body["request_id"] == response["X-Request-ID"]
    assert "secret" not in response.content.decode()
    assert "Traceback" not in response.content.decode()


@BOTH_VIEWS
def test_an_uncaught_exception_is_one_log_line_with_its_traceback(request_failing, lines, db, url):
    response = request_failing(RuntimeError("for the log"), url)

    (line,) = lines

    assert (line["level"], line["logger"]) == ("ERROR", "nexus.request")
    assert (line["method"], line["path"], line["status"]) == ("GET", url, 500)
    assert line["request_id"] == response["X-Request-ID"]
    assert line["traceback"].startswith("Traceback")
    assert line["traceback"].endswith("RuntimeError: for the log")
    assert line["duration_ms"] >= 0


def test_a_value_that_the_database_rejects_is_a_400_with_a_traceback_in_the_log(
    request_failing, lines, db
):
    response = request_failing(DataError("timestamp out of range"))

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    (line,) = lines
    assert (line["level"], line["status"]) == ("WARNING", 400)
    assert line["traceback"].endswith("DataError: timestamp out of range")


def test_an_exception_in_any_action_is_one_500_with_one_log_line(
    make_user, client_of, lines, unlimited, monkeypatch
):
    ann = make_user("ann")
    # /scrobbles/ takes no session, and other routes no token of its scope.
    _, token = access_token_create(user=ann, name="TV", scopes=["scrobble"])
    client, server = client_of(ann), APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
    client.raise_request_exception = server.raise_request_exception = False
    queries = {"/tmdb/search/": "query=x", "/movies/states/": "ids=1"}
    count = 0
    for route in list_api_routes():
        pk = uuid4() if route.template.startswith(("/playlists/", "/auth/sessions/")) else 1
        path = route.path(pk=pk, movie_id=1, number=1, username="ann", server="plex")
        caller = server if path == "/scrobbles/plex/" else client
        for method in route.methods:
            name = route.actions[method.lower()]

            def fail(*args, **kwargs):
                raise RuntimeError("forced")

            with monkeypatch.context() as patch:
                patch.setattr(route.view, name, wraps(getattr(route.view, name))(fail))
                response = caller.generic(method, path, QUERY_STRING=queries.get(path, ""))
            request_lines, lines[:] = list(lines), []
            assert (response.status_code, response.json()["code"]) == (500, "server_error"), path
            assert response["Content-Type"] == "application/problem+json"
            (line,) = request_lines
            assert (line["level"], line["method"], line["path"]) == ("ERROR", method, path)
            assert line["request_id"] == response["X-Request-ID"] == response.json()["request_id"]
            assert line["traceback"].endswith("RuntimeError: forced")
            count += 1
    assert count > 70


def test_a_client_error_is_one_log_line_without_traceback(api, lines, db):
    responses = {
        404: api.get("/nowhere/?q=a-private-search"),
        405: api.post("/movies/", {}),
        401: api.get("/ratings/"),
        400: api.get("/movies/?year=0"),
        413: api.generic("POST", "/ratings/", b"x" * 300_000, content_type="application/json"),
    }

    assert {code: response.status_code for code, response in responses.items()} == {
        n: n for n in responses
    }
    assert [line["status"] for line in lines] == list(responses)

    for line, response in zip(lines, responses.values(), strict=True):
        assert "traceback" not in line
        assert line["request_id"] == response["X-Request-ID"]
    assert "a-private-search" not in str(lines)


def test_no_log_line_has_a_token_that_a_media_server_sends(
    make_user, lines, db, unlimited, monkeypatch
):
    _, token = access_token_create(user=make_user("ann"), name="TV", scopes=["scrobble"])
    client = APIClient()
    client.raise_request_exception = False
    url = f"/scrobbles/plex/?token={token}"

    statuses = [client.post(url, {}, format="json").status_code]
    for spelling in (url, f"/api{url}", url.replace("plex/", "plex")):
        response = client.generic("POST", spelling, "{", content_type="application/json")
        statuses.append(response.status_code)
    statuses.append(client.post(f"{url}x", {}, format="json").status_code)
    statuses.append(client.get(url).status_code)
    monkeypatch.setattr("social.views.scrobbles.parse_playback", None)
    statuses.append(client.post(url, {}, format="json").status_code)

    assert statuses == [204, 400, 400, 400, 401, 405, 500]
    assert len(lines) == len(statuses)
    assert token[4:] not in str(lines)
    assert "token=" not in str(lines)


@BOTH_VIEWS
@pytest.mark.parametrize(
    "error",
    [
        OperationalError("server closed the connection unexpectedly"),
        OperationalError("canceling statement due to statement timeout"),
        InterfaceError("connection already closed"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}",
)
def test_a_database_that_is_down_is_503_with_retry_after(request_failing, lines, db, url, error):
    response = request_failing(error, url)

    assert response.status_code == 503
    assert response["Content-Type"] == "application/problem+json"
    assert int(response["Retry-After"]) > 0

    body = response.json()
    assert set(body) == KEYS
    assert body["code"] == "database_unavailable"
    assert str(error) not in response.content.decode()
    assert [line["status"] for line in lines] == [503]


def test_an_exhausted_connection_pool_counts_as_a_database_that_is_down():
    with pytest.raises(OperationalError), connection.wrap_database_errors:
        raise PoolTimeout("couldn't get a connection after 3.00 sec")


@pytest.mark.parametrize("client_id", ["abc", "A-b_c.9", "x" * 64, "0"])
def test_a_safe_request_id_is_logged_and_sent_back(request_failing, lines, db, client_id):
    response = request_failing(RuntimeError("x"), **{"X-Request-ID": client_id})

    assert response["X-Request-ID"] == response.json()["request_id"] == client_id
    assert [line["request_id"] for line in lines] == [client_id]


@pytest.mark.parametrize("client_id", ["", "x" * 65, "a b", "a\nb", "<b>", "é", "a;b", '"', "a/b"])
def test_an_unsafe_request_id_is_replaced(request_failing, lines, db, client_id):
    response = request_failing(RuntimeError("x"), **{"X-Request-ID": client_id})

    request_id = response["X-Request-ID"]

    assert request_id != client_id
    assert len(request_id) == 32
    assert int(request_id, 16)
    assert response.json()["request_id"] == request_id == lines[0]["request_id"]


def test_every_request_has_its_own_id(api, db):
    ids = {api.get("/genres/")["X-Request-ID"] for _ in range(5)}

    assert len(ids) == 5


@pytest.mark.parametrize(
    "url",
    ["/", "/movies/", "/nowhere/", "/ratings/", "/swagger/", "/redoc/", "/admin/login/"]
    + ["/failing/", "/failing/view/", "/health/live/", "/swagger.json"],
)
def test_every_response_has_the_security_headers(request_failing, db, url):
    response = request_failing(RuntimeError("x"), url)

    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Request-ID"]
    assert "Server" not in response
    assert "X-Powered-By" not in response


def test_responses_over_https_have_the_hsts_header(api, db, settings):
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True

    response = api.get("/genres/", secure=True)

    assert response["Strict-Transport-Security"].startswith("max-age=31536000; includeSubDomains")


@pytest.mark.parametrize("url", ["/nowhere/", "/ratings/", "/movies/?x=1", "/failing/"])
def test_errors_are_no_store(request_failing, db, url):
    response = request_failing(RuntimeError("x"), url)

    assert response.status_code >= 400
    assert response["Cache-Control"] == "private, no-store"


def test_an_error_is_json_whatever_the_client_accepts(api, db):
    response = api.get("/nowhere/", headers={"Accept": "text/html"})

    assert response["Content-Type"] == "application/problem+json"

    response = api.get("/movies/", headers={"Accept": "image/png"})
    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
    assert response["Content-Type"] == "application/problem+json"


def test_an_unknown_host_is_400_and_one_log_line(api, db, lines):
    response = api.get("/", headers={"Host": "evil.example"})

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert "evil" not in response.content.decode()
    assert [line["status"] for line in lines] == [400]


def test_error_messages_quote_at_most_a_part_of_a_long_value(make_user, client_of):
    client = client_of(make_user("ann"))

    response = client.patch("/profiles/me/", {"favorite_genres": ["x" * 10_000]})

    assert response.status_code == 400
    assert len(response.content) < 2_000

    response = client.patch("/profiles/me/", {"favorite_genres": list(range(5000))})
    assert response.status_code == 400
    assert len(response.json()["errors"]) == 20
    assert len(response.content) < 16_384


def test_a_failed_precondition_of_a_read_is_a_problem(api, db):
    response = api.get("/genres/", headers={"If-Match": '"1"'})

    assert (response.status_code, response.json()["code"]) == (412, "precondition_failed")
    assert response["Content-Type"] == "application/problem+json"


def test_djangos_error_handlers_return_problems():
    for name in ("handler400", "handler403", "handler404", "handler500"):
        assert getattr(nexus.urls, name).startswith("nexus.core.api.exceptions.")
