"""The fake TMDb server that `manage.py run --tmdb sample` starts."""

import subprocess
import sys

import pytest
import requests

from nexus.dev.embedded import ROOT
from nexus.dev.management.commands.run import run_sample_tmdb


def test_sample_tmdb_requires_its_credential_and_ends_with_the_block():
    with run_sample_tmdb() as settings:
        url = settings["TMDB_BASE_URL"] + "/trending/movie/week"
        headers = {"Authorization": f"Bearer {settings['TMDB_ACCESS_TOKEN']}"}

        response = requests.get(url, headers=headers, timeout=30)
        response_without_credential = requests.get(url, timeout=30)

    assert set(settings) == {"TMDB_BASE_URL", "TMDB_ACCESS_TOKEN"}
    assert len(response.json()["results"]) == 20
    assert response_without_credential.status_code == 401
    with pytest.raises(requests.ConnectionError):
        requests.get(url, headers=headers, timeout=30)


def test_sample_tmdb_ends_when_its_parent_dies():
    server = subprocess.Popen(
        [sys.executable, "-m", "tmdb.fake.server", "--until-eof"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with server:
        first_line = server.stdout.readline()
        server.stdin.close()

        assert first_line.startswith(b"TMDB_BASE_URL=http://127.0.0.1:")
        assert server.wait(timeout=10) == 0
