import pytest

from movies.models import Movie
from social.models import Import, Playlist, PlaylistItem, Rating, ReviewReport
from social.services.follows import follow_set
from social.services.playlists import playlist_create
from social.services.ratings import rating_set


@pytest.fixture
def stored(make_user, make_movie):
    """A rating of one movie and a playlist of two."""
    ann, movies = make_user("ann"), [make_movie(f"Movie {number}") for number in range(2)]
    rating_set(user_id=ann.id, movie_id=movies[0].id, score=4, review="Rude words.")
    playlist_create(owner=ann, name="Nights", movie_ids=[movie.id for movie in movies])


@pytest.mark.parametrize("model", ["rating", "playlist", "playlistitem"])
def test_admin_pages_open_and_adding_is_forbidden(admin_client, stored, model):
    url = f"/admin/social/{model}/"

    assert admin_client.get(url).status_code == 200
    assert admin_client.get(f"{url}?q=movie").status_code == 200
    assert admin_client.get(f"{url}add/").status_code == 403

    objects = {"rating": Rating, "playlist": Playlist, "playlistitem": PlaylistItem}[model].objects

    assert admin_client.get(f"{url}{objects.first().pk}/change/").status_code == 200


def test_a_moderator_can_clear_a_review_but_not_change_the_score(admin_client, stored):
    rating = Rating.objects.get()

    response = admin_client.post(
        f"/admin/social/rating/{rating.id}/change/", {"review": "", "score": "1"}
    )

    assert response.status_code == 302
    rating.refresh_from_db()
    assert (rating.review, rating.score) == ("", 4.0)


@pytest.mark.parametrize("by_action", [False, True])
def test_deleting_a_rating_in_the_admin_updates_the_movie_counters(admin_client, stored, by_action):
    rating = Rating.objects.get()

    if by_action:
        form = {"action": "delete_selected", "_selected_action": rating.id, "post": "yes"}
        response = admin_client.post("/admin/social/rating/", form)
    else:
        url = f"/admin/social/rating/{rating.id}/delete/"
        response = admin_client.post(url, {"post": "yes"})

    assert response.status_code == 302

    movie = Movie.objects.get(id=rating.movie_id)

    assert (movie.rating_count, movie.rating_sum) == (0, 0.0)


def test_deleting_a_playlist_item_in_the_admin_closes_the_gap(admin_client, stored):
    first = PlaylistItem.objects.first()
    url = f"/admin/social/playlistitem/{first.id}/delete/"

    assert admin_client.post(url, {"post": "yes"}).status_code == 302
    assert [item.position for item in PlaylistItem.objects.all()] == [1]

    playlist = Playlist.objects.get()

    assert (playlist.movie_count, playlist.version) == (1, 3)


# --- The moderation queue ------------------------------------------------------------------------

REPORTS = "/admin/social/reviewreport/"


@pytest.fixture
def reported(stored, make_user, client_of):
    """Two reports of the stored review."""
    rating = Rating.objects.get()
    for name in ("bob", "cid"):
        response = client_of(make_user(name)).post(
            f"/ratings/{rating.id}/report/", {"reason": "abuse"}
        )
        assert response.status_code == 201
    return rating


def run_action(admin_client, action, url=REPORTS, model=ReviewReport):
    form = {"action": action, "_selected_action": model.objects.order_by("id").first().id}
    assert admin_client.post(url, form).status_code == 302


def read_states():
    return set(ReviewReport.objects.values_list("state", flat=True))


def test_the_moderation_queue_shows_open_reports_and_is_read_only(admin_client, reported):
    report = ReviewReport.objects.order_by("id").first()

    assert b"Rude words." in admin_client.get(REPORTS).content
    assert admin_client.get(f"{REPORTS}add/").status_code == 403

    page = f"{REPORTS}{report.id}/change/"

    assert admin_client.get(page).status_code == 200
    assert admin_client.post(page, {"state": "dismissed"}).status_code == 403

    run_action(admin_client, "dismiss")

    assert read_states() == {"dismissed"}
    assert b"Rude words." not in admin_client.get(REPORTS).content
    assert b"Rude words." in admin_client.get(f"{REPORTS}?state=dismissed").content
    assert b"Rude words." in admin_client.get(f"{REPORTS}?state=all").content


def test_a_hidden_review_is_shown_only_to_its_author_and_its_score_still_counts(
    admin_client, reported, api, client_of, make_user
):
    ann, movie = reported.user, reported.movie
    fan = make_user("fan")
    follow_set(follower_id=fan.id, followed_id=ann.id)

    run_action(admin_client, "uphold")

    assert read_states() == {"upheld"}

    reviews, ratings, feed = [
        api.get(f"/movies/{movie.id}/reviews/"),
        api.get("/profiles/ann/ratings/"),
        client_of(fan).get("/feed/"),
    ]

    for response in (reviews, ratings, feed):
        assert response.status_code == 200
        assert b"Rude words." not in response.content

    assert reviews.json()["count"] == 0
    assert ratings.json()["results"][0]["score"] == 4.0
    assert {result["kind"] for result in feed.json()["results"]} == {"rated", "published"}
    assert (
        client_of(fan).post(f"/ratings/{reported.id}/report/", {"reason": "spam"}).status_code
        == 404
    )

    own = client_of(ann).get(f"/ratings/{reported.id}/").json()

    assert (own["review"], own["review_hidden"]) == ("Rude words.", True)

    # Editing the review does not show it again.
    client_of(ann).patch(f"/ratings/{reported.id}/", {"review": "Ruder words."})

    assert api.get(f"/movies/{movie.id}/reviews/").json()["count"] == 0
    movie.refresh_from_db()
    assert movie.rating_count == 1

    run_action(admin_client, "restore", "/admin/social/rating/", Rating)

    assert read_states() == {"dismissed"}
    assert api.get(f"/movies/{movie.id}/reviews/").json()["count"] == 1

    run_action(admin_client, "hide", "/admin/social/rating/", Rating)

    assert api.get(f"/movies/{movie.id}/reviews/").json()["count"] == 0


def test_publishing_a_playlist_in_the_admin_sets_its_publication_time(
    admin_client, stored, make_user
):
    playlist = Playlist.objects.get()
    Playlist.objects.update(visibility="private", published_at=None)
    form = {"name": "Evenings", "description": "", "visibility": "public"}

    response = admin_client.post(f"/admin/social/playlist/{playlist.id}/change/", form)

    assert response.status_code == 302
    playlist.refresh_from_db()
    assert (playlist.name, playlist.visibility) == ("Evenings", "public")
    assert playlist.published_at is not None


def test_a_report_page_shows_the_full_review_and_its_author(admin_client, stored, make_user):
    rating = Rating.objects.get()
    review = "Rude words. " * 30
    Rating.objects.filter(pk=rating.pk).update(review=review)
    report = ReviewReport.objects.create(rating=rating, reporter=make_user("bob"), reason="abuse")

    page = admin_client.get(f"/admin/social/reviewreport/{report.pk}/change/").content.decode()

    assert review.strip() in page
    assert "ann" in page


def test_the_admin_shows_why_an_import_failed_and_is_read_only(admin_client, make_user):
    failed = Import.objects.create(
        user=make_user("ann"), format="imdb", state="failed", step="", reason="The ZIP is cut off."
    )
    url = "/admin/social/import/"

    assert "The ZIP is cut off." in admin_client.get(f"{url}?q=ann").content.decode()
    assert admin_client.get(f"{url}{failed.pk}/change/").status_code == 200
    assert admin_client.post(f"{url}{failed.pk}/change/", {"state": "ready"}).status_code == 403
    assert admin_client.get(f"{url}add/").status_code == 403
