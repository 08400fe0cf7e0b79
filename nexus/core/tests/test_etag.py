import pytest
from django.test import RequestFactory

from nexus.core.api.etag import is_current_version

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('"3-abc"', True),
        ('W/"3-abc"', True),
        ('"1-x", "3-abc"', True),
        ("*", True),
        ('"2-abc"', False),
        ('"33-abc"', False),
        ('"abc-3"', False),
        ('"-3"', False),
        ("", False),
        (",,,", False),
        ('"3abc"', False),
    ],
)
def test_if_match_is_compared_with_the_version_alone(header, matches):
    request = RequestFactory().put("/", headers={"If-Match": header})

    assert is_current_version(request, 3) is matches


@pytest.mark.parametrize("path", ["/", "/movies/", "/genres/", "/movies/top_rated/"])
def test_a_read_with_a_matching_if_none_match_is_304(api, path):
    first = api.get(path)

    assert first.status_code == 200

    etag = first["ETag"]
    second = api.get(path, HTTP_IF_NONE_MATCH=etag)
    assert second.status_code == 304
    assert second.content == b""
    assert second["ETag"] == etag
    assert api.get(path, HTTP_IF_NONE_MATCH='"another"').status_code == 200


def test_a_changed_response_has_another_etag(api, make_movie):
    before = api.get("/movies/")["ETag"]
    make_movie("Alien")

    response = api.get("/movies/", HTTP_IF_NONE_MATCH=before)

    assert response.status_code == 200
    assert response["ETag"] != before


def test_a_response_about_a_member_has_an_etag_and_is_no_store(make_user, client_of):
    ann = client_of(make_user("ann"))

    first = ann.get("/ratings/")

    assert first.status_code == 200
    assert first["Cache-Control"] == "private, no-store"
    assert ann.get("/ratings/", HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 304


@pytest.mark.parametrize("path", ["/movies/?nonsense=1", "/movies/1/", "/nowhere/"])
def test_an_error_has_no_etag_and_is_no_store(api, path):
    response = api.get(path)

    assert response.status_code in (400, 404)
    assert "ETag" not in response
    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("path", ["/movies/", "/genres/", "/movies/top_rated/"])
def test_catalogue_responses_are_public_for_a_minute(api, path):
    assert api.get(path)["Cache-Control"] == "public, max-age=60"


def test_head_has_the_headers_of_get_and_no_body(api, make_movie):
    movie = make_movie("Alien")

    get, head = api.get(f"/movies/{movie.id}/"), api.head(f"/movies/{movie.id}/")

    assert (head.status_code, head.content) == (200, b"")
    assert head["ETag"] == get["ETag"]


def test_the_etag_of_a_versioned_resource_starts_with_its_version(make_user, client_of, make_movie):
    ann = client_of(make_user("ann"))
    playlist = ann.post("/playlists/", {"name": "Best"}).json()["id"]
    before = ann.get(f"/playlists/{playlist}/items/")["ETag"]

    version, _, digest = before.strip('"').partition("-")

    assert version.isdigit()
    assert digest

    added = ann.post(f"/playlists/{playlist}/items/", {"movie_ids": [make_movie("Alien").id]})
    assert added.status_code in (200, 201)

    after = ann.get(f"/playlists/{playlist}/items/", HTTP_IF_NONE_MATCH=before)
    assert after.status_code == 200
    assert int(after["ETag"].strip('"').split("-")[0]) > int(version)
