"""Public figures are functions of the rows that exist (docs/reliability.md, 21)."""

import io
import math
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from movies.models import Movie
from movies.services.ratings import TREND_HALF_LIFE_DAYS, compute_log_weight
from nexus.dev.jobs import run_waiting_jobs
from recommendations.services import feedback_delete, feedback_set
from social.models import Import, Playlist, Rating
from social.services.account_deletion import account_delete
from social.services.figures import figures_reconcile, member_ratings_recount
from social.services.moderation import review_hide, review_restore
from social.services.playlists import playlist_create, playlist_items_add, playlist_items_remove
from social.services.ratings import rating_delete, rating_set, rating_update
from social.transfer.services import import_apply, import_create, import_undo

pytestmark = pytest.mark.django_db

MEMBERS, MOVIES = range(3), range(3)
SCORES = st.sampled_from([half / 2 for half in range(2, 11)])
WRITES = st.one_of(
    *(
        st.tuples(
            st.just(kind),
            st.sampled_from(MEMBERS),
            st.sampled_from(MOVIES),
            st.one_of(st.none(), SCORES),
        )
        for kind in ("set", "update")
    ),
    *(
        st.tuples(st.just(kind), st.sampled_from(MEMBERS), st.sampled_from(MOVIES))
        for kind in ("delete", "hide", "restore", "feedback", "list", "unlist")
    ),
    *(
        st.tuples(st.just(kind), st.sampled_from(MEMBERS))
        for kind in ("deactivate", "visibility", "recount", "delete_account", "undo")
    ),
    st.tuples(
        st.just("import"),
        st.sampled_from(MEMBERS),
        st.lists(st.tuples(st.sampled_from(MOVIES), SCORES), min_size=1, max_size=3),
    ),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 1.0, 30.0, 900.0])),
)


class Community:
    """Members, movies and the writes that change public figures."""

    def __init__(self, monkeypatch):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        monkeypatch.setattr(timezone, "now", lambda: self.now)
        self.members = [
            User.objects.create_user(f"member{n}", f"m{n}@example.org") for n in MEMBERS
        ]
        self.movies = [
            Movie.objects.create(title=f"Movie {n}", sort_title=f"movie {n}", release_year=2000)
            for n in MOVIES
        ]
        self.lists = [playlist_create(owner=member, name="Nights") for member in self.members]

    def write(self, kind, *arguments):
        if kind == "wait":
            self.now += timedelta(days=arguments[0])
            return
        member = self.members[arguments[0]]
        if User.objects.filter(pk=member.pk).exists():
            self.now += timedelta(seconds=1)
            getattr(self, f"_{kind}")(member, *arguments[1:])

    def _get_rating(self, member, movie):
        return Rating.objects.filter(user=member, movie=self.movies[movie]).first()

    def _set(self, member, movie, score):
        rating_set(user_id=member.pk, movie_id=self.movies[movie].pk, score=score, review="So.")

    def _update(self, member, movie, score):
        rating = self._get_rating(member, movie)
        if rating and (rating.review or score is not None):
            rating_update(rating_id=rating.pk, score=score)

    def _delete(self, member, movie):
        if rating := self._get_rating(member, movie):
            rating_delete(rating_id=rating.pk)

    def _hide(self, member, movie):
        review_hide(author_id=member.pk, movie_id=self.movies[movie].pk)

    def _restore(self, member, movie):
        review_restore(author_id=member.pk, movie_id=self.movies[movie].pk)

    def _feedback(self, member, movie):
        feedback_set(user_id=member.pk, movie_id=self.movies[movie].pk, kind="less")
        feedback_delete(user_id=member.pk, movie_id=self.movies[movie].pk)

    def _list(self, member, movie):
        playlist = self.lists[self.members.index(member)]
        playlist_items_add(playlist_id=playlist.pk, movie_ids=[self.movies[movie].pk])

    def _unlist(self, member, movie):
        playlist = self.lists[self.members.index(member)]
        playlist_items_remove(playlist_id=playlist.pk, movie_ids=[self.movies[movie].pk])

    def _deactivate(self, member):
        member.is_active = not member.is_active
        member.save(update_fields=["is_active"])

    def _visibility(self, member):
        member.visibility = "public" if member.visibility == "private" else "private"
        member.save(update_fields=["visibility"])

    def _recount(self, member):
        member_ratings_recount(user_id=member.pk)

    def _delete_account(self, member):
        account_delete(user=User.objects.get(pk=member.pk))

    def _import(self, member, scores):
        content = "Date,Name,Year,Letterboxd URI,Rating\n" + "".join(
            f"{self.now:%Y-%m-%d},{self.movies[movie].title},2000,https://boxd.it/x,{score}\n"
            for movie, score in scores
        )
        job, _ = import_create(
            user_id=member.pk, filename="ratings.csv", file=io.BytesIO(content.encode())
        )
        run_waiting_jobs()
        job.refresh_from_db()
        if job.state == Import.State.READY:
            import_apply(import_id=job.pk, on_conflict="replace")
            run_waiting_jobs()

    def _undo(self, member):
        job = Import.objects.filter(user=member, state=Import.State.APPLIED).first()
        if job is not None:
            import_undo(import_id=job.pk)
            run_waiting_jobs()


def assert_figures_equal_a_recount():
    """Compare all figures with sums in plain Python over the counted ratings and the items."""
    for movie in Movie.objects.all():
        ratings = list(Rating.objects.filter(movie=movie, is_counted=True))
        assert movie.rating_count == len(ratings)
        assert movie.rating_sum == sum(rating.score for rating in ratings)
        assert len({rating.user_id for rating in ratings}) == len(ratings)
        for column, half_life_days in TREND_HALF_LIFE_DAYS.items():
            weights = [compute_log_weight(half_life_days, rating.created_at) for rating in ratings]
            if not weights:
                assert getattr(movie, column) is None
                continue
            greatest = max(weights)
            expected = greatest + math.log2(math.fsum(2.0 ** (each - greatest) for each in weights))
            assert getattr(movie, column) == pytest.approx(expected, abs=1e-6)
    for playlist in Playlist.objects.all():
        assert playlist.movie_count == playlist.items.count()


def test_the_writes_of_an_import_count_and_are_undone(monkeypatch):
    community = Community(monkeypatch)

    community.write("import", 0, [(0, 4.5), (1, 2.0)])
    imported = list(Movie.objects.order_by("id").values_list("rating_count", "rating_sum"))
    community.write("undo", 0)
    undone = list(Movie.objects.order_by("id").values_list("rating_count", "trend_day"))

    assert imported == [(1, 4.5), (1, 2.0), (0, 0.0)]
    assert undone == [(0, None)] * 3


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(writes=st.lists(WRITES, max_size=14))
def test_figures_equal_a_recount_after_any_sequence_of_writes(writes, monkeypatch):
    with transaction.atomic():
        community = Community(monkeypatch)

        for write in writes:
            community.write(*write)
            assert_figures_equal_a_recount()

        for member in community.members:
            member_ratings_recount(user_id=member.pk)
        assert_figures_equal_a_recount()
        assert not Rating.objects.counted_wrongly().exists()
        check = figures_reconcile()
        assert (check.movies, check.playlists, check.ratings) == (0, 0, 0)
        transaction.set_rollback(True)
    monkeypatch.undo()
