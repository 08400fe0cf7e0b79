import gzip
import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from tmdb.client import http as client_module
from tmdb.client.errors import (
    TmdbAuthFailed,
    TmdbError,
    TmdbNotConfigured,
    TmdbNotFound,
    TmdbUnavailable,
    TmdbUnusable,
)
from tmdb.client.http import Client
from tmdb.fake.server import CREDENTIAL, FIRST_ID, FakeTmdbServer

pytestmark = pytest.mark.clocked

SEARCH = {"query": "lamps", "page": 1, "language": "en-US", "include_adult": False}


@pytest.fixture
def server():
    with FakeTmdbServer() as server:
        yield server


@pytest.fixture
def make_client():
    made = []

    def make(base_url, credential=CREDENTIAL, **more):
        made.append(Client(requests.Session(), base_url=base_url, credential=credential, **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(server, make_client):
    return make_client(server.base_url)


def answering(*, body, headers):
    """A server that gives every request this one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    return HTTPServer(("127.0.0.1", 0), Handler)


def test_a_film_comes_with_credits_and_keywords_in_one_request(server, client):
    film = client.movie(FIRST_ID)
    assert film["title"] == "The Salt Cartographer"
    assert {"credits", "keywords"} <= set(film)
    assert [asked.path for asked in server.requests] == [f"/3/movie/{FIRST_ID}"]


def test_a_search_is_sent_as_tmdb_reads_it(server, client):
    page = client.search_movies(**{**SEARCH, "query": "é & ü zz", "include_adult": True}, year=2019)
    assert page["results"] == []
    assert server.requests[0].query == {
        "query": "é & ü zz",
        "page": "1",
        "language": "en-US",
        "include_adult": "true",
        "year": "2019",
    }


@pytest.mark.parametrize("credential", [CREDENTIAL, "0123456789abcdef" * 2])
def test_the_credential_stands_in_the_header_and_not_in_the_address(make_client, credential):
    with FakeTmdbServer(credential=credential) as server:
        make_client(server.base_url, credential).movie(FIRST_ID)
        asked = server.requests[0]
        assert asked.authorized
        assert credential not in asked.line


def test_a_netrc_file_does_not_replace_the_credential(server, make_client, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client = make_client(server.base_url)
    client._session.trust_env = True
    client.movie(FIRST_ID)
    assert server.requests[0].authorized


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(server, make_client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert make_client(server.base_url).movie(FIRST_ID)["id"] == FIRST_ID


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("drop", TmdbUnavailable),
        ("401", TmdbAuthFailed),
        ("403_html", TmdbUnavailable),
        ("404", TmdbNotFound),
        ("404_html", TmdbUnavailable),
        ("429", TmdbUnavailable),
        ("500", TmdbUnavailable),
        ("html", TmdbUnusable),
        ("truncated", TmdbUnavailable),
        ("nan", TmdbUnusable),
        ("huge", TmdbUnusable),
        ("list_for_object", TmdbUnusable),
        ("null", TmdbUnusable),
        ("redirect", TmdbUnusable),
        ("deep", TmdbUnusable),
    ],
)
def test_each_trouble_is_an_error_of_its_cause(server, client, mode, expected):
    server.switch(mode)
    with pytest.raises(expected) as raised:
        client.movie(FIRST_ID)
    assert CREDENTIAL not in repr(raised.value)
    assert raised.value.__cause__ is None


def test_a_search_that_is_not_found_is_a_wrong_address(server, client):
    server.switch("404")
    with pytest.raises(TmdbUnavailable):
        client.search_movies(**SEARCH)


def test_a_redirect_is_not_followed(server, client):
    server.switch("redirect", times=1)
    with pytest.raises(TmdbUnusable):
        client.movie(FIRST_ID)
    assert len(server.requests) == 1


@pytest.mark.parametrize("mode", ["slow", "drip"])
def test_a_slow_answer_is_given_up_within_the_budget(server, make_client, mode):
    client = make_client(server.base_url, read_timeout_s=0.4, budget_s=0.6)
    server.switch(mode, seconds=10)
    started = time.monotonic()
    with pytest.raises(TmdbUnavailable):
        client.movie(FIRST_ID)
    assert time.monotonic() - started < 2


def test_headers_that_drip_are_given_up_within_the_budget(make_client):
    # Nothing but the budget ends this: each byte comes in time.
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Padding: ")
                while not done.wait(0.1):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        client = make_client(f"http://127.0.0.1:{listener.getsockname()[1]}/3", budget_s=0.6)
        started = time.monotonic()
        with pytest.raises(TmdbUnavailable, match="within"):
            client.movie(FIRST_ID)
        assert time.monotonic() - started < 2
        done.set()
        thread.join()


def test_a_cut_connection_is_tried_once_more(server, client):
    server.switch("drop", times=1)
    assert client.movie(FIRST_ID)["id"] == FIRST_ID
    assert len(server.requests) == 2


def test_a_connection_that_is_cut_again_is_given_up(server, client):
    server.switch("drop")
    with pytest.raises(TmdbUnavailable):
        client.movie(FIRST_ID)
    assert len(server.requests) == 2


@pytest.mark.parametrize("mode", ["500", "429", "429_retry_after", "drop"])
def test_what_passes_is_tried_again(server, client, mode):
    server.switch(mode, times=1, retry_after="1")
    started = time.monotonic()
    assert client.movie(FIRST_ID)["id"] == FIRST_ID
    assert len(server.requests) == 2
    # Half of the delay at least, and no less than TMDb asks for.
    at_least = {"429": 0.1, "429_retry_after": 1.0}.get(mode, 0.02)
    assert time.monotonic() - started > at_least


@pytest.mark.parametrize("mode", ["401", "404", "html", "slow", "redirect", "nan"])
def test_what_stays_is_not_tried_again(server, make_client, mode):
    server.switch(mode, seconds=5)
    with pytest.raises(TmdbError):
        make_client(server.base_url, read_timeout_s=0.3).movie(FIRST_ID)
    assert len(server.requests) == 1


def test_a_wait_beyond_the_budget_is_not_waited(server, client):
    server.switch("429_retry_after", retry_after="7")
    started = time.monotonic()
    with pytest.raises(TmdbUnavailable) as raised:
        client.movie(FIRST_ID)
    assert time.monotonic() - started < 2
    assert raised.value.retry_after_s == 7
    assert len(server.requests) == 1


def test_batch_work_tries_as_often_as_it_is_told(server, make_client):
    server.switch("500", times=4)
    client = make_client(server.base_url, budget_s=20, retries=4)
    assert client.movie(FIRST_ID)["id"] == FIRST_ID
    assert len(server.requests) == 5


def test_calls_of_one_block_share_its_budget(server, client):
    server.switch("slow", seconds=0.4)
    started = time.monotonic()
    with client_module.within(1.19):
        client.movie(FIRST_ID)
        # A longer budget inside does not lengthen the block's.
        with client_module.within(60):
            client.movie(FIRST_ID)
            with pytest.raises(TmdbUnavailable):
                client.movie(FIRST_ID)
    assert time.monotonic() - started < 1.6


class RecordingGate:
    """Lets everybody in, or raises `refusal`; notes what it is told."""

    def __init__(self, refusal=None):
        self.refusal, self.left, self.entered = refusal, [], 0

    def enter(self, deadline):
        if self.refusal:
            raise self.refusal
        self.entered += 1
        return f"ticket {self.entered}"

    def leave(self, token, outcome, *, closed_s=0):
        self.left.append((token, outcome, closed_s))


@pytest.mark.parametrize(
    ("mode", "outcome", "closed_s"),
    [
        ("ok", "ok", 0),
        ("404", "ok", 0),
        ("422", "ok", 0),
        ("401", "auth", 0),
        ("500", "failed", 0),
        ("drop", "failed", 0),
        ("html", "failed", 0),
        ("403_html", "failed", 0),
        ("slow", "failed", 0),
        ("drip", "failed", 0),
        ("429", "busy", 0.1),
        ("429_retry_after", "busy", 7),
    ],
)
def test_the_gate_hears_once_how_each_attempt_ended(server, make_client, mode, outcome, closed_s):
    gate = RecordingGate()
    client = make_client(server.base_url, gate=gate, retries=0, read_timeout_s=0.4, budget_s=0.8)
    server.switch(mode, seconds=5)
    if mode == "ok":
        client.movie(FIRST_ID)
    else:
        with pytest.raises(TmdbError):
            client.movie(FIRST_ID)
    time.sleep(0.1)
    assert gate.left == [("ticket 1", outcome, closed_s)]


def test_each_attempt_asks_the_gate_for_itself(server, make_client):
    gate = RecordingGate()
    server.switch("500", times=1)
    make_client(server.base_url, gate=gate).movie(FIRST_ID)
    assert gate.left == [("ticket 1", "failed", 0), ("ticket 2", "ok", 0)]


def test_what_the_gate_refuses_is_not_sent(server, make_client):
    refusal = TmdbUnavailable("the breaker is open", retry_after_s=3)
    client = make_client(server.base_url, gate=RecordingGate(refusal))
    with pytest.raises(TmdbUnavailable) as raised:
        client.movie(FIRST_ID)
    assert raised.value.retry_after_s == 3
    assert server.requests == []


def test_a_port_where_nobody_listens_is_unavailable(make_client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TmdbUnavailable):
        make_client(f"http://127.0.0.1:{port}/3").movie(FIRST_ID)


def test_no_more_than_four_calls_run_at_once_and_the_rest_wait_their_budget(server, make_client):
    client = make_client(server.base_url, budget_s=0.5)
    server.switch("slow", seconds=3)
    started = time.monotonic()

    def ask(number):
        with pytest.raises(TmdbUnavailable):
            client.movie(FIRST_ID + number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    assert time.monotonic() - started < 2
    assert len(server.requests) == client_module.MAX_CONCURRENT == 4


def test_a_compressed_answer_is_read(make_client):
    body = gzip.compress(json.dumps({"id": FIRST_ID}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body))}
    with answering(body=body, headers=headers) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert make_client(f"http://127.0.0.1:{server.server_port}").movie(1) == {"id": FIRST_ID}
        thread.join()


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b" " * 50_000_000), gzip.compress(b"{}")[:-4], b"not gzip"],
    ids=["bomb", "cut off", "not gzip"],
)
def test_a_compressed_answer_that_is_too_large_or_broken_is_refused(make_client, body):
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body))}
    with answering(body=body, headers=headers) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(TmdbUnusable):
            make_client(f"http://127.0.0.1:{server.server_port}").movie(1)
        thread.join()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, client_module.DEFAULT_RETRY_AFTER_S),
        ("", client_module.DEFAULT_RETRY_AFTER_S),
        ("soon", client_module.DEFAULT_RETRY_AFTER_S),
        ("-5", client_module.DEFAULT_RETRY_AFTER_S),
        ("nan", client_module.DEFAULT_RETRY_AFTER_S),
        ("0", 1),
        ("30", 30),
        ("9" * 5000, client_module.MAX_RETRY_AFTER_S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),
        ("Wed, 21 Oct 2099 07:28:00 GMT", client_module.MAX_RETRY_AFTER_S),
        ("Wed, 21 Oct 99999999 07:28:00 GMT", client_module.DEFAULT_RETRY_AFTER_S),
    ],
)
def test_retry_after_is_read_within_reason(header, expected):
    assert client_module._retry_after_s(header) == expected


def test_without_a_credential_nothing_is_asked(server, make_client):
    with pytest.raises(TmdbNotConfigured):
        make_client(server.base_url, "").movie(FIRST_ID)
    assert server.requests == []


@pytest.mark.parametrize("credential", ["two words", "line\nbreak", "é", "\x00"])
def test_a_credential_that_no_header_takes_is_refused_unsent(server, make_client, credential):
    with pytest.raises(TmdbAuthFailed) as raised:
        make_client(server.base_url, credential).movie(FIRST_ID)
    assert credential not in str(raised.value)
    assert server.requests == []


@pytest.mark.parametrize(
    "base_url",
    [
        "http://tmdb.example.org/3",
        "http://10.0.0.1/3",
        "http://127.0.0.1.example.org/3",
        "ftp://localhost.example.org/",
    ],
)
def test_a_credential_is_not_sent_in_the_clear_to_another_machine(make_client, base_url):
    with pytest.raises(TmdbNotConfigured):
        make_client(base_url).movie(FIRST_ID)


@pytest.mark.parametrize(
    "mode", ["401", "403_html", "429", "500", "html", "drop", "truncated", "huge", "redirect"]
)
def test_no_log_line_holds_credential_or_search_words(server, client, mode, caplog):
    caplog.set_level(logging.WARNING)
    server.switch(mode)
    with pytest.raises(TmdbError):
        client.search_movies(**{**SEARCH, "query": "private words"})
    assert len(caplog.records) == 1
    assert CREDENTIAL not in caplog.text
    assert "private" not in caplog.text


def test_no_debug_log_of_any_library_holds_the_credential(server, client, caplog):
    caplog.set_level(logging.DEBUG)
    client.movie(FIRST_ID)
    assert CREDENTIAL not in caplog.text


def test_a_refused_v3_key_tells_the_operator_what_to_set(server, make_client, caplog):
    key = "0123456789abcdef" * 2
    with pytest.raises(TmdbAuthFailed):
        make_client(server.base_url, key).movie(FIRST_ID)
    assert "TMDB_ACCESS_TOKEN" in caplog.text
    assert key not in caplog.text
