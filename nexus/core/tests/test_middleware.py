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


# The real routes and one that fails, to see what becomes of it.
urlpatterns = [path("explode/", explode), path("", include(real_urls.urlpatterns))]
handler400, handler403 = real_urls.handler400, real_urls.handler403
handler404, handler500 = real_urls.handler404, real_urls.handler500


@pytest.mark.parametrize("sent", ["a", "A-b_c.9", "0" * 64])
def test_a_safe_request_id_is_kept(api, sent):
    answer = api.get("/nowhere/", HTTP_X_REQUEST_ID=sent)
    assert answer["X-Request-ID"] == sent
    assert answer.json()["request_id"] == sent


@pytest.mark.parametrize(
    "sent", ["", "0" * 65, "a b", "a\nb", "a\r\nSet-Cookie: x=1", "é", "<script>", "a/b", "a\n"]
)
def test_any_other_request_id_is_made_anew(api, sent):
    answer = api.get("/nowhere/", HTTP_X_REQUEST_ID=sent)
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-ID"])
    assert answer.json()["request_id"] == answer["X-Request-ID"]


def test_each_request_has_an_id_of_its_own(api):
    assert api.get("/")["X-Request-ID"] != api.get("/")["X-Request-ID"]


@pytest.mark.parametrize(
    ("asked", "canonical"),
    [
        ("/genres", "/genres/"),
        ("/api/genres/", "/genres/"),
        ("/api/genres", "/genres/"),
        ("/api/movies/top_rated", "/movies/top_rated/"),
        ("/api/health/live", "/health/live/"),
    ],
)
def test_alias_and_missing_slash_answer_as_the_canonical_path(api, asked, canonical):
    answer = api.get(asked)
    assert answer.status_code == 200
    assert answer.content == api.get(canonical).content


@pytest.mark.parametrize("asked", ["/api", "/api/"])
def test_the_alias_of_the_root_is_the_root(api, asked):
    assert api.get(asked).json()["name"] == "Nexus Movie API"


@pytest.mark.parametrize("asked", ["/auth/register", "/api/auth/register", "/api/auth/register/"])
def test_a_write_without_the_slash_is_answered_and_not_redirected(api, asked):
    answer = api.post(asked, {"username": "ann"})
    assert answer.status_code == 400
    assert "email" in answer.json()["errors"]


@pytest.mark.parametrize(
    "asked",
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
def test_what_is_no_path_is_a_404_problem(api, asked):
    answer = api.get(asked)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"], body["title"]) == (404, "not_found", "Not Found")


def test_a_failure_of_ours_is_a_problem_and_one_log_line_with_its_traceback(
    client, settings, caplog
):
    settings.ROOT_URLCONF = __name__
    client.raise_request_exception = False
    with caplog.at_level(logging.INFO):
        answer = client.post("/explode/", HTTP_X_REQUEST_ID="find-me")
    assert answer.status_code == 500
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The server failed. Quote the request_id when you report this.",
        "code": "server_error",
        "request_id": "find-me",
    }
    assert "on purpose" not in answer.content.decode()
    written = [record for record in caplog.records if record.name == "nexus.request"]
    assert len(written) == 1
    assert written[0].levelno == logging.ERROR
    assert "on purpose" in str(written[0].exc_info[1])


def test_a_request_leaves_one_line_without_its_query(api, make_user, client_of, caplog):
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
    answer = api.generic("POST", "/auth/token/", body, content_type="application/json")
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert answer.json()["detail"] == "The body is over 256 KiB. Send less at a time."
    assert "RateLimit" in answer


@pytest.mark.parametrize("length", ["-1", "abc", "١", "9" * 5000, "0" * 5000, "1e9"])
def test_a_nonsense_content_length_is_no_failure_of_ours(api, length):
    answer = api.generic(
        "POST", "/auth/token/", b"{}", content_type="application/json", CONTENT_LENGTH=length
    )
    assert 400 <= answer.status_code < 500


def test_an_unknown_host_is_a_400_problem(api):
    answer = api.get("/genres/", HTTP_HOST="evil.example")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "bad_request"
