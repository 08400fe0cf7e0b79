"""Bringing TMDb's lists into the catalogue, page by page, each with the place reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from movies.dto import MovieData
from movies.models import Movie
from movies.services.upsert import movies_compare
from nexus.core.db.transactions import long_transaction
from tmdb import parsers as parse
from tmdb import trending as lists
from tmdb.client.errors import TmdbAuthFailed, TmdbError, TmdbNotConfigured
from tmdb.client.http import Client
from tmdb.services import films_store
from tmdb.sync.checkpoint import (
    FAILURES_TO_STOP,
    Failures,
    Interrupted,
    Progress,
    position_clear,
    position_keep,
    position_of,
)

NAME = "sync_tmdb"
LISTS = ("popular", "top_rated", "now_playing", "upcoming")
# TMDb gives no page beyond.
LAST_PAGE = 500


@dataclass(frozen=True)
class Plan:
    """Which lists and years, how many pages of each, and films from which day on."""

    lists: tuple[str, ...]
    years: tuple[int, ...]
    pages: int
    since: date | None = None

    @property
    def parts(self) -> list[str]:
        parts = [*self.lists, *(f"discover {year}" for year in self.years)]
        if self.since is not None and not self.years:
            parts.append("discover")
        return parts

    def as_plain(self) -> dict[str, Any]:
        since = self.since.isoformat() if self.since else None
        return {"parts": self.parts, "pages": self.pages, "since": since}


@dataclass
class Synced:
    """What a run did, those it took up included, or with `dry_run` would do."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    pages: int = 0
    refused: int = 0
    resumed: bool = False
    failures: Failures = field(default_factory=Failures)


@dataclass
class _Run:
    """A run as it is kept: the plan, the place, and what came of it so far."""

    plan: Plan
    part: int = 0
    page: int = 0
    done: Synced = field(default_factory=Synced)
    #: Pages to be tried once more at the end: part, page.
    skipped: list[tuple[int, int]] = field(default_factory=list)

    def as_plain(self) -> dict[str, Any]:
        done = self.done
        return {
            "plan": self.plan.as_plain(),
            "part": self.part,
            "page": self.page,
            "skipped": [list(each) for each in self.skipped],
            "counts": [done.created, done.updated, done.pages, done.refused],
        }

    @classmethod
    def taken_up(cls, plan: Plan, kept: dict[str, Any]) -> _Run:
        """The run that was kept, where it is of the same plan; else a new one."""
        if kept.get("plan") != plan.as_plain():
            return cls(plan)
        created, updated, pages, refused = kept["counts"]
        done = Synced(created, updated, pages=pages, refused=refused, resumed=True)
        skipped = [(part, page) for part, page in kept["skipped"]]
        return cls(plan, kept["part"], kept["page"], done, skipped)


def tmdb_sync(*, plan: Plan, client: Client, progress: Progress, dry_run: bool = False) -> Synced:
    """Store the pages of a plan; a run that was cut off is taken up where it was.

    A page that fails is tried once more at the end and then counted; one film that cannot be used
    keeps no other away. Raises Interrupted, TmdbNotConfigured, TmdbAuthFailed.
    """
    run = _Run(plan) if dry_run else _Run.taken_up(plan, position_of(NAME))
    total = len(plan.parts) * plan.pages
    in_a_row = 0
    while run.part < len(plan.parts):
        name, number = plan.parts[run.part], run.page + 1
        progress(name, run.part * plan.pages + run.page, total)
        page: parse.SearchPage | None = None
        last = plan.pages
        try:
            page = _asked(client, plan, name, number)
        except (TmdbNotConfigured, TmdbAuthFailed):
            raise
        except TmdbError as error:
            in_a_row += 1
            if in_a_row >= FAILURES_TO_STOP:
                raise Interrupted(f"{name}, page {number}: {error}") from error
            run.skipped.append((run.part, number))
        else:
            in_a_row = 0
            last = min(last, page.total_pages)
        _advance(run, page, is_last=number >= last, dry_run=dry_run)
    _try_again(run, client, dry_run=dry_run)
    if not dry_run:
        position_clear(NAME)
    return run.done


def _asked(client: Client, plan: Plan, name: str, number: int) -> parse.SearchPage:
    kind, _, year = name.partition(" ")
    ask = partial(client.movie_list, name)
    if kind == "discover":
        ask = partial(client.discover, year=int(year) if year else None, released_from=plan.since)
    return parse.search_page(ask(page=number))


def _advance(run: _Run, page: parse.SearchPage | None, *, is_last: bool, dry_run: bool) -> None:
    """Store the page and, in the same transaction, that it is stored."""
    if is_last:
        run.part, run.page = run.part + 1, 0
    else:
        run.page += 1
    # Before the transaction, as it may have to ask TMDb for a genre's name.
    entries = _entries(run, page) if page is not None else None
    if dry_run:
        if entries is not None:
            _compare(run, entries)
        return
    with long_transaction():
        if entries is not None:
            _store(run, entries)
        position_keep(NAME, run.as_plain())


@dataclass(frozen=True)
class _Entries:
    """What a page has of films that are wanted, each once, and how many it has that are not taken."""

    wanted: list[MovieData]
    refused: int


def _entries(run: _Run, page: parse.SearchPage) -> _Entries:
    found = parse.list_page(page, lists.genre_names(page))
    since = run.plan.since
    wanted = {
        fact.tmdb_id: fact
        for fact in found.facts
        if since is None or (fact.release_date is not None and fact.release_date >= since)
    }
    return _Entries(list(wanted.values()), len(found.refused))


def _store(run: _Run, entries: _Entries) -> None:
    stored = films_store(entries.wanted)
    created = sum(each.created for each in stored.values())
    run.done.created += created
    run.done.updated += len(stored) - created
    run.done.pages += 1
    run.done.refused += entries.refused
    for fact in entries.wanted:
        if fact.tmdb_id not in stored:
            run.done.failures.add(f"film {fact.tmdb_id}: it cannot be stored")


def _compare(run: _Run, entries: _Entries) -> None:
    compared = movies_compare(movies=entries.wanted, source=Movie.Source.TMDB)
    run.done.created += sum(each.movie_id is None for each in compared)
    run.done.updated += sum(each.movie_id is not None and each.changes for each in compared)
    run.done.unchanged += sum(not each.changes for each in compared)
    run.done.pages += 1
    run.done.refused += entries.refused


def _try_again(run: _Run, client: Client, *, dry_run: bool) -> None:
    for part, number in list(run.skipped):
        name = run.plan.parts[part]
        try:
            page = _asked(client, run.plan, name, number)
        except TmdbError as error:
            run.done.failures.add(f"{name}, page {number}: {error}")
            continue
        run.skipped.remove((part, number))
        entries = _entries(run, page)
        if dry_run:
            _compare(run, entries)
            continue
        with long_transaction():
            _store(run, entries)
            position_keep(NAME, run.as_plain())
