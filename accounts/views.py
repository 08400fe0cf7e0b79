"""Registering, sessions and the caller's own profile over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.mail import build_password_reset_mail, send_in_background
from accounts.models import TokenFamily, User
from accounts.password_checks import confirm_password, log_in, remember_address
from accounts.serializers import (
    CredentialsSerializer,
    EmptySerializer,
    PasswordChangeSerializer,
    PasswordResetConfirmSerializer,
    PasswordResetSerializer,
    ProfileSerializer,
    ProfileWriteSerializer,
    RefreshSerializer,
    RegisteredSerializer,
    RegisterSerializer,
    SessionSerializer,
    TokenPairSerializer,
    TokenSerializer,
)
from accounts.services import (
    find_user,
    profile_update,
    user_password_change,
    user_password_reset,
    user_register,
)
from accounts.tokens import (
    FAMILY_CLAIM,
    family_create,
    family_revoke,
    family_revoke_all,
    list_active_families,
    refresh_token_revoke,
    refresh_token_rotate,
    token_verify,
)
from nexus.core.api import throttling
from nexus.core.api.exceptions import NotFound, field_error
from nexus.core.api.pagination import paginate
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import ApiViewSet, PageOf, contract
from nexus.core.db.bounded_page import Key, Ordering
from nexus.core.text import fold

LAST_USED_FIRST = Ordering((Key("last_used_at", descending=True), Key("id")))
WRONG_CREDENTIALS = "No active account found with the given credentials."
TOKEN_REFUSED = "The token is wrong, expired or spent, or its session has ended."  # noqa: S105


class RegisterViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "register"

    @contract(body=RegisterSerializer, responses={201: RegisteredSerializer})
    def create(self, request: Request) -> Response:
        """Make an account, and log in with it."""
        user = user_register(**self.body)
        remember_address(request._request, user=user)
        pair = family_create(user=user, user_agent=_user_agent(request))
        answer = {"user": user, "access": pair.access, "refresh": pair.refresh}
        return Response(RegisteredSerializer(answer).data, status=status.HTTP_201_CREATED)


class TokenViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "login"

    @contract(
        body=CredentialsSerializer,
        responses={200: TokenPairSerializer},
        errors={401: "Wrong credentials; the same words whether or not the account exists."},
    )
    def create(self, request: Request) -> Response:
        """Log in: a pair of tokens, and with it a new session."""
        credentials = self.body
        user = log_in(
            request._request, login=credentials["username"], password=credentials["password"]
        )
        if user is None:
            raise AuthenticationFailed(WRONG_CREDENTIALS, code="no_active_account")
        return Response(
            TokenPairSerializer(family_create(user=user, user_agent=_user_agent(request))).data
        )


class SessionViewSet(ApiViewSet):
    permission_classes = [AllowAny]

    @contract(
        body=RefreshSerializer, responses={200: TokenPairSerializer}, errors={401: TOKEN_REFUSED}
    )
    def refresh(self, request: Request) -> Response:
        """Spend a refresh token for a new pair.

        Each works once. One that comes back after it was spent ends its whole session.
        """
        return Response(
            TokenPairSerializer(refresh_token_rotate(refresh=self.body["refresh"])).data
        )

    @contract(body=TokenSerializer, responses={200: EmptySerializer}, errors={401: TOKEN_REFUSED})
    def verify(self, request: Request) -> Response:
        """Whether a token would be accepted now."""
        token_verify(token=self.body["token"])
        return Response({})

    @contract(body=RefreshSerializer, responses={204: None}, errors={401: TOKEN_REFUSED})
    def logout(self, request: Request) -> Response:
        """End the session a refresh token belongs to, its access tokens included."""
        refresh_token_revoke(refresh=self.body["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class SessionListViewSet(ApiViewSet):
    """The caller's sessions."""

    permission_classes = [IsAuthenticated]

    @contract(query=PageQuery, responses={200: PageOf(SessionSerializer)})
    def list(self, request: Request) -> Response:
        """The caller's sessions, last used first."""

        def shown(rows: list[TokenFamily]) -> Any:
            context = {"session_id": _session_id(request)}
            return SessionSerializer(rows, many=True, context=context).data

        return paginate(
            request,
            self.query,
            list_active_families(user_id=_member(request).pk),
            LAST_USED_FIRST,
            shown,
        )

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End one session: its refresh token and its access tokens."""
        if not family_revoke(user_id=_member(request).pk, family_id=pk):
            raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)

    @contract(responses={204: None})
    def destroy_all(self, request: Request) -> Response:
        """End all sessions of the caller, this one too."""
        family_revoke_all(user_id=_member(request).pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    @contract(
        body=PasswordChangeSerializer,
        responses={204: None},
        errors={400: "The old password is wrong, or the new one too weak."},
    )
    def change(self, request: Request) -> Response:
        """Change the caller's password. Every other session ends."""
        user, body = _member(request), self.body
        if not confirm_password(request._request, user=user, password=body["old_password"]):
            message = "This is not the account's password."
            raise field_error("old_password", message, "wrong_password")
        user_password_change(
            user=user, new_password=body["new_password"], session_id=_session_id(request)
        )
        remember_address(request._request, user=user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordResetViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "password_reset"

    @contract(body=PasswordResetSerializer, responses={204: None})
    def ask(self, request: Request) -> Response:
        """Have a mail sent that lets its reader choose a new password.

        204 whether or not there is such an account.
        """
        email = self.body["email"]
        user = find_user(email)
        # Nobody's mailbox is filled; that it was is not told, because 204 is always the answer.
        count = throttling.hit_silently("password_reset_account", fold(email))
        entitled = user is not None and user.is_active and user.has_usable_password()
        mail = build_password_reset_mail(user)
        send_in_background(mail if entitled and not count.is_exceeded else None)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @contract(
        body=PasswordResetConfirmSerializer,
        responses={204: None},
        errors={400: "The token is wrong, used or too old, or the new password too weak."},
    )
    def confirm(self, request: Request) -> Response:
        """Choose a new password with what the mail holds. All sessions end."""
        user_password_reset(**self.body)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ProfileViewSet(ApiViewSet):
    """The caller's own profile.

    social mounts it: with leaving, as it knows what a member owns, and with the counts of following.
    """

    permission_classes = [IsAuthenticated]

    def get_object(self) -> User:
        user = self.request.user
        if not isinstance(user, User):
            raise Http404
        return user

    @contract(responses={200: ProfileSerializer})
    def retrieve(self, request: Request) -> Response:
        """The caller's profile."""
        return Response(ProfileSerializer(self.get_object()).data)

    @contract(body=ProfileWriteSerializer, responses={200: ProfileSerializer})
    def update(self, request: Request) -> Response:
        """Change the caller's profile; fields left out stay as they are."""
        user = profile_update(user=self.get_object(), changes=self.body)
        return Response(ProfileSerializer(user).data)

    @contract(body=ProfileWriteSerializer, responses={200: ProfileSerializer})
    def partial_update(self, request: Request) -> Response:
        """Change some fields of the caller's profile."""
        return self.update(request)


def _member(request: Request) -> User:
    """The caller, where the permissions let members alone in."""
    assert isinstance(request.user, User)
    return request.user


def _session_id(request: Request) -> str:
    """The session of the caller's access token."""
    token: Any = request.auth
    return str(token[FAMILY_CLAIM])


def _user_agent(request: Request) -> str:
    return request.headers.get("User-Agent", "").replace("\x00", "")
