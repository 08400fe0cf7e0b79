"""Failures of TMDb, one class per cause. Free of Django; no message contains the credential."""
# ruff: noqa: N818 (each class is named after its cause)

from __future__ import annotations

DEFAULT_RETRY_AFTER_S = 10


class TmdbError(Exception):
    """TMDb gave no usable response."""


class TmdbNotConfigured(TmdbError):
    """The credential is missing, or the base URL is not one it may be sent to."""


class TmdbAuthFailed(TmdbError):
    """TMDb rejects the credential."""


class TmdbNotFound(TmdbError):
    """TMDb has no such movie."""


class TmdbAdultTitle(TmdbNotFound):
    """TMDb marks the movie as an adult title, which this catalogue does not store."""


class TmdbVideo(TmdbNotFound):
    """TMDb marks the entry as a video, such as bonus material, and not as a movie."""


class TmdbUnavailable(TmdbError):
    """TMDb is slow, overloaded or down; callers may retry after `retry_after_s` seconds."""

    def __init__(self, reason: str, *, retry_after_s: int = DEFAULT_RETRY_AFTER_S) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class TmdbServerError(TmdbUnavailable):
    """TMDb responded with a 5xx status or cut the connection, so that a retry may succeed.

    `has_retry_after` says whether `retry_after_s` comes from TMDb.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after_s: int = DEFAULT_RETRY_AFTER_S,
        has_retry_after: bool = False,
    ) -> None:
        super().__init__(reason, retry_after_s=retry_after_s)
        self.has_retry_after = has_retry_after


class TmdbRateLimited(TmdbServerError):
    """TMDb responded with a 429: it wants fewer requests."""


class TmdbInvalidResponse(TmdbUnavailable):
    """TMDb's response is not what was requested: not JSON, too large, or out of range."""


class TmdbRequestRejected(TmdbInvalidResponse):
    """TMDb works and rejects the request itself (a 4xx status)."""
