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
def client(ann, client_of):
    return client_of(ann)


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien")


# --- POST ----------------------------------------------------------------------------------------


def test_a_first_rating_returns_201_with_the_movie(client, movie):
    response = client.post("/ratings/", {"movie": movie.id, "score": 4.5, "review": "Tense."})

    assert response.status_code == 201
    body = response.json()
    assert set(body) == RATING_FIELDS
    assert (body["score"], body["review"], body["contains_spoilers"]) == (4.5, "Tense.", False)
    assert body["movie"]["title"] == "Alien"
    assert (body["movie"]["average_score"], body["movie"]["rating_count"]) == (4.5, 1)
    assert body["created_at"].endswith("Z")
    assert response["Cache-Control"] == "private, no-store"


def test_a_second_rating_replaces_the_first_and_keeps_fields_not_sent(client, movie):
    payload = {"movie": movie.id, "score": 4.5, "review": "Tense.", "contains_spoilers": True}
    first = client.post("/ratings/", payload).json()

    response = client.post("/ratings/", {"movie": movie.id, "score": 2})

    assert response.status_code == 200
    body = response.json()
    assert (body["id"], body["created_at"]) == (first["id"], first["created_at"])
    assert (body["score"], body["review"], body["contains_spoilers"]) == (2.0, "Tense.", True)
    assert body["movie"]["average_score"] == 2.0
    assert (
        client.post("/ratings/", {"movie": movie.id, "score": 2, "review": ""}).json()["review"]
        == ""
    )

    assert_rating_counters_match()


@pytest.mark.parametrize("score", [1, 1.0, 1.5, 3, 4.5, 5, "3.5"])
def test_every_half_step_is_a_valid_score(client, movie, score):
    response = client.post("/ratings/", {"movie": movie.id, "score": score})

    assert response.status_code == 201
    assert response.json()["score"] == float(score)


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
def test_an_invalid_score_is_rejected(client, movie, score, code):
    response = client.post("/ratings/", {"movie": movie.id, "score": score})

    assert response.status_code == 400
    assert [error["code"] for error in response.json()["errors"]["score"]] == [code]
    assert not Rating.objects.exists()


@pytest.mark.parametrize(
    "movie_id", ["005", "1_0", "١", True, 1.0, 0, -1, 2**63, 10**30, None, "", "x", [1], {"id": 1}]
)
def test_a_malformed_movie_id_is_rejected(client, movie_id):
    response = client.post("/ratings/", {"movie": movie_id, "score": 3})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"movie"}


@pytest.mark.parametrize("movie_id", [987654321, 2**63 - 1])
def test_an_unknown_movie_is_rejected(client, movie_id):
    response = client.post("/ratings/", {"movie": movie_id, "score": 3})

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["errors"]["movie"][0]["code"] == "does_not_exist"


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
def test_a_malformed_body_is_rejected(client, raw):
    response = client.post("/ratings/", raw, content_type="application/json")

    assert response.status_code == 400
    assert response.json()["status"] == 400


def test_a_review_has_at_most_ten_thousand_characters(client, movie):
    longest = {"movie": movie.id, "score": 3, "review": "é" * 10_000}

    assert client.post("/ratings/", longest).json()["review"] == "é" * 10_000

    response = client.post("/ratings/", {**longest, "review": "é" * 10_001})

    assert response.status_code == 400
    assert response.json()["errors"]["review"][0]["code"] == "max_length"


@pytest.mark.parametrize("field", [{"review": 5}, {"review": None}, {"contains_spoilers": []}])
def test_a_field_of_the_wrong_type_is_rejected(client, movie, field):
    response = client.post("/ratings/", {"movie": movie.id, "score": 3, **field})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == set(field)


# --- One rating ----------------------------------------------------------------------------------


@pytest.fixture
def rating(client, movie):
    return client.post("/ratings/", {"movie": movie.id, "score": 4, "review": "Tense."}).json()


def test_the_owner_can_read_change_and_delete_a_rating(client, movie, rating):
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


def test_put_without_a_score_is_rejected(client, rating):
    response = client.put(f"/ratings/{rating['id']}/", {"review": "x"})

    assert response.status_code == 400
    assert response.json()["errors"]["score"][0]["code"] == "required"


@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_rating_cannot_move_to_another_movie(client, rating, make_movie, method):
    other = make_movie("Aliens")

    response = getattr(client, method)(f"/ratings/{rating['id']}/", {"movie": other.id, "score": 3})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"movie"}
    assert client.get(f"/ratings/{rating['id']}/").json() == rating


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_another_member_gets_404_for_a_rating(make_user, client_of, rating, method):
    stranger = client_of(make_user("bob"))

    response = getattr(stranger, method)(
        f"/ratings/{rating['id']}/", {"score": 1} if method != "get" else None
    )

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
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
def test_anonymous_callers_get_401(api, db, method, path):
    response = getattr(api, method)(path)

    assert response.status_code == 401
    assert "Bearer" in response["WWW-Authenticate"]
    assert response.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("pk", ["0", "005", "1_0", "-1", "9223372036854775808", "x"])
def test_a_malformed_rating_id_returns_404(client, pk):
    response = client.get(f"/ratings/{pk}/")

    assert response.status_code == 404
    assert response.json()["status"] == 404


# --- The list ------------------------------------------------------------------------------------


@pytest.fixture
def rated(client, make_movie):
    movies = [make_movie(f"Movie {number}") for number in range(4)]
    for movie, score in zip(movies, (3, 5, 1.5, 3), strict=True):
        client.post("/ratings/", {"movie": movie.id, "score": score})
    return movies


def read_titles(response):
    assert response.status_code == 200, response.json()
    return [result["movie"]["title"] for result in response.json()["results"]]


def test_the_list_has_the_callers_ratings_newest_first(client, rated, make_user, client_of):
    client_of(make_user("bob")).post("/ratings/", {"movie": rated[0].id, "score": 2})

    response = client.get("/ratings/")

    assert read_titles(response) == ["Movie 3", "Movie 2", "Movie 1", "Movie 0"]
    assert response.json()["count"] == 4
    assert set(response.json()["results"][0]) == RATING_FIELDS


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
def test_filters_and_orderings_select_the_expected_rows(client, rated, query, expected):
    assert read_titles(client.get(f"/ratings/?{query}")) == [
        f"Movie {number}" for number in expected
    ]


def test_the_movie_filter_returns_one_rating(client, rated):
    assert read_titles(client.get(f"/ratings/?movie={rated[1].id}")) == ["Movie 1"]
    assert read_titles(client.get("/ratings/?movie=987654321")) == []


@pytest.mark.parametrize("ordering", ["created_at", "-created_at", "score", "-score"])
def test_cursors_read_every_row_once(client, rated, ordering):
    url, collected = f"/ratings/?page_size=1&cursor=&ordering={ordering}", []

    while url:
        response = client.get(url)
        collected += read_titles(response)
        url = response.json()["next"]

    assert collected == read_titles(client.get(f"/ratings/?ordering={ordering}"))


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
def test_an_invalid_parameter_is_rejected_by_name(client, db, query):
    response = client.get(f"/ratings/?{query}")

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {query.split("=")[0]}


def test_the_list_of_ratings_takes_three_queries(client, rated, django_assert_num_queries):
    with django_assert_num_queries(3):  # the session, the count, the page with its movies
        client.get("/ratings/")


# --- Concurrency -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_twenty_concurrent_identical_ratings_create_one(client, movie):
    payload = {"movie": movie.id, "score": 4.5}

    responses = run_concurrently(*[lambda: client.post("/ratings/", payload)] * 20)

    assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
    assert len({response.json()["id"] for response in responses}) == 1
    assert Rating.objects.get().score == 4.5

    assert_rating_counters_match()


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_of_ratings_keep_the_movie_counters(make_user, client_of, movie):
    clients = [client_of(make_user(f"member{number}")) for number in range(3)]
    first = clients[0].post("/ratings/", {"movie": movie.id, "score": 2}).json()

    def rate(client: APIClient, score):
        return lambda: client.post("/ratings/", {"movie": movie.id, "score": score})

    responses = run_concurrently(
        *(rate(client, score) for client in clients for score in (1, 2.5, 3, 4.5, 5)),
        lambda: clients[0].patch(f"/ratings/{first['id']}/", {"score": 3.5}),
        lambda: clients[0].delete(f"/ratings/{first['id']}/"),
        lambda: clients[0].delete(f"/ratings/{first['id']}/"),
    )

    assert {response.status_code for response in responses} <= {200, 201, 204, 404}
    assert Movie.objects.get().rating_count >= 2

    assert_rating_counters_match()
