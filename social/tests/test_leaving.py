import pytest

from accounts.models import TokenFamily, User
from movies.models import Movie
from nexus.testing import PASSWORD
from social.models import Playlist, Rating
from social.services import rating_set

pytestmark = pytest.mark.django_db


def test_leaving_takes_all_a_member_owns_and_their_ratings_out_of_the_counts(
    make_user, make_movie, client_of
):
    ann, bob = make_user("ann"), make_user("bob")
    movies = [make_movie("Alien"), make_movie("Up")]
    for movie in movies:
        rating_set(user_id=ann.pk, movie_id=movie.pk, score=5.0)
    rating_set(user_id=bob.pk, movie_id=movies[0].pk, score=2.0)
    api = client_of(ann)
    api.post("/playlists/", {"name": "Mine", "movie_ids": [movies[0].pk]})

    answer = api.delete("/profiles/me/", {"password": PASSWORD})

    assert answer.status_code == 204
    assert not User.objects.filter(username="ann").exists()
    assert list(Rating.objects.values_list("user__username", flat=True)) == ["bob"]
    assert not Playlist.objects.exists()
    assert not TokenFamily.objects.exists()
    counts = Movie.objects.order_by("id").values_list("rating_count", "rating_sum", "average_score")
    assert list(counts) == [(1, 2.0, 2.0), (0, 0.0, None)]
    assert api.get("/profiles/me/").status_code == 401


@pytest.mark.parametrize("body", [{}, {"password": ""}, {"password": "wrong"}, {"password": None}])
def test_leaving_without_the_password_changes_nothing(make_user, client_of, body):
    answer = client_of(make_user("ann")).delete("/profiles/me/", body)
    assert answer.status_code == 400
    assert "password" in answer.json()["errors"]
    assert User.objects.count() == 1


def test_guessing_the_password_of_an_open_session_is_bounded(make_user, client_of):
    api = client_of(make_user("ann"))
    statuses = [
        api.delete("/profiles/me/", {"password": f"guess {n}"}).status_code for n in range(12)
    ]
    assert statuses == [400] * 10 + [429] * 2
