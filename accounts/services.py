"""Writes to users: registration, logins, passwords, e-mail addresses, known addresses and profiles.

Sessions are in accounts.tokens.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.signing import BadSignature, SignatureExpired
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.access_tokens import hash_access_token, make_access_token
from accounts.exceptions import SessionRevoked
from accounts.mail_tokens import check_verification_token, decode_uid, reset_tokens
from accounts.models import USERNAME_TAKEN, KnownAddress, PersonalAccessToken, User, Visibility
from accounts.tasks import send_email_change_notice, send_verification_mail
from accounts.tokens import family_revoke_all
from nexus.core.api.exceptions import AccountNotFound, Problem, field_error
from nexus.core.quotas import check_quota

RESET_TOKEN_REJECTED = "This reset token is wrong, used or too old. Request a new one."  # noqa: S105
VERIFICATION_TOKEN_REJECTED = (
    "This verification token is wrong, or not for this account's address. Request a new mail."  # noqa: S105
)
VERIFICATION_TOKEN_EXPIRED = "This verification token is too old. Request a new mail."  # noqa: S105
EMAIL_ALREADY_VERIFIED = "This e-mail address is verified already. There is nothing left to do."
EMAIL_TAKEN_MEANWHILE = (
    "Another account has verified this e-mail address meanwhile. Use another address."
)


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

    Sends the verification mail. Raises Problem (403) for a user who is not a guest, ValidationError if
    the username is taken. social.services.members.member_register_guest counts the ratings.
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
        # The serializer has found it free, so a concurrent registration has taken it.
        raise field_error("username", USERNAME_TAKEN, "unique") from None
    family_revoke_all(user_id=user.pk)
    send_verification_mail.defer(user_id=user.pk)
    return user


def user_register(*, username: str, email: str, password: str) -> User:
    """Create a user and send the verification mail. Raises ValidationError if the name is taken."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(username=username, email=email, password=password)
            send_verification_mail.defer(user_id=user.pk)
            return user
    except IntegrityError:
        # The serializer has found it free, so a concurrent registration has taken it.
        raise field_error("username", USERNAME_TAKEN, "unique") from None


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
    """Set the password, and end all other sessions and all personal access tokens."""
    user.set_password(new_password)
    user.save(update_fields=["password"])
    user_revoke_access(user_id=user.pk, except_session_id=session_id)


@transaction.atomic
def user_password_reset(*, uid: str, token: str, new_password: str) -> None:
    """Set the password with the two values of a reset mail, and end all sessions.

    The mail has proved that the address is the user's, so it becomes verified unless another user has
    verified it. Raises ValidationError on `token` if it does not belong to `uid`, was used or is too
    old, and on `new_password` if the validators reject it.
    """
    # With the lock, the second of two concurrent requests finds the token used.
    users = User.objects.select_for_update(no_key=True).filter(is_active=True)
    user = users.filter(pk=decode_uid(uid)).first()
    if user is None or not reset_tokens.check_token(user, token):
        raise field_error("token", RESET_TOKEN_REJECTED, "wrong_token")
    try:
        validate_password(new_password, user)
    except DjangoValidationError as error:
        raise field_error("new_password", error.messages, "weak_password") from error
    user.set_password(new_password)
    user.save(update_fields=["password"])
    user_revoke_access(user_id=user.pk)
    if not user.email_verified:
        _verify_email(user, user.email)


def user_revoke_access(*, user_id: int, except_session_id: object = None) -> None:
    """End the sessions and the personal access tokens of a user whose password has changed.

    Forgets the known addresses and a requested change of the e-mail address too.
    """
    family_revoke_all(user_id=user_id, except_id=except_session_id)
    PersonalAccessToken.objects.filter(user_id=user_id).delete()
    # An attacker who knew the old password may have made an address known with it.
    KnownAddress.objects.filter(user_id=user_id).delete()
    User.objects.filter(pk=user_id).exclude(pending_email="").update(pending_email="")


# --- E-mail addresses ----------------------------------------------------------------------------


@transaction.atomic
def user_email_change(*, user_id: int, email: str) -> None:
    """Send the verification mail to the new address, and a notice to the present one.

    The address changes when the new one is verified. Requesting the present one takes back a request.
    """
    user = user_lock(user_id=user_id)
    is_new = email != user.email
    user.pending_email = email if is_new else ""
    user.save(update_fields=["pending_email"])
    send_verification_mail.defer(user_id=user.pk)
    if is_new:
        send_email_change_notice.defer(user_id=user.pk)


@transaction.atomic
def user_email_verify(*, uid: str, token: str) -> None:
    """Verify an address with the two values of its mail; a pending one replaces the present one.

    Raises ValidationError on `token`, with the code `wrong_token`, `already_verified`,
    `expired_token` or `email_taken`.
    """
    # With the lock, the second of two concurrent requests finds the address verified.
    users = User.objects.select_for_update(no_key=True).filter(is_active=True)
    user = users.filter(pk=decode_uid(uid)).first()
    email = _find_email_of_token(user, token) if user is not None else ""
    if user is None or not email:
        raise field_error("token", VERIFICATION_TOKEN_REJECTED, "wrong_token")
    if email == user.email and user.email_verified:
        raise field_error("token", EMAIL_ALREADY_VERIFIED, "already_verified")
    try:
        check_verification_token(user, email, token, max_age=settings.EMAIL_VERIFICATION_TIMEOUT)
    except SignatureExpired:
        raise field_error("token", VERIFICATION_TOKEN_EXPIRED, "expired_token") from None
    if not _verify_email(user, email):
        raise field_error("token", EMAIL_TAKEN_MEANWHILE, "email_taken")


def _find_email_of_token(user: User, token: str) -> str:
    """Return the address of the user that the token was made for, or "" if there is none."""
    for email in filter(None, (user.pending_email, user.email)):
        try:
            check_verification_token(user, email, token)
        except BadSignature:
            continue
        return email
    return ""


def _verify_email(user: User, email: str) -> bool:
    """Make this the verified address of a locked user; return False if another user has it."""
    fields = {"email": email, "email_verified": True}
    if email == user.pending_email:
        fields["pending_email"] = ""
    try:
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(**fields)
    except IntegrityError:
        return False
    return True


# --- Personal access tokens ----------------------------------------------------------------------


@transaction.atomic
def access_token_create(
    *, user: User, name: str, scopes: Collection[str], expires_at: datetime | None = None
) -> tuple[PersonalAccessToken, str]:
    """Create a token of this user. Return its row, and the token, which is not stored.

    Raises Problem (409) beyond the quota, SessionRevoked (401) if the password was changed or the user
    deactivated since the request was authenticated.
    """
    locked = user_lock(user_id=user.pk)
    if not locked.is_active or locked.password != user.password:
        raise SessionRevoked
    check_quota("access_tokens", PersonalAccessToken.objects.filter(user=user))
    token = make_access_token()
    row = PersonalAccessToken.objects.create(
        user=user,
        name=name,
        scopes=[scope for scope in PersonalAccessToken.Scope.values if scope in scopes],
        digest=hash_access_token(token),
        expires_at=expires_at,
    )
    return row, token


def access_token_delete(*, user_id: int, token_id: int) -> bool:
    """Delete a token of this user, which ends it; return False if the user has no such token."""
    count, _ = PersonalAccessToken.objects.filter(user_id=user_id, id=token_id).delete()
    return count == 1


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
