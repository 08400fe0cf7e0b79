import pytest
from django.core.management import CommandError, call_command

from tmdb import cache, gateway
from tmdb.fake.server import FakeTmdbServer


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch):
    """Shorten the delays before retries, so that tests of failures are fast."""
    monkeypatch.setattr(gateway, "RETRY_DELAY_S", 0.04)
    monkeypatch.setattr(gateway, "RATE_LIMITED_PAUSE_S", 0.1)


@pytest.fixture
def tmdb_server(settings):
    """The fake TMDb, with the settings pointing to it."""
    with FakeTmdbServer() as server:
        settings.TMDB_BASE_URL = server.base_url
        settings.TMDB_TOKEN = server.credential
        yield server
    cache.build_cache.cache_clear()


@pytest.fixture
def no_valkey(settings):
    """Point the cache to a port where no server listens."""
    location = {"LOCATION": "redis://127.0.0.1:9/0"}
    settings.CACHES = {"default": {**settings.CACHES["default"], **location}}


@pytest.fixture
def run_command(capsys):
    """Run a management command; return its output, its error output and its CommandError."""

    def run(name, *arguments):
        failure = None
        try:
            call_command(name, *arguments)
        except CommandError as error:
            failure = str(error)
        captured = capsys.readouterr()
        return captured.out, captured.err, failure

    return run
