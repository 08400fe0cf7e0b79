"""Coming releases of a watchlist: the list, and the private calendar."""

import json
import logging
from datetime import date, timedelta

import pytest
from django.utils import timezone
from icalendar import Calendar

from movies.availability import AvailabilityData, ReleaseData
from movies.models import MovieExtras
from movies.services.upsert import availability_store
from nexus.core.middleware import hide_secrets
from nexus.core.observability.logging import JsonFormatter
from social.models import CalendarFeed

TODAY = timezone.now().date()
SOON, LATER, PAST = (TODAY + timedelta(days=days) for days in (10, 40, -400))


def release(day, kind="theatrical", region="DE", **fields):
    return ReleaseData(region, day, kind, **fields)


def store_releases(movie, *releases):
    availability_store(movies={movie.pk: AvailabilityData(releases=releases)})


@pytest.fixture
def ann(make_user):
    return make_user("ann", region="DE")


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


@pytest.fixture
def movie(make_movie, client):
    """A movie on Ann's watchlist that is released twice in Germany and once in France."""
    movie = make_movie("Dune; Part, Two", release_date=PAST)
    client.put(f"/watchlist/{movie.pk}/")
    store_releases(
        movie,
        release(PAST),
        release(LATER, "digital", certification="12"),
        release(SOON, note="Anniversary"),
        release(SOON, region="FR"),
    )
    return movie


def get_feed_path(client):
    response = client.post("/watchlist/calendar/feed/")
    assert response.status_code == 200
    return response.json()["url"].removeprefix("http://testserver")


def read_events(api, path):
    """Return the events of a calendar by UID, read by the library's own parser."""
    calendar = Calendar.from_ical(api.get(path).content)
    assert calendar.errors == []
    assert all(event.errors == [] for event in calendar.walk("VEVENT"))
    return {str(event["uid"]): event for event in calendar.walk("VEVENT")}


def test_coming_releases_are_listed_by_day(client, movie, make_movie):
    other = make_movie("Not on the list")
    store_releases(other, release(SOON))

    results = client.get("/watchlist/calendar/").json()["results"]

    assert [(row["date"], row["kind"]) for row in results] == [
        (SOON.isoformat(), "theatrical"),
        (LATER.isoformat(), "digital"),
    ]
    assert (results[0]["note"], results[1]["certification"]) == ("Anniversary", "12")
    assert results[0]["movie"]["title"] == "Dune; Part, Two"


def test_the_region_of_the_query_comes_before_that_of_the_profile(client, movie):
    results = client.get("/watchlist/calendar/?region=fr").json()["results"]

    assert [row["kind"] for row in results] == ["theatrical"]
    assert client.get("/watchlist/calendar/?region=UK").status_code == 400


def test_without_a_known_release_it_is_the_movies_own_day(client, make_movie, ann):
    movie = make_movie("Unknown here", release_date=LATER)
    gone = make_movie("Long ago", release_date=date(1979, 5, 25))
    for each in (movie, gone):
        client.put(f"/watchlist/{each.pk}/")
    store_releases(movie, release(SOON, region="FR"))
    ann.region = ""
    ann.save()

    for query in ("", "?region=DE"):
        [row] = client.get(f"/watchlist/calendar/{query}").json()["results"]
        assert (row["date"], row["kind"]) == (LATER.isoformat(), "release")


def test_days_older_than_six_months_count_as_unknown(client, movie):
    MovieExtras.objects.update(synced_at=timezone.now() - timedelta(days=181))

    assert client.get("/watchlist/calendar/").json()["results"] == []


def test_a_calendar_reads_the_watchlist_in_one_query(client, movie, django_assert_num_queries, ann):
    from social.selectors.calendar import list_calendar

    with django_assert_num_queries(1):
        list_calendar(user_id=ann.pk, region="DE", since=TODAY)


def test_the_feed_has_events_of_whole_days(client, api, movie):
    path = get_feed_path(client)

    response = api.get(path)
    events = read_events(api, path)

    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    assert response["Cache-Control"] == "private, no-store"
    assert b"DTSTART;VALUE=DATE:" in response.content
    assert len(events) == 2
    event = events[f"movie-{movie.pk}-DE-theatrical-2@nexus-movie-api"]
    assert (event.decoded("dtstart"), event.decoded("dtend")) == (SOON, SOON + timedelta(days=1))
    assert str(event["summary"]) == "Dune; Part, Two: theatrical release (DE)"
    assert api.get(path).content == response.content
    assert api.head(path).status_code == 200


def test_a_moved_day_keeps_its_uid_and_has_a_higher_sequence(client, api, movie):
    path = get_feed_path(client)
    uid = f"movie-{movie.pk}-DE-theatrical-2@nexus-movie-api"
    before = read_events(api, path)[uid]

    store_releases(movie, release(PAST), release(SOON + timedelta(days=7)))

    after = read_events(api, path)[uid]
    assert after.decoded("dtstart") == SOON + timedelta(days=7)
    assert after["sequence"] == before["sequence"] + 1
    assert after.decoded("last-modified") >= before.decoded("last-modified")
    store_releases(movie, release(PAST), release(SOON + timedelta(days=7)))
    assert read_events(api, path)[uid]["sequence"] == after["sequence"]


def test_a_new_address_ends_the_one_before(client, api, movie, ann):
    first, second = get_feed_path(client), get_feed_path(client)

    assert api.get(second).status_code == 200
    response = api.get(first)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert api.post(second).status_code == 405
    ann.is_active = False
    ann.save()
    assert api.get(second).status_code == 404


def test_the_secret_is_stored_as_a_hash_and_in_no_log_line(client, api, movie, caplog):
    path = get_feed_path(client)
    secret = path.removeprefix("/calendar/").removesuffix(".ics")
    caplog.set_level(logging.INFO)

    for each in (path, f"/api{path}", path + "/", path.removesuffix(".ics"), f"/Calendar/{secret}"):
        api.get(each)

    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert [json.loads(line)["path"] for line in lines][:2] == ["/calendar/-", "/api/calendar/-"]
    assert len(lines) >= 5
    assert secret not in "".join(lines)
    assert secret not in str(CalendarFeed.objects.values_list().get())


def test_only_the_paths_of_calendars_are_shortened_in_the_log():
    assert hide_secrets("/watchlist/calendar/feed/") == "/watchlist/calendar/feed/"
    assert hide_secrets("/movies/7/") == "/movies/7/"
