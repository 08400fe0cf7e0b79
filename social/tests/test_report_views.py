import pytest

from social.models import ReviewReport
from social.services.ratings import rating_set
from social.tests.helpers import run_concurrently


@pytest.fixture
def review(make_user, make_movie):
    rating = rating_set(
        user_id=make_user("bob").pk, movie_id=make_movie("Alien").pk, score=1, review="Rude."
    )[0]
    return f"/ratings/{rating.pk}/report/"


@pytest.fixture
def client(make_user, client_of):
    return client_of(make_user("ann"))


def test_a_second_report_of_a_review_returns_the_first(client, review):
    response = client.post(review, {"reason": "abuse", "comment": "Of me."})

    assert response.status_code == 201
    assert set(response.json()) == {"rating", "reason", "comment", "created_at"}

    again = client.post(review, {"reason": "spam"})

    assert (again.status_code, again.json()) == (200, response.json())
    assert ReviewReport.objects.count() == 1


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        ({}, "reason"),
        ({"reason": "dull"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "spam", "comment": 5}, "comment"),
        ({"reason": "spam", "comment": "x" * 1001}, "comment"),
    ],
)
def test_an_invalid_report_is_rejected_by_field(client, review, payload, wrong):
    response = client.post(review, payload)

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {wrong}


def test_ratings_without_review_and_own_reviews_cannot_be_reported(
    client, make_user, make_movie, client_of
):
    movie, cid = make_movie("Brazil"), make_user("cid")

    wordless = rating_set(user_id=cid.pk, movie_id=movie.pk, score=1)[0].pk

    assert client.post(f"/ratings/{wordless}/report/", {"reason": "spam"}).status_code == 404
    assert client.post("/ratings/404404/report/", {"reason": "spam"}).status_code == 404

    own = client.post("/ratings/", {"movie": movie.pk, "score": 1, "review": "Words."}).json()["id"]

    response = client.post(f"/ratings/{own}/report/", {"reason": "spam"})

    assert (response.status_code, response.json()["code"]) == (403, "own_review")
    assert not ReviewReport.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_concurrent_reports_create_one(client, review):
    responses = run_concurrently(*[lambda: client.post(review, {"reason": "spam"})] * 20)

    assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
    assert ReviewReport.objects.count() == 1
