"""Reads of users and of the addresses they have logged in from."""

from __future__ import annotations

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX

from accounts.models import KnownAddress, User
from nexus.core.db.lookups import without_case

#: The accounts of one address that get a reset mail.
MAX_USERS_OF_A_MAILBOX = 10


def find_user(login: str) -> User | None:
    """Return the user with this username or verified e-mail address, compared without case."""
    # A username contains no @, so it cannot equal the address of another user.
    if "@" in login:
        return User.objects.filter(email__lower=without_case(login), email_verified=True).first()
    return User.objects.filter(username__lower=without_case(login)).first()


def is_email_taken(email: str) -> bool:
    """Return whether a user has verified this address, compared without case."""
    return User.objects.filter(email__lower=without_case(email), email_verified=True).exists()


def list_users_with_email(email: str) -> list[User]:
    """Return the active users with a password and this address: the verified one, then the oldest.

    At most MAX_USERS_OF_A_MAILBOX, because strangers may register with an address they do not own.
    """
    users = User.objects.filter(email__lower=without_case(email), is_active=True)
    users = users.exclude(email="").exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)
    return list(users.order_by("-email_verified", "pk")[:MAX_USERS_OF_A_MAILBOX])


def is_known_address(*, user_id: int, address: str) -> bool:
    """Return whether this user has recently logged in from this client address."""
    digest = KnownAddress.hash_address(user_id, address)
    return KnownAddress.objects.filter(user_id=user_id, digest=digest).exists()
