"""Keeping what is held of TMDb as fresh as its terms ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from movies.dto import MovieData
from movies.models import Movie
from movies.services.catalogue import movie_mark_removed
from tmdb import parsers as parse
from tmdb.client.errors import TmdbAuthFailed, TmdbError, TmdbNotConfigured, TmdbNotFound
from tmdb.client.http import Client
from tmdb.services import films_fetch, films_store
from tmdb.sync.checkpoint import Failures, Interrupted, Progress, position_keep, position_of

NAME = "refresh_tmdb"
# A month before TMDb's terms ask for it, so that a few bad nights do no harm.
REFRESH_AFTER = timedelta(days=150)
# TMDb's changes feed tells of this many days at a time.
FEED_DAYS = 14
FILMS_AT_ONCE = 20
# As many as a client for batch work may have in flight.
REQUESTS_AT_ONCE = 2
# Twenty films at a credential's share of the budget, with room for retries.
STEP_BUDGET_S = 120.0


@dataclass
class Refreshed:
    """What a refresh did, or with `dry_run` would do."""

    changed: int = 0
    old: int = 0
    refreshed: int = 0
    removed: int = 0
    #: Whether `limit` left something to the next run.
    left_over: bool = False
    failures: Failures = field(default_factory=Failures)


def tmdb_refresh(
    *, client: Client, limit: int, progress: Progress, dry_run: bool = False
) -> Refreshed:
    """Ask TMDb again for what has changed there since the last refresh, then for what is old here.

    `limit` films at most. A film that TMDb has no longer is marked and stays. A run that was cut
    off is taken up by the next: what it refreshed is newer than its start. Raises Interrupted,
    TmdbNotConfigured, TmdbAuthFailed.
    """
    done = Refreshed()
    run = _Feed.taken_up(position_of(NAME))
    if not dry_run:
        position_keep(NAME, run.as_plain())
    ids = _changed(client, run, progress)
    done.changed = len(ids)
    asked, failed = _refreshed(client, ids[:limit], done, "changed", progress, dry_run=dry_run)
    if not dry_run and len(ids) <= limit:
        position_keep(NAME, run.finished(failed))
    old = _old()
    done.old = old.count()
    done.left_over = len(ids) + done.old > limit
    left = max(0, limit - asked)
    oldest = list(old.values_list("tmdb_id", flat=True)[:left])
    _refreshed(client, oldest, done, "old", progress, dry_run=dry_run)
    return done


@dataclass(frozen=True)
class _Feed:
    """How far the changes feed has been followed: to `through`; from `start` on in this run."""

    through: date | None
    started_at: datetime
    #: Films of earlier runs that could not be had then.
    failed: tuple[int, ...] = ()

    @classmethod
    def taken_up(cls, kept: dict[str, Any]) -> _Feed:
        through = date.fromisoformat(kept["through"]) if kept.get("through") else None
        started = kept.get("started_at")
        started_at = datetime.fromisoformat(started) if started else timezone.now()
        if timezone.now() - started_at > timedelta(days=FEED_DAYS):
            started_at = timezone.now()
        return cls(through, started_at, tuple(kept.get("failed", ())))

    def as_plain(self) -> dict[str, Any]:
        return {
            "through": self.through.isoformat() if self.through else None,
            "started_at": self.started_at.isoformat(),
            "failed": list(self.failed),
        }

    def finished(self, failed: Sequence[int]) -> dict[str, Any]:
        """What is kept once the feed was followed to its end."""
        return {"through": self.started_at.date().isoformat(), "failed": list(failed)[:1000]}

    @property
    def start(self) -> date:
        """The day to begin with: that of the last run again, as it was not over then."""
        today = self.started_at.date()
        return max(self.through or today - timedelta(days=1), today - timedelta(days=FEED_DAYS - 1))


def _changed(client: Client, run: _Feed, progress: Progress) -> list[int]:
    """Of the films held in full, those that TMDb says have changed and that are older than the run."""
    held: set[int] = set(_stale_ids(run, run.failed))
    number, last = 1, 1
    while number <= last:
        progress("changes feed, page", number - 1, last)
        try:
            page = parse.changes_page(
                client.changes(start=run.start, end=run.started_at.date(), page=number)
            )
        except (TmdbNotConfigured, TmdbAuthFailed):
            raise
        except TmdbError as error:
            raise Interrupted(f"changes feed, page {number}: {error}") from error
        held.update(_stale_ids(run, page.tmdb_ids))
        number, last = number + 1, page.total_pages
    return sorted(held)


def _stale_ids(run: _Feed, tmdb_ids: Sequence[int]) -> Iterator[int]:
    held = Movie.objects.filter(
        Q(synced_at__lt=run.started_at) | Q(synced_at=None),
        tmdb_id__in=tmdb_ids,
        source=Movie.Source.TMDB,
        details_missing=False,
    )
    for tmdb_id in held.values_list("tmdb_id", flat=True):
        if tmdb_id is not None:
            yield tmdb_id


def _old() -> QuerySet[Movie]:
    """What is to be refreshed by its age, films held in full first, the oldest first."""
    return Movie.objects.filter(
        Q(synced_at__lt=timezone.now() - REFRESH_AFTER) | Q(synced_at=None),
        source=Movie.Source.TMDB,
        tmdb_id__isnull=False,
        removed_at_source=None,
    ).order_by("details_missing", "synced_at", "id")


def _refreshed(
    client: Client,
    tmdb_ids: Sequence[int | None],
    done: Refreshed,
    what: str,
    progress: Progress,
    *,
    dry_run: bool,
) -> tuple[int, list[int]]:
    """Refresh films in steps; how many were asked for, and those that could not be had."""
    ids = [tmdb_id for tmdb_id in tmdb_ids if tmdb_id is not None]
    if dry_run:
        return len(ids), []
    all_failed: list[int] = []
    for start in range(0, len(ids), FILMS_AT_ONCE):
        progress(f"{what} films", start, len(ids))
        step = ids[start : start + FILMS_AT_ONCE]
        found = films_fetch(step, client.movie, at_once=REQUESTS_AT_ONCE, budget_s=STEP_BUDGET_S)
        failed = _stored(found, done)
        all_failed += failed
        _raise_if_away(found)
    return len(ids), all_failed


def _stored(found: dict[int, MovieData | TmdbError], done: Refreshed) -> list[int]:
    """Store what came, mark what is gone; the films for which neither could be done."""
    stored = films_store([each for each in found.values() if isinstance(each, MovieData)])
    done.refreshed += len(stored)
    gone = [tmdb_id for tmdb_id, each in found.items() if isinstance(each, TmdbNotFound)]
    for movie in Movie.objects.filter(tmdb_id__in=gone):
        movie_mark_removed(movie=movie)
    done.removed += len(gone)
    failed = [tmdb_id for tmdb_id in found if tmdb_id not in stored and tmdb_id not in gone]
    for tmdb_id in failed:
        error = found[tmdb_id]
        reason = str(error) if isinstance(error, TmdbError) else "it cannot be stored"
        done.failures.add(f"film {tmdb_id}: {reason}")
    return failed


def _raise_if_away(found: dict[int, MovieData | TmdbError]) -> None:
    errors = [each for each in found.values() if isinstance(each, TmdbError)]
    for error in errors:
        if isinstance(error, TmdbNotConfigured | TmdbAuthFailed):
            raise error
    if len(errors) == len(found) >= FILMS_AT_ONCE and not any(
        isinstance(error, TmdbNotFound) for error in errors
    ):
        raise Interrupted(str(errors[0]))
