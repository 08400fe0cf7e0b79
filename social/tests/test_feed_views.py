from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from movies.models import Movie
from social.models import Follow, Playlist, Rating
from social.queries import FEED_PAGE_SQL
from social.selectors.feed import FEED_START, PUBLISHED, RATED, REVIEWED
from social.services.follows import follow_set


@pytest.fixture
def bob(make_user):
    return make_user("Bob")


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


def read_events(response):
    assert response.status_code == 200
    return [
        (
            result["kind"],
            result["user"],
            result["rating"]["movie"]["title"] if result["rating"] else result["playlist"]["name"],
        )
        for result in response.json()["results"]
    ]


def test_the_feed_lists_events_of_followed_members_newest_first(
    client, ann, bob, make_user, client_of, make_movie
):
    cid = make_user("cid")
    movies = [make_movie(title) for title in ("Alien", "Brazil", "Casablanca")]
    for followed in (bob, cid):
        follow_set(follower_id=ann.pk, followed_id=followed.pk)
    bob_client, cid_client = client_of(bob), client_of(cid)
    first = bob_client.post("/ratings/", {"movie": movies[0].pk, "score": 4}).json()["id"]
    cid_client.post("/ratings/", {"movie": movies[1].pk, "score": 4, "review": "Odd."})
    drafts = {"name": "Drafts", "visibility": "private"}
    private_id = bob_client.post("/playlists/", drafts).json()["id"]
    bob_client.post("/playlists/", {"name": "Nights", "movie_ids": [movies[2].pk]})
    bob_client.patch(f"/ratings/{first}/", {"review": "Tense after all."})
    client.post("/ratings/", {"movie": movies[2].pk, "score": 1})
    expected = [
        ("reviewed", "Bob", "Alien"),
        ("published", "Bob", "Nights"),
        ("reviewed", "cid", "Brazil"),
        ("rated", "Bob", "Alien"),
    ]

    response = client.get("/feed/")

    assert read_events(response) == expected
    page = response.json()
    assert (page["count"], page["next"], page["previous"]) == (4, None, None)
    assert set(page["results"][0]) == {"id", "kind", "at", "user", "rating", "playlist"}
    assert page["results"][1]["playlist"]["seen_count"] == 1
    assert response["Cache-Control"] == "private, no-store"

    bob_client.patch(f"/playlists/{private_id}/", {"visibility": "public"})

    assert read_events(client.get("/feed/"))[0] == ("published", "Bob", "Drafts")

    bob_client.patch(f"/playlists/{private_id}/", {"visibility": "private"})

    bob_client.patch(f"/ratings/{first}/", {"review": ""})

    assert read_events(client.get("/feed/")) == expected[1:]

    User.objects.filter(pk=bob.pk).update(visibility="private")

    assert read_events(client.get("/feed/")) == expected[2:3]

    client.put("/profiles/cid/block/")

    assert client.get("/feed/").json()["results"] == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_feed_pages_neither_skip_nor_repeat_events_of_the_same_moment(
    client, ann, make_user, make_movie, size
):
    movies = [make_movie(f"Movie {number}") for number in range(3)]
    users = [make_user(f"member{number}") for number in range(4)]
    Follow.objects.bulk_create(Follow(follower=ann, followed=user) for user in users)
    moments = [ann.date_joined, ann.date_joined.replace(year=2020)]
    Rating.objects.bulk_create(
        Rating(
            user=user,
            movie=movie,
            score=3,
            review="Words.",
            created_at=moments[number % 2],
            updated_at=moments[0],
            reviewed_at=moments[0],
        )
        for user in users
        for number, movie in enumerate(movies)
    )
    Playlist.objects.bulk_create(
        Playlist(owner=user, name="Nights", published_at=moments[0]) for user in users
    )
    url, collected = f"/feed/?page_size={size}", []

    while url:
        page = client.get(url).json()
        assert page["count"] == 28
        collected += page["results"]
        url = page["next"]

    assert len({event["id"] for event in collected}) == len(collected) == 28
    assert all(one["at"] >= other["at"] for one, other in pairwise(collected))


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=WzFd",
        "cursor=WyIyMDIwLTAxLTAxIiwgInJhdGVkIiwgIngiXQ",
        "page=1",
        "page_size=0",
    ],
)
def test_an_invalid_feed_parameter_is_rejected_by_name(client, query):
    response = client.get(f"/feed/?{query}")

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {query.split("=")[0]}


@pytest.fixture
def followed_ids(ann):
    """A hundred followed members and a hundred others, each with forty ratings."""
    users = User.objects.bulk_create(
        User(username=f"member{number}", email=f"m{number}@example.org") for number in range(200)
    )
    movies = Movie.objects.bulk_create(
        Movie(title=f"Movie {number}", sort_title="movie", search_vector="") for number in range(40)
    )
    now = timezone.now()
    Rating.objects.bulk_create(
        Rating(user=user, movie=movie, score=3, created_at=when, updated_at=when)
        for number, user in enumerate(users)
        for step, movie in enumerate(movies)
        for when in [now - timedelta(minutes=number + 300 * step)]
    )
    Playlist.objects.bulk_create(
        Playlist(owner=user, name="Nights", published_at=now - timedelta(minutes=number))
        for number, user in enumerate(users)
    )
    Follow.objects.bulk_create(Follow(follower=ann, followed=user) for user in users[:100])
    with connection.cursor() as cursor:
        # Without statistics the planner assumes empty tables.
        cursor.execute(
            "ANALYZE social_rating, social_playlist, social_follow, movies_movie, accounts_user"
        )
    return [user.pk for user in users[:100]]


def test_the_feed_query_reads_one_row_per_member_and_pages_of_the_newest_ten(followed_ids):
    params = {
        "members": followed_ids,
        "before": FEED_START.at,
        "rated_before": FEED_START.get_id_bound(RATED),
        "reviewed_before": FEED_START.get_id_bound(REVIEWED),
        "published_before": FEED_START.get_id_bound(PUBLISHED),
        "limit": 10,
    }
    with connection.cursor() as cursor:
        # Force the plan of large tables: for small ones, reading and sorting all rows is as cheap.
        for method in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{method} = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {FEED_PAGE_SQL}", params)
        nodes = [cursor.fetchone()[0][0]["Plan"]]
    reads = {}

    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        assert node["Node Type"] != "Seq Scan"
        if "Index Name" in node:
            rows = node["Actual Rows"] * node["Actual Loops"]
            reads.setdefault(node["Index Name"], []).append((node["Actual Loops"], round(rows)))

    # One row of each of the hundred members, then ten rows of each of the ten newest.
    assert sorted(reads["rating_user_newest"]) == [(10, 100), (100, 100)]
    assert {loops for loops, _ in reads["playlist_owner_published"]} == {10, 100}
    assert set(reads) == {"rating_user_newest", "rating_user_reviewed", "playlist_owner_published"}


def test_a_feed_page_takes_a_fixed_number_of_queries(
    client, followed_ids, django_assert_num_queries
):
    # The session, the followed members, the count, the page, its ratings, its playlists, and the
    # seen counts of the playlists.
    with django_assert_num_queries(7):
        assert client.get("/feed/").json()["count"] == 4100
    with django_assert_num_queries(7):
        client.get("/feed/?page_size=100")
