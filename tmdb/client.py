"""TMDb over HTTP: bytes in time or one error, and never a secret where one can be read.

Free of Django. Source: https://developer.themoviedb.org/docs.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from tmdb.errors import (
    DEFAULT_RETRY_AFTER_S,
    TmdbAuthFailed,
    TmdbError,
    TmdbNotConfigured,
    TmdbNotFound,
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
# Per process: TMDb is never sent more, and the service's other threads stay free.
MAX_CONCURRENT = 2

_CHUNK_BYTES = 64 * 1024
_CREDENTIAL = re.compile(r"[!-~]+")
_V3_KEY = re.compile(r"[0-9a-fA-F]{32}")
_LOG = logging.getLogger(__name__)


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

    Each call returns TMDb's JSON as it is, within `budget_s` seconds, or raises a TmdbError.
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
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._auth = _Bearer(credential)
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._budget_s = budget_s
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

    def _get(self, path: str, params: Mapping[str, str]) -> Any:
        if self._refusal is not None:
            refuse, reason = self._refusal
            raise refuse(reason)
        deadline = time.monotonic() + self._budget_s
        call: Future[Any] = self._pool.submit(self._call, path, params, deadline)
        try:
            return call.result(timeout=self._budget_s)
        except TimeoutError:
            call.cancel()
            error: TmdbError = TmdbUnavailable(f"no answer within {self._budget_s:g} s")
        except TmdbNotFound:
            raise
        except TmdbError as failed:
            error = failed
        # The path alone: what somebody searched for is nobody's business.
        _LOG.warning("TMDb %s: %s: %s", path, type(error).__name__, error)
        raise error

    def _call(self, path: str, params: Mapping[str, str], deadline: float) -> Any:
        try:
            return self._attempt(path, params, deadline)
        except _ConnectionReset:
            if deadline - time.monotonic() < LEAST_LEFT_S:
                raise
        return self._attempt(path, params, deadline)

    def _attempt(self, path: str, params: Mapping[str, str], deadline: float) -> Any:
        left_s = deadline - time.monotonic()
        if left_s < LEAST_LEFT_S:
            raise TmdbUnavailable("too many calls at once")
        # Errors of requests are not chained: they hold the request, and that the credential.
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
            raise TmdbUnavailable("timeout") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if _is_reset(error):
                raise _ConnectionReset("the connection was cut") from None
            raise TmdbUnavailable(f"no connection ({type(error).__name__})") from None

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
        if status == 429 or status >= 500:
            after_s = _retry_after_s(response.headers.get("Retry-After"))
            raise TmdbUnavailable(f"status {status}", retry_after_s=after_s)
        raise TmdbUnusable(f"status {status}")


class _ConnectionReset(TmdbUnavailable):
    """The connection ended before the answer did; asking once more may help."""


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


def _decoded(body: bytes) -> Any:
    """The JSON of a body; NaN and infinities, which Python's decoder takes, are refused."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise TmdbUnusable("a body that is not JSON") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _is_error_of_tmdb(body: bytes) -> bool:
    try:
        document = _decoded(body)
    except TmdbUnusable:
        return False
    return isinstance(document, dict) and type(document.get("status_code")) is int


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
