"""Coming releases as JSON and as an iCalendar file (RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from icalendar import Calendar, Event
from rest_framework import serializers

from movies.availability import RELEASE_KINDS
from movies.serializers import MovieSummarySerializer, movie_summary_payload
from nexus.core.api.fields import SharedFieldsSerializer
from social.selectors.calendar import FIRST_RELEASE, CalendarEntry

KIND_NAMES = {
    "premiere": "premiere",
    "theatrical_limited": "limited theatrical release",
    "theatrical": "theatrical release",
    "digital": "digital release",
    "physical": "physical release",
    "tv": "TV premiere",
    FIRST_RELEASE: "release",
}
REFRESH_INTERVAL = timedelta(hours=12)


class CalendarEntrySerializer(SharedFieldsSerializer):
    """A coming release of a movie on the caller's watchlist."""

    movie = MovieSummarySerializer()
    date = serializers.DateField()
    kind = serializers.ChoiceField(
        choices=(*RELEASE_KINDS, FIRST_RELEASE),
        help_text="`release`: the movie's own date, because none is known in the region.",
    )
    certification = serializers.CharField(help_text="Empty if unknown.")
    note = serializers.CharField()


class CalendarFeedSerializer(serializers.Serializer[Any]):
    url = serializers.URLField(
        help_text="The address to subscribe to. Whoever knows it can read the calendar."
    )


def serialize_entries(entries: Iterable[CalendarEntry]) -> list[dict[str, Any]]:
    return [
        {
            "movie": movie_summary_payload(entry.movie),
            "date": entry.date.isoformat(),
            "kind": entry.kind,
            "certification": entry.certification,
            "note": entry.note,
        }
        for entry in entries
    ]


def make_calendar(entries: Iterable[CalendarEntry], *, region: str) -> bytes:
    """Return the entries as events of whole days.

    An event keeps its UID when its day moves, and has a higher SEQUENCE then. Nothing depends on the
    time of the call, so that a calendar without changes is the same file.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Nexus Movie API//Releases//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", "Movies on my watchlist")
    calendar.add("refresh-interval", REFRESH_INTERVAL, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT12H")
    for entry in entries:
        calendar.add_component(_make_event(entry, region))
    return bytes(calendar.to_ical())


def _make_event(entry: CalendarEntry, region: str) -> Event:
    event = Event()
    place = f" ({region})" if region and entry.kind != FIRST_RELEASE else ""
    details = filter(None, [entry.certification and f"Rated {entry.certification}.", entry.note])
    uid = f"movie-{entry.movie['id']}-{region or 'any'}-{entry.kind}-{entry.number}"
    event.add("uid", f"{uid}@nexus-movie-api")
    event.add("summary", f"{entry.movie['title']}: {KIND_NAMES[entry.kind]}{place}")
    event.add("dtstart", entry.date)
    # The day after the last one.
    event.add("dtend", entry.date + timedelta(days=1))
    event.add("dtstamp", entry.changed_at)
    event.add("last-modified", entry.changed_at)
    event.add("sequence", entry.revision)
    event.add("transp", "TRANSPARENT")
    if description := " ".join(details):
        event.add("description", description)
    return event
