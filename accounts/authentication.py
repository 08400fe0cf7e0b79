"""Who sent the request: a bearer token whose session still lives."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import Token

from accounts.models import User
from accounts.tokens import FAMILY_CLAIM, get_active_family


class FamilyJWTAuthentication(JWTAuthentication):
    """SimpleJWT's, with the session looked up instead of the user alone: one query either way.

    An access token dies with its session, on the next request.
    """

    def authenticate(  # type: ignore[override]
        self, request: Request
    ) -> tuple[User, Token] | None:
        try:
            return super().authenticate(request)  # type: ignore[return-value]
        except UnicodeError:
            return None

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]
        return get_active_family(validated_token.get(FAMILY_CLAIM)).user
