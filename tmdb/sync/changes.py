"""Refresh stored movies that changed at TMDb or are older than TMDb's terms allow.

The command refresh_tmdb calls `movies_refresh`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from movies.dto import MovieData
from movies.models import Movie, MovieQuerySet
from movies.services.availability import expired_availability_delete
from movies.services.catalogue import movie_mark_removed
from tmdb.client.errors import TmdbAuthFailed, TmdbError, TmdbNotConfigured, TmdbNotFound
from tmdb.client.http import make_changes_request
from tmdb.gateway import BATCH_MAX_IN_FLIGHT, Gateway
from tmdb.parsers import parse_changes_page
from tmdb.services import fetch_movies, movies_store
from tmdb.sync.checkpoint import (
    ReportProgress,
    SyncFailures,
    SyncInterrupted,
    load_checkpoint,
    save_checkpoint,
)

NAME = "refresh_tmdb"
# A month before TMDb's terms require it, so that failed nights do no harm.
REFRESH_AFTER = timedelta(days=150)
# TMDb serves the changes of at most this many days at a time.
CHANGES_DAYS = 14
MOVIES_PER_STEP = 20
# For one step at the rate of batch work, with room for retries.
STEP_TIME_LIMIT_S = 120.0
MAX_STORED_FAILURES = 1000


@dataclass
class RefreshResult:
    """Counts of movies that a run refreshed, or with `dry_run` would refresh."""

    changed: int = 0
    old: int = 0
    refreshed: int = 0
    removed: int = 0
    #: Whether `limit` left movies to the next run.
    is_limited: bool = False
    failures: SyncFailures = field(default_factory=SyncFailures)


@dataclass(frozen=True)
class _ChangesPosition:
    """How far the changes are read: up to day `through`; the current run started at `started_at`."""

    through: date | None
    started_at: datetime
    #: TMDb ids that earlier runs could not refresh.
    failed: tuple[int, ...] = ()

    @classmethod
    def resume(cls) -> _ChangesPosition:
        """Return the position of the checkpoint; an interrupted run keeps its start."""
        position = load_checkpoint(NAME)
        now = timezone.now()
        through = date.fromisoformat(position["through"]) if position.get("through") else None
        started_at = position.get("started_at")
        start = datetime.fromisoformat(started_at) if started_at else now
        if now - start > timedelta(days=CHANGES_DAYS):
            start = now
        return cls(through, start, tuple(position.get("failed", ())))

    @property
    def first_day(self) -> date:
        """The first day to read: that of the last run, which was not over then, if TMDb still serves it."""
        today = self.started_at.date()
        earliest = today - timedelta(days=CHANGES_DAYS - 1)
        return max(self.through or today - timedelta(days=1), earliest)

    def save_started(self) -> None:
        save_checkpoint(
            NAME,
            {
                "through": self.through.isoformat() if self.through else None,
                "started_at": self.started_at.isoformat(),
                "failed": list(self.failed),
            },
        )

    def save_completed(self, failed: Sequence[int]) -> None:
        """Save that all changes until the start of this run are refreshed, except `failed`."""
        save_checkpoint(
            NAME,
            {
                "through": self.started_at.date().isoformat(),
                "failed": list(failed)[:MAX_STORED_FAILURES],
            },
        )


def movies_refresh(
    *, gateway: Gateway, limit: int, report_progress: ReportProgress, dry_run: bool = False
) -> RefreshResult:
    """Refresh the movies that changed at TMDb since the last run, then those that are old here.

    At most `limit` movies. A movie that TMDb has deleted is marked and stays. The next run continues a
    run that was cut off, and skips the movies that it has refreshed. Raises SyncInterrupted,
    TmdbNotConfigured or TmdbAuthFailed.
    """
    result = RefreshResult()
    position = _ChangesPosition.resume()
    if not dry_run:
        position.save_started()
    changed_ids = _find_changed_ids(gateway, position, report_progress)
    old_movies = _find_old_movies()
    result.changed = len(changed_ids)
    if dry_run:
        result.old = old_movies.count()
    else:
        failed = _refresh(gateway, changed_ids[:limit], result, "changed movies", report_progress)
        if len(changed_ids) <= limit:
            position.save_completed(failed)
        result.old = old_movies.count()
        left = max(0, limit - len(changed_ids))
        old_ids = old_movies.values_list("tmdb_id", flat=True)[:left]
        _refresh(gateway, _without_none(old_ids), result, "old movies", report_progress)
        expired_availability_delete()
    result.is_limited = len(changed_ids) + result.old > limit
    return result


def _find_changed_ids(
    gateway: Gateway, position: _ChangesPosition, report_progress: ReportProgress
) -> list[int]:
    """Return the TMDb ids of stored movies that changed and are not refreshed in this run yet."""
    ids = set(_find_outdated_ids(position, position.failed))
    number, last_page = 1, 1
    while number <= last_page:
        report_progress("pages of changes", number - 1, last_page)
        request = make_changes_request(
            start=position.first_day, end=position.started_at.date(), page=number
        )
        try:
            page = parse_changes_page(gateway.fetch(request))
        except (TmdbNotConfigured, TmdbAuthFailed):
            raise
        except TmdbError as error:
            raise SyncInterrupted(f"changes, page {number}: {error}") from error
        ids.update(_find_outdated_ids(position, page.tmdb_ids))
        number, last_page = number + 1, page.total_pages
    return sorted(ids)


def _find_outdated_ids(position: _ChangesPosition, tmdb_ids: Sequence[int]) -> list[int]:
    """Return those of the ids that are stored in full and were last synced before this run."""
    movies = Movie.objects.filter(
        Q(synced_at__lt=position.started_at) | Q(synced_at=None),
        tmdb_id__in=tmdb_ids,
        source=Movie.Source.TMDB,
        details_missing=False,
    )
    return _without_none(movies.values_list("tmdb_id", flat=True))


def _find_old_movies() -> MovieQuerySet:
    """Return the movies to refresh because of their age: those stored in full first, oldest first."""
    return Movie.objects.filter(
        Q(synced_at__lt=timezone.now() - REFRESH_AFTER) | Q(synced_at=None),
        source=Movie.Source.TMDB,
        tmdb_id__isnull=False,
        removed_at_source=None,
    ).order_by("details_missing", "synced_at", "id")


def _without_none(tmdb_ids: Iterable[int | None]) -> list[int]:
    return [tmdb_id for tmdb_id in tmdb_ids if tmdb_id is not None]


def _refresh(
    gateway: Gateway,
    tmdb_ids: Sequence[int],
    result: RefreshResult,
    label: str,
    report_progress: ReportProgress,
) -> list[int]:
    """Refresh movies in steps and return the ids of those that failed."""
    failed: list[int] = []
    for start in range(0, len(tmdb_ids), MOVIES_PER_STEP):
        report_progress(label, start, len(tmdb_ids))
        fetched = fetch_movies(
            tmdb_ids[start : start + MOVIES_PER_STEP],
            gateway,
            threads=BATCH_MAX_IN_FLIGHT,
            time_limit_s=STEP_TIME_LIMIT_S,
        )
        failed += _store(fetched, result)
        _raise_if_unavailable(fetched)
    return failed


def _store(fetched: dict[int, MovieData | TmdbError], result: RefreshResult) -> list[int]:
    """Store fetched movies and mark those that TMDb deleted; return the ids of all others."""
    stored = movies_store([movie for movie in fetched.values() if isinstance(movie, MovieData)])
    result.refreshed += len(stored)
    removed = [tmdb_id for tmdb_id, outcome in fetched.items() if isinstance(outcome, TmdbNotFound)]
    for movie in Movie.objects.filter(tmdb_id__in=removed):
        movie_mark_removed(movie=movie)
    result.removed += len(removed)
    failed = [tmdb_id for tmdb_id in fetched if tmdb_id not in stored and tmdb_id not in removed]
    for tmdb_id in failed:
        error = fetched[tmdb_id]
        reason = str(error) if isinstance(error, TmdbError) else "the database rejected it"
        result.failures.add(f"movie {tmdb_id}: {reason}")
    return failed


def _raise_if_unavailable(fetched: dict[int, MovieData | TmdbError]) -> None:
    """End the run if TMDb rejects the credential or a whole step failed."""
    errors = [outcome for outcome in fetched.values() if isinstance(outcome, TmdbError)]
    for error in errors:
        if isinstance(error, TmdbNotConfigured | TmdbAuthFailed):
            raise error
    has_response = any(isinstance(error, TmdbNotFound) for error in errors)
    if len(errors) == len(fetched) >= MOVIES_PER_STEP and not has_response:
        raise SyncInterrupted(str(errors[0]))
