"""Personal access tokens: what a member gives a program of theirs instead of a password.

A token is `nxs_`, 32 random letters and digits, and 6 of a checksum, so that scanners recognize one
that was published by mistake. The database has its hash. A session creates it; it lives until it
expires or is deleted, or the password changes. accounts.services creates and deletes the rows.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from accounts.exceptions import AccessTokenExpired, InvalidAccessToken
from accounts.models import PersonalAccessToken

PREFIX = "nxs_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_LENGTH = 32
_CHECKSUM_LENGTH = 6
# Writing the time of every request would double the writes of a busy program.
_USE_INTERVAL = timedelta(minutes=1)


def is_access_token(text: str) -> bool:
    """Return whether the text looks like a personal access token, and not like a JWT."""
    return text.startswith(PREFIX)


def get_access_token(token: str) -> PersonalAccessToken:
    """Return the row of a valid token with its user, in one query.

    Raises InvalidAccessToken or AccessTokenExpired (401).
    """
    if not _has_checksum(token):
        raise InvalidAccessToken
    rows = PersonalAccessToken.objects.select_related("user").filter(user__is_active=True)
    row = rows.filter(digest=hash_access_token(token)).first()
    if row is None:
        raise InvalidAccessToken
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise AccessTokenExpired
    return row


def access_token_record_use(*, row: PersonalAccessToken) -> None:
    """Store the time of a use, unless one within the last minute is stored."""
    now = timezone.now()
    if row.last_used_at is None or row.last_used_at <= now - _USE_INTERVAL:
        # Of simultaneous requests, the first one writes.
        is_old = Q(last_used_at=None) | Q(last_used_at__lte=now - _USE_INTERVAL)
        PersonalAccessToken.objects.filter(is_old, pk=row.pk).update(last_used_at=now)


def make_access_token() -> str:
    """Return a new random token."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return PREFIX + random + _make_checksum(random)


def _has_checksum(token: str) -> bool:
    """Return whether the token can be one of ours: most typing errors cost no query."""
    random, checksum = token[len(PREFIX) : -_CHECKSUM_LENGTH], token[-_CHECKSUM_LENGTH:]
    return len(random) == _RANDOM_LENGTH and token.isascii() and checksum == _make_checksum(random)


def _make_checksum(random: str) -> str:
    """Return the CRC-32 of the text in base 62, with leading zeros."""
    number, digits = zlib.crc32(random.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def hash_access_token(token: str) -> str:
    """Return the hash by which a token is stored."""
    # A fast hash is enough: nobody tries 62^32 tokens.
    return hashlib.sha256(token.encode()).hexdigest()
