"""An HTTP server that responds like TMDb, for tests, benchmarks and `make run TMDB=sample`.

It serves real HTTP on loopback and can fail in many ways:
`with FakeTmdbServer() as server: ... server.set_mode("slow", seconds=5)`. Every title, person and
plot is invented. The ids start at 9,000,000, which TMDb has not reached.
"""

from __future__ import annotations

import json
import math
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from nexus.core.genres import TMDB_GENRES
from nexus.core.text import split_words
from tmdb.fake.availability import (
    make_country_list,
    make_language_list,
    make_provider_list,
    make_region_list,
    make_release_dates,
    make_videos,
    make_watch_providers,
)
from tmdb.fake.movies import (
    GENERATED_COUNT,
    generate_movie,
    generate_movies,
    get_list,
    get_related,
    is_generated,
    make_list_entry,
    make_page,
)
from tmdb.fake.translations import PRIMARY_TRANSLATIONS, make_genre_list, make_translations

CREDENTIAL = "sample-credential-of-the-tmdb-test-server"
FIRST_ID = 9_000_000
HUGE_BYTES = 3 * 1024 * 1024

MODES = (
    "ok",
    "slow",
    "drip",
    "drop",
    "401",
    "403_html",
    "404",
    "404_html",
    "422",
    "429",
    "429_retry_after",
    "500",
    "html",
    "truncated",
    "list_for_object",
    "null",
    "wrong_types",
    "nan",
    "wrong_id",
    "huge",
    "redirect",
    "deep",
)

# Title, year and day, genres, minutes, director, two leads, overview, keyword.
_MOVIE_ROWS: tuple[tuple[str, str, tuple[str, ...], int, str, tuple[str, str], str, str], ...] = (
    ("The Salt Cartographer", "2011-03-04", ("Drama", "Mystery"), 118, "Ottoline Verhaag", ("Bram Ostrander", "Ilse Quintero"), "A mapmaker is paid to leave one island off every chart, and sets out to learn why.", "island"),
    ("Nine Lamps for Marisol", "2019-09-20", ("Romance", "Drama"), 104, "Teodor Lanquist", ("Marta Ellingsgaard", "Pio Vandemeer"), "Two lamplighters share one street and never the same hour.", "night shift"),
    ("Orbit of the Paper Heron", "2016-06-17", ("Science Fiction", "Adventure"), 131, "Ottoline Verhaag", ("Caspian Drost", "Ilse Quintero"), "A crew of four folds a sail thin enough to be blown home by starlight.", "space sail"),
    ("The Quarry Choir", "2004-11-12", ("Music", "Drama"), 97, "Sunniva Halloran-Pike", ("Edda Wrenfield", "Bram Ostrander"), "Stonecutters who have lost their work find that the pit still has an echo.", "choir"),
    ("Ledger of Small Thefts", "2013-02-08", ("Crime", "Comedy"), 109, "Casimir Oduya-Brandt", ("Pio Vandemeer", "Juno Askeland"), "An honest accountant is hired to balance the books of a gang of pickpockets.", "pickpocket"),
    ("Winter at Gannet Station", "1998-12-25", ("Thriller", "Mystery"), 113, "Teodor Lanquist", ("Juno Askeland", "Hollis Farquay"), "The weather reports from a sealed station keep arriving after its crew has left.", "weather station"),
    ("Bramblewick and the Borrowed Moon", "2021-07-02", ("Animation", "Family", "Fantasy"), 88, "Sunniva Halloran-Pike", ("Edda Wrenfield", "Otis Marchbanks"), "A hedgehog lends the moon a lantern and has trouble getting it back.", "hedgehog"),
    ("The Understudy's Alibi", "2008-05-23", ("Crime", "Thriller"), 122, "Casimir Oduya-Brandt", ("Hollis Farquay", "Marta Ellingsgaard"), "The only witness to a theft was on stage at the time, as somebody else.", "theatre"),
    ("Copper Meridian", "1974-10-18", ("Western", "Action"), 126, "Augustin Pellworth", ("Wendell Abernacle", "Rosalba Thinne"), "A telegraph crew strings a line through a valley that would rather not be reached.", "telegraph"),
    ("Dust Hymn for the Lower Road", "1969-04-11", ("War", "History"), 142, "Augustin Pellworth", ("Wendell Abernacle", "Caspian Drost"), "Three deserters carry a church bell across a front that moves faster than they do.", "church bell"),
    ("The Lighthouse Index", "2022-10-07", ("Horror", "Mystery"), 101, "Ottoline Verhaag", ("Rosalba Thinne", "Otis Marchbanks"), "A librarian catalogues shipwrecks and finds an entry dated next Tuesday.", "lighthouse"),
    ("Fourteen Ways to Lose a Regatta", "2017-08-11", ("Documentary",), 83, "Juno Askeland", ("Hollis Farquay", "Edda Wrenfield"), "A rowing club with no victories keeps careful record of each defeat.", "rowing"),
    ("Café Zérodeux", "2001-02-14", ("Comedy", "Romance"), 94, "Élodie Marchesnay", ("Ilse Quintero", "Pio Vandemeer"), "A waiter takes every order wrong, and every guest comes back for it.", "waiter"),
    ("Copper Meridian Returns", "1977-05-06", ("Western", "Comedy"), 99, "Augustin Pellworth", ("Rosalba Thinne", "Wendell Abernacle"), "The line is up; now nobody in the valley will stop talking.", "telegraph"),
)  # fmt: skip
ADULT_ID = FIRST_ID + 900
UNDATED_ID = FIRST_ID + 901


def _get_person_id(name: str) -> int:
    """Return an id for a name; the same name gives the same id."""
    names = sorted({person for movie in _MOVIE_ROWS for person in (movie[4], *movie[5])})
    return FIRST_ID + 10_000 + names.index(name)


def _make_movie(number: int) -> dict[str, Any]:
    title, released, genres, runtime, director, leads, overview, keyword = _MOVIE_ROWS[number]
    tmdb_id = FIRST_ID + number
    is_in_series = title.startswith("Copper Meridian")
    return {
        "adult": False,
        "backdrop_path": f"/backdrop{tmdb_id}.jpg",
        "belongs_to_collection": {
            "id": FIRST_ID + 20_000,
            "name": "Copper Meridian Collection",
            "poster_path": None,
            "backdrop_path": None,
        }
        if is_in_series
        else None,
        "budget": 0,
        "genres": [{"id": TMDB_GENRES[name], "name": name} for name in genres],
        "homepage": "",
        "id": tmdb_id,
        "imdb_id": f"tt{tmdb_id}",
        "original_language": "fr" if director.startswith("É") else "en",
        "original_title": title,
        "overview": overview,
        "popularity": round(80.0 / (number + 1), 3),
        "poster_path": f"/poster{tmdb_id}.jpg",
        "release_date": released,
        "revenue": 0,
        "runtime": runtime,
        "status": "Released",
        "tagline": "",
        "title": title,
        "video": False,
        "vote_average": round(5.0 + 4.0 * math.sin(number) ** 2, 3),
        "vote_count": 150 + 37 * number,
        "credits": {
            "cast": [
                # Not in billing order, as TMDb does not promise one.
                _make_cast_member(leads[1], "The Other One", 1),
                _make_cast_member(leads[0], "The First One", 0),
            ],
            "crew": [
                _make_crew_member(director, "Writing", "Writer"),
                _make_crew_member(director, "Directing", "Director"),
            ],
        },
        "keywords": {"keywords": [{"id": FIRST_ID + number, "name": keyword.title()}]},
        "watch/providers": make_watch_providers(number, tmdb_id),
        "videos": make_videos(number, tmdb_id),
        "release_dates": make_release_dates(number, released),
        "translations": make_translations(number, title, overview, ""),
    }


def _make_cast_member(name: str, character: str, order: int) -> dict[str, Any]:
    return {
        "adult": False,
        "id": _get_person_id(name),
        "name": name,
        "popularity": _get_person_popularity(name),
        "character": character,
        "credit_id": f"c{_get_person_id(name)}",
        "order": order,
    }


def _get_person_popularity(name: str) -> float:
    """Return a popularity that grows with the number of movies the person is in."""
    return round(1.5 * sum(name in (movie[4], *movie[5]) for movie in _MOVIE_ROWS), 4)


def _make_crew_member(name: str, department: str, job: str) -> dict[str, Any]:
    return {
        "adult": False,
        "id": _get_person_id(name),
        "name": name,
        "popularity": _get_person_popularity(name),
        "department": department,
        "job": job,
        "credit_id": f"d{_get_person_id(name)}",
    }


def _make_movies() -> dict[int, dict[str, Any]]:
    movies = {FIRST_ID + number: _make_movie(number) for number in range(len(_MOVIE_ROWS))}
    adult = {**_make_movie(0), "id": ADULT_ID, "imdb_id": None, "adult": True}
    adult["title"] = adult["original_title"] = "Not for the Catalogue"
    undated = {
        **_make_movie(1),
        "id": UNDATED_ID,
        "imdb_id": "",
        "title": "The Unfinished Staircase",
        "original_title": "The Unfinished Staircase",
        "release_date": "",
        "runtime": 0,
        "poster_path": None,
        "backdrop_path": None,
        "status": "In Production",
        "popularity": 0.1,
        "vote_average": 0.0,
        "vote_count": 0,
        "watch/providers": {"results": {}},
        "videos": {"results": []},
        "translations": {"translations": []},
        # As TMDb writes a day that is not known yet.
        "release_dates": {
            "results": [
                {
                    "iso_3166_1": "DE",
                    "release_dates": [{"release_date": "0000-00-00T00:00:00.000Z", "type": 3}],
                }
            ]
        },
    }
    return {**movies, ADULT_ID: adult, UNDATED_ID: undated}


MOVIES: dict[int, dict[str, Any]] = _make_movies()
_APPENDABLE = (
    "credits", "keywords", "watch/providers", "videos", "release_dates", "translations",
)  # fmt: skip


@dataclass(frozen=True)
class RecordedRequest:
    """A request that the server received."""

    path: str
    query: dict[str, str]
    #: The request line as it was sent; it must not contain the credential.
    line: str
    is_authorized: bool
    #: A time of the monotonic clock.
    received_at: float


class FakeTmdbServer:
    """The server in its own thread, on `port` or a free port.

    With a certificate (a PEM file that contains its key) it speaks HTTPS.
    """

    __test__ = False  # pytest would take it for a test class

    def __init__(
        self, *, port: int = 0, credential: str = CREDENTIAL, certificate: Path | None = None
    ) -> None:
        self.credential = credential
        self.requests: list[RecordedRequest] = []
        #: The ids that /movie/changes lists, and the ids that get a 404.
        self.changed_ids: list[int] = []
        self.deleted_ids: set[int] = set()
        #: Genres that TMDb has added: id by name.
        self.added_genres: dict[str, int] = {}
        #: Movies that respond with these fields instead of their own, by id.
        self.changed_fields: dict[int, dict[str, Any]] = {}
        #: What TMDb has added to the parts of each series.
        self.added_parts: list[dict[str, Any]] = []
        self.stopping = threading.Event()
        self.mode, self.seconds, self.retry_after = "ok", 0.0, "7"
        self._times_left: int | None = None
        self._lock = threading.Lock()
        self._server = _QuietServer(("127.0.0.1", port), _make_handler(self))
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.005,), daemon=True
        )

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/3"

    def set_mode(
        self, mode: str, *, seconds: float = 5.0, retry_after: str = "7", times: int | None = None
    ) -> None:
        """Respond in this mode from now on, or only to the next `times` requests."""
        if mode not in MODES:
            raise ValueError(f"{mode!r} is not a mode; choose from {', '.join(MODES)}")
        with self._lock:
            self.mode, self.seconds, self.retry_after, self._times_left = (
                mode,
                seconds,
                retry_after,
                times,
            )

    def record(self, request: RecordedRequest) -> str:
        """Record a request and return the mode in which to respond."""
        with self._lock:
            self.requests.append(request)
            if self._times_left is None:
                return self.mode
            self._times_left -= 1
            return self.mode if self._times_left >= 0 else "ok"

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent if the client closed the connection, as it does in the slow modes."""
        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLEOFError):
            super().handle_error(request, client_address)


def _make_handler(server: FakeTmdbServer) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"fake_server": server})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake_server: FakeTmdbServer

    def do_GET(self) -> None:
        server = self.fake_server
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        is_authorized = self.headers.get("Authorization") == f"Bearer {server.credential}"
        mode = server.record(
            RecordedRequest(parts.path, query, self.requestline, is_authorized, time.monotonic())
        )
        if not is_authorized or mode == "401":
            message = "Invalid API key: You must be granted a valid key."
            return self._send_error(401, 7, message)
        try:
            self._respond(mode, parts.path, query)
        except (BrokenPipeError, ConnectionResetError):
            # The client closed the connection, as it does in the slow modes.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Log nothing; `requests` records the requests."""

    def _respond(self, mode: str, path: str, query: dict[str, str]) -> None:
        server = self.fake_server
        responders: dict[str, Callable[[], None]] = {
            "drop": self._reset_connection,
            "403_html": lambda: self._send_html(403),
            "404": self._send_not_found,
            "404_html": lambda: self._send_html(404),
            "422": lambda: self._send_error(422, 5, "Invalid parameters: Your request is invalid."),
            "429": lambda: self._send_error(
                429, 25, "Your request count is over the allowed limit."
            ),
            "429_retry_after": lambda: self._send_error(
                429, 25, "Over the limit.", {"Retry-After": server.retry_after}
            ),
            "500": lambda: self._send_error(500, 11, "Internal error: Something went wrong."),
            "html": lambda: self._send_html(200),
            "list_for_object": lambda: self._send_json(200, []),
            "null": lambda: self._send_json(200, None),
            "deep": lambda: self._send(200, b'{"results":' + b"[" * 100_000, "application/json"),
            "redirect": lambda: self._send(
                302, b"", "text/plain", {"Location": f"{server.base_url}/genre/movie/list"}
            ),
        }
        if mode in responders:
            return responders[mode]()
        if mode == "slow":
            server.stopping.wait(server.seconds)
        document = self._make_document(path, query)
        if document is None:
            return self._send_not_found()
        if mode == "wrong_id" and isinstance(document, dict) and "id" in document:
            document = {**document, "id": document["id"] + 1}
        if mode == "wrong_types":
            document = _make_wrong_types(document) if isinstance(document, dict) else {}
        if mode == "nan" and isinstance(document, dict):
            document = {**document, "popularity": math.nan, "total_results": math.nan}
        if mode == "huge":
            document = {**document, "padding": "x" * HUGE_BYTES}
        if mode == "truncated":
            return self._send_half(document)
        if mode == "drip":
            return self._send_slowly(document)
        return self._send_json(200, document)

    def _make_document(self, path: str, query: dict[str, str]) -> Any:
        """Return the JSON document at a path, or None if there is none."""
        if path == "/3/search/movie":
            return search_movies(query)
        if path == "/3/genre/movie/list":
            return make_genre_list(query.get("language", ""), self.fake_server.added_genres)
        configuration: dict[str, Callable[[], Any]] = {
            "/3/configuration/countries": make_country_list,
            "/3/configuration/languages": make_language_list,
            "/3/configuration/primary_translations": lambda: list(PRIMARY_TRANSLATIONS),
            "/3/watch/providers/movie": lambda: make_provider_list(query.get("watch_region")),
            "/3/watch/providers/regions": make_region_list,
        }
        if path in configuration:
            return configuration[path]()
        if path == "/3/movie/changes":
            return self._make_changes_page(query)
        movies = [
            movie for movie in MOVIES.values() if movie["id"] not in self.fake_server.deleted_ids
        ]
        listed = get_list(path, query, movies)
        if listed is not None:
            return make_page(listed, query)
        if path.startswith("/3/find/"):
            return find_movie(path.removeprefix("/3/find/"))
        if path.startswith("/3/collection/"):
            return self._make_collection(path.removeprefix("/3/collection/"), movies)
        number, _, part = path.removeprefix("/3/movie/").partition("/")
        movie = self._get_movie(int(number)) if number.isdigit() else None
        if movie is None:
            return None
        if part in ("recommendations", "similar"):
            return make_page(get_related(movie, movies), query)
        if part in _APPENDABLE:
            return {"id": movie["id"], **movie[part]}
        if part:
            return None
        appended = query.get("append_to_response", "").split(",")
        omitted = [name for name in _APPENDABLE if name not in appended]
        movie = {**movie, **self.fake_server.changed_fields.get(movie["id"], {})}
        return {name: value for name, value in movie.items() if name not in omitted}

    def _get_movie(self, tmdb_id: int) -> dict[str, Any] | None:
        if tmdb_id in self.fake_server.deleted_ids:
            return None
        if is_generated(tmdb_id):
            return generate_movie(tmdb_id)
        return MOVIES.get(tmdb_id)

    def _make_collection(self, number: str, movies: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Return a series with its parts, in no order, as TMDb promises none."""
        parts = [movie for movie in movies if str(_get_collection_id(movie)) == number]
        if not parts:
            return None
        collection = parts[0]["belongs_to_collection"]
        return {
            **collection,
            "original_language": parts[0]["original_language"],
            "original_name": collection["name"],
            "overview": "",
            "parts": [
                *({**make_list_entry(movie), "media_type": "movie"} for movie in reversed(parts)),
                *self.fake_server.added_parts,
            ],
        }

    def _make_changes_page(self, query: dict[str, str]) -> dict[str, Any]:
        """Return a page of 100 changed ids, as TMDb does."""
        ids, page = self.fake_server.changed_ids, int(query.get("page", "1"))
        return {
            "results": [
                {"id": tmdb_id, "adult": False} for tmdb_id in ids[(page - 1) * 100 : page * 100]
            ],
            "page": page,
            "total_pages": max(1, math.ceil(len(ids) / 100)),
            "total_results": len(ids),
        }

    def _send_json(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(document).encode(), "application/json", headers)

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self._send_head(status, len(body), kind, headers)
        self.wfile.write(body)

    def _send_head(
        self, status: int, length: int, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind};charset=utf-8")
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _send_error(
        self, status: int, code: int, message: str, headers: dict[str, str] | None = None
    ) -> None:
        document = {"success": False, "status_code": code, "status_message": message}
        self._send_json(status, document, headers)

    def _send_not_found(self) -> None:
        self._send_error(404, 34, "The resource you requested could not be found.")

    def _send_html(self, status: int) -> None:
        self._send(status, b"<html><body>This is not an API.</body></html>", "text/html")

    def _reset_connection(self) -> None:
        # Without lingering, the client sees a reset instead of an end.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def _send_half(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self._send_head(200, len(body), "application/json")
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def _send_slowly(self, document: Any) -> None:
        """Send single bytes, each well within any read timeout."""
        body = json.dumps(document).encode()
        self._send_head(200, len(body), "application/json")
        for byte in body:
            self.wfile.write(bytes([byte]))
            if self.fake_server.stopping.wait(0.1):
                break
        self.close_connection = True


def _get_collection_id(movie: dict[str, Any]) -> int | None:
    collection = movie["belongs_to_collection"]
    return collection["id"] if collection else None


_split_words = lru_cache(maxsize=2 * GENERATED_COUNT)(split_words)


def search_movies(query: dict[str, str]) -> dict[str, Any]:
    """Return the page of movies whose titles contain words that start with the query's words."""
    prefixes = split_words(query.get("query", ""))
    matches = [
        movie
        for movie in (*MOVIES.values(), *generate_movies())
        if all(
            any(word.startswith(prefix) for word in _split_words(movie["title"]))
            for prefix in prefixes
        )
        and (query.get("include_adult") == "true" or not movie["adult"])
        and ("year" not in query or movie["release_date"].startswith(query["year"]))
    ]
    matches.sort(key=lambda movie: -movie["popularity"])
    return make_page(matches, query)


def find_movie(imdb_id: str) -> dict[str, Any]:
    """Return what TMDb's /find has under an IMDb id."""
    number = imdb_id.removeprefix("tt")
    movies = [movie for movie in MOVIES.values() if movie["imdb_id"] == imdb_id]
    if number.isdigit() and is_generated(int(number)):
        movies = [generate_movie(int(number))]
    return {
        "movie_results": [{**make_list_entry(movie), "media_type": "movie"} for movie in movies],
        "person_results": [],
        "tv_results": [],
        "tv_episode_results": [],
        "tv_season_results": [],
    }


def _make_wrong_types(document: dict[str, Any]) -> dict[str, Any]:
    """Turn numbers into texts, texts into lists and lists into objects."""
    converters: dict[type, Callable[[Any], Any]] = {
        int: str,
        float: str,
        str: lambda text: [text],
        list: lambda items: dict(enumerate(items)),
    }
    return {
        name: converters.get(type(value), lambda unchanged: unchanged)(value)
        for name, value in document.items()
    }


def main() -> None:
    """Serve until interrupted or, with `--until-eof`, until standard input ends.

    Usage: `python -m tmdb.fake.server [--until-eof] [PORT]`. It prints the environment variables
    that make the service use it.
    """
    options = sys.argv[1:]
    ports = [option for option in options if option.isdigit()]
    server = FakeTmdbServer(port=int(ports[0]) if ports else 0).start()
    print(f"TMDB_BASE_URL={server.base_url} TMDB_ACCESS_TOKEN={server.credential}", flush=True)  # noqa: T201
    try:
        if "--until-eof" in options:
            # Standard input ends with the parent process, even if that was killed.
            sys.stdin.read()
        else:
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    server.stop()


if __name__ == "__main__":
    main()
