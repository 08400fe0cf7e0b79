"""An open-loop HTTP client in a process of its own, so that it and the server share no lock.

Reads one JSON object from its input: `host`, `port`, `paths` (one request each, in order), `rate_s`
(requests a second; null: all at once) and `connections`. Prints one JSON array of
`[status, started_s, latency_s]` in the order of the paths. A latency counts from when the request
was due, so that a server which falls behind is not spared.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from typing import Any

TIMEOUT_S = 20.0


def measure(spec: dict[str, Any]) -> list[list[float]]:
    """The outcome of each request; status 0 where there was no answer."""
    paths: list[str] = spec["paths"]
    outcomes: list[list[float]] = [[0, 0.0, 0.0]] * len(paths)
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
            status = 0
            try:
                connection.request("GET", paths[number])
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
            outcomes[number] = [status, due - began, time.perf_counter() - due]

    threads = [threading.Thread(target=work) for _ in range(spec["connections"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


if __name__ == "__main__":
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
