"""A closed-loop HTTP client on kept connections, in a process of its own and cheap beside a server.

A line of its input is a JSON object of `requests` (to be sent in turn: `method`, `path`, `headers`,
`body`), `connections` and `seconds`; a line of its output one of `seconds`, `latencies_s` and
`statuses` (how often each). `workers` of PIDS share the connections evenly: a server that answers
`/bench/empty/` with the number of its process (benchmarks.textbook) is asked for it.
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
_TAG = re.compile(rb"\r\netag: *([^\r]+)", re.IGNORECASE)
_MOST_TRIES = 200


@dataclass(frozen=True)
class Answers:
    """What a load brought."""

    seconds: float
    latencies_s: list[float]
    statuses: dict[str, int]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies_s) / self.seconds


class Client:
    """The process that sends, for the one that measures."""

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
    ) -> Answers:
        """Send these in turn for so long, or so many of them."""
        spec = {"requests": requests, "connections": connections, "seconds": seconds}
        found = self._asked({**spec, "count": count})
        return Answers(found["seconds"], found["latencies_s"], found["statuses"])

    def tag(self, path: str) -> str:
        """The ETag of an answer."""
        return str(self._asked({"tag": path})["tag"])

    def _asked(self, spec: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(spec) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

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

    def answered(self) -> bool:
        """Whether the answer is whole, after reading what there is of it."""
        more = self.socket.recv(1 << 17)
        if not more:
            raise ConnectionError("The server closed a kept connection.")
        self.buffer += more
        if self.length is None:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return False
            found = _LENGTH.search(self.buffer, 0, head)
            self.length = head + 4
            if found and self.status not in ("204", "304"):
                self.length += int(found[1])
        return len(self.buffer) >= self.length

    @property
    def status(self) -> str:
        return self.buffer[9:12].decode()

    def ask(self, request: bytes) -> bytes:
        self.send(request)
        while not self.answered():
            pass
        return bytes(self.buffer)


def _wire(request: dict[str, Any]) -> bytes:
    body = json.dumps(request["body"]).encode() if "body" in request else b""
    headers = {"Host": "127.0.0.1", "Accept": "*/*", **request.get("headers", {})}
    if body:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"{request.get('method', 'GET')} {request['path']} HTTP/1.1\r\n{lines}\r\n".encode() + body
    )


def _connections(port: int, workers: int, count: int) -> list[_Connection]:
    """`count` connections, as many to each worker."""
    found: dict[bytes, list[_Connection]] = {}
    each = max(1, count // workers)
    for _ in range(_MOST_TRIES):
        made = _Connection(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
        made.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pid = made.ask(_wire({"path": "/bench/empty/"})).rpartition(b"\r\n\r\n")[2]
        if len(found.setdefault(pid, [])) < each:
            found[pid].append(made)
        else:
            made.socket.close()
        if sum(map(len, found.values())) >= count:
            return [some[place] for place in range(each) for some in found.values()][:count]
    raise RuntimeError(f"{len(found)} of {workers} workers answer.")


def _measured(connections: Sequence[_Connection], spec: dict[str, Any]) -> dict[str, Any]:
    requests = [_wire(request) for request in spec["requests"]]
    count = spec["count"] or sys.maxsize
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    sent = 0
    with selectors.EpollSelector() as selector:
        began = time.perf_counter()
        until = began + (spec["seconds"] or 1e9)
        for connection in connections[: spec["connections"]]:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(requests[sent % len(requests)])
            sent += 1
        open_ones = spec["connections"]
        while open_ones:
            for key, _ in selector.select(TIMEOUT_S):
                connection = key.data
                if not connection.answered():
                    continue
                now = time.perf_counter()
                latencies.append(now - connection.sent_at)
                statuses[connection.status] += 1
                if now < until and sent < count:
                    connection.send(requests[sent % len(requests)])
                    sent += 1
                else:
                    selector.unregister(connection.socket)
                    open_ones -= 1
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "latencies_s": latencies, "statuses": statuses}


def main() -> None:
    port, workers = map(int, sys.argv[1:])
    for line in sys.stdin:
        spec = json.loads(line)
        if "tag" in spec:
            connection = _connections(port, workers, workers)[0]
            found = _TAG.search(connection.ask(_wire({"path": spec["tag"]})))
            print(json.dumps({"tag": found[1].decode() if found else ""}), flush=True)
            continue
        connections = _connections(port, workers, spec["connections"])
        print(json.dumps(_measured(connections, spec)), flush=True)
        for each in connections:
            each.socket.close()


if __name__ == "__main__":
    main()
