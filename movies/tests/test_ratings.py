import math
import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from movies.models import Movie
from movies.services.ratings import (
    TREND_HALF_LIFE_DAYS,
    RatingChange,
    compute_log_weight,
    movie_apply_rating,
    movies_apply_ratings,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def set_now(monkeypatch):
    def set_now(now):
        monkeypatch.setattr(timezone, "now", lambda: now)

    return set_now


def rate(movie, old_score, new_score):
    movies_apply_ratings(changes=[RatingChange(movie.id, old_score, new_score)])
    movie.refresh_from_db()


def test_ratings_that_are_set_changed_and_withdrawn_update_count_sum_and_mean(make_movie):
    movie = make_movie()

    for old_score, new_score, figures in (
        (None, 4.0, (1, 4.0, 4.0)),
        (None, 2.5, (2, 6.5, 3.25)),
        (4.0, 5.0, (2, 7.5, 3.75)),
        (2.5, None, (1, 5.0, 5.0)),
        (5.0, None, (0, 0.0, None)),
    ):
        rate(movie, old_score, new_score)
        assert (movie.rating_count, movie.rating_sum, movie.average_score) == figures


def test_one_rating_takes_one_query(make_movie, django_assert_num_queries):
    movie = make_movie()

    with django_assert_num_queries(1):
        movie_apply_rating(movie_id=movie.id, old_score=None, new_score=4.0)


def test_stars_count_double_in_the_weighted_rating(make_movie):
    movie = make_movie(vote_average=8.0, vote_count=10)

    for score in (5.0, 4.0):
        rate(movie, None, score)

    # By hand: (10 * 8.0 + 2 * 9 + 25 * 6.5) / (10 + 2 + 25)
    assert movie.weighted_rating == pytest.approx(260.5 / 37)


def test_a_changed_score_does_not_move_the_trend(make_movie):
    movie = make_movie()
    rate(movie, None, 4.0)
    trends = (movie.trend_day, movie.trend_week)

    movie_apply_rating(movie_id=movie.id, old_score=4.0, new_score=1.0)
    rate(movie, 1.0, 2.0)

    assert (movie.rating_sum, movie.trend_day, movie.trend_week) == (2.0, *trends)


def test_withdrawing_a_rating_takes_its_weight_off_the_trend(make_movie):
    movie, now = make_movie(), timezone.now()
    days = [now - timedelta(days=age) for age in (0, 1, 1, 5)]
    movies_apply_ratings(changes=[RatingChange(movie.id, None, 3.0, day) for day in days])

    imprecise = movies_apply_ratings(changes=[RatingChange(movie.id, 3.0, None, days[1])])

    movie.refresh_from_db()
    weight = 1 + 2.0**-1 + 2.0**-5
    assert imprecise == []
    assert movie.trend_day - compute_log_weight(1.0, now) == pytest.approx(math.log2(weight))


def test_a_movie_whose_last_rating_is_withdrawn_has_no_trend(make_movie):
    movie = make_movie()
    rate(movie, None, 4.0)

    imprecise = movies_apply_ratings(changes=[RatingChange(movie.id, 4.0, None)])

    movie.refresh_from_db()
    assert (imprecise, movie.trend_day, movie.trend_week) == ([], None, None)


def test_a_withdrawn_rating_that_was_most_of_the_trend_needs_a_recount(make_movie):
    movie, now = make_movie(), timezone.now()
    years_ago = now - timedelta(days=2000)
    for day in (years_ago, now):
        movies_apply_ratings(changes=[RatingChange(movie.id, None, 3.0, day)])

    imprecise = movies_apply_ratings(changes=[RatingChange(movie.id, 3.0, None, now)])

    assert imprecise == [movie.id]


def test_trend_is_the_exponential_decay_of_the_ratings(make_movie, set_now):
    """Against a sum in plain Python, over ratings of random ages in random order of movies."""
    chance = random.Random(20260728)
    now = datetime(2026, 7, 28, 12, tzinfo=UTC)
    movies = [make_movie(f"Movie {number}") for number in range(12)]
    ratings = []
    for movie in movies:
        # From hours to years ago, so that some weights are beyond the range of a float.
        spread_days = chance.choice([0.5, 5, 60, 2000])
        for _ in range(chance.randrange(1, 9)):
            age = timedelta(days=chance.random() * spread_days)
            ratings.append((now - age, movie.id))

    for rated_at, movie_id in sorted(ratings):
        set_now(rated_at)
        movie_apply_rating(movie_id=movie_id, old_score=None, new_score=3.0)

    for column, half_life_days in TREND_HALF_LIFE_DAYS.items():
        expected = {}
        for movie in movies:
            ages = [
                (now - rated_at).total_seconds() / 86_400 / half_life_days
                for rated_at, movie_id in ratings
                if movie_id == movie.id
            ]
            # log2 of the sum of 2^-age, with the largest term taken out.
            youngest = min(ages)
            expected[movie.id] = math.log2(math.fsum(2.0 ** (youngest - age) for age in ages))
            expected[movie.id] -= youngest
        trends = dict(Movie.objects.values_list("id", column))
        weight_now = compute_log_weight(half_life_days, now)
        for movie_id, trend in expected.items():
            assert trends[movie_id] - weight_now == pytest.approx(trend, abs=1e-6)
        ordered = Movie.objects.order_by(f"-{column}").values_list("id", flat=True)
        assert list(ordered) == sorted(expected, key=expected.get, reverse=True)


def test_ratings_centuries_apart_do_not_overflow_the_trend(make_movie, set_now):
    movie = make_movie()

    for year in (2020, 2999, 2021):
        set_now(datetime(year, 1, 1, tzinfo=UTC))
        rate(movie, None, 3.0)

    assert movie.trend_day == pytest.approx(
        compute_log_weight(1.0, datetime(2999, 1, 1, tzinfo=UTC))
    )


@pytest.mark.django_db(transaction=True)
def test_concurrent_ratings_are_all_counted(make_movie):
    movie = make_movie()

    def rate_five_times():
        try:
            for _ in range(5):
                movie_apply_rating(movie_id=movie.id, old_score=None, new_score=3.0)
        finally:
            connection.close()

    threads = [threading.Thread(target=rate_five_times) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_sum) == (40, 120.0)
    trend = movie.trend_week - compute_log_weight(7.0)
    assert trend == pytest.approx(math.log2(40), abs=0.01)


def test_many_changes_at_once_count_as_one_after_the_other(django_assert_num_queries):
    unrated, rated, withdrawn, reference = (
        Movie.objects.create(title=title, trend_day=trend, trend_week=trend)
        for title, trend in (("A", None), ("B", 2400.0), ("C", 2000.0), ("D", 2400.0))
    )
    rate(reference, None, 4.5)
    for movie in (rated, withdrawn):
        rate(movie, None, 2)
    Movie.objects.filter(pk=rated.pk).update(trend_day=2400.0, trend_week=2400.0)

    with django_assert_num_queries(2):
        movies_apply_ratings(
            changes=[
                RatingChange(unrated.pk, None, 5),
                RatingChange(rated.pk, None, 4.5),
                RatingChange(rated.pk, 2, 3),
                RatingChange(withdrawn.pk, 2, None),
                RatingChange(unrated.pk, 5, 1, timezone.now()),
            ]
        )

    figures = Movie.objects.order_by("title").values_list("rating_count", "rating_sum")
    assert list(figures) == [(1, 1), (2, 7.5), (0, 0), (1, 4.5)]
    for movie in (unrated, rated, reference):
        movie.refresh_from_db()
    assert rated.trend_day == pytest.approx(reference.trend_day, abs=1e-4)
    assert rated.trend_week == pytest.approx(reference.trend_week, abs=1e-4)
    assert unrated.trend_day is not None


def test_several_new_ratings_of_one_movie_at_once_all_move_the_trend(make_movie):
    at_once, one_by_one = make_movie("A"), make_movie("B")
    now = timezone.now()
    years_ago = now - timedelta(days=2000)

    movies_apply_ratings(
        changes=[RatingChange(at_once.pk, None, 3, day) for day in (now, now, years_ago)]
    )
    for day in (now, now, years_ago):
        movies_apply_ratings(changes=[RatingChange(one_by_one.pk, None, 3, day)])

    at_once.refresh_from_db()
    one_by_one.refresh_from_db()
    assert at_once.trend_day == pytest.approx(one_by_one.trend_day)
    assert at_once.trend_week == pytest.approx(one_by_one.trend_week)


def test_no_changes_take_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        movies_apply_ratings(changes=[])
