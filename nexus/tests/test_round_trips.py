"""What a client has read it can edit and send back."""

import pytest


@pytest.fixture
def member(make_user, client_of):
    return client_of(make_user("ann"))


def put_back(member, path, **changes):
    """Read a resource, change fields of it, and send all of it back by PUT and by PATCH."""
    read = member.get(path)
    assert read.status_code == 200, read.content
    edited = {**read.json(), **changes}
    for send in (member.put, member.patch):
        response = send(path, edited)
        assert response.status_code == 200, response.json()
    ignored = {"updated_at"}
    written = member.get(path).json()
    assert {name: written[name] for name in written.keys() - ignored} == {
        name: edited[name] for name in edited.keys() - ignored
    }


def test_a_profile_can_be_read_edited_and_put(member):
    put_back(member, "/profiles/me/", bio="Late shows.", favorite_genres=["Drama"])


def test_a_rating_can_be_read_edited_and_put(member, make_movie):
    body = {"movie": make_movie("Alien").pk, "score": 4, "review": "Quiet."}
    rating = member.post("/ratings/", body).json()["id"]
    member.get(f"/ratings/{rating}/")

    put_back(member, f"/ratings/{rating}/", review="Quiet terror.", contains_spoilers=True)


def test_a_rating_put_with_another_movie_is_refused(member, make_movie):
    rating = member.post("/ratings/", {"movie": make_movie("Alien").pk, "score": 4}).json()
    other = make_movie("Brazil").pk

    for movie in (other, {"id": other}, {"id": "x"}, {}):
        response = member.put(f"/ratings/{rating['id']}/", {**rating, "movie": movie})

        assert response.status_code == 400
        assert list(response.json()["errors"]) == ["movie"]


def test_a_playlist_can_be_read_edited_and_put(member, make_movie):
    body = {"name": "Nights", "movie_ids": [make_movie("Alien").pk]}
    playlist = member.post("/playlists/", body).json()["id"]

    put_back(member, f"/playlists/{playlist}/", name="Long nights", description="Dark.")


def test_a_watchlist_item_can_be_put_back(member, make_movie):
    movie = make_movie("Alien").pk
    item = member.post("/watchlist/", {"movie": movie}).json()

    response = member.put(f"/watchlist/{movie}/", item)

    assert (response.status_code, response.json()) == (200, item)


def test_read_only_fields_do_not_change(member, make_movie):
    playlist = member.post("/playlists/", {"name": "Nights"}).json()
    changes = {"owner": "somebody", "movie_count": 7, "created_at": "2001-01-01T00:00:00Z"}

    response = member.put(f"/playlists/{playlist['id']}/", {**playlist, **changes})

    assert response.status_code == 200
    assert {name: response.json()[name] for name in changes} == {
        name: playlist[name] for name in changes
    }
