"""A server in TMDb's shapes for made-up films, for tests and for `make run TMDB=sample`.

Real HTTP on loopback: `with FakeTmdbServer() as server: ... server.switch("slow", seconds=5)`.
Every title, person and plot here is invented; ids are from 9,000,000 on, where TMDb has none.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from nexus.core.genres import TMDB_GENRES
from nexus.core.text import split_words
from tmdb.fake import movies as samplefilms

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
_FILMS: tuple[tuple[str, str, tuple[str, ...], int, str, tuple[str, str], str, str], ...] = (
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


def _person_id(name: str) -> int:
    """The same id for the same name, in a range of its own."""
    names = sorted({person for film in _FILMS for person in (film[4], *film[5])})
    return FIRST_ID + 10_000 + names.index(name)


def _details(number: int) -> dict[str, Any]:
    title, released, genres, runtime, director, leads, overview, keyword = _FILMS[number]
    tmdb_id = FIRST_ID + number
    series = title.startswith("Copper Meridian")
    return {
        "adult": False,
        "backdrop_path": f"/backdrop{tmdb_id}.jpg",
        "belongs_to_collection": {
            "id": FIRST_ID + 20_000,
            "name": "Copper Meridian Collection",
            "poster_path": None,
            "backdrop_path": None,
        }
        if series
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
                # Out of order, as TMDb does not promise one.
                _cast_member(leads[1], "The Other One", 1),
                _cast_member(leads[0], "The First One", 0),
            ],
            "crew": [
                _crew_member(director, "Writing", "Writer"),
                _crew_member(director, "Directing", "Director"),
            ],
        },
        "keywords": {"keywords": [{"id": FIRST_ID + number, "name": keyword.title()}]},
    }


def _cast_member(name: str, character: str, order: int) -> dict[str, Any]:
    return {
        "adult": False,
        "id": _person_id(name),
        "name": name,
        "character": character,
        "credit_id": f"c{_person_id(name)}",
        "order": order,
    }


def _crew_member(name: str, department: str, job: str) -> dict[str, Any]:
    return {
        "adult": False,
        "id": _person_id(name),
        "name": name,
        "department": department,
        "job": job,
        "credit_id": f"d{_person_id(name)}",
    }


def _catalogue() -> dict[int, dict[str, Any]]:
    films = {FIRST_ID + number: _details(number) for number in range(len(_FILMS))}
    adult = {**_details(0), "id": ADULT_ID, "imdb_id": None, "adult": True}
    adult["title"] = adult["original_title"] = "Not for the Catalogue"
    undated = {
        **_details(1),
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
    }
    return {**films, ADULT_ID: adult, UNDATED_ID: undated}


FILMS: dict[int, dict[str, Any]] = _catalogue()
_APPENDED = ("credits", "keywords")


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    query: dict[str, str]
    #: The request line as sent, where no credential may stand.
    line: str
    authorized: bool
    #: On the monotonic clock.
    at: float


class FakeTmdbServer:
    """The server in a thread of its own; each instance on a free port, or on `port`."""

    __test__ = False  # not a test class of pytest's

    def __init__(self, *, port: int = 0, credential: str = CREDENTIAL) -> None:
        self.credential = credential
        self.requests: list[Asked] = []
        #: What the changes feed tells, and the films that TMDb is to have no longer.
        self.changed: list[int] = []
        self.deleted: set[int] = set()
        self.stopping = threading.Event()
        self.mode, self.seconds, self.retry_after = "ok", 0.0, "7"
        self._times: int | None = None
        self._lock = threading.Lock()
        self._server = _QuietServer(("127.0.0.1", port), _handler_for(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.005,), daemon=True
        )

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/3"

    def switch(
        self, mode: str, *, seconds: float = 5.0, retry_after: str = "7", times: int | None = None
    ) -> None:
        """Answer so from now on, or for the next `times` requests."""
        if mode not in MODES:
            raise ValueError(f"{mode!r} is none of {', '.join(MODES)}")
        with self._lock:
            self.mode, self.seconds, self.retry_after, self._times = (
                mode,
                seconds,
                retry_after,
                times,
            )

    def asked(self, request: Asked) -> str:
        """Note a request; the mode in which to answer it."""
        with self._lock:
            self.requests.append(request)
            if self._times is None:
                return self.mode
            self._times -= 1
            return self.mode if self._times >= 0 else "ok"

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
        """Print nothing of a client that went away, which is what the slow modes are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler_for(server: FakeTmdbServer) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"server_of_films": server})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_films: FakeTmdbServer

    def do_GET(self) -> None:
        server = self.server_of_films
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        authorized = self.headers.get("Authorization") == f"Bearer {server.credential}"
        mode = server.asked(
            Asked(parts.path, query, self.requestline, authorized, time.monotonic())
        )
        if not authorized or mode == "401":
            message = "Invalid API key: You must be granted a valid key."
            return self._refuse(401, 7, message)
        try:
            self._answer(mode, parts.path, query)
        except (BrokenPipeError, ConnectionResetError):
            # The client has had enough, which is what these modes are about.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Nothing: what was asked is in `requests`."""

    def _answer(self, mode: str, path: str, query: dict[str, str]) -> None:
        server = self.server_of_films
        special: dict[str, Callable[[], None]] = {
            "drop": self._drop,
            "403_html": lambda: self._html(403),
            "404": self._missing,
            "404_html": lambda: self._html(404),
            "422": lambda: self._refuse(422, 5, "Invalid parameters: Your request is invalid."),
            "429": lambda: self._refuse(429, 25, "Your request count is over the allowed limit."),
            "429_retry_after": lambda: self._refuse(
                429, 25, "Over the limit.", {"Retry-After": server.retry_after}
            ),
            "500": lambda: self._refuse(500, 11, "Internal error: Something went wrong."),
            "html": lambda: self._html(200),
            "list_for_object": lambda: self._json(200, []),
            "null": lambda: self._json(200, None),
            "deep": lambda: self._send(200, b'{"results":' + b"[" * 100_000, "application/json"),
            "redirect": lambda: self._send(
                302, b"", "text/plain", {"Location": f"{server.base_url}/genre/movie/list"}
            ),
        }
        if mode in special:
            return special[mode]()
        if mode == "slow":
            server.stopping.wait(server.seconds)
        document = self._document(path, query)
        if document is None:
            return self._missing()
        if mode == "wrong_id" and "id" in document:
            document = {**document, "id": document["id"] + 1}
        if mode == "wrong_types":
            document = _wrong_types(document)
        if mode == "nan":
            document = {**document, "popularity": math.nan, "total_results": math.nan}
        if mode == "huge":
            document = {**document, "padding": "x" * HUGE_BYTES}
        if mode == "truncated":
            return self._cut(document)
        if mode == "drip":
            return self._drip(document)
        return self._json(200, document)

    def _document(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        if path == "/3/search/movie":
            return _search(query)
        if path == "/3/genre/movie/list":
            return {
                "genres": [{"id": number, "name": name} for name, number in TMDB_GENRES.items()]
            }
        if path == "/3/movie/changes":
            return self._changes(query)
        held = [film for film in FILMS.values() if film["id"] not in self.server_of_films.deleted]
        found = samplefilms.listed(path, query, held)
        if found is not None:
            return samplefilms.page(found, query)
        if path.startswith("/3/find/"):
            return _find(path.removeprefix("/3/find/"))
        number, _, part = path.removeprefix("/3/movie/").partition("/")
        film = self._film(int(number)) if number.isdigit() else None
        if film is None:
            return None
        if part in ("recommendations", "similar"):
            return samplefilms.page(samplefilms.related(film, held), query)
        if part:
            return None
        appended = query.get("append_to_response", "").split(",")
        left_out = [name for name in _APPENDED if name not in appended]
        return {name: value for name, value in film.items() if name not in left_out}

    def _film(self, tmdb_id: int) -> dict[str, Any] | None:
        if tmdb_id in self.server_of_films.deleted:
            return None
        if samplefilms.is_generated(tmdb_id):
            return samplefilms.film(tmdb_id)
        return FILMS.get(tmdb_id)

    def _changes(self, query: dict[str, str]) -> dict[str, Any]:
        """Of 100 a page, as TMDb has them."""
        ids, page = self.server_of_films.changed, int(query.get("page", "1"))
        return {
            "results": [
                {"id": each, "adult": False} for each in ids[(page - 1) * 100 : page * 100]
            ],
            "page": page,
            "total_pages": max(1, math.ceil(len(ids) / 100)),
            "total_results": len(ids),
        }

    def _json(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(document).encode(), "application/json", headers)

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self._begin(status, len(body), kind, headers)
        self.wfile.write(body)

    def _begin(
        self, status: int, length: int, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind};charset=utf-8")
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _refuse(
        self, status: int, code: int, message: str, headers: dict[str, str] | None = None
    ) -> None:
        document = {"success": False, "status_code": code, "status_message": message}
        self._json(status, document, headers)

    def _missing(self) -> None:
        self._refuse(404, 34, "The resource you requested could not be found.")

    def _html(self, status: int) -> None:
        self._send(status, b"<html><body>This is not an API.</body></html>", "text/html")

    def _drop(self) -> None:
        # Closed without lingering: the other side sees a reset, not an end.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def _cut(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self._begin(200, len(body), "application/json")
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def _drip(self, document: dict[str, Any]) -> None:
        """A byte at a time, each well within any read timeout."""
        body = json.dumps(document).encode()
        self._begin(200, len(body), "application/json")
        for byte in body:
            self.wfile.write(bytes([byte]))
            if self.server_of_films.stopping.wait(0.1):
                break
        self.close_connection = True


_words = lru_cache(maxsize=2 * samplefilms.GENERATED)(split_words)


def _search(query: dict[str, str]) -> dict[str, Any]:
    wanted = split_words(query.get("query", ""))
    found = [
        film
        for film in (*FILMS.values(), *samplefilms.films())
        if all(any(each.startswith(word) for each in _words(film["title"])) for word in wanted)
        and (query.get("include_adult") == "true" or not film["adult"])
        and ("year" not in query or film["release_date"].startswith(query["year"]))
    ]
    found.sort(key=lambda film: -film["popularity"])
    return samplefilms.page(found, query)


def _find(imdb_id: str) -> dict[str, Any]:
    number = imdb_id.removeprefix("tt")
    films = [film for film in FILMS.values() if film["imdb_id"] == imdb_id]
    if number.isdigit() and samplefilms.is_generated(int(number)):
        films = [samplefilms.film(int(number))]
    return {
        "movie_results": [{**samplefilms.summary(film), "media_type": "movie"} for film in films],
        "person_results": [],
        "tv_results": [],
        "tv_episode_results": [],
        "tv_season_results": [],
    }


def _wrong_types(document: dict[str, Any]) -> dict[str, Any]:
    """Each number a text, each text a list, each list an object."""
    wrong: dict[type, Callable[[Any], Any]] = {
        int: str,
        float: str,
        str: lambda text: [text],
        list: lambda items: dict(enumerate(items)),
    }
    return {name: wrong.get(type(value), lambda v: v)(value) for name, value in document.items()}


def main() -> None:
    """Serve until interrupted or, with `--until-eof`, until standard input ends.

    `python -m tmdb.fake.server [--until-eof] [PORT]`; the settings for it go to standard output.
    """
    options, ports = sys.argv[1:], [each for each in sys.argv[1:] if each.isdigit()]
    server = FakeTmdbServer(port=int(ports[0]) if ports else 0).start()
    print(f"TMDB_BASE_URL={server.base_url} TMDB_ACCESS_TOKEN={server.credential}", flush=True)  # noqa: T201
    try:
        if "--until-eof" in options:
            # It ends when whoever started it is gone, however that went.
            sys.stdin.read()
        else:
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    server.stop()


if __name__ == "__main__":
    main()
