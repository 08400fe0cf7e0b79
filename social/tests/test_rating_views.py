import pytest
from rest_framework.test import APIClient

from movies.models import Movie
from social.models import Rating
from social.tests.helpers import assert_rating_counters_match, run_concurrently

RATING_FIELDS = {
    "id",
    "movie",
    "score",
    "review",
    "contains_spoilers",
    "review_hidden",
    "created_at",
    "updated_at",
}


@pytest.fixture
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien")


# --- POST ----------------------------------------------------------------------------------------


def test_a_first_rating_answers_201_with_the_film(client, movie):
    answer = client.post("/ratings/", {"movie": movie.id, "score": 4.5, "review": "Tense."})
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == RATING_FIELDS
    assert (body["score"], body["review"], body["contains_spoilers"]) == (4.5, "Tense.", False)
    assert body["movie"]["title"] == "Alien"
    assert (body["movie"]["average_score"], body["movie"]["rating_count"]) == (4.5, 1)
    assert body["created_at"].endswith("Z")
    assert answer["Cache-Control"] == "private, no-store"


def test_a_second_rating_replaces_the_first_and_keeps_what_is_not_sent(client, movie):
    sent = {"movie": movie.id, "score": 4.5, "review": "Tense.", "contains_spoilers": True}
    first = client.post("/ratings/", sent).json()
    answer = client.post("/ratings/", {"movie": movie.id, "score": 2})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["id"], body["created_at"]) == (first["id"], first["created_at"])
    assert (body["score"], body["review"], body["contains_spoilers"]) == (2.0, "Tense.", True)
    assert body["movie"]["average_score"] == 2.0
    assert (
        client.post("/ratings/", {"movie": movie.id, "score": 2, "review": ""}).json()["review"]
        == ""
    )
    assert_rating_counters_match()


@pytest.mark.parametrize("score", [1, 1.0, 1.5, 3, 4.5, 5, "3.5"])
def test_every_half_star_is_taken(client, movie, score):
    answer = client.post("/ratings/", {"movie": movie.id, "score": score})
    assert answer.status_code == 201
    assert answer.json()["score"] == float(score)


@pytest.mark.parametrize(
    ("score", "code"),
    [
        *((score, "invalid") for score in (True, "x", "", [], {}, "1_0", "05", "1e0", "nan", " 3")),
        *((score, "min_value") for score in (0, 0.5, -1)),
        *((score, "max_value") for score in (5.5, 6, 100000)),
        *((score, "half_stars") for score in (3.3, 4.75, 0.999, 1.0001)),
        (None, "null"),
        (10**400, "invalid"),
        (1e300, "invalid"),
    ],
)
def test_a_score_that_is_none_is_400_on_the_field(client, movie, score, code):
    answer = client.post("/ratings/", {"movie": movie.id, "score": score})
    assert answer.status_code == 400
    assert [each["code"] for each in answer.json()["errors"]["score"]] == [code]
    assert not Rating.objects.exists()


@pytest.mark.parametrize(
    "movie_id", ["005", "1_0", "١", True, 1.0, 0, -1, 2**63, 10**30, None, "", "x", [1], {"id": 1}]
)
def test_a_malformed_movie_is_400_on_the_field(client, movie_id):
    answer = client.post("/ratings/", {"movie": movie_id, "score": 3})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"movie"}


@pytest.mark.parametrize("movie_id", [987654321, 2**63 - 1])
def test_an_unknown_movie_is_400_on_the_field(client, movie_id):
    answer = client.post("/ratings/", {"movie": movie_id, "score": 3})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"]["movie"][0]["code"] == "does_not_exist"


@pytest.mark.parametrize(
    "raw",
    [
        '{"movie": 1, "score": NaN}',
        '{"movie": 1, "score": 1e999}',
        '{"movie": 1, "score": 3, "review": "a\\u0000b"}',
        '{"movie": 1, "score": 3, "review": "\\ud800"}',
        '{"movie": 1, "score": ' + "[" * 900 + "]" * 900 + "}",
        '{"movie": 1, "score": 3',
        '[{"movie": 1, "score": 3}]',
        '"text"',
        "null",
        "",
    ],
)
def test_a_body_that_cannot_be_stored_is_400(client, raw):
    answer = client.post("/ratings/", raw, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["status"] == 400


def test_a_review_may_have_ten_thousand_characters_and_no_more(client, movie):
    longest = {"movie": movie.id, "score": 3, "review": "é" * 10_000}
    assert client.post("/ratings/", longest).json()["review"] == "é" * 10_000
    answer = client.post("/ratings/", {**longest, "review": "é" * 10_001})
    assert answer.status_code == 400
    assert answer.json()["errors"]["review"][0]["code"] == "max_length"


@pytest.mark.parametrize("field", [{"review": 5}, {"review": None}, {"contains_spoilers": []}])
def test_a_wrong_type_is_400_on_its_field(client, movie, field):
    answer = client.post("/ratings/", {"movie": movie.id, "score": 3, **field})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == set(field)


# --- One rating ----------------------------------------------------------------------------------


@pytest.fixture
def rating(client, movie):
    return client.post("/ratings/", {"movie": movie.id, "score": 4, "review": "Tense."}).json()


def test_the_owner_reads_changes_and_withdraws_a_rating(client, movie, rating):
    url = f"/ratings/{rating['id']}/"
    assert client.get(url).json() == rating
    changed = client.patch(url, {"review": "Very tense."})
    assert changed.status_code == 200
    assert (changed.json()["score"], changed.json()["review"]) == (4.0, "Very tense.")
    put = client.put(url, {"movie": movie.id, "score": 1.5, "contains_spoilers": True})
    assert put.status_code == 200
    assert (put.json()["score"], put.json()["contains_spoilers"]) == (1.5, True)
    assert put.json()["movie"]["average_score"] == 1.5
    assert client.patch(url, {}).json()["score"] == 1.5
    assert_rating_counters_match()
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert client.delete(url).status_code == 404
    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_sum, movie.average_score) == (0, 0.0, None)


def test_put_without_a_score_is_400(client, rating):
    answer = client.put(f"/ratings/{rating['id']}/", {"review": "x"})
    assert answer.status_code == 400
    assert answer.json()["errors"]["score"][0]["code"] == "required"


@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_rating_does_not_move_to_another_film(client, rating, make_movie, method):
    other = make_movie("Aliens")
    answer = getattr(client, method)(f"/ratings/{rating['id']}/", {"movie": other.id, "score": 3})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"movie"}
    assert client.get(f"/ratings/{rating['id']}/").json() == rating


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_a_stranger_finds_no_rating(make_user, client_of, rating, method):
    stranger = client_of(make_user("bob"))
    answer = getattr(stranger, method)(
        f"/ratings/{rating['id']}/", {"score": 1} if method != "get" else None
    )
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert Rating.objects.get().score == 4


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/ratings/"),
        ("post", "/ratings/"),
        *((method, "/ratings/1/") for method in ("get", "put", "patch", "delete")),
        ("get", "/profiles/stats/"),
    ],
)
def test_the_anonymous_get_401_everywhere(api, db, method, path):
    answer = getattr(api, method)(path)
    assert answer.status_code == 401
    assert "Bearer" in answer["WWW-Authenticate"]
    assert answer.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("pk", ["0", "005", "1_0", "-1", "9223372036854775808", "x"])
def test_a_malformed_id_is_404(client, pk):
    answer = client.get(f"/ratings/{pk}/")
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


# --- The list ------------------------------------------------------------------------------------


@pytest.fixture
def rated(client, make_movie):
    movies = [make_movie(f"Film {number}") for number in range(4)]
    for movie, score in zip(movies, (3, 5, 1.5, 3), strict=True):
        client.post("/ratings/", {"movie": movie.id, "score": score})
    return movies


def titles(answer):
    assert answer.status_code == 200, answer.json()
    return [each["movie"]["title"] for each in answer.json()["results"]]


def test_the_list_holds_the_callers_ratings_newest_first(client, rated, make_user, client_of):
    client_of(make_user("bob")).post("/ratings/", {"movie": rated[0].id, "score": 2})
    answer = client.get("/ratings/")
    assert titles(answer) == ["Film 3", "Film 2", "Film 1", "Film 0"]
    assert answer.json()["count"] == 4
    assert set(answer.json()["results"][0]) == RATING_FIELDS


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ordering=created_at", "0123"),
        ("ordering=score", "2031"),
        ("ordering=-score", "1302"),
        ("min_score=3", "310"),
        ("min_score=3&max_score=3", "30"),
        ("max_score=1.5", "2"),
    ],
)
def test_filters_and_orderings(client, rated, query, expected):
    assert titles(client.get(f"/ratings/?{query}")) == [f"Film {each}" for each in expected]


def test_the_movie_filter_finds_one(client, rated):
    assert titles(client.get(f"/ratings/?movie={rated[1].id}")) == ["Film 1"]
    assert titles(client.get("/ratings/?movie=987654321")) == []


@pytest.mark.parametrize("ordering", ["created_at", "-created_at", "score", "-score"])
def test_cursors_read_the_whole_list_once(client, rated, ordering):
    url, seen = f"/ratings/?page_size=1&cursor=&ordering={ordering}", []
    while url:
        answer = client.get(url)
        seen += titles(answer)
        url = answer.json()["next"]
    assert seen == titles(client.get(f"/ratings/?ordering={ordering}"))


@pytest.mark.parametrize(
    "query",
    [
        *(
            "movie=005",
            "movie=1_0",
            "movie=true",
            "movie=0",
            "movie=9223372036854775808",
            "movie=%00",
        ),
        *("min_score=nan", "min_score=0", "max_score=6", "max_score=inf", "min_score="),
        *("ordering=movie", "ordering=", "page=0", "page_size=101", "page=9", "cursor=x", "who=1"),
        *("min_score=4&max_score=3", "movie=1&movie=2", "ordering=%ED%A0%80"),
    ],
)
def test_a_malformed_parameter_is_400_and_named(client, db, query):
    answer = client.get(f"/ratings/?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.split("=")[0]}


def test_the_list_takes_three_queries(client, rated, django_assert_num_queries):
    with django_assert_num_queries(3):  # the session, the count, the page with its films
        client.get("/ratings/")


# --- At once -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_twenty_identical_ratings_at_once_are_one(client, movie):
    sent = {"movie": movie.id, "score": 4.5}
    answers = run_concurrently(*[lambda: client.post("/ratings/", sent)] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Rating.objects.get().score == 4.5
    assert_rating_counters_match()


@pytest.mark.django_db(transaction=True)
def test_counters_hold_after_many_changes_at_once(make_user, client_of, movie):
    clients = [client_of(make_user(f"member{number}")) for number in range(3)]
    first = clients[0].post("/ratings/", {"movie": movie.id, "score": 2}).json()

    def rate(client: APIClient, score):
        return lambda: client.post("/ratings/", {"movie": movie.id, "score": score})

    answers = run_concurrently(
        *(rate(client, score) for client in clients for score in (1, 2.5, 3, 4.5, 5)),
        lambda: clients[0].patch(f"/ratings/{first['id']}/", {"score": 3.5}),
        lambda: clients[0].delete(f"/ratings/{first['id']}/"),
        lambda: clients[0].delete(f"/ratings/{first['id']}/"),
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 204, 404}
    assert Movie.objects.get().rating_count >= 2
    assert_rating_counters_match()
