"""Registration, sessions, passwords and the caller's own profile over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access_tokens import (
    get_access_token,
    is_access_token,
)
from accounts.models import PersonalAccessToken, TokenFamily, User
from accounts.password_checks import confirm_password, log_in, remember_address
from accounts.selectors import list_users_with_email
from accounts.serializers import (
    AccessTokenSerializer,
    AccessTokenWriteSerializer,
    CreatedAccessTokenSerializer,
    CredentialsSerializer,
    EmailChangeSerializer,
    EmailVerificationSerializer,
    EmptySerializer,
    GuestSerializer,
    PasswordChangeSerializer,
    PasswordResetConfirmSerializer,
    PasswordResetSerializer,
    ProfileSerializer,
    RefreshSerializer,
    RegisteredSerializer,
    RegisterSerializer,
    SessionSerializer,
    TokenPairSerializer,
    TokenSerializer,
)
from accounts.services import (
    access_token_create,
    access_token_delete,
    guest_create,
    user_email_change,
    user_email_verify,
    user_password_change,
    user_password_reset,
    user_register,
)
from accounts.tasks import send_password_reset_mail, send_verification_mail
from accounts.tokens import (
    FAMILY_CLAIM,
    family_create,
    family_revoke,
    family_revoke_all,
    refresh_token_revoke,
    refresh_token_rotate,
    token_verify,
)
from nexus.core.api import throttling
from nexus.core.api.exceptions import NotFound, field_error
from nexus.core.api.pagination import paginate
from nexus.core.api.permissions import HasSession, IsNotGuest
from nexus.core.api.query_params import PageQuery
from nexus.core.api.views import ApiViewSet, PageOf, contract
from nexus.core.db.bounded_page import Key, Ordering
from nexus.core.text import fold
from nexus.core.visible_text import remove_invisible

NEWEST_FIRST = Ordering((Key("id", descending=True),))
LAST_USED_FIRST = Ordering((Key("last_used_at", descending=True), Key("id")))
WRONG_CREDENTIALS = "No active account found with the given credentials."
TOKEN_REJECTED = "The token is wrong, expired or spent, or its session has ended."  # noqa: S105


class RegisterViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "register"

    @contract(body=RegisterSerializer, responses={201: RegisteredSerializer})
    def create(self, request: Request) -> Response:
        """Create an account and log in with it. A mail verifies the e-mail address."""
        user = user_register(**self.body)
        remember_address(request._request, user=user)
        return Response(start_session(request, user=user), status=status.HTTP_201_CREATED)


class GuestViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "guest"

    @contract(responses={201: GuestSerializer})
    def create(self, request: Request) -> Response:
        """Create a guest account and log in with it, without a name, an address or a password.

        A guest rates movies, keeps a watchlist and gets recommendations. Nobody else sees it, and no
        public figure counts its ratings. It is deleted after 7 days unless it registers.
        """
        user = guest_create()
        pair = family_create(user=user, user_agent=_get_user_agent(request))
        guest = {"user": user, **vars(pair), "expires_at": user.guest_expires_at}
        return Response(GuestSerializer(guest).data, status=status.HTTP_201_CREATED)


class TokenViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "login"

    @contract(
        body=CredentialsSerializer,
        responses={200: TokenPairSerializer},
        errors={401: "Wrong credentials. The message is the same for unknown accounts."},
    )
    def create(self, request: Request) -> Response:
        """Log in: start a new session and return its pair of tokens."""
        credentials = self.body
        user = log_in(
            request._request, login=credentials["username"], password=credentials["password"]
        )
        if user is None:
            raise AuthenticationFailed(WRONG_CREDENTIALS, code="no_active_account")
        pair = family_create(user=user, user_agent=_get_user_agent(request))
        return Response(TokenPairSerializer(pair).data)


class SessionViewSet(ApiViewSet):
    permission_classes = [AllowAny]

    @contract(
        body=RefreshSerializer, responses={200: TokenPairSerializer}, errors={401: TOKEN_REJECTED}
    )
    def refresh(self, request: Request) -> Response:
        """Exchange a refresh token for a new pair.

        A refresh token works once. Sent again within 10 seconds of its first use, and while its
        successor is unused, it gets the same successor and a fresh access token: two tabs may refresh
        at once, and a lost response may be requested again. Sent again later, it ends its session.
        """
        pair = refresh_token_rotate(refresh=self.body["refresh"])
        return Response(TokenPairSerializer(pair).data)

    @contract(body=TokenSerializer, responses={200: EmptySerializer}, errors={401: TOKEN_REJECTED})
    def verify(self, request: Request) -> Response:
        """Check whether a token would be accepted now."""
        token = self.body["token"]
        if is_access_token(token):
            get_access_token(token)
        else:
            token_verify(token=token)
        return Response({})

    @contract(body=RefreshSerializer, responses={204: None}, errors={401: TOKEN_REJECTED})
    def logout(self, request: Request) -> Response:
        """End the session of a refresh token, including its access tokens."""
        refresh_token_revoke(refresh=self.body["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class SessionListViewSet(ApiViewSet):
    """The caller's sessions."""

    permission_classes = [IsAuthenticated, HasSession]

    @contract(query=PageQuery, responses={200: PageOf(SessionSerializer)})
    def list(self, request: Request) -> Response:
        """List the caller's sessions, last used first."""

        def serialize(families: list[TokenFamily]) -> Any:
            context = {"session_id": _get_session_id(request)}
            return SessionSerializer(families, many=True, context=context).data

        families = TokenFamily.objects.filter(user=_get_user(request)).active()
        return paginate(request, self.query, families, LAST_USED_FIRST, serialize)

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End one session, including its access tokens."""
        if not family_revoke(user_id=_get_user(request).pk, family_id=pk):
            raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)

    @contract(responses={204: None})
    def destroy_all(self, request: Request) -> Response:
        """End all sessions of the caller, including this one."""
        family_revoke_all(user_id=_get_user(request).pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class AccessTokenViewSet(ApiViewSet):
    """The caller's personal access tokens."""

    permission_classes = [IsAuthenticated, HasSession, IsNotGuest]

    @contract(query=PageQuery, responses={200: PageOf(AccessTokenSerializer)})
    def list(self, request: Request) -> Response:
        """List the caller's personal access tokens, newest first, without the tokens themselves."""

        def serialize(rows: list[PersonalAccessToken]) -> Any:
            return AccessTokenSerializer(rows, many=True).data

        own = PersonalAccessToken.objects.filter(user=_get_user(request))
        return paginate(request, self.query, own, NEWEST_FIRST, serialize)

    @contract(
        body=AccessTokenWriteSerializer,
        responses={201: CreatedAccessTokenSerializer},
        errors={409: "A quota is full: `too_many_access_tokens`."},
    )
    def create(self, request: Request) -> Response:
        """Create a personal access token for a program; only this response contains it.

        It acts as the caller within its scopes: `read`, `write`, which includes `read`, and
        `scrobble`. It never manages the account: `/auth/`, deletion, imports and exports need a
        session. A changed password ends it.
        """
        row, token = access_token_create(user=_get_user(request), **self.body)
        created = CreatedAccessTokenSerializer(row, context={"token": token}).data
        return Response(created, status=status.HTTP_201_CREATED)

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a personal access token, which ends it at once."""
        if not access_token_delete(user_id=_get_user(request).pk, token_id=pk):
            raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated, HasSession]

    @contract(
        body=PasswordChangeSerializer,
        responses={204: None},
        errors={400: "The old password is wrong, or the new one is too weak."},
    )
    def change(self, request: Request) -> Response:
        """Change the caller's password and end all other sessions."""
        user, body = _get_user(request), self.body
        if not confirm_password(request._request, user=user, password=body["old_password"]):
            message = "This is not the account's password."
            raise field_error("old_password", message, "wrong_password")
        user_password_change(
            user=user, new_password=body["new_password"], session_id=_get_session_id(request)
        )
        remember_address(request._request, user=user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordResetViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "password_reset"

    @contract(body=PasswordResetSerializer, responses={204: None})
    def ask(self, request: Request) -> Response:
        """Request a mail for setting a new password, for each account with this address.

        The response is the same whether or not there is one.
        """
        email = self.body["email"]
        users = list_users_with_email(email)
        # Silent, because the headers of the limit would reveal that others have requested mails.
        usage = throttling.hit_silently("password_reset_account", fold(email))
        # One job in any case, so that the duration does not reveal how many mails are sent.
        send_password_reset_mail.defer(
            user_id=users[0].pk if users and not usage.is_exceeded else 0
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @contract(
        body=PasswordResetConfirmSerializer,
        responses={204: None},
        errors={400: "The token is wrong, used or too old, or the new password is too weak."},
    )
    def confirm(self, request: Request) -> Response:
        """Set a new password with the values in the mail, and end all sessions.

        The mail's address becomes verified, unless another account has verified it.
        """
        user_password_reset(**self.body)
        return Response(status=status.HTTP_204_NO_CONTENT)


class EmailVerificationViewSet(ApiViewSet):
    permission_classes = [AllowAny]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "email"

    @contract(
        body=EmailVerificationSerializer,
        responses={204: None},
        errors={400: "The token is wrong, used or too old, or the address is taken meanwhile."},
    )
    def verify(self, request: Request) -> Response:
        """Verify an e-mail address with the values in the mail.

        From then on it can be used to log in, and nobody else can register with it.
        """
        user_email_verify(**self.body)
        return Response(status=status.HTTP_204_NO_CONTENT)


class EmailViewSet(ApiViewSet):
    """The caller's e-mail address."""

    permission_classes = [IsAuthenticated, HasSession]
    throttle_classes = [throttling.ScopedThrottle]
    throttle_scope = "email"

    @contract(responses={204: None})
    def resend(self, request: Request) -> Response:
        """Request another verification mail.

        None is sent if no address waits for verification, or after 5 mails to it in an hour.
        """
        send_verification_mail.defer(user_id=self.member_id)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @contract(
        body=EmailChangeSerializer,
        responses={204: None},
        errors={400: "The password is wrong, or another account has verified the address."},
    )
    def change(self, request: Request) -> Response:
        """Request another e-mail address. It replaces the present one once it is verified.

        The new address gets the verification mail and the present one a notice. Requesting the present
        address takes back a request, and so does changing the password.
        """
        user, body = _get_user(request), self.body
        if not confirm_password(request._request, user=user, password=body["password"]):
            message = "This is not the account's password."
            raise field_error("password", message, "wrong_password")
        user_email_change(user_id=user.pk, email=body["email"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class ProfileViewSet(ApiViewSet):
    """The caller's own profile. social.views.members adds follower counts, changes and deletion."""

    permission_classes = [IsAuthenticated]

    def get_object(self) -> User:
        user = self.request.user
        if not isinstance(user, User):
            raise Http404
        return user

    @contract(responses={200: ProfileSerializer})
    def retrieve(self, request: Request) -> Response:
        """Return the caller's profile."""
        return Response(ProfileSerializer(self.get_object()).data)


def start_session(request: Request, *, user: User) -> dict[str, Any]:
    """Start a session of a user who has just registered, and return the response's body."""
    pair = family_create(user=user, user_agent=_get_user_agent(request))
    return RegisteredSerializer({"user": user, **vars(pair)}).data


def _get_user(request: Request) -> User:
    """Return the caller, whom the permissions require to be logged in."""
    assert isinstance(request.user, User)
    return request.user


def _get_session_id(request: Request) -> str:
    """Return the session of the access token."""
    token: Any = request.auth
    return str(token[FAMILY_CLAIM])


def _get_user_agent(request: Request) -> str:
    # The member sees it in the list of sessions.
    return remove_invisible(request.headers.get("User-Agent", ""), is_line=True)
