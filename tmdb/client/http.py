"""TMDb over HTTP: bytes in time or one error, and never a secret where one can be read.

Free of Django. Source: https://developer.themoviedb.org/docs.
"""

from __future__ import annotations

import json
import logging
import math
import random
import re
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from tmdb.client.errors import (
    DEFAULT_RETRY_AFTER_S,
    TmdbAuthFailed,
    TmdbBusy,
    TmdbError,
    TmdbNotConfigured,
    TmdbNotFound,
    TmdbRefused,
    TmdbUnavailable,
    TmdbUnusable,
)

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 2.0
BUDGET_S = 3.0
# A request that has less than this left is not sent: it would fail, and cost TMDb all the same.
LEAST_LEFT_S = 0.25
MAX_BYTES = 2 * 1024 * 1024
MAX_RETRY_AFTER_S = 3600
RETRIES = 1
# Before the first retry, and twice as much before each further one, less up to half by chance.
RETRY_DELAY_S = 0.3
# A 429 that does not say for how long.
BUSY_S = 1.0
# For work that nobody waits for.
BATCH_BUDGET_S = 20.0
BATCH_RETRIES = 4
# Per process: two for requests that wait (tmdb.aside) and two for refreshes in the background.
MAX_CONCURRENT = 4

_CHUNK_BYTES = 64 * 1024
_CREDENTIAL = re.compile(r"[!-~]+")
_V3_KEY = re.compile(r"[0-9a-fA-F]{32}")
_LOG = logging.getLogger(__name__)
_deadline: ContextVar[float | None] = ContextVar("tmdb_deadline", default=None)

Outcome = Literal["ok", "failed", "busy", "auth", "none"]


@contextmanager
def within(budget_s: float) -> Iterator[None]:
    """Let all calls of this block together take `budget_s`; a block inside cannot take longer."""
    token = _deadline.set(deadline_at(budget_s))
    try:
        yield
    finally:
        _deadline.reset(token)


def deadline_at(budget_s: float) -> float:
    """When what starts now must end, on the monotonic clock: after `budget_s`, or with its block."""
    until = time.monotonic() + budget_s
    outer = _deadline.get()
    return until if outer is None else min(until, outer)


class Gate(Protocol):
    """Gives leave for each single request to TMDb, and hears how it ended."""

    def enter(self, deadline: float) -> str:
        """Wait for leave until shortly before `deadline`; a token for `leave`. Raises TmdbError."""

    def leave(self, token: str, outcome: Outcome, *, closed_s: float = 0) -> None:
        """Say how it ended, and for how long TMDb wants to be left alone."""


class OpenGate:
    """Leave for everybody."""

    def enter(self, deadline: float) -> str:
        return ""

    def leave(self, token: str, outcome: Outcome, *, closed_s: float = 0) -> None:
        """Nothing hangs on it."""


class _Bearer(AuthBase):
    """Puts the credential into the Authorization header.

    An auth object and not a plain header: requests would overwrite that one from a .netrc file.
    TMDb documents the read access token as a Bearer token, and a v3 key only as `api_key` in the
    URL. A URL is written to the logs of every proxy and server on its way, which is why a v3 key
    goes into the header as well: should TMDb refuse it there, that is an error which can be read
    and mended, and a leaked key is neither.
    """

    def __init__(self, credential: str) -> None:
        self._credential = credential

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._credential}"
        return request


class Client:
    """TMDb's API at one address, with one credential.

    Each call returns TMDb's JSON as it is, within `budget_s` seconds and the block of `within`, or
    raises a TmdbError. What may help to send again is sent again, `retries` times at most.
    """

    def __init__(
        self,
        session: requests.Session,
        *,
        base_url: str,
        credential: str,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        budget_s: float = BUDGET_S,
        retries: int = RETRIES,
        gate: Gate | None = None,
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._auth = _Bearer(credential)
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._budget_s = budget_s
        self._retries = retries
        self._gate: Gate = gate or OpenGate()
        self._refusal = _refusal(self._base_url, credential)
        self._looks_like_v3 = bool(_V3_KEY.fullmatch(credential))
        # In threads of its own, because neither a name look-up nor dripping headers heed a timeout.
        self._pool = ThreadPoolExecutor(max_workers=MAX_CONCURRENT, thread_name_prefix="tmdb")
        if _is_loopback(self._base_url):
            # A proxy of the environment cannot reach this machine.
            session.trust_env = False

    def close(self) -> None:
        """Wait for running calls and close the connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._session.close()

    def search_movies(
        self, *, query: str, page: int, language: str, include_adult: bool, year: int | None = None
    ) -> Any:
        """One page of /search/movie."""
        params = {
            "query": query,
            "page": str(page),
            "language": language,
            "include_adult": "true" if include_adult else "false",
        }
        if year is not None:
            params["year"] = str(year)
        try:
            return self._get("/search/movie", params)
        except TmdbNotFound:
            # A search that finds nothing is an empty page; this is a wrong address.
            raise TmdbUnavailable("404 for a search") from None

    def movie(self, tmdb_id: int) -> Any:
        """/movie/{id} with credits and keywords. Raises TmdbNotFound where TMDb has no such film."""
        params = {"append_to_response": "credits,keywords", "language": "en-US"}
        return self._get(f"/movie/{tmdb_id}", params)

    def trending(self, *, window: str, page: int) -> Any:
        """One page of /trending/movie/{window}: `day` or `week`."""
        return self._get(f"/trending/movie/{window}", _in_english(page))

    def movie_list(self, name: str, *, page: int) -> Any:
        """One page of /movie/{name}: `popular`, `top_rated`, `now_playing` or `upcoming`."""
        return self._get(f"/movie/{name}", _in_english(page))

    def discover(
        self, *, page: int, year: int | None = None, released_from: date | None = None
    ) -> Any:
        """One page of /discover/movie, most popular first."""
        params = {"sort_by": "popularity.desc", "include_adult": "false", "include_video": "false"}
        if year is not None:
            params["primary_release_year"] = str(year)
        if released_from is not None:
            params["primary_release_date.gte"] = released_from.isoformat()
        return self._get("/discover/movie", {**params, **_in_english(page)})

    def recommendations(self, tmdb_id: int) -> Any:
        """The first page of /movie/{id}/recommendations: what its viewers liked."""
        return self._get(f"/movie/{tmdb_id}/recommendations", _in_english(1))

    def similar(self, tmdb_id: int) -> Any:
        """The first page of /movie/{id}/similar: of the same genres and keywords."""
        return self._get(f"/movie/{tmdb_id}/similar", _in_english(1))

    def find(self, imdb_id: str) -> Any:
        """/find/{imdb_id}: what TMDb has under an id of IMDb's."""
        return self._get(f"/find/{imdb_id}", {"external_source": "imdb_id", "language": "en-US"})

    def changes(self, *, start: date, end: date, page: int) -> Any:
        """One page of /movie/changes: the ids of what changed, over 14 days at most."""
        days = {"start_date": start.isoformat(), "end_date": end.isoformat()}
        return self._get("/movie/changes", {**days, "page": str(page)})

    def genres(self, *, language: str) -> Any:
        """/genre/movie/list in a language."""
        return self._get("/genre/movie/list", {"language": language})

    def _get(self, path: str, params: Mapping[str, str]) -> Any:
        if self._refusal is not None:
            refuse, reason = self._refusal
            raise refuse(reason)
        deadline = deadline_at(self._budget_s)
        left_s = max(0.0, deadline - time.monotonic())
        leave = _Leave(self._gate)
        call: Future[Any] = self._pool.submit(self._call, path, params, deadline, leave)
        try:
            return call.result(timeout=left_s)
        except TimeoutError:
            call.cancel()
            # Told from here, because the call itself may hang for long.
            leave.give_up()
            error: TmdbError = TmdbUnavailable(f"no answer within {left_s:.1f} s")
        except TmdbNotFound:
            raise
        except TmdbError as failed:
            error = failed
        # The path alone: what somebody searched for is nobody's business.
        _LOG.warning("TMDb %s: %s: %s", path, type(error).__name__, error)
        raise error

    def _call(self, path: str, params: Mapping[str, str], deadline: float, leave: _Leave) -> Any:
        for retry in range(self._retries + 1):
            leave.ask(deadline)
            try:
                document = self._attempt(path, params, deadline)
            except TmdbError as error:
                leave.end(_outcome(error), closed_s=_closed_s(error))
                delay_s = _delay_s(error, retry)
                if delay_s is None or retry == self._retries:
                    raise
                if time.monotonic() + delay_s > deadline - LEAST_LEFT_S:
                    raise
                time.sleep(delay_s)
            except BaseException:
                leave.end("none")
                raise
            else:
                leave.end("ok")
                return document
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, path: str, params: Mapping[str, str], deadline: float) -> Any:
        left_s = deadline - time.monotonic()
        if left_s < LEAST_LEFT_S:
            raise TmdbUnavailable("too many calls at once")
        try:
            with self._session.get(
                self._base_url + path,
                params=params,
                auth=self._auth,
                headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
                timeout=(min(self._connect_timeout_s, left_s), min(self._read_timeout_s, left_s)),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = _body(response, deadline)
                return self._answer(response, body)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            trouble = TmdbUnavailable("timeout")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if _is_reset(error):
                trouble = _Passing("the connection was cut")
            else:
                trouble = TmdbUnavailable(f"no connection ({type(error).__name__})")
        # Raised out here, so that it has no tie to the error of requests, which holds the request,
        # and that the credential.
        raise trouble

    def _answer(self, response: requests.Response, body: bytes) -> Any:
        status = response.status_code
        if status == 200:
            return _decoded(body)
        if status in (401, 403, 404) and not _is_error_of_tmdb(body):
            # Of a proxy, a firewall or another server, which says nothing of film or credential.
            raise TmdbUnavailable(f"status {status} that is not TMDb's")
        if status in (401, 403):
            hint = ""
            if self._looks_like_v3:
                hint = "; a v3 key was sent: set TMDB_ACCESS_TOKEN to the API Read Access Token"
            raise TmdbAuthFailed(f"status {status}{hint}")
        if status == 404:
            raise TmdbNotFound("unknown to TMDb")
        told = response.headers.get("Retry-After")
        if status == 429:
            raise TmdbBusy("status 429", retry_after_s=_retry_after_s(told), told=told is not None)
        if status >= 500:
            raise _Passing(
                f"status {status}", retry_after_s=_retry_after_s(told), told=told is not None
            )
        if status >= 400 and _is_error_of_tmdb(body):
            raise TmdbRefused(f"status {status}")
        raise TmdbUnusable(f"status {status}")


class _Passing(TmdbUnavailable):
    """Asking once more may help; `told`: TMDb said itself when."""

    def __init__(
        self, reason: str, *, retry_after_s: int = DEFAULT_RETRY_AFTER_S, told: bool = False
    ) -> None:
        super().__init__(reason, retry_after_s=retry_after_s)
        self.told = told


class _Leave:
    """The gate's leave for the attempt that runs, given back once: by the call or its caller."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._lock = threading.Lock()
        self._token: str | None = None
        self._given_up = False

    def ask(self, deadline: float) -> None:
        token = self._gate.enter(deadline)
        with self._lock:
            if not self._given_up:
                self._token = token
                return
        self._gate.leave(token, "none")
        raise TmdbUnavailable("nobody waits any more")

    def end(self, outcome: Outcome, *, closed_s: float = 0) -> None:
        with self._lock:
            token, self._token = self._token, None
        if token is not None:
            self._gate.leave(token, outcome, closed_s=closed_s)

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
        self.end("failed")


def _outcome(error: TmdbError) -> Outcome:
    """What an error says of TMDb's health; that it refuses what was asked says that it is well."""
    if isinstance(error, TmdbNotFound | TmdbRefused):
        return "ok"
    if isinstance(error, TmdbAuthFailed):
        return "auth"
    return "busy" if isinstance(error, TmdbBusy) else "failed"


def _closed_s(error: TmdbError) -> float:
    if not isinstance(error, TmdbBusy):
        return 0
    return error.retry_after_s if error.told else BUSY_S


def _delay_s(error: TmdbError, retry: int) -> float | None:
    """Seconds before the call is worth another try; None where it is not."""
    if not isinstance(error, TmdbBusy | _Passing):
        return None
    delay_s: float = RETRY_DELAY_S * 2**retry * random.uniform(0.5, 1)  # noqa: S311 (it hides nothing)
    if error.told:
        return error.retry_after_s + delay_s
    return BUSY_S + delay_s if isinstance(error, TmdbBusy) else delay_s


def _refusal(base_url: str, credential: str) -> tuple[type[TmdbError], str] | None:
    """Why no call can be made at all."""
    if not credential:
        return TmdbNotConfigured, "there is no credential"
    if not _CREDENTIAL.fullmatch(credential):
        # What a header cannot hold would come back in the error message of whoever refuses it.
        return TmdbAuthFailed, "the credential holds characters that no credential of TMDb's has"
    if urlsplit(base_url).scheme != "https" and not _is_loopback(base_url):
        return TmdbNotConfigured, "TMDB_BASE_URL is neither https nor on this machine"
    return None


def _in_english(page: int) -> dict[str, str]:
    return {"language": "en-US", "page": str(page)}


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_reset(error: Exception) -> bool:
    if isinstance(error, ConnectionError | urllib3.exceptions.ProtocolError):
        return True
    return isinstance(error, requests.ConnectionError) and any(
        isinstance(cause, urllib3.exceptions.ProtocolError) for cause in error.args
    )


def _body(response: requests.Response, deadline: float) -> bytes:
    """The body, decompressed, read piece by piece so that size and deadline hold at each."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise TmdbUnusable("an encoding that was not asked for")
    body = bytearray()
    while piece := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        body += piece
        if len(body) > MAX_BYTES:
            raise TmdbUnusable(f"a body over {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TmdbUnavailable("timeout")
    if encoding == "gzip":
        return _unzipped(bytes(body))
    return bytes(body)


def _unzipped(body: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unzip.decompress(body, MAX_BYTES)
    except zlib.error:
        raise TmdbUnusable("a body that is not gzip") from None
    if not unzip.eof:
        raise TmdbUnusable(f"a gzip body that is cut off or over {MAX_BYTES} bytes")
    return plain


def _decoded(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; NaN and infinities, which Python's decoder takes, are refused."""
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise TmdbUnusable("a body that is not JSON") from None
    if not isinstance(document, dict):
        # Each of TMDb's answers is one.
        raise TmdbUnusable("a body that is not an object")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _is_error_of_tmdb(body: bytes) -> bool:
    try:
        document = _decoded(body)
    except TmdbUnusable:
        return False
    return type(document.get("status_code")) is int


def _retry_after_s(header: str | None) -> int:
    """Seconds of a Retry-After header, in either of its forms, within reason."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        seconds = int(text[:9])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return DEFAULT_RETRY_AFTER_S
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = math.ceil((moment - datetime.now(UTC)).total_seconds())
    return min(max(seconds, 1), MAX_RETRY_AFTER_S)
