"""The tokens in mails: for a new password, and for the verification of an e-mail address."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.signing import TimestampSigner
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from accounts.models import User


class ResetTokenGenerator(PasswordResetTokenGenerator):
    """Django's reset tokens, which a login does not void.

    Django also hashes `last_login`, so that a thief who logs in would void the owner's mail. The
    password alone makes a token work once, because resetting it changes its salt.
    """

    # The name of the class before it moved here: another salt voids the mails that are under way.
    key_salt = "accounts.services.ResetTokenGenerator"

    def _make_hash_value(self, user: AbstractBaseUser, timestamp: int) -> str:
        email = getattr(user, user.get_email_field_name())
        return f"{user.pk} {user.password} {email} {timestamp}"


reset_tokens = ResetTokenGenerator()
_verification_signer = TimestampSigner(sep=".", salt="accounts.email_verification")


def make_password_reset_credentials(user: User) -> tuple[str, str]:
    """Return the uid and the token with which the user can set a new password once."""
    return _encode_uid(user), reset_tokens.make_token(user)


def make_verification_credentials(user: User, email: str) -> tuple[str, str]:
    """Return the uid and the token that prove that the user reads the mails of this address."""
    value = _make_signed_value(user, email)
    return _encode_uid(user), _verification_signer.sign(value).removeprefix(f"{value}.")


def check_verification_token(
    user: User, email: str, token: str, *, max_age: timedelta | None = None
) -> None:
    """Raise BadSignature if the token does not belong to the user and the address.

    Raises SignatureExpired, a kind of BadSignature, if it is older than `max_age`.
    """
    _verification_signer.unsign(f"{_make_signed_value(user, email)}.{token}", max_age=max_age)


def decode_uid(uid: str) -> int:
    """Return the user id of a mail, or 0 if it is malformed."""
    try:
        text = urlsafe_base64_decode(uid).decode("ascii")
    except ValueError:
        return 0
    return int(text) if text.isdigit() and len(text) < 19 else 0


def _encode_uid(user: User) -> str:
    return urlsafe_base64_encode(str(user.pk).encode())


def _make_signed_value(user: User, email: str) -> str:
    # Only the signature is sent, so the address is in no link.
    return f"{user.pk} {email}"
