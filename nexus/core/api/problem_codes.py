"""The codes of problem documents: what a client may find in `code`.

The schemas declare them as an enum, and docs/clients.md explains each. Tests compare all three with the
code, so a new code is an entry here and a row there.
"""

from __future__ import annotations

from django.conf import settings

_CODES = frozenset(
    {
        # 400
        "invalid",
        "bad_cursor",
        "parse_error",
        "bad_request",
        # 401
        "not_authenticated",
        "authentication_failed",
        "bad_authorization_header",
        "token_expired",
        "token_not_valid",
        "token_key_unknown",
        "token_used",
        "session_revoked",
        "session_ended",
        "no_active_account",
        "guest_expired",
        "access_token_not_valid",
        "access_token_expired",
        "user_not_found",
        # 403
        "permission_denied",
        "csrf_failed",
        "oneself",
        "own_review",
        "guest_not_allowed",
        "insufficient_scope",
        "session_required",
        "not_a_guest",
        "hidden_by_moderator",
        # 404 to 406
        "not_found",
        "bad_join_code",
        "method_not_allowed",
        "not_acceptable",
        # 409
        "conflict",
        "following_too_many",
        "group_too_small",
        "not_ready",
        "not_applied",
        "busy",
        # 411 to 429
        "length_required",
        "precondition_failed",
        "too_large",
        "unsupported_media_type",
        "precondition_required",
        "throttled",
        # 5xx
        "server_error",
        "tmdb_auth_failed",
        "tmdb_not_configured",
        "tmdb_unavailable",
        "database_unavailable",
    }
)


def list_problem_codes() -> list[str]:
    """Return all codes, those of quotas included, in alphabetical order."""
    return sorted(_CODES | {f"too_many_{name}" for name in settings.MEMBER_QUOTAS})
