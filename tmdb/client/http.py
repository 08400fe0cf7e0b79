"""TMDb's HTTP API: the requests this project sends, and a client that sends one of them.

`tmdb.gateway` decides when a request may be sent and retries it. Free of Django. Neither errors nor
logs contain the credential. Source: https://developer.themoviedb.org/reference.
"""

from __future__ import annotations

import json
import math
import re
import time
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from tmdb.client.errors import (
    DEFAULT_RETRY_AFTER_S,
    TmdbAuthFailed,
    TmdbError,
    TmdbInvalidResponse,
    TmdbNotConfigured,
    TmdbNotFound,
    TmdbRateLimited,
    TmdbRequestRejected,
    TmdbServerError,
    TmdbUnavailable,
)

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 2.0
MAX_RESPONSE_BYTES = 2 * 1024 * 1024
MAX_RETRY_AFTER_S = 3600
LANGUAGE = "en-US"
# What a movie's response contains besides the movie, so that an import is one request. TMDb appends
# at most 20.
APPENDED = (
    "credits", "keywords", "watch/providers", "videos", "release_dates", "translations",
)  # fmt: skip

_CHUNK_BYTES = 64 * 1024
_CREDENTIAL = re.compile(r"[!-~]+")
_V3_KEY = re.compile(r"[0-9a-fA-F]{32}")


# --- Requests ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TmdbRequest:
    """A GET request: the path below the base URL and the query parameters."""

    path: str
    params: dict[str, str]
    #: Whether 404 means that TMDb has no such movie; elsewhere it means that the base URL is wrong.
    can_be_missing: bool = False
    #: Whether TMDb responds with an array.
    is_list: bool = False


def make_search_request(
    *, query: str, page: int, language: str, include_adult: bool, year: int | None = None
) -> TmdbRequest:
    params = {
        "query": query,
        "page": str(page),
        "language": language,
        "include_adult": "true" if include_adult else "false",
    }
    if year is not None:
        params["year"] = str(year)
    return TmdbRequest("/search/movie", params)


def make_movie_request(tmdb_id: int) -> TmdbRequest:
    """Return the request for a movie with everything of it that the catalogue stores."""
    params = {"append_to_response": ",".join(APPENDED), "language": LANGUAGE}
    return TmdbRequest(f"/movie/{tmdb_id}", params, can_be_missing=True)


def make_trending_request(*, window: str, page: int) -> TmdbRequest:
    """Return the request for a page of TMDb's trend; `window` is `day` or `week`."""
    return TmdbRequest(f"/trending/movie/{window}", _make_page_params(page))


def make_list_request(name: str, *, page: int) -> TmdbRequest:
    """Return the request for a page of `popular`, `top_rated`, `now_playing` or `upcoming`."""
    return TmdbRequest(f"/movie/{name}", _make_page_params(page))


def make_discover_request(
    *, page: int, year: int | None = None, released_from: date | None = None
) -> TmdbRequest:
    """Return the request for a page of all movies, the most popular first."""
    params = {"sort_by": "popularity.desc", "include_adult": "false", "include_video": "false"}
    if year is not None:
        params["primary_release_year"] = str(year)
    if released_from is not None:
        params["primary_release_date.gte"] = released_from.isoformat()
    return TmdbRequest("/discover/movie", {**params, **_make_page_params(page)})


def make_recommendations_request(tmdb_id: int) -> TmdbRequest:
    """Return the request for the first page of the movies that viewers of this one like."""
    path = f"/movie/{tmdb_id}/recommendations"
    return TmdbRequest(path, _make_page_params(1), can_be_missing=True)


def make_similar_request(tmdb_id: int) -> TmdbRequest:
    """Return the request for the first page of the movies with the same genres and keywords."""
    return TmdbRequest(f"/movie/{tmdb_id}/similar", _make_page_params(1), can_be_missing=True)


def make_collection_request(tmdb_id: int) -> TmdbRequest:
    """Return the request for a series with all its parts."""
    return TmdbRequest(f"/collection/{tmdb_id}", {"language": LANGUAGE}, can_be_missing=True)


def make_find_request(imdb_id: str) -> TmdbRequest:
    """Return the request for the movie with an IMDb id."""
    params = {"external_source": "imdb_id", "language": LANGUAGE}
    return TmdbRequest(f"/find/{imdb_id}", params)


def make_changes_request(*, start: date, end: date, page: int) -> TmdbRequest:
    """Return the request for a page of the ids that changed between two days, at most 14 days apart."""
    params = {
        "start_date": start.isoformat(),
        "end_date": end.isoformat(),
        "page": str(page),
    }
    return TmdbRequest("/movie/changes", params)


def make_genres_request(language: str = LANGUAGE) -> TmdbRequest:
    return TmdbRequest("/genre/movie/list", {"language": language})


def make_primary_translations_request() -> TmdbRequest:
    """Return the request for the languages that TMDb is translated into, such as `pt-BR`."""
    return TmdbRequest("/configuration/primary_translations", {}, is_list=True)


def make_regions_request() -> TmdbRequest:
    return TmdbRequest("/configuration/countries", {}, is_list=True)


def make_languages_request() -> TmdbRequest:
    return TmdbRequest("/configuration/languages", {}, is_list=True)


def make_providers_request() -> TmdbRequest:
    """Return the request for all providers with the regions that offer them."""
    return TmdbRequest("/watch/providers/movie", {"language": LANGUAGE})


def make_provider_discover_request(
    *, page: int, region: str, provider_id: int, monetization: str
) -> TmdbRequest:
    """Return the request for a page of the movies that a provider offers in a region."""
    params = {
        "include_adult": "false",
        "include_video": "false",
        "sort_by": "popularity.desc",
        "watch_region": region,
        "with_watch_monetization_types": monetization,
        "with_watch_providers": str(provider_id),
    }
    return TmdbRequest("/discover/movie", {**params, **_make_page_params(page)})


def _make_page_params(page: int) -> dict[str, str]:
    return {"language": LANGUAGE, "page": str(page)}


# --- Client --------------------------------------------------------------------------------------


class TmdbClient:
    """Sends single requests to TMDb's API at one base URL with one credential."""

    def __init__(
        self,
        session: requests.Session,
        *,
        base_url: str,
        credential: str,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._credential = credential
        self._auth = _BearerAuth(credential)
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        if _is_loopback(self._base_url):
            # A proxy from the environment cannot reach a server on this machine.
            session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def check_configuration(self) -> None:
        """Raise TmdbNotConfigured or TmdbAuthFailed if no request can be sent at all."""
        if not self._credential:
            raise TmdbNotConfigured("TMDB_ACCESS_TOKEN is not set")
        if not _CREDENTIAL.fullmatch(self._credential):
            # An HTTP library would quote a credential that it cannot put into a header.
            raise TmdbAuthFailed(
                "TMDB_ACCESS_TOKEN contains spaces or other characters no credential of TMDb has"
            )
        if urlsplit(self._base_url).scheme != "https" and not _is_loopback(self._base_url):
            raise TmdbNotConfigured("TMDB_BASE_URL must be https, or http on this machine")

    def send(self, request: TmdbRequest, *, deadline: float) -> dict[str, Any]:
        """Send a request and return TMDb's JSON object; raise TmdbError if there is none.

        `deadline` is a time of the monotonic clock. A name lookup and dripping headers can
        outlast it; the caller has to stop waiting by itself.
        """
        time_left_s = max(0.01, deadline - time.monotonic())
        timeouts = (
            min(self._connect_timeout_s, time_left_s),
            min(self._read_timeout_s, time_left_s),
        )
        try:
            with self._session.get(
                self._base_url + request.path,
                params=request.params,
                auth=self._auth,
                headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
                timeout=timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = _read_body(response, deadline)
                if response.status_code == 200:
                    return _decode_json(body, is_list=request.is_list)
                error = self._make_error(request, response, body)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            error = TmdbUnavailable("timeout")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as failure:
            if _is_connection_reset(failure):
                error = TmdbServerError("TMDb cut the connection")
            else:
                error = TmdbUnavailable(f"no connection ({type(failure).__name__})")
        # Raised outside the except blocks: an error of requests holds the request and with it the
        # credential, and must not become this error's context.
        raise error

    def _make_error(
        self, request: TmdbRequest, response: requests.Response, body: bytes
    ) -> TmdbError:
        """Return the error that a response other than 200 stands for."""
        status = response.status_code
        if status in (401, 403, 404) and not _is_tmdb_error(body):
            # A proxy, a firewall or another server sent it.
            return TmdbUnavailable(f"status {status} without TMDb's error body")
        if status in (401, 403):
            hint = ""
            if _V3_KEY.fullmatch(self._credential):
                hint = "; a v3 key was sent: set TMDB_ACCESS_TOKEN to the API Read Access Token"
            return TmdbAuthFailed(f"status {status}{hint}")
        if status == 404:
            if request.can_be_missing:
                return TmdbNotFound("TMDb has no such movie")
            return TmdbUnavailable("status 404: check TMDB_BASE_URL")
        if status == 429 or status >= 500:
            error_class = TmdbRateLimited if status == 429 else TmdbServerError
            header = response.headers.get("Retry-After")
            return error_class(
                f"status {status}",
                retry_after_s=_parse_retry_after(header),
                has_retry_after=header is not None,
            )
        if status >= 400 and _is_tmdb_error(body):
            return TmdbRequestRejected(f"status {status}")
        return TmdbInvalidResponse(f"status {status}")


class _BearerAuth(AuthBase):
    """Puts the credential into the Authorization header.

    This is an auth object because requests replaces a plain Authorization header with what a
    .netrc file says. TMDb documents v3 keys as the query parameter `api_key` only, but URLs are
    written to the logs of proxies and servers; a v3 key is therefore sent in the header, too.
    """

    def __init__(self, credential: str) -> None:
        self._credential = credential

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._credential}"
        return request


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_connection_reset(error: Exception) -> bool:
    if isinstance(error, ConnectionError | urllib3.exceptions.ProtocolError):
        return True
    return isinstance(error, requests.ConnectionError) and any(
        isinstance(cause, urllib3.exceptions.ProtocolError) for cause in error.args
    )


def _read_body(response: requests.Response, deadline: float) -> bytes:
    """Return the decompressed body; check size and deadline after every chunk."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise TmdbInvalidResponse("a content encoding that was not requested")
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise TmdbInvalidResponse(f"a body over {MAX_RESPONSE_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TmdbUnavailable("timeout")
    return _decompress(bytes(body)) if encoding == "gzip" else bytes(body)


def _decompress(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        decompressed = decompressor.decompress(body, MAX_RESPONSE_BYTES)
    except zlib.error:
        raise TmdbInvalidResponse("a body that is not gzip") from None
    if not decompressor.eof:
        raise TmdbInvalidResponse(f"a gzip body that is cut off or over {MAX_RESPONSE_BYTES} bytes")
    return decompressed


def _decode_json(body: bytes, *, is_list: bool = False) -> dict[str, Any]:
    """Return the JSON object of a body; NaN and infinities, which Python accepts, are errors.

    With `is_list` the body is an array, and becomes the `results` of an object as in TMDb's pages.
    """
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise TmdbInvalidResponse("a body that is not JSON") from None
    if is_list and isinstance(document, list):
        return {"results": document}
    if not isinstance(document, dict):
        raise TmdbInvalidResponse("a body that is not a JSON object")
    return document


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _is_tmdb_error(body: bytes) -> bool:
    """Return whether the body is an error document of TMDb."""
    try:
        document = _decode_json(body)
    except TmdbInvalidResponse:
        return False
    return type(document.get("status_code")) is int


def _parse_retry_after(header: str | None) -> int:
    """Return the seconds of a Retry-After header in either form, from 1 to MAX_RETRY_AFTER_S."""
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
