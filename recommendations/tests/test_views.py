"""The engine over HTTP, on real ratings."""

import pytest
from django.utils import timezone

from social.models import Rating
from social.services.figures import ratings_recount

pytestmark = pytest.mark.django_db


@pytest.fixture
def catalogue(make_movie):
    """Twelve horror and twelve romance movies, with people of their own."""
    made = {}
    for kind, director in (("Horror", "Ada Quill"), ("Romance", "Ben Roe")):
        for n in range(12):
            made[f"{kind} {n}"] = make_movie(
                f"{kind} {n}",
                genres=[kind],
                release_year=1990 + n,
                directors=[director],
                cast=[f"{kind} lead {n % 3}"],
            )
    return made


@pytest.fixture
def community(make_user, catalogue):
    """Ten members who love horror and ten who love romance; each leaves three movies unrated."""
    now = timezone.now()
    ratings = []
    for n in range(20):
        user = make_user(f"member{n}")
        loved = "Horror" if n < 10 else "Romance"
        ratings += [
            Rating(
                user=user,
                movie=movie,
                score=5.0 if title.startswith(loved) else 2.0,
                created_at=now,
                updated_at=now,
            )
            for place, (title, movie) in enumerate(catalogue.items())
            if place % 8 != n % 8
        ]
    Rating.objects.bulk_create(ratings)
    ratings_recount()


def rate(api, movie, score):
    assert api.post("/ratings/", {"movie": movie.pk, "score": score}).status_code in (200, 201)


def titles(answer):
    return [item["movie"]["title"] for item in answer.json()["results"]]


def test_the_feed_has_the_contracts_shape(ann, client_of, community):
    body = client_of(ann).get("/movies/recommendations/").json()
    assert set(body) == {
        *("count", "next", "previous", "strategy", "algorithm", "results", "diversity"),
        *("intra_list_similarity", "promoted_count"),
    }
    assert set(body["results"][0]) == {"movie", "match_score", "reasons"}
    assert body["strategy"] == "cold_start"
    assert body["results"][0]["reasons"]


def test_a_new_rating_counts_in_the_next_feed_and_score(ann, client_of, community, catalogue):
    api = client_of(ann)
    target = catalogue["Horror 9"]
    before = api.get(f"/movies/{target.pk}/match_score/").json()
    cold = titles(api.get("/movies/recommendations/"))
    for n in range(3):
        rate(api, catalogue[f"Horror {n}"], 5)
        rate(api, catalogue[f"Romance {n}"], 1.5)
        after = api.get(f"/movies/{target.pk}/match_score/").json()
        assert after["confidence"] > before["confidence"]
        assert after["match_score"] > before["match_score"]
        before = after
    feed = api.get("/movies/recommendations/")
    assert feed.json()["strategy"] == "personalized"
    assert titles(feed) != cold
    assert all(title.startswith("Horror") for title in titles(feed)[:6])


def test_the_feed_never_shows_what_the_member_has_rated(ann, client_of, community, catalogue):
    api = client_of(ann)
    rated = ["Horror 1", "Horror 2", "Romance 3"]
    for title in rated:
        rate(api, catalogue[title], 4)
    shown = titles(api.get("/movies/recommendations/?page_size=100"))
    assert set(shown) == set(catalogue) - set(rated)


def test_favourite_genres_come_first_before_any_rating(ann, client_of, community):
    api = client_of(ann)
    api.patch("/profiles/me/", {"favorite_genres": ["Romance"]})
    shown = titles(api.get("/movies/recommendations/?page_size=100"))
    assert all(title.startswith("Romance") for title in shown[:12])


def test_a_filter_narrows_the_feed_before_it_is_cut(ann, client_of, community, catalogue):
    api = client_of(ann)
    rate(api, catalogue["Horror 0"], 5)
    shown = titles(api.get("/movies/recommendations/?genre=Romance&page_size=100"))
    assert sorted(shown) == sorted(title for title in catalogue if title.startswith("Romance"))


def test_diversity_mixes_the_feed(ann, client_of, community, catalogue):
    api = client_of(ann)
    for n in range(3):
        rate(api, catalogue[f"Horror {n}"], 5)
        rate(api, catalogue[f"Romance {n}"], 1.5)

    plain = titles(api.get("/movies/recommendations/?page_size=6"))
    mixed = titles(api.get("/movies/recommendations/?page_size=10&diversity=1"))

    assert all(title.startswith("Horror") for title in plain)
    assert any(title.startswith("Romance") for title in mixed)


def test_feed_reports_intra_list_similarity_and_promoted_count(
    ann, client_of, community, catalogue
):
    api = client_of(ann)
    for n in range(3):
        rate(api, catalogue[f"Horror {n}"], 5)

    plain, diverse = (
        api.get(f"/movies/recommendations/?diversity={diversity}").json() for diversity in (0, 0.9)
    )

    assert (plain["diversity"], plain["promoted_count"]) == (0, 0)
    assert diverse["diversity"] == 0.9
    assert 0 < diverse["intra_list_similarity"] <= plain["intra_list_similarity"]


@pytest.mark.parametrize(
    "query", ["diversity=2", "diversity=nan", "include_watchlist=perhaps", "ordering=title"]
)
def test_a_bad_parameter_of_the_feed_is_named(ann, client_of, query):
    answer = client_of(ann).get(f"/movies/recommendations/?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["errors"]


@pytest.mark.parametrize("way", ["page", "cursor"])
def test_the_pages_of_the_feed_neither_repeat_nor_miss(ann, client_of, community, catalogue, way):
    api = client_of(ann)
    rate(api, catalogue["Horror 0"], 5)
    url = "/movies/recommendations/?page_size=5" + ("&cursor=" if way == "cursor" else "")
    seen = []
    while url:
        answer = api.get(url)
        seen += titles(answer)
        url = answer.json()["next"]
    assert len(seen) == len(set(seen)) == len(catalogue) - 1


def test_the_match_score_splits_and_names_what_made_it(ann, client_of, community, catalogue):
    api = client_of(ann)
    for n in range(4):
        rate(api, catalogue[f"Horror {n}"], 5)
    body = api.get(f"/movies/{catalogue['Horror 6'].pk}/match_score/").json()
    assert set(body) == {
        *("movie_id", "title", "match_score", "confidence", "baseline", "components"),
        *("because", "counterfactuals", "algorithm"),
    }
    assert set(body["components"]) == {"genre_affinity", "rating_history", "popularity"}
    points = sum(part["points"] for part in body["components"].values())
    assert round(body["baseline"] + points, 1) == body["match_score"]
    weights = [part["weight"] for part in body["components"].values()]
    assert sum(weights) == pytest.approx(1, abs=0.02)
    assert any("Horror movies" in line for line in body["components"]["genre_affinity"]["evidence"])
    evidence = " ".join(body["components"]["rating_history"]["evidence"])
    assert "You gave Horror" in evidence
    assert "Ada Quill" in evidence
    assert body["because"]


def test_scores_sort_a_members_movies_as_the_member_would(ann, client_of, community, catalogue):
    api = client_of(ann)
    for n in range(5):
        rate(api, catalogue[f"Horror {n}"], 5)
        rate(api, catalogue[f"Romance {n}"], 2)
    loved, not_loved = (
        api.get(f"/movies/{catalogue[title].pk}/match_score/").json()["match_score"]
        for title in ("Horror 8", "Romance 8")
    )
    assert loved > 70 > 40 > not_loved


def test_a_movie_that_nobody_rated_has_a_score(ann, client_of, make_movie):
    body = client_of(ann).get(f"/movies/{make_movie('Unseen').pk}/match_score/").json()
    assert 0 < body["match_score"] < 100
    assert body["confidence"] == 0
    assert body["components"]["popularity"]["evidence"] == ["Nobody has rated it yet."]


def test_an_unknown_movie_is_404_and_a_stranger_401(ann, api, client_of):
    for path in ("/movies/999999/match_score/", "/movies/999999/similar/"):
        assert client_of(ann).get(path).status_code == 404
    assert api.get("/movies/recommendations/").status_code == 401
    assert api.get("/movies/1/match_score/").status_code == 401


def test_similar_movies_without_a_training_share_genres_and_people(api, community, catalogue):
    body = api.get(f"/movies/{catalogue['Horror 5'].pk}/similar/?page_size=100").json()

    assert body["count"] == 11
    assert {item["movie"]["genres"][0] for item in body["results"]} == {"Horror"}
    similarities = [item["similarity"] for item in body["results"]]
    assert similarities == sorted(similarities, reverse=True)
    assert 0 < similarities[-1] <= similarities[0] <= 1
    assert all(item["reasons"] for item in body["results"])
    assert "Ada Quill" in " ".join(body["results"][0]["reasons"])


def test_similar_movies_leave_out_seen_ones_on_request(ann, client_of, catalogue):
    api = client_of(ann)
    rate(api, catalogue["Horror 1"], 2)
    assert api.post("/history/", {"movie": catalogue["Horror 2"].pk}).status_code == 201
    path = f"/movies/{catalogue['Horror 5'].pk}/similar/?page_size=100"

    everything = api.get(path)
    unseen = api.get(f"{path}&exclude_seen=true")

    assert set(titles(everything)) - set(titles(unseen)) == {"Horror 1", "Horror 2"}
    assert unseen["Cache-Control"].startswith("private")


def test_similar_movies_without_seen_ones_need_a_token(api, catalogue):
    path = f"/movies/{catalogue['Horror 5'].pk}/similar/"

    assert api.get(f"{path}?exclude_seen=true").status_code == 401
    assert api.get(f"{path}?exclude_seen=false").status_code == 200
    assert api.get(f"{path}?exclude_seen=perhaps").status_code == 400


def test_a_catalogue_without_movies_has_an_empty_feed(ann, client_of):
    body = client_of(ann).get("/movies/recommendations/").json()
    assert (body["count"], body["results"]) == (0, [])


@pytest.mark.parametrize("ratings", [0, 1, 15])
def test_the_number_of_queries_does_not_grow_with_the_history(
    ann, client_of, community, catalogue, django_assert_max_num_queries, ratings
):
    api = client_of(ann)
    for movie in list(catalogue.values())[:ratings]:
        rate(api, movie, 4)
    with django_assert_max_num_queries(15):
        assert api.get("/movies/recommendations/").status_code == 200
    target = catalogue["Romance 11"].pk
    with django_assert_max_num_queries(8):
        assert api.get(f"/movies/{target}/match_score/").status_code == 200
    with django_assert_max_num_queries(10):
        assert api.get(f"/movies/{target}/similar/").status_code == 200
