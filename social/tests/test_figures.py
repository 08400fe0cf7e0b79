"""Public figures count the ratings of public members, each once (docs/reliability.md, 21)."""

import random
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import User, build_counted_filter
from movies.models import Movie
from social.models import FiguresCheck, Playlist, Rating
from social.services.account_deletion import account_delete
from social.services.figures import figures_reconcile, member_ratings_recount
from social.services.playlists import playlist_create
from social.services.ratings import rating_delete, rating_set, rating_update
from social.tests.helpers import assert_rating_counters_match, run_concurrently

pytestmark = pytest.mark.django_db


def read_figures(movie):
    movie.refresh_from_db()
    return movie.rating_count, movie.rating_sum, movie.trend_day, movie.trend_week


def set_visibility(member, visibility):
    member.visibility = visibility
    member.save(update_fields=["visibility"])


def test_rating_and_withdrawing_sixty_times_counts_once_in_the_trend(
    ann, bob, client_of, make_movie
):
    pushed, liked = make_movie("Pushed"), make_movie("Liked")
    client = client_of(ann)
    for user in (ann, bob):
        rating_set(user_id=user.pk, movie_id=liked.pk, score=4)

    for _ in range(60):
        rating_id = client.post("/ratings/", {"movie": pushed.pk, "score": 5}).json()["id"]
        client.delete(f"/ratings/{rating_id}/")
    client.post("/ratings/", {"movie": pushed.pk, "score": 5})

    trend = client.get("/movies/trending/").json()["results"]
    assert [movie["title"] for movie in trend] == ["Liked", "Pushed"]
    assert figures_reconcile().movies == 0


@pytest.mark.parametrize("origin", ["registered", "sample", "movielens"])
@pytest.mark.parametrize("visibility", ["public", "private"])
@pytest.mark.parametrize("is_active", [True, False])
def test_filter_and_property_agree_on_who_is_counted(make_user, origin, visibility, is_active):
    user = make_user(origin=origin, visibility=visibility, is_active=is_active)

    is_counted = User.objects.filter(build_counted_filter(), pk=user.pk).exists()

    assert user.is_counted == is_counted
    assert is_counted == (is_active and (visibility == "public" or origin == "movielens"))


def test_trend_of_a_withdrawn_rating_is_gone(ann, make_movie):
    movie = make_movie("Alien")
    rating, _ = rating_set(user_id=ann.pk, movie_id=movie.pk, score=5)

    rating_delete(rating_id=rating.pk)

    assert read_figures(movie) == (0, 0.0, None, None)


def test_trend_of_a_deleted_account_is_gone(ann, bob, make_movie):
    alone, shared = make_movie("Alone"), make_movie("Shared")
    rating_set(user_id=bob.pk, movie_id=shared.pk, score=3)
    before = read_figures(shared)
    for movie in (alone, shared):
        rating_set(user_id=ann.pk, movie_id=movie.pk, score=5)

    account_delete(user=ann)

    assert read_figures(alone) == (0, 0.0, None, None)
    assert read_figures(shared) == pytest.approx(before, abs=1e-6)


def test_ratings_of_a_private_member_change_no_public_figure(ann, bob, make_movie):
    movie = make_movie("Alien")
    rating_set(user_id=bob.pk, movie_id=movie.pk, score=3)
    before = read_figures(movie)
    set_visibility(ann, "private")

    rating, _ = rating_set(user_id=ann.pk, movie_id=movie.pk, score=5)
    rating_update(rating_id=rating.pk, score=1)

    assert read_figures(movie) == before
    rating_delete(rating_id=rating.pk)
    assert read_figures(movie) == before


@pytest.mark.parametrize(
    ("field", "hidden", "shown"),
    [("visibility", "private", "public"), ("is_active", False, True)],
)
def test_recount_follows_the_members_visibility_in_both_directions(
    field, hidden, shown, ann, bob, make_movie
):
    movies = [make_movie(f"Movie {n}") for n in range(3)]
    rating_set(user_id=bob.pk, movie_id=movies[0].pk, score=3)
    only_bob = [read_figures(movie) for movie in movies]
    for movie in movies:
        rating_set(user_id=ann.pk, movie_id=movie.pk, score=5)
    both = [read_figures(movie) for movie in movies]

    for value, expected, changed in ((hidden, only_bob, 3), (shown, both, 3), (shown, both, 0)):
        setattr(ann, field, value)
        ann.save()
        assert member_ratings_recount(user_id=ann.pk) == changed
        for movie, figures in zip(movies, expected, strict=True):
            assert read_figures(movie) == pytest.approx(figures, abs=1e-6)


def test_writes_between_a_change_of_visibility_and_its_recount_break_nothing(ann, make_movie):
    """A score that was counted is subtracted, one that was not is not."""
    counted, uncounted = make_movie("Counted"), make_movie("Uncounted")
    first, _ = rating_set(user_id=ann.pk, movie_id=counted.pk, score=5)
    set_visibility(ann, "private")
    rating_set(user_id=ann.pk, movie_id=uncounted.pk, score=5)

    rating_delete(rating_id=first.pk)
    set_visibility(ann, "public")
    rating_set(user_id=ann.pk, movie_id=uncounted.pk, score=1)

    assert read_figures(counted) == (0, 0.0, None, None)
    assert read_figures(uncounted) == (0, 0.0, None, None)
    member_ratings_recount(user_id=ann.pk)
    assert read_figures(uncounted)[:2] == (1, 1.0)


@pytest.mark.django_db(transaction=True)
def test_concurrent_ratings_and_changes_of_visibility_leave_exact_figures(make_user, make_movie):
    movies = [make_movie(f"Movie {n}") for n in range(4)]
    members = [make_user(f"member{n}") for n in range(3)]

    def rate(member, seed):
        chance = random.Random(seed)
        for _ in range(25):
            movie = chance.choice(movies)
            rating = Rating.objects.filter(user=member, movie=movie).first()
            if rating is not None and chance.random() < 0.5:
                rating_update(rating_id=rating.pk, score=chance.choice([1, 2.5, 5]))
            elif rating is not None:
                rating_delete(rating_id=rating.pk)
            else:
                rating_set(user_id=member.pk, movie_id=movie.pk, score=4)

    def change_visibility(member):
        for visibility in ("private", "public") * 5 + ("private",):
            type(member).objects.filter(pk=member.pk).update(visibility=visibility)
            member_ratings_recount(user_id=member.pk)

    run_concurrently(
        *(lambda member=member: rate(member, member.pk) for member in members),
        *(lambda member=member: change_visibility(member) for member in members[:2]),
    )

    for member in members:
        member_ratings_recount(user_id=member.pk)
    assert not Rating.objects.counted_wrongly().exists()
    assert set(Rating.objects.filter(is_counted=True).values_list("user_id", flat=True)) <= {
        members[2].pk
    }
    check = figures_reconcile()
    assert (check.movies, check.ratings) == (0, 0)
    assert_rating_counters_match()


def test_check_corrects_stores_and_logs_what_is_off(ann, make_movie, caplog):
    movie, other = make_movie("Alien"), make_movie("Fargo")
    for each in (movie, other):
        rating_set(user_id=ann.pk, movie_id=each.pk, score=5)
    playlist = playlist_create(owner=ann, name="Nights", movie_ids=[movie.pk])
    figures = read_figures(movie)
    Movie.objects.filter(pk=movie.pk).update(rating_count=3, rating_sum=9.0, trend_day=1.0)
    Playlist.objects.filter(pk=playlist.pk).update(movie_count=7)
    out = StringIO()

    call_command("check_figures", stdout=out)

    check = FiguresCheck.objects.get()
    playlist.refresh_from_db()
    assert (check.movies, check.playlists, check.ratings) == (1, 1, 0)
    assert read_figures(movie) == pytest.approx(figures, abs=1e-6)
    assert playlist.movie_count == 1
    assert "1 movies" in out.getvalue()
    [record] = [record for record in caplog.records if record.name == "social.services.figures"]
    assert "1 movies and of 1 playlists" in record.getMessage()


def test_check_counts_ratings_of_members_who_became_private_unnoticed(ann, make_movie):
    movie = make_movie("Alien")
    rating_set(user_id=ann.pk, movie_id=movie.pk, score=5)
    type(ann).objects.update(visibility="private")

    check = figures_reconcile()

    assert (check.ratings, check.movies) == (1, 0)
    assert read_figures(movie) == (0, 0.0, None, None)


def test_check_of_correct_figures_changes_and_logs_nothing(ann, make_movie, caplog):
    movie = make_movie("Alien")
    rating_set(user_id=ann.pk, movie_id=movie.pk, score=5)
    figures = read_figures(movie)

    check = figures_reconcile()

    assert (check.movies, check.playlists, check.ratings) == (0, 0, 0)
    assert read_figures(movie) == figures
    assert caplog.records == []


def test_metrics_show_the_last_check(api, ann, make_movie):
    movie = make_movie("Alien")
    Movie.objects.filter(pk=movie.pk).update(trend_day=1.0)
    before = timezone.now()
    figures_reconcile()

    text = api.get("/metrics").content.decode()

    assert 'nexus_figures_drift{figure="movies"} 1.0' in text
    [line] = [line for line in text.splitlines() if line.startswith("nexus_figures_check_t")]
    assert float(line.split()[1]) >= before.timestamp() - 1


def test_own_scores_of_a_private_member_are_not_subtracted_from_the_others(
    make_user, make_movie, client_of
):
    movie = make_movie("Alien")
    for number in range(5):
        rating_set(user_id=make_user(f"other{number}").pk, movie_id=movie.pk, score=4)
    private = make_user("private", visibility="private")
    rating_set(user_id=private.pk, movie_id=movie.pk, score=1)

    compared = client_of(private).get("/profiles/stats/").json()["compared_with_others"]

    assert compared == {"films": 1, "own_average": 1.0, "others_average": 4.0}
