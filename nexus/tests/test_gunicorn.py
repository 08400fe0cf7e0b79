"""What the server refuses before Django sees it."""

import json
import socket
from urllib.parse import urlsplit

BAD = {
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
    b"POST /ratings/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n": 400,
    b"POST /auth/token/ HTTP/1.1\r\nHost: localhost\r\nExpect: nonsense\r\nContent-Length: 0\r\n"
    b"\r\n": 417,
}


def _sent(url, request):
    """Status, headers and body of the answer to these bytes."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(65536):
            answer += part
    head, _, body = answer.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


def test_what_the_server_itself_refuses_is_told_as_a_problem(gunicorn, capfd):
    url = gunicorn(LOG_LEVEL="WARNING", WEB_CONCURRENCY="1")
    ids = []
    for request, expected in BAD.items():
        status, headers, body = _sent(url, request)
        assert (status, body["status"]) == (expected, expected), request[:60]
        assert headers["Content-Type"] == "application/problem+json"
        assert set(body) == {"type", "title", "status", "detail", "code", "request_id"}
        assert headers["X-Request-ID"] == body["request_id"]
        ids.append(body["request_id"])
    written = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "{" in line]
    counts = [[each["request_id"] for each in written].count(one) for one in ids]
    assert counts == [1] * len(BAD)
