import pytest

from movies.models import Movie
from social.models import Playlist, PlaylistItem, Rating
from social.services import playlist_create, rating_set


@pytest.fixture
def stored(make_user, make_movie):
    """A rating of one film and a playlist of two."""
    ann, films = make_user("ann"), [make_movie(f"Film {number}") for number in range(2)]
    rating_set(user_id=ann.id, movie_id=films[0].id, score=4, review="Rude words.")
    playlist_create(owner=ann, name="Nights", movie_ids=[film.id for film in films])


@pytest.mark.parametrize("model", ["rating", "playlist", "playlistitem"])
def test_the_pages_open_and_nothing_can_be_added(admin_client, stored, model):
    url = f"/admin/social/{model}/"
    assert admin_client.get(url).status_code == 200
    assert admin_client.get(f"{url}?q=film").status_code == 200
    assert admin_client.get(f"{url}add/").status_code == 403
    objects = {"rating": Rating, "playlist": Playlist, "playlistitem": PlaylistItem}[model].objects
    assert admin_client.get(f"{url}{objects.first().pk}/change/").status_code == 200


def test_a_moderator_blanks_a_review_and_the_score_stays(admin_client, stored):
    rating = Rating.objects.get()
    answer = admin_client.post(
        f"/admin/social/rating/{rating.id}/change/", {"review": "", "score": "1"}
    )
    assert answer.status_code == 302
    rating.refresh_from_db()
    assert (rating.review, rating.score) == ("", 4.0)


@pytest.mark.parametrize("by_action", [False, True])
def test_a_rating_deleted_by_a_moderator_leaves_the_counters_right(admin_client, stored, by_action):
    rating = Rating.objects.get()
    if by_action:
        form = {"action": "delete_selected", "_selected_action": rating.id, "post": "yes"}
        answer = admin_client.post("/admin/social/rating/", form)
    else:
        url = f"/admin/social/rating/{rating.id}/delete/"
        answer = admin_client.post(url, {"post": "yes"})
    assert answer.status_code == 302
    movie = Movie.objects.get(id=rating.movie_id)
    assert (movie.rating_count, movie.rating_sum) == (0, 0.0)


def test_an_item_deleted_by_a_moderator_leaves_no_gap(admin_client, stored):
    first = PlaylistItem.objects.first()
    url = f"/admin/social/playlistitem/{first.id}/delete/"
    assert admin_client.post(url, {"post": "yes"}).status_code == 302
    assert [item.position for item in PlaylistItem.objects.all()] == [1]
    playlist = Playlist.objects.get()
    assert (playlist.movie_count, playlist.version) == (1, 3)
