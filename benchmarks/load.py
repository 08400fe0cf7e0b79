"""An open-loop HTTP client in a process of its own, so that it and the server share no lock.

Reads one JSON object from its input: `host`, `port`, `paths` (one request each, in order: a path for
a GET, or an object of `method`, `path`, `body` and `headers`), `rate_s` (requests a second; null: all
at once) and `connections`. Prints one JSON array of `[status, started_s, latency_s, told]` in the
order of the paths. A latency counts from when the request was due, so that a server which falls
behind is not spared. `told` is whether an error came as a problem document, and a 503 with its
Retry-After. A request on a kept connection that the server had closed is sent once more, as HTTP
clients do.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """What became of one request; status 0 where there was no answer."""

    path: str
    status: int
    due_s: float
    latency_s: float
    told: bool


def run(
    url: str, paths: Sequence[str | dict[str, Any]], *, rate_s: float | None, connections: int
) -> Callable[[], list[Outcome]]:
    """Begin a load in a process of its own; what is returned waits for its outcomes."""
    host, port = url.removeprefix("http://").split(":")
    loader = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    spec = {"host": host, "port": int(port), "paths": list(paths), "rate_s": rate_s}
    assert loader.stdin is not None
    loader.stdin.write(json.dumps({**spec, "connections": connections}))
    loader.stdin.close()

    def outcomes() -> list[Outcome]:
        assert loader.stdout is not None
        with loader:
            found = json.load(loader.stdout)
        return [
            Outcome(
                each if isinstance(each, str) else each["path"], int(status), due, took, bool(told)
            )
            for each, (status, due, took, told) in zip(paths, found, strict=True)
        ]

    return outcomes


def measure(spec: dict[str, Any]) -> list[list[float]]:
    """The outcome of each request; status 0 where there was no answer."""
    paths: list[str | dict[str, Any]] = spec["paths"]
    outcomes: list[list[float]] = [[0, 0.0, 0.0, 0]] * len(paths)
    numbers = iter(range(len(paths)))
    lock = threading.Lock()
    began = time.perf_counter()

    def work() -> None:
        connection = http.client.HTTPConnection(spec["host"], spec["port"], timeout=TIMEOUT_S)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                connection.close()
                return
            due = began + (number / spec["rate_s"] if spec["rate_s"] else 0.0)
            time.sleep(max(0.0, due - time.perf_counter()))
            status, told = _sent(connection, paths[number])
            outcomes[number] = [status, due - began, time.perf_counter() - due, told]

    threads = [threading.Thread(target=work) for _ in range(spec["connections"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _sent(
    connection: http.client.HTTPConnection, request: str | dict[str, Any]
) -> tuple[int, bool]:
    if isinstance(request, str):
        request = {"path": request}
    kept = connection.sock is not None
    try:
        connection.request(
            request.get("method", "GET"),
            request["path"],
            body=json.dumps(request["body"]) if "body" in request else None,
            headers=request.get("headers", {}),
        )
        answer = connection.getresponse()
        answer.read()
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        connection.close()
        return _sent(connection, request) if kept else (0, False)
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0, False
    problem = answer.getheader("Content-Type", "").startswith("application/problem+json")
    later = answer.status not in (429, 503) or answer.getheader("Retry-After") is not None
    return answer.status, answer.status < 400 or (problem and later)


if __name__ == "__main__":
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
