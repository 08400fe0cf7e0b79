"""The mails of this service. accounts.tasks sends them."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.mail import EmailMessage

from accounts.mail_tokens import make_password_reset_credentials, make_verification_credentials
from accounts.models import User

_LOG = logging.getLogger(__name__)
_BODY_WITH_LINK = """Somebody, probably you, requested a new password for {username} on Nexus Movie API.
To set one, open this page within {minutes} minutes:

{link}

If it was not you, do nothing: your password stays the same.
"""
_BODY_WITH_CREDENTIALS = """Somebody, probably you, requested a new password for {username} on Nexus Movie API.
To set one within {minutes} minutes, enter these two values in your app:

uid: {uid}
token: {token}

If it was not you, do nothing: your password stays the same.
"""


_VERIFICATION_WITH_LINK = """Somebody, probably you, entered this e-mail address for {username} on Nexus Movie API.
To confirm that it is yours, open this page within {days} days:

{link}

If it was not you, do nothing: without a confirmation the address is not used.
"""
_VERIFICATION_WITH_CREDENTIALS = """Somebody, probably you, entered this e-mail address for {username} on Nexus Movie API.
To confirm that it is yours, enter these two values in your app within {days} days:

uid: {uid}
token: {token}

If it was not you, do nothing: without a confirmation the address is not used.
"""
_CHANGE_NOTICE = """Somebody, probably you, requested another e-mail address for {username} on Nexus Movie API.
It replaces this one as soon as the new address is confirmed.

If it was not you, change your password now: that voids the request.
"""


class MailFailedError(Exception):
    """The mail server did not take a mail."""


def build_password_reset_mail(user: User) -> EmailMessage:
    """Return the mail with which the user can set a new password once."""
    uid, token = make_password_reset_credentials(user)
    page_url = settings.PASSWORD_RESET_URL
    body = (_BODY_WITH_LINK if page_url else _BODY_WITH_CREDENTIALS).format(
        username=user.username,
        minutes=settings.PASSWORD_RESET_TIMEOUT // 60,
        link=_fill_in(page_url, uid, token),
        uid=uid,
        token=token,
    )
    return EmailMessage("A new password for Nexus Movie API", body, to=[user.email])


def build_verification_mail(user: User, email: str) -> EmailMessage:
    """Return the mail to this address with which the user can verify it."""
    uid, token = make_verification_credentials(user, email)
    page_url = settings.EMAIL_VERIFICATION_URL
    body = (_VERIFICATION_WITH_LINK if page_url else _VERIFICATION_WITH_CREDENTIALS).format(
        username=user.username,
        days=settings.EMAIL_VERIFICATION_TIMEOUT.days,
        link=_fill_in(page_url, uid, token),
        uid=uid,
        token=token,
    )
    return EmailMessage("Your e-mail address on Nexus Movie API", body, to=[email])


def build_email_change_notice(user: User) -> EmailMessage:
    """Return the mail that tells the user's present address of a requested change."""
    body = _CHANGE_NOTICE.format(username=user.username)
    return EmailMessage("Your e-mail address on Nexus Movie API", body, to=[user.email])


def _fill_in(page_url: str, uid: str, token: str) -> str:
    return page_url.replace("{uid}", uid).replace("{token}", token)


def send_mail(message: EmailMessage) -> None:
    """Give the mail to the mail server. Raises MailFailedError if that does not take it."""
    if settings.EMAIL_BACKEND == settings.NO_EMAIL_BACKEND:
        _LOG.error("A mail was dropped: EMAIL_URL is not set.")
        return
    try:
        message.send()
    except Exception as error:  # A mail backend may raise anything.
        # Without the cause, whose traceback may quote the mail.
        raise MailFailedError(f"A mail was not sent: {type(error).__name__}") from None
