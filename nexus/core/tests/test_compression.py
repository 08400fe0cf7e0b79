import gzip

import pytest
from django.core.management import call_command
from django.test import Client

from nexus.core.middleware import MIN_COMPRESSED_BYTES

pytestmark = pytest.mark.django_db
GZIP = {"HTTP_ACCEPT_ENCODING": "gzip, br"}


@pytest.fixture
def movies(make_movie):
    return [make_movie(f"Movie {number}") for number in range(10)]


def test_json_of_a_kibibyte_is_compressed_for_clients_that_accept_it(api, movies):
    plain, compressed = api.get("/movies/"), api.get("/movies/", **GZIP)

    assert len(plain.content) > MIN_COMPRESSED_BYTES
    assert compressed["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.content) == plain.content
    assert int(compressed["Content-Length"]) == len(compressed.content) < len(plain.content) / 2
    assert "Content-Encoding" not in plain


def test_caches_distinguish_compressed_responses_by_vary(api, movies):
    for headers in ({}, GZIP):
        vary = api.get("/movies/", **headers)["Vary"]
        assert {name.strip() for name in vary.split(",")} >= {"Authorization", "Accept-Encoding"}


@pytest.mark.parametrize("path", ["/genres/?page_size=1", "/health/live/", "/movies/1/"])
def test_small_json_is_not_compressed(api, path):
    response = api.get(path, **GZIP)

    assert len(response.content) < MIN_COMPRESSED_BYTES
    assert "Content-Encoding" not in response


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_responses_of_auth_are_not_compressed(make_user, client_of, prefix):
    user = make_user("ann")
    for _ in range(10):
        member = client_of(user)

    response = member.get(f"{prefix}/auth/sessions/", **GZIP)

    assert len(response.content) > MIN_COMPRESSED_BYTES
    assert "Content-Encoding" not in response


def test_a_compressed_response_has_a_weak_etag_that_gives_a_304(api, movies):
    plain, compressed = api.get("/movies/"), api.get("/movies/", **GZIP)

    assert compressed["ETag"] == f"W/{plain['ETag']}"
    for etag in (plain["ETag"], compressed["ETag"]):
        for headers in ({}, GZIP):
            assert api.get("/movies/", HTTP_IF_NONE_MATCH=etag, **headers).status_code == 304


def test_the_weak_etag_of_a_playlist_is_accepted_by_if_match(make_user, client_of, movies):
    ann = client_of(make_user("ann"))
    ids = [movie.pk for movie in movies]
    playlist = ann.post("/playlists/", {"name": "Best", "movie_ids": ids}).json()["id"]
    etag = ann.get(f"/playlists/{playlist}/items/", **GZIP)["ETag"]

    response = ann.put(
        f"/playlists/{playlist}/items/order/", {"movie_ids": ids[::-1]}, HTTP_IF_MATCH=etag
    )

    assert etag.startswith("W/")
    assert response.status_code == 200


def test_collected_static_files_are_served_compressed(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = False
    call_command("collectstatic", verbosity=0, interactive=False)

    path = "/static/drf-yasg/swagger-ui-dist/swagger-ui-bundle.js"
    response = Client().get(path, **GZIP)
    content = b"".join(response)

    assert response["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response["Vary"]
    assert len(content) < 600_000 < len(gzip.decompress(content))
