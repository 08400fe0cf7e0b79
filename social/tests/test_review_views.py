import pytest

REVIEW_FIELDS = {
    "id",
    "user",
    "score",
    "review",
    "contains_spoilers",
    "created_at",
    "updated_at",
}


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien")


@pytest.fixture
def review(make_user, client_of, movie):
    def make(username, text="Tense.", spoilers=False, **fields):
        user = make_user(username, **fields)
        payload = {"movie": movie.id, "score": 4.5, "review": text, "contains_spoilers": spoilers}
        assert client_of(user).post("/ratings/", payload).status_code == 201
        return user

    return make


def read_authors(api, movie, query=""):
    response = api.get(f"/movies/{movie.id}/reviews/{query}")
    assert response.status_code == 200
    results = response.json()["results"]
    assert response.json()["count"] == len(results)
    return [result["user"] for result in results]


def test_reviews_are_public_and_newest_first(api, movie, review):
    review("ann")

    review("bob", "The cat lives.", spoilers=True)

    assert read_authors(api, movie) == ["bob", "ann"]

    response = api.get(f"/movies/{movie.id}/reviews/")

    newest = response.json()["results"][0]

    assert set(newest) == REVIEW_FIELDS
    assert (newest["score"], newest["review"]) == (4.5, "The cat lives.")
    assert newest["contains_spoilers"] is True
    assert response["Cache-Control"] == "private, no-store"


def test_only_reviews_of_active_members_with_public_profiles_are_listed(api, movie, review):
    review("ann")
    review("silent", "")
    review("private", visibility="private")
    gone = review("gone")
    gone.is_active = False

    gone.save()

    assert read_authors(api, movie) == ["ann"]


def test_hide_spoilers_leaves_out_reviews_with_spoilers(api, movie, review):
    review("ann")

    review("bob", "The cat lives.", spoilers=True)

    assert read_authors(api, movie, "?hide_spoilers=true") == ["ann"]
    assert read_authors(api, movie, "?hide_spoilers=false") == ["bob", "ann"]


def test_cursors_read_every_review_once(api, movie, review):
    for username in ("ann", "bob", "cid"):
        review(username)
    url, collected = f"/movies/{movie.id}/reviews/?cursor=&page_size=1", []

    while url:
        response = api.get(url).json()
        collected += [result["user"] for result in response["results"]]
        url = response["next"]

    assert collected == ["cid", "bob", "ann"]


@pytest.mark.parametrize("query", ["hide_spoilers=maybe", "hide_spoilers=", "page=0", "user=ann"])
def test_an_invalid_parameter_is_rejected_by_name(api, movie, query):
    response = api.get(f"/movies/{movie.id}/reviews/?{query}")

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {query.split("=")[0]}


@pytest.mark.parametrize(
    "movie_id", ["987654321", "9223372036854775807", "9223372036854775808", "007"]
)
def test_an_unknown_movie_returns_404(api, db, movie_id):
    response = api.get(f"/movies/{movie_id}/reviews/")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_a_page_takes_three_queries(api, movie, review, django_assert_num_queries):
    for username in ("ann", "bob", "cid"):
        review(username)

    with django_assert_num_queries(3):  # the movie, the count, the page with its authors
        api.get(f"/movies/{movie.id}/reviews/")
