"""The life of a training: made beside the active one, switched to in one transaction, rolled back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from nexus.core.db.advisory_locks import AdvisoryLock, session_lock
from nexus.core.db.transactions import long_transaction
from recommendations.algorithms.fit import fit, refit_movies
from recommendations.algorithms.model import Model
from recommendations.algorithms.neighbors import Executor
from recommendations.algorithms.parameters import MIN_RATINGS, VERSION, Parameters
from recommendations.algorithms.types import MovieContent, Ratings
from recommendations.models import Training
from recommendations.training.store import (
    content_read,
    factors_analyze,
    model_store,
    ratings_read,
)
from recommendations.training.validation import draw_held_out, measure_on_strangers

#: Takes the step and the share of it that is done (0 to 1).
Progress = Callable[[str, float], None]

#: How many trainings stay stored with their rows, the active one among them.
STORED_TRAININGS = 3
# On the same held-out members a training may be so much worse than the active one: about two
# standard errors of the difference at 300 members.
NDCG_MARGIN = 0.02
LOG_LOSS_MARGIN = 0.02
# The figures of fewer members are mostly noise.
MIN_MEMBERS_TO_COMPARE = 20


class TrainingError(Exception):
    """Nothing was changed; the message says why."""


class AlreadyTrainingError(TrainingError):
    pass


class TooFewRatingsError(TrainingError):
    pass


class WorseError(TrainingError):
    """The new training was refused."""


class BadModelError(TrainingError):
    """A learned value is not a finite number."""


@dataclass
class TrainingReport:
    """The result of a run, or of a dry run."""

    training: Training
    #: Figures on the held-out members; those of the active training are from its own run.
    figures: dict[str, Any]
    of_active: dict[str, Any] | None = None
    cleared: int = 0
    removed: list[int] = field(default_factory=list)


def training_run(
    *,
    progress: Progress,
    since: datetime | None = None,
    dry_run: bool = False,
    force: bool = False,
    executor: Executor | None = None,
) -> TrainingReport:
    """Train on the community's ratings, and switch to the new training.

    Until the switch the active training serves, whatever happens to this run. Raises TrainingError,
    or BadRatings for a rating that is not a number of stars. `force` trains on any number of
    ratings, and switches even to a worse training. `executor` computes the blocks of movies;
    without one, threads of this process do.
    """
    with _hold_training_lock():
        cleared = 0 if dry_run else _clear_leftovers()
        started = time.monotonic()
        read = ratings_read(since=since, progress=progress)
        ratings = read.ratings
        # First of all: one bad rating would spoil the whole model.
        ratings.check()
        if len(ratings) < (1 if force else MIN_RATINGS):
            raise TooFewRatingsError(
                f"There are {len(ratings):,} ratings; a training needs {MIN_RATINGS:,}. "
                "Until then the default coefficients serve."
            )
        training = Training(
            algorithm=VERSION,
            ratings_since=since,
            newest_rating_at=read.newest_at,
            rating_count=len(ratings),
            member_count=len(np.unique(ratings.users)),
        )
        if dry_run:
            return _learn(training, ratings, started, progress, executor, force=force)[1]
        training.save()
        try:
            model, report = _learn(training, ratings, started, progress, executor, force=force)
            with long_transaction():
                model_store(training=training, model=model, progress=progress)
                training.duration_s = round(time.monotonic() - started, 2)
                training.state = Training.State.READY
                training.save()
                _activate(training)
        except WorseError:
            training.state = Training.State.REFUSED
            training.save()
            raise
        except BaseException:
            # Nothing of it stays stored; after a kill -9 the next run removes it.
            if not connection.needs_rollback:
                training.delete()
            raise
        factors_analyze()
        report.cleared, report.removed = cleared, _prune()
        return report


def _learn(
    training: Training,
    ratings: Ratings,
    started: float,
    progress: Progress,
    executor: Executor | None,
    *,
    force: bool,
) -> tuple[Model, TrainingReport]:
    """Return the model with its figures. Raises WorseError if it should not serve."""
    content, as_of = content_read(), time.time()
    parameters = Parameters.for_size(len(ratings), use_votes=settings.RECOMMEND_WITH_TMDB_VOTES)
    is_held_out = draw_held_out(ratings.users, members=training.member_count)
    shared: dict[str, Any] = {"as_of": as_of, "progress": progress, "executor": executor}
    model = fit(ratings[~is_held_out], content, parameters, **shared)
    _check(model)
    progress("trying", 0.0)
    report = _measure(training, model, ratings[is_held_out], content)
    reliability = report.figures.pop("reliability", [])
    training.metrics = {"held_out": report.figures, "reliability": reliability}
    training.movie_count = len(model.movies)
    training.duration_s = round(time.monotonic() - started, 2)
    if not force and (reason := _explain_rejection(report)):
        raise WorseError(reason)
    # The held-out members are learned from too. The model that was tried makes room for the next.
    coefficients = model.coefficients
    del model
    model = refit_movies(ratings, content, parameters, coefficients, **shared)
    _check(model)
    training.movie_count = len(model.movies)
    return model, report


def fit_as_of(moment: datetime, *, progress: Progress) -> Model:
    """Return a model of only what was known at that moment; nothing is stored.

    TMDb's votes are those of today, so they are not used. Raises TooFewRatingsError if there was no
    rating before the moment.
    """
    ratings = ratings_read(since=None, before=moment, progress=progress).ratings
    if not len(ratings):
        raise TooFewRatingsError(f"There are no ratings before {moment:%Y-%m-%d %H:%M} UTC.")
    return fit(
        ratings,
        content_read(),
        Parameters.for_size(len(ratings), use_votes=False),
        as_of=moment.timestamp(),
        progress=progress,
    )


def training_rollback(*, dry_run: bool = False) -> tuple[Training, Training]:
    """Switch back to the training before the active one.

    Return the one that was active and the one that is. Raises TrainingError if there is none.
    """
    with _hold_training_lock():
        active = Training.objects.filter(active=True).first()
        if active is None:
            raise TrainingError("No training is active; the default coefficients serve.")
        before = (
            Training.objects.filter(state=Training.State.READY, algorithm=VERSION, id__lt=active.pk)
            .order_by("-id")
            .first()
        )
        if before is None:
            raise TrainingError(f"There is no training before {active.pk} to go back to.")
        if not dry_run:
            with long_transaction():
                _activate(before)
        return active, before


def _activate(training: Training) -> None:
    Training.objects.filter(active=True).exclude(pk=training.pk).update(active=False)
    training.active, training.activated_at = True, timezone.now()
    training.save(update_fields=["active", "activated_at"])


@contextmanager
def _hold_training_lock() -> Iterator[None]:
    """Hold the lock of trainings. It ends with the connection, so a killed run leaves none."""
    with session_lock(AdvisoryLock.TRAINING) as is_acquired:
        if not is_acquired:
            raise AlreadyTrainingError("Another training is running; this one ends.")
        yield


def _clear_leftovers() -> int:
    """Delete the trainings of killed runs. The lock is held, so no other run is building one."""
    unfinished = Training.objects.filter(state=Training.State.BUILDING)
    count = unfinished.count()
    unfinished.delete()
    return count


def _check(model: Model) -> None:
    """Raise BadModelError if a learned value is not a finite number."""
    movies = model.movies
    for name in ("quality", "bias", "count", "rate", "recent_rate", "trend", "factors"):
        values = getattr(movies, name)
        wrong = ~np.isfinite(values if values.ndim == 1 else values.sum(axis=1))
        if wrong.any():
            movie = movies.ids[int(wrong.argmax())]
            raise BadModelError(f"The {name} learned of movie {movie} is not a number.")
    for name, lists in (("feed", model.feed), ("taste", model.taste)):
        wrong = ~np.isfinite(lists.data)
        if wrong.any():
            entry = int(wrong.argmax())
            source = movies.ids[lists.indices[entry]]
            target = movies.ids[int(np.searchsorted(lists.indptr, entry, side="right")) - 1]
            raise BadModelError(
                f"The {name} weight of movie {source} for movie {target} is not a number."
            )
    values = {"intercept": model.coefficients.intercept, **model.coefficients.weights}
    if wrong_names := [name for name, value in values.items() if not np.isfinite(value)]:
        raise BadModelError(f"These coefficients are not numbers: {', '.join(wrong_names)}.")


def _measure(
    training: Training, model: Model, held_out: Ratings, content: MovieContent
) -> TrainingReport:
    """Return the figures of the model beside those of the active training.

    The active training has learned from all members since, so it cannot be measured again. Its
    figures are from its own run, on the same members as they were then.
    """
    active = Training.objects.filter(active=True, algorithm=VERSION).defer("movies").first()
    of_active = active.metrics.get("held_out") if active else None
    return TrainingReport(training, measure_on_strangers(model, held_out, content), of_active)


def _explain_rejection(report: TrainingReport) -> str:
    """Return why the new training should not serve; empty if nothing speaks against it."""
    old, new = report.of_active, report.figures
    if old is None or old["members"] < MIN_MEMBERS_TO_COMPARE:
        return ""
    reasons = []
    for name, margin, sign in (
        ("ndcg_at_10", NDCG_MARGIN, -1),
        ("log_loss", LOG_LOSS_MARGIN, 1),
    ):
        if name in old and sign * (new.get(name, np.inf * sign) - old[name]) > margin:
            reasons.append(f"{name} {new.get(name, 'none')} instead of {old[name]}")
    if not reasons:
        return ""
    return (
        f"On members it never saw, the new training is worse than the active one was on "
        f"{old['members']} of them: {', '.join(reasons)}. It is not switched to; --force would."
    )


def _prune() -> list[int]:
    """Delete all but the newest trainings and the active one; return the ids of those deleted."""
    ready = Training.objects.filter(state=Training.State.READY)
    newest = set(ready.order_by("-id").values_list("id", flat=True)[:STORED_TRAININGS])
    old = ready.filter(Q(active=False) & ~Q(id__in=newest))
    ids = sorted(old.values_list("id", flat=True))
    # Refused trainings have figures but no rows; as many of them stay.
    refused = Training.objects.filter(state=Training.State.REFUSED)
    newest_refused = list(refused.order_by("-id").values_list("id", flat=True)[:STORED_TRAININGS])
    with long_transaction():
        old.delete()
        refused.exclude(id__in=newest_refused).delete()
    return ids
