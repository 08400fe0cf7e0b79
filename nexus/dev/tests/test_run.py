"""What `make run TMDB=sample` starts beside the service."""

import subprocess
import sys

import pytest
import requests

from nexus.dev.embedded import ROOT
from nexus.dev.management.commands.run import _sample_tmdb


def test_the_sample_of_tmdb_answers_its_credential_and_ends_with_its_block():
    with _sample_tmdb() as settings:
        assert set(settings) == {"TMDB_BASE_URL", "TMDB_ACCESS_TOKEN"}
        address = settings["TMDB_BASE_URL"] + "/trending/movie/week"
        headers = {"Authorization": f"Bearer {settings['TMDB_ACCESS_TOKEN']}"}
        answer = requests.get(address, headers=headers, timeout=30)
        assert len(answer.json()["results"]) == 20
        assert requests.get(address, timeout=30).status_code == 401
    with pytest.raises(requests.ConnectionError):
        requests.get(address, headers=headers, timeout=30)


def test_the_sample_of_tmdb_ends_when_whoever_started_it_is_gone():
    server = subprocess.Popen(
        [sys.executable, "-m", "tmdb.fake.server", "--until-eof"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with server:
        assert server.stdout.readline().startswith(b"TMDB_BASE_URL=http://127.0.0.1:")
        server.stdin.close()
        assert server.wait(timeout=10) == 0
