"""Authentication by a bearer token: a JWT whose session has not ended, or a personal access token."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import Token

from accounts.access_tokens import (
    access_token_record_use,
    get_access_token,
    is_access_token,
)
from accounts.exceptions import InvalidAccessToken
from accounts.models import PersonalAccessToken, User
from accounts.tokens import get_open_family, parse_token
from nexus.core.api.jwt import AccessToken

#: The only scope of a token that may be part of a URL.
QUERY_SCOPE = "scrobble"


class PersonalAccessTokenAuthentication(BaseAuthentication):
    """Reads personal access tokens, and leaves every other token to the next authentication."""

    def authenticate(self, request: Request) -> tuple[User, PersonalAccessToken] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        text = token.decode("latin-1")
        if scheme.lower() != b"bearer" or not is_access_token(text):
            return None
        row = get_access_token(text)
        access_token_record_use(row=row)
        return row.user, row


class QueryTokenAuthentication(BaseAuthentication):
    """Reads a personal access token from `?token=`, for programs that cannot send headers.

    URLs are stored in many places, so it accepts only tokens that can do nothing but scrobble.
    """

    def authenticate(self, request: Request) -> tuple[User, PersonalAccessToken] | None:
        token = request.query_params.get("token")
        if token is None or get_authorization_header(request):
            return None
        row = get_access_token(token)
        if row.scopes != [QUERY_SCOPE]:
            raise InvalidAccessToken(
                f"In a URL, only a token whose sole scope is {QUERY_SCOPE} is accepted. Create one,"
                " or send this one in the header Authorization."
            )
        access_token_record_use(row=row)
        return row.user, row


class FamilyJWTAuthentication(JWTAuthentication):
    """SimpleJWT's authentication, which also rejects tokens of an ended session.

    It reads the user with the session, so it costs one query like SimpleJWT's.
    """

    def authenticate(  # type: ignore[override]
        self, request: Request
    ) -> tuple[User, Token] | None:
        try:
            return super().authenticate(request)  # type: ignore[return-value]
        except UnicodeError:
            return None

    def get_validated_token(self, raw_token: bytes) -> Token:
        return parse_token(raw_token, AccessToken)

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]
        return get_open_family(validated_token).user
