"""Changes of a member's visibility hide them at once and recount public figures soon after."""

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from movies.models import Movie
from nexus.dev.jobs import run_waiting_jobs
from social.models import Rating
from social.services.figures import figures_reconcile
from social.services.playlists import playlist_create
from social.services.ratings import rating_set
from social.tasks import recount_member_ratings
from social.tests.helpers import run_concurrently
from social.transfer.tests.helpers import run_action, upload_and_read

pytestmark = pytest.mark.django_db


def read_scores(movie):
    movie.refresh_from_db()
    return movie.rating_count, movie.average_score


def change_visibility(client, visibility):
    return client.patch("/profiles/me/", {"visibility": visibility})


def test_becoming_private_hides_everything_at_once_and_leaves_the_figures_soon(
    ann, bob, client_of, make_movie
):
    movie = make_movie("Alien")
    rating_set(user_id=ann.pk, movie_id=movie.pk, score=5, review="Tense.")
    rating_set(user_id=bob.pk, movie_id=movie.pk, score=3)
    playlist = playlist_create(owner=ann, name="Nights", movie_ids=[movie.pk])
    reader = client_of(bob)

    assert change_visibility(client_of(ann), "private").status_code == 200

    assert reader.get("/profiles/ann/").status_code == 404
    assert reader.get(f"/playlists/{playlist.pk}/").status_code == 404
    assert reader.get(f"/movies/{movie.pk}/reviews/").json()["count"] == 0
    assert run_waiting_jobs() == []
    assert read_scores(movie) == (1, 3.0)
    assert reader.get(f"/movies/{movie.pk}/").json()["average_score"] == 3.0


def test_becoming_public_again_counts_again(ann, client_of, make_movie):
    movie, client = make_movie("Alien"), client_of(ann)
    rating_set(user_id=ann.pk, movie_id=movie.pk, score=5)

    for visibility, scores in (("private", (0, None)), ("public", (1, 5.0))):
        change_visibility(client, visibility)
        run_waiting_jobs()
        assert read_scores(movie) == scores


def test_visibility_changes_five_times_a_day(ann, client_of):
    client = client_of(ann)

    answers = [
        change_visibility(client, visibility).status_code
        for visibility in ("private", "public", "private", "public", "private")
    ]
    sixth = change_visibility(client, "public")

    assert answers == [200] * 5
    assert (sixth.status_code, sixth.json()["code"]) == (429, "throttled")
    assert 86_000 < int(sixth["Retry-After"]) <= 86_400
    assert client.get("/profiles/me/").json()["visibility"] == "private"


def test_sending_the_current_visibility_is_no_change(ann, client_of):
    client = client_of(ann)

    answers = [change_visibility(client, "public").status_code for _ in range(8)]

    assert answers == [200] * 8


def test_other_fields_change_after_five_changes_of_visibility(ann, client_of):
    client = client_of(ann)
    for visibility in ("private", "public") * 3:
        change_visibility(client, visibility)

    response = client.patch("/profiles/me/", {"bio": "Horror, mostly."})

    assert (response.status_code, response.json()["bio"]) == (200, "Horror, mostly.")


@pytest.mark.django_db(transaction=True)
def test_exactly_five_of_many_concurrent_changes_pass(ann, client_of):
    client = client_of(ann)

    answers = run_concurrently(
        *(
            lambda each=each: change_visibility(client, each).status_code
            for each in ("private", "public") * 8
        )
    )

    # A request that finds the visibility it sends changes nothing and is a 200, too.
    changes = ProcrastinateJob.objects.filter(task_name=recount_member_ratings.name).count()
    assert set(answers) <= {200, 429}
    assert changes == 5 if 429 in answers else changes <= 5


@pytest.mark.django_db(transaction=True)
def test_ratings_during_changes_of_visibility_count_as_the_last_one_says(
    ann, client_of, make_movie, settings
):
    settings.RATE_LIMIT_SCALE = 100
    movies = [make_movie(f"Movie {n}") for n in range(6)]
    client = client_of(ann)

    def rate(movies):
        for movie in movies:
            assert client.post("/ratings/", {"movie": movie.pk, "score": 4}).status_code == 201

    run_concurrently(
        lambda: rate(movies[:3]),
        lambda: rate(movies[3:]),
        lambda: [change_visibility(client, each) for each in ("private", "public") * 3],
        lambda: [change_visibility(client, each) for each in ("public", "private") * 3],
    )
    change_visibility(client, "private")
    assert run_waiting_jobs() == []

    assert Rating.objects.filter(is_counted=True).count() == 0
    assert set(Movie.objects.values_list("rating_count", "rating_sum", "trend_day")) == {
        (0, 0.0, None)
    }
    assert figures_reconcile().movies == 0


def test_deactivating_a_member_takes_the_ratings_out_of_the_figures(ann, make_movie, admin_client):
    movie = make_movie("Alien")
    rating_set(user_id=ann.pk, movie_id=movie.pk, score=5)
    page = admin_client.get(f"/admin/accounts/user/{ann.pk}/change/")
    form = page.context["adminform"].form
    data = {
        name: "" if form[name].value() in (None, False) else form[name].value()
        for name in form.fields
        if name != "password"
    }
    data["is_active"] = ""

    response = admin_client.post(f"/admin/accounts/user/{ann.pk}/change/", data)

    assert response.status_code == 302
    run_waiting_jobs()
    assert read_scores(movie) == (0, None)


def test_deactivating_members_by_the_action_takes_their_ratings_out_of_the_figures(
    ann, bob, make_movie, admin_client
):
    movie = make_movie("Alien")
    for member in (ann, bob):
        rating_set(user_id=member.pk, movie_id=movie.pk, score=5)
    data = {"action": "deactivate", "_selected_action": [ann.pk, bob.pk]}

    admin_client.post("/admin/accounts/user/", data)

    run_waiting_jobs()
    assert read_scores(movie) == (0, None)


def test_import_of_a_private_member_counts_in_no_figure(ann, client_of, make_movie):
    movie, client = make_movie("Alien", release_year=1979), client_of(ann)
    change_visibility(client, "private")
    file = "Date,Name,Year,Letterboxd URI,Rating\n2024-05-01,Alien,1979,https://boxd.it/1,4.5\n"

    run_action(client, upload_and_read(client, file, "ratings.csv"), "apply")

    assert Rating.objects.get().score == 4.5
    assert read_scores(movie) == (0, None)
