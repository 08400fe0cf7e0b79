"""An open-loop HTTP client in a process of its own, so that it shares no lock with the server.

The process reads one JSON object from standard input: `host`, `port`, `requests` (in order: a path
for a GET, or an object of `method`, `path`, `body` and `headers`), `rate_s` (requests a second; null
sends all at once) and `connections`. It prints one JSON array of
`[status, due_s, latency_s, follows_contract]` in the order of the requests.

A latency is counted from the moment the request was due, so that a server that falls behind is not
flattered. A request on a reused connection that the server has closed is sent once more, as HTTP
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
class RequestResult:
    """The result of one request; status 0 means that no response came."""

    path: str
    status: int
    due_s: float
    latency_s: float
    # An error is a problem document, and a 429 or 503 has a Retry-After.
    follows_contract: bool


def start_load(
    url: str, requests: Sequence[str | dict[str, Any]], *, rate_s: float | None, connections: int
) -> Callable[[], list[RequestResult]]:
    """Start sending the requests; the function that is returned waits for their results."""
    host, port = url.removeprefix("http://").split(":")
    loader = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    spec = {"host": host, "port": int(port), "requests": list(requests), "rate_s": rate_s}
    assert loader.stdin is not None
    loader.stdin.write(json.dumps({**spec, "connections": connections}))
    loader.stdin.close()

    def wait_for_results() -> list[RequestResult]:
        assert loader.stdout is not None
        with loader:
            rows = json.load(loader.stdout)
        return [
            RequestResult(
                request if isinstance(request, str) else request["path"],
                int(status),
                due_s,
                latency_s,
                bool(follows_contract),
            )
            for request, (status, due_s, latency_s, follows_contract) in zip(
                requests, rows, strict=True
            )
        ]

    return wait_for_results


def send_all(spec: dict[str, Any]) -> list[list[float]]:
    """Send the requests on as many threads as connections; return one result row a request."""
    requests: list[str | dict[str, Any]] = spec["requests"]
    results: list[list[float]] = [[0, 0.0, 0.0, 0]] * len(requests)
    numbers = iter(range(len(requests)))
    lock = threading.Lock()
    started = time.perf_counter()

    def work() -> None:
        connection = http.client.HTTPConnection(spec["host"], spec["port"], timeout=TIMEOUT_S)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                connection.close()
                return
            due = started + (number / spec["rate_s"] if spec["rate_s"] else 0.0)
            time.sleep(max(0.0, due - time.perf_counter()))
            status, follows_contract = send(connection, requests[number])
            latency_s = time.perf_counter() - due
            results[number] = [status, due - started, latency_s, follows_contract]

    threads = [threading.Thread(target=work) for _ in range(spec["connections"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def send(connection: http.client.HTTPConnection, request: str | dict[str, Any]) -> tuple[int, bool]:
    """Send one request; return its status and whether the response follows the contract."""
    if isinstance(request, str):
        request = {"path": request}
    is_reused = connection.sock is not None
    try:
        connection.request(
            request.get("method", "GET"),
            request["path"],
            body=json.dumps(request["body"]) if "body" in request else None,
            headers=request.get("headers", {}),
        )
        response = connection.getresponse()
        response.read()
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        connection.close()
        return send(connection, request) if is_reused else (0, False)
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0, False
    if response.status < 400:
        return response.status, True
    is_problem = response.getheader("Content-Type", "").startswith("application/problem+json")
    needs_retry_after = response.status in (429, 503)
    has_retry_after = response.getheader("Retry-After") is not None
    return response.status, is_problem and (has_retry_after or not needs_retry_after)


if __name__ == "__main__":
    json.dump(send_all(json.load(sys.stdin)), sys.stdout)
