import json

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from movies.models import Movie
from nexus.core.cache import client as cache
from nexus.core.cache import responses
from social.services.ratings import rating_set

pytestmark = pytest.mark.django_db(transaction=True)

TOP = "/movies/top_rated/"


@pytest.fixture
def film(make_movie):
    return make_movie("Alien", genres=["Horror"], vote_average=8.0, vote_count=900)


def queries_of(api, path, **headers):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = api.get(path, **headers)
    assert answer.status_code == 200, answer.content
    return len(queries)


def test_a_kept_answer_is_the_same_bytes_without_a_query(api, film):
    first = api.get(TOP)
    with CaptureQueriesContext(connection) as queries:
        second = api.get(TOP)
    assert second.content == first.content
    assert not queries.captured_queries
    assert second["Age"] == "0"
    told = ("ETag", "Content-Type", "Content-Length", "Cache-Control", "X-Frame-Options", "Allow")
    assert [second[name] for name in told] == [first[name] for name in told]
    assert second["RateLimit"] != first["RateLimit"]
    assert second["X-Request-ID"] != first["X-Request-ID"]


def test_a_kept_answer_grows_older_and_is_not_modified_while_it_is_kept(api, film):
    first = api.get(TOP)
    key = get_redis_connection("default").keys("nexus:answer:*")[0]
    head, _, body = get_redis_connection("default").get(key).partition(b"\n")
    stamp, made_at, route, headers = json.loads(head)
    head = json.dumps([stamp, made_at - 41, route, headers]).encode()
    get_redis_connection("default").set(key, head + b"\n" + body)
    assert 41 <= int(api.get(TOP)["Age"]) <= 42
    unchanged = api.get(TOP, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_the_next_reader_sees_a_rating_and_a_member_too(api, film, make_user, client_of):
    ann = make_user("ann")
    api.get(TOP)
    answer = client_of(ann).post("/ratings/", {"movie": film.pk, "score": 5})
    assert answer.status_code == 201
    for client in (api, client_of(ann)):
        assert client.get(TOP).json()["results"][0]["rating_count"] == 1


def test_a_write_that_is_rolled_back_changes_nothing(api, film, make_user):
    ann = make_user("ann")
    api.get(TOP)
    with transaction.atomic():
        rating_set(user_id=ann.pk, movie_id=film.pk, score=5)
        transaction.set_rollback(True)
    assert queries_of(api, TOP) == 0


def test_what_was_read_before_a_change_is_not_kept_beyond_it(api, film, monkeypatch):
    looked = responses.stamp_now

    def changed_meanwhile(found):
        stamp = looked(found)
        responses.films_changed()
        return stamp

    monkeypatch.setattr(responses, "stamp_now", changed_meanwhile)
    api.get(TOP)
    monkeypatch.undo()
    assert queries_of(api, TOP) > 0


@pytest.mark.parametrize(
    "change",
    [
        {"HTTP_HOST": "localhost"},
        {"HTTP_X_FORWARDED_PROTO": "https", "secure": True},
        {"QUERY_STRING": "page_size=1"},
    ],
)
def test_what_the_links_are_made_of_tells_answers_apart(api, film, make_movie, change):
    make_movie("Aliens", vote_count=5)
    api.get(TOP)
    assert queries_of(api, TOP, **change) > 0


@pytest.mark.parametrize("path", ["/api/movies/top_rated/", "/movies/top_rated"])
def test_the_other_spellings_of_a_path_have_answers_of_their_own(api, film, path):
    api.get(TOP)
    assert queries_of(api, path) > 0
    assert queries_of(api, path) == 0


def test_what_is_refused_is_refused_beside_a_kept_answer(api, film):
    api.get(TOP)
    assert api.get(TOP, HTTP_ACCEPT="text/html").status_code == 406
    assert api.get(TOP, HTTP_HOST="elsewhere.example").status_code == 400
    assert api.post(TOP).status_code == 405
    assert api.get(f"{TOP}?page=x").status_code == 400
    assert api.get(f"{TOP}?page=x").status_code == 400


def test_a_kept_answer_counts_towards_the_limit(api, film, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "anonymous": (2, 60)}
    assert [api.get(TOP).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("garbage", [b"", b"\n", b"[]\n{}", b"\xff\xfe", b"[" * 5000])
def test_garbage_is_a_miss(api, film, garbage):
    api.get(TOP)
    for key in get_redis_connection("default").keys("nexus:answer:*"):
        get_redis_connection("default").set(key, garbage)
    assert api.get(TOP).json()["results"][0]["title"] == "Alien"


def test_a_change_that_the_cache_was_not_told_of_is_told_before_it_is_read(
    api, film, settings, tmp_path
):
    api.get(TOP)
    Movie.objects.update(title="Alien 3")
    held = settings.CACHES
    away = {**held["default"], "LOCATION": f"unix://{tmp_path}/nobody.sock"}
    settings.CACHES = {"default": away}
    responses.films_changed()
    settings.CACHES = held
    cache.reset_circuit_breaker()
    assert api.get(TOP).json()["results"][0]["title"] == "Alien 3"


def test_an_answer_is_kept_no_longer_than_its_time(api, film, settings):
    settings.KEPT_ANSWERS = {TOP: 7}
    api.get(TOP)
    [key] = get_redis_connection("default").keys("nexus:answer:*")
    assert 6_000 < get_redis_connection("default").pttl(key) <= 7_000


def test_the_route_of_a_kept_answer_is_counted(api, film):
    api.get(TOP)
    api.get(TOP)
    told = api.get("/metrics/").content.decode()
    assert 'route="/movies/top_rated/"' in told
