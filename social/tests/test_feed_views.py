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
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def bob(make_user):
    return make_user("Bob")


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


def told(answer):
    assert answer.status_code == 200
    return [
        (
            each["kind"],
            each["user"],
            (each["rating"] or {}).get("movie", each["playlist"]).get("title")
            or each["playlist"]["name"],
        )
        for each in answer.json()["results"]
    ]


def test_the_feed_tells_newest_first_what_those_followed_did(
    client, ann, bob, make_user, client_of, make_movie
):
    cid = make_user("cid")
    films = [make_movie(title) for title in ("Alien", "Brazil", "Casablanca")]
    for followed in (bob, cid):
        follow_set(follower_id=ann.pk, followed_id=followed.pk)
    him, other = client_of(bob), client_of(cid)
    first = him.post("/ratings/", {"movie": films[0].pk, "score": 4}).json()["id"]
    other.post("/ratings/", {"movie": films[1].pk, "score": 4, "review": "Odd."})
    secret = him.post("/playlists/", {"name": "Drafts", "visibility": "private"}).json()["id"]
    him.post("/playlists/", {"name": "Nights", "movie_ids": [films[2].pk]})
    him.patch(f"/ratings/{first}/", {"review": "Tense after all."})
    client.post("/ratings/", {"movie": films[2].pk, "score": 1})
    expected = [
        ("reviewed", "Bob", "Alien"),
        ("published", "Bob", "Nights"),
        ("reviewed", "cid", "Brazil"),
        ("rated", "Bob", "Alien"),
    ]
    answer = client.get("/feed/")
    assert told(answer) == expected
    assert (answer.json()["count"], answer.json()["next"], answer.json()["previous"]) == (
        4,
        None,
        None,
    )
    assert set(answer.json()["results"][0]) == {"id", "kind", "at", "user", "rating", "playlist"}
    assert answer.json()["results"][1]["playlist"]["seen_count"] == 1
    assert answer["Cache-Control"] == "private, no-store"

    him.patch(f"/playlists/{secret}/", {"visibility": "public"})
    assert told(client.get("/feed/"))[0] == ("published", "Bob", "Drafts")
    him.patch(f"/playlists/{secret}/", {"visibility": "private"})
    him.patch(f"/ratings/{first}/", {"review": ""})
    assert told(client.get("/feed/")) == expected[1:]
    User.objects.filter(pk=bob.pk).update(visibility="private")
    assert told(client.get("/feed/")) == expected[2:3]
    client.put("/profiles/cid/block/")
    assert client.get("/feed/").json()["results"] == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_of_a_feed_miss_and_repeat_nothing_even_of_one_moment(
    client, ann, make_user, make_movie, size
):
    films = [make_movie(f"Film {number}") for number in range(3)]
    users = [make_user(f"member{number}") for number in range(4)]
    Follow.objects.bulk_create(Follow(follower=ann, followed=user) for user in users)
    moments = [ann.date_joined, ann.date_joined.replace(year=2020)]
    Rating.objects.bulk_create(
        Rating(
            user=user,
            movie=film,
            score=3,
            review="Words.",
            created_at=moments[number % 2],
            updated_at=moments[0],
            reviewed_at=moments[0],
        )
        for user in users
        for number, film in enumerate(films)
    )
    Playlist.objects.bulk_create(
        Playlist(owner=user, name="Nights", published_at=moments[0]) for user in users
    )
    url, seen = f"/feed/?page_size={size}", []
    while url:
        page = client.get(url).json()
        assert page["count"] == 28
        seen += page["results"]
        url = page["next"]
    assert len({each["id"] for each in seen}) == len(seen) == 28
    assert all(one["at"] >= other["at"] for one, other in pairwise(seen))


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
def test_a_malformed_parameter_of_the_feed_is_400_and_named(client, query):
    answer = client.get(f"/feed/?{query}")
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {query.split("=")[0]}


@pytest.fixture
def crowd(ann):
    """A hundred followed members, and as many others, with forty ratings each."""
    users = User.objects.bulk_create(
        User(username=f"member{number}", email=f"m{number}@example.org") for number in range(200)
    )
    movies = Movie.objects.bulk_create(
        Movie(title=f"Film {number}", sort_title="film", search_vector="") for number in range(40)
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
        # As autovacuum would have by then; the planner takes an unknown table for an empty one.
        cursor.execute(
            "ANALYZE social_rating, social_playlist, social_follow, movies_movie, accounts_user"
        )
    return [user.pk for user in users[:100]]


def test_a_feed_reads_one_row_of_each_followed_member_and_pages_of_few(crowd):
    params = {
        "members": crowd,
        "before": FEED_START.at,
        "rated_before": FEED_START.id_bound(RATED),
        "reviewed_before": FEED_START.id_bound(REVIEWED),
        "published_before": FEED_START.id_bound(PUBLISHED),
        "limit": 10,
    }
    with connection.cursor() as cursor:
        # The plan of large tables: these are so small that to read and sort all is no dearer.
        for other in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{other} = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {FEED_PAGE_SQL}", params)
        nodes = [cursor.fetchone()[0][0]["Plan"]]
    read = {}
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        assert node["Node Type"] != "Seq Scan"
        if "Index Name" in node:
            rows = node["Actual Rows"] * node["Actual Loops"]
            read.setdefault(node["Index Name"], []).append((node["Actual Loops"], round(rows)))
    # One step for each of the hundred, then ten rows of each of the ten newest.
    assert sorted(read["rating_user_newest"]) == [(10, 100), (100, 100)]
    assert {loops for loops, _ in read["playlist_owner_published"]} == {10, 100}
    assert set(read) == {"rating_user_newest", "rating_user_reviewed", "playlist_owner_published"}


def test_a_page_of_the_feed_takes_a_fixed_number_of_queries(
    client, crowd, django_assert_num_queries
):
    # The session, whom the caller follows, the count, the page, its ratings, its lists, and of the
    # lists what the caller has seen.
    with django_assert_num_queries(7):
        assert client.get("/feed/").json()["count"] == 4100
    with django_assert_num_queries(7):
        client.get("/feed/?page_size=100")
