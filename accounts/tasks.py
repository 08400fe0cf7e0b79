"""Background work on accounts."""

from __future__ import annotations

from django.core.management import call_command
from procrastinate.contrib.django import app

from accounts.mail import (
    MailFailedError,
    build_email_change_notice,
    build_password_reset_mail,
    build_verification_mail,
    send_mail,
)
from accounts.models import User
from accounts.selectors import list_users_with_email
from nexus.core.api import throttling
from nexus.core.background.queues import RETRY, Queue
from nexus.core.text import fold


@app.task(queue=Queue.MAIL, retry=RETRY)
def send_password_reset_mail(user_id: int) -> None:
    """Send a mail for setting a new password to each account that has the address of this one.

    Does nothing for an unknown id. The tokens are made now, so that no stored job contains one and
    their lifetime starts with the mail.
    """
    user = User.objects.filter(id=user_id).first()
    for account in list_users_with_email(user.email) if user is not None else ():
        send_mail(build_password_reset_mail(account))


@app.task(queue=Queue.MAIL, retry=RETRY)
def send_verification_mail(user_id: int) -> None:
    """Send the mail that verifies the user's pending address, else the unverified one.

    Does nothing if there is none, or if the mailbox has got as many of these mails as the limit allows:
    strangers can register with an address they do not own.
    """
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None or not user.email_to_verify:
        return
    usage = throttling.hit_silently("verification_mail", fold(user.email_to_verify))
    if usage.is_exceeded:
        return
    try:
        send_mail(build_verification_mail(user, user.email_to_verify))
    except MailFailedError:
        throttling.refund(usage)
        raise


@app.task(queue=Queue.MAIL, retry=RETRY)
def send_email_change_notice(user_id: int) -> None:
    """Tell the user's present address that another one was requested."""
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is not None and user.email:
        send_mail(build_email_change_notice(user))


@app.periodic(cron="17 3 * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="clear_ended_sessions", retry=RETRY)
def clear_ended_sessions(timestamp: int) -> None:
    """Delete rows that no session, login or rate limit needs any more."""
    call_command("clear_ended_sessions")
