import pytest

from accounts.models import User
from social.models import Block, Follow, Playlist
from social.selectors import members
from social.selectors.members import FollowCounts, count_follows
from social.services.follows import follow_set
from social.services.ratings import rating_set
from social.tests.helpers import run_concurrently

PROFILE_FIELDS = {
    "username",
    "display_name",
    "bio",
    "avatar_url",
    "favorite_genres",
    "date_joined",
    "followers",
    "following",
    "is_following",
}


@pytest.fixture
def ann(make_user):
    return make_user("ann", display_name="Ann", bio="Movies.")


@pytest.fixture
def bob(make_user):
    return make_user("Bob")


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


def read_usernames(response):
    assert response.status_code == 200
    body = response.json()
    assert body["count"] == len(body["results"])
    return [result["username"] for result in body["results"]]


def read_follow_pairs():
    return list(Follow.objects.order_by("id").values_list("follower_id", "followed_id"))


# --- Profiles ------------------------------------------------------------------------------------


def test_a_public_profile_is_found_by_its_username_in_any_case(api, client, ann, bob):
    response = api.get("/profiles/ANN/")

    assert response.status_code == 200
    assert set(response.json()) == PROFILE_FIELDS
    assert (response.json()["username"], response.json()["bio"]) == ("ann", "Movies.")
    assert response.json()["is_following"] is None
    assert client.get("/profiles/ann/").json()["is_following"] is None
    assert client.get("/profiles/bob/").json()["is_following"] is False

    client.put("/profiles/bob/follow/")
    profile = client.get("/profiles/bob/").json()

    assert (profile["is_following"], profile["followers"], profile["following"]) == (True, 1, 0)


def test_a_profile_does_not_reveal_private_fields(api, ann):
    assert not {"email", "id", "visibility"} & set(api.get("/profiles/ann/").json())


def test_a_private_profile_is_visible_only_to_its_member(api, client, ann, bob, client_of):
    User.objects.filter(pk=ann.pk).update(visibility="private")

    for tail in ("", "stats/", "ratings/", "playlists/", "followers/", "following/"):
        assert client.get(f"/profiles/ann/{tail}").status_code == 200
        for other in (api, client_of(bob)):
            response = other.get(f"/profiles/ann/{tail}")
            assert (response.status_code, response.json()["detail"]) == (404, "Not found.")


def test_a_profile_lists_its_ratings_with_their_reviews(api, ann, make_movie):
    for title, review in (("Alien", "Tense."), ("Brazil", "")):
        rating_set(user_id=ann.pk, movie_id=make_movie(title).pk, score=4, review=review)

    response = api.get("/profiles/ann/ratings/?ordering=created_at").json()

    assert [result["movie"]["title"] for result in response["results"]] == ["Alien", "Brazil"]
    assert [result["review"] for result in response["results"]] == ["Tense.", ""]
    assert response["results"][0]["user"] == "ann"
    assert "review_hidden" not in response["results"][0]


def test_a_profile_lists_public_playlists_and_to_its_member_all(api, client, ann, bob):
    for visibility in Playlist.Visibility.values:
        client.post("/playlists/", {"name": visibility, "visibility": visibility})
    Playlist.objects.create(owner=bob, name="Another's")
    url = "/profiles/ann/playlists/?ordering=created_at"

    assert [result["name"] for result in api.get(url).json()["results"]] == ["public"]
    assert [result["name"] for result in client.get(url).json()["results"]] == [
        "public",
        "unlisted",
        "private",
    ]


def test_a_profile_has_the_statistics_of_its_member(api, ann, make_movie):
    rating_set(user_id=ann.pk, movie_id=make_movie("Alien", runtime=117).pk, score=4)

    assert api.get("/profiles/ann/stats/").json()["watch_time_minutes"] == 117
    assert api.get("/profiles/ann/stats/?year=1999").json()["total_ratings"] == 0


def test_profile_pages_take_a_fixed_number_of_queries(
    client, ann, bob, make_user, make_movie, client_of, django_assert_num_queries
):
    for number in range(3):
        rating_set(user_id=bob.pk, movie_id=make_movie(f"Movie {number}").pk, score=4)
        Playlist.objects.create(owner=bob, name="Nights")
        follow_set(follower_id=make_user(f"fan{number}").pk, followed_id=bob.pk)
    expected_queries = {
        "": 5,  # the session, the profile, both counts, the caller's follow
        "stats/": 4,  # the session, the member, the figures, the highest and lowest rated
        "ratings/": 4,  # the session, the member, the count, the page
        "playlists/": 5,  # the same, and the seen counts
        "followers/": 4,
        "following/": 3,  # the count is 0, so no page is read
    }

    for tail, count in expected_queries.items():
        with django_assert_num_queries(count):
            assert client.get(f"/profiles/bob/{tail}").status_code == 200


@pytest.mark.django_db
def test_the_lookup_of_a_username_uses_its_index():
    User.objects.bulk_create(
        User(username=f"member{number}", email=f"m{number}@example.org") for number in range(2000)
    )

    plan = User.objects.filter(username__lower="member7").explain()

    assert "user_username_unique_without_case" in plan


# --- Following -----------------------------------------------------------------------------------


def test_following_and_unfollowing_are_idempotent(client, ann, bob):
    for _ in range(2):
        assert client.put("/profiles/BOB/follow/").status_code == 204

    assert read_follow_pairs() == [(ann.pk, bob.pk)]
    assert client.get("/profiles/me/").json()["following"] == 1

    for _ in range(2):
        assert client.delete("/profiles/bob/follow/").status_code == 204

    assert read_follow_pairs() == []


@pytest.mark.parametrize("relation", ["follow", "block"])
def test_following_or_blocking_oneself_or_an_unknown_member_is_rejected(client, ann, relation):
    response = client.put(f"/profiles/ann/{relation}/")

    assert (response.status_code, response.json()["code"]) == (403, "oneself")

    for method in (client.put, client.delete):
        assert method(f"/profiles/nobody/{relation}/").status_code == 404

    assert not Follow.objects.exists()
    assert not Block.objects.exists()


def test_a_followed_member_who_becomes_private_can_be_unfollowed(client, ann, bob, client_of):
    client.put("/profiles/bob/follow/")

    User.objects.filter(pk=bob.pk).update(visibility="private")

    assert read_usernames(client.get("/profiles/ann/following/")) == []
    assert client.put("/profiles/bob/follow/").status_code == 204
    assert client.delete("/profiles/bob/follow/").status_code == 204

    for method in (client.put, client.delete):
        assert method("/profiles/bob/follow/").status_code == 404

    assert read_follow_pairs() == []


def test_followers_and_followed_members_are_listed_newest_first(api, client, ann, bob, make_user):
    cid = make_user("cid")

    for follower, followed in ((ann, bob), (cid, bob), (ann, cid)):
        follow_set(follower_id=follower.pk, followed_id=followed.pk)

    assert read_usernames(api.get("/profiles/bob/followers/")) == ["cid", "ann"]
    assert read_usernames(api.get("/profiles/ann/following/")) == ["cid", "Bob"]

    follower = api.get("/profiles/bob/followers/").json()["results"][1]

    assert set(follower) == {"username", "display_name", "avatar_url", "since"}
    assert follower["display_name"] == "Ann"

    page = api.get("/profiles/bob/followers/?cursor=&page_size=1").json()
    rest = api.get(page["next"]).json()

    assert [result["username"] for result in rest["results"]] == ["ann"]


def test_follow_counts_of_a_profile_match_its_lists_for_each_viewer(
    api, client, ann, bob, make_user, client_of
):
    fans = [make_user(name) for name in ("cid", "dan", "eve", "fay")]
    for fan in fans:
        follow_set(follower_id=fan.pk, followed_id=ann.pk)
        follow_set(follower_id=ann.pk, followed_id=fan.pk)
    User.objects.filter(username="cid").update(is_active=False)
    User.objects.filter(username="dan").update(visibility="private")
    Block.objects.create(blocker=fans[2], blocked=bob)

    for viewer, path, count in (
        (api, "/profiles/ann/", 2),
        (client_of(bob), "/profiles/ann/", 1),
        (client_of(fans[1]), "/profiles/ann/", 3),
        (client, "/profiles/ann/", 2),
        (client, "/profiles/me/", 2),
    ):
        profile = viewer.get(path).json()
        assert (profile["followers"], profile["following"]) == (count, count)
        for name in ("followers", "following"):
            assert viewer.get(f"/profiles/ann/{name}/").json()["count"] == count

    changed = client.patch("/profiles/me/", {"bio": "New."}).json()

    assert (changed["bio"], changed["followers"]) == ("New.", 2)


def test_follow_counts_stop_at_the_maximum_list_depth(ann, monkeypatch, django_assert_num_queries):
    fans = User.objects.bulk_create(
        User(username=f"fan{number}", email=f"fan{number}@example.org") for number in range(300)
    )
    Follow.objects.bulk_create(Follow(follower=fan, followed=ann) for fan in fans)

    with django_assert_num_queries(2):
        assert count_follows(member_id=ann.pk, viewer_id=None) == FollowCounts(300, 0)

    monkeypatch.setattr(members, "MAX_LIST_DEPTH", 100)

    assert count_follows(member_id=ann.pk, viewer_id=ann.pk) == FollowCounts(100, 0)


def test_following_more_than_the_limit_is_rejected(client, ann, bob, settings):
    others = User.objects.bulk_create(
        User(username=f"other{number}", email=f"other{number}@example.org")
        for number in range(settings.MEMBER_QUOTAS["follows"])
    )
    Follow.objects.bulk_create(Follow(follower=ann, followed=other) for other in others[1:])

    within_limit = client.put(f"/profiles/{others[0].username}/follow/")
    over_limit = client.put("/profiles/bob/follow/")

    assert within_limit.status_code == 204
    assert (over_limit.status_code, over_limit.json()["code"]) == (409, "following_too_many")


@pytest.mark.django_db(transaction=True)
def test_concurrent_identical_follows_create_one(client, ann, bob):
    responses = run_concurrently(*[lambda: client.put("/profiles/bob/follow/")] * 20)

    assert {response.status_code for response in responses} == {204}
    assert read_follow_pairs() == [(ann.pk, bob.pk)]


@pytest.mark.django_db(transaction=True)
def test_concurrent_follows_and_blocks_leave_no_follow_between_blocked_members(
    make_user, client_of
):
    users = [make_user(f"member{number}") for number in range(5)]
    clients = [client_of(user) for user in users]
    calls = [
        lambda client=client, user=user: client.put(f"/profiles/{user.username}/follow/")
        for client in clients
        for user in users
    ]
    calls += [
        lambda client=client, user=user: client.delete(f"/profiles/{user.username}/follow/")
        for client, user in zip(clients, users[1:], strict=False)
    ]
    calls += [
        lambda client=client, user=user: client.put(f"/profiles/{user.username}/block/")
        for client, user in zip(clients[2:], users, strict=False)
    ]

    for start in range(0, len(calls), 16):
        responses = run_concurrently(*calls[start : start + 16])
        assert {response.status_code for response in responses} <= {204, 403, 404}

    blocked = set(Block.objects.values_list("blocker_id", "blocked_id"))

    assert len(blocked) == 3
    assert not blocked & set(Follow.objects.values_list("follower_id", "followed_id"))


# --- Blocking ------------------------------------------------------------------------------------


def test_a_block_ends_follows_and_hides_both_members_from_each_other(
    client, ann, bob, client_of, make_movie
):
    movie = make_movie("Alien")
    for user in (ann, bob):
        rating_set(user_id=user.pk, movie_id=movie.pk, score=4, review="Tense.")
    for follower, followed in ((ann, bob), (bob, ann)):
        follow_set(follower_id=follower.pk, followed_id=followed.pk)

    for _ in range(2):
        assert client.put("/profiles/bob/block/").status_code == 204

    assert read_follow_pairs() == []

    for viewer, other in ((client, "bob"), (client_of(bob), "ann")):
        assert viewer.get(f"/profiles/{other}/").status_code == 404
        assert viewer.put(f"/profiles/{other}/follow/").status_code == 404
        reviews = viewer.get(f"/movies/{movie.pk}/reviews/").json()["results"]
        assert other not in [result["user"].lower() for result in reviews]

    assert read_usernames(client.get("/blocks/")) == ["Bob"]
    assert read_usernames(client_of(bob).get("/blocks/")) == []
    # To a blocked member, the blocker looks like an unknown member.
    assert client_of(bob).put("/profiles/ann/block/").status_code == 404

    assert client.delete("/profiles/bob/block/").status_code == 204
    assert client.get("/profiles/bob/").status_code == 200
    assert not Follow.objects.exists()


def test_reviews_are_never_cached(api, client, make_movie):
    url = f"/movies/{make_movie('Alien').pk}/reviews/"

    responses = [api.get(url), client.get(url)]

    assert [response["Cache-Control"] for response in responses] == ["private, no-store"] * 2
