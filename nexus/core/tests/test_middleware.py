import json
import logging
import re

import pytest
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from nexus import urls as real_urls

pytestmark = pytest.mark.django_db


@csrf_exempt
def explode(request):
    raise RuntimeError("on purpose")


# The real routes and one that raises an exception.
urlpatterns = [path("explode/", explode), path("", include(real_urls.urlpatterns))]
handler400, handler403 = real_urls.handler400, real_urls.handler403
handler404, handler500 = real_urls.handler404, real_urls.handler500


@pytest.mark.parametrize("client_id", ["a", "A-b_c.9", "0" * 64])
def test_a_safe_request_id_is_sent_back(api, client_id):
    response = api.get("/nowhere/", HTTP_X_REQUEST_ID=client_id)

    assert response["X-Request-ID"] == client_id
    assert response.json()["request_id"] == client_id


@pytest.mark.parametrize(
    "client_id",
    ["", "0" * 65, "a b", "a\nb", "a\r\nSet-Cookie: x=1", "é", "<script>", "a/b", "a\n"],
)
def test_an_unsafe_or_missing_request_id_is_replaced(api, client_id):
    response = api.get("/nowhere/", HTTP_X_REQUEST_ID=client_id)

    assert re.fullmatch(r"[0-9a-f]{32}", response["X-Request-ID"])
    assert response.json()["request_id"] == response["X-Request-ID"]


def test_each_request_has_its_own_id(api):
    assert api.get("/")["X-Request-ID"] != api.get("/")["X-Request-ID"]


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/genres", "/genres/"),
        ("/api/genres/", "/genres/"),
        ("/api/genres", "/genres/"),
        ("/api/movies/top_rated", "/movies/top_rated/"),
        ("/api/health/live", "/health/live/"),
    ],
)
def test_the_alias_and_a_missing_slash_respond_as_the_canonical_path(api, path, canonical):
    response = api.get(path)

    assert response.status_code == 200
    assert response.content == api.get(canonical).content


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_the_alias_of_the_root_is_the_root(api, path):
    assert api.get(path).json()["name"] == "Nexus Movie API"


@pytest.mark.parametrize("path", ["/auth/register", "/api/auth/register", "/api/auth/register/"])
def test_a_write_without_the_slash_is_not_redirected(api, path):
    response = api.post(path, {"username": "ann"})

    assert response.status_code == 400
    assert "email" in response.json()["errors"]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/api/nowhere",
        "/api/api/genres/",
        "/apigenres/",
        "/genres//",
        "/movies/005/",
        "/movies/1_0/",
        "/movies/0/",
        "/movies/-1/",
        "/movies/%D9%A1/",
        "/movies/9223372036854775808/",
        "/movies/99999999999999999999999/",
        "/%00/",
        "/movies/1%00/",
        "/%ff%fe/",
        "/" + "x" * 5000,
    ],
)
def test_an_unknown_path_is_a_404_problem(api, path):
    response = api.get(path)

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"

    body = response.json()
    assert (body["status"], body["code"], body["title"]) == (404, "not_found", "Not Found")


def test_an_uncaught_exception_is_a_problem_and_one_log_line_with_its_traceback(
    client, settings, caplog
):
    settings.ROOT_URLCONF = __name__
    client.raise_request_exception = False

    with caplog.at_level(logging.INFO):
        response = client.post("/explode/", HTTP_X_REQUEST_ID="find-me")

    assert response.status_code == 500
    assert response["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The server failed. Quote the request_id when you report this.",
        "code": "server_error",
        "request_id": "find-me",
    }
    assert "on purpose" not in response.content.decode()

    records = [record for record in caplog.records if record.name == "nexus.request"]
    assert len(records) == 1
    assert records[0].levelno == logging.ERROR
    assert "on purpose" in str(records[0].exc_info[1])


def test_a_request_is_logged_in_one_line_without_its_query(api, make_user, client_of, caplog):
    user = make_user("ann")

    with caplog.at_level(logging.INFO, logger="nexus.request"):
        client_of(user).get("/movies/?search=secret")

    assert len(caplog.records) == 1

    record = caplog.records[0]
    assert record.getMessage() == "GET /movies/ 200"
    assert (record.method, record.path, record.status) == ("GET", "/movies/", 200)
    assert record.user_id == str(user.id)
    assert record.duration_ms > 0
    assert "secret" not in json.dumps(vars(record), default=str)


def test_a_body_over_the_limit_is_413(api, settings):
    body = json.dumps({"username": "x" * settings.MAX_BODY_BYTES})

    response = api.generic("POST", "/auth/token/", body, content_type="application/json")

    assert response.status_code == 413
    assert response.json()["code"] == "too_large"
    assert response.json()["detail"] == "The body is over 256 KiB. Send less at a time."
    assert "RateLimit" in response


@pytest.mark.parametrize("path", ["/auth/token/", "/imports/", "/movies/"])
def test_a_body_in_chunks_is_411(api, path):
    response = api.generic("POST", path, b"{}", headers={"Transfer-Encoding": "chunked"})

    assert response.status_code == 411
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "length_required"
    assert "Content-Length" in response.json()["detail"]


@pytest.mark.parametrize("length", ["-1", "abc", "١", "9" * 5000, "0" * 5000, "1e9"])
def test_a_nonsense_content_length_is_a_client_error(api, length):
    response = api.generic(
        "POST", "/auth/token/", b"{}", content_type="application/json", CONTENT_LENGTH=length
    )

    assert 400 <= response.status_code < 500


def test_an_unknown_host_is_a_400_problem(api):
    response = api.get("/genres/", HTTP_HOST="evil.example")

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "bad_request"


def test_a_body_that_ends_early_is_a_400(api):
    response = api.post("/auth/register/", **{"wsgi.input": BrokenStream(), "CONTENT_LENGTH": "9"})

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert "Send the request again" in response.json()["detail"]


class BrokenStream:
    """The body of a client that is gone."""

    def read(self, *args):
        raise ConnectionResetError

    readline = read
