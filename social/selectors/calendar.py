"""The coming releases of the movies on a member's watchlist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from movies.models import MAX_AGE
from movies.serializers import SUMMARY_COLUMNS
from social.models import CalendarFeed, WatchlistItem

#: Movies with a coming release that a calendar contains, those added last.
MAX_MOVIES = 500
#: Events of a feed, the earliest: each takes the library a quarter of a millisecond.
MAX_EVENTS = 200
#: The kind of a release of which only the movie's own day is known.
FIRST_RELEASE = "release"
#: How long a past release stays in the feed, so that it does not vanish on the day.
PAST = timedelta(days=30)


@dataclass(frozen=True)
class CalendarEntry:
    """A release of a movie on a member's watchlist."""

    #: A row of SUMMARY_COLUMNS.
    movie: dict[str, Any]
    date: date
    kind: str
    certification: str
    note: str
    #: The place among the releases of this kind in the region: the same when the day moves.
    number: int
    revision: int
    changed_at: datetime


def list_calendar(*, user_id: int, region: str, since: date) -> list[CalendarEntry]:
    """Return the releases from a day on, the earliest first, in one query.

    Of a movie without a known release in the region it is the movie's own release date. Release days
    that are older than TMDb's terms allow to store count as unknown.
    """
    columns = [f"movie__{name}" for name in SUMMARY_COLUMNS]
    extras = {
        "releases": F(f"movie__extras__releases__{region}") if region else F("movie__extras"),
        "extras_synced_at": F("movie__extras__synced_at"),
        "revision": F("movie__extras__revision"),
        "changed_at": F("movie__extras__changed_at"),
    }
    is_coming = Q(movie__extras__last_release__gte=since) | Q(movie__release_date__gte=since)
    items = WatchlistItem.objects.filter(is_coming, user_id=user_id).order_by("-added_at", "-id")
    entries: list[CalendarEntry] = []
    for row in items.values("added_at", *columns, **extras)[:MAX_MOVIES]:
        movie = {name: row[f"movie__{name}"] for name in SUMMARY_COLUMNS}
        entries += [entry for entry in _list_releases(movie, row) if entry.date >= since]
    return sorted(entries, key=lambda entry: (entry.date, entry.movie["title"], entry.kind))


def find_feed_owner(secret: str) -> CalendarFeed | None:
    """Return the feed of a secret with its member, or None if the secret is not a living one."""
    feeds = CalendarFeed.objects.select_related("user").filter(user__is_active=True)
    return feeds.filter(digest=CalendarFeed.hash_secret(secret)).first()


def _list_releases(movie: dict[str, Any], row: dict[str, Any]) -> list[CalendarEntry]:
    synced_at = row["extras_synced_at"]
    is_recent = synced_at is not None and timezone.now() - synced_at <= MAX_AGE
    releases = row["releases"] if is_recent and isinstance(row["releases"], list) else []
    if not releases and movie["release_date"] is not None:
        releases = [[movie["release_date"].isoformat(), FIRST_RELEASE, "", ""]]
    entries, counts = [], dict[str, int]()
    for day, kind, certification, note in releases:
        counts[kind] = counts.get(kind, 0) + 1
        entries.append(
            CalendarEntry(
                movie=movie,
                date=date.fromisoformat(day),
                kind=kind,
                certification=certification,
                note=note,
                number=counts[kind],
                revision=row["revision"] or 0,
                changed_at=row["changed_at"] or row["added_at"],
            )
        )
    return entries
