"""The 401s of tokens that are refused, each with a code of its own."""

from __future__ import annotations

from rest_framework.exceptions import AuthenticationFailed

# --- Access and refresh tokens of a session ------------------------------------------------------


class InvalidToken(AuthenticationFailed):
    """A token of a session is refused; the subclasses are the known reasons."""

    default_detail = "This token is wrong: it is not one of this service, or was changed."
    default_code = "token_not_valid"


class TokenExpired(InvalidToken):
    default_detail = "This token has expired. Refresh an access token, or log in again."
    default_code = "token_expired"


class UnknownSigningKey(InvalidToken):
    default_detail = "This token is signed with a key that is not in use here. Log in again."
    default_code = "token_key_unknown"


class TokenUsed(InvalidToken):
    """A refresh token is presented again, later than a lost response explains."""

    default_detail = (
        "This refresh token was used before. Use the token that replaced it, or log in again."
    )
    default_code = "token_used"


class SessionRevoked(InvalidToken):
    """The session ended early: by a logout, a changed password, a replay or an admin."""

    default_detail = "This session was ended by a logout or for safety. Log in again."
    default_code = "session_revoked"


class SessionEnded(InvalidToken):
    """The session has lived as long as it may, or is deleted with its account."""

    default_detail = "This session is over. Log in again."
    default_code = "session_ended"


class GuestExpired(InvalidToken):
    """The token belongs to a guest who has not registered in time."""

    default_detail = "This guest has expired and is deleted. Start as a new guest, or register."
    default_code = "guest_expired"


# --- Personal access tokens ----------------------------------------------------------------------


class InvalidAccessToken(AuthenticationFailed):
    default_detail = "This personal access token is wrong, or was deleted. Create a new one."
    default_code = "access_token_not_valid"


class AccessTokenExpired(AuthenticationFailed):
    default_detail = "This personal access token has expired. Create a new one."
    default_code = "access_token_expired"
