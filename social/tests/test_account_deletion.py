import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry

from accounts.models import TokenFamily, User
from movies.models import Movie
from nexus.dev.pytest_plugin import PASSWORD
from social.models import Block, Follow, Playlist, Rating
from social.services.follows import block_set, follow_set
from social.services.ratings import rating_set
from social.tests.helpers import run_concurrently

pytestmark = pytest.mark.django_db


def test_deleting_an_account_deletes_its_data_and_subtracts_its_ratings(
    make_user, make_movie, client_of
):
    ann, bob = make_user("ann"), make_user("bob")
    movies = [make_movie("Alien"), make_movie("Up")]
    for movie in movies:
        rating_set(user_id=ann.pk, movie_id=movie.pk, score=5.0)
    rating_set(user_id=bob.pk, movie_id=movies[0].pk, score=2.0)
    api = client_of(ann)
    api.post("/playlists/", {"name": "Mine", "movie_ids": [movies[0].pk]})

    response = api.delete("/profiles/me/", {"password": PASSWORD})

    assert response.status_code == 204
    assert not User.objects.filter(username="ann").exists()
    assert list(Rating.objects.values_list("user__username", flat=True)) == ["bob"]
    assert not Playlist.objects.exists()
    assert not TokenFamily.objects.exists()

    counts = Movie.objects.order_by("id").values_list("rating_count", "rating_sum", "average_score")

    assert list(counts) == [(1, 2.0, 2.0), (0, 0.0, None)]
    assert api.get("/profiles/me/").status_code == 401


@pytest.mark.parametrize("body", [{}, {"password": ""}, {"password": "wrong"}, {"password": None}])
def test_deleting_an_account_requires_the_password(make_user, client_of, body):
    response = client_of(make_user("ann")).delete("/profiles/me/", body)

    assert response.status_code == 400
    assert "password" in response.json()["errors"]
    assert User.objects.count() == 1


def test_deletions_of_an_address_are_rate_limited(make_user, client_of, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "account_deletion": (2, 3600)}
    clients = [client_of(make_user(name)) for name in ("ann", "bob", "cyd")]

    statuses = [
        client.delete("/profiles/me/", {"password": PASSWORD}).status_code for client in clients
    ]

    assert statuses == [204, 204, 429]
    assert User.objects.count() == 1


def test_wrong_passwords_for_account_deletion_are_rate_limited(make_user, client_of):
    api = client_of(make_user("ann"))

    statuses = [
        api.delete("/profiles/me/", {"password": f"guess {n}"}).status_code for n in range(12)
    ]

    assert statuses == [400] * 10 + [429] * 2


def test_deleting_an_account_leaves_no_reference_to_it(make_user, make_movie, client_of):
    ann, bob = make_user("ann"), make_user("bob")
    client = client_of(ann)
    movie, cid = make_movie("Alien"), make_user("cid")
    for follower, followed in ((ann, bob), (bob, ann), (cid, ann), (bob, cid)):
        follow_set(follower_id=follower.pk, followed_id=followed.pk)
    block_set(blocker_id=ann.pk, blocked_id=make_user("dan").pk)
    review = client_of(bob).post("/ratings/", {"movie": movie.pk, "score": 2, "review": "Dull."})
    client.post("/ratings/", {"movie": movie.pk, "score": 5})
    client.post("/watchlist/", {"movie": movie.pk})
    client.post("/history/", {"movie": movie.pk})
    client.post(f"/ratings/{review.json()['id']}/report/", {"reason": "spam"})

    assert client.delete("/profiles/me/", {"password": PASSWORD}).status_code == 204

    follows = Follow.objects.values_list("follower__username", "followed__username")

    assert list(follows) == [("bob", "cid")]
    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_sum) == (1, 2.0)

    remaining = {
        relation.related_model._meta.label: relation.related_model.objects.filter(
            **{relation.field.name: ann.pk}
        ).count()
        for relation in User._meta.related_objects
    }

    assert set(remaining.values()) == {0}


@pytest.mark.django_db(transaction=True)
def test_accounts_can_be_deleted_while_others_follow_them(make_user, client_of):
    leaving = [make_user(f"leaver{number}") for number in range(3)]
    staying = [make_user(f"stayer{number}") for number in range(5)]
    calls = [
        lambda client=client: client.delete("/profiles/me/", {"password": PASSWORD})
        for client in map(client_of, leaving)
    ]
    calls += [
        lambda client=client, other=other: client.put(f"/profiles/{other.username}/follow/")
        for client in map(client_of, staying)
        for other in leaving
    ]

    responses = run_concurrently(*calls)

    assert {response.status_code for response in responses} <= {204, 404}
    assert not User.objects.filter(username__startswith="leaver").exists()
    assert not Follow.objects.exists()


def test_deleting_an_account_deletes_the_admin_log_entries_that_name_it(
    make_user, client_of, admin_user
):
    ann, bob = make_user("ann"), make_user("bob")
    client = client_of(ann)
    for user in (ann, bob):
        LogEntry.objects.log_actions(admin_user.pk, [user], CHANGE)
    LogEntry.objects.log_actions(admin_user.pk, list(ann.token_families.all()), DELETION)

    assert client.delete("/profiles/me/", {"password": PASSWORD}).status_code == 204
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["bob"]


@pytest.mark.django_db(transaction=True)
def test_members_who_follow_and_block_each_other_can_be_deleted_concurrently(make_user, client_of):
    members = [make_user(f"member{number}") for number in range(6)]
    Follow.objects.bulk_create(
        Follow(follower=follower, followed=followed)
        for follower in members
        for followed in members
        if follower != followed
    )
    Block.objects.bulk_create(
        Block(blocker=blocker, blocked=blocked)
        for blocker in members
        for blocked in members
        if blocker != blocked
    )
    calls = [
        lambda client=client: client.delete("/profiles/me/", {"password": PASSWORD})
        for client in map(client_of, members)
    ]

    responses = run_concurrently(*calls)

    assert [response.status_code for response in responses] == [204] * 6
    assert not User.objects.filter(username__startswith="member").exists()
