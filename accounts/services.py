"""Writes to identity: registering, logging in, passwords. Token families are in accounts.tokens."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from accounts.models import KnownAddress, User
from accounts.tokens import family_revoke_all
from nexus.core.api.exceptions import field_error
from nexus.core.db.lookups import without_case

USERNAME_TAKEN = "A user with that username already exists."
EMAIL_TAKEN = "A user with that e-mail address already exists."
RESET_REFUSED = "This reset is wrong, used or too old. Ask for a new one."
# Home, work, a phone network or two, and what they change to.
MAX_KNOWN_ADDRESSES = 8


def user_register(*, username: str, email: str, password: str) -> User:
    """Make a member. Raises ValidationError on the field whose value is taken, without case."""
    try:
        with transaction.atomic():
            return User.objects.create_user(username=username, email=email, password=password)
    except IntegrityError:
        # Of two at once, the constraint lets one through; tell the other which field it was.
        if User.objects.filter(username__lower=without_case(username)).exists():
            raise field_error("username", USERNAME_TAKEN, "unique") from None
        raise field_error("email", EMAIL_TAKEN, "unique") from None


def find_user(login: str) -> User | None:
    """The member of a username or an e-mail address, without case."""
    # No username holds an @, so that one can never pose as another's address.
    column = "email__lower" if "@" in login else "username__lower"
    return User.objects.filter(Q(**{column: without_case(login)})).first()


def is_password_correct(*, user: User | None, password: str) -> bool:
    """Whether the password is the active member's; as slow where there is none."""
    if user is None:
        make_password(password)
        return False
    return user.check_password(password) and user.is_active


def user_record_login(*, user: User) -> None:
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())


# --- Passwords -----------------------------------------------------------------------------------


@transaction.atomic
def user_password_change(*, user: User, new_password: str, session_id: object) -> None:
    """Set the password, and end every session but this one."""
    user.set_password(new_password)
    user.save(update_fields=["password"])
    user_end_sessions(user_id=user.pk, except_id=session_id)


@transaction.atomic
def user_password_reset(*, uid: str, token: str, new_password: str) -> None:
    """Set the password of whom a reset mail went to, and end all their sessions.

    Raises ValidationError on `token` where uid and token are not of one mail, or it was used or is
    too old, and on `new_password` where the validators refuse it.
    """
    # Locked, so that of two at once the second finds the token used.
    user = (
        User.objects.select_for_update(no_key=True).filter(pk=_id_of(uid), is_active=True).first()
    )
    if user is None or not default_token_generator.check_token(user, token):
        raise field_error("token", RESET_REFUSED, "wrong_token")
    try:
        validate_password(new_password, user)
    except DjangoValidationError as error:
        raise field_error("new_password", error.messages, "weak_password") from error
    user.set_password(new_password)
    user.save(update_fields=["password"])
    user_end_sessions(user_id=user.pk)


def user_end_sessions(*, user_id: int, except_id: object = None) -> None:
    """End the sessions of a member whose password was changed, but this one, and their addresses."""
    family_revoke_all(user_id=user_id, except_id=except_id)
    # Whoever knew the old password may have made an address known with it.
    KnownAddress.objects.filter(user_id=user_id).delete()


def make_password_reset_credentials(user: User) -> tuple[str, str]:
    """The uid and the token that let this user set a new password, once."""
    return urlsafe_base64_encode(str(user.pk).encode()), default_token_generator.make_token(user)


def _id_of(uid: str) -> int:
    try:
        text = urlsafe_base64_decode(uid).decode("ascii")
    except ValueError:
        return 0
    return int(text) if text.isdigit() and len(text) < 19 else 0


# --- Known addresses -----------------------------------------------------------------------------


def is_known_address(*, user_id: int, address: str) -> bool:
    """Whether this member has logged in from this client address, of late."""
    digest = _address_digest(user_id, address)
    return KnownAddress.objects.filter(user_id=user_id, digest=digest).exists()


@transaction.atomic
def address_remember(*, user_id: int, address: str) -> None:
    """Take the address as the member's own, in place of the one not used for longest."""
    # Locked, because the member may be leaving.
    if not list(User.objects.select_for_update(no_key=True).filter(pk=user_id).values_list("pk")):
        return
    known = KnownAddress(
        user_id=user_id, digest=_address_digest(user_id, address), last_login_at=timezone.now()
    )
    KnownAddress.objects.bulk_create(
        [known],
        update_conflicts=True,
        unique_fields=["user", "digest"],
        update_fields=["last_login_at"],
    )
    newest = KnownAddress.objects.filter(user_id=user_id).order_by("-last_login_at", "-id")
    beyond = list(newest.values_list("id", flat=True)[MAX_KNOWN_ADDRESSES:])
    if beyond:
        KnownAddress.objects.filter(id__in=beyond).delete()


def _address_digest(user_id: int, address: str) -> str:
    # Keyed, because all addresses there are can be hashed in an afternoon.
    keyed = salted_hmac("accounts.KnownAddress", f"{user_id} {address}", algorithm="sha256")
    return keyed.hexdigest()


# --- The profile ---------------------------------------------------------------------------------


def profile_update(*, user: User, changes: dict[str, Any]) -> User:
    """Set some of the profile's fields."""
    for name, value in changes.items():
        setattr(user, name, value)
    user.save(update_fields=list(changes))
    return user
