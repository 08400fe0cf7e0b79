"""`on_my_services` in the feed: the providers and the region of the caller's profile."""

import pytest
from django.utils import timezone

from movies.availability import Offer
from movies.models import Offers


@pytest.fixture
def movies(make_movie):
    """Three movies, of which Netflix offers the first in Germany and the second in France."""
    movies = [make_movie(f"Film {n}", popularity=9.0 - n, vote_count=500) for n in range(3)]
    for movie, region in zip(movies, ("DE", "FR"), strict=False):
        keys = [Offer(region, "flatrate", 8).key]
        Offers.objects.create(movie=movie, region="", keys=keys, synced_at=timezone.now())
    return movies


def get_titles(client, query="on_my_services=true"):
    response = client.get(f"/movies/recommendations/?{query}")
    assert response.status_code == 200, response.json()
    return [row["movie"]["title"] for row in response.json()["results"]]


def test_the_feed_has_only_movies_on_the_callers_services(movies, make_user, client_of):
    client = client_of(make_user("ann"))
    client.patch("/profiles/me/", {"region": "DE", "providers": [8, 337]})

    assert get_titles(client) == ["Film 0"]
    assert get_titles(client, "on_my_services=true&region=FR") == ["Film 1"]
    assert get_titles(client, "provider=8&region=FR") == ["Film 1"]
    assert len(get_titles(client, "on_my_services=false")) == 3
    client.patch("/profiles/me/", {"providers": [337]})
    assert get_titles(client) == []


@pytest.mark.parametrize(
    ("profile", "query"),
    [
        ({}, "on_my_services=true"),
        ({"region": "DE"}, "on_my_services=true"),
        ({"providers": [8]}, "on_my_services=true"),
        ({"region": "DE", "providers": [8]}, "on_my_services=true&provider=9"),
        ({"region": "DE", "providers": [8]}, "region=FR"),
    ],
)
def test_what_is_missing_is_a_400(movies, make_user, client_of, profile, query):
    client = client_of(make_user("ann", **profile))

    response = client.get(f"/movies/recommendations/?{query}")

    assert response.status_code == 400
    assert set(response.json()["errors"]) <= {"on_my_services", "provider", "region"}
