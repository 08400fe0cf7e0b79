from datetime import UTC, datetime

import pytest
from django.db import transaction
from django.db.utils import IntegrityError
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from movies.models import Movie
from nexus.core.api.exceptions import NotFound
from social.models import Rating
from social.services.figures import ratings_recount
from social.services.playlists import playlist_create, playlist_items_add
from social.services.ratings import rating_delete, rating_set, rating_update
from social.tests.helpers import assert_rating_counters_match

COUNTERS = ("rating_count", "rating_sum", "trend_day", "trend_week")


@pytest.fixture
def rated(make_user, make_movie):
    """Two movies with ratings that the services wrote, and one without."""
    alien, fargo, blank = make_movie("Alien"), make_movie("Fargo"), make_movie("Unknown")
    for number in range(3):
        user = make_user(f"member{number}")
        rating_set(user_id=user.id, movie_id=alien.id, score=3.5)
        rating_set(user_id=user.id, movie_id=alien.id, score=5)
    rating_set(user_id=user.id, movie_id=fargo.id, score=1.5)
    return alien, fargo, blank


def read_counters():
    return {row[0]: row[1:] for row in Movie.objects.values_list("id", *COUNTERS)}


def corrupt_counters():
    Movie.objects.update(rating_count=9, rating_sum=27, trend_day=1, trend_week=2)


def test_a_recount_agrees_with_the_counters_of_the_services(rated):
    expected = read_counters()

    corrupt_counters()

    assert ratings_recount() == 3

    for movie_id, (count, total, day, week) in read_counters().items():
        assert (count, total) == expected[movie_id][:2]
        if count:
            assert (day, week) == pytest.approx(expected[movie_id][2:], abs=1e-3)
        else:
            assert (day, week) == (None, None)

    assert_rating_counters_match()


def test_a_recount_corrects_only_wrong_counters_of_the_given_movies(rated):
    alien, fargo, _ = rated

    corrupt_counters()

    assert ratings_recount(movie_ids=[alien.id]) == 1
    assert read_counters()[alien.id][:2] == (3, 15.0)
    assert read_counters()[fargo.id] == (9, 27.0, 1.0, 2.0)
    assert ratings_recount(movie_ids=[]) == 0
    assert ratings_recount() == 2
    assert ratings_recount() == 0


def test_a_recount_handles_ratings_decades_apart(make_user, make_movie):
    movie = make_movie("Alien")

    for number, year in enumerate((1970, 1996, 2100)):
        when = datetime(year, 1, 1, tzinfo=UTC)
        user = make_user(f"member{number}")
        Rating.objects.create(user=user, movie=movie, score=4, created_at=when, updated_at=when)

    assert ratings_recount() == 1

    _, _, day, week = read_counters()[movie.id]

    # Only the newest counts: 2100-01-01 is 29,220 days after the epoch of the trend.
    assert (day, week) == pytest.approx((29_220, 29_220 / 7))


def test_a_rating_with_the_same_score_does_not_change_the_counters(rated, make_user):
    alien, *_ = rated
    rating = Rating.objects.filter(movie=alien).first()
    before = read_counters()
    rating_set(user_id=rating.user_id, movie_id=alien.id, score=rating.score, review="Tense.")

    rating_update(rating_id=rating.id, contains_spoilers=True)

    assert read_counters() == before
    rating.refresh_from_db()
    assert (rating.review, rating.contains_spoilers) == ("Tense.", True)


def test_writes_to_missing_rows_raise(make_user, make_movie):
    with pytest.raises(NotFound):
        rating_update(rating_id=1, score=3)
    with pytest.raises(NotFound):
        rating_delete(rating_id=1)

    movie, user = make_movie("Alien"), make_user("ann")
    user_id = user.id
    playlist = playlist_create(owner=user, name="Nights")
    user.delete()

    with pytest.raises(NotFound):
        playlist_items_add(playlist_id=playlist.id, movie_ids=[movie.id])
    with pytest.raises(AuthenticationFailed):
        rating_set(user_id=user_id, movie_id=movie.id, score=3)

    user.id = user_id

    with pytest.raises(AuthenticationFailed):
        playlist_create(owner=user, name="Nights")


@pytest.mark.parametrize("score", [0.5, 5.5, 3.3, float("nan"), float("inf")])
def test_the_database_rejects_scores_that_are_not_half_steps(make_user, make_movie, score):
    now = timezone.now()
    rating = Rating(
        user=make_user("ann"),
        movie=make_movie("Alien"),
        score=score,
        created_at=now,
        updated_at=now,
    )

    with pytest.raises(IntegrityError, match="rating_score_half_stars"), transaction.atomic():
        rating.save()
