"""TMDb's lists as films of the catalogue: the trend, details when first asked for, similar films."""

import json
import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.core.cache import cache as django_cache
from django.db import IntegrityError
from django.utils import timezone
from django_redis import get_redis_connection

from movies.models import Credit, Movie
from movies.services.upsert import movies_upsert
from tmdb import aside
from tmdb import trending as lists
from tmdb.fake import movies as samplefilms
from tmdb.fake import server as testserver
from tmdb.fake.server import ADULT_ID, FILMS, FIRST_ID

pytestmark = pytest.mark.django_db

TITLES = [
    film["title"] for film in samplefilms.listed("/3/trending/movie/week", {}, FILMS.values())
]


@pytest.fixture
def member(client_of, make_user):
    return client_of(make_user("ann"))


def trend(api, query="window=week"):
    answer = api.get(f"/movies/trending/?{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def titles(body):
    return [movie["title"] for movie in body["results"]]


def paths(server):
    return [asked.path for asked in server.requests]


def age_copies(pattern, seconds):
    """Make cached copies this much older."""
    redis = get_redis_connection("default")
    names = [name for name in redis.keys(pattern) if not name.endswith(b":lease")]
    assert names
    for name in names:
        entry = json.loads(redis.get(name))
        entry["stored_at"] -= seconds
        entry["fresh_until"] -= seconds
        redis.set(name, json.dumps(entry))


# --- The trend -----------------------------------------------------------------------------------


def test_the_trend_is_tmdbs_list_in_its_order_with_ids_of_ours(api, tmdb_server):
    body = trend(api)
    assert titles(body) == TITLES[:20]
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


def test_each_window_is_a_list_of_its_own(api, tmdb_server):
    assert titles(trend(api, "window=day")) != titles(trend(api, "window=week"))
    assert paths(tmdb_server) == ["/3/trending/movie/day", "/3/trending/movie/week"]


def test_a_film_of_the_trend_can_be_rated_and_scored(api, member, tmdb_server):
    movie_id = trend(api)["results"][0]["id"]
    assert member.post("/ratings/", {"movie": movie_id, "score": 4}).status_code == 201
    assert member.get(f"/movies/{movie_id}/match_score/").status_code == 200


def test_a_page_is_stored_once_and_then_only_read(api, tmdb_server, django_assert_num_queries):
    trend(api)
    stored = dict(Movie.objects.values_list("id", "updated_at"))
    with django_assert_num_queries(2):
        assert titles(trend(api)) == TITLES[:20]
    assert dict(Movie.objects.values_list("id", "updated_at")) == stored
    assert len(tmdb_server.requests) == 1


def test_a_film_that_was_removed_here_comes_back_with_the_list(api, tmdb_server):
    trend(api)
    Movie.objects.filter(tmdb_id=FIRST_ID).delete()
    assert titles(trend(api)) == TITLES[:20]


def test_the_pages_of_any_size_make_up_the_whole_list(api, tmdb_server):
    for size in (7, 20, 33, 100):
        url, seen = f"/movies/trending/?window=week&page_size={size}", []
        while url:
            body = api.get(url).json()
            assert body["count"] == 100
            seen += titles(body)
            url = body["next"]
        assert seen == TITLES[:100]
    assert len(tmdb_server.requests) == 5


def test_the_trend_is_read_by_cursor_too(api, tmdb_server):
    url, seen = "/movies/trending/?window=week&cursor=&page_size=40", []
    while url:
        body = api.get(url).json()
        seen += titles(body)
        url = body["next"]
    assert seen == TITLES[:100]


def test_a_hundred_films_are_five_pages_of_tmdb_in_three_queries(
    api, tmdb_server, django_assert_num_queries
):
    trend(api, "window=week&page_size=100")
    assert len(tmdb_server.requests) == 5
    with django_assert_num_queries(2):
        assert len(trend(api, "window=week&page_size=100")["results"]) == 100


def test_a_page_behind_the_last_is_refused_and_a_cursor_behind_it_is_empty(api, tmdb_server):
    answer = api.get("/movies/trending/?page=6")
    assert answer.status_code == 400
    assert answer.json()["errors"]["page"][0]["message"] == "The last page is 5."
    # What a cursor of a longer list would be: [100000].
    assert trend(api, "window=week&cursor=WzEwMDAwMF0")["results"] == []
    assert {asked.query["page"] for asked in tmdb_server.requests} == {"1"}


def test_what_the_catalogue_does_not_take_is_left_out(api, tmdb_server, monkeypatch):
    page = samplefilms.page(samplefilms.films(), {})
    page["results"][0] |= {"adult": True}
    page["results"][1] |= {"video": True}
    page["results"][2] |= {"title": None}
    page["results"][3] |= {"popularity": "much"}
    monkeypatch.setattr(testserver._Handler, "_document", lambda self, path, query: page)
    body = trend(api)
    assert [movie["tmdb_id"] for movie in body["results"]] == [
        each["id"] for each in page["results"][4:]
    ]
    assert Movie.objects.count() == 16


def test_a_genre_that_is_new_at_tmdb_is_looked_up_by_its_id(api, tmdb_server, monkeypatch):
    page = samplefilms.page(samplefilms.films()[:2], {})
    page["results"][0]["genre_ids"] = [991, 18]
    page["results"][1]["genre_ids"] = [992]
    names = {"genres": [{"id": 991, "name": "Comedy"}, {"id": 992, "name": "Telenovela"}]}
    monkeypatch.setattr(
        testserver._Handler, "_document", lambda self, path, _: names if "genre" in path else page
    )
    for _ in range(2):
        assert [movie["genres"] for movie in trend(api)["results"]] == [["Comedy", "Drama"], []]
    assert paths(tmdb_server) == ["/3/trending/movie/week", "/3/genre/movie/list"]


@pytest.mark.parametrize("mode", ["401", "404", "429", "500", "html", "drop", "nan", "wrong_types"])
def test_without_a_copy_trouble_gives_the_communitys_trend(api, tmdb_server, make_movie, mode):
    make_movie("Ours", popularity=5.0)
    tmdb_server.switch(mode)
    body = trend(api)
    assert (body["source"], titles(body)) == ("local", ["Ours"])


@pytest.mark.clocked
@pytest.mark.parametrize("mode", ["500", "slow"])
def test_an_old_copy_is_served_at_once_and_says_so(api, tmdb_server, mode):
    first = trend(api)
    age_copies("*tmdb:list:trending-week*", 7200)
    tmdb_server.switch(mode, seconds=1.5)
    started = time.monotonic()
    body = trend(api)
    assert time.monotonic() - started < 1.2
    assert (body["source"], body["stale"], titles(body)) == ("tmdb", True, titles(first))
    assert body["as_of"] < first["as_of"]
    aside.settle()


def test_after_the_refresh_the_copy_is_new(api, tmdb_server):
    trend(api)
    age_copies("*tmdb:list:trending-week*", 7200)
    assert trend(api)["stale"] is True
    aside.settle()
    assert trend(api)["stale"] is False
    assert len(tmdb_server.requests) == 2


def test_without_a_credential_the_trend_is_the_communitys(api, make_movie, settings):
    settings.TMDB_TOKEN = ""
    make_movie("Ours")
    assert trend(api)["source"] == "local"


def test_without_the_cache_the_list_is_stored_once_all_the_same(api, tmdb_server, settings):
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}
    }
    assert titles(trend(api)) == TITLES[:20]
    stored = dict(Movie.objects.values_list("id", "updated_at"))
    assert titles(trend(api)) == TITLES[:20]
    assert dict(Movie.objects.values_list("id", "updated_at")) == stored


# --- What a list does to films that are held -----------------------------------------------------


def test_a_list_leaves_the_details_of_a_film_alone(api, member, tmdb_server):
    movie_id = member.post("/tmdb/import/", {"tmdb_id": FIRST_ID}).json()["id"]
    old = timezone.now() - timedelta(days=100)
    Movie.objects.filter(pk=movie_id).update(synced_at=old, popularity=1.0, title="Old title")
    trend(api)
    movie = Movie.objects.get(pk=movie_id)
    assert (movie.title, movie.popularity) == ("The Salt Cartographer", 80.0)
    assert (movie.runtime, movie.imdb_id, movie.keywords) == (118, f"tt{FIRST_ID}", ["island"])
    assert Credit.objects.filter(movie=movie).count() == 3
    assert not movie.details_missing
    # What is held in full is as old as its details.
    assert movie.synced_at == old
    found = api.get("/movies/?search=verhaag").json()["results"]
    assert [each["id"] for each in found] == [movie_id]


def test_a_starter_film_becomes_tmdbs_and_keeps_its_people_until_its_details_come(
    api, tmdb_server, make_movie
):
    movie = make_movie("Salt", tmdb_id=FIRST_ID, imdb_id=None, directors=["A Director"])
    trend(api)
    movie.refresh_from_db()
    assert (movie.title, movie.source) == ("The Salt Cartographer", "tmdb")
    assert movie.details_missing
    assert [each["id"] for each in api.get("/movies/?search=director").json()["results"]] == [
        movie.pk
    ]


def test_what_was_entered_by_hand_a_list_only_fills(api, tmdb_server, make_movie):
    movie = make_movie("By hand", tmdb_id=FIRST_ID, imdb_id=None, source="manual")
    trend(api)
    movie.refresh_from_db()
    assert (movie.title, movie.source, movie.details_missing) == ("By hand", "manual", False)
    assert movie.poster_path == "/poster9000000.jpg"


# --- Details when first asked for ----------------------------------------------------------------


def test_the_details_come_when_the_film_is_first_asked_for(api, tmdb_server):
    movie_id = trend(api)["results"][0]["id"]
    for _ in range(2):
        body = api.get(f"/movies/{movie_id}/").json()
        assert (body["runtime"], body["imdb_id"]) == (118, f"tt{FIRST_ID}")
        assert [person["name"] for person in body["directors"]] == ["Ottoline Verhaag"]
        assert body["provenance"]["stale"] is False
    assert paths(tmdb_server)[1:] == [f"/3/movie/{FIRST_ID}"]


def test_a_complete_film_takes_one_query_and_no_call(
    api, tmdb_server, make_movie, django_assert_num_queries
):
    movie = make_movie("Whole", source="tmdb", directors=["A Director"])
    with django_assert_num_queries(1):
        assert api.get(f"/movies/{movie.pk}/").json()["title"] == "Whole"
    assert tmdb_server.requests == []


@pytest.mark.parametrize("mode", ["401", "500", "html", "wrong_id", "null"])
def test_in_trouble_a_film_is_shown_as_it_is_held_and_tmdb_is_not_asked_again_at_once(
    api, tmdb_server, mode
):
    movie_id = trend(api)["results"][0]["id"]
    tmdb_server.switch(mode)
    for _ in range(2):
        answer = api.get(f"/movies/{movie_id}/")
        assert answer.status_code == 200
        assert answer.json()["title"] == "The Salt Cartographer"
        assert answer.json()["runtime"] is None
    # A 5xx is sent once more within the first request.
    assert 1 <= paths(tmdb_server).count(f"/3/movie/{FIRST_ID}") <= 2


def test_without_a_credential_a_film_is_shown_as_it_is_held(api, tmdb_server, settings):
    movie_id = trend(api)["results"][0]["id"]
    settings.TMDB_TOKEN = ""
    assert api.get(f"/movies/{movie_id}/").json()["runtime"] is None


def test_a_film_that_tmdb_deleted_is_marked_and_shown(api, tmdb_server):
    movie_id = trend(api)["results"][0]["id"]
    tmdb_server.deleted.add(FIRST_ID)
    for _ in range(2):
        assert api.get(f"/movies/{movie_id}/").json()["title"] == "The Salt Cartographer"
    assert Movie.objects.get(pk=movie_id).removed_at_source is not None
    assert paths(tmdb_server).count(f"/3/movie/{FIRST_ID}") == 1


@pytest.fixture
def stale(make_movie):
    movie = make_movie(
        "Old title",
        tmdb_id=FIRST_ID,
        source="tmdb",
        overview="TMDb's words.",
        tagline="TMDb's line.",
        poster_path="/old.jpg",
        backdrop_path="/old.jpg",
        runtime=99,
    )
    Movie.objects.update(synced_at=timezone.now() - timedelta(days=181))
    return movie


def test_a_stale_film_is_refreshed_before_it_is_shown(api, tmdb_server, stale):
    body = api.get(f"/movies/{stale.pk}/").json()
    assert body["title"] == "The Salt Cartographer"
    assert body["provenance"]["stale"] is False


def test_a_stale_film_that_cannot_be_refreshed_is_shown_without_tmdbs_texts_and_images(
    api, tmdb_server, stale
):
    tmdb_server.switch("500")
    body = api.get(f"/movies/{stale.pk}/").json()
    assert (body["title"], body["runtime"]) == ("Old title", 99)
    assert (body["overview"], body["tagline"]) == ("", "")
    assert body["poster_url"] is body["backdrop_url"] is None
    assert body["provenance"]["stale"] is True
    (listed,) = api.get("/movies/").json()["results"]
    assert listed["poster_url"] is listed["backdrop_url"] is None


# --- One by IMDb id, and twenty at once ----------------------------------------------------------


def test_an_import_by_imdb_id_finds_the_film(member, tmdb_server):
    answer = member.post("/tmdb/import/", {"imdb_id": f"tt{FIRST_ID}"})
    assert answer.status_code == 201
    assert answer.json()["tmdb_id"] == FIRST_ID
    assert paths(tmdb_server) == [f"/3/find/tt{FIRST_ID}", f"/3/movie/{FIRST_ID}"]
    assert tmdb_server.requests[0].query["external_source"] == "imdb_id"
    again = member.post("/tmdb/import/", {"imdb_id": f"tt{FIRST_ID}"})
    assert (again.status_code, again.json()["id"]) == (200, answer.json()["id"])
    assert len(tmdb_server.requests) == 2


def test_a_film_known_by_its_imdb_id_alone_is_answered_as_it_is(member, tmdb_server, make_movie):
    movie = make_movie("Known", tmdb_id=None, imdb_id="tt1234567")
    answer = member.post("/tmdb/import/", {"imdb_id": "tt1234567"})
    assert (answer.status_code, answer.json()["id"]) == (200, movie.pk)
    assert tmdb_server.requests == []


def test_an_imdb_id_that_tmdb_does_not_know_is_not_found(member, tmdb_server):
    for _ in range(2):
        assert member.post("/tmdb/import/", {"imdb_id": "tt0000001"}).status_code == 404
    assert len(tmdb_server.requests) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tmdb_id": 1, "imdb_id": "tt0000001"}, "imdb_id"),
        ({"imdb_id": "0000001"}, "imdb_id"),
        ({"imdb_id": "tt1/../../account"}, "imdb_id"),
        ({"imdb_id": 5}, "imdb_id"),
        ({"imdb_id": None}, "imdb_id"),
    ],
)
def test_an_imdb_id_that_makes_no_sense_is_named(member, tmdb_server, body, field):
    answer = member.post("/tmdb/import/", body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert tmdb_server.requests == []


def test_a_video_is_refused(member, tmdb_server, monkeypatch):
    monkeypatch.setitem(FILMS, FIRST_ID, {**FILMS[FIRST_ID], "video": True})
    answer = member.post("/tmdb/import/", {"tmdb_id": FIRST_ID})
    assert answer.status_code == 404
    assert "video" in answer.json()["detail"]
    assert not Movie.objects.exists()


def bulk(client, *tmdb_ids):
    return client.post("/tmdb/import/bulk/", {"tmdb_ids": tmdb_ids})


def test_a_bulk_import_tells_each_film_in_order(member, tmdb_server, make_movie):
    held = make_movie("Held", tmdb_id=FIRST_ID + 1)
    answer = bulk(member, FIRST_ID + 2, 42, FIRST_ID + 1, ADULT_ID, FIRST_ID + 2)
    assert answer.status_code == 200
    new = Movie.objects.get(tmdb_id=FIRST_ID + 2)
    created = {"tmdb_id": FIRST_ID + 2, "status": "created", "movie_id": new.pk}
    assert answer.json() == [
        created,
        {"tmdb_id": 42, "status": "not_found", "movie_id": None},
        {"tmdb_id": FIRST_ID + 1, "status": "existing", "movie_id": held.pk},
        {"tmdb_id": ADULT_ID, "status": "not_found", "movie_id": None},
        created,
    ]
    assert Credit.objects.filter(movie=new).count() == 3
    assert len(tmdb_server.requests) == 3


def test_twenty_films_are_imported_at_once(member, tmdb_server):
    ids = [samplefilms.FIRST_GENERATED + number for number in range(20)]
    assert {each["status"] for each in bulk(member, *ids).json()} == {"created"}
    assert Movie.objects.filter(details_missing=False, runtime__isnull=False).count() == 20
    assert {each["status"] for each in bulk(member, *ids).json()} == {"existing"}
    assert len(tmdb_server.requests) == 20


def test_a_bulk_import_completes_what_a_list_has_left_out(api, member, tmdb_server):
    trend(api)
    assert bulk(member, FIRST_ID).json()[0]["status"] == "existing"
    assert Movie.objects.get(tmdb_id=FIRST_ID).runtime == 118


def test_one_bad_film_hurts_no_other(member, tmdb_server, monkeypatch):
    monkeypatch.setitem(FILMS, FIRST_ID, {**FILMS[FIRST_ID], "runtime": "long"})
    statuses = [each["status"] for each in bulk(member, FIRST_ID, FIRST_ID + 1).json()]
    assert statuses == ["error", "created"]


def test_a_film_that_the_database_refuses_hurts_no_other(member, tmdb_server, monkeypatch):
    def picky(*, facts, source):
        if any(fact.tmdb_id == FIRST_ID for fact in facts):
            raise IntegrityError("refused")
        return movies_upsert(movies=facts, source=source)

    monkeypatch.setattr("tmdb.services.movies_upsert", picky)
    statuses = [each["status"] for each in bulk(member, FIRST_ID, FIRST_ID + 1).json()]
    assert statuses == ["error", "created"]


@pytest.mark.clocked
def test_a_bulk_import_ends_within_the_budget_while_tmdb_hangs(member, tmdb_server, make_movie):
    make_movie("Held", tmdb_id=FIRST_ID + 1)
    tmdb_server.switch("slow", seconds=30)
    started = time.monotonic()
    answer = bulk(member, *range(FIRST_ID, FIRST_ID + 12))
    assert time.monotonic() - started < 3.5
    assert answer.status_code == 200
    statuses = [each["status"] for each in answer.json()]
    assert statuses == ["error", "existing"] + ["error"] * 10


def test_where_no_film_can_be_had_for_the_credential_that_is_told(member, tmdb_server, settings):
    tmdb_server.switch("401")
    assert bulk(member, FIRST_ID).json()["code"] == "tmdb_auth_failed"
    settings.TMDB_TOKEN = ""
    answer = bulk(member, FIRST_ID)
    assert (answer.status_code, answer.json()["code"]) == (503, "tmdb_not_configured")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tmdb_ids": []},
        {"tmdb_ids": list(range(1, 22))},
        {"tmdb_ids": [0]},
        {"tmdb_ids": [2**31]},
        {"tmdb_ids": ["x"]},
        {"tmdb_ids": [None]},
        {"tmdb_ids": "5"},
        {"tmdb_ids": {"1": 1}},
    ],
)
def test_a_bulk_body_that_makes_no_sense_is_named(member, tmdb_server, body):
    answer = member.post("/tmdb/import/bulk/", body)
    assert answer.status_code == 400
    assert all(name.startswith("tmdb_ids") for name in answer.json()["errors"])
    assert tmdb_server.requests == []


def test_too_many_bulk_imports_of_one_address_are_refused(member, tmdb_server, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "tmdb_bulk": (1, 60)}
    assert bulk(member, FIRST_ID).status_code == 200
    assert bulk(member, FIRST_ID).status_code == 429


# --- Similar films -------------------------------------------------------------------------------


def similar(api, movie_id):
    return api.get(f"/movies/{movie_id}/similar/?page_size=100").json()["results"]


@pytest.mark.clocked
def test_similar_asks_tmdb_in_the_background_and_uses_its_answer_from_then_on(
    api, tmdb_server, make_movie
):
    movie = make_movie("Alone", tmdb_id=FIRST_ID, imdb_id=None, genres=["War"])
    tmdb_server.switch("slow", seconds=1.5)
    started = time.monotonic()
    assert similar(api, movie.pk) == []
    assert time.monotonic() - started < 1.2
    aside.settle()
    asked = {urlsplit(path).path.rpartition("/")[2] for path in paths(tmdb_server)}
    assert asked == {"recommendations", "similar"}
    found = similar(api, movie.pk)
    expected = samplefilms.related(FILMS[FIRST_ID], FILMS.values())
    assert found[0]["movie"]["tmdb_id"] == expected[0]["id"]
    assert found[0]["similarity"] >= 0.5
    assert "TMDb lists them side by side." in found[0]["reasons"]
    assert len(found) == 20
    assert len(tmdb_server.requests) == 2


def test_similar_never_fails_for_tmdb(api, tmdb_server, make_movie):
    movie = make_movie("Alone", tmdb_id=FIRST_ID, genres=["War"])
    make_movie("Other war", genres=["War"])
    tmdb_server.switch("500")
    for _ in range(2):
        assert [each["movie"]["title"] for each in similar(api, movie.pk)] == ["Other war"]
        aside.settle()


def test_without_a_credential_similar_asks_nobody(api, settings, make_movie, tmdb_server):
    settings.TMDB_TOKEN = ""
    assert similar(api, make_movie("Alone", tmdb_id=FIRST_ID).pk) == []
    aside.settle()
    assert tmdb_server.requests == []


def test_garbage_under_the_keys_of_lists_is_no_copy(api, tmdb_server):
    for garbage in (b"\xff", {"stored_at": time.time(), "fresh_until": 9e10, "value": [1]}):
        key = lists.list_key("trending-week", 1)
        if isinstance(garbage, bytes):
            get_redis_connection("default").set(f"nexus:1:{key}", garbage)
        else:
            django_cache.set(key, garbage)
        assert titles(trend(api)) == TITLES[:20]
