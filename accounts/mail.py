"""Mails, sent by a background thread.

A request does not wait for the mail server, so its duration does not reveal whether a mail was sent.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import lru_cache

from django.conf import settings
from django.core.mail import EmailMessage

from accounts.models import User
from accounts.services import make_password_reset_credentials
from nexus.core.observability.metrics import MAILS

# If the mail server hangs, a worker queues this many mails and drops the rest.
MAX_QUEUED_MAILS = 100

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


def build_password_reset_mail(user: User | None) -> EmailMessage:
    """Return the mail with which the user can set a new password once.

    Return a mail to nobody for None: it takes as long to build, so that the time reveals nothing.
    """
    user = user or User(pk=0, username="nobody", email="nobody@localhost", password="!")  # noqa: S106
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


def send_in_background(message: EmailMessage | None) -> None:
    """Queue the mail. None costs the caller as much time as a mail."""
    _get_sender().queue(message)


def wait_until_sent(timeout_s: float = 10.0) -> None:
    """Wait until all queued mails are sent, for tests."""
    _get_sender().wait(timeout_s)


class MailSender:
    """A queue of mails and one thread that sends them. The process ends after the queue is empty."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")
        self._free_slots = threading.BoundedSemaphore(MAX_QUEUED_MAILS)
        self._last: Future[None] | None = None

    def queue(self, message: EmailMessage | None) -> None:
        if not self._free_slots.acquire(blocking=False):
            MAILS.labels("dropped").inc()
            _LOG.error("A mail was dropped: %d mails wait for the mail server.", MAX_QUEUED_MAILS)
            return
        # The context contains the request's id for the log.
        self._last = self._executor.submit(copy_context().run, self._send, message)

    def wait(self, timeout_s: float) -> None:
        if self._last is not None:
            wait([self._last], timeout=timeout_s)

    def _send(self, message: EmailMessage | None) -> None:
        try:
            if message is None:
                return
            if settings.EMAIL_BACKEND == settings.NO_EMAIL_BACKEND:
                MAILS.labels("dropped").inc()
                _LOG.error("A mail was dropped: EMAIL_URL is not set.")
                return
            message.send()
            MAILS.labels("sent").inc()
        except Exception as error:  # A mail backend may raise anything.
            MAILS.labels("failed").inc()
            # Without the traceback, which may quote the mail.
            _LOG.error("A mail was not sent: %s", type(error).__name__)
        finally:
            self._free_slots.release()


@lru_cache(maxsize=1)
def _get_sender() -> MailSender:
    return MailSender()
