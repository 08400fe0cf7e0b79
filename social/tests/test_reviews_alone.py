"""A rating may be a review alone: it counts as seen, and in no figure."""

import pytest

from social.models import Rating
from social.services.figures import figures_reconcile, member_ratings_recount
from social.services.follows import follow_set
from social.services.moderation import review_hide
from social.services.ratings import rating_set
from social.tests.helpers import assert_rating_counters_match


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien", release_year=1979, genres=["Horror"], runtime=117)


def read_figures(movie):
    movie.refresh_from_db()
    return movie.rating_count, movie.rating_sum, movie.trend_day, movie.trend_week


def test_movie_is_reviewed_without_a_score(client, movie):
    response = client.post("/ratings/", {"movie": movie.pk, "review": "I do not rate movies."})

    assert response.status_code == 201
    assert (response.json()["score"], response.json()["review"]) == (None, "I do not rate movies.")
    assert read_figures(movie) == (0, 0.0, None, None)
    (review,) = client.get(f"/movies/{movie.pk}/reviews/").json()["results"]
    assert (review["score"], review["review"]) == (None, "I do not rate movies.")
    (state,) = client.get(f"/movies/states/?ids={movie.pk}").json()
    assert (state["rating"]["score"], state["rating"]["has_review"]) == (None, True)


def test_post_and_patch_keep_what_is_omitted_and_remove_what_is_null_or_empty(client, movie):
    def post(**body):
        response = client.post("/ratings/", {"movie": movie.pk, **body})
        assert response.status_code in (200, 201), response.json()
        assert_rating_counters_match()
        return response.json()["score"], response.json()["review"]

    def patch(**body):
        response = client.patch(f"/ratings/{Rating.objects.get().pk}/", body)
        assert response.status_code == 200, response.json()
        assert_rating_counters_match()
        return response.json()["score"], response.json()["review"]

    assert post(review="Tense.") == (None, "Tense.")
    assert post(score=4) == (4.0, "Tense.")
    assert post() == (4.0, "Tense.")
    assert post(score=None) == (None, "Tense.")
    assert patch(score=3.5) == (3.5, "Tense.")
    assert patch(contains_spoilers=True) == (3.5, "Tense.")
    assert patch(review="") == (3.5, "")
    assert patch(review="Again.") == (3.5, "Again.")
    assert patch(score=None) == (None, "Again.")
    assert figures_reconcile().movies == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "required"), ({"score": None}, "null"), ({"review": ""}, "required")],
)
def test_a_rating_needs_a_score_or_a_review(client, movie, body, code):
    response = client.post("/ratings/", {"movie": movie.pk, **body})

    assert response.status_code == 400
    assert [error["code"] for error in response.json()["errors"]["score"]] == [code]
    assert not Rating.objects.exists()


def test_removing_both_is_refused_and_changes_nothing(client, movie):
    body = {"movie": movie.pk, "score": 4, "review": "Tense."}
    rating = client.post("/ratings/", body).json()
    url = f"/ratings/{rating['id']}/"

    responses = [
        client.patch(url, {"score": None, "review": ""}),
        client.post("/ratings/", {"movie": movie.pk, "score": None, "review": ""}),
    ]
    client.patch(url, {"score": None})
    responses.append(client.patch(url, {"review": ""}))

    assert [response.status_code for response in responses] == [400] * 3
    stored = client.get(url).json()
    assert (stored["score"], stored["review"]) == (None, "Tense.")
    # What was read can be sent again.
    assert client.put(url, stored).status_code == 200


def test_lists_put_ratings_without_a_score_last(client, movie, make_movie):
    client.post("/ratings/", {"movie": movie.pk, "review": "Tense."})
    for title, score in (("Brazil", 2), ("Casablanca", 5)):
        client.post("/ratings/", {"movie": make_movie(title).pk, "score": score})

    def read(url):
        titles = []
        while url:
            page = client.get(url).json()
            titles += [rating["movie"]["title"] for rating in page["results"]]
            url = page["next"]
        return titles

    for paging in ("page=1", "cursor="):
        ascending = f"/ratings/?ordering=score&page_size=1&{paging}"
        assert read(ascending) == ["Brazil", "Casablanca", "Alien"]
        assert read(ascending.replace("=score", "=-score")) == ["Casablanca", "Brazil", "Alien"]
    assert read("/ratings/?min_score=1") == ["Casablanca", "Brazil"]


def test_statistics_count_the_movie_as_seen_and_not_as_rated(client, movie, make_movie):
    client.post("/ratings/", {"movie": movie.pk, "review": "Tense."})
    other = make_movie("Brazil", release_year=1985, genres=["Drama"], runtime=100)
    client.post("/ratings/", {"movie": other.pk, "score": 3})

    stats = client.get("/profiles/stats/").json()

    assert (stats["total_ratings"], stats["average_rating"]) == (1, 3.0)
    assert sum(stats["rating_histogram"].values()) == 1
    assert (stats["watched_count"], stats["watch_time_minutes"]) == (2, 217)
    assert [genre["genre"] for genre in stats["top_genres"]] == ["Drama"]
    assert [decade["decade"] for decade in stats["decades"]] == [1980]
    assert sum(month["count"] for month in stats["months"]) == 1
    for name in ("highest_rated", "lowest_rated"):
        assert [rated["movie"]["title"] for rated in stats[name]] == ["Brazil"]


def test_change_of_visibility_does_not_count_a_review_alone(ann, client, movie):
    client.post("/ratings/", {"movie": movie.pk, "review": "Tense."})

    for visibility in ("private", "public"):
        ann.visibility = visibility
        ann.save()
        assert member_ratings_recount(user_id=ann.pk) == 0

    assert not Rating.objects.counted_wrongly().exists()
    check = figures_reconcile()
    assert (check.movies, check.ratings) == (0, 0)
    assert read_figures(movie) == (0, 0.0, None, None)


def test_feed_shows_a_review_alone_once_as_a_review(ann, client, movie, make_user, client_of):
    bob = make_user("bob")
    follow_set(follower_id=bob.pk, followed_id=ann.pk)
    reader = client_of(bob)

    def read_kinds():
        page = reader.get("/feed/").json()
        assert page["count"] == len(page["results"])
        return [(event["kind"], event["rating"]["score"]) for event in page["results"]]

    client.post("/ratings/", {"movie": movie.pk, "review": "Tense."})
    assert read_kinds() == [("reviewed", None)]
    client.post("/ratings/", {"movie": movie.pk, "score": 4})
    assert read_kinds() == [("reviewed", 4.0)]
    client.post("/ratings/", {"movie": movie.pk, "score": None})
    assert read_kinds() == [("reviewed", None)]

    review_hide(author_id=ann.pk, movie_id=movie.pk)

    assert read_kinds() == []
    # Nothing is left that others could see.
    assert reader.get("/profiles/ann/ratings/").json()["results"] == []
    assert client.get("/profiles/ann/ratings/").json()["count"] == 1


def test_recommendations_leave_the_movie_out_and_no_score_changes(client, ann, movie, make_movie):
    movies = [make_movie(f"Movie {n}", genres=["Horror"]) for n in range(4)]
    rating_set(user_id=ann.pk, movie_id=movies[0].pk, score=5)
    url = f"/movies/{movies[1].pk}/match_score/"
    before = client.get(url).json()

    client.post("/ratings/", {"movie": movie.pk, "review": "Tense."})

    assert client.get(url).json() == before
    shown = client.get("/movies/recommendations/?page_size=100").json()["results"]
    assert movie.pk not in {each["movie"]["id"] for each in shown}
    similar = client.get(f"/movies/{movies[0].pk}/similar/?exclude_seen=true").json()["results"]
    assert movie.pk not in {each["movie"]["id"] for each in similar}
    assert movies[1].pk in {each["movie"]["id"] for each in similar}
    # Without a token nothing is known to be seen.
    client.credentials()
    assert client.get(f"/movies/{movies[0].pk}/similar/?exclude_seen=true").status_code == 401
