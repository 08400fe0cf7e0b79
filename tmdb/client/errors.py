"""What can go wrong with TMDb, one class per cause. Free of Django; no message holds a credential."""
# ruff: noqa: N818 (each class is named for its cause, as the contract names them)

from __future__ import annotations

DEFAULT_RETRY_AFTER_S = 10


class TmdbError(Exception):
    """TMDb gave no answer that can be used."""


class TmdbNotConfigured(TmdbError):
    """There is no credential, or no address it may be sent to."""


class TmdbAuthFailed(TmdbError):
    """TMDb does not take the credential."""


class TmdbNotFound(TmdbError):
    """TMDb says that it has no such film."""


class TmdbAdult(TmdbNotFound):
    """TMDb has the film, but this catalogue does not take it."""


class TmdbVideo(TmdbNotFound):
    """TMDb has it, but as a video (bonus material, a recorded show) and not as a film."""


class TmdbUnavailable(TmdbError):
    """TMDb is slow, busy, broken or gone; try again after `retry_after_s` seconds."""

    def __init__(self, reason: str, *, retry_after_s: int = DEFAULT_RETRY_AFTER_S) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class TmdbUnusable(TmdbUnavailable):
    """TMDb answered something that is not what was asked for."""


class TmdbRefused(TmdbUnusable):
    """TMDb is well and does not take what was asked."""


class TmdbBusy(TmdbUnavailable):
    """TMDb wants fewer requests; `told`: it said itself for how long."""

    def __init__(self, reason: str, *, retry_after_s: int, told: bool) -> None:
        super().__init__(reason, retry_after_s=retry_after_s)
        self.told = told
