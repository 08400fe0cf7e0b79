"""Sessions: families of tokens on top of SimpleJWT, with rotation and replay detection (RFC 9700).

A login creates a family. Each refresh spends its token with a unique insert, and the row determines
the successor. For some seconds, and while the successor is unused, the spent token gets the same
successor again: two tabs refresh at once, or a response was lost. Sent again later it may be stolen,
and ends the family.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from accounts.exceptions import (
    GuestExpired,
    InvalidToken,
    SessionEnded,
    SessionRevoked,
    TokenExpired,
    TokenUsed,
    UnknownSigningKey,
)
from accounts.models import SpentRefreshToken, TokenFamily, User
from nexus.core.api.jwt import AccessToken, RefreshToken, UnknownSigningKeyError, UntypedToken

FAMILY_CLAIM = "family"
#: In the tokens of guests: when the guest expires, in seconds since 1970.
GUEST_CLAIM = "guest_expires_at"
MAX_JTI_LENGTH = 64

TokenType = TypeVar("TokenType", bound=Token)


@dataclass(frozen=True)
class TokenPair:
    access: str
    refresh: str


def family_create(*, user: User, user_agent: str = "") -> TokenPair:
    """Start a session of the user and return its first tokens.

    Raises SessionRevoked if the password was changed or the user deactivated since the check.
    """
    with transaction.atomic():
        # With the lock, a concurrent password change or deactivation waits, and then ends this
        # session too.
        locked = User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True)
        if locked.values_list("password", flat=True).first() != user.password:
            raise SessionRevoked
        family = TokenFamily.objects.create(
            user=user,
            user_agent=user_agent[:300],
            expires_at=timezone.now() + settings.SESSION_FAMILY_LIFETIME,
        )
        _delete_surplus_families(user.pk)
    return _make_pair(family)


def refresh_token_rotate(*, refresh: str) -> TokenPair:
    """Spend a refresh token and return a new pair; repeated at once, one with the same refresh token.

    Raises InvalidToken (401) if it is malformed, expired or spent, or if its session has ended. A
    spent token ends its session, and so does a refresh beyond the quota of spent tokens.
    """
    token, family = _parse_refresh_token(refresh)
    unrevoked = TokenFamily.objects.filter(id=family.id, revoked_at=None)
    with transaction.atomic():
        # The update locks the session, so that its refreshes run one after another.
        if unrevoked.update(last_used_at=timezone.now()) == 0:
            raise SessionRevoked
        spent, is_first_use = SpentRefreshToken.objects.get_or_create(
            jti=token["jti"], defaults={"family": family, "successor_jti": uuid.uuid4().hex}
        )
        if is_first_use:
            spent_count = SpentRefreshToken.objects.filter(family=family).count()
            is_accepted = spent_count <= settings.MEMBER_QUOTAS["spent_tokens"]
        else:
            is_accepted = SpentRefreshToken.objects.filter(jti=spent.jti).repeatable().exists()
        if not is_accepted:
            unrevoked.update(revoked_at=timezone.now())
    if not is_accepted:
        raise TokenUsed if not is_first_use else SessionEnded
    return _make_pair(family, predecessor=spent)


def _delete_surplus_families(user_id: int) -> None:
    """Delete the sessions of a locked user beyond the quota: ended ones first, then the oldest."""
    families = TokenFamily.objects.filter(user_id=user_id)
    latest = families.order_by(F("revoked_at").asc(nulls_first=True), "-last_used_at")
    surplus = latest.values_list("id", flat=True)[settings.MEMBER_QUOTAS["sessions"] :]
    families.filter(id__in=list(surplus)).delete()


def refresh_token_revoke(*, refresh: str) -> None:
    """End the session of a refresh token. Raises InvalidToken."""
    _, family = _parse_refresh_token(refresh)
    TokenFamily.objects.filter(id=family.id).update(revoked_at=timezone.now())


def token_verify(*, token: str) -> None:
    """Raise InvalidToken if using an access or refresh token would be refused. Does not spend it."""
    claims = parse_token(token, UntypedToken)
    match claims.get(api_settings.TOKEN_TYPE_CLAIM):
        case AccessToken.token_type:
            get_open_family(claims)
        case RefreshToken.token_type:
            refresh_token, _ = _parse_refresh_token(token)
            spent = SpentRefreshToken.objects.filter(jti=refresh_token["jti"])
            if spent.exists() and not spent.repeatable().exists():
                raise TokenUsed
        case _:
            raise InvalidToken


def family_revoke(*, user_id: int, family_id: uuid.UUID) -> bool:
    """End one session of this user; return False if the user has no such active session."""
    families = TokenFamily.objects.filter(user_id=user_id, id=family_id).active()
    return families.update(revoked_at=timezone.now()) == 1


def family_revoke_all(*, user_id: int, except_id: object = None) -> None:
    """End all sessions of this user, except the one with the id `except_id`."""
    families = TokenFamily.objects.filter(user_id=user_id)
    if except_id is not None:
        families = families.exclude(id=str(except_id))
    families.revoke()


def parse_token(token: str | bytes, token_class: type[TokenType]) -> TokenType:
    """Return the claims of a signed token. Raises InvalidToken, or the subclass that says why."""
    try:
        return token_class(token.encode() if isinstance(token, str) else token)  # type: ignore[arg-type]
    except ExpiredTokenError as error:
        raise TokenExpired from error
    except (TokenError, UnicodeEncodeError) as error:
        if isinstance(error.__cause__, UnknownSigningKeyError):
            raise UnknownSigningKey from error
        raise InvalidToken from error


def get_open_family(token: Token) -> TokenFamily:
    """Return the family of a valid token with its user, in one query.

    Raises SessionRevoked or SessionEnded if it has ended, GuestExpired if its user is an expired guest.
    """
    try:
        family_id = uuid.UUID(str(token.get(FAMILY_CLAIM)))
    except ValueError:
        raise InvalidToken from None
    family = TokenFamily.objects.select_related("user").filter(id=family_id).first()
    # The row of an expired guest may be deleted, so the token says it too.
    expires_at = family.user.guest_expires_at if family else _read_guest_expiry(token)
    if expires_at is not None and expires_at <= timezone.now():
        raise GuestExpired
    if family is None or family.expires_at <= timezone.now():
        raise SessionEnded
    if family.revoked_at is not None or not family.user.is_active:
        raise SessionRevoked
    return family


def _read_guest_expiry(token: Token) -> datetime | None:
    seconds = token.get(GUEST_CLAIM)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _parse_refresh_token(refresh: str) -> tuple[RefreshToken, TokenFamily]:
    token = parse_token(refresh, RefreshToken)
    if len(str(token[api_settings.JTI_CLAIM])) > MAX_JTI_LENGTH:
        raise InvalidToken
    return token, get_open_family(token)


def _make_pair(family: TokenFamily, *, predecessor: SpentRefreshToken | None = None) -> TokenPair:
    """Return new tokens. The refresh token is always the same one for the same predecessor."""
    refresh = RefreshToken.for_user(family.user)
    refresh[FAMILY_CLAIM] = str(family.id)
    if family.user.guest_expires_at is not None:
        refresh[GUEST_CLAIM] = int(family.user.guest_expires_at.timestamp())
    access = refresh.access_token
    if predecessor is not None:
        refresh[api_settings.JTI_CLAIM] = predecessor.successor_jti
        refresh.set_iat(at_time=predecessor.spent_at)
        refresh.set_exp(from_time=predecessor.spent_at)
    return TokenPair(access=str(access), refresh=str(refresh))
