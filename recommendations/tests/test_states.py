"""The caller's state of many movies, and what `append` adds to one, over HTTP."""

from datetime import UTC, datetime
from statistics import median

import pytest
from django.db.models import Count

from benchmarks.cost_cases import read_cpu_ms
from recommendations.tests.community import made_up, quiet
from recommendations.training.pipeline import training_run
from social.models import Rating, Viewing

pytestmark = pytest.mark.django_db

NOTHING_SAID = {
    "rating": None,
    "watchlisted_at": None,
    "watched_count": 0,
    "last_watched_at": None,
    "feedback": None,
}


@pytest.fixture
def member(ann, client_of):
    return client_of(ann)


def get_states(client, *movie_ids):
    return client.get(f"/movies/states/?ids={','.join(map(str, movie_ids))}")


def get_errors(response):
    assert response.status_code == 400, response.content
    return {
        name: [error["message"] for error in errors]
        for name, errors in response.json()["errors"].items()
    }


# --- GET /movies/states/ -------------------------------------------------------------------------


def test_states_tell_what_the_caller_said_in_the_order_of_the_ids(ann, member, make_movie):
    rated, listed, watched, hidden, new = (make_movie(f"Movie {n}").pk for n in range(5))
    rating = member.post("/ratings/", {"movie": rated, "score": 4.5, "review": "Good."}).json()
    item = member.post("/watchlist/", {"movie": listed}).json()
    for day in (1, 3, 2):
        at = datetime(2026, 1, day, tzinfo=UTC)
        Viewing.objects.create(user=ann, movie_id=watched, watched_at=at)
    member.put(f"/movies/{hidden}/feedback/", {"kind": "hide"})

    states = get_states(member, new, hidden, watched, listed, rated).json()

    for state in states:
        score = state.pop("match_score")
        assert (
            member.get(f"/movies/{state['movie_id']}/match_score/").json()["match_score"] == score
        )
    assert states == [
        {**NOTHING_SAID, "movie_id": new},
        {**NOTHING_SAID, "movie_id": hidden, "feedback": "hide"},
        {
            **NOTHING_SAID,
            "movie_id": watched,
            "watched_count": 3,
            "last_watched_at": "2026-01-03T00:00:00.000Z",
        },
        {**NOTHING_SAID, "movie_id": listed, "watchlisted_at": item["added_at"]},
        {
            **NOTHING_SAID,
            "movie_id": rated,
            "rating": {"id": rating["id"], "score": 4.5, "has_review": True},
        },
    ]


def test_states_leave_out_unknown_ids_and_repeats(member, make_movie):
    movie = make_movie("Alien").pk

    states = get_states(member, 999_999, movie, movie, 2**63 - 1).json()

    assert [state["movie_id"] for state in states] == [movie]
    assert get_states(member, 999_999).json() == []


def test_states_do_not_tell_what_others_said(member, make_user, client_of, make_movie):
    movie = make_movie("Alien").pk
    other = client_of(make_user("ben"))
    other.post("/ratings/", {"movie": movie, "score": 1})
    other.post("/history/", {"movie": movie})
    other.post("/watchlist/", {"movie": movie})
    other.put(f"/movies/{movie}/feedback/", {"kind": "more"})

    [state] = get_states(member, movie).json()

    assert state.items() >= NOTHING_SAID.items()


@pytest.mark.parametrize("count", [1, 100])
def test_states_take_the_same_number_of_queries_for_any_number_of_movies(
    member, make_movie, django_assert_num_queries, count
):
    movies = [make_movie(f"Movie {n}").pk for n in range(count)]
    for movie in movies[:20]:
        member.post("/ratings/", {"movie": movie, "score": 4})
    get_states(member, *movies)

    # The token, the member, the movies, and four tables of the member's.
    with django_assert_num_queries(7):
        states = get_states(member, *movies).json()

    assert [state["movie_id"] for state in states] == movies


def test_states_are_private(member, make_movie):
    response = get_states(member, make_movie("Alien").pk)

    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.clocked
def test_states_of_100_movies_take_at_most_60_ms_of_cpu(client_of):
    users, movies = made_up(members=60, movies=600)
    training_run(progress=quiet, force=True)
    counted = Rating.objects.values_list("user").annotate(n=Count("id"))
    user_id, ratings = min(counted, key=lambda row: abs(row[1] - 200))
    member = client_of(next(user for user in users if user.pk == user_id))
    ids = [movie.pk for movie in movies[::6]]
    assert abs(ratings - 200) < 20
    assert len(get_states(member, *ids).json()) == 100

    times = []
    for _ in range(15):
        before = read_cpu_ms()
        get_states(member, *ids)
        times.append(read_cpu_ms() - before)

    assert median(times) <= 60, times


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "This field is required."),
        ("?ids=", "'': This is not an id. Send ids separated by commas: 1,2,3."),
        ("?ids=1,x,2", "'x': This is not an id. Send ids separated by commas: 1,2,3."),
        ("?ids=1,%202", "' 2': This is not an id. Send ids separated by commas: 1,2,3."),
        ("?ids=0", "'0': Ensure this value is greater than or equal to 1."),
        ("?ids=1&ids=2", "Repeated parameter. Send it once."),
        (
            f"?ids={','.join(str(n) for n in range(1, 102))}",
            "101 different values. Send at most 100.",
        ),
    ],
)
def test_states_name_what_is_wrong_with_the_ids(member, query, message):
    errors = get_errors(member.get(f"/movies/states/{query}"))

    assert errors == {"ids": [message]}


# --- GET /movies/{id}/?append= -------------------------------------------------------------------


@pytest.fixture
def movies(make_movie):
    return [
        make_movie(f"Horror {n}", genres=["Horror"], directors=["Ada Quill"]) for n in range(25)
    ]


def test_a_detail_appends_what_the_requests_of_their_own_return(
    member, movies, make_user, client_of
):
    path = f"/movies/{movies[0].pk}/"
    for n in range(21):
        body = {"movie": movies[0].pk, "score": 4, "review": f"Review {n}."}
        client_of(make_user(f"author{n}")).post("/ratings/", body)
    member.post("/ratings/", {"movie": movies[0].pk, "score": 2})

    detail = member.get(f"{path}?append=state,similar,reviews").json()

    appended = {name: detail.pop(name) for name in ("state", "similar", "reviews")}
    assert detail == member.get(path).json()
    assert [appended["state"]] == get_states(member, movies[0].pk).json()
    for name in ("similar", "reviews"):
        assert appended[name] == member.get(f"{path}{name}/").json()
        following = member.get(appended[name]["next"]).json()
        assert following["previous"]
        assert following["results"]


def test_a_detail_appends_only_what_is_named(api, movies):
    path = f"/movies/{movies[0].pk}/"
    names = {"similar", "reviews", "state"}

    assert names & set(api.get(path).json()) == set()
    assert names & set(api.get(f"{path}?append=similar").json()) == {"similar"}


@pytest.mark.parametrize("append", ["images", "watch", "similar,images", "", "similar,"])
def test_a_detail_names_what_cannot_be_appended(api, movies, append):
    errors = get_errors(api.get(f"/movies/{movies[0].pk}/?append={append}"))

    wrong = append.split(",")[-1]
    known = "reviews, similar, state, videos, watch_providers"
    assert errors == {"append": [f"'{wrong}': This cannot be appended. Use some of: {known}."]}


def test_a_state_without_a_token_is_a_401_that_says_so(api, movies):
    response = api.get(f"/movies/{movies[0].pk}/?append=similar,state")

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["code"] == "not_authenticated"
    assert "append=state needs an access token" in response.json()["detail"]


def test_a_detail_of_an_unknown_movie_is_404_with_everything_appended(member, db):
    assert member.get("/movies/999999/?append=similar,reviews,state").status_code == 404


def test_reviews_of_blocked_members_are_not_appended(member, movies, make_user, client_of):
    author = client_of(make_user("author"))
    author.post("/ratings/", {"movie": movies[0].pk, "score": 4, "review": "Fine."})
    author.put("/profiles/ann/block/")

    detail = member.get(f"/movies/{movies[0].pk}/?append=reviews").json()

    assert detail["reviews"]["count"] == 0


@pytest.mark.parametrize(
    ("append", "anonymous", "with_token"),
    [
        ("similar", "public, max-age=60", "private, no-cache"),
        ("reviews", "private, no-store", "private, no-store"),
        ("similar,state", None, "private, no-store"),
    ],
)
def test_a_detail_is_as_private_as_what_it_appends(
    api, member, movies, append, anonymous, with_token
):
    path = f"/movies/{movies[0].pk}/?append={append}"

    response = member.get(path)

    assert response["Cache-Control"] == with_token
    if anonymous:
        assert api.get(path)["Cache-Control"] == anonymous
    etag = {"If-None-Match": response["ETag"]}
    assert member.get(path, headers=etag).status_code == 304


def test_a_detail_with_reviews_or_state_is_never_served_from_the_response_cache(
    api, movies, settings, make_user, client_of
):
    settings.RESPONSE_CACHE_TTL_S = 60
    path = f"/movies/{movies[0].pk}/?append="
    for append in ("similar", "reviews"):
        api.get(path + append)
    author = client_of(make_user("author"))
    author.post("/ratings/", {"movie": movies[0].pk, "score": 4, "review": "Fine."})

    assert "Age" in api.get(path + "similar")
    reviews = api.get(path + "reviews")

    assert "Age" not in reviews
    assert reviews.json()["reviews"]["count"] == 1
