"""Registering, sessions and the caller's own profile over HTTP."""

from __future__ import annotations

from django.http import Http404
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.tokens import UntypedToken

from accounts.models import User
from accounts.serializers import (
    CredentialsSerializer,
    EmptySerializer,
    ProfileSerializer,
    ProfileWriteSerializer,
    RefreshSerializer,
    RegisteredSerializer,
    RegisterSerializer,
    TokenPairSerializer,
    TokenSerializer,
)
from accounts.services import (
    password_matches,
    profile_update,
    user_logged_in,
    user_named,
    user_register,
)
from accounts.tokens import (
    FAMILY_CLAIM,
    family_open,
    family_refresh,
    family_revoke,
    living_family,
)
from nexus.core import ratelimit
from nexus.core.text import fold
from nexus.core.views import ApiViewSet, contract

WRONG_CREDENTIALS = "No active account found with the given credentials."
TOKEN_REFUSED = "The token is wrong, expired or spent, or its session has ended."  # noqa: S105


class RegisterViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [ratelimit.ScopedThrottle]
    throttle_scope = "register"

    @contract(body=RegisterSerializer, answers={201: RegisteredSerializer})
    def create(self, request: Request) -> Response:
        """Make an account, and log in with it."""
        user = user_register(**self.body)
        pair = family_open(user=user, user_agent=_user_agent(request))
        answer = {"user": user, "access": pair.access, "refresh": pair.refresh}
        return Response(RegisteredSerializer(answer).data, status=status.HTTP_201_CREATED)


class TokenViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [ratelimit.ScopedThrottle]
    throttle_scope = "login"

    @contract(
        body=CredentialsSerializer,
        answers={200: TokenPairSerializer},
        errors={401: "Wrong credentials; the same words whether or not the account exists."},
    )
    def create(self, request: Request) -> Response:
        """Log in: a pair of tokens, and with it a new session."""
        credentials = self.body
        user = user_named(credentials["username"])
        account = str(user.pk) if user else fold(credentials["username"])
        ratelimit.hit_or_refuse(request, "login_account", account)
        if not password_matches(user=user, password=credentials["password"]):
            raise AuthenticationFailed(WRONG_CREDENTIALS, code="no_active_account")
        assert user is not None
        ratelimit.forgive("login_account", account)
        user_logged_in(user=user)
        return Response(
            TokenPairSerializer(family_open(user=user, user_agent=_user_agent(request))).data
        )


class SessionViewSet(ApiViewSet):
    permission_classes = [AllowAny]

    @contract(
        body=RefreshSerializer, answers={200: TokenPairSerializer}, errors={401: TOKEN_REFUSED}
    )
    def refresh(self, request: Request) -> Response:
        """Spend a refresh token for a new pair.

        Each works once. One that comes back after it was spent ends its whole session.
        """
        return Response(TokenPairSerializer(family_refresh(refresh=self.body["refresh"])).data)

    @contract(body=TokenSerializer, answers={200: EmptySerializer}, errors={401: TOKEN_REFUSED})
    def verify(self, request: Request) -> Response:
        """Whether a token would be accepted now."""
        try:
            token = UntypedToken(self.body["token"].encode())
        except TokenError as error:
            raise InvalidToken(TOKEN_REFUSED) from error
        living_family(token.get(FAMILY_CLAIM))
        return Response({})

    @contract(body=RefreshSerializer, answers={204: None}, errors={401: TOKEN_REFUSED})
    def logout(self, request: Request) -> Response:
        """End the session a refresh token belongs to, its access tokens included."""
        family_revoke(refresh=self.body["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class ProfileViewSet(ApiViewSet):
    """The caller's own profile. Leaving is social's, which knows what a member owns."""

    permission_classes = [IsAuthenticated]

    def get_object(self) -> User:
        user = self.request.user
        if not isinstance(user, User):
            raise Http404
        return user

    @contract(answers={200: ProfileSerializer})
    def retrieve(self, request: Request) -> Response:
        """The caller's profile."""
        return Response(ProfileSerializer(self.get_object()).data)

    @contract(body=ProfileWriteSerializer, answers={200: ProfileSerializer})
    def update(self, request: Request) -> Response:
        """Change the caller's profile; fields left out stay as they are."""
        user = profile_update(user=self.get_object(), changes=self.body)
        return Response(ProfileSerializer(user).data)

    @contract(body=ProfileWriteSerializer, answers={200: ProfileSerializer})
    def partial_update(self, request: Request) -> Response:
        """Change some fields of the caller's profile."""
        return self.update(request)


def _user_agent(request: Request) -> str:
    return request.headers.get("User-Agent", "").replace("\x00", "")
