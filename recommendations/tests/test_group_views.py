"""What a group gets recommended over HTTP: who is in it, votes, filters, and what stays private."""

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services import guest_create
from movies.availability import Offer
from movies.models import Movie, Offers
from recommendations.recommender.queries import load_active_header
from recommendations.tests.community import made_up, quiet
from recommendations.training.pipeline import training_run
from social.models import Block

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(client_of, settings):
    """A trained community of which two members who love horror are in a group."""
    settings.RATE_LIMIT_SCALE = 10_000
    users, movies = made_up()
    training_run(progress=quiet, force=True)
    # Reads the training once a process, which is not part of a request.
    load_active_header()
    ann, ben = client_of(users[0]), client_of(users[3])
    group = ann.post("/groups/", {"name": "Friday"}).json()
    assert ben.post("/groups/join/", {"join_code": group["join_code"]}).status_code == 200
    return ann, ben, f"/groups/{group['id']}/", group["join_code"], movies


def get_ids(response):
    assert response.status_code == 200, response.content
    return [item["movie"]["id"] for item in response.json()["results"]]


def get_reasons(client, path):
    items = client.get(f"{path}recommendations/?page_size=100").json()["results"]
    return " ".join(reason for item in items for reason in item["reasons"])


def test_recommendations_have_the_contracts_shape(world, django_assert_num_queries):
    ann, ben, path, _, _ = world
    ann.get(f"{path}recommendations/")

    # Session, members, votes, visible profiles; histories, candidates and the page.
    with django_assert_num_queries(7):
        body = ann.get(f"{path}recommendations/").json()

    assert set(body) == {
        *("count", "next", "previous", "results"),
        *("strategy", "algorithm", "members_without_ratings"),
    }
    assert body["members_without_ratings"] == []
    for item in body["results"]:
        assert set(item) == {"movie", "group_score", "members", "reasons"}
        assert [member["username"] for member in item["members"]] == ["m0", "m3"]
        product = item["members"][0]["match_score"] * item["members"][1]["match_score"] / 100
        assert item["group_score"] == pytest.approx(product, abs=0.2)
        assert item["reasons"]
    assert ben.get(f"{path}recommendations/").json() == body
    own = ann.get(f"/movies/{body['results'][0]['movie']['id']}/match_score/").json()
    assert own["match_score"] == body["results"][0]["members"][0]["match_score"]


def test_votes_reorder_the_list_at_once(world):
    ann, ben, path, _, _ = world
    before = get_ids(ann.get(f"{path}recommendations/?page_size=100"))
    one, two, vetoed = before[-1], before[-2], before[0]

    ann.put(f"{path}votes/{one}/", {"vote": "yes"})
    for client in (ann, ben):
        client.put(f"{path}votes/{two}/", {"vote": "yes"})
    ben.put(f"{path}votes/{vetoed}/", {"vote": "veto"})

    after = get_ids(ben.get(f"{path}recommendations/?page_size=100"))
    assert after[:2] == [two, one]
    assert after[2:] == before[1:-2]
    ben.delete(f"{path}votes/{vetoed}/")
    ann.put(f"{path}votes/{one}/", {"vote": "veto"})
    again = get_ids(ann.get(f"{path}recommendations/?page_size=100"))
    assert again == [two, *before[:-2]]


def test_nothing_that_a_member_has_seen_or_hidden_shows(world):
    ann, ben, path, _, _ = world
    first, second, third, *_ = get_ids(ann.get(f"{path}recommendations/"))

    ben.post("/ratings/", {"movie": first, "score": 5})
    ann.post("/history/", {"movie": second})
    ben.put(f"/movies/{third}/feedback/", {"kind": "hide"})

    plain = get_ids(ann.get(f"{path}recommendations/?page_size=100"))
    with_seen = get_ids(ann.get(f"{path}recommendations/?page_size=100&include_seen=true"))
    assert not {first, second, third} & set(plain)
    assert {first, second} <= set(with_seen)
    assert third not in with_seen


def test_votes_lift_nothing_that_a_member_has_hidden_or_seen(world):
    ann, ben, path, _, _ = world
    hidden, seen, *_ = get_ids(ann.get(f"{path}recommendations/"))
    ben.put(f"/movies/{hidden}/feedback/", {"kind": "hide"})
    ben.post("/history/", {"movie": seen})

    for movie in (hidden, seen):
        ann.put(f"{path}votes/{movie}/", {"vote": "yes"})

    assert not {hidden, seen} & set(get_ids(ann.get(f"{path}recommendations/?page_size=100")))
    with_seen = get_ids(ann.get(f"{path}recommendations/?page_size=100&include_seen=true"))
    assert with_seen[0] == seen
    assert hidden not in with_seen


def test_filters_apply_except_those_that_name_a_movie(world):
    ann, _, path, _, movies = world
    Movie.objects.filter(genres=["Western"]).update(runtime=80)

    short = ann.get(f"{path}recommendations/?max_runtime=90&page_size=100").json()["results"]

    assert short
    assert {item["movie"]["runtime"] for item in short} == {80}
    for query in (
        f"ids={movies[0].pk}", "search=horror", "title=horror", f"tmdb_id={movies[0].tmdb_id}",
        f"imdb_id={movies[0].imdb_id}",
    ):  # fmt: skip
        response = ann.get(f"{path}recommendations/?{query}")
        assert response.status_code == 400
        assert list(response.json()["errors"]) == [query.partition("=")[0]]


def test_on_my_services_are_those_of_all_members_in_the_callers_region(world):
    ann, ben, path, _, _ = world
    on_both, on_ones, abroad, *_ = get_ids(ann.get(f"{path}recommendations/?page_size=100"))
    for movie_id, region, provider in ((on_both, "DE", 8), (on_ones, "DE", 9), (abroad, "FR", 8)):
        keys = [Offer(region, "flatrate", provider).key]
        Offers.objects.create(movie_id=movie_id, region="", keys=keys, synced_at=timezone.now())
    query = f"{path}recommendations/?on_my_services=true"
    without_region = ann.get(query)
    ann.patch("/profiles/me/", {"region": "DE"})
    without_providers = ann.get(query)

    ann.patch("/profiles/me/", {"providers": [8]})
    ben.patch("/profiles/me/", {"region": "FR", "providers": [9, 8]})

    for response in (without_region, without_providers):
        assert response.status_code == 400
        assert list(response.json()["errors"]) == ["on_my_services"]
    assert get_ids(ann.get(query)) == [on_both, on_ones]
    assert get_ids(ben.get(query)) == [abroad]


def test_reasons_name_ratings_only_to_who_may_see_all_profiles(world):
    ann, ben, path, _, _ = world
    named = "All of you liked"
    assert named in get_reasons(ann, path)

    User.objects.filter(username="m3").update(visibility="private")

    text = get_reasons(ann, path)
    assert named not in text
    assert "movies that all of you liked" in text
    # The private member may see the other one, and their own.
    assert named in get_reasons(ben, path)


def test_group_of_one_is_too_small_also_after_somebody_left_or_was_deactivated(world):
    ann, ben, path, code, _ = world

    ben.post(f"{path}leave/")
    left = ann.get(f"{path}recommendations/")
    assert ben.get(f"{path}recommendations/").status_code == 404
    ben.post("/groups/join/", {"join_code": code})
    User.objects.filter(username="m3").update(is_active=False)
    absent = ann.get(f"{path}recommendations/")

    for response in (absent, left):
        assert (response.status_code, response.json()["code"]) == (409, "group_too_small")


def test_blocking_ends_the_view_of_the_others_scores_at_once(world):
    ann, ben, path, _, _ = world

    ben.put("/profiles/m0/block/")

    assert ben.get(f"{path}recommendations/").status_code == 404
    assert ann.get(f"{path}recommendations/").status_code == 409
    assert Block.objects.count() == 1


def test_guest_without_ratings_is_named_and_counts_as_cold_start(world, client_of):
    ann, _, path, code, _ = world
    guest = guest_create()
    client_of(guest).post("/groups/join/", {"join_code": code})

    body = ann.get(f"{path}recommendations/").json()

    assert body["members_without_ratings"] == [guest.username]
    assert body["strategy"] == "personalized"
    assert all(len(item["members"]) == 3 for item in body["results"])
