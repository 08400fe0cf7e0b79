from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from movies.models import Movie
from social.models import Rating
from social.selectors.stats import MIN_OTHERS
from social.services.ratings import rating_set

EMPTY = {
    "year": None,
    "total_ratings": 0,
    "average_rating": 0.0,
    "rating_histogram": {
        **{"1.0": 0, "1.5": 0, "2.0": 0, "2.5": 0, "3.0": 0, "3.5": 0, "4.0": 0, "4.5": 0, "5.0": 0}
    },
    "watched_count": 0,
    "viewing_count": 0,
    "watch_time_minutes": 0,
    "watch_time_hours": 0.0,
    "top_genres": [],
    "loved_genres": [],
    "top_directors": [],
    "decades": [],
    "months": [],
    "streak": {"current_days": 0, "longest_days": 0},
    "compared_with_others": {"films": 0, "own_average": None, "others_average": None},
    "highest_rated": [],
    "lowest_rated": [],
}


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


def make_rating(user, movie, score, when):
    return Rating.objects.create(
        user=user, movie=movie, score=score, created_at=when, updated_at=when
    )


def test_a_new_member_has_statistics_of_zero(client):
    response = client.get("/profiles/stats/")

    assert response.status_code == 200
    assert response.json() == EMPTY
    assert response["Cache-Control"] == "private, no-store"


def test_statistics_match_a_calculation_by_hand(client, ann, make_user, make_movie):
    bob = make_user("bob")
    alien = make_movie(
        "Alien", genres=["Horror", "Science Fiction"], directors=["Scott"], runtime=117,
        release_year=1979,
    )  # fmt: skip
    runner = make_movie(
        "Blade Runner", genres=["Science Fiction", "Drama"], directors=["Scott"], runtime=118,
        release_year=1982,
    )  # fmt: skip
    fargo = make_movie(
        "Fargo", genres=["Crime", "Drama"], directors=["J. Coen", "E. Coen"], runtime=98,
        release_year=1996, cast=["Scott"],
    )  # fmt: skip
    blank = make_movie("Unknown")
    # One second before midnight in UTC: the month is March.
    make_rating(ann, alien, 5, datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC))
    make_rating(ann, runner, 4, datetime(2026, 3, 1, tzinfo=UTC))
    make_rating(ann, fargo, 3.5, datetime(2026, 5, 1, tzinfo=UTC))
    make_rating(ann, blank, 1, datetime(2026, 5, 2, tzinfo=UTC))
    for movie in (alien, runner, fargo):
        make_rating(bob, movie, 1, datetime(2026, 1, 1, tzinfo=UTC))

    stats = client.get("/profiles/stats/").json()

    highest, lowest = stats.pop("highest_rated"), stats.pop("lowest_rated")

    assert [(result["movie"]["title"], result["score"]) for result in highest] == [
        ("Alien", 5.0),
        ("Blade Runner", 4.0),
        ("Fargo", 3.5),
        ("Unknown", 1.0),
    ]
    assert [result["movie"]["title"] for result in lowest] == [
        result["movie"]["title"] for result in reversed(highest)
    ]
    assert stats == {
        "year": None,
        "total_ratings": 4,
        "average_rating": 3.38,  # 13.5 / 4 = 3.375
        "rating_histogram": {**EMPTY["rating_histogram"], "1.0": 1, "3.5": 1, "4.0": 1, "5.0": 1},
        "watched_count": 4,
        "viewing_count": 4,
        "watch_time_minutes": 333,
        "watch_time_hours": 5.5,  # 5.55, whose nearest double lies below it
        "top_genres": [
            {"genre": "Science Fiction", "count": 2, "average_score": 4.5},
            {"genre": "Drama", "count": 2, "average_score": 3.75},
            {"genre": "Horror", "count": 1, "average_score": 5.0},
            {"genre": "Crime", "count": 1, "average_score": 3.5},
        ],
        "loved_genres": [  # (the genre's total + 5 * 3.375) / (its count + 5)
            {"genre": "Science Fiction", "count": 2, "average_score": 4.5, "shrunk_score": 3.7},
            {"genre": "Horror", "count": 1, "average_score": 5.0, "shrunk_score": 3.65},
            {"genre": "Drama", "count": 2, "average_score": 3.75, "shrunk_score": 3.48},
            {"genre": "Crime", "count": 1, "average_score": 3.5, "shrunk_score": 3.4},
        ],
        "top_directors": [
            {"name": "Scott", "count": 2, "average_score": 4.5},
            {"name": "E. Coen", "count": 1, "average_score": 3.5},
            {"name": "J. Coen", "count": 1, "average_score": 3.5},
        ],
        "decades": [
            {"decade": 1970, "count": 1, "average_score": 5.0},
            {"decade": 1980, "count": 1, "average_score": 4.0},
            {"decade": 1990, "count": 1, "average_score": 3.5},
        ],
        "months": [{"month": "2026-03", "count": 2}, {"month": "2026-05", "count": 2}],
        "streak": {"current_days": 0, "longest_days": 2},
        "compared_with_others": EMPTY["compared_with_others"],
    }


def test_long_lists_are_cut_to_their_maximum(client, ann, make_movie):
    for number in range(14):
        movie = make_movie(f"Movie {number}", directors=[f"Director {number:02}"])
        make_rating(ann, movie, 3, datetime(2025 + number // 12, number % 12 + 1, 15, tzinfo=UTC))

    stats = client.get("/profiles/stats/").json()

    assert [entry["month"] for entry in stats["months"]] == [
        *(f"2025-{month:02}" for month in range(3, 13)),
        "2026-01",
        "2026-02",
    ]
    assert [result["name"] for result in stats["top_directors"]] == [
        f"Director {number:02}" for number in range(10)
    ]

    # Of equal scores the newest come first.
    newest = [f"Movie {number}" for number in (13, 12, 11, 10, 9)]

    assert [result["movie"]["title"] for result in stats["highest_rated"]] == newest
    assert [result["movie"]["title"] for result in stats["lowest_rated"]] == newest


def test_statistics_of_a_year_use_utc(client, ann, make_movie):
    moments = ["2025-12-31T23:59:59.999+00:00", "2026-01-01T00:00:00+00:00"]
    moments += ["2026-12-31T23:59:59.999+00:00", "2027-01-01T00:00:00+00:00"]
    for score, moment in enumerate(moments, 1):
        movie = make_movie(f"Movie {score}", genres=["Drama"], runtime=60)
        make_rating(ann, movie, score, datetime.fromisoformat(moment))

    stats = client.get("/profiles/stats/?year=2026").json()

    assert (stats["year"], stats["total_ratings"], stats["average_rating"]) == (2026, 2, 2.5)
    assert stats["watch_time_minutes"] == 120
    assert stats["top_genres"] == [{"genre": "Drama", "count": 2, "average_score": 2.5}]
    assert [entry["month"] for entry in stats["months"]] == ["2026-01", "2026-12"]
    assert [entry["score"] for entry in stats["highest_rated"]] == [3.0, 2.0]


@pytest.mark.parametrize("year", ["1869", "2201", "x", "2026.0", "", "-1"])
def test_an_invalid_year_is_rejected(client, year):
    response = client.get(f"/profiles/stats/?year={year}")

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"year"}


def test_movies_with_too_few_other_ratings_are_not_compared(client, ann, make_user, make_movie):
    movie, other = make_movie("Alien"), make_movie("Brazil")
    for number in range(MIN_OTHERS - 1):
        user = make_user(f"member{number}")
        rating_set(user_id=user.pk, movie_id=movie.pk, score=2)
        rating_set(user_id=user.pk, movie_id=other.pk, score=1)
    for rated_movie in (movie, other):
        rating_set(user_id=ann.pk, movie_id=rated_movie.pk, score=5)
    compared = {"films": 0, "own_average": None, "others_average": None}

    assert client.get("/profiles/stats/").json()["compared_with_others"] == compared

    rating_set(user_id=make_user("last").pk, movie_id=movie.pk, score=4.5)
    compared = {"films": 1, "own_average": 5.0, "others_average": 2.5}

    assert client.get("/profiles/stats/").json()["compared_with_others"] == compared


@pytest.mark.parametrize(
    ("days", "current", "longest"),
    [([0], 1, 1), ([1], 1, 1), ([2], 0, 1), ([0, 1, 2, 4, 5], 3, 3), ([2, 3, 4, 0], 1, 3)],
)
def test_a_streak_is_consecutive_days_up_to_yesterday_or_today(
    client, ann, make_movie, days, current, longest
):
    now = datetime.now(UTC)
    for day in days:
        make_rating(ann, make_movie(f"Movie {day}"), 3, now - timedelta(days=day))

    streak = client.get("/profiles/stats/").json()["streak"]

    assert streak == {"current_days": current, "longest_days": longest}


def test_a_new_rating_is_counted_immediately(client, make_movie):
    client.post("/ratings/", {"movie": make_movie("Alien", runtime=90).id, "score": 4})

    stats = client.get("/profiles/stats/").json()

    assert (stats["total_ratings"], stats["watch_time_hours"]) == (1, 1.5)


def test_statistics_of_a_thousand_ratings_take_three_queries(
    client, ann, django_assert_num_queries
):
    now = datetime(2026, 6, 1, tzinfo=UTC)
    movies = Movie.objects.bulk_create(
        Movie(
            title=f"Movie {number}", sort_title="movie", search_vector="", genres=["Drama", "Crime"]
        )
        for number in range(1_000)
    )
    Rating.objects.bulk_create(
        Rating(user=ann, movie=movie, score=1 + number % 9 / 2, created_at=when, updated_at=when)
        for number, movie in enumerate(movies)
        for when in [now - timedelta(hours=number)]
    )
    with connection.cursor() as cursor:
        # Without statistics the planner assumes empty tables.
        cursor.execute("ANALYZE social_rating, movies_movie")

    with django_assert_num_queries(3):  # the session, the figures, the highest and lowest rated
        stats = client.get("/profiles/stats/").json()
    assert stats["total_ratings"] == 1_000
    assert stats["top_genres"][0] == {"genre": "Crime", "count": 1_000, "average_score": 3.0}


@pytest.mark.parametrize("query", ["user=ann", "page=1"])
def test_an_unknown_parameter_is_rejected_by_name(client, query):
    response = client.get(f"/profiles/stats/?{query}")

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {query.split("=")[0]}
