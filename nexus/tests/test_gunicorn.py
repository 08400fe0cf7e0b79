"""Requests that gunicorn refuses before Django sees them get its own short error page."""

import socket
from urllib.parse import urlsplit

import pytest

#: Malformed requests, and the status gunicorn gives each.
MALFORMED_REQUESTS = {
    b"GET /movies/?search=" + b"x" * 8000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n": 414,
    b"GET /movies/ HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"x" * 9000 + b"\r\n\r\n": 431,
    b"GET /movies/ HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n": 431,
    b"GET /movies/ HTTP/1.1\r\nHost: localhost\r\nX A: 1\r\n\r\n": 400,
    b"GET /movies/ HTTP/9.9\r\nHost: localhost\r\n\r\n": 400,
    b"g\x00t /movies/ HTTP/1.1\r\nHost: localhost\r\n\r\n": 400,
    b"nonsense\r\n\r\n": 400,
    b"GET /movies/ HTTP/1.1\r\nHost: localhost\r\n folded: 1\r\n\r\n": 400,
    b"POST /ratings/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n": 400,
    b"POST /ratings/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
    b"POST /ratings/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n": 501,
    b"POST /auth/token/ HTTP/1.1\r\nHost: localhost\r\nExpect: nonsense\r\nContent-Length: 0\r\n"
    b"\r\n": 417,
}


@pytest.fixture(scope="module")
def url(module_gunicorn):
    return module_gunicorn(LOG_LEVEL="WARNING")


def _send(url, request):
    """Send these bytes and return the status and the body of the response."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        response = b""
        while part := client.recv(65536):
            response += part
    head, _, body = response.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def test_a_body_in_chunks_is_refused_and_not_taken_for_an_empty_one(url):
    request = (
        b"POST /auth/token/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )

    status, body = _send(url, request)

    assert status == 411
    assert '"code": "length_required"' in body


def test_malformed_requests_are_refused_and_the_worker_lives_on(url):
    responses = {request: _send(url, request) for request in MALFORMED_REQUESTS}

    assert {request: status for request, (status, _) in responses.items()} == MALFORMED_REQUESTS
    assert all("Traceback" not in body for _, body in responses.values())
    well_formed = b"GET /health/live/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert _send(url, well_formed)[0] == 200
