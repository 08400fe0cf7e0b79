import pytest
from django.core.management import CommandError, call_command

from tmdb import aside, cache
from tmdb.client import http as client
from tmdb.fake.server import FakeTmdbServer


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch):
    """Retries soon, so that the tests of trouble are not waits."""
    monkeypatch.setattr(client, "RETRY_DELAY_S", 0.04)
    monkeypatch.setattr(client, "BUSY_S", 0.1)


@pytest.fixture
def tmdb_server(settings):
    """The TMDb-shaped server, with the settings pointing to it."""
    with FakeTmdbServer() as server:
        settings.TMDB_BASE_URL = server.base_url
        settings.TMDB_TOKEN = server.credential
        yield server
    aside.settle()
    cache.client_for.cache_clear()


@pytest.fixture
def manage(capsys):
    """Runs a command; what it wrote to both streams, and what it failed with."""

    def call(name, *arguments):
        failure = None
        try:
            call_command(name, *arguments)
        except CommandError as error:
            failure = str(error)
        told = capsys.readouterr()
        return told.out, told.err, failure

    return call
