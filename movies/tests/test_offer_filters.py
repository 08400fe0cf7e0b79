"""The filters provider, region and monetization."""

from datetime import timedelta

import pytest
from django.utils import timezone

from movies.availability import Offer
from movies.models import Offers


@pytest.fixture
def offer(db):
    """Return a function that stores offers of a movie: `offer(movie, "DE flatrate 8")`."""

    def store(movie, *offers, days=0, region=""):
        keys = [
            Offer(place, kind, int(number)).key for place, kind, number in map(str.split, offers)
        ]
        synced_at = timezone.now() - timedelta(days=days)
        Offers.objects.create(movie=movie, region=region, keys=keys, synced_at=synced_at)

    return store


@pytest.fixture
def movies(make_movie, offer):
    """Movies by title, each with what its title says."""
    movies = {
        name: make_movie(name) for name in ("stream", "rent", "abroad", "old", "listed", "none")
    }
    offer(movies["stream"], "DE flatrate 8", "US flatrate 8")
    offer(movies["rent"], "DE rent 8", "DE buy 2")
    offer(movies["abroad"], "US flatrate 8")
    offer(movies["old"], "DE flatrate 8", days=8)
    offer(movies["listed"], "DE flatrate 8", region="DE", days=6)
    offer(movies["listed"], days=1)
    return movies


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("provider=8&region=DE", "stream rent listed"),
        ("provider=8&region=de&monetization=flatrate", "stream listed"),
        ("provider=8|2&region=DE&monetization=rent|buy", "rent"),
        ("provider=2&region=DE&monetization=flatrate", ""),
        ("provider=8&region=US", "stream abroad"),
        ("provider=8&region=AQ", ""),
        # Ids that TMDb has dropped, or never had.
        ("provider=262143&region=DE", ""),
        ("provider=999999999&region=DE", ""),
        ("provider=999999999|8&region=US&search=abroad", "abroad"),
        ("provider=8|8|8&region=DE&ordering=title&title=stream", "stream"),
    ],
)
def test_movies_are_filtered_by_recent_offers(api, movies, query, titles):
    found = api.get(f"/movies/?{query}").json()

    assert {movie["title"] for movie in found["results"]} == set(titles.split())
    assert found["count"] == len(titles.split())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("provider=8", "provider"),
        ("region=DE", "region"),
        ("monetization=rent", "monetization"),
        ("provider=8&region=UK", "region"),
        ("provider=8,337&region=DE", "provider"),
        ("provider=0&region=DE", "provider"),
        ("provider=x&region=DE", "provider"),
        ("provider=&region=DE", "provider"),
        ("provider=8&region=DE&monetization=stolen", "monetization"),
        (f"provider={'|'.join(map(str, range(1, 22)))}&region=DE", "provider"),
    ],
)
def test_bad_offer_filters_are_named(api, movies, query, field):
    response = api.get(f"/movies/?{query}")

    assert (response.status_code, list(response.json()["errors"])) == (400, [field])


def test_a_filter_by_offers_needs_no_further_query(api, movies, django_assert_num_queries):
    # The names of the regions are cached.
    api.get("/movies/?provider=8&region=DE")

    with django_assert_num_queries(2):
        api.get("/movies/?provider=8|2&region=DE")


def test_top_rated_movies_are_filtered_too(api, movies):
    found = api.get("/movies/top_rated/?provider=8&region=US").json()

    assert {movie["title"] for movie in found["results"]} == {"stream", "abroad"}
