import gzip
import json
import logging
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from tmdb.client import http
from tmdb.client.errors import (
    DEFAULT_RETRY_AFTER_S,
    TmdbAuthFailed,
    TmdbInvalidResponse,
    TmdbNotFound,
    TmdbRateLimited,
    TmdbRequestRejected,
    TmdbServerError,
    TmdbUnavailable,
)
from tmdb.client.http import TmdbClient, make_movie_request, make_search_request
from tmdb.fake.server import CREDENTIAL, FIRST_ID, FakeTmdbServer

MOVIE = make_movie_request(FIRST_ID)


@pytest.fixture
def server():
    with FakeTmdbServer() as server:
        yield server


@pytest.fixture
def make_client():
    clients = []

    def make(base_url, credential=CREDENTIAL, **options):
        session = requests.Session()
        clients.append(TmdbClient(session, base_url=base_url, credential=credential, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(server, make_client):
    return make_client(server.base_url)


def send(client, request=MOVIE, within_s=3.0):
    return client.send(request, deadline=time.monotonic() + within_s)


@contextmanager
def serve_once(*, body, headers):
    """Serve one request with this response; yield the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        thread.join()


# --- Requests ------------------------------------------------------------------------------------


def test_movie_comes_with_credits_and_keywords_in_one_request(server, client):
    movie = send(client)

    assert movie["title"] == "The Salt Cartographer"
    assert {"credits", "keywords"} <= set(movie)
    assert [request.path for request in server.requests] == [f"/3/movie/{FIRST_ID}"]


def test_search_is_sent_with_tmdbs_parameters(server, client):
    request = make_search_request(
        query="é & ü zz", page=1, language="en-US", include_adult=True, year=2019
    )

    page = send(client, request)

    assert page["results"] == []
    assert server.requests[0].query == {
        "query": "é & ü zz",
        "page": "1",
        "language": "en-US",
        "include_adult": "true",
        "year": "2019",
    }


@pytest.mark.parametrize("credential", [CREDENTIAL, "0123456789abcdef" * 2])
def test_credential_is_sent_in_the_header_and_not_in_the_url(make_client, credential):
    with FakeTmdbServer(credential=credential) as server:
        send(make_client(server.base_url, credential))

    assert server.requests[0].is_authorized
    assert credential not in server.requests[0].line


def test_netrc_file_does_not_replace_the_credential(server, make_client, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client = make_client(server.base_url)
    client._session.trust_env = True

    send(client)

    assert server.requests[0].is_authorized


def test_proxy_of_the_environment_is_not_used_for_this_machine(server, make_client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert send(make_client(server.base_url))["id"] == FIRST_ID


def test_redirect_is_not_followed(server, client):
    server.set_mode("redirect", times=1)

    with pytest.raises(TmdbInvalidResponse):
        send(client)

    assert len(server.requests) == 1


# --- Failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "error_class"),
    [
        ("drop", TmdbServerError),
        ("401", TmdbAuthFailed),
        ("403_html", TmdbUnavailable),
        ("404", TmdbNotFound),
        ("404_html", TmdbUnavailable),
        ("422", TmdbRequestRejected),
        ("429", TmdbRateLimited),
        ("500", TmdbServerError),
        ("html", TmdbInvalidResponse),
        ("truncated", TmdbUnavailable),
        ("nan", TmdbInvalidResponse),
        ("huge", TmdbInvalidResponse),
        ("list_for_object", TmdbInvalidResponse),
        ("null", TmdbInvalidResponse),
        ("redirect", TmdbInvalidResponse),
        ("deep", TmdbInvalidResponse),
    ],
)
def test_every_failure_raises_the_error_of_its_cause(server, client, mode, error_class):
    server.set_mode(mode)

    with pytest.raises(error_class) as raised:
        send(client)

    assert CREDENTIAL not in repr(raised.value)
    assert raised.value.__cause__ is None


def test_status_404_for_a_search_means_a_wrong_base_url(server, client):
    server.set_mode("404")
    request = make_search_request(query="lamps", page=1, language="en-US", include_adult=False)

    with pytest.raises(TmdbUnavailable, match="TMDB_BASE_URL"):
        send(client, request)


@pytest.mark.clocked
@pytest.mark.parametrize("mode", ["slow", "drip"])
def test_slow_response_fails_at_the_deadline(server, make_client, mode):
    client = make_client(server.base_url, read_timeout_s=0.4)
    server.set_mode(mode, seconds=10)

    started = time.monotonic()
    with pytest.raises(TmdbUnavailable):
        send(client, within_s=0.6)

    assert time.monotonic() - started < 2


def test_port_without_a_server_is_unavailable(make_client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(TmdbUnavailable):
        send(make_client(f"http://127.0.0.1:{port}/3"))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, DEFAULT_RETRY_AFTER_S),
        ("", DEFAULT_RETRY_AFTER_S),
        ("soon", DEFAULT_RETRY_AFTER_S),
        ("-5", DEFAULT_RETRY_AFTER_S),
        ("nan", DEFAULT_RETRY_AFTER_S),
        ("0", 1),
        ("30", 30),
        ("9" * 5000, http.MAX_RETRY_AFTER_S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),
        ("Wed, 21 Oct 2099 07:28:00 GMT", http.MAX_RETRY_AFTER_S),
        ("Wed, 21 Oct 99999999 07:28:00 GMT", DEFAULT_RETRY_AFTER_S),
    ],
)
def test_retry_after_is_read_in_both_forms_within_bounds(header, expected):
    assert http._parse_retry_after(header) == expected


# --- Bodies --------------------------------------------------------------------------------------


def test_gzip_body_is_decompressed(make_client):
    body = gzip.compress(json.dumps({"id": FIRST_ID}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body))}

    with serve_once(body=body, headers=headers) as base_url:
        document = send(make_client(base_url))

    assert document == {"id": FIRST_ID}


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b" " * 50_000_000), gzip.compress(b"{}")[:-4], b"not gzip"],
    ids=["bomb", "cut off", "not gzip"],
)
def test_gzip_body_that_is_too_large_or_broken_is_rejected(make_client, body):
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body))}

    with (
        serve_once(body=body, headers=headers) as base_url,
        pytest.raises(TmdbInvalidResponse),
    ):
        send(make_client(base_url))


def test_no_library_logs_the_credential(client, caplog):
    caplog.set_level(logging.DEBUG)

    send(client)

    assert CREDENTIAL not in caplog.text
