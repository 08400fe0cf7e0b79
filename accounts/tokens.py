"""Token families on top of SimpleJWT: rotation, replay detection (RFC 9700), and their end.

A login opens a family. Each refresh spends its token by a unique insert, so that of two requests
with the same token one wins; a spent token that comes back has been stolen, and ends the family.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError

from accounts.models import SpentRefreshToken, TokenFamily, User
from nexus.core.api.jwt import RefreshToken, UntypedToken
from nexus.core.db.raw_sql import Columns, prepared_rows

FAMILY_CLAIM = "family"
SESSION_ENDED = "This session has ended. Log in again."


@dataclass(frozen=True)
class TokenPair:
    access: str
    refresh: str


def family_create(*, user: User, user_agent: str = "") -> TokenPair:
    """Begin a session of this user.

    Raises InvalidToken where the password has changed since it was checked.
    """
    with transaction.atomic():
        # Locked, so that a change of the password waits for this session and ends it too.
        unchanged = User.objects.select_for_update(no_key=True).filter(
            pk=user.pk, password=user.password
        )
        if not list(unchanged.values_list("pk")):
            raise InvalidToken(SESSION_ENDED)
        family = TokenFamily.objects.create(
            user=user,
            user_agent=user_agent[:300],
            expires_at=timezone.now() + settings.SESSION_FAMILY_LIFETIME,
        )
    return _mint(family)


def refresh_token_rotate(*, refresh: str) -> TokenPair:
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
        raise InvalidToken(SESSION_ENDED)
    return _mint(family)


def refresh_token_revoke(*, refresh: str) -> None:
    """End the session a refresh token belongs to. Raises InvalidToken where it is not one."""
    _, family = _family_of(refresh)
    TokenFamily.objects.filter(id=family.id).update(revoked_at=timezone.now())


def token_verify(*, token: str) -> None:
    """Raises InvalidToken where a token of either kind would not be accepted now."""
    try:
        verified = UntypedToken(token.encode())  # type: ignore[arg-type]
    except (TokenError, UnicodeEncodeError) as error:
        raise InvalidToken("This is no valid token.") from error
    get_active_family(verified.get(FAMILY_CLAIM))


def list_active_families(*, user_id: int) -> QuerySet[TokenFamily]:
    """The member's sessions that a refresh token can still continue."""
    now = timezone.now()
    idle: timedelta = settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    return TokenFamily.objects.filter(
        user_id=user_id, revoked_at=None, expires_at__gt=now, last_used_at__gt=now - idle
    )


def family_revoke(*, user_id: int, family_id: uuid.UUID) -> bool:
    """End one session of this member; False where it is not there, not theirs or over."""
    living = list_active_families(user_id=user_id).filter(id=family_id)
    return living.update(revoked_at=timezone.now()) == 1


def family_revoke_all(*, user_id: int, except_id: object = None) -> None:
    """End all sessions of this member, but the one with this id."""
    families = TokenFamily.objects.filter(user_id=user_id, revoked_at=None)
    if except_id is not None:
        families = families.exclude(id=str(except_id))
    families.update(revoked_at=timezone.now())


_FAMILY, _USER = Columns(TokenFamily, "family"), Columns(User, "member")
_LIVING = f"""
SELECT {_FAMILY.sql}, {_USER.sql}
FROM accounts_tokenfamily AS family JOIN accounts_user AS member ON member.id = family.user_id
WHERE family.id = %s
""".encode()  # noqa: S608 (column names of our own)


def get_active_family(family_id: object) -> TokenFamily:
    """The family with its user, in one query. Raises InvalidToken where it has ended."""
    try:
        found = prepared_rows(_LIVING, [uuid.UUID(str(family_id))])
    except ValueError:
        found = []
    if not found:
        raise InvalidToken(SESSION_ENDED)
    family = _FAMILY.instance(found[0][: len(_FAMILY)])
    family.user = _USER.instance(found[0][len(_FAMILY) :])
    now = timezone.now()
    if family.revoked_at is not None or family.expires_at <= now or not family.user.is_active:
        raise InvalidToken(SESSION_ENDED)
    return family


def _family_of(refresh: str) -> tuple[RefreshToken, TokenFamily]:
    try:
        token = RefreshToken(refresh.encode())  # type: ignore[arg-type]
        jti = str(token["jti"])
    except (TokenError, KeyError, UnicodeEncodeError) as error:
        raise InvalidToken("This is no valid refresh token.") from error
    if len(jti) > 64:
        raise InvalidToken("This is no valid refresh token.")
    return token, get_active_family(token.get(FAMILY_CLAIM))


def _mint(family: TokenFamily) -> TokenPair:
    refresh = RefreshToken.for_user(family.user)
    refresh[FAMILY_CLAIM] = str(family.id)
    return TokenPair(access=str(refresh.access_token), refresh=str(refresh))
