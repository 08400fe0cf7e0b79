"""The base of the views that call TMDb: a failure of TMDb is never reported as a mistake of the caller."""

from __future__ import annotations

from rest_framework.response import Response

from nexus.core.api.exceptions import Problem
from nexus.core.api.views import ApiViewSet
from tmdb.client.errors import (
    TmdbAdultTitle,
    TmdbAuthFailed,
    TmdbError,
    TmdbNotConfigured,
    TmdbNotFound,
    TmdbUnavailable,
    TmdbVideo,
)

TMDB_ERRORS = {
    502: "tmdb_auth_failed: TMDb rejects this service's credential",
    503: "tmdb_not_configured, or tmdb_unavailable with Retry-After: TMDb is slow, overloaded or down",
}


class TmdbViewSet(ApiViewSet):
    """Turns a TmdbError into the problem document of its cause."""

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(_make_problem(exc) if isinstance(exc, TmdbError) else exc)


def _make_problem(error: TmdbError) -> Problem:
    """Return the problem document of an error's cause; its reason goes to the log only."""
    if isinstance(error, TmdbAdultTitle):
        return Problem(
            404,
            "not_found",
            "TMDb marks this as an adult title; this catalogue does not store adult titles.",
        )
    if isinstance(error, TmdbVideo):
        return Problem(404, "not_found", "TMDb marks this as a video, not as a movie.")
    if isinstance(error, TmdbNotFound):
        return Problem(404, "not_found", "TMDb has no movie with this id.")
    if isinstance(error, TmdbNotConfigured):
        detail = (
            "This service has no usable TMDb credential. Everything but /tmdb/ works without one."
        )
        return Problem(503, "tmdb_not_configured", detail)
    if isinstance(error, TmdbAuthFailed):
        detail = "TMDb rejects this service's credential. The operator has to replace it."
        return Problem(502, "tmdb_auth_failed", detail)
    assert isinstance(error, TmdbUnavailable)
    detail = "TMDb is not available at the moment. Try again after Retry-After seconds."
    headers = {"Retry-After": str(error.retry_after_s)}
    return Problem(503, "tmdb_unavailable", detail, headers=headers)
