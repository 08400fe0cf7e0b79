"""A closed-loop HTTP client with reused connections, in a process that costs the server little CPU.

Each line of its input is a JSON object with `requests` (sent in turn: `method`, `path`, `headers`,
`body`), `connections`, and `seconds` or `count`. Each line of its output has `seconds`,
`latencies_s` and `statuses` (a count by status). The connections are spread evenly over the workers:
the server responds to `/bench/empty/` with the pid of the worker (benchmarks.textbook).
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT_S = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ETAG = re.compile(rb"\r\netag: *([^\r]+)", re.IGNORECASE)
_MAX_CONNECTION_ATTEMPTS = 200


@dataclass(frozen=True)
class LoadResult:
    """The result of one load."""

    seconds: float
    latencies_s: list[float]
    statuses: dict[str, int]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies_s) / self.seconds


class Client:
    """Starts the client process and sends it commands."""

    def __init__(self, port: int, workers: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.keepalive", str(port), str(workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )

    def load(
        self,
        requests: Sequence[dict[str, Any]],
        *,
        connections: int,
        seconds: float = 0.0,
        count: int = 0,
    ) -> LoadResult:
        """Send the requests in turn for `seconds`, or until `count` are sent."""
        load = {"requests": requests, "connections": connections, "seconds": seconds}
        result = self._call({**load, "count": count})
        return LoadResult(result["seconds"], result["latencies_s"], result["statuses"])

    def fetch_etag(self, path: str) -> str:
        """Return the ETag of a response."""
        return str(self._call({"etag_of": path})["etag"])

    def _call(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        return result

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)


@dataclass
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    buffer: bytearray = field(default_factory=bytearray)
    length: int | None = None

    def send(self, request: bytes) -> None:
        self.buffer.clear()
        self.length = None
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Read available bytes; return whether the response is complete."""
        received = self.socket.recv(1 << 17)
        if not received:
            raise ConnectionError("The server closed a reused connection.")
        self.buffer += received
        if self.length is None:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return False
            length_header = _LENGTH.search(self.buffer, 0, head)
            self.length = head + 4
            if length_header and self.status not in ("204", "304"):
                self.length += int(length_header[1])
        return len(self.buffer) >= self.length

    @property
    def status(self) -> str:
        return self.buffer[9:12].decode()

    def fetch(self, request: bytes) -> bytes:
        """Send a request and return the whole response."""
        self.send(request)
        while not self.receive():
            pass
        return bytes(self.buffer)


def _encode(request: dict[str, Any]) -> bytes:
    body = json.dumps(request["body"]).encode() if "body" in request else b""
    headers = {"Host": "127.0.0.1", "Accept": "*/*", **request.get("headers", {})}
    if body:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"{request.get('method', 'GET')} {request['path']} HTTP/1.1\r\n{lines}\r\n".encode() + body
    )


def _connect(port: int, workers: int, count: int) -> list[_Connection]:
    """Open `count` connections, the same number to each worker."""
    by_worker: dict[bytes, list[_Connection]] = {}
    per_worker = max(1, count // workers)
    for _ in range(_MAX_CONNECTION_ATTEMPTS):
        connection = _Connection(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pid = connection.fetch(_encode({"path": "/bench/empty/"})).rpartition(b"\r\n\r\n")[2]
        if len(by_worker.setdefault(pid, [])) < per_worker:
            by_worker[pid].append(connection)
        else:
            connection.socket.close()
        if sum(map(len, by_worker.values())) >= count:
            # One connection of each worker, then another of each, and so on.
            rounds = zip(*by_worker.values(), strict=True)
            return [connection for one_of_each in rounds for connection in one_of_each][:count]
    raise RuntimeError(f"Only {len(by_worker)} of {workers} workers respond.")


def _run_load(connections: Sequence[_Connection], load: dict[str, Any]) -> dict[str, Any]:
    requests = [_encode(request) for request in load["requests"]]
    count = load["count"] or sys.maxsize
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    sent = 0
    with selectors.EpollSelector() as selector:
        began = time.perf_counter()
        end = began + (load["seconds"] or 1e9)
        for connection in connections[: load["connections"]]:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(requests[sent % len(requests)])
            sent += 1
        open_count = load["connections"]
        while open_count:
            for key, _ in selector.select(TIMEOUT_S):
                connection = key.data
                if not connection.receive():
                    continue
                now = time.perf_counter()
                latencies.append(now - connection.sent_at)
                statuses[connection.status] += 1
                if now < end and sent < count:
                    connection.send(requests[sent % len(requests)])
                    sent += 1
                else:
                    selector.unregister(connection.socket)
                    open_count -= 1
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "latencies_s": latencies, "statuses": statuses}


def main() -> None:
    port, workers = map(int, sys.argv[1:])
    for line in sys.stdin:
        command = json.loads(line)
        if "etag_of" in command:
            connection = _connect(port, workers, workers)[0]
            etag = _ETAG.search(connection.fetch(_encode({"path": command["etag_of"]})))
            print(json.dumps({"etag": etag[1].decode() if etag else ""}), flush=True)
            continue
        connections = _connect(port, workers, command["connections"])
        print(json.dumps(_run_load(connections, command)), flush=True)
        for connection in connections:
            connection.socket.close()


if __name__ == "__main__":
    main()
