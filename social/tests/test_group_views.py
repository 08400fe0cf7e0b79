"""Groups over HTTP: members, join codes, votes, and who may do what."""

import re
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import guest_create
from nexus.dev.pytest_plugin import PASSWORD
from social.models import Block, GroupMembership, GroupVote, MovieGroup
from social.services.groups import JOIN_CODE_ALPHABET, group_create
from social.tests.helpers import run_concurrently

pytestmark = pytest.mark.django_db

JOIN = "/groups/join/"


@pytest.fixture
def people(make_user, client_of, settings):
    """Return the clients of five members by name."""
    settings.RATE_LIMIT_SCALE = 10_000
    return {name: client_of(make_user(name)) for name in ("ann", "ben", "cai", "dee", "eve")}


def create(client, name="Friday"):
    response = client.post("/groups/", {"name": name})
    assert response.status_code == 201, response.content
    return response.json()


@pytest.fixture
def group(people):
    """Return the group of ann, which ben and cai have joined, in this order."""
    group = create(people["ann"])
    for name in ("ben", "cai"):
        assert people[name].post(JOIN, {"join_code": group["join_code"]}).status_code == 200
    return people["ann"].get(f"/groups/{group['id']}/").json()


def get_usernames(body):
    return [member["username"] for member in body["members"]]


def test_owner_sees_the_join_code_and_members_do_not(people, group):
    path = f"/groups/{group['id']}/"

    assert set(group) == {"id", "name", "owner", "members", "join_code", "created_at"}
    assert set(group["members"][0]) == {"username", "display_name", "joined_at"}
    assert (group["owner"], get_usernames(group)) == ("ann", ["ann", "ben", "cai"])
    assert set(group["join_code"]) <= set(JOIN_CODE_ALPHABET)
    assert len(group["join_code"]) == 10
    assert not set("01258BILOSUZ") & set(JOIN_CODE_ALPHABET)
    assert people["ben"].get(path).json() == {**group, "join_code": None}
    response = people["dee"].post("/groups/", {"name": "Mine"})
    assert response["Location"].endswith(f"/groups/{response.json()['id']}/")


def test_codes_are_accepted_as_people_type_them(people, group):
    code = group["join_code"]

    response = people["dee"].post(JOIN, {"join_code": f" {code[:5].lower()}-{code[5:]} "})

    assert response.status_code == 200
    assert get_usernames(response.json()) == ["ann", "ben", "cai", "dee"]


def test_list_has_the_callers_groups_the_newest_first(people, group):
    own = create(people["ben"], "Mine")

    body = people["ben"].get("/groups/").json()

    assert [each["id"] for each in body["results"]] == [own["id"], group["id"]]
    assert [each["join_code"] for each in body["results"]] == [own["join_code"], None]
    assert people["eve"].get("/groups/").json()["count"] == 0


def test_groups_cost_a_fixed_number_of_queries(people, group, django_assert_num_queries):
    create(people["ann"], "Another")
    people["ann"].get("/groups/")

    with django_assert_num_queries(4):  # session, count, page, members
        people["ann"].get("/groups/")
    with django_assert_num_queries(2):
        people["ann"].get(f"/groups/{group['id']}/")
    with django_assert_num_queries(3):  # no vote, so that no movie is read
        people["ann"].get(f"/groups/{group['id']}/votes/")


# Statuses by endpoint in the order of VIEWERS.
VIEWERS = ("anonymous", "stranger", "owner", "member", "removed", "blocked", "deactivated")
_MEMBERS_ALONE = (401, 404, 200, 200, 404, 404, 401)
_OWNER_ALONE = (401, 404, 200, 403, 404, 404, 401)
MATRIX = {
    ("GET", ""): _MEMBERS_ALONE,
    ("PATCH", ""): _OWNER_ALONE,
    ("DELETE", ""): (401, 404, 204, 403, 404, 404, 401),
    ("POST", "join_code/"): _OWNER_ALONE,
    ("POST", "leave/"): (401, 404, 204, 204, 404, 404, 401),
    ("DELETE", "members/ben/"): (401, 404, 204, 403, 404, 404, 401),
    ("DELETE", "members/eve/"): (401, 404, 404, 403, 404, 404, 401),
    ("GET", "votes/"): _MEMBERS_ALONE,
    ("PUT", "votes/{movie}/"): _MEMBERS_ALONE,
    ("DELETE", "votes/{movie}/"): (401, 404, 404, 404, 404, 404, 401),
}
BODIES = {"PATCH": {"name": "Saturday"}, "PUT": {"vote": "yes"}}


@pytest.mark.parametrize("viewer", VIEWERS)
def test_each_viewer_gets_the_status_in_the_matrix(
    people, group, api, make_movie, make_user, client_of, viewer
):
    for name in ("dee", "gus", "hal"):
        client = people.get(name) or client_of(make_user(name))
        people[name] = client
        assert client.post(JOIN, {"join_code": group["join_code"]}).status_code == 200
    people["ann"].delete(f"/groups/{group['id']}/members/dee/")
    people["gus"].put("/profiles/ann/block/")
    User.objects.filter(username="hal").update(is_active=False)
    caller = {
        "anonymous": api,
        "stranger": people["eve"],
        "owner": people["ann"],
        "member": people["cai"],
        "removed": people["dee"],
        "blocked": people["gus"],
        "deactivated": people["hal"],
    }[viewer]
    movie, errors = make_movie("Alien").pk, []

    for (method, tail), statuses in MATRIX.items():
        path = f"/groups/{group['id']}/{tail.format(movie=movie)}"
        with transaction.atomic():
            response = getattr(caller, method.lower())(path, BODIES.get(method))
            transaction.set_rollback(True)
        if response.status_code != statuses[VIEWERS.index(viewer)]:
            errors.append(f"{method} {path}: {response.status_code} {response.content}")

    assert errors == []


# --- Joining and leaving -------------------------------------------------------------------------


def assert_bad_code(client, code):
    response = client.post(JOIN, {"join_code": code})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (404, "bad_join_code")
    return problem["detail"]


def test_unknown_dead_full_and_blocked_codes_get_one_response(people, group, make_user):
    details = {assert_bad_code(people["dee"], "unknown"), assert_bad_code(people["dee"], "A" * 10)}
    dead = group["join_code"]
    fresh = people["ann"].post(f"/groups/{group['id']}/join_code/").json()["join_code"]
    details.add(assert_bad_code(people["dee"], dead))
    people["ben"].put("/profiles/dee/block/")
    details.add(assert_bad_code(people["dee"], fresh))
    people["eve"].put("/profiles/cai/block/")
    details.add(assert_bad_code(people["eve"], fresh))
    GroupMembership.objects.bulk_create(
        GroupMembership(group_id=group["id"], user=make_user(f"m{number}")) for number in range(7)
    )
    gus = people["dee"]
    Block.objects.all().delete()
    details.add(assert_bad_code(gus, fresh))

    assert len(details) == 1
    assert fresh != dead
    # Who is in stays in, also in a full group.
    assert people["cai"].post(JOIN, {"join_code": fresh}).status_code == 200


def test_joining_twice_changes_nothing(people, group):
    response = people["ben"].post(JOIN, {"join_code": group["join_code"]})

    assert response.status_code == 200
    assert GroupMembership.objects.count() == 3


def test_tries_of_join_codes_are_limited_for_a_member_and_an_address(people, settings):
    settings.RATE_LIMIT_SCALE = 1

    statuses = [people["ann"].post(JOIN, {"join_code": "x"}).status_code for _ in range(21)]
    others = people["ben"].post(JOIN, {"join_code": "x"})

    assert statuses == [404] * 20 + [429]
    assert others.status_code == 429  # of the same address
    elsewhere = people["ann"].post(JOIN, {"join_code": "x"}, REMOTE_ADDR="198.51.100.7")
    assert elsewhere.status_code == 429  # of the same member


def test_member_of_twenty_groups_learns_nothing_about_codes(people, group):
    dee = User.objects.get(username="dee")
    for number in range(20):
        group_create(user_id=dee.pk, name=f"Group {number}")

    responses = [
        people["dee"].post(JOIN, {"join_code": code}) for code in (group["join_code"], "unknown")
    ]

    assert [each.json()["code"] for each in responses] == ["too_many_groups"] * 2
    assert people["dee"].post("/groups/", {"name": "More"}).json()["code"] == "too_many_groups"


def test_oldest_member_inherits_and_the_last_one_ends_the_group(people, group):
    path = f"/groups/{group['id']}/"

    assert people["ann"].post(f"{path}leave/").status_code == 204
    inherited = people["ben"].get(path).json()
    people["ben"].post(f"{path}leave/")
    people["cai"].post(f"{path}leave/")

    assert (inherited["owner"], inherited["join_code"]) == ("ben", group["join_code"])
    assert not MovieGroup.objects.exists()
    assert_bad_code(people["ann"], group["join_code"])


def test_owner_cannot_remove_themselves(people, group):
    response = people["ann"].delete(f"/groups/{group['id']}/members/ANN/")

    assert (response.status_code, response.json()["code"]) == (403, "oneself")


def test_guests_create_and_join_groups(people, group, client_of):
    guest = client_of(guest_create())

    response = guest.post(JOIN, {"join_code": group["join_code"]})

    assert response.status_code == 200
    assert re.fullmatch(r"guest-.*", get_usernames(response.json())[-1])
    assert create(guest)["owner"] == get_usernames(response.json())[-1]


def test_a_group_read_can_be_edited_and_sent_back(people, group):
    response = people["ann"].patch(f"/groups/{group['id']}/", {**group, "name": "Saturday"})

    assert response.json() == {**group, "name": "Saturday"}
    assert people["ann"].patch(f"/groups/{group['id']}/", {}).status_code == 200


# --- Blocking, deactivation, deletion ------------------------------------------------------------


def test_who_blocks_another_leaves_the_groups_they_share(people, group):
    other = create(people["ben"], "Without cai")
    people["ann"].post(JOIN, {"join_code": other["join_code"]})

    assert people["ben"].put("/profiles/cai/block/").status_code == 204

    assert get_usernames(people["cai"].get(f"/groups/{group['id']}/").json()) == ["ann", "cai"]
    assert people["ben"].get(f"/groups/{group['id']}/").status_code == 404
    assert people["ben"].get(f"/groups/{other['id']}/").status_code == 200


def test_members_who_block_each_other_both_leave(people, group):
    people["ben"].put("/profiles/cai/block/")
    people["cai"].put("/profiles/ann/block/")

    assert get_usernames(people["ann"].get(f"/groups/{group['id']}/").json()) == ["ann"]


def test_member_blocks_a_private_member_of_the_same_group_alone(people, group):
    User.objects.filter(username="cai").update(visibility="private")

    assert people["eve"].put("/profiles/cai/block/").status_code == 404
    assert people["ben"].put("/profiles/cai/block/").status_code == 204
    assert people["ben"].get(f"/groups/{group['id']}/").status_code == 404


def test_deactivated_member_is_absent_at_once_and_the_next_owns_the_group(people, group):
    User.objects.filter(username="ann").update(is_active=False)

    body = people["ben"].get(f"/groups/{group['id']}/").json()

    assert (body["owner"], get_usernames(body)) == ("ben", ["ben", "cai"])
    assert body["join_code"] == group["join_code"]


def test_guest_whose_time_is_over_is_absent(people, group, client_of):
    guest = guest_create()
    client_of(guest).post(JOIN, {"join_code": group["join_code"]})

    User.objects.filter(pk=guest.pk).update(date_joined=timezone.now() - timedelta(days=8))

    assert len(people["ann"].get(f"/groups/{group['id']}/").json()["members"]) == 3


def test_deleted_member_leaves_all_groups(people, group, make_movie):
    movie = make_movie("Alien").pk
    people["ann"].put(f"/groups/{group['id']}/votes/{movie}/", {"vote": "veto"})
    own = create(people["ann"], "Alone")

    response = people["ann"].delete("/profiles/me/", {"password": PASSWORD})

    assert response.status_code == 204
    assert people["ben"].get(f"/groups/{group['id']}/").json()["owner"] == "ben"
    assert not MovieGroup.objects.filter(pk=own["id"]).exists()
    assert not GroupVote.objects.exists()


# --- Votes ---------------------------------------------------------------------------------------


def test_movie_is_decided_when_all_present_members_say_yes(people, group, make_movie):
    movie, path = make_movie("Alien").pk, f"/groups/{group['id']}/votes/"
    clients = [people[name] for name in ("cai", "ann", "ben")]

    bodies = [client.put(f"{path}{movie}/", {"vote": "yes"}).json() for client in clients]

    assert [body["decided"] for body in bodies] == [False, False, True]
    assert bodies[-1]["movie"]["title"] == "Alien"
    assert bodies[-1]["votes"] == [
        {"username": name, "vote": "yes"} for name in ("ann", "ben", "cai")
    ]
    assert people["ben"].get(path).json()["results"] == [bodies[-1]]
    people["ann"].put(f"{path}{movie}/", {"vote": "veto"})
    assert not people["ben"].get(path).json()["results"][0]["decided"]
    people["ann"].post(f"/groups/{group['id']}/leave/")
    assert people["ben"].get(path).json()["results"][0]["decided"]


def test_votes_are_listed_by_movie_the_newest_first_and_can_be_taken_back(
    people, group, make_movie
):
    alien, brazil = make_movie("Alien").pk, make_movie("Brazil").pk
    path = f"/groups/{group['id']}/votes/"
    for movie in (alien, brazil, alien):
        people["ann"].put(f"{path}{movie}/", {"vote": "yes"})

    movies = [each["movie"]["id"] for each in people["ben"].get(path).json()["results"]]

    assert movies == [alien, brazil]
    assert people["ann"].delete(f"{path}{alien}/").status_code == 204
    assert people["ann"].delete(f"{path}{alien}/").status_code == 404
    assert people["ben"].get(path).json()["count"] == 1


def test_votes_have_a_quota_in_each_group(people, group, make_movie, settings):
    settings.MEMBER_QUOTAS = {**settings.MEMBER_QUOTAS, "group_votes": 1}
    alien, brazil = make_movie("Alien").pk, make_movie("Brazil").pk
    path = f"/groups/{group['id']}/votes/"

    statuses = [
        people["ann"].put(f"{path}{movie}/", {"vote": "yes"}).status_code
        for movie in (alien, brazil, alien)
    ]

    assert statuses == [200, 409, 200]


def test_vote_on_an_unknown_movie_is_404(people, group):
    response = people["ann"].put(f"/groups/{group['id']}/votes/999999/", {"vote": "yes"})

    assert response.status_code == 404


# --- Races ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_eleven_at_once_get_ten_places(make_user, client_of, settings):
    settings.RATE_LIMIT_SCALE = 10_000
    group = create(client_of(make_user("ann")))
    clients = [client_of(make_user(f"m{number}")) for number in range(10)]

    responses = run_concurrently(
        *[lambda client=client: client.post(JOIN, {"join_code": group["join_code"]})
          for client in clients]
    )  # fmt: skip

    assert sorted(response.status_code for response in responses) == [200] * 9 + [404]
    assert GroupMembership.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_one_member_joining_many_times_at_once_has_one_place(make_user, client_of, settings):
    settings.RATE_LIMIT_SCALE = 10_000
    group, ben = create(client_of(make_user("ann"))), client_of(make_user("ben"))

    responses = run_concurrently(*[lambda: ben.post(JOIN, {"join_code": group["join_code"]})] * 8)

    assert {response.status_code for response in responses} == {200}
    assert GroupMembership.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_leaving_blocking_joining_and_deleting_at_once_leave_a_consistent_group(
    make_user, client_of, settings
):
    settings.RATE_LIMIT_SCALE = 10_000
    people = {name: client_of(make_user(name)) for name in ("ann", "ben", "cai", "dee")}
    group = create(people["ann"])
    for name in ("ben", "cai"):
        people[name].post(JOIN, {"join_code": group["join_code"]})

    responses = run_concurrently(
        lambda: people["ann"].post(f"/groups/{group['id']}/leave/"),
        lambda: people["ben"].put("/profiles/cai/block/"),
        lambda: people["cai"].put("/profiles/dee/block/"),
        lambda: people["dee"].post(JOIN, {"join_code": group["join_code"]}),
        lambda: people["ben"].delete("/profiles/me/", {"password": PASSWORD}),
    )

    assert max(response.status_code for response in responses) < 500
    members = set(GroupMembership.objects.values_list("user__username", flat=True))
    assert members <= {"cai", "dee"}
    assert members != {"cai", "dee"}  # cai has blocked dee
    assert MovieGroup.objects.exists() == bool(members)
