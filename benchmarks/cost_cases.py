"""The costliest requests of each operation, and a member who owns as much as a member may.

Runs in a process that benchmarks.costs starts, on a database of its own. Its last line of output is a
JSON array of `{operation, request, status, cpu_ms, units, requests_a_minute}`.

An operation without a case here fails a test. A case names the largest page, the longest body or the
filters that leave most work to do; if it is unclear which request costs most, several are measured.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.db.models import Count
from django.test import Client
from django.utils import timezone

from accounts.mail_tokens import make_password_reset_credentials, make_verification_credentials
from accounts.models import TokenFamily, User
from accounts.services import access_token_create, guest_create
from accounts.tokens import family_create
from movies.availability import (
    MONETIZATIONS,
    RELEASE_KINDS,
    AvailabilityData,
    Offer,
    ProviderData,
    ReleaseData,
    VideoData,
)
from movies.models import Collection, Credit, Movie, Offers
from movies.services.availability import provider_list_replace
from movies.services.upsert import availability_store
from nexus.core.genres import GENRE_NAMES
from recommendations.models import Feedback
from social.models import (
    Follow,
    GroupMembership,
    GroupVote,
    Import,
    ImportRow,
    MovieGroup,
    Playlist,
    PlaylistItem,
    Rating,
    Viewing,
    WatchlistItem,
)
from social.models.groups import MAX_GROUP_MEMBERS
from social.queries import copy_items
from social.selectors.calendar import MAX_MOVIES
from social.services.calendar import calendar_feed_renew
from social.services.groups import group_create
from social.transfer.prepared_exports import MAX_ROWS_OF_A_REQUEST
from social.views.scrobbles import MAX_VALUES
from tmdb.fake.server import FIRST_ID

PASSWORD = "correct-horse-7-battery"
PENDING_EMAIL = "costs@new.example"
MAX_ITEMS = settings.MEMBER_QUOTAS["playlist_items"]
MAX_REPEATS = 7
# A costlier case is measured fewer times.
SECONDS_A_CASE = 2.0
FOLLOWED_MEMBERS = 1_900
IMPORT_ROWS = 20_000
# So many providers of each kind offer a movie, in so many regions.
OFFERS_OF_A_KIND = 4
_REGIONS = ("DE", "US", "FR", "GB", "ES", "IT", "JP", "BR", "MX", "CA", "AU", "NL", "SE", "PL")
# The longest series at TMDb has some 60 movies.
SERIES_MOVIES = 60
REVIEW = "A review. " * 1_000


@dataclass(frozen=True)
class World:
    """What the requests refer to: the member's own, and other members' where that is needed."""

    member: User
    staff: User
    token: str
    other_token: str
    guest_token: str
    refresh: str
    username: str
    other_username: str
    movie_id: int
    unrated_movie_id: int
    watchlisted_movie_id: int
    rating_id: int
    other_rating_id: int
    viewing_id: int
    playlist_id: str
    playlist_movie_ids: list[int]
    import_id: int
    session_id: str
    access_token_id: int
    scrobble_token: str
    #: Of a movie that the member has not watched.
    title: str
    year: int | None
    reset: dict[str, str]
    verification: dict[str, str]
    movie_ids: list[int]
    person_id: int
    collection_id: int
    calendar_secret: str
    group_id: int
    join_code: str
    group_username: str

    def get_path(self, template: str) -> str:
        """Return the path of a route, with the ids that its resource has here."""
        ids = {
            "/playlists/": self.playlist_id,
            "/ratings/": self.rating_id,
            "/imports/": self.import_id,
            "/history/": self.viewing_id,
            "/auth/sessions/": self.session_id,
            "/auth/access-tokens/": self.access_token_id,
            "/people/": self.person_id,
            "/collections/": self.collection_id,
            "/groups/": self.group_id,
        }
        pk = next((pk for start, pk in ids.items() if template.startswith(start)), self.movie_id)
        if template.endswith("/report/"):
            pk = self.other_rating_id
        return template.format(
            pk=pk,
            movie_id=self.playlist_movie_ids[0] if "/items/" in template else self.movie_id,
            username=self.username,
            number=1,
        )


@dataclass(frozen=True)
class CostCase:
    """One request: its query string and body, and what it does in words."""

    label: str = ""
    query: dict[str, Any] = field(default_factory=dict)
    body: Callable[[World], Any] | None = None
    #: The fields of a page's form, instead of a body in JSON.
    form: Callable[[World], dict[str, str]] | None = None
    #: Whether another member sends it, who owns as many rows as an export writes within its request.
    is_of_other: bool = False
    is_of_guest: bool = False
    #: Whether a media server sends it.
    is_scrobble: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    path: Callable[[World], str] | None = None


#: The label of a case whose request is a 4xx.
REFUSED = "refused, because the import was not applied"
_LARGE_PAGE = {"page_size": "100"}
_PLAIN = (CostCase(),)
_PAGE = (CostCase("page of 100", _LARGE_PAGE),)
_DEEP_PAGES = (
    CostCase("page of 100", _LARGE_PAGE),
    CostCase("page of 100, 10,000 rows deep", {**_LARGE_PAGE, "page": "100"}),
)
# All but one of the genres, in as many ways as a filter takes.
_CHOICES = ["|".join(choice) for choice in combinations(GENRE_NAMES, len(GENRE_NAMES) - 1)]
_WORDS = "the of a and in love man night life my story la de world day girl house blood time t"
_RANGES = {
    "year_gte": "1900", "year_lte": "2100", "min_rating": "0", "max_rating": "10", "min_votes": "0",
    "min_popularity": "0", "min_runtime": "0", "max_runtime": "100000",
}  # fmt: skip
_PROVIDERS = "|".join(map(str, range(1, 21)))
MOVIE_FILTERS = (
    CostCase("one genre", {"genre": "Drama", **_LARGE_PAGE}),
    CostCase("20 choices of 18 genres", {"genre": _CHOICES, **_LARGE_PAGE}),
    CostCase("20 providers, each for any payment", {"provider": _PROVIDERS, "region": "DE", **_LARGE_PAGE}),
    CostCase("18 excluded genres", {"exclude_genre": "|".join(GENRE_NAMES[:18]), **_LARGE_PAGE}),
    CostCase("a search of one letter", {"search": "t", **_LARGE_PAGE}),
    CostCase("a title of one letter", {"title": "t", **_LARGE_PAGE}),
    CostCase("a search of 20 words", {"search": _WORDS, "title": _WORDS, **_LARGE_PAGE}),
    CostCase(
        "every filter",
        {"title": "t", "genre": _CHOICES, "exclude_genre": "War", "original_language": "en", **_RANGES, **_LARGE_PAGE},
    ),
)  # fmt: skip


def _send(**body: Any) -> tuple[CostCase, ...]:
    return (CostCase(body=lambda world: body),)


def _get_states_path(world: World) -> str:
    # Half of them are in the member's history.
    ids = [*world.playlist_movie_ids[:50], *world.movie_ids[-50:]]
    return f"/movies/states/?ids={','.join(map(str, ids))}"


def _send_movie(**body: Any) -> tuple[CostCase, ...]:
    return (CostCase(body=lambda world: {"movie": world.unrated_movie_id, **body}),)


#: Operations that have a limit of their own for a client address.
ADDRESS_SCOPES = {
    "POST /auth/register/": "register",
    "POST /auth/guest/": "guest",
    "POST /auth/guest/register/": "register",
    "POST /auth/token/": "login",
    "POST /auth/password/change/": "login",
    "POST /auth/password/reset/": "password_reset",
    "POST /auth/password/reset/confirm/": "password_reset",
    "POST /auth/email/verify/": "email",
    "POST /auth/email/verify/resend/": "email",
    "POST /auth/email/change/": "email",
    "POST /auth/email/confirm/": "email",
    "DELETE /profiles/me/": "account_deletion",
    "GET /tmdb/search/": "tmdb",
    "POST /tmdb/import/bulk/": "tmdb_bulk",
}
_LOGIN = {"password": PASSWORD}
#: The cases of each operation, named as in settings.REQUEST_UNITS.
COSTLIEST: dict[str, tuple[CostCase, ...]] = {
    "GET /": _PLAIN,
    "GET /favicon.ico": _PLAIN,
    "GET /swagger/": _PLAIN,
    "GET /redoc/": _PLAIN,
    "GET /swagger.json": _PLAIN,
    "GET /swagger.yaml": _PLAIN,
    "GET /openapi.json": _PLAIN,
    "GET /openapi.yaml": _PLAIN,
    "GET /health/ready/": _PLAIN,
    "/admin/": (
        CostCase("index", path=lambda world: "/admin/"),
        CostCase("search of movies", {"q": "a"}, path=lambda world: "/admin/movies/movie/"),
        CostCase("ratings", path=lambda world: "/admin/social/rating/"),
        CostCase("members", {"q": "m"}, path=lambda world: "/admin/accounts/user/"),
        CostCase("a movie", path=lambda world: f"/admin/movies/movie/{world.movie_id}/change/"),
    ),
    "POST /auth/register/": _send(username="newcomer", email="n@example.org", **_LOGIN),
    "POST /auth/guest/": _PLAIN,
    "POST /auth/guest/register/": (
        CostCase(
            body=lambda world: {"username": "newcomer", "email": "n@example.org", **_LOGIN},
            is_of_guest=True,
        ),
    ),
    "POST /auth/token/": (
        CostCase(body=lambda world: {"username": world.username, **_LOGIN}),
        CostCase(
            "wrong password", body=lambda world: {"username": world.username, "password": "x"}
        ),
        CostCase("unknown member", body=lambda world: {"username": "nobody", "password": "x"}),
    ),
    "POST /auth/token/refresh/": (CostCase(body=lambda world: {"refresh": world.refresh}),),
    "POST /auth/token/verify/": (CostCase(body=lambda world: {"token": world.refresh}),),
    "POST /auth/logout/": (CostCase(body=lambda world: {"refresh": world.refresh}),),
    "POST /auth/logout/all/": _PLAIN,
    "GET /auth/sessions/": _PAGE,
    "DELETE /auth/sessions/{pk}/": _PLAIN,
    "GET /auth/access-tokens/": _PAGE,
    "POST /auth/access-tokens/": _send(name="x" * 100, scopes=["read", "write", "scrobble"]),
    "DELETE /auth/access-tokens/{pk}/": _PLAIN,
    "POST /auth/password/change/": _send(
        old_password=PASSWORD, new_password="another-horse-9-staple"
    ),
    "POST /auth/password/reset/": (CostCase(body=lambda world: {"email": world.member.email}),),
    "POST /auth/password/reset/confirm/": (
        CostCase(body=lambda world: {**world.reset, "new_password": "another-horse-9-staple"}),
    ),
    "POST /auth/email/verify/": (CostCase(body=lambda world: world.verification),),
    "POST /auth/email/verify/resend/": _PLAIN,
    "POST /auth/email/change/": _send(email="changed@example.org", password=PASSWORD),
    "GET /auth/email/confirm/": (CostCase(query={"uid": "MQ", "token": "x"}),),
    "POST /auth/email/confirm/": (CostCase(form=lambda world: world.verification),),
    "GET /movies/": (
        *MOVIE_FILTERS,
        *_DEEP_PAGES,
        CostCase("by relevance", {"search": "t", "ordering": "relevance", **_LARGE_PAGE}),
        CostCase("in a language", {"search": "t 1999", "language": "pt-BR", **_LARGE_PAGE}),
    ),
    "GET /movies/top_rated/": MOVIE_FILTERS,
    "GET /movies/trending/": (CostCase("page of 100", {"window": "week", **_LARGE_PAGE}),),
    "GET /movies/recommendations/": (
        CostCase("page of 100", _LARGE_PAGE),
        CostCase("page of 100, diversity 1", {"diversity": "1", **_LARGE_PAGE}),
        *MOVIE_FILTERS,
    ),
    "GET /movies/onboarding/": _PAGE,
    "GET /movies/{pk}/": _PLAIN,
    "GET /movies/{pk}/?append=": (
        CostCase("all", {"append": "similar,reviews,state,videos,watch_providers", "region": "DE"}),
    ),
    "GET /movies/states/": (CostCase("100 movies", path=_get_states_path),),
    "GET /movies/{pk}/match_score/": _PLAIN,
    "GET /movies/{pk}/similar/": (
        CostCase("page of 100", _LARGE_PAGE),
        CostCase("without seen ones", {"exclude_seen": "true", **_LARGE_PAGE}),
    ),
    "PUT /movies/{pk}/feedback/": _send(kind="hide"),
    "DELETE /movies/{pk}/feedback/": _PLAIN,
    "GET /feedback/": _PAGE,
    "GET /movies/{movie_id}/reviews/": _PAGE,
    "GET /genres/": _PLAIN,
    "GET /movies/{pk}/watch_providers/": (CostCase("a region with offers", {"region": "DE"}),),
    "GET /movies/{pk}/videos/": _PAGE,
    "GET /movies/{pk}/releases/": (CostCase("a region with releases", {"region": "DE"}),),
    "GET /providers/": (CostCase("page of 100", {"region": "DE", **_LARGE_PAGE}),),
    "GET /people/": (
        CostCase("page of 100", _LARGE_PAGE),
        CostCase("a search of one letter", {"search": "a", **_LARGE_PAGE}),
        CostCase("a search of 20 words", {"search": _WORDS, **_LARGE_PAGE}),
    ),
    "GET /people/{pk}/": _PLAIN,
    "GET /people/{pk}/movies/": _PAGE,
    "GET /collections/{pk}/": (CostCase(f"a series of {SERIES_MOVIES} movies"),),
    "GET /profiles/me/": _PLAIN,
    "PUT /profiles/me/": _send(bio="x" * 1_000),
    "PATCH /profiles/me/": _send(bio="x" * 1_000),
    "DELETE /profiles/me/": _send(**_LOGIN),
    "GET /profiles/stats/": _PLAIN,
    "GET /profiles/{username}/": _PLAIN,
    "GET /profiles/{username}/stats/": _PLAIN,
    "GET /profiles/{username}/ratings/": _PAGE,
    "GET /profiles/{username}/playlists/": (
        CostCase("page of 100", _LARGE_PAGE),
        CostCase("a search", {"search": "list", **_LARGE_PAGE}),
    ),
    "GET /profiles/{username}/followers/": _PAGE,
    "GET /profiles/{username}/following/": _PAGE,
    "PUT /profiles/{username}/follow/": (
        CostCase(path=lambda world: f"/profiles/{world.other_username}/follow/"),
    ),
    "DELETE /profiles/{username}/follow/": (
        CostCase(path=lambda world: f"/profiles/{world.other_username}/follow/"),
    ),
    "PUT /profiles/{username}/block/": (
        CostCase(path=lambda world: f"/profiles/{world.other_username}/block/"),
    ),
    "DELETE /profiles/{username}/block/": (
        CostCase(path=lambda world: f"/profiles/{world.other_username}/block/"),
    ),
    "GET /blocks/": _PAGE,
    "GET /feed/": _PAGE,
    "GET /groups/": (CostCase(f"{settings.MEMBER_QUOTAS['groups']} groups", _LARGE_PAGE),),
    "POST /groups/": (CostCase(body=lambda world: {"name": "x" * 100}, is_of_guest=True),),
    "POST /groups/join/": (
        CostCase(body=lambda world: {"join_code": world.join_code}, is_of_guest=True),
    ),
    "GET /groups/{pk}/": _PLAIN,
    "PATCH /groups/{pk}/": _send(name="x" * 100),
    "DELETE /groups/{pk}/": _PLAIN,
    "POST /groups/{pk}/leave/": _PLAIN,
    "POST /groups/{pk}/join_code/": _PLAIN,
    "DELETE /groups/{pk}/members/{username}/": (
        CostCase(path=lambda world: f"/groups/{world.group_id}/members/{world.group_username}/"),
    ),
    "GET /groups/{pk}/recommendations/": (
        CostCase("nine members, page of 100", _LARGE_PAGE),
        CostCase("with seen ones", {"include_seen": "true", **_LARGE_PAGE}),
        CostCase("20 choices of 18 genres", {"genre": _CHOICES, **_LARGE_PAGE}),
    ),
    "GET /groups/{pk}/votes/": _PAGE,
    "PUT /groups/{pk}/votes/{movie_id}/": _send(vote="veto"),
    "DELETE /groups/{pk}/votes/{movie_id}/": _PLAIN,
    "POST /scrobbles/{server}/": (
        CostCase(
            "a movie without ids, 50,000 values",
            path=lambda world: "/scrobbles/jellyfin/",
            body=lambda world: {
                "NotificationType": "PlaybackStop",
                "ItemType": "Movie",
                "Name": world.title,
                "Year": world.year,
                "PlayedToCompletion": True,
                "Other": [[]] * (MAX_VALUES - 10),
            },
            is_scrobble=True,
        ),
    ),
    "GET /watchlist/": _PAGE,
    "GET /watchlist/calendar/": (CostCase("500 coming movies", {"region": "DE", **_LARGE_PAGE}),),
    "POST /watchlist/calendar/feed/": _PLAIN,
    "GET /calendar/{secret}.ics": (
        CostCase(
            "500 coming movies, 200 events",
            path=lambda world: f"/calendar/{world.calendar_secret}.ics",
        ),
    ),
    "POST /watchlist/": _send_movie(),
    "PUT /watchlist/{movie_id}/": (
        CostCase(path=lambda world: f"/watchlist/{world.unrated_movie_id}/"),
    ),
    "DELETE /watchlist/{movie_id}/": (
        CostCase(path=lambda world: f"/watchlist/{world.watchlisted_movie_id}/"),
    ),
    "GET /history/": _PAGE,
    "POST /history/": _send_movie(),
    "DELETE /history/{pk}/": _PLAIN,
    "GET /ratings/": _DEEP_PAGES[:1],
    "POST /ratings/": _send_movie(score=4.5, review=REVIEW),
    "GET /ratings/{pk}/": _PLAIN,
    "PUT /ratings/{pk}/": _send(score=1, review=REVIEW),
    "PATCH /ratings/{pk}/": _send(review=REVIEW),
    "DELETE /ratings/{pk}/": _PLAIN,
    "POST /ratings/{pk}/report/": _send(reason="spam", comment="x" * 500),
    "GET /playlists/": (
        *_DEEP_PAGES[:1],
        CostCase("a search", {"search": "list", **_LARGE_PAGE}),
        CostCase("of a member", {"owner": "member1", "search": "list", **_LARGE_PAGE}),
    ),
    "POST /playlists/": (
        CostCase(
            "100 movies", body=lambda world: {"name": "More", "movie_ids": world.movie_ids[:100]}
        ),
    ),
    "GET /playlists/{pk}/": _PLAIN,
    "PUT /playlists/{pk}/": (
        CostCase(
            "100 movies instead of all",
            body=lambda world: {"name": "Fewer", "movie_ids": world.movie_ids[:100]},
        ),
    ),
    "PATCH /playlists/{pk}/": (
        CostCase(
            "100 movies instead of all", body=lambda world: {"movie_ids": world.movie_ids[:100]}
        ),
    ),
    "DELETE /playlists/{pk}/": _PLAIN,
    "POST /playlists/{pk}/copy/": (CostCase("the longest playlist", body=lambda world: {}),),
    "GET /playlists/{pk}/items/": (
        CostCase("page of 100", _LARGE_PAGE),
        CostCase("the last page of 100", {**_LARGE_PAGE, "page": str(MAX_ITEMS // 100 - 1)}),
    ),
    "POST /playlists/{pk}/items/": (
        CostCase("100 movies", body=lambda world: {"movie_ids": world.movie_ids[-100:]}),
    ),
    "PUT /playlists/{pk}/items/order/": (
        CostCase(
            "the longest playlist, backwards",
            body=lambda world: {"movie_ids": world.playlist_movie_ids[::-1]},
            headers={"If-Match": "*"},
        ),
    ),
    "PATCH /playlists/{pk}/items/{movie_id}/": _send(note="x" * 500),
    "DELETE /playlists/{pk}/items/{movie_id}/": (CostCase("the first of the longest playlist"),),
    "GET /imports/": _PAGE,
    "GET /imports/{pk}/": _PAGE,
    "DELETE /imports/{pk}/": (CostCase(f"{IMPORT_ROWS:,} rows"),),
    "PATCH /imports/{pk}/rows/{number}/": _send(skip=True),
    "GET /imports/template.csv": _PLAIN,
    "POST /imports/{pk}/match/": _PLAIN,
    "POST /imports/{pk}/apply/": _send(on_conflict="keep"),
    "POST /imports/{pk}/undo/": (CostCase(REFUSED),),
    "POST /imports/": (CostCase("20 MiB"),),
    "GET /exports/": (
        CostCase(f"{MAX_ROWS_OF_A_REQUEST:,} rows", is_of_other=True),
        CostCase("a larger account, for the task worker"),
    ),
    "GET /tmdb/search/": (CostCase(query={"query": "lamp"}),),
    "POST /tmdb/import/": _send(tmdb_id=FIRST_ID + 7, refresh=True),
    "POST /tmdb/import/bulk/": _send(tmdb_ids=list(range(FIRST_ID, FIRST_ID + 20))),
    "GET /tmdb/status/": _PLAIN,
}


def main() -> None:
    [only] = sys.argv[1:]
    world = create_world()
    client = Client(
        raise_request_exception=False,
        headers={"Authorization": f"Bearer {world.token}"},
        SERVER_NAME="localhost",
    )
    # For the admin; the API has no session authentication.
    client.force_login(world.staff)
    results = []
    for operation, cases in COSTLIEST.items():
        for case in cases if only in operation else ():
            status, cpu_ms = measure_case(client, world, operation, case)
            print(f"  {cpu_ms:8.1f} ms  {status}  {operation}  {case.label}", file=sys.stderr)
            units = settings.REQUEST_UNITS[operation]
            results.append(
                {
                    "operation": operation,
                    "request": case.label,
                    "status": status,
                    "cpu_ms": cpu_ms,
                    "units": units,
                    "requests_a_minute": count_requests_a_minute(operation),
                }
            )
    # On a line of its own: a view may have printed a mail.
    print(f"\n{json.dumps(results)}")


def count_requests_a_minute(operation: str) -> int:
    """Return how many requests of an operation one client address can send within a minute."""
    limit, _ = settings.RATE_LIMITS["address"]
    requests: int = limit // settings.REQUEST_UNITS[operation]
    scope = ADDRESS_SCOPES.get(operation)
    return min(requests, settings.RATE_LIMITS[scope][0]) if scope else requests


def measure_case(client: Client, world: World, operation: str, case: CostCase) -> tuple[int, float]:
    """Return the status and the median of the milliseconds of CPU, after one request to warm up."""
    request = build_request(world, operation, case)
    send_once(client, request)
    times: list[float] = []
    status = 0
    started = time.monotonic()
    while len(times) < MAX_REPEATS and (
        len(times) < 3 or time.monotonic() - started < SECONDS_A_CASE
    ):
        status, cpu_ms = send_once(client, request)
        times.append(cpu_ms)
    return status, round(statistics.median(times), 1)


def build_request(world: World, operation: str, case: CostCase) -> dict[str, Any]:
    method, _, template = operation.partition("?")[0].rpartition(" ")
    request: dict[str, Any] = {
        "method": method or "GET",
        "path": case.path(world) if case.path else world.get_path(template),
        "query_params": case.query,
        "headers": case.headers,
    }
    if case.is_of_other:
        request["headers"] = {"Authorization": f"Bearer {world.other_token}"}
    if case.is_of_guest:
        request["headers"] = {"Authorization": f"Bearer {world.guest_token}"}
    if case.is_scrobble:
        request["headers"] = {"Authorization": f"Bearer {world.scrobble_token}"}
    if operation == "POST /imports/":
        boundary = b"--x\r\nContent-Disposition: form-data; name=file; filename=ratings.csv\r\n\r\n"
        head, line = b"Const,Your Rating,Date Rated,Title\n", b"tt9000001,8,2024-01-02,Alien\n"
        file = head + line * ((20 * 1024 * 1024 - len(head)) // len(line))
        request["data"] = boundary + file + b"\r\n--x--\r\n"
        request["content_type"] = "multipart/form-data; boundary=x"
    elif case.form is not None:
        request["data"] = urlencode(case.form(world))
        request["content_type"] = "application/x-www-form-urlencoded"
    elif case.body is not None:
        request["data"] = json.dumps(case.body(world))
        request["content_type"] = "application/json"
    return request


def send_once(client: Client, request: dict[str, Any]) -> tuple[int, float]:
    """Send a request; return its status and milliseconds of CPU. What it writes is rolled back."""
    path, _, query_in_path = request["path"].partition("?")
    query = query_in_path or urlencode(request["query_params"], doseq=True)
    arguments = {
        "data": request.get("data", ""),
        "content_type": request.get("content_type", "application/json"),
        "headers": request["headers"],
        "QUERY_STRING": query,
    }
    with roll_back() if request["method"] != "GET" else no_transaction():
        before = read_cpu_ms()
        response: Any = client.generic(request["method"], path, **arguments)
        if response.streaming:
            b"".join(response.streaming_content)
        if connection.in_atomic_block:
            with connection.cursor() as cursor:
                # Foreign keys are checked when a transaction ends.
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        return response.status_code, read_cpu_ms() - before


@contextmanager
def roll_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def no_transaction() -> Iterator[None]:
    yield


def read_cpu_ms() -> float:
    """Return the CPU time of this process and of its database connection (Linux only)."""
    connection.ensure_connection()
    backend = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    return time.process_time() * 1e3 + int(backend.read_text().split()[0]) / 1e6


def _create_availability(movie_ids: list[int], full_ids: list[int]) -> None:
    """Let many providers offer every movie in many regions; some have videos and coming releases too."""
    offers = tuple(
        Offer(region, monetization, provider_id)
        for region in _REGIONS
        for monetization in MONETIZATIONS
        for provider_id in range(1, OFFERS_OF_A_KIND + 1)
    )
    keys = [offer.key for offer in offers]
    now = timezone.now()
    # Those of the generated catalogue are fewer.
    Offers.objects.all().delete()
    Offers.objects.bulk_create(
        [Offers(movie_id=pk, region="", keys=keys, synced_at=now) for pk in movie_ids],
        batch_size=500,
    )
    releases = tuple(
        ReleaseData(region, date(2099, 1, day), kind)
        for region in _REGIONS
        for day, kind in enumerate(RELEASE_KINDS, start=1)
    )
    videos = tuple(
        VideoData(f"Trailer {number}", "Trailer", "YouTube", f"key{number}", is_official=True)
        for number in range(60)
    )
    data = AvailabilityData(offers=offers, videos=videos, releases=releases)
    availability_store(movies=dict.fromkeys(full_ids, data))
    provider_list_replace(
        providers=[
            ProviderData(number, f"Provider {number}", priorities=(("DE", number),))
            for number in range(1, 151)
        ]
    )


def create_world() -> World:
    """Give the member with the most ratings as much of everything as a member may have."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    counts = Rating.objects.values("user_id").annotate(n=Count("id")).order_by("-n")
    member = User.objects.get(pk=counts[0]["user_id"])
    other = User.objects.get(pk=counts[1]["user_id"])
    User.objects.filter(pk=member.pk).update(
        password=make_password(PASSWORD),
        email="costs@example.org",
        email_verified=True,
        pending_email=PENDING_EMAIL,
    )
    member.refresh_from_db()
    movie_ids = list(Movie.objects.order_by("-popularity", "id").values_list("id", flat=True))
    rated = Rating.objects.filter(user=member)
    popular = Movie.objects.order_by("-rating_count", "id")[0]
    rated_ids = set(rated.values_list("movie_id", flat=True))
    unrated = next(pk for pk in movie_ids if pk not in rated_ids)
    now = timezone.now()
    Rating.objects.filter(movie=popular).update(review=REVIEW, reviewed_at=now)
    Follow.objects.bulk_create(
        [
            Follow(follower_id=follower, followed_id=followed)
            for pk in User.objects.exclude(pk__in=[member.pk, other.pk]).values_list(
                "pk", flat=True
            )[:FOLLOWED_MEMBERS]
            for follower, followed in ((member.pk, pk), (pk, member.pk))
        ]
    )
    WatchlistItem.objects.bulk_create(
        WatchlistItem(user=member, movie_id=pk) for pk in movie_ids if pk not in rated_ids
    )
    Viewing.objects.bulk_create(
        Viewing(
            user=member,
            movie_id=movie_ids[hour % len(movie_ids)],
            watched_at=now - timedelta(hours=hour),
        )
        for hour in range(settings.MEMBER_QUOTAS["viewings"] - 10)
    )
    owned = Rating.objects.filter(user=other).count()
    WatchlistItem.objects.bulk_create(
        WatchlistItem(user=other, movie_id=pk)
        for pk in movie_ids[: MAX_ROWS_OF_A_REQUEST - owned - 10]
    )
    Feedback.objects.bulk_create(
        Feedback(user=member, movie_id=pk, kind="less", created_at=now, updated_at=now)
        for pk in {popular.pk, *movie_ids[-300:-100]}
    )
    longest = movie_ids[: MAX_ITEMS - 100]
    # Room for a copy of the longest one.
    items = settings.MEMBER_QUOTAS["all_playlist_items"] - 3 * len(longest)
    lists = settings.MEMBER_QUOTAS["playlists"] - 2
    short, *others = Playlist.objects.bulk_create(
        Playlist(owner=member, name=f"List {n}", movie_count=items // lists, published_at=now)
        for n in range(lists)
    )
    playlist = Playlist.objects.create(
        owner=member, name="The longest list", movie_count=len(longest), published_at=now
    )
    for owner, ids in ((short, movie_ids[: items // lists]), (playlist, longest)):
        PlaylistItem.objects.bulk_create(
            PlaylistItem(playlist=owner, movie_id=pk, position=position)
            for position, pk in enumerate(ids, start=1)
        )
    for other_list in others:
        copy_items(source_id=short.pk, copy_id=other_list.pk)
    job = Import.objects.create(
        user=member, format="imdb", sha256="x", state="ready", step="", total=IMPORT_ROWS
    )
    ImportRow.objects.bulk_create(
        ImportRow(
            of=job, number=number, file="r.csv", line=number, kind="watchlist",
            verdict="matched", movie_id=movie_ids[number % len(movie_ids)],
        )
        for number in range(1, IMPORT_ROWS + 1)
    )  # fmt: skip
    watchlist = WatchlistItem.objects.filter(user=member).order_by("-added_at", "-id")
    User.objects.filter(pk=member.pk).update(region="DE")
    coming = list(watchlist.values_list("movie_id", flat=True)[:MAX_MOVIES])
    _create_availability(movie_ids, [popular.pk, *coming])
    series = Collection.objects.create(tmdb_id=1, name="The longest series")
    Movie.objects.filter(pk__in=movie_ids[:SERIES_MOVIES]).update(collection=series)
    by_credits = Credit.objects.order_by().values("person_id").annotate(n=Count("id"))
    group, group_username = create_groups(member, movie_ids, popular.pk)
    for number in range(settings.MEMBER_QUOTAS["access_tokens"] - 1):
        access_token, scrobble_token = access_token_create(
            user=member, name=f"Token {number}", scopes=["scrobble"]
        )
    for _ in range(settings.MEMBER_QUOTAS["sessions"]):
        pair = family_create(user=member)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SET statement_timeout = '5s'")
    scrobbled = Movie.objects.get(pk=unrated)
    uid, token = make_password_reset_credentials(member)
    verification = make_verification_credentials(member, PENDING_EMAIL)
    return World(
        member=member,
        staff=User.objects.create_superuser("costs_staff", password=PASSWORD),
        token=pair.access,
        other_token=family_create(user=other).access,
        access_token_id=access_token.pk,
        scrobble_token=scrobble_token,
        title=scrobbled.title,
        year=scrobbled.release_year,
        guest_token=family_create(user=guest_create()).access,
        refresh=pair.refresh,
        username=member.username,
        other_username=other.username,
        movie_id=popular.pk,
        unrated_movie_id=unrated,
        watchlisted_movie_id=unrated,
        rating_id=rated.earliest("id").pk,
        other_rating_id=Rating.objects.filter(movie=popular).exclude(user=member)[0].pk,
        viewing_id=Viewing.objects.filter(user=member).earliest("id").pk,
        playlist_id=str(playlist.pk),
        playlist_movie_ids=longest,
        import_id=job.pk,
        session_id=str(TokenFamily.objects.filter(user=member).earliest("created_at").pk),
        reset={"uid": uid, "token": token},
        verification=dict(zip(("uid", "token"), verification, strict=True)),
        movie_ids=movie_ids,
        person_id=by_credits.order_by("-n")[0]["person_id"],
        collection_id=series.pk,
        calendar_secret=calendar_feed_renew(user_id=member.pk),
        group_id=group.pk,
        join_code=group.join_code,
        group_username=group_username,
    )


def create_groups(member: User, movie_ids: list[int], voted_id: int) -> tuple[MovieGroup, str]:
    """Give the member as many groups as allowed, with all votes in one of them.

    Return it and the name of another member. It has a place left.
    """
    votes = settings.MEMBER_QUOTAS["group_votes"]
    others = list(
        User.objects.annotate(n=Count("ratings"))
        .exclude(pk=member.pk)
        .order_by("-n")[: MAX_GROUP_MEMBERS - 2]
    )
    for number in range(settings.MEMBER_QUOTAS["groups"]):
        group = group_create(user_id=member.pk, name=f"Group {number}")
        memberships = GroupMembership.objects.bulk_create(
            GroupMembership(group=group, user=user) for user in others
        )
    own = GroupMembership.objects.get(group=group, user=member)
    GroupVote.objects.bulk_create(
        GroupVote(membership=membership, movie_id=pk, vote="yes", voted_at=timezone.now())
        for membership in (own, *memberships)
        # As many as possible on movies of their own, of which each is an entry of the list.
        for pk in {voted_id, *movie_ids[membership.pk % 40 * 200 :][: votes - 2]}
    )
    return group, others[0].username
