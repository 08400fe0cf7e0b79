"""Store TMDb's movie lists page by page; a killed run resumes at its checkpoint.

The command sync_tmdb calls `movie_lists_sync`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from movies.dto import MovieData
from movies.models import Movie
from movies.services.upsert import movies_compare
from nexus.core.db.transactions import long_transaction
from tmdb import cache
from tmdb.client.errors import TmdbAuthFailed, TmdbError, TmdbNotConfigured
from tmdb.client.http import TmdbRequest, make_discover_request, make_list_request
from tmdb.gateway import Gateway
from tmdb.parsers import SearchPage, parse_search_page, select_catalogue_entries
from tmdb.services import movies_store
from tmdb.sync.checkpoint import (
    MAX_CONSECUTIVE_FAILURES,
    ReportProgress,
    SyncFailures,
    SyncInterrupted,
    clear_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

NAME = "sync_tmdb"
LISTS = ("popular", "top_rated", "now_playing", "upcoming")
# TMDb serves no page beyond this one.
LAST_PAGE = 500


@dataclass(frozen=True)
class SyncPlan:
    """The lists and years to read, the pages of each, and the first release day to store."""

    lists: tuple[str, ...]
    years: tuple[int, ...]
    pages: int
    since: date | None = None

    @property
    def parts(self) -> list[str]:
        """The lists to read: names of LISTS, `discover YEAR` or `discover` for all years."""
        parts = [*self.lists, *(f"discover {year}" for year in self.years)]
        if self.since is not None and not self.years:
            parts.append("discover")
        return parts

    def request_page(self, part: str, page: int) -> TmdbRequest:
        kind, _, year = part.partition(" ")
        if kind == "discover":
            return make_discover_request(
                page=page, year=int(year) if year else None, released_from=self.since
            )
        return make_list_request(part, page=page)

    def to_json(self) -> dict[str, Any]:
        since = self.since.isoformat() if self.since else None
        return {"parts": self.parts, "pages": self.pages, "since": since}


@dataclass
class ListSyncResult:
    """Counts of movies that a run and the runs it resumed stored, or with `dry_run` would store."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    pages: int = 0
    rejected: int = 0
    resumed: bool = False
    failures: SyncFailures = field(default_factory=SyncFailures)


@dataclass
class _ListSync:
    """The state of a run as its checkpoint stores it: the plan, the position and the result."""

    plan: SyncPlan
    part: int = 0
    page: int = 0
    result: ListSyncResult = field(default_factory=ListSyncResult)
    #: The part and page of what failed; it is tried once more at the end.
    skipped: list[tuple[int, int]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        result = self.result
        return {
            "plan": self.plan.to_json(),
            "part": self.part,
            "page": self.page,
            "skipped": [list(page) for page in self.skipped],
            "counts": [result.created, result.updated, result.pages, result.rejected],
        }

    @classmethod
    def resume(cls, plan: SyncPlan) -> _ListSync:
        """Return the run of the checkpoint if it has the same plan, else a new one."""
        position = load_checkpoint(NAME)
        if position.get("plan") != plan.to_json():
            return cls(plan)
        created, updated, pages, rejected = position["counts"]
        result = ListSyncResult(created, updated, pages=pages, rejected=rejected, resumed=True)
        skipped = [(part, page) for part, page in position["skipped"]]
        return cls(plan, position["part"], position["page"], result, skipped)


def movie_lists_sync(
    *, plan: SyncPlan, gateway: Gateway, report_progress: ReportProgress, dry_run: bool = False
) -> ListSyncResult:
    """Store the pages of a plan; continue a run of the same plan that was cut off.

    A page that fails is tried once more at the end and then counted as a failure; a movie that
    cannot be stored does not affect the others. Raises SyncInterrupted, TmdbNotConfigured or
    TmdbAuthFailed.
    """
    run = _ListSync(plan) if dry_run else _ListSync.resume(plan)
    total = len(plan.parts) * plan.pages
    consecutive_failures = 0
    while run.part < len(plan.parts):
        part, number = plan.parts[run.part], run.page + 1
        report_progress(part, run.part * plan.pages + run.page, total)
        page: SearchPage | None = None
        last_page = plan.pages
        try:
            page = parse_search_page(gateway.fetch(plan.request_page(part, number)))
        except (TmdbNotConfigured, TmdbAuthFailed):
            raise
        except TmdbError as error:
            consecutive_failures += 1
            if consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
                raise SyncInterrupted(f"{part}, page {number}: {error}") from error
            run.skipped.append((run.part, number))
        else:
            consecutive_failures = 0
            last_page = min(last_page, page.total_pages)
        if number >= last_page:
            run.part, run.page = run.part + 1, 0
        else:
            run.page += 1
        _store_page(run, page, dry_run=dry_run)
    _retry_skipped_pages(run, gateway, dry_run=dry_run)
    if not dry_run:
        clear_checkpoint(NAME)
    return run.result


def _retry_skipped_pages(run: _ListSync, gateway: Gateway, *, dry_run: bool) -> None:
    for part, number in list(run.skipped):
        name = run.plan.parts[part]
        try:
            page = parse_search_page(gateway.fetch(run.plan.request_page(name, number)))
        except TmdbError as error:
            run.result.failures.add(f"{name}, page {number}: {error}")
            continue
        run.skipped.remove((part, number))
        _store_page(run, page, dry_run=dry_run)


def _store_page(run: _ListSync, page: SearchPage | None, *, dry_run: bool) -> None:
    """Store a page and the run's position in one transaction; None is a page that failed."""
    movies: list[MovieData] = []
    if page is not None:
        # Outside the transaction, because a genre's name may have to be fetched from TMDb.
        entries = select_catalogue_entries(page, cache.get_genre_names(page))
        movies = _select_movies(entries.movies, run.plan.since)
        run.result.pages += 1
        run.result.rejected += len(entries.rejected)
    if dry_run:
        _count_changes(run.result, movies)
        return
    with long_transaction():
        _store_movies(run.result, movies)
        save_checkpoint(NAME, run.to_json())


def _select_movies(movies: tuple[MovieData, ...], since: date | None) -> list[MovieData]:
    """Return each movie once, without those released before `since`."""
    unique = {
        movie.tmdb_id: movie
        for movie in movies
        if since is None or (movie.release_date is not None and movie.release_date >= since)
    }
    return list(unique.values())


def _store_movies(result: ListSyncResult, movies: list[MovieData]) -> None:
    stored = movies_store(movies)
    created = sum(upserted.created for upserted in stored.values())
    result.created += created
    result.updated += len(stored) - created
    for movie in movies:
        if movie.tmdb_id not in stored:
            result.failures.add(f"movie {movie.tmdb_id}: the database rejected it; see the log")


def _count_changes(result: ListSyncResult, movies: list[MovieData]) -> None:
    comparisons = movies_compare(movies=movies, source=Movie.Source.TMDB)
    for comparison in comparisons:
        if comparison.movie_id is None and comparison.changes:
            result.created += 1
        elif comparison.changes:
            result.updated += 1
        else:
            result.unchanged += 1
