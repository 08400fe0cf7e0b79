"""Offers, videos, releases and providers over HTTP, with TMDb up and down."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_redis import get_redis_connection

from movies.models import Movie, MovieExtras, Offers, Provider
from tmdb.fake.server import FIRST_ID, UNDATED_ID
from tmdb.gateway import build_batch_gateway
from tmdb.services import movie_import
from tmdb.sync.configuration import configuration_sync

KINDS = ("flatrate", "free", "ads", "rent", "buy")


@pytest.fixture
def movie(tmdb_server, db):
    """The first movie of the fake TMDb, imported in full."""
    movie = movie_import(tmdb_id=FIRST_ID).movie
    # The copy of the response, which serves requests of the same minute.
    get_redis_connection("default").flushdb()
    tmdb_server.requests.clear()
    return movie


def age(movie, **duration):
    """Let what is stored of the movie be this old."""
    synced_at = timezone.now() - timedelta(**duration)
    Offers.objects.filter(movie=movie).update(synced_at=synced_at)
    MovieExtras.objects.filter(movie=movie).update(synced_at=synced_at)


def get_offers(api, movie, region="US"):
    return api.get(f"/movies/{movie.pk}/watch_providers/?region={region}")


def test_offers_are_listed_by_kind_with_their_source(api, movie):
    response = get_offers(api, movie, "us")

    body = response.json()
    assert set(body) == {"region", "link", "as_of", "stale", "attribution", *KINDS}
    assert (body["region"], body["stale"]) == ("US", False)
    assert "JustWatch" in body["attribution"]
    assert body["link"] == f"https://www.themoviedb.org/movie/{FIRST_ID}/watch?locale=US"
    assert [offer["name"] for kind in KINDS for offer in body[kind]] != []
    for kind in KINDS:
        for offer in body[kind]:
            assert set(offer) == {"provider_id", "name", "logo_url"}
            assert offer["logo_url"].startswith("https://image.tmdb.org/t/p/")
    assert response["Cache-Control"].startswith("public")


def test_a_region_without_offers_has_empty_lists(api, movie):
    body = get_offers(api, movie, "AQ").json()

    assert [body[kind] for kind in KINDS] == [[]] * 5
    assert (body["link"], body["stale"]) == (None, False)


@pytest.mark.parametrize(
    ("region", "hint"),
    [("UK", "GB (United Kingdom)"), ("Germny", "DE (Germany)"), ("ZZ", ""), ("D\x00", "")],
)
def test_an_unknown_region_is_a_400_that_names_the_nearest(api, movie, region, hint):
    response = api.get(f"/movies/{movie.pk}/watch_providers/", {"region": region})

    assert response.status_code == 400
    assert hint in response.json()["errors"]["region"][0]["message"]


def test_the_region_is_that_of_the_profile_and_otherwise_required(api, movie, make_user, client_of):
    client = client_of(make_user("ann", region="DE"))
    for path in ("watch_providers", "releases"):
        own = client.get(f"/movies/{movie.pk}/{path}/")
        anonymous = api.get(f"/movies/{movie.pk}/{path}/")

        assert own.json()["region"] == "DE"
        assert own["Cache-Control"].startswith("private")
        assert (anonymous.status_code, list(anonymous.json()["errors"])) == (400, ["region"])


def test_recent_offers_are_served_without_a_request(api, movie, tmdb_server):
    age(movie, hours=11)

    assert get_offers(api, movie).json()["stale"] is False
    assert tmdb_server.requests == []


def test_offers_of_half_a_day_are_served_and_refreshed_by_the_worker(
    api, movie, tmdb_server, run_jobs
):
    age(movie, hours=13)
    before = get_offers(api, movie).json()["as_of"]
    assert tmdb_server.requests == []

    assert run_jobs() == []

    after = get_offers(api, movie).json()
    assert (after["as_of"] > before, after["stale"]) == (True, False)
    paths = [request.path for request in tmdb_server.requests]
    assert paths.count(f"/3/movie/{FIRST_ID}") == 1


def test_offers_of_a_day_are_read_again_first(api, movie, tmdb_server):
    age(movie, hours=25)

    body = get_offers(api, movie).json()

    assert (body["stale"], len(tmdb_server.requests)) == (False, 1)


@pytest.mark.parametrize("mode", ["500", "truncated", "wrong_types", "401"])
def test_old_offers_are_stale_while_tmdb_fails(api, movie, tmdb_server, mode):
    age(movie, days=3)
    tmdb_server.set_mode(mode)

    response = get_offers(api, movie)

    assert (response.status_code, response.json()["stale"]) == (200, True)
    assert response["Cache-Control"] == "private, no-store"
    sent = len(tmdb_server.requests)
    assert get_offers(api, movie).json()["stale"] is True
    assert len(tmdb_server.requests) == sent


def test_without_anything_stored_and_tmdb_down_it_is_a_503(api, movie, tmdb_server):
    Offers.objects.all().delete()
    MovieExtras.objects.all().delete()
    Provider.objects.all().delete()
    tmdb_server.set_mode("500")

    for path in ("watch_providers/?region=DE", "videos/", "releases/?region=DE"):
        response = api.get(f"/movies/{movie.pk}/{path}")
        assert (response.status_code, response.json()["code"]) == (503, "tmdb_unavailable")
    assert api.get("/providers/?region=DE").status_code == 503
    detail = api.get(f"/movies/{movie.pk}/?append=watch_providers,videos&region=DE").json()
    assert (detail["watch_providers"], detail["videos"]) == (None, None)


def test_what_is_older_than_six_months_is_not_shown(api, movie, tmdb_server):
    age(movie, days=181)
    tmdb_server.set_mode("500")

    assert get_offers(api, movie).status_code == 503
    assert api.get(f"/movies/{movie.pk}/").json()["trailer_url"] is None


def test_a_movie_that_tmdb_does_not_have_has_empty_lists(api, tmdb_server, make_movie):
    for movie in (make_movie("Ours", tmdb_id=None), make_movie("Starter", tmdb_id=603)):
        body = get_offers(api, movie).json()
        assert ([body[kind] for kind in KINDS], body["as_of"]) == ([[]] * 5, None)
        assert api.get(f"/movies/{movie.pk}/videos/").json()["results"] == []
        releases = api.get(f"/movies/{movie.pk}/releases/?region=DE").json()
        assert (releases["as_of"], releases["theatrical"]) == (None, [])
    assert Movie.objects.get(tmdb_id=603).removed_at_source is None


def test_a_provider_that_vanished_from_our_table_is_left_out(api, movie):
    before = get_offers(api, movie).json()
    gone = next(offer["provider_id"] for kind in KINDS for offer in before[kind])
    Provider.objects.filter(pk=gone).delete()

    after = get_offers(api, movie).json()

    assert gone not in {offer["provider_id"] for kind in KINDS for offer in after[kind]}


def test_videos_begin_with_the_official_trailer(api, movie):
    body = api.get(f"/movies/{movie.pk}/videos/").json()

    first = body["results"][0]
    assert body["count"] == 3
    assert (first["type"], first["official"]) == ("Trailer", True)
    assert first["url"] == f"https://www.youtube.com/watch?v={first['key']}"
    assert first["published_at"] == "2024-02-11T15:00:01.000Z"
    assert api.get(f"/movies/{movie.pk}/").json()["trailer_url"] == first["url"]


def test_releases_are_listed_by_kind_with_the_certification(api, movie):
    body = api.get(f"/movies/{movie.pk}/releases/?region=DE").json()

    assert body["certification"] == "0"
    assert body["theatrical"][0] == {"date": "2011-03-04", "certification": "0", "note": ""}
    assert [each["note"] for each in body["theatrical"]] == ["", "Anniversary"]
    assert len(body["physical"]) == 1
    assert body["digital"] == []


def test_a_day_that_is_not_known_is_no_release(api, tmdb_server, db):
    movie = movie_import(tmdb_id=UNDATED_ID).movie

    assert api.get(f"/movies/{movie.pk}/releases/?region=DE").json()["theatrical"] == []


def test_providers_of_a_region_come_in_tmdbs_order_and_once_dropped_leave_it(api, tmdb_server, db):
    body = api.get("/providers/?region=DE&page_size=3").json()

    assert [row["name"] for row in body["results"]] == [
        *("Netflix", "Disney Plus", "Amazon Prime Video")
    ]
    assert "JustWatch" in body["attribution"]
    assert api.get("/providers/?region=AQ").json()["results"] == []
    assert len(tmdb_server.requests) == 1


def test_a_detail_appends_offers_and_videos(api, movie, make_user, client_of):
    path = f"/movies/{movie.pk}/?append=watch_providers,videos"

    detail = api.get(f"{path}&region=US").json()

    assert detail["watch_providers"] == get_offers(api, movie).json()
    assert detail["videos"] == api.get(f"/movies/{movie.pk}/videos/").json()["results"]
    own = client_of(make_user("ann", region="DE")).get(path)
    assert own.json()["watch_providers"]["region"] == "DE"
    assert own["Cache-Control"].startswith("private")
    assert api.get(path).status_code == 400
    assert api.get(f"/movies/{movie.pk}/?region=US").status_code == 400


def test_configuration_lists_are_stored_and_a_new_genre_and_region_are_known(api, tmdb_server, db):
    tmdb_server.added_genres["Telenovela"] = 991

    configuration_sync(gateway=build_batch_gateway())

    genres = api.get("/genres/").json()
    assert genres[-1] == {"name": "Telenovela", "tmdb_id": 991, "movie_count": 0}
    assert api.get("/movies/?genre=telenovela").json()["count"] == 0
    assert api.get("/movies/?genre=991").status_code == 200
    assert api.get("/providers/?region=KE").status_code == 200
    # TMDb's list replaces the built-in one.
    assert api.get("/providers/?region=AT").status_code == 400
