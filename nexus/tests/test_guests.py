"""What guests may do, what counts of it, and what is left of them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services import guest_create
from nexus.dev.pytest_plugin import PASSWORD
from recommendations.training.store import ratings_read
from social.models import Rating
from social.services.account_deletion import guests_delete_expired
from social.services.figures import figures_reconcile
from social.tasks import GUESTS_PER_JOB, delete_expired_guests

pytestmark = pytest.mark.django_db

ACCOUNT = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}


@pytest.fixture
def guest():
    return guest_create()


def expire(*users):
    joined = timezone.now() - timedelta(days=7)
    User.objects.filter(pk__in=[user.pk for user in users]).update(date_joined=joined)


def count_trained_ratings():
    return len(ratings_read(since=None, progress=lambda *_: None).ratings)


def test_guest_rates_keeps_a_watchlist_and_gets_recommendations(guest, client_of, make_movie):
    client = client_of(guest)
    movies = [make_movie(f"Movie {number}", vote_count=1000) for number in range(8)]

    for movie in movies[:6]:
        assert client.post("/ratings/", {"movie": movie.pk, "score": 4}).status_code == 201
    assert client.post("/watchlist/", {"movie": movies[6].pk}).status_code == 201

    assert client.get("/movies/recommendations/").status_code == 200
    assert client.get(f"/movies/{movies[7].pk}/match_score/").status_code == 200
    assert client.get("/profiles/stats/").json()["total_ratings"] == 6


def test_guest_writes_no_review(guest, client_of, make_movie):
    client, movie = client_of(guest), make_movie()
    review = {"movie": movie.pk, "score": 4, "review": "Quiet terror."}

    refused = [client.post("/ratings/", review)]
    assert not Rating.objects.exists()
    rating = client.post("/ratings/", {"movie": movie.pk, "score": 4, "review": ""}).json()["id"]
    refused.append(client.post("/ratings/", review))
    refused.append(client.put(f"/ratings/{rating}/", {"score": 1, "review": "Dull."}))
    refused.append(client.patch(f"/ratings/{rating}/", {"review": "Dull."}))

    assert [response.status_code for response in refused] == [403] * 4
    assert {response.json()["code"] for response in refused} == {"guest_not_allowed"}
    assert Rating.objects.values_list("score", "review").get() == (4, "")


def test_guest_stays_private(guest, client_of, api):
    response = client_of(guest).patch("/profiles/me/", {"visibility": "public"})

    assert response.status_code == 403
    assert response.json()["code"] == "guest_not_allowed"
    assert client_of(guest).patch("/profiles/me/", {"bio": "Hm."}).status_code == 200
    assert api.get(f"/profiles/{guest.username}/").status_code == 404


def test_ratings_of_a_guest_count_nowhere_until_it_registers(
    guest, client_of, make_movie, run_jobs
):
    client, movie = client_of(guest), make_movie()
    client.post("/ratings/", {"movie": movie.pk, "score": 4})

    movie.refresh_from_db()
    assert (movie.rating_count, movie.trend_day, movie.trend_week) == (0, None, None)
    assert count_trained_ratings() == 0
    check = figures_reconcile()
    assert (check.movies, check.ratings) == (0, 0)

    assert client.post("/auth/guest/register/", ACCOUNT).status_code == 200
    assert run_jobs() == []

    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_sum) == (1, 4)
    assert movie.trend_day is not None
    assert count_trained_ratings() == 1
    check = figures_reconcile()
    assert (check.movies, check.ratings) == (0, 0)


def test_expired_guests_are_deleted_with_what_they_own(guest, client_of, make_movie, make_user):
    client_of(guest).post("/ratings/", {"movie": make_movie().pk, "score": 4})
    newer, member = guest_create(), make_user("ann")
    expire(guest, member)

    assert guests_delete_expired(limit=10) == 1

    assert set(User.objects.all()) == {newer, member}
    assert not Rating.objects.exists()


def test_the_task_deletes_many_guests_in_several_jobs(run_jobs):
    guests = [guest_create() for _ in range(GUESTS_PER_JOB + 1)]
    expire(*guests)

    delete_expired_guests.defer(timestamp=0)

    assert run_jobs() == []
    assert not User.objects.exists()
