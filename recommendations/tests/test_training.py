"""train_recommender: what it learns, when it switches, and what happens when it cannot."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import IntegrityError

from accounts.models import User
from movies.models import Movie
from movies.selectors import find_movies_in_use
from nexus.dev import embedded
from recommendations.algorithms.neighbors import ThreadExecutor
from recommendations.algorithms.parameters import VERSION
from recommendations.management.commands import train_recommender
from recommendations.models import MovieFactors, Training
from recommendations.recommender.feed import build_feed
from recommendations.recommender.match_score import compute_matches
from recommendations.recommender.onboarding import choose_onboarding_movies
from recommendations.recommender.queries import (
    ENTRY,
    SparseRows,
    default_header,
    load_active_header,
    load_header,
)
from recommendations.tests.community import made_up, quiet
from recommendations.training import pipeline as service
from recommendations.training.cluster import ClusterError
from recommendations.training.store import model_from_training, ratings_read
from social.models import Rating
from social.services.figures import member_ratings_recount
from social.services.ratings import rating_set

pytestmark = pytest.mark.django_db


@pytest.fixture
def community(db):
    return made_up(members=50, movies=60)


def train(**options):
    out = StringIO()
    call_command("train_recommender", stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def test_a_training_is_stored_and_serves(community):
    output = train(force=True)
    training = Training.objects.get()
    assert training.active
    assert training.state == Training.State.READY
    assert training.rating_count == Rating.objects.count()
    assert training.member_count == 50
    assert training.movie_count == MovieFactors.objects.filter(training=training).count() == 60
    assert training.newest_rating_at is not None
    assert training.duration_s > 0
    assert set(training.metrics["held_out"]) >= {"members", "ratings"}
    assert f"Training {training.pk} is active" in output
    assert build_feed(community[0][0], Movie.objects.all()).algorithm == training.algorithm


def test_all_ratings_are_read(community):
    found = ratings_read(since=None, progress=quiet).ratings

    read = zip(
        found.users.tolist(), found.movies.tolist(), found.stars, found.times.tolist(), strict=True
    )
    assert sorted(read) == sorted(
        (*row, round(at.timestamp()))
        for *row, at in Rating.objects.values_list("user_id", "movie_id", "score", "created_at")
    )


def test_ratings_of_private_members_are_not_read(community):
    members, _ = community
    members[0].visibility = "private"
    members[0].save()
    member_ratings_recount(user_id=members[0].pk)

    read = ratings_read(since=None, progress=quiet).ratings

    assert members[0].pk not in read.users
    assert len(read.users) == Rating.objects.exclude(user=members[0]).count()


def test_reviews_without_a_score_are_not_read(community):
    rating = Rating.objects.first()
    rating_set(
        user_id=rating.user_id, movie_id=rating.movie_id, score=None, review="I do not rate."
    )

    read = ratings_read(since=None, progress=quiet).ratings

    assert len(read.users) == Rating.objects.count() - 1
    assert np.isfinite(read.stars).all()


def test_of_no_rating_nothing_is_read(db):
    read = ratings_read(since=None, progress=quiet)
    assert (len(read.ratings), read.newest_at) == (0, None)


def test_what_is_stored_is_what_was_learned(community, monkeypatch):
    kept = {}
    real = service.refit_movies
    monkeypatch.setattr(
        service,
        "refit_movies",
        lambda *args, **more: kept.setdefault("model", real(*args, **more)),
    )
    train(force=True)
    model, header = kept["model"], load_active_header()
    # The members who were held out while it was measured are in it too.
    assert model.movies.count.sum() == Rating.objects.count()
    assert header.movie_ids.tolist() == model.movies.ids.tolist()
    assert header.factor_gram.tolist() == model.factor_gram.tolist()
    stored = model_from_training(header)
    rows = header.movies(np.arange(len(header.movie_ids)), stored.vectors)
    assert (rows.genres == model.movies.genres).all()
    for name in ("quality", "bias", "count", "rate", "recent_rate", "trend"):
        assert np.allclose(getattr(rows, name), getattr(model.movies, name), atol=1e-5)
    assert rows.factors.tolist() == model.movies.factors.tolist()
    assert rows.residual_factors.tolist() == model.movies.residual_factors.tolist()
    for matrix, lists in ((stored.feed, model.feed), (stored.taste, model.taste)):
        assert matrix.indptr.tolist() == lists.indptr.tolist()
        assert matrix.indices.tolist() == lists.indices.tolist()
        assert np.allclose(matrix.data, lists.data)
    # Of a small community all weights are stored by source too.
    assert (stored.feed != stored.targets.T).nnz == 0


def test_only_the_strongest_weights_are_stored_by_source(community, monkeypatch):
    monkeypatch.setattr("recommendations.training.store.MAX_TARGETS", 3)

    train(force=True)

    stored = model_from_training(load_active_header())
    by_source = np.abs(stored.feed.T.toarray())
    for row, weights in enumerate(by_source):
        chosen = np.sort(np.abs(stored.targets[[row]].data))
        assert chosen.tolist() == np.sort(weights[weights > 0])[-3:].tolist()


@pytest.mark.parametrize(("enough", "learned_from"), [(5, "real"), (10_000, "all")])
def test_sample_members_are_left_out_beside_enough_real_ratings(
    community, monkeypatch, enough, learned_from
):
    users = [user.pk for user in community[0]]
    User.objects.filter(pk__in=users[:10]).update(origin=User.Origin.SAMPLE)
    monkeypatch.setattr("recommendations.training.store.ENOUGH_REAL_RATINGS", enough)

    read = ratings_read(since=None, progress=quiet).ratings

    expected = users[10:] if learned_from == "real" else users
    assert set(read.users.tolist()) == set(expected)


def test_a_training_of_another_version_is_not_read_and_the_log_says_so(community, caplog):
    train(force=True)
    assert load_active_header() is not None
    default_header.cache_clear()

    Training.objects.update(algorithm="edlae-1")

    assert load_active_header() is None
    assert build_feed(community[0][0], Movie.objects.all()).algorithm == VERSION
    assert f"No training of {VERSION} is active: the default coefficients serve" in caplog.text


def test_unpacked_lists_have_the_rows_of_their_movies():
    entries = np.array([(5, 0.5), (0, -1), (2, 2)], dtype=ENTRY)

    lists = SparseRows.unpack([entries.tobytes(), None, b"", entries[:1].tobytes()])

    assert lists.rows.tolist() == [0, 0, 0, 3]
    assert lists.places.tolist() == [5, 0, 2, 5]
    assert lists.weights.tolist() == [0.5, -1, 2, 0.5]


def test_with_too_few_ratings_nothing_is_trained_and_the_defaults_serve(community, monkeypatch):
    monkeypatch.setattr(service, "MIN_RATINGS", 10_000)

    printed = train()

    assert "Nothing trained" in printed
    assert "10,000" in printed
    assert Training.objects.count() == 0
    assert build_feed(community[0][0], Movie.objects.all()).algorithm == VERSION


@pytest.mark.parametrize("ratings", [0, 1, 2])
def test_hardly_any_rating_breaks_nothing(make_user, make_movie, ratings):
    ann, movie = make_user("ann"), make_movie("Alien")
    other = make_movie("Brazil")
    for rated in (movie, other)[:ratings]:
        Rating.objects.create(
            user=ann, movie=rated, score=4, created_at=ann.date_joined, updated_at=ann.date_joined
        )
    if ratings == 0:
        assert "Nothing trained" in train(force=True)
    else:
        train(force=True)
    assert [match.movie_id for match in compute_matches(ann, [movie.pk])] == [movie.pk]
    build_feed(ann, Movie.objects.all())


@pytest.mark.parametrize("score", [1.0, 3.0, 5.0])
def test_a_community_of_one_opinion_is_learned_from(community, score):
    Rating.objects.update(score=score)
    train(force=True)
    user, movie = community[0][0], community[1][0]
    match = compute_matches(user, [movie.pk])[0]
    assert 0 <= match.match_score <= 100
    assert (match.match_score > 50) == (score >= 4)


def test_a_dry_run_stores_nothing(community):
    output = train(force=True, dry_run=True)
    assert "Would train" in output
    assert (Training.objects.count(), MovieFactors.objects.count()) == (0, 0)


def test_only_ratings_since_a_day_are_learned_from(community):
    Rating.objects.filter(movie=community[1][0]).update(updated_at="2001-01-01T00:00:00Z")
    train(force=True, ratings_since=service.timezone.now().replace(year=2002))
    assert community[1][0].pk not in load_active_header().movie_ids.tolist()
    assert Training.objects.get().ratings_since.year == 2002


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01"])
def test_a_day_that_is_none_is_refused(text):
    with pytest.raises(CommandError, match=text):
        call_command("train_recommender", f"--ratings-since={text}")


def test_three_trainings_are_kept_and_rollback_goes_back(community):
    for _ in range(4):
        train(force=True)
    ids = sorted(Training.objects.values_list("id", flat=True))
    assert len(ids) == 3
    assert load_active_header().training_id == ids[-1]
    assert set(MovieFactors.objects.values_list("training_id", flat=True)) == set(ids)
    assert f"Would go back from training {ids[2]}" in train(rollback=True, dry_run=True)
    assert load_active_header().training_id == ids[2]
    train(rollback=True)
    assert load_active_header().training_id == ids[1]
    train(rollback=True)
    assert load_active_header().training_id == ids[0]
    with pytest.raises(CommandError, match="no training before"):
        train(rollback=True)


def test_a_rollback_without_training_is_told(db):
    with pytest.raises(CommandError, match="default coefficients serve"):
        train(rollback=True)


def test_a_worse_training_is_refused_unless_forced(community, monkeypatch):
    monkeypatch.setattr(service, "MIN_RATINGS", 1)
    monkeypatch.setattr(service, "MIN_MEMBERS_TO_COMPARE", 1)
    figures = iter(
        [
            {"members": 9, "ndcg_at_10": 0.30, "log_loss": 0.5},
            {"members": 9, "ndcg_at_10": 0.27, "log_loss": 0.5},
        ]
    )
    monkeypatch.setattr(service, "measure_on_strangers", lambda *args: next(figures))
    train(force=True)
    first = load_active_header().training_id
    with pytest.raises(CommandError, match=r"ndcg_at_10 0\.27 instead of 0\.3"):
        train()
    assert load_active_header().training_id == first
    refused = Training.objects.get(state=Training.State.REFUSED)
    assert not MovieFactors.objects.filter(training=refused).exists()
    figures = iter([{"members": 9, "ndcg_at_10": 0.1}] * 3)
    train(force=True)
    assert load_active_header().training_id > first


def test_a_training_like_the_active_one_is_switched_to(community, monkeypatch):
    monkeypatch.setattr(service, "MIN_RATINGS", 1)
    monkeypatch.setattr(service, "MIN_MEMBERS_TO_COMPARE", 1)
    train()
    first = load_active_header().training_id
    output = train()
    assert load_active_header().training_id > first
    assert "The one before had" in output


def test_a_rating_that_is_no_number_stops_training_with_its_row_named(community):
    user, movie = community[0][3], community[1][0]
    Rating.objects.filter(user=user, movie=movie).delete()
    with connection.cursor() as cursor:
        # What the deletion above left to be checked stands in the way of the next.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE social_rating DROP CONSTRAINT rating_score_half_stars")
    now = user.date_joined
    Rating.objects.create(
        user=user, movie=movie, score=float("nan"), created_at=now, updated_at=now
    )
    with pytest.raises(CommandError, match=f"member {user.pk}, movie {movie.pk}"):
        train(force=True)
    assert Training.objects.count() == 0


def test_a_model_that_is_no_number_is_not_stored(community, monkeypatch):
    real = service.fit

    def spoiled(*args, **more):
        model = real(*args, **more)
        model.feed.data[5] = np.nan
        return model

    monkeypatch.setattr(service, "fit", spoiled)
    with pytest.raises(CommandError, match="feed weight of movie"):
        train(force=True)
    assert Training.objects.count() == 0


def test_what_a_killed_run_left_is_cleared_away_by_the_next(community):
    left = Training.objects.create(algorithm="x")
    MovieFactors.objects.create(
        training=left, movie_id=1, feed_sources=b"", feed_targets=b"", taste=b""
    )
    assert load_active_header() is None
    assert "Cleared away 1 unfinished" in train(force=True)
    assert not Training.objects.filter(pk=left.pk).exists()
    assert not MovieFactors.objects.filter(training_id=left.pk).exists()


def test_only_one_training_can_be_active_and_only_a_ready_one(community):
    train(force=True)
    for fields in ({"state": "ready", "active": True}, {"state": "building", "active": True}):
        with transaction.atomic(), pytest.raises(IntegrityError):
            Training.objects.create(algorithm="x", **fields)


class FailingExecutor(ThreadExecutor):
    """Computes the blocks of three maps, as a cluster that loses its last worker after them."""

    maps = 0

    def map(self, compute, blocks):
        self.maps += 1
        if self.maps > 3:
            raise ClusterError("The cluster returned nothing.")
        return super().map(compute, blocks)


def test_a_cluster_that_fails_half_way_leaves_the_old_training_active(community, monkeypatch):
    train(force=True)
    active = load_active_header().training_id
    executor = FailingExecutor()
    monkeypatch.setattr(train_recommender, "connect", lambda address: nullcontext(executor))

    with pytest.raises(CommandError, match="The cluster returned nothing") as raised:
        train(force=True, cluster="tcp://scheduler:8786")

    assert raised.value.returncode == 1
    assert executor.maps == 4
    assert load_active_header().training_id == active
    assert Training.objects.count() == 1


def test_movies_that_were_learned_from_are_not_in_use_for_that(community):
    train(force=True)
    ids = [movie.pk for movie in community[1]]
    assert set(find_movies_in_use(ids)) == {"ratings"}


def test_movies_deleted_under_a_training_break_no_answer(community):
    users, movies = community
    train(force=True)
    gone = [movie.pk for movie in movies[:30]]
    Movie.objects.filter(pk__in=gone).delete()
    feed = build_feed(users[0], Movie.objects.all())
    shown = {item.movie_id for item in feed.items[:100]}
    assert shown
    assert not shown & set(gone)
    assert compute_matches(users[0], gone) == []
    assert compute_matches(users[0], [movies[40].pk])[0].movie_id == movies[40].pk
    assert choose_onboarding_movies(users[0])


@pytest.mark.django_db(transaction=True)
def test_a_second_training_at_the_same_time_says_so_and_ends():
    made_up(members=20, movies=30)
    statuses = []

    def second():
        try:
            with pytest.raises(CommandError, match="Another training is running") as raised:
                train(force=True)
            statuses.append(raised.value.returncode)
        finally:
            connection.close()

    def progress(step, part):
        if step == "trying" and not statuses:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()

    service.training_run(progress=progress, force=True)
    assert statuses == [3]
    assert Training.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_training_killed_half_way_leaves_the_old_one_serving():
    users, _ = made_up(members=20, movies=30)
    train(force=True)
    serving = load_active_header().training_id
    before = [
        item.movie_id
        for item in build_feed(users[0], Movie.objects.all()).items.without_reasons(10)
    ]
    # Killed between its rows and the switch, the last moment at which that can be.
    script = (
        "import os, signal, django; django.setup()\n"
        "from recommendations.training import pipeline as service\n"
        "service._activate = lambda training: os.kill(os.getpid(), signal.SIGKILL)\n"
        "service.training_run(progress=lambda step, part: None, force=True)\n"
    )
    name = connection.settings_dict["NAME"]
    database = re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{name}", os.environ["DATABASE_URL"])
    killed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "nexus.settings"},
        cwd=embedded.ROOT,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert load_active_header().training_id == serving
    assert Training.objects.filter(state=Training.State.BUILDING).count() == 1
    assert set(MovieFactors.objects.values_list("training_id", flat=True)) == {serving}
    after = [
        item.movie_id
        for item in build_feed(users[0], Movie.objects.all()).items.without_reasons(10)
    ]
    assert after == before
    assert "Cleared away 1 unfinished" in train(force=True)


@pytest.mark.django_db(transaction=True)
def test_ratings_that_change_while_training_runs_do_no_harm():
    users, movies = made_up(members=20, movies=30)

    def progress(step, part):
        if step == "learning":
            Rating.objects.filter(user=users[1]).delete()
            Movie.objects.filter(pk=movies[2].pk).delete()
            User.objects.filter(pk=users[3].pk).delete()

    outcome = service.training_run(progress=progress, force=True)
    assert outcome.training.active
    header = load_header(outcome.training.pk)
    assert movies[2].pk in header.movie_ids.tolist()
    shown = build_feed(users[0], Movie.objects.all()).items.without_reasons(100)
    assert movies[2].pk not in {item.movie_id for item in shown}
