import pytest


@pytest.fixture
def unlimited(settings):
    """Raise the rate limits, for tests that send more requests than a client may."""
    settings.RATE_LIMIT_SCALE = 10_000
