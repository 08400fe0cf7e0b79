import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from movies.models import Movie
from social.models import (
    HiddenReview,
    Import,
    MovieGroup,
    Playlist,
    PlaylistItem,
    Rating,
    ReviewReport,
)
from social.services.follows import follow_set
from social.services.groups import group_create, group_join, vote_set
from social.services.moderation import review_hide, review_report
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


def test_a_review_that_a_moderator_deleted_is_hidden_when_it_is_posted_again(
    admin_client, stored, client_of, api
):
    rating = Rating.objects.get()
    author, movie_id = rating.user, rating.movie_id

    admin_client.post(f"/admin/social/rating/{rating.pk}/delete/", {"post": "yes"})
    body = {"movie": movie_id, "score": 4, "review": "Rude words."}
    posted = client_of(author).post("/ratings/", body)

    assert (posted.status_code, posted.json()["review_hidden"]) == (201, True)
    assert api.get(f"/movies/{movie_id}/reviews/").json()["count"] == 0


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


def act_on_page(admin_client, instance, action):
    """Press a button on the page of an object; return the page that follows."""
    label = instance._meta.label_lower.replace(".", "/")
    url = f"/admin/{label}/{instance.pk}/change/"
    return admin_client.post(url, {"_action": action}, follow=True).content.decode()


def test_the_report_page_hides_the_review_and_says_so(admin_client, reported):
    report = ReviewReport.objects.first()

    page = act_on_page(admin_client, report, "uphold")

    assert "1 review hidden, 2 reports upheld." in page
    assert "Unchanged, hidden since" in page
    assert read_states() == {"upheld"}
    reported.refresh_from_db()
    assert reported.hidden_at is not None
    assert "0 reviews hidden, 0 reports upheld. 1 review had been hidden before." in act_on_page(
        admin_client, report, "uphold"
    )


def test_the_report_page_dismisses_the_reports_and_says_so(admin_client, reported):
    page = act_on_page(admin_client, ReviewReport.objects.first(), "dismiss")

    assert "2 reports dismissed. The reviews did not change." in page
    assert read_states() == {"dismissed"}
    reported.refresh_from_db()
    assert reported.hidden_at is None


def test_the_report_page_shows_the_review_again_and_says_so(admin_client, reported):
    report = ReviewReport.objects.first()
    act_on_page(admin_client, report, "uphold")

    page = act_on_page(admin_client, report, "restore")

    assert "1 review shown again, 2 reports dismissed." in page
    reported.refresh_from_db()
    assert reported.hidden_at is None


def test_the_list_of_reports_says_what_its_actions_did(admin_client, reported):
    form = {
        "action": "uphold",
        "_selected_action": list(ReviewReport.objects.values_list("id", flat=True)),
    }

    page = admin_client.post(REPORTS, form, follow=True).content.decode()

    assert "1 review hidden, 2 reports upheld." in page


def read_log():
    return [
        (entry.user.username, entry.object_repr, entry.change_message)
        for entry in LogEntry.objects.order_by("id")
    ]


@pytest.mark.parametrize("by_page", [False, True])
def test_a_decision_about_a_report_is_in_the_admins_log_without_the_members_words(
    admin_client, reported, by_page
):
    report = ReviewReport.objects.order_by("id").first()

    if by_page:
        act_on_page(admin_client, report, "dismiss")
    else:
        run_action(admin_client, "dismiss")

    text = "Leave the review and dismiss all reports of it."
    assert read_log() == [("admin", f"Report {report.pk} (abuse)", text)]
    history = admin_client.get(f"{REPORTS}{report.pk}/history/").content.decode()
    assert text in history


def test_hiding_and_showing_reviews_and_playlists_is_in_the_admins_log(admin_client, stored):
    rating, playlist = Rating.objects.get(), Playlist.objects.get()

    act_on_page(admin_client, rating, "hide")
    hidden = HiddenReview.objects.get()
    act_on_page(admin_client, hidden, "restore")
    act_on_page(admin_client, playlist, "hide")

    assert read_log() == [
        ("admin", f"Rating {rating.pk}", "Hide the review from everybody but its author."),
        (
            *("admin", f"Hidden review {hidden.pk}"),
            "Show what the member writes about the movie again.",
        ),
        (
            *("admin", f"Playlist {playlist.pk}"),
            "Make the playlist private and keep its owner from sharing it.",
        ),
    ]


def test_an_action_on_a_superuser_that_is_refused_is_not_in_the_admins_log(make_user, admin_user):
    staff, ann = make_user("staff", is_staff=True), make_user("ann")
    for codename in ("view_user", "change_user"):
        staff.user_permissions.add(Permission.objects.get(codename=codename))
    client = Client()
    client.force_login(staff)

    form = {"action": "deactivate", "_selected_action": [ann.pk, admin_user.pk]}
    client.post("/admin/accounts/user/", form)

    admin_user.refresh_from_db()
    assert admin_user.is_active
    assert [(user, subject) for user, subject, _ in read_log()] == [("staff", "ann")]


def test_the_report_page_offers_only_what_can_be_done(admin_client, reported):
    report = ReviewReport.objects.first()
    url = f"{REPORTS}{report.pk}/change/"

    def list_buttons():
        return re.findall(r'name="_action" value="(\w+)"', admin_client.get(url).content.decode())

    buttons_before = list_buttons()
    act_on_page(admin_client, report, "uphold")

    assert buttons_before == ["uphold", "dismiss"]
    assert list_buttons() == ["restore"]


def test_the_report_page_links_the_movie_and_lists_earlier_hidden_reviews(
    admin_client, reported, make_movie
):
    earlier = make_movie("Brazil")
    rating_set(user_id=reported.user_id, movie_id=earlier.pk, score=1, review="Worse <b>words</b>.")
    review_hide(author_id=reported.user_id, movie_id=earlier.pk)
    report = ReviewReport.objects.first()

    page = admin_client.get(f"{REPORTS}{report.pk}/change/").content.decode()

    assert f'<a href="/movies/{reported.movie_id}/">Movie 0</a>' in page
    assert "<strong>Brazil</strong>" in page
    assert "Worse &lt;b&gt;words&lt;/b&gt;." in page


def test_the_report_page_shows_what_was_reported_after_an_edit_and_a_deletion(
    admin_client, reported, client_of
):
    author = client_of(reported.user)
    url = f"{REPORTS}{ReviewReport.objects.first().pk}/change/"

    author.patch(f"/ratings/{reported.pk}/", {"review": "Kind words."})
    page_after_edit = admin_client.get(url).content.decode()
    author.delete(f"/ratings/{reported.pk}/")
    page_after_deletion = admin_client.get(url).content.decode()

    assert "Rude words." in page_after_edit
    assert "Kind words." in page_after_edit
    assert "Rude words." in page_after_deletion
    assert "Deleted by its author. A new one will be visible." in page_after_deletion


def test_the_buttons_of_a_page_need_the_permission_of_the_action(make_user, reported):
    viewer = make_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_reviewreport"))
    client = Client()
    client.force_login(viewer)
    url = f"{REPORTS}{ReviewReport.objects.first().pk}/change/"

    page = client.get(url)
    response = client.post(url, {"_action": "uphold"})

    assert (page.status_code, response.status_code) == (200, 403)
    assert b'name="_action"' not in page.content
    assert read_states() == {"open"}


def test_a_hidden_playlist_stays_private_until_a_moderator_allows_it(
    admin_client, stored, client_of, api
):
    playlist = Playlist.objects.get()
    owner, url = client_of(playlist.owner), f"/playlists/{playlist.pk}/"

    page = act_on_page(admin_client, playlist, "hide")
    hidden_status = api.get(url).status_code
    publishing = owner.patch(url, {"visibility": "unlisted"})
    edit = owner.patch(url, {"name": "Evenings"})
    copies = [
        owner.post(f"{url}copy/", {"visibility": visibility})
        for visibility in ("public", "private")
    ]
    copy_url = f"/playlists/{copies[1].json()['id']}/"
    publishing_the_copy = owner.patch(copy_url, {"visibility": "public"})
    page_after = act_on_page(admin_client, playlist, "restore")
    publishing_after = owner.patch(url, {"visibility": "public"})

    assert "1 playlist hidden." in page
    assert hidden_status == 404
    assert (publishing.status_code, publishing.json()["code"]) == (403, "hidden_by_moderator")
    assert edit.status_code == 200
    assert [copy.status_code for copy in copies] == [403, 201]
    assert publishing_the_copy.status_code == 403
    assert "The owners of 1 playlist may share them again." in page_after
    assert publishing_after.status_code == 200


def test_a_note_can_be_removed_in_the_admin(admin_client, stored):
    item = PlaylistItem.objects.first()
    PlaylistItem.objects.filter(pk=item.pk).update(note="Rude note.")

    page = act_on_page(admin_client, item, "remove_note")

    item.refresh_from_db()
    assert "1 note removed." in page
    assert item.note == ""


def test_a_hidden_review_can_be_shown_again_after_its_author_deleted_it(
    admin_client, reported, client_of
):
    author = client_of(reported.user)
    act_on_page(admin_client, ReviewReport.objects.first(), "uphold")
    author.delete(f"/ratings/{reported.pk}/")

    page = act_on_page(admin_client, HiddenReview.objects.get(), "restore")
    body = {"movie": reported.movie_id, "score": 4, "review": "Kind words."}
    posted = author.post("/ratings/", body)

    assert "1 review shown again" in page
    assert posted.json()["review_hidden"] is False


def test_a_report_page_shows_the_full_review_and_its_author(admin_client, stored, make_user):
    review = "Rude words. " * 30
    Rating.objects.update(review=review)
    report, _ = review_report(
        reporter_id=make_user("bob").pk, rating_id=Rating.objects.get().pk, reason="abuse"
    )

    page = admin_client.get(f"/admin/social/reviewreport/{report.pk}/change/").content.decode()

    assert review.strip() in page
    assert "ann" in page


def test_a_group_is_shown_without_its_join_code_and_can_be_deleted(
    admin_client, make_user, make_movie
):
    ann, bob = make_user("ann"), make_user("bob")
    group = group_create(user_id=ann.pk, name="Friday")
    group_join(user_id=bob.pk, join_code=group.join_code)
    vote_set(group_id=group.pk, user_id=bob.pk, movie_id=make_movie("Alien").pk, vote="veto")
    url = "/admin/social/moviegroup/"

    found = admin_client.get(f"{url}?q=frid").content.decode()
    others = admin_client.get(f"{url}?q=monday").content.decode()
    page = admin_client.get(f"{url}{group.pk}/change/").content.decode()
    deleted = admin_client.post(f"{url}{group.pk}/delete/", {"post": "yes"})

    assert "Friday" in found
    assert '<td class="field-member_count">2</td>' in found
    assert "Friday" not in others
    assert "ann, bob" in page
    assert group.join_code not in found + page
    assert deleted.status_code == 302
    assert not MovieGroup.objects.exists()


def test_the_admin_shows_why_an_import_failed_and_is_read_only(admin_client, make_user):
    failed = Import.objects.create(
        user=make_user("ann"), format="imdb", state="failed", step="", reason="The ZIP is cut off."
    )
    url = "/admin/social/import/"

    assert "The ZIP is cut off." in admin_client.get(f"{url}?q=ann").content.decode()
    assert admin_client.get(f"{url}{failed.pk}/change/").status_code == 200
    assert admin_client.post(f"{url}{failed.pk}/change/", {"state": "ready"}).status_code == 403
    assert admin_client.get(f"{url}add/").status_code == 403
