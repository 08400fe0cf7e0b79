from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from movies.models import Movie
from social.models import Rating

EMPTY = {
    "total_ratings": 0,
    "average_rating": 0.0,
    "rating_histogram": {
        **{"1.0": 0, "1.5": 0, "2.0": 0, "2.5": 0, "3.0": 0, "3.5": 0, "4.0": 0, "4.5": 0, "5.0": 0}
    },
    "watched_count": 0,
    "watch_time_minutes": 0,
    "watch_time_hours": 0.0,
    "top_genres": [],
    "top_directors": [],
    "decades": [],
    "months": [],
    "highest_rated": [],
    "lowest_rated": [],
}


@pytest.fixture
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


def rate(user, movie, score, when):
    return Rating.objects.create(
        user=user, movie=movie, score=score, created_at=when, updated_at=when
    )


def test_a_new_member_gets_the_same_keys_with_zeros(client):
    answer = client.get("/profiles/stats/")
    assert answer.status_code == 200
    assert answer.json() == EMPTY
    assert answer["Cache-Control"] == "private, no-store"


def test_the_numbers_agree_with_those_counted_by_hand(client, ann, make_user, make_movie):
    bob = make_user("bob")
    alien = make_movie(
        "Alien", genres=["Horror", "Science Fiction"], directors=["Scott"], runtime_min=117,
        release_year=1979,
    )  # fmt: skip
    runner = make_movie(
        "Blade Runner", genres=["Science Fiction", "Drama"], directors=["Scott"], runtime_min=118,
        release_year=1982,
    )  # fmt: skip
    fargo = make_movie(
        "Fargo", genres=["Crime", "Drama"], directors=["J. Coen", "E. Coen"], runtime_min=98,
        release_year=1996, cast=["Scott"],
    )  # fmt: skip
    blank = make_movie("Unknown")
    # One second before midnight in UTC: the month is March.
    rate(ann, alien, 5, datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC))
    rate(ann, runner, 4, datetime(2026, 3, 1, tzinfo=UTC))
    rate(ann, fargo, 3.5, datetime(2026, 5, 1, tzinfo=UTC))
    rate(ann, blank, 1, datetime(2026, 5, 2, tzinfo=UTC))
    for movie in (alien, runner, fargo):
        rate(bob, movie, 1, datetime(2026, 1, 1, tzinfo=UTC))

    stats = client.get("/profiles/stats/").json()

    highest, lowest = stats.pop("highest_rated"), stats.pop("lowest_rated")
    assert [(each["movie"]["title"], each["score"]) for each in highest] == [
        ("Alien", 5.0),
        ("Blade Runner", 4.0),
        ("Fargo", 3.5),
        ("Unknown", 1.0),
    ]
    assert [each["movie"]["title"] for each in lowest] == [
        each["movie"]["title"] for each in reversed(highest)
    ]
    assert stats == {
        "total_ratings": 4,
        "average_rating": 3.38,  # 13.5 / 4 = 3.375
        "rating_histogram": {**EMPTY["rating_histogram"], "1.0": 1, "3.5": 1, "4.0": 1, "5.0": 1},
        "watched_count": 4,
        "watch_time_minutes": 333,
        "watch_time_hours": 5.5,  # 5.55, whose nearest double lies below it
        "top_genres": [
            {"genre": "Science Fiction", "count": 2, "average_score": 4.5},
            {"genre": "Drama", "count": 2, "average_score": 3.75},
            {"genre": "Horror", "count": 1, "average_score": 5.0},
            {"genre": "Crime", "count": 1, "average_score": 3.5},
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
    }


def test_long_lists_are_cut(client, ann, make_movie):
    for number in range(14):
        movie = make_movie(f"Film {number}", directors=[f"Director {number:02}"])
        rate(ann, movie, 3, datetime(2025 + number // 12, number % 12 + 1, 15, tzinfo=UTC))
    stats = client.get("/profiles/stats/").json()
    assert [each["month"] for each in stats["months"]] == [
        *(f"2025-{month:02}" for month in range(3, 13)),
        "2026-01",
        "2026-02",
    ]
    assert [each["name"] for each in stats["top_directors"]] == [
        f"Director {number:02}" for number in range(10)
    ]
    # Of equal scores the newest.
    newest = [f"Film {number}" for number in (13, 12, 11, 10, 9)]
    assert [each["movie"]["title"] for each in stats["highest_rated"]] == newest
    assert [each["movie"]["title"] for each in stats["lowest_rated"]] == newest


def test_a_new_rating_counts_at_once(client, make_movie):
    client.post("/ratings/", {"movie": make_movie("Alien", runtime_min=90).id, "score": 4})
    stats = client.get("/profiles/stats/").json()
    assert (stats["total_ratings"], stats["watch_time_hours"]) == (1, 1.5)


def test_five_thousand_ratings_take_eight_queries(client, ann, django_assert_num_queries):
    now = datetime(2026, 6, 1, tzinfo=UTC)
    movies = Movie.objects.bulk_create(
        Movie(
            title=f"Film {number}", sort_title="film", search_vector="", genres=["Drama", "Crime"]
        )
        for number in range(5_000)
    )
    Rating.objects.bulk_create(
        Rating(user=ann, movie=movie, score=1 + number % 9 / 2, created_at=when, updated_at=when)
        for number, movie in enumerate(movies)
        for when in [now - timedelta(hours=number)]
    )
    with connection.cursor() as cursor:
        # As autovacuum would have by then; the planner takes an unknown table for an empty one.
        cursor.execute("ANALYZE social_rating, movies_movie")
    with django_assert_num_queries(8):  # the session and seven of the statistics
        stats = client.get("/profiles/stats/").json()
    assert stats["total_ratings"] == 5_000
    assert stats["top_genres"][0] == {"genre": "Crime", "count": 5_000, "average_score": 3.0}


@pytest.mark.parametrize("query", ["user=ann", "page=1"])
def test_a_parameter_is_400_and_named(client, query):
    answer = client.get(f"/profiles/stats/?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.split("=")[0]}
