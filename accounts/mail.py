"""Mails, sent beside the request: how long a mail server takes tells nobody who has an account."""

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

# Of a mail server that hangs, this many are held back a worker; the rest is dropped, and logged.
MAX_WAITING = 100

_LOG = logging.getLogger(__name__)
_BY_PAGE = """Somebody, probably you, asked for a new password for {username} on Nexus Movie API.
To choose one, open this page within {minutes} minutes:

{link}

If it was not you, do nothing: your password stays as it is.
"""
_BY_HAND = """Somebody, probably you, asked for a new password for {username} on Nexus Movie API.
To choose one within {minutes} minutes, give these two to your app:

uid: {uid}
token: {token}

If it was not you, do nothing: your password stays as it is.
"""


def build_password_reset_mail(user: User | None) -> EmailMessage:
    """What lets its reader set a new password once, to the address the member registered.

    None makes a mail for nobody, to take as long.
    """
    user = user or User(pk=0, username="nobody", email="nobody@localhost", password="!")  # noqa: S106
    uid, token = make_password_reset_credentials(user)
    page = settings.PASSWORD_RESET_URL
    link = page.replace("{uid}", uid).replace("{token}", token)
    body = (_BY_PAGE if page else _BY_HAND).format(
        username=user.username,
        minutes=settings.PASSWORD_RESET_TIMEOUT // 60,
        link=link,
        uid=uid,
        token=token,
    )
    return EmailMessage("A new password for Nexus Movie API", body, to=[user.email])


def send_in_background(message: EmailMessage | None) -> None:
    """Send the mail soon; None costs the caller as much as a mail does."""
    _sender().send(message)


def settle(timeout_s: float = 10.0) -> None:
    """Wait until all mails so far are sent, for tests."""
    _sender().settle(timeout_s)


class _Sender:
    """One thread, so that a mail server's slowness takes no more than that; it ends its queue at exit."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")
        self._places = threading.BoundedSemaphore(MAX_WAITING)
        self._last: Future[None] | None = None

    def send(self, message: EmailMessage | None) -> None:
        if not self._places.acquire(blocking=False):
            MAILS.labels("dropped").inc()
            _LOG.error("A mail was dropped: %d wait for the mail server.", MAX_WAITING)
            return
        # With the request's id for the log.
        self._last = self._pool.submit(copy_context().run, self._deliver, message)

    def settle(self, timeout_s: float) -> None:
        if self._last is not None:
            wait([self._last], timeout=timeout_s)

    def _deliver(self, message: EmailMessage | None) -> None:
        try:
            if message is None:
                return
            if settings.EMAIL_BACKEND == settings.NO_EMAIL_BACKEND:
                MAILS.labels("dropped").inc()
                _LOG.error("A mail was dropped: EMAIL_URL is not set.")
                return
            message.send()
            MAILS.labels("sent").inc()
        except Exception as error:  # A mail server may fail in any way, and none is the caller's.
            MAILS.labels("failed").inc()
            # Without the traceback, whose lines may quote the mail.
            _LOG.error("A mail was not sent: %s", type(error).__name__)
        finally:
            self._places.release()


@lru_cache(maxsize=1)
def _sender() -> _Sender:
    return _Sender()
