import pytest

from tmdb import cache
from tmdb.testserver import TestServer


@pytest.fixture
def tmdb_server(settings):
    """The TMDb-shaped server, with the settings pointing to it."""
    with TestServer() as server:
        settings.TMDB_BASE_URL = server.base_url
        settings.TMDB_TOKEN = server.credential
        yield server
    cache.client_for.cache_clear()
