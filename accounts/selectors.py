"""Reads of users and of the addresses they have logged in from."""

from __future__ import annotations

from accounts.models import KnownAddress, User
from nexus.core.db.lookups import without_case


def find_user(login: str) -> User | None:
    """Return the user with this username or e-mail address, compared without case."""
    # A username contains no @, so it cannot equal the address of another user.
    field = "email__lower" if "@" in login else "username__lower"
    return User.objects.filter(**{field: without_case(login)}).first()


def is_known_address(*, user_id: int, address: str) -> bool:
    """Return whether this user has recently logged in from this client address."""
    digest = KnownAddress.hash_address(user_id, address)
    return KnownAddress.objects.filter(user_id=user_id, digest=digest).exists()
