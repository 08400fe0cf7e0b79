"""The mails of this service. accounts.tasks sends them."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.mail import EmailMessage

from accounts.models import User
from accounts.services import make_password_reset_credentials

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


class MailFailedError(Exception):
    """The mail server did not take a mail."""


def build_password_reset_mail(user: User) -> EmailMessage:
    """Return the mail with which the user can set a new password once."""
    uid, token = make_password_reset_credentials(user)
    page_url = settings.PASSWORD_RESET_URL
    link = page_url.replace("{uid}", uid).replace("{token}", token)
    body = (_BODY_WITH_LINK if page_url else _BODY_WITH_CREDENTIALS).format(
        username=user.username,
        minutes=settings.PASSWORD_RESET_TIMEOUT // 60,
        link=link,
        uid=uid,
        token=token,
    )
    return EmailMessage("A new password for Nexus Movie API", body, to=[user.email])


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
