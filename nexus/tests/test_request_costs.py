"""What a request costs in queries and in round trips to the cache, each about 0.2 ms of CPU and more.

docs/performance.md has the CPU time of these requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis.connection import AbstractConnection
from rest_framework.test import APIClient

# A query for the session and its user, and a round trip for each of the limits.
SESSION, ADDRESS, MEMBER = 1, 1, 1
READ_CACHE, STORE_IN_CACHE = 1, 1

# Path: queries.
PUBLIC_READS = {
    "/movies/": 2,  # the count, the page
    "/movies/{movie}/": 2,  # the movie, its credits
    "/movies/top_rated/": 2,
}
MEMBER_READS = {
    "/ratings/": 1,  # the count: the member has none
    "/movies/{movie}/match_score/": 3,  # the member, the movie, the evidence
}


@pytest.fixture
def count_round_trips(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function that returns the round trips to Valkey since its last call."""
    sent: list[None] = []
    send = AbstractConnection.send_packed_command

    def send_and_count(self: Any, command: Any, check_health: bool = True) -> None:
        sent.append(None)
        send(self, command, check_health=check_health)

    def count() -> int:
        number = len(sent)
        sent.clear()
        return number

    monkeypatch.setattr(AbstractConnection, "send_packed_command", send_and_count)
    return count


@pytest.fixture
def member(make_user: Any, client_of: Any) -> APIClient:
    client: APIClient = client_of(make_user("ann"))
    return client


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "queries"), PUBLIC_READS.items())
def test_a_public_page_takes_its_queries_once_and_three_round_trips(
    path, queries, make_movie, api, count_round_trips, django_assert_num_queries, settings
):
    settings.RESPONSE_CACHE_TTL_S = 60
    path = path.format(movie=make_movie().pk)
    api.get("/genres/")  # opens the window of the limit
    count_round_trips()

    with django_assert_num_queries(queries):
        api.get(path)
    round_trips_of_miss = count_round_trips()
    with django_assert_num_queries(0):
        api.get(path)

    assert round_trips_of_miss == ADDRESS + READ_CACHE + STORE_IN_CACHE
    assert count_round_trips() == ADDRESS + READ_CACHE


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "queries"), [*PUBLIC_READS.items(), *MEMBER_READS.items()])
def test_a_read_with_a_token_adds_one_query_and_takes_two_round_trips(
    path, queries, make_movie, member, count_round_trips, django_assert_num_queries
):
    path = path.format(movie=make_movie().pk)
    member.get("/genres/")  # opens the windows of both limits
    count_round_trips()

    with django_assert_num_queries(SESSION + queries):
        response = member.get(path)

    assert response.status_code == 200
    assert count_round_trips() == ADDRESS + MEMBER


@pytest.mark.django_db
def test_replacing_a_rating_takes_nine_queries_and_two_round_trips(
    make_movie, member, count_round_trips, django_assert_num_queries
):
    movie = make_movie().pk
    member.post("/ratings/", {"movie": movie, "score": 3})
    count_round_trips()

    # The session, a transaction (2), the member, the rating, the watchlist, the rating again, the
    # figures of the movie, the movie.
    with django_assert_num_queries(9):
        response = member.post("/ratings/", {"movie": movie, "score": 4})

    assert response.status_code == 200
    assert count_round_trips() == ADDRESS + MEMBER
