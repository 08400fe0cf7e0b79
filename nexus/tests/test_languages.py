"""Every response that shows movies, in the language asked for: one more query, and none for English."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from movies.models import GenreName, Movie, Translation
from nexus.tests.routes import list_api_routes
from nexus.tests.test_permissions import _make_path, world  # noqa: F401 (a fixture)

pytestmark = pytest.mark.django_db

# Without movies in the world of the permission matrix.
_EMPTY = {
    "/feed/",
    "/collections/{pk}/",
    "/profiles/{username}/ratings/",
    "/watchlist/calendar/",
}


@pytest.fixture
def routes():
    return [
        route
        for route in list_api_routes()
        if "get" in route.actions
        and (contract := getattr(getattr(route.view, route.actions["get"]), "contract", None))
        and contract.is_localized
    ]


@pytest.fixture
def translated(world):  # noqa: F811
    Movie.objects.update(genres=["Horror"], collection=world.collection)
    GenreName.objects.create(genre="Horror", language="de", name="Grusel")
    for movie in Movie.objects.all():
        Translation.objects.create(
            movie=movie,
            language="de",
            region="DE",
            title=f"{movie.title} auf Deutsch",
            synced_at=timezone.now(),
        )
    world.fellow = world.people["stranger"]
    return world


def request(client, path, language):
    joiner = "&" if "?" in path else "?"
    with CaptureQueriesContext(connection) as queries:
        response = client.get(path + (f"{joiner}language={language}" if language else ""))
    assert response.status_code == 200, (path, response.content)
    return response, len(queries)


def list_titles(data):
    """Return the titles of all movies in a response."""
    if isinstance(data, list):
        return [title for item in data for title in list_titles(item)]
    if not isinstance(data, dict):
        return []
    own = [data["title"]] if "title" in data else []
    return own + [title for value in data.values() for title in list_titles(value)]


def test_each_response_with_movies_is_in_the_language_for_one_query(translated, routes, unlimited):
    owner = translated.clients["owner"]
    public_playlist = translated.playlists["public"]
    assert len(routes) > 18

    shown = set()
    for route in routes:
        path = _make_path(translated, route.template, public_playlist)
        # The first request of a process reads what the next ones find in memory.
        request(owner, path, "")

        english, english_queries = request(owner, path, "en")
        german, german_queries = request(owner, path, "de")

        titles = list_titles(json.loads(german.content))
        assert english_queries <= german_queries <= english_queries + 1, path
        assert all(title.endswith(" auf Deutsch") for title in titles), (path, titles)
        assert not any(title.endswith(" auf Deutsch") for title in list_titles(english.json())), (
            path
        )
        assert english["Content-Language"] == "en", path
        assert german["Content-Language"].startswith("de"), path
        if titles or "/genres/" in path:
            shown.add(route.template)
    assert {route.template for route in routes} - shown <= _EMPTY


def test_an_unknown_language_is_a_400_everywhere(translated, routes, unlimited):
    for route in routes:
        path = _make_path(translated, route.template, translated.playlists["public"])
        joiner = "&" if "?" in path else "?"

        response = translated.clients["owner"].get(f"{path}{joiner}language=german")

        assert response.status_code == 400, path
        message = response.json()["errors"]["language"][0]["message"]
        assert message.startswith("Unknown language 'german'."), path
        assert "de (German)" in message
