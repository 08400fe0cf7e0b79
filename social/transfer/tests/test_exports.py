"""The archive of everything a member owns, and its way back in."""

import csv
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from movies.models import Movie
from social.models import Block, Follow, Playlist, PlaylistItem, Rating, Viewing, WatchlistItem
from social.services.account_deletion import account_delete
from social.services.follows import block_set, follow_set
from social.services.playlists import playlist_create
from social.transfer.formats.csv_reader import escaped, unescaped
from social.transfer.tests.test_imports import done, sent

MOMENT = datetime(2020, 2, 3, 4, 5, 6, 789012, UTC)


def exported(client):
    answer = client.get("/exports/")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/zip"
    return b"".join(answer.streaming_content)


def files_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
def world(make_user, make_movie):
    """A member with some of everything, odd texts included."""
    films = [
        make_movie("Alien", release_year=1979),
        make_movie("Amélie, “le” film", release_year=2001, imdb_id="tt0211915"),
        make_movie("=HYPERLINK(1)", release_year=2002),
    ]
    # One that only this catalogue has an id for, and two of the same name and year.
    films += [
        Movie.objects.create(title=title, release_year=1990, sort_title="twins")
        for title in ("Twins", "Twins")
    ]
    films[3].release_year = 1991
    films[3].save()
    ann = make_user(
        "ann",
        display_name="Ann  O’Hara",
        bio="Films\nand\ttea.",
        avatar_url="https://example.org/a.png",
        favorite_genres=["Horror", "Drama"],
        visibility="private",
    )
    bob, eve = make_user("bob"), make_user("Eve")
    Rating.objects.bulk_create(
        Rating(
            user=ann,
            movie=film,
            score=(number % 9 + 2) / 2,
            review=["", "=1+1", "'=quoted", 'Two\nlines, “quotes” and "more".', " spaced "][number],
            contains_spoilers=number == 3,
            created_at=MOMENT + timedelta(days=number),
            updated_at=MOMENT + timedelta(days=number, microseconds=number),
            reviewed_at=MOMENT if number == 1 else None,
        )
        for number, film in enumerate(films)
    )
    WatchlistItem.objects.create(user=ann, movie=films[0], added_at=MOMENT)
    Viewing.objects.bulk_create(
        Viewing(user=ann, movie=films[0], watched_at=MOMENT + timedelta(hours=hours))
        for hours in (0, 1, 30)
    )
    for number, visibility in enumerate(("public", "unlisted", "private")):
        made = playlist_create(
            owner=ann,
            name="Nights",
            description=f"-{number}",
            visibility=visibility,
            movie_ids=[film.pk for film in films[number:][::-1]],
        )
        PlaylistItem.objects.filter(playlist=made, movie=films[-1]).update(note="@home")
        Playlist.objects.filter(id=made.id).update(created_at=MOMENT + timedelta(days=number))
    playlist_create(owner=ann, name="+empty")
    follow_set(follower_id=ann.pk, followed_id=bob.pk)
    block_set(blocker_id=ann.pk, blocked_id=eve.pk)
    return ann, films


def test_export_import_and_export_again_is_identical(world, make_user, client_of):
    ann, films = world
    first = exported(client_of(ann))
    assert exported(client_of(ann)) == first
    carl = make_user("carl")
    client = client_of(carl)
    made = sent(client, first, "nexus-export.zip")
    assert made["state"] == "ready"
    assert set(made["verdicts"]) >= {"matched"}
    assert made["verdicts"]["matched"] == len(made["rows"]["results"]) == 28
    made = done(client, made, "apply")
    assert made["outcomes"]["created"] + made["outcomes"]["updated"] == 28
    second = files_of(exported(client))
    before = files_of(first)
    assert json.loads(before.pop("account.json"))[0]["username"] == "ann"
    assert json.loads(second.pop("account.json"))[0]["username"] == "carl"
    assert second == before
    films[0].refresh_from_db()
    assert (films[0].rating_count, films[0].rating_sum) == (1, 1.0)
    bob = Follow.objects.get(follower=carl).followed
    assert (bob.username, bob.follows_received.count()) == ("bob", 2)
    # Once more changes nothing, and undoing leaves an empty account.
    again = sent(client, first + b"", "again.zip")
    assert again["verdicts"]["unchanged"] == 28
    again = done(client, again, "apply")
    assert again["outcomes"] == {**dict.fromkeys(again["outcomes"], 0), "unchanged": 28}
    assert files_of(exported(client))["ratings.json"] == before["ratings.json"]
    done(client, made, "undo")
    carl.refresh_from_db()
    assert (carl.display_name, carl.visibility) == ("", "public")
    assert not carl.follows_made.exists()
    for model, owner in (
        (Rating, "user"),
        (Viewing, "user"),
        (WatchlistItem, "user"),
        (Playlist, "owner"),
    ):
        assert not model.objects.filter(**{owner: carl}).exists()
    assert not Block.objects.filter(blocker=carl).exists()


def test_an_export_is_what_the_member_has(world, client_of):
    ann, films = world
    files = files_of(exported(client_of(ann)))
    assert json.loads(files["nexus-export.json"]) == {"format": "nexus-export", "version": 1}
    ratings = json.loads(files["ratings.json"])
    assert ratings[1] == {
        "movie": {
            "id": films[1].pk,
            "tmdb_id": films[1].tmdb_id,
            "imdb_id": "tt0211915",
            "title": "Amélie, “le” film",
            "year": 2001,
        },
        "score": 1.5,
        "review": "=1+1",
        "contains_spoilers": False,
        "rated_at": "2020-02-04T04:05:06.789012Z",
        "updated_at": "2020-02-04T04:05:06.789013Z",
        "reviewed_at": "2020-02-03T04:05:06.789012Z",
    }
    rows = list(csv.DictReader(io.StringIO(files["letterboxd.csv"], newline="")))
    assert (rows[0]["Title"], rows[0]["Rating"], rows[0]["WatchedDate"]) == (
        "Alien",
        "1",
        "2020-02-04",
    )
    assert [row["WatchedDate"] for row in rows if row["Title"] == "Alien"] == [
        "2020-02-04",
        "2020-02-03",
        "2020-02-03",
    ]
    assert json.loads(files["following.json"])[0]["username"] == "bob"
    assert json.loads(files["blocks.json"])[0]["username"] == "Eve"


def test_no_cell_of_an_export_is_a_formula(world, client_of):
    ann, _ = world
    files = files_of(exported(client_of(ann)))
    cells = [
        cell
        for name, text in files.items()
        if name.endswith(".csv")
        for row in csv.reader(io.StringIO(text, newline=""))
        for cell in row
    ]
    assert "'=HYPERLINK(1)" in cells
    assert "''=quoted" in cells
    assert [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")] == []


@pytest.mark.parametrize(
    "text", ["", "a", "'", "=1", "'=1", "''=1", "-", "'a", "\t", "@x", "''", "+", "'\r"]
)
def test_what_is_escaped_is_unescaped_again(text):
    assert unescaped(escaped(text)) == text


def test_each_table_of_an_export_can_be_sent_alone(world, make_user, client_of):
    ann, _ = world
    files = files_of(exported(client_of(ann)))
    client = client_of(make_user("carl"))
    for name, rows in (("ratings", 5), ("history", 3), ("watchlist", 1), ("playlists", 6)):
        made = sent(client, files[f"{name}.csv"], f"{name}.csv")
        assert made["format"] == "nexus"
        assert made["verdicts"]["matched"] == rows, made["rows"]["results"]
        done(client, made, "apply")
    again = files_of(exported(client))
    assert again["history.json"] == files["history.json"]
    assert again["watchlist.json"] == files["watchlist.json"]
    reviews = [each["review"] for each in json.loads(files["ratings.json"])]
    assert [each["review"] for each in json.loads(again["ratings.json"])] == [
        each.strip() for each in reviews
    ]
    made = sent(client, files["letterboxd.csv"], "letterboxd.csv")
    assert made["format"] == "letterboxd"
    assert made["verdicts"]["invalid"] == made["verdicts"]["missing"] == 0


def test_an_export_takes_a_fixed_number_of_queries(world, client_of, django_assert_num_queries):
    ann, films = world
    client = client_of(ann)
    exported(client)
    with django_assert_num_queries(QUERIES):
        exported(client)
    WatchlistItem.objects.create(user=ann, movie=films[1])
    Playlist.objects.create(owner=ann, name="More")
    with django_assert_num_queries(QUERIES):
        exported(client)


QUERIES = 18


def test_who_is_gone_or_hidden_is_in_no_export(world, client_of):
    ann, _ = world
    bob = Follow.objects.get(follower=ann).followed
    bob.visibility = "private"
    bob.save()
    assert json.loads(files_of(exported(client_of(ann)))["following.json"]) == []
    account_delete(user=bob)
    assert json.loads(files_of(exported(client_of(ann)))["following.json"]) == []


def test_exports_are_limited(make_user, client_of, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "export": (2, 3600)}
    client = client_of(make_user("ann"))
    assert [client.get("/exports/").status_code for _ in range(3)] == [200, 200, 429]
