"""The trained engine, over HTTP and in batches, on a made-up community."""

import csv
from datetime import timedelta

import numpy as np
import pytest
from django.core.management import call_command

from movies.models import Collection, Movie
from recommendations.algorithms.match_score import score
from recommendations.algorithms.model import Model
from recommendations.algorithms.parameters import VERSION
from recommendations.algorithms.types import History
from recommendations.export import Batch
from recommendations.models import Feedback
from recommendations.recommender import queries
from recommendations.recommender.feed import build_feed, build_member_feed, compute_order
from recommendations.recommender.match_score import compute_matches
from recommendations.recommender.queries import (
    FEED_DEPTH,
    load_active_header,
    load_header,
    read_members,
)
from recommendations.tests.community import quiet
from recommendations.training.pipeline import training_run
from recommendations.training.store import content_read, model_from_training
from social.models import Rating
from social.services.diary import viewing_add
from social.services.ratings import rating_set

pytestmark = pytest.mark.django_db


def rate(api, movie, score):
    assert api.post("/ratings/", {"movie": movie.pk, "score": score}).status_code in (200, 201)


def feed(api, query=""):
    return api.get(f"/movies/recommendations/?page_size=100{query}").json()


def ids(body):
    return [item["movie"]["id"] for item in body["results"]]


def genres(body):
    return [item["movie"]["genres"][0] for item in body["results"]]


def test_a_rating_posted_changes_feed_and_score_in_the_next_answer(ann, client_of, trained):
    api, movies = client_of(ann), trained[1]
    target = movies[30].pk
    cold = feed(api)
    assert cold["strategy"] == "cold_start"
    before = api.get(f"/movies/{target}/match_score/").json()
    assert before["algorithm"] == cold["algorithm"] == load_active_header().algorithm
    for n in (0, 3, 6):
        rate(api, movies[n], 5)
        after = api.get(f"/movies/{target}/match_score/").json()
        assert after["match_score"] != before["match_score"]
        assert after["confidence"] > before["confidence"]
        shown = feed(api)
        assert movies[n].pk not in ids(shown)
        before = after
    assert shown["strategy"] == "personalized"
    assert ids(shown) != ids(cold)
    assert genres(shown)[:8].count("Horror") >= 6


def test_the_score_of_a_fan_is_above_that_of_a_foe(ann, make_user, client_of, trained):
    fan, foe, movies = client_of(ann), client_of(make_user("bob")), trained[1]
    for n in range(0, 24, 3):
        rate(fan, movies[n], 5)
        rate(foe, movies[n], 1)
    path = f"/movies/{movies[33].pk}/match_score/"
    assert fan.get(path).json()["match_score"] > foe.get(path).json()["match_score"] + 10


def test_a_match_adds_up_and_says_why(ann, client_of, trained):
    api, movies = client_of(ann), trained[1]
    for n in range(0, 18, 3):
        rate(api, movies[n], 5)
    rate(api, movies[1], 2)
    for target in (movies[33], movies[34]):
        body = api.get(f"/movies/{target.pk}/match_score/").json()
        points = sum(part["points"] for part in body["components"].values())
        assert round(body["baseline"] + points, 1) == body["match_score"]
        assert body["because"]
    body = api.get(f"/movies/{movies[33].pk}/match_score/").json()
    assert "You gave Horror" in " ".join(body["components"]["rating_history"]["evidence"])
    assert len(body["counterfactuals"]) == 3


def test_a_counterfactual_is_what_the_score_becomes_when_the_rating_goes(ann, client_of, trained):
    api, movies = client_of(ann), trained[1]
    for n in range(0, 15, 3):
        rate(api, movies[n], 4.5 if n else 5)
    path = f"/movies/{movies[33].pk}/match_score/"
    counterfactual = api.get(path).json()["counterfactuals"][0]
    assert set(counterfactual) == {"movie", "your_score", "match_score_without"}
    rating = Rating.objects.get(user=ann, movie=counterfactual["movie"]["id"])
    assert (counterfactual["your_score"], counterfactual["movie"]["title"]) == (
        rating.score,
        rating.movie.title,
    )
    assert api.delete(f"/ratings/{rating.pk}/").status_code == 204
    assert api.get(path).json()["match_score"] == counterfactual["match_score_without"]


def test_the_answer_is_that_of_the_model_in_memory(trained):
    users, _ = trained
    header, stored = load_active_header(), model_from_training(load_active_header())
    rows = header.movies(np.arange(len(header.movie_ids)), stored.vectors)
    model = Model(
        rows, stored.feed, stored.taste, header.totals, header.coefficients, header.parameters
    )
    content = content_read()
    for user in users[:3]:
        rows = user.ratings.order_by("-created_at", "-id").values_list("movie_id", "score")
        rated = np.array([row[0] for row in rows])
        history = History.of(model.rows_of(rated, content), [row[1] for row in rows])
        scores = score(
            history, model.movies, *model.links(history, model.movies), model.coefficients
        )
        found = compute_matches(user, model.movies.ids.tolist())
        assert [match.match_score for match in found] == pytest.approx(
            scores.percent.tolist(), abs=0.051
        )


def test_only_popular_and_listed_movies_are_ordered(ann, client_of, trained, monkeypatch):
    api, movies = client_of(ann), trained[1]
    for n in range(0, 15, 3):
        rate(api, movies[n], 5)
    everything = ids(feed(api))
    monkeypatch.setattr(queries, "POPULAR", 10)
    load_header.cache_clear()

    [member] = read_members([ann], targets=True)
    places, order = compute_order(member)

    assert member.header.is_popular.sum() < len(movies)
    assert set(member.targets.places.tolist()) <= set(places.tolist())
    assert set(np.argsort(-member.header.rates)[:10]) <= set(places.tolist())
    assert len(order) == len(places) <= len(movies)
    assert ids(feed(api))[:5] == everything[:5]
    load_header.cache_clear()


def test_a_filtered_feed_is_as_full_as_the_catalogue_allows(ann, client_of, trained, monkeypatch):
    api, movies = client_of(ann), trained[1]
    for n in (0, 3, 6, 9, 12, 15):
        rate(api, movies[n], 5)
    # Of the movies the ranking knows, only the first few are looked at.
    monkeypatch.setattr("recommendations.recommender.feed.MAX_PRESELECTED", 5)
    unrated = {movie.pk for n, movie in enumerate(movies) if n % 3 or n > 15}
    assert set(ids(feed(api))) == unrated
    for query, kind in (("&genre=Western", 2), ("&genre=Romance&year_gte=1995", 1)):
        wanted = {
            movie.pk
            for n, movie in enumerate(movies)
            if n % 3 == kind and ("year" not in query or movie.release_year >= 1995)
        }
        assert set(ids(feed(api, query))) == wanted


def test_a_narrow_filter_leaves_the_feed_as_full_as_none(ann, client_of, trained, monkeypatch):
    api = client_of(ann)
    for movie in trained[1][:6]:
        rate(api, movie, 4)
    for module in ("recommender.queries", "recommender.feed"):
        monkeypatch.setattr(f"recommendations.{module}.FEED_DEPTH", 10)
    assert feed(api)["count"] == feed(api, "&genre=Western")["count"] == 10
    assert set(genres(feed(api, "&genre=Western"))) == {"Western"}


@pytest.mark.parametrize("way", ["page", "cursor"])
def test_pages_neither_repeat_nor_miss(ann, client_of, trained, way):
    api = client_of(ann)
    for movie in trained[1][:7]:
        rate(api, movie, 4)
    url = "/movies/recommendations/?page_size=9" + ("&cursor=" if way == "cursor" else "")
    seen = []
    while url:
        answer = api.get(url).json()
        seen += ids(answer)
        url = answer["next"]
    assert len(seen) == len(set(seen)) == len(trained[1]) - 7
    assert seen == ids(feed(api))


def test_favourite_genres_come_first_before_any_rating(ann, client_of, trained):
    api = client_of(ann)
    plain = feed(api)
    assert plain["strategy"] == "cold_start"
    assert plain["results"][0]["reasons"]
    api.patch("/profiles/me/", {"favorite_genres": ["Western"]})
    assert genres(feed(api))[:20] == ["Western"] * 20


def test_a_movie_newer_than_the_training_has_a_score_and_a_place(
    ann, client_of, trained, make_movie
):
    api = client_of(ann)
    new = make_movie("New", genres=["Horror"], release_year=2001)
    for movie in trained[1][:9:3]:
        rate(api, movie, 5)
    assert new.pk in ids(feed(api))
    before = api.get(f"/movies/{new.pk}/match_score/").json()["match_score"]
    assert 0 < before < 100
    # Its own rating counts where content allows, though nothing was learned of it.
    other = make_movie("Newer", genres=["Horror"], release_year=2002)
    rate(api, other, 1)
    assert api.get(f"/movies/{new.pk}/match_score/").json()["match_score"] != before
    assert other.pk not in ids(feed(api))


@pytest.mark.parametrize("score", [1, 3, 5])
def test_a_member_of_one_opinion_and_many_ratings_gets_answers(ann, client_of, trained, score):
    now = ann.date_joined
    Rating.objects.bulk_create(
        Rating(user=ann, movie=movie, score=score, created_at=now, updated_at=now)
        for movie in trained[1][:50]
    )
    api = client_of(ann)
    assert len(ids(feed(api))) == 10
    body = api.get(f"/movies/{trained[1][55].pk}/match_score/").json()
    assert 0 <= body["match_score"] <= 100


def test_of_a_history_beyond_the_limit_no_movie_is_shown_again(ann, trained, monkeypatch):
    monkeypatch.setattr(queries, "HISTORY_LIMIT", 10)
    movies = trained[1]
    for n in range(40):
        rating_set(user_id=ann.pk, movie_id=movies[n].pk, score=4)
    assert len(read_members([ann], targets=True)[0].history) == 10
    shown = build_feed(ann, Movie.objects.all()).items.without_reasons(FEED_DEPTH)
    assert {each.movie_id for each in shown} == {movie.pk for movie in movies[40:]}
    assert compute_matches(ann, [movies[50].pk])


@pytest.mark.parametrize("ratings", [0, 1, 40])
def test_the_engine_takes_three_queries_however_long_the_history(
    ann, trained, django_assert_num_queries, ratings
):
    for movie in trained[1][:ratings]:
        rating_set(user_id=ann.pk, movie_id=movie.pk, score=4)
    build_feed(ann, Movie.objects.all())  # the head of the training is read once a process
    for diversity in (0, 0.5):
        with django_assert_num_queries(3):
            assert build_feed(ann, Movie.objects.all(), diversity=diversity).items[:20]
    with django_assert_num_queries(3):
        assert compute_matches(ann, [trained[1][50].pk])
    with django_assert_num_queries(3):
        assert len(compute_matches(ann, [movie.pk for movie in trained[1][45:60]])) == 15


@pytest.mark.parametrize("ratings", [0, 1, 40])
def test_the_engine_takes_three_queries_before_the_first_training(
    ann, untrained, django_assert_num_queries, ratings
):
    movies = untrained[1]
    for movie in movies[:ratings]:
        rating_set(user_id=ann.pk, movie_id=movie.pk, score=4)

    with django_assert_num_queries(3):
        feed = build_feed(ann, Movie.objects.all())
        assert all(item.reasons for item in feed.items[:20])
    with django_assert_num_queries(3):
        (match,) = compute_matches(ann, [movies[50].pk])

    assert feed.algorithm == match.algorithm == VERSION


def test_before_the_first_training_likes_in_a_genre_raise_its_movies(ann, untrained):
    movies = untrained[1]
    horror, western = movies[48], movies[50]
    for n in range(15):
        rating_set(user_id=ann.pk, movie_id=movies[n].pk, score=5 if n % 3 == 0 else 2)

    liked, disliked = compute_matches(ann, [horror.pk, western.pk])

    assert liked.match_score > disliked.match_score + 10
    assert any("You gave Horror" in line for line in liked.components["rating_history"].evidence)
    assert not any(
        "You gave Western" in line for line in liked.components["rating_history"].evidence
    )
    assert liked.counterfactuals


def test_diversity_lowers_intra_list_similarity_and_counts_promoted_movies(ann, client_of, trained):
    api = client_of(ann)
    # Loves horror and likes westerns, so that neither is under the floor.
    for n in range(15):
        if n % 3 != 1:
            rate(api, trained[1][n], 5 if n % 3 == 0 else 4)
    # At one moment: ratings of two minutes would differ in recency.
    Rating.objects.filter(user=ann).update(created_at=ann.date_joined)

    plain, mixed = feed(api), feed(api, "&diversity=1")

    assert mixed["intra_list_similarity"] < plain["intra_list_similarity"]
    promoted = set(ids(mixed)[:20]) - set(ids(plain)[:20])
    assert (plain["promoted_count"], mixed["promoted_count"]) == (0, len(promoted))
    assert set(ids(mixed)) == set(ids(plain))


@pytest.fixture
def series(trained):
    """Three horror movies, which became parts of a series after the training; by release."""
    parts = [trained[1][n] for n in (57, 33, 45)]
    collection = Collection.objects.create(tmdb_id=1, name="Series")
    for year, part in zip((1971, 1972, 1973), parts, strict=True):
        Movie.objects.filter(pk=part.pk).update(collection=collection, release_year=year)
    return [part.pk for part in parts]


def rate_horror(api, trained):
    for n in range(0, 30, 3):
        rate(api, trained[1][n], 5)


def test_first_part_that_the_ranking_leaves_out_stands_in_for_a_later_one(
    ann, client_of, trained, monkeypatch
):
    api, first = client_of(ann), trained[1][57].pk
    rate_horror(api, trained)
    monkeypatch.setattr("recommendations.recommender.feed.MAX_PRESELECTED", 4)
    for module in ("recommender.queries", "recommender.feed"):
        monkeypatch.setattr(f"recommendations.{module}.FEED_DEPTH", 4)
    without = ids(feed(api))
    collection = Collection.objects.create(tmdb_id=1, name="Series")
    Movie.objects.filter(pk=without[0]).update(collection=collection, release_year=1972)
    Movie.objects.filter(pk=first).update(collection=collection, release_year=1971)

    shown = ids(feed(api))

    assert first not in without
    assert shown == [first, *without[1:4]]


def test_parts_follow_their_release_even_if_they_joined_after_the_training(
    ann, client_of, trained, series
):
    api = client_of(ann)
    rate_horror(api, trained)

    shown = ids(feed(api))

    assert [movie_id for movie_id in shown if movie_id in series] == series


def test_ratings_that_were_imported_in_one_minute_have_no_order(ann, client_of, trained):
    api, movies = client_of(ann), trained[1]
    for n in range(12):
        rating_set(user_id=ann.pk, movie_id=movies[n].pk, score=5 if n % 3 == 0 else 3)
    Rating.objects.filter(user=ann).update(created_at=ann.date_joined)
    before = feed(api)
    for rating in Rating.objects.filter(user=ann).order_by("-pk"):
        rating.pk = None
        Rating.objects.filter(user=ann, movie=rating.movie).delete()
        rating.save()

    after = feed(api)

    assert ids(after) == ids(before)
    [member] = read_members([ann], targets=False)
    assert member.history.recency.tolist() == [1.0] * 12


def test_a_rating_from_a_clock_ahead_counts_as_the_newest(ann, client_of, trained):
    api, movies = client_of(ann), trained[1]
    for n in range(6):
        rating_set(user_id=ann.pk, movie_id=movies[n].pk, score=4)
    Rating.objects.filter(user=ann, movie=movies[3]).update(
        created_at=ann.date_joined + timedelta(days=400)
    )

    response = feed(api)

    assert response["strategy"] == "personalized"
    [member] = read_members([ann], targets=False)
    newest = member.history.movies.ids[member.history.recency.argmax()]
    assert newest == movies[3].pk


@pytest.mark.parametrize("how", ["rated", "watched", "hidden", "filtered"])
def test_first_part_that_cannot_be_shown_leaves_its_place_to_the_next(
    ann, client_of, trained, series, how
):
    api = client_of(ann)
    rate_horror(api, trained)
    query = ""
    if how == "rated":
        rating_set(user_id=ann.pk, movie_id=series[0], score=5)
    elif how == "watched":
        assert api.post("/history/", {"movie": series[0]}).status_code == 201
    elif how == "hidden":
        api.put(f"/movies/{series[0]}/feedback/", {"kind": "hide"})
    else:
        query = "&year_gte=1972"

    shown = ids(feed(api, query))

    assert [movie_id for movie_id in shown if movie_id in series] == series[1:]


def test_similar_movies_come_from_the_lists_and_have_reasons(api, trained):
    body = api.get(f"/movies/{trained[1][0].pk}/similar/?page_size=100").json()

    assert genres(body)[:10].count("Horror") >= 8
    assert all(0 < item["similarity"] <= 1 for item in body["results"])
    assert all(item["reasons"] for item in body["results"])
    assert "Members who like one tend to like the other." in body["results"][0]["reasons"]


def test_batches_answer_as_the_endpoints_do(trained, client_of, make_movie, tmp_path, monkeypatch):
    users, movies = trained
    new = make_movie("New", genres=["Horror"])
    rating_set(user_id=users[0].pk, movie_id=new.pk, score=5)
    for user, kind in ((users[0], "hide"), (users[1], "less"), (users[2], "more")):
        Feedback.objects.create(
            user=user,
            movie=movies[50],
            kind=kind,
            created_at=new.created_at,
            updated_at=new.created_at,
        )
    Movie.objects.filter(pk=movies[40].pk).delete()
    for module in ("recommender.queries", "recommender.feed", "export"):
        monkeypatch.setattr(f"recommendations.{module}.FEED_DEPTH", 15)
    # Parts of a series: one that a member has watched, and a late one that the training does not know.
    collection = Collection.objects.create(tmdb_id=1, name="Series")
    Movie.objects.filter(pk__in=[movies[n].pk for n in (33, 45)]).update(collection=collection)
    Movie.objects.filter(pk=make_movie("Last", genres=["Horror"], release_year=2020).pk).update(
        collection=collection
    )
    for movie in (movies[33], movies[36]):
        viewing_add(user_id=users[1].pk, movie_id=movie.pk)
    batch = Batch.of_active()
    wanted = [new.pk, movies[44].pk, movies[45].pk]
    for user, member in batch.members(users[:6]):
        own = build_feed(user, Movie.objects.all()).items.without_reasons(15)
        assert batch.feed(member).items.without_reasons(15) == own
        assert batch.scores(member, [*wanted, 999_999]) == {
            match.movie_id: match.match_score for match in compute_matches(user, wanted)
        }
    out = tmp_path / "out.csv"
    call_command("export_recommendations", "--top", "5", "--out", str(out))
    with out.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["username"] == users[3].username]
    shown = client_of(users[3]).get("/movies/recommendations/?page_size=5").json()["results"]
    assert [(int(row["movie_id"]), float(row["match_score"])) for row in rows] == [
        (item["movie"]["id"], item["match_score"]) for item in shown
    ]


def test_batch_leaves_a_feed_to_the_endpoint_if_the_training_lacks_a_first_part(
    trained, make_movie, monkeypatch
):
    users, movies = trained
    monkeypatch.setattr("recommendations.export.FEED_DEPTH", 15)
    collection = Collection.objects.create(tmdb_id=1, name="Series")
    first = make_movie("First", genres=["Horror"], release_year=1950)
    Movie.objects.filter(pk__in=[first.pk, *(movie.pk for movie in movies)]).update(
        collection=collection
    )
    batch = Batch.of_active()

    feeds = [batch.feed(member) for _, member in batch.members(users[:3])]

    assert feeds == [None, None, None]


def test_an_answer_begun_before_a_switch_is_finished(ann, trained):
    [member] = read_members([ann], targets=True)
    training_run(progress=quiet, force=True)
    feed = build_member_feed(member, Movie.objects.all(), favorites=[])
    assert len(feed.items[:5]) == 5
