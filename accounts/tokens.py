"""Token families on top of SimpleJWT: rotation, replay detection (RFC 9700), and their end.

A login opens a family. Each refresh spends its token by a unique insert, so that of two requests
with the same token one wins; a spent token that comes back has been stolen, and ends the family.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from accounts.models import SpentRefreshToken, TokenFamily, User

FAMILY_CLAIM = "family"


@dataclass(frozen=True)
class TokenPair:
    access: str
    refresh: str


def family_open(*, user: User, user_agent: str = "") -> TokenPair:
    """Begin a session of this user."""
    family = TokenFamily.objects.create(
        user=user,
        user_agent=user_agent[:300],
        expires_at=timezone.now() + settings.SESSION_FAMILY_LIFETIME,
    )
    return _mint(family)


def family_refresh(*, refresh: str) -> TokenPair:
    """Spend a refresh token for a new pair.

    Raises InvalidToken (401) where it is malformed, expired, spent or of an ended session; a spent
    one ends its whole family.
    """
    token, family = _family_of(refresh)
    with transaction.atomic():
        _, is_first = SpentRefreshToken.objects.get_or_create(
            jti=token["jti"], defaults={"family": family}
        )
        if not is_first:
            TokenFamily.objects.filter(id=family.id, revoked_at=None).update(
                revoked_at=timezone.now()
            )
        else:
            # Locked, so that a replay that ends the family and this mint cannot both succeed.
            living = TokenFamily.objects.select_for_update().filter(id=family.id, revoked_at=None)
            is_first = living.update(last_used_at=timezone.now()) == 1
    if not is_first:
        raise InvalidToken("This session has ended. Log in again.")
    return _mint(family)


def family_revoke(*, refresh: str) -> None:
    """End the session a refresh token belongs to. Raises InvalidToken where it is not one."""
    _, family = _family_of(refresh)
    TokenFamily.objects.filter(id=family.id).update(revoked_at=timezone.now())


def living_family(family_id: object) -> TokenFamily:
    """The family with its user, in one query. Raises InvalidToken where it has ended."""
    try:
        key = uuid.UUID(str(family_id))
        family = TokenFamily.objects.select_related("user").get(id=key)
    except (ValueError, TokenFamily.DoesNotExist):
        raise InvalidToken("This session has ended. Log in again.") from None
    now = timezone.now()
    if family.revoked_at is not None or family.expires_at <= now or not family.user.is_active:
        raise InvalidToken("This session has ended. Log in again.")
    return family


def _family_of(refresh: str) -> tuple[RefreshToken, TokenFamily]:
    try:
        token = RefreshToken(refresh.encode())  # type: ignore[arg-type]
        jti = str(token["jti"])
    except (TokenError, KeyError, UnicodeEncodeError) as error:
        raise InvalidToken("This is no valid refresh token.") from error
    if len(jti) > 64:
        raise InvalidToken("This is no valid refresh token.")
    return token, living_family(token.get(FAMILY_CLAIM))


def _mint(family: TokenFamily) -> TokenPair:
    refresh = RefreshToken.for_user(family.user)
    refresh[FAMILY_CLAIM] = str(family.id)
    access: AccessToken = refresh.access_token
    return TokenPair(access=str(access), refresh=str(refresh))
