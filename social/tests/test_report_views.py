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


def test_a_review_is_reported_once_and_the_first_report_stands(client, review):
    answer = client.post(review, {"reason": "abuse", "comment": "Of me."})
    assert answer.status_code == 201
    assert set(answer.json()) == {"rating", "reason", "comment", "created_at"}
    again = client.post(review, {"reason": "spam"})
    assert (again.status_code, again.json()) == (200, answer.json())
    assert ReviewReport.objects.count() == 1


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({}, "reason"),
        ({"reason": "dull"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "spam", "comment": 5}, "comment"),
        ({"reason": "spam", "comment": "x" * 1001}, "comment"),
    ],
)
def test_a_malformed_report_is_400_and_named(client, review, sent, wrong):
    answer = client.post(review, sent)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {wrong}


def test_a_rating_without_words_and_ones_own_review_are_not_reported(
    client, make_user, make_movie, client_of
):
    film, cid = make_movie("Brazil"), make_user("cid")
    wordless = rating_set(user_id=cid.pk, movie_id=film.pk, score=1)[0].pk
    assert client.post(f"/ratings/{wordless}/report/", {"reason": "spam"}).status_code == 404
    assert client.post("/ratings/404404/report/", {"reason": "spam"}).status_code == 404
    own = client.post("/ratings/", {"movie": film.pk, "score": 1, "review": "Words."}).json()["id"]
    answer = client.post(f"/ratings/{own}/report/", {"reason": "spam"})
    assert (answer.status_code, answer.json()["code"]) == (403, "own_review")
    assert not ReviewReport.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_twenty_reports_at_once_are_one(client, review):
    answers = run_concurrently(*[lambda: client.post(review, {"reason": "spam"})] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert ReviewReport.objects.count() == 1
