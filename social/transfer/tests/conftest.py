import pytest


@pytest.fixture
def client(ann, client_of):
    """Ann's client."""
    return client_of(ann)


@pytest.fixture
def movies(make_movie):
    return {
        title: make_movie(title, release_year=year)
        for title, year in (("Alien", 1979), ("Amélie", 2001), ("Brazil", 1985), ("Ran", 1985))
    }
