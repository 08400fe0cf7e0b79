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
        sent = {"movie": movie.id, "score": 4.5, "review": text, "contains_spoilers": spoilers}
        assert client_of(user).post("/ratings/", sent).status_code == 201
        return user

    return make


def authors(api, movie, query=""):
    answer = api.get(f"/movies/{movie.id}/reviews/{query}")
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert answer.json()["count"] == len(results)
    return [each["user"] for each in results]


def test_reviews_are_public_and_newest_first(api, movie, review):
    review("ann")
    review("bob", "The cat lives.", spoilers=True)
    assert authors(api, movie) == ["bob", "ann"]
    answer = api.get(f"/movies/{movie.id}/reviews/")
    newest = answer.json()["results"][0]
    assert set(newest) == REVIEW_FIELDS
    assert (newest["score"], newest["review"]) == (4.5, "The cat lives.")
    assert newest["contains_spoilers"] is True
    assert answer["Cache-Control"] == "private, no-store"


def test_only_words_of_active_members_with_public_profiles_show(api, movie, review):
    review("ann")
    review("silent", "")
    review("private", visibility="private")
    gone = review("gone")
    gone.is_active = False
    gone.save()
    assert authors(api, movie) == ["ann"]


def test_spoilers_can_be_hidden(api, movie, review):
    review("ann")
    review("bob", "The cat lives.", spoilers=True)
    assert authors(api, movie, "?hide_spoilers=true") == ["ann"]
    assert authors(api, movie, "?hide_spoilers=false") == ["bob", "ann"]


def test_cursors_read_all_reviews(api, movie, review):
    for username in ("ann", "bob", "cid"):
        review(username)
    url, seen = f"/movies/{movie.id}/reviews/?cursor=&page_size=1", []
    while url:
        answer = api.get(url).json()
        seen += [each["user"] for each in answer["results"]]
        url = answer["next"]
    assert seen == ["cid", "bob", "ann"]


@pytest.mark.parametrize("query", ["hide_spoilers=maybe", "hide_spoilers=", "page=0", "user=ann"])
def test_a_malformed_parameter_is_400_and_named(api, movie, query):
    answer = api.get(f"/movies/{movie.id}/reviews/?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.split("=")[0]}


@pytest.mark.parametrize(
    "movie_id", ["987654321", "9223372036854775807", "9223372036854775808", "007"]
)
def test_an_unknown_film_is_404(api, db, movie_id):
    answer = api.get(f"/movies/{movie_id}/reviews/")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_page_takes_three_queries(api, movie, review, django_assert_num_queries):
    for username in ("ann", "bob", "cid"):
        review(username)
    with django_assert_num_queries(3):  # the film, the count, the page with its authors
        api.get(f"/movies/{movie.id}/reviews/")
