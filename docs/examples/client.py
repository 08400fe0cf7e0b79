"""A typed client: openapi-python-client generates the package nexus_movie_api_client.

pip install openapi-python-client
openapi-python-client generate --url http://localhost:8000/openapi.json --config openapi-python-client.yaml
pip install ./nexus-movie-api-client
python client.py http://localhost:8000
"""

import sys
import time
from typing import TypeVar

import httpx
from nexus_movie_api_client import AuthenticatedClient, Client
from nexus_movie_api_client.api.auth import auth_register_create, auth_token_refresh
from nexus_movie_api_client.api.feed import feed_list
from nexus_movie_api_client.api.movies import (
    movies_list,
    movies_match_score,
    movies_read,
    movies_recommendations_list,
    movies_reviews_list,
    movies_states_list,
)
from nexus_movie_api_client.api.profiles import (
    profiles_follow_update,
    profiles_me_delete,
    profiles_me_read,
)
from nexus_movie_api_client.api.ratings import ratings_create
from nexus_movie_api_client.models import (
    Password,
    Problem,
    ProblemCode,
    PublishedEvent,
    RatingWrite,
    Refresh,
    Register,
)

T = TypeVar("T")
PASSWORD = "blue-kettle-4242"


class ApiError(Exception):
    """The API answered with a problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code.value}: {problem.detail} (request {problem.request_id})")
        self.problem = problem


def check(body: object) -> None:
    """Raise ApiError for a problem document. The body of a 204 is None."""
    if isinstance(body, Problem):
        raise ApiError(body)


def unwrap(body: T | Problem | None) -> T:
    """Return a body that is no problem document. Raises ApiError."""
    check(body)
    assert not isinstance(body, Problem)
    assert body is not None
    return body


def join_lists(request: httpx.Request) -> None:
    """Send `ids=1,2,3` where the generated code would send `ids=1&ids=2&ids=3`."""
    for name in {"ids", "append", "provider", "monetization"} & request.url.params.keys():
        values = request.url.params.get_list(name)
        request.url = request.url.copy_set_param(name, ",".join(values))


def make_client(url: str, access: str) -> AuthenticatedClient:
    return AuthenticatedClient(
        url,
        token=access,
        raise_on_unexpected_status=True,
        httpx_args={"event_hooks": {"request": [join_lists]}},
    )


def main(url: str) -> None:
    # Register. The access token is sent with each request from here on.
    username = f"client{time.time_ns()}"
    body = Register(username=username, email=f"{username}@example.org", password=PASSWORD)
    registered = unwrap(auth_register_create.sync(client=Client(url), body=body))
    api = make_client(url, registered.access)

    # Search, and rate six movies.
    found = unwrap(movies_list.sync(client=api, search="the", page_size=6))
    movie_ids = [movie.id for movie in found.results]
    for movie in movie_ids:
        rating = unwrap(ratings_create.sync(client=api, body=RatingWrite(movie=movie, score=4.5)))
        score: float | None = rating.score
        print(rating.movie.title, score)

    # Read the feed, and why its first movie is there.
    feed = unwrap(movies_recommendations_list.sync(client=api, genre=["Drama"], page_size=5))
    print(feed.strategy.value, [item.movie.title for item in feed.results])
    first = feed.results[0].movie.id
    match = unwrap(movies_match_score.sync(first, client=api))
    print(match.title, match.match_score, match.components.genre_affinity.points)

    # What a list screen shows of the caller, in one request.
    states = unwrap(movies_states_list.sync(client=api, ids=movie_ids))
    print([state.rating.score for state in states if state.rating])

    # Follow the author of a review, and read what they do. The class of an event says which of `rating`
    # and `playlist` is not null.
    for review in unwrap(movies_reviews_list.sync(first, client=api)).results[:1]:
        check(profiles_follow_update.sync(review.user, client=api))
    for event in unwrap(feed_list.sync(client=api)).results:
        if isinstance(event, PublishedEvent):
            print(event.user, event.playlist.name)
        else:
            print(event.user, event.rating.movie.title, event.rating.score)

    # A misspelled code does not type-check.
    missing = movies_read.sync(999999999, client=api)
    assert isinstance(missing, Problem)
    assert missing.code == ProblemCode.NOT_FOUND

    # Refresh: the old refresh token is spent, and the new pair replaces it.
    refresh = Refresh(refresh=registered.refresh)
    pair = unwrap(auth_token_refresh.sync(client=Client(url), body=refresh))
    api = make_client(url, pair.access)
    me = unwrap(profiles_me_read.sync(client=api))
    assert me.username == username, "Another account."

    check(profiles_me_delete.sync(client=api, body=Password(password=PASSWORD)))
    print("done")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000")
