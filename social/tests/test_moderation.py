"""Members cannot undo moderation: it belongs to the member and the movie, not to a row."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from social.models import HiddenReview, Rating, ReviewReport
from social.services.moderation import review_hide, review_report, review_restore
from social.services.ratings import rating_delete, rating_set
from social.transfer.tests.helpers import run_action, upload_and_read

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien")


@pytest.fixture
def review(ann, movie):
    """A review of ann's that bob has reported."""
    return rating_set(user_id=ann.pk, movie_id=movie.pk, score=1, review="Rude words.")[0]


@pytest.fixture
def report(review, make_user):
    return review_report(
        reporter_id=make_user("bob").pk, rating_id=review.pk, reason="abuse", comment="Of me."
    )[0]


def count_public_reviews(api, movie):
    return api.get(f"/movies/{movie.pk}/reviews/").json()["count"]


def post_again(client, movie, review="Rude words."):
    response = client.post("/ratings/", {"movie": movie.pk, "score": 1, "review": review})
    assert response.status_code == 201
    return response.json()


def test_hidden_review_that_is_deleted_and_posted_again_stays_hidden(
    ann, movie, review, api, client_of
):
    client = client_of(ann)
    review_hide(author_id=ann.pk, movie_id=movie.pk)

    client.delete(f"/ratings/{review.pk}/")
    posted = post_again(client, movie)

    assert posted["review_hidden"] is True
    assert count_public_reviews(api, movie) == 0


def test_review_that_is_posted_after_hiding_a_deleted_one_is_hidden(
    ann, movie, report, review, api, client_of
):
    client = client_of(ann)
    client.delete(f"/ratings/{review.pk}/")

    result = review_hide(author_id=ann.pk, movie_id=movie.pk)
    post_again(client, movie, "Other words.")

    assert (result.is_changed, result.report_count) == (True, 1)
    assert count_public_reviews(api, movie) == 0


def test_hiding_concerns_one_movie_of_one_member(ann, movie, review, make_user, make_movie, api):
    review_hide(author_id=ann.pk, movie_id=movie.pk)
    other_movie, other_member = make_movie("Brazil"), make_user("cid")

    rating_set(user_id=ann.pk, movie_id=other_movie.pk, score=1, review="Words.")
    rating_set(user_id=other_member.pk, movie_id=movie.pk, score=1, review="Words.")

    assert count_public_reviews(api, movie) == count_public_reviews(api, other_movie) == 1


def test_hidden_review_that_is_imported_again_stays_hidden(ann, movie, review, api, client_of):
    client = client_of(ann)
    export = b"".join(client.get("/exports/").streaming_content)
    review_hide(author_id=ann.pk, movie_id=movie.pk)
    client.delete(f"/ratings/{review.pk}/")

    job = upload_and_read(client, export, "nexus-export.zip")
    run_action(client, job, "apply")

    rating = Rating.objects.get()
    assert rating.review == "Rude words."
    assert rating.hidden_at is not None
    assert count_public_reviews(api, movie) == 0


def test_report_survives_the_review_with_a_copy_of_it(ann, movie, review, report, client_of):
    client = client_of(ann)

    client.patch(f"/ratings/{review.pk}/", {"review": "Kind words.", "contains_spoilers": True})
    client.delete(f"/ratings/{review.pk}/")

    report.refresh_from_db()
    assert (report.review, report.contains_spoilers) == ("Rude words.", False)
    assert (report.state, report.rating_id) == ("open", None)
    assert (report.author, report.movie) == (ann, movie)


def test_review_that_was_posted_again_can_be_reported_again(ann, movie, review, report, client_of):
    client = client_of(ann)
    client.delete(f"/ratings/{review.pk}/")
    posted = post_again(client, movie)

    second = client_of(report.reporter).post(
        f"/ratings/{posted['id']}/report/", {"reason": "abuse"}
    )
    result = review_hide(author_id=ann.pk, movie_id=movie.pk)

    assert second.status_code == 201
    assert result.report_count == 2


def test_restoring_shows_the_review_and_dismisses_upheld_reports(ann, movie, review, report, api):
    review_hide(author_id=ann.pk, movie_id=movie.pk)

    result = review_restore(author_id=ann.pk, movie_id=movie.pk)
    again = review_restore(author_id=ann.pk, movie_id=movie.pk)

    assert (result.is_changed, result.report_count) == (True, 1)
    assert (again.is_changed, again.report_count) == (False, 0)
    assert count_public_reviews(api, movie) == 1
    assert ReviewReport.objects.get().state == "dismissed"


@pytest.mark.django_db(transaction=True)
def test_review_that_is_posted_while_it_is_hidden_is_hidden(ann, movie):
    def run(call):
        try:
            return call()
        finally:
            connection.close()

    for _ in range(10):
        HiddenReview.objects.all().delete()
        for rating_id in Rating.objects.values_list("id", flat=True):
            rating_delete(rating_id=rating_id)
        calls = [
            lambda: rating_set(user_id=ann.pk, movie_id=movie.pk, score=1, review="Rude words."),
            lambda: review_hide(author_id=ann.pk, movie_id=movie.pk),
        ]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, calls))

        assert Rating.objects.get().hidden_at is not None


def test_migration_copies_hidden_and_reported_reviews(ann, movie, review, report):
    migration = import_module("social.migrations.0011_existing_moderation")
    hidden_at = timezone.now()
    Rating.objects.update(hidden_at=hidden_at)
    ReviewReport.objects.update(author=None, movie=None, review="")

    migration.copy_hidden_reviews(apps, None)
    migration.copy_reported_reviews(apps, None)

    report.refresh_from_db()
    assert (report.author, report.movie, report.review) == (ann, movie, "Rude words.")
    assert list(HiddenReview.objects.values_list("user", "movie", "hidden_at")) == [
        (ann.pk, movie.pk, hidden_at)
    ]
