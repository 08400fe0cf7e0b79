import pytest

from tmdb import aside, cache, client
from tmdb.testserver import TestServer


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch):
    """Retries soon, so that the tests of trouble are not waits."""
    monkeypatch.setattr(client, "RETRY_DELAY_S", 0.04)
    monkeypatch.setattr(client, "BUSY_S", 0.1)


@pytest.fixture
def tmdb_server(settings):
    """The TMDb-shaped server, with the settings pointing to it."""
    with TestServer() as server:
        settings.TMDB_BASE_URL = server.base_url
        settings.TMDB_TOKEN = server.credential
        yield server
    aside.settle()
    cache.client_for.cache_clear()
