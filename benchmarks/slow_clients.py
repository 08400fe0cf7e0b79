"""Clients that occupy connections and transfer almost nothing, as attackers and bad networks do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

DRIP_INTERVAL_S = 1.0
#: The length of a body that never arrives completely. Not over settings.MAX_BODY_BYTES.
BODY_BYTES = 200_000


@dataclass(frozen=True)
class SlowClient:
    """What one kind of client sends at first, and what each second afterwards."""

    start: bytes = b""
    drip: bytes = b""
    #: Whether it reads its response, one byte each second, through a small buffer.
    is_reader: bool = False


def make_silent_client() -> SlowClient:
    return SlowClient()


def make_header_client() -> SlowClient:
    return SlowClient(start=b"GET /movies/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", drip=b"a")


def make_body_client(token: str) -> SlowClient:
    """Return a client that is signed in, so that the service authenticates it before its body ends."""
    start = (
        f"POST /ratings/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
    )
    return SlowClient(start=start.encode(), drip=b" ")


def make_reading_client(path: str, token: str) -> SlowClient:
    start = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    return SlowClient(start=start.encode(), is_reader=True)


@contextmanager
def run_slow_clients(
    url: str, count: int, make_client: Callable[[], SlowClient]
) -> Iterator[list[socket.socket]]:
    """Run `count` clients during the block; yield their sockets."""
    address = urlsplit(url)
    client = make_client()
    sockets = []
    for _ in range(count):
        connection = socket.socket()
        if client.is_reader:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(5)
        connection.connect((address.hostname, address.port))
        connection.sendall(client.start)
        sockets.append(connection)
    is_over = threading.Event()

    def drip() -> None:
        while not is_over.wait(DRIP_INTERVAL_S):
            for connection in sockets:
                # The server may have closed it.
                with suppress(OSError):
                    if client.is_reader:
                        connection.recv(1)
                    elif client.drip:
                        connection.sendall(client.drip)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield sockets
    finally:
        is_over.set()
        thread.join()
        for connection in sockets:
            connection.close()
