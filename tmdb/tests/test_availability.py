"""Offers, videos and release dates: from TMDb's documents to the catalogue."""

import copy
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from movies.availability import MONETIZATIONS, Offer, make_offer_keys, parse_offer_key
from movies.models import Movie, MovieExtras, Offers, Provider
from movies.services.availability import expired_availability_delete
from tmdb.client.errors import TmdbInvalidResponse
from tmdb.fake.availability import make_watch_providers
from tmdb.fake.server import FIRST_ID, MOVIES, UNDATED_ID
from tmdb.parsers import parse_movie
from tmdb.services import movie_import


@pytest.fixture
def document():
    """TMDb's document of the first movie."""
    return copy.deepcopy(MOVIES[FIRST_ID])


def parse_first(document):
    return parse_movie(document, tmdb_id=FIRST_ID).availability


@given(
    st.from_regex("[A-Z]{2}", fullmatch=True),
    st.sampled_from(MONETIZATIONS),
    st.integers(min_value=1, max_value=2**18 - 1),
)
def test_a_key_is_a_positive_integer_of_the_database_and_stands_for_one_offer(region, kind, number):
    offer = Offer(region, kind, number)

    assert 0 <= offer.key < 2**31
    assert parse_offer_key(offer.key) == offer


def test_providers_without_a_key_have_no_offers():
    assert make_offer_keys("DE", [0, 2**18, 10**9]) == []
    assert len(make_offer_keys("DE", [8, 337])) == 10


def test_offers_are_parsed_in_the_order_of_tmdbs_priorities(document):
    entries = [
        {"provider_id": 337, "provider_name": "Disney Plus", "display_priority": 2},
        {"provider_id": 8, "provider_name": "Netflix", "display_priority": 0},
    ]
    link = f"https://www.themoviedb.org/movie/{FIRST_ID}-salt/watch?locale=DE"
    document["watch/providers"] = {"results": {"DE": {"link": link, "flatrate": entries}}}

    availability = parse_first(document)

    assert availability.offers == (Offer("DE", "flatrate", 8), Offer("DE", "flatrate", 337))
    assert availability.link == f"https://www.themoviedb.org/movie/{FIRST_ID}-salt/watch"
    assert {provider.name for provider in availability.providers} == {"Netflix", "Disney Plus"}


@pytest.mark.parametrize(
    "lists",
    [
        None,
        [],
        {"link": "javascript:alert(1)", "flatrate": [None, 3, {"provider_id": 8}]},
        {"link": 5, "flatrate": {"provider_id": 8, "provider_name": "Netflix"}},
        {"flatrate": [{"provider_id": 0, "provider_name": "None"}]},
        {"flatrate": [{"provider_id": 2**18, "provider_name": "Beyond"}]},
        {"flatrate": [{"provider_id": "8", "provider_name": "Netflix"}]},
        {"flatrate": [{"provider_id": 8, "provider_name": " "}]},
    ],
)
def test_offers_that_cannot_be_read_are_left_out(document, lists):
    document["watch/providers"] = {"results": {"DE": lists, "Germany": lists, "de": lists}}

    availability = parse_first(document)

    assert (availability.offers, availability.link) == ((), "")


@pytest.mark.parametrize("name", ["watch/providers", "videos", "release_dates"])
def test_documents_of_another_type_are_rejected(document, name):
    document[name] = "none"

    with pytest.raises(TmdbInvalidResponse):
        parse_first(document)


def test_official_trailers_come_first_and_the_newest_before_older_ones(document):
    def video(key, kind, official, day):
        return {
            "name": key,
            "key": key,
            "site": "YouTube",
            "type": kind,
            "official": official,
            "published_at": f"2024-01-{day:02}T10:00:00.000Z",
        }

    document["videos"] = {
        "results": [
            video("clip", "Clip", True, 9),
            video("fan", "Trailer", False, 8),
            video("old", "Trailer", True, 1),
            video("new", "Trailer", True, 2),
            video("../evil", "Trailer", True, 3),
            {"name": "No key"},
            None,
        ]
    }

    videos = parse_first(document).videos

    assert [video.key for video in videos] == ["new", "old", "fan", "clip"]
    assert videos[0].published_at == datetime(2024, 1, 2, 10, tzinfo=UTC)


def test_releases_without_a_real_day_are_left_out(document):
    def release(day, kind=3):
        return {"release_date": day, "type": kind, "certification": "12", "note": ""}

    document["release_dates"] = {
        "results": [
            {
                "iso_3166_1": "DE",
                "release_dates": [
                    release("2027-03-04T00:00:00.000Z", 4),
                    release("2027-01-02T00:00:00.000Z"),
                    release("0000-00-00T00:00:00.000Z"),
                    release("2027-02-30T00:00:00.000Z"),
                    release("9999-01-01T00:00:00.000Z"),
                    release(None),
                    release("2027-01-02T00:00:00.000Z", 0),
                    release("2027-01-02T00:00:00.000Z", 7),
                ],
            },
            {"iso_3166_1": "Germany", "release_dates": [release("2027-01-02T00:00:00.000Z")]},
            {"iso_3166_1": "US", "release_dates": None},
            None,
        ]
    }

    releases = parse_first(document).releases

    assert [(each.region, each.day, each.kind) for each in releases] == [
        ("DE", date(2027, 1, 2), "theatrical"),
        ("DE", date(2027, 3, 4), "digital"),
    ]


def test_an_import_stores_offers_videos_and_releases_with_one_request(tmdb_server, db):
    movie = movie_import(tmdb_id=FIRST_ID).movie

    offers, extras = Offers.objects.get(movie=movie), MovieExtras.objects.get(movie=movie)
    assert [request.path for request in tmdb_server.requests] == [f"/3/movie/{FIRST_ID}"]
    regions = make_watch_providers(0, FIRST_ID)["results"]
    assert {parse_offer_key(key).region for key in offers.keys} == set(regions)
    assert Provider.objects.filter(name="Netflix").exists()
    assert extras.videos[0]["name"] == "Official Trailer"
    assert extras.last_release == date(timezone.now().year + 1, 3, 4)


def test_a_movie_without_days_and_offers_is_stored(tmdb_server, db):
    movie = movie_import(tmdb_id=UNDATED_ID).movie

    assert Offers.objects.get(movie=movie).keys == []
    assert MovieExtras.objects.get(movie=movie).last_release is None


def test_offers_of_lists_expire_after_a_week_and_everything_after_six_months(make_movie):
    movie = make_movie()
    now = timezone.now()
    for region, age in (("", 179), ("DE", 6), ("US", 8)):
        synced_at = now - timedelta(days=age)
        Offers.objects.create(movie=movie, region=region, keys=[1], synced_at=synced_at)
    MovieExtras.objects.create(movie=movie, synced_at=now - timedelta(days=181))

    expired_availability_delete()

    assert set(Offers.objects.values_list("region", flat=True)) == {"", "DE"}
    assert not MovieExtras.objects.exists()
    assert Movie.objects.exists()
