import pytest


@pytest.fixture
def unlimited(settings):
    """For tests that make more requests than anybody may in a minute."""
    settings.RATE_LIMIT_SCALE = 10_000
