"""Caddy with the configuration of compose.yaml in front of the service."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests

from nexus.dev.embedded import ROOT
from nexus.dev.pytest_plugin import find_free_port
from nexus.tests.deployment import read_compose

pytestmark = [
    pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed"),
    # It has a certificate of its own.
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]
HEADERS_LIMIT_S = 10
BODY_LIMIT_S = 30
# Go's timers and a busy machine.
TOLERANCE_S = 4
HEADERS = b"POST /auth/token/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Proxy:
    def __init__(self):
        self.port, self.http_port, self.admin_port = (find_free_port() for _ in range(3))
        self.url = f"https://localhost:{self.port}"

    def write_configuration(self, path, upstream):
        """Write the Caddyfile with ports of this machine, and without a change of its trust store."""
        text = (ROOT / "ops" / "Caddyfile").read_text("utf-8").replace("web:8000", upstream)
        ports = (
            f"http_port {self.http_port}\nhttps_port {self.port}\n"
            f"admin localhost:{self.admin_port}\nskip_install_trust\n"
        )
        path.write_text(text.replace("{\n", "{\n" + ports, 1))

    def get(self, path, **options):
        return requests.get(f"{self.url}{path}", verify=False, timeout=30, **options)

    def is_up(self):
        try:
            return self.get("/health/live/").ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def connect(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("localhost", self.port), timeout=60)
        return context.wrap_socket(plain, server_hostname="localhost")


@pytest.fixture(scope="module")
def proxy(module_gunicorn, tmp_path_factory):
    """Caddy, started as in compose.yaml, in front of gunicorn."""
    entry = read_compose()["services"]["proxy"]
    web = read_compose()["services"]["web"]["environment"]
    folder = tmp_path_factory.mktemp("caddy")
    url = module_gunicorn(
        TRUSTED_PROXIES=web["TRUSTED_PROXIES"], ALLOWED_HOSTS="localhost", HTTPS="1"
    )
    proxy = Proxy()
    proxy.write_configuration(folder / "Caddyfile", url.removeprefix("http://"))
    command = entry["command"].replace("/etc/caddy/Caddyfile", str(folder / "Caddyfile"))
    process = subprocess.Popen(
        command.split(),
        cwd=folder,
        env={"HOME": str(folder), **entry["environment"], "DOMAIN": "localhost"},
        executable=shutil.which("caddy"),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not proxy.is_up():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield proxy
    process.terminate()
    process.wait(timeout=30)


def measure_time_until_cut(connection, first, *, drip):
    """Send the bytes, then one a second if `drip`; return the seconds until the server closes."""
    started = time.monotonic()
    closed = threading.Event()

    def send():
        while not closed.wait(1):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    connection.sendall(first)
    sender = threading.Thread(target=send)
    if drip:
        sender.start()
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass
    closed.set()
    duration_s = time.monotonic() - started
    if drip:
        sender.join()
    connection.close()
    return duration_s


def test_clients_reach_the_service_over_tls_only(proxy):
    response = proxy.get("/health/live/", headers={"X-Forwarded-Proto": "http"})
    plain = requests.get(
        f"http://localhost:{proxy.http_port}/movies/", allow_redirects=False, timeout=10
    )

    assert response.json() == {"status": "ok"}
    assert "max-age" in response.headers["Strict-Transport-Security"]
    assert plain.status_code == 308
    assert plain.headers["Location"].startswith("https://")


def test_a_forged_forwarding_header_does_not_change_the_address(proxy):
    forged = [
        proxy.get("/movies/", headers={"X-Forwarded-For": f"203.0.113.{number}"})
        for number in range(3)
    ]

    remaining = [int(re.search(r"r=(\d+)", page.headers["RateLimit"]).group(1)) for page in forged]

    assert remaining == sorted(remaining, reverse=True)
    assert len(set(remaining)) == 3


def test_health_check_of_the_proxy_succeeds(proxy):
    command = read_compose()["services"]["proxy"]["healthcheck"]["test"]

    process = subprocess.run(
        command.replace(":2019", f":{proxy.admin_port}"), shell=True, timeout=10
    )

    assert process.returncode == 0


# Not `clocked`: it waits for half a minute, in which other tests use the processors.
def test_slow_clients_are_cut_off(proxy):
    durations = {}

    def run(name, connection, first, *, drip):
        durations[name] = measure_time_until_cut(connection, first, drip=drip)

    silent = socket.create_connection(("localhost", proxy.port), timeout=60)
    body = HEADERS + b"Content-Length: 1000\r\n\r\n"
    threads = [
        threading.Thread(target=run, args=("silent", silent, b""), kwargs={"drip": False}),
        threading.Thread(
            target=run, args=("headers", proxy.connect(), HEADERS), kwargs={"drip": True}
        ),
        threading.Thread(target=run, args=("body", proxy.connect(), body), kwargs={"drip": True}),
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert proxy.get("/health/live/").ok
        time.sleep(0.5)

    assert durations["silent"] == pytest.approx(HEADERS_LIMIT_S, abs=TOLERANCE_S)
    assert durations["headers"] == pytest.approx(HEADERS_LIMIT_S, abs=TOLERANCE_S)
    assert durations["body"] == pytest.approx(BODY_LIMIT_S, abs=TOLERANCE_S)


def test_errors_are_logged_without_secrets(tmp_path):
    proxy = Proxy()
    proxy.write_configuration(tmp_path / "Caddyfile", f"localhost:{find_free_port()}")
    path = tmp_path / "Caddyfile"
    path.write_text(path.read_text().replace("lb_try_duration 10s", "lb_try_duration 0s"))
    process = subprocess.Popen(
        ["caddy", "run", "--config", str(path)],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "DOMAIN": "localhost"},
        executable=shutil.which("caddy"),
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "serving initial configuration" in line:
            break

    statuses = [
        proxy.get(path).status_code
        for path in (
            "/calendar/SECRET.ics",
            "/api/calendar/SECRET.ics?x=SECRET",
            "/movies/?q=SECRET",
        )
    ]
    process.terminate()
    _, log = process.communicate(timeout=30)

    assert statuses == [502] * 3
    assert log.count('"uri":"/calendar/-') == 1
    assert "SECRET" not in log
