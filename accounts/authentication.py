"""Authentication by a bearer token whose session has not ended."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import Token

from accounts.models import User
from accounts.tokens import get_open_family


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

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]
        return get_open_family(validated_token).user
