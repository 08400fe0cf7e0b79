"""TMDb's trend as movies of the catalogue, and the community's trend without TMDb."""

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from django_redis import get_redis_connection

from movies.models import Credit, Movie
from movies.services.ratings import movie_apply_rating
from nexus.core.cache.client import make_key
from nexus.dev.jobs import run_waiting_jobs
from tmdb.fake import server as fake_server
from tmdb.fake.movies import generate_movies, get_list, make_page
from tmdb.fake.server import FIRST_ID, MOVIES

pytestmark = pytest.mark.django_db

TITLES = [movie["title"] for movie in get_list("/3/trending/movie/week", {}, MOVIES.values())]
WEEK_KEY = "tmdb:list:trending-week:en-US:1"


@pytest.fixture
def member(client_of, make_user):
    return client_of(make_user("ann"))


def get_trend(api, parameters="window=week"):
    response = api.get(f"/movies/trending/?{parameters}")
    assert response.status_code == 200, response.content
    return response.json()


def get_titles(body):
    return [movie["title"] for movie in body["results"]]


def get_paths(server):
    return [request.path for request in server.requests]


def read_all_pages(api, url):
    titles = []
    while url:
        body = api.get(url).json()
        assert body["count"] == 100
        titles += get_titles(body)
        url = body["next"]
    return titles


def make_copy_stale():
    """Make the cached first page of the week's trend two hours older."""
    redis = get_redis_connection("default")
    copy = json.loads(redis.get(make_key(WEEK_KEY)))
    copy["stored_at"] -= 7200
    copy["fresh_until"] -= 7200
    redis.set(make_key(WEEK_KEY), json.dumps(copy))


def serve_documents(monkeypatch, make_document):
    """Let the fake TMDb respond to every path with `make_document(path)`."""
    monkeypatch.setattr(
        fake_server._Handler, "_make_document", lambda self, path, query: make_document(path)
    )


# --- TMDb's trend --------------------------------------------------------------------------------


def test_trend_has_tmdbs_movies_in_its_order_with_catalogue_ids(api, tmdb_server):
    body = get_trend(api)

    assert get_titles(body) == TITLES[:20]
    assert (body["source"], body["stale"], body["count"]) == ("tmdb", False, 100)
    assert body["as_of"].endswith("Z")
    assert body["previous"] is None
    first = body["results"][0]
    assert first["tmdb_id"] == FIRST_ID
    assert first["poster_url"].endswith("/poster9000000.jpg")
    assert first["genres"] == ["Drama", "Mystery"]
    assert (first["runtime"], first["imdb_id"]) == (None, None)
    assert Movie.objects.get(pk=first["id"]).tmdb_id == FIRST_ID
    assert Movie.objects.count() == 20


def test_day_and_week_are_separate_lists(api, tmdb_server):
    day, week = get_trend(api, "window=day"), get_trend(api, "window=week")

    assert get_titles(day) != get_titles(week)
    assert get_paths(tmdb_server) == ["/3/trending/movie/day", "/3/trending/movie/week"]


def test_trending_movie_can_be_rated_and_scored(api, member, tmdb_server):
    movie_id = get_trend(api)["results"][0]["id"]

    rating = member.post("/ratings/", {"movie": movie_id, "score": 4})
    match_score = member.get(f"/movies/{movie_id}/match_score/")

    assert (rating.status_code, match_score.status_code) == (201, 200)


def test_page_is_stored_once_and_then_only_read(api, tmdb_server, django_assert_num_queries):
    get_trend(api)
    stored = dict(Movie.objects.values_list("id", "updated_at"))

    with django_assert_num_queries(2):
        body = get_trend(api)

    assert get_titles(body) == TITLES[:20]
    assert dict(Movie.objects.values_list("id", "updated_at")) == stored
    assert len(tmdb_server.requests) == 1


def test_movie_that_was_deleted_here_is_stored_again(api, tmdb_server):
    get_trend(api)
    Movie.objects.filter(tmdb_id=FIRST_ID).delete()

    assert get_titles(get_trend(api)) == TITLES[:20]


@pytest.mark.parametrize("page_size", [7, 20, 33, 100])
def test_pages_of_any_size_make_up_the_whole_list(api, tmdb_server, page_size):
    titles = read_all_pages(api, f"/movies/trending/?window=week&page_size={page_size}")

    assert titles == TITLES[:100]
    assert len(tmdb_server.requests) == 5


def test_trend_is_read_by_cursor(api, tmdb_server):
    titles = read_all_pages(api, "/movies/trending/?window=week&cursor=&page_size=40")

    assert titles == TITLES[:100]


def test_hundred_movies_take_five_requests_once_and_two_queries(
    api, tmdb_server, django_assert_num_queries
):
    get_trend(api, "window=week&page_size=100")

    with django_assert_num_queries(2):
        body = get_trend(api, "window=week&page_size=100")

    assert len(body["results"]) == 100
    assert len(tmdb_server.requests) == 5


def test_page_after_the_last_is_rejected_and_a_cursor_after_it_is_empty(api, tmdb_server):
    page = api.get("/movies/trending/?page=6")
    # The cursor [100000] of a longer list.
    by_cursor = get_trend(api, "window=week&cursor=WzEwMDAwMF0")

    assert page.status_code == 400
    assert page.json()["errors"]["page"][0]["message"] == "The last page is 5."
    assert by_cursor["results"] == []
    assert {request.query["page"] for request in tmdb_server.requests} == {"1"}


def test_entries_that_the_catalogue_does_not_store_are_left_out(api, tmdb_server, monkeypatch):
    page = make_page(generate_movies(), {})
    page["results"][0] |= {"adult": True}
    page["results"][1] |= {"video": True}
    page["results"][2] |= {"title": None}
    page["results"][3] |= {"popularity": "much"}
    serve_documents(monkeypatch, lambda path: page)

    body = get_trend(api)

    assert [movie["tmdb_id"] for movie in body["results"]] == [
        entry["id"] for entry in page["results"][4:]
    ]
    assert Movie.objects.count() == 16


def test_genre_that_is_new_at_tmdb_is_looked_up_once(api, tmdb_server, monkeypatch):
    page = make_page(generate_movies()[:2], {})
    page["results"][0]["genre_ids"] = [991, 18]
    page["results"][1]["genre_ids"] = [992]
    genres = {"genres": [{"id": 991, "name": "Comedy"}, {"id": 992, "name": "Telenovela"}]}
    serve_documents(monkeypatch, lambda path: genres if "genre" in path else page)

    bodies = [get_trend(api) for _ in range(2)]

    for body in bodies:
        assert [movie["genres"] for movie in body["results"]] == [
            ["Comedy", "Drama"],
            ["Telenovela"],
        ]
    assert get_paths(tmdb_server) == ["/3/trending/movie/week", "/3/genre/movie/list"]


@pytest.mark.clocked
@pytest.mark.parametrize("mode", ["500", "slow"])
def test_stale_copy_is_served_at_once_while_tmdb_fails(api, tmdb_server, mode):
    first = get_trend(api)
    make_copy_stale()
    tmdb_server.set_mode(mode, seconds=1.5)

    started = time.monotonic()
    body = get_trend(api)
    elapsed_s = time.monotonic() - started
    run_waiting_jobs()

    assert elapsed_s < 1.2
    assert (body["source"], body["stale"], get_titles(body)) == ("tmdb", True, get_titles(first))
    assert body["as_of"] < first["as_of"]


def test_stale_copy_is_refreshed_in_the_background(api, tmdb_server):
    get_trend(api)
    make_copy_stale()

    stale = get_trend(api)
    run_waiting_jobs()
    fresh = get_trend(api)

    assert (stale["stale"], fresh["stale"]) == (True, False)
    assert len(tmdb_server.requests) == 2


def test_without_the_cache_a_page_is_stored_once(api, tmdb_server, no_valkey):
    get_trend(api)
    stored = dict(Movie.objects.values_list("id", "updated_at"))

    assert get_titles(get_trend(api)) == TITLES[:20]
    assert dict(Movie.objects.values_list("id", "updated_at")) == stored


@pytest.mark.parametrize(
    "garbage",
    [b"\xff", b'{"stored_at": 1, "fresh_until": 9e10, "document": [1]}'],
)
def test_garbage_in_the_cache_is_a_miss(api, tmdb_server, garbage):
    get_redis_connection("default").set(make_key(WEEK_KEY), garbage)

    assert get_titles(get_trend(api)) == TITLES[:20]


# --- Stored movies in TMDb's trend ---------------------------------------------------------------


def test_list_leaves_the_details_of_a_movie_unchanged(api, member, tmdb_server):
    movie_id = member.post("/tmdb/import/", {"tmdb_id": FIRST_ID}).json()["id"]
    synced_at = timezone.now() - timedelta(days=100)
    Movie.objects.filter(pk=movie_id).update(synced_at=synced_at, popularity=1.0, title="Old title")

    get_trend(api)

    movie = Movie.objects.get(pk=movie_id)
    assert (movie.title, movie.popularity) == ("The Salt Cartographer", 80.0)
    assert (movie.runtime, movie.imdb_id, movie.keywords) == (118, f"tt{FIRST_ID}", ["island"])
    assert Credit.objects.filter(movie=movie).count() == 3
    assert not movie.details_missing
    # A movie is as old as its details.
    assert movie.synced_at == synced_at
    results = api.get("/movies/?search=verhaag").json()["results"]
    assert [result["id"] for result in results] == [movie_id]


def test_starter_movie_becomes_tmdbs_and_keeps_its_people_until_its_details_come(
    api, tmdb_server, make_movie
):
    movie = make_movie("Salt", tmdb_id=FIRST_ID, imdb_id=None, directors=["A Director"])

    get_trend(api)

    movie.refresh_from_db()
    assert (movie.title, movie.source) == ("The Salt Cartographer", "tmdb")
    assert movie.details_missing
    results = api.get("/movies/?search=director").json()["results"]
    assert [result["id"] for result in results] == [movie.pk]


def test_list_only_fills_gaps_of_a_movie_that_an_admin_entered(api, tmdb_server, make_movie):
    movie = make_movie("By hand", tmdb_id=FIRST_ID, imdb_id=None, source="manual")

    get_trend(api)

    movie.refresh_from_db()
    assert (movie.title, movie.source, movie.details_missing) == ("By hand", "manual", False)
    assert movie.poster_path == "/poster9000000.jpg"


# --- The community's trend -----------------------------------------------------------------------


def rate(movie, times=1):
    for _ in range(times):
        movie_apply_rating(movie_id=movie.pk, old_score=None, new_score=4.0)


@pytest.mark.parametrize("mode", ["401", "404", "429", "500", "html", "drop", "nan", "wrong_types"])
def test_trend_is_the_communitys_while_tmdb_fails(api, tmdb_server, make_movie, mode):
    make_movie("Community", popularity=5.0)
    tmdb_server.set_mode(mode)

    body = get_trend(api)

    assert (body["source"], get_titles(body)) == ("local", ["Community"])


def test_trend_is_the_communitys_without_a_credential(api, make_movie, settings):
    settings.TMDB_TOKEN = ""
    make_movie("Community")

    assert get_trend(api)["source"] == "local"


def test_community_trend_starts_with_the_most_rated_movie(api, make_movie):
    quiet, loud = make_movie("Quiet"), make_movie("Loud")
    make_movie("Unrated", popularity=99.0)
    rate(quiet)
    rate(loud, 3)

    response = api.get("/movies/trending/")

    body = response.json()
    assert get_titles(body) == ["Loud", "Quiet"]
    assert (body["count"], body["next"], body["previous"]) == (2, None, None)
    assert (body["source"], body["stale"]) == ("local", False)
    assert body["as_of"].endswith(":00.000Z")
    assert response["Cache-Control"] == "public, max-age=60"


@pytest.mark.parametrize(("window", "first"), [("day", "New"), ("week", "Lasting")])
def test_week_weights_older_ratings_more_than_the_day(api, make_movie, window, first):
    lasting, new = make_movie("Lasting"), make_movie("New")
    rate(lasting)
    rate(new)
    Movie.objects.filter(pk=lasting.pk).update(trend_day=1.0, trend_week=9000.0)

    body = get_trend(api, f"window={window}")

    assert body["results"][0]["title"] == first


def test_community_trend_without_ratings_is_ordered_by_popularity(api, make_movie):
    make_movie("Lesser", popularity=1.0)
    make_movie("Greater", popularity=2.0)

    body = get_trend(api)

    assert get_titles(body) == ["Greater", "Lesser"]
    assert body["source"] == "local"


def test_community_trend_of_an_empty_catalogue_is_an_empty_page(api):
    body = get_trend(api)

    assert (body["count"], body["results"]) == (0, [])


def test_community_trend_is_read_by_cursor_without_repeat_or_gap(api, make_movie):
    movies = [make_movie(f"Movie {number}") for number in range(5)]
    for number, movie in enumerate(movies):
        rate(movie, number + 1)

    url, ids = "/movies/trending/?cursor=&page_size=2", []
    while url:
        body = api.get(url).json()
        ids += [movie["id"] for movie in body["results"]]
        url = body["next"]

    assert ids == [movie.pk for movie in reversed(movies)]


def test_community_trend_takes_three_queries(api, make_movie, django_assert_num_queries):
    for number in range(3):
        rate(make_movie(f"Movie {number}"))

    with django_assert_num_queries(3):
        body = get_trend(api)

    assert len(body["results"]) == 3


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ("window=month", "window"),
        ("window=", "window"),
        ("page=0", "page"),
        ("genre=Drama", "genre"),
    ],
)
def test_invalid_query_parameter_is_named(api, parameters, field):
    response = api.get(f"/movies/trending/?{parameters}")

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]
