"""Writes to users: registration, logins, passwords, known addresses and profiles.

Sessions are in accounts.tokens.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from rest_framework.exceptions import ValidationError

from accounts.models import EMAIL_TAKEN, USERNAME_TAKEN, KnownAddress, User, Visibility
from accounts.tokens import family_revoke_all
from nexus.core.api.exceptions import AccountNotFound, Problem, field_error
from nexus.core.db.lookups import without_case

RESET_TOKEN_REJECTED = "This reset token is wrong, used or too old. Request a new one."  # noqa: S105


class ResetTokenGenerator(PasswordResetTokenGenerator):
    """Django's reset tokens, which a login does not void.

    Django also hashes `last_login`, so that a thief who logs in would void the owner's mail. The
    password alone makes a token work once, because resetting it changes its salt.
    """

    key_salt = "accounts.services.ResetTokenGenerator"

    def _make_hash_value(self, user: AbstractBaseUser, timestamp: int) -> str:
        email = getattr(user, user.get_email_field_name())
        return f"{user.pk} {user.password} {email} {timestamp}"


_reset_tokens = ResetTokenGenerator()


@transaction.atomic
def guest_create() -> User:
    """Create a guest: a private user without a password, whom others cannot find."""
    return User.objects.create_user(
        # Nobody can guess or choose it: the prefix is reserved.
        username=f"guest-{secrets.token_hex(8)}",
        origin=User.Origin.GUEST,
        visibility=Visibility.PRIVATE,
    )


@transaction.atomic
def guest_register(*, user_id: int, username: str, email: str, password: str) -> User:
    """Turn a guest into a public member who owns what the guest owned, and end all sessions.

    Raises Problem (403) for a user who is not a guest, ValidationError on the field whose value is
    taken. social.services.members.member_register_guest counts the ratings.
    """
    user = user_lock(user_id=user_id)
    if not user.is_guest:
        raise Problem(403, "not_a_guest", "This account is registered already.")
    user.username, user.email = username, User.objects.normalize_email(email)
    user.origin, user.visibility = User.Origin.REGISTERED, Visibility.PUBLIC
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise _make_taken_error(username) from None
    family_revoke_all(user_id=user.pk)
    return user


def _make_taken_error(username: str) -> ValidationError:
    """Return the error of a username or address that a concurrent registration has taken."""
    if User.objects.filter(username__lower=without_case(username)).exists():
        return field_error("username", USERNAME_TAKEN, "unique")
    return field_error("email", EMAIL_TAKEN, "unique")


def user_register(*, username: str, email: str, password: str) -> User:
    """Create a user. Raises ValidationError on the field whose value is taken."""
    try:
        with transaction.atomic():
            return User.objects.create_user(username=username, email=email, password=password)
    except IntegrityError:
        # The serializer has found both free.
        raise _make_taken_error(username) from None


def user_record_login(*, user: User) -> None:
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())


def user_deactivate(*, user_id: int) -> bool:
    """End the user's sessions and refuse further logins. Return False if they were deactivated."""
    return User.objects.filter(pk=user_id, is_active=True).update(is_active=False) == 1


def user_lock(*, user_id: int) -> User:
    """Lock a user's row until the transaction ends, and return the user.

    Who creates rows of a member takes this lock first: quotas are counted and the visibility is read
    under it. Raises AccountNotFound (401) if the account was deleted.
    """
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise AccountNotFound
    return user


# --- Passwords -----------------------------------------------------------------------------------


@transaction.atomic
def user_password_change(*, user: User, new_password: str, session_id: object) -> None:
    """Set the password and end all other sessions."""
    user.set_password(new_password)
    user.save(update_fields=["password"])
    user_revoke_access(user_id=user.pk, except_session_id=session_id)


@transaction.atomic
def user_password_reset(*, uid: str, token: str, new_password: str) -> None:
    """Set the password with the two values of a reset mail, and end all sessions.

    Raises ValidationError on `token` if it does not belong to `uid`, was used or is too old, and on
    `new_password` if the validators reject it.
    """
    # With the lock, the second of two concurrent requests finds the token used.
    users = User.objects.select_for_update(no_key=True).filter(is_active=True)
    user = users.filter(pk=_decode_uid(uid)).first()
    if user is None or not _reset_tokens.check_token(user, token):
        raise field_error("token", RESET_TOKEN_REJECTED, "wrong_token")
    try:
        validate_password(new_password, user)
    except DjangoValidationError as error:
        raise field_error("new_password", error.messages, "weak_password") from error
    user.set_password(new_password)
    user.save(update_fields=["password"])
    user_revoke_access(user_id=user.pk)


def user_revoke_access(*, user_id: int, except_session_id: object = None) -> None:
    """End the sessions of a user whose password has changed and forget the known addresses."""
    family_revoke_all(user_id=user_id, except_id=except_session_id)
    # An attacker who knew the old password may have made an address known with it.
    KnownAddress.objects.filter(user_id=user_id).delete()


def make_password_reset_credentials(user: User) -> tuple[str, str]:
    """Return the uid and the token with which the user can set a new password once."""
    return urlsafe_base64_encode(str(user.pk).encode()), _reset_tokens.make_token(user)


def _decode_uid(uid: str) -> int:
    """Return the user id of a reset mail, or 0 if it is malformed."""
    try:
        text = urlsafe_base64_decode(uid).decode("ascii")
    except ValueError:
        return 0
    return int(text) if text.isdigit() and len(text) < 19 else 0


# --- Known addresses -----------------------------------------------------------------------------


@transaction.atomic
def known_address_record(*, user_id: int, address: str) -> None:
    """Record a login from this address. Only as many as the quota allows are stored, the latest ones."""
    # With the lock, a concurrent deletion of the account waits.
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        return
    KnownAddress.objects.update_or_create(
        user=user,
        digest=KnownAddress.hash_address(user_id, address),
        defaults={"last_login_at": timezone.now()},
    )
    latest = KnownAddress.objects.filter(user=user).order_by("-last_login_at", "-id")
    outdated_ids = list(
        latest.values_list("id", flat=True)[settings.MEMBER_QUOTAS["known_addresses"] :]
    )
    if outdated_ids:
        KnownAddress.objects.filter(id__in=outdated_ids).delete()


# --- Profiles ------------------------------------------------------------------------------------


def profile_update(*, user: User, changes: dict[str, Any]) -> User:
    """Set the given fields of the profile."""
    for name, value in changes.items():
        setattr(user, name, value)
    user.save(update_fields=list(changes))
    return user
