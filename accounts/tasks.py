"""Background work on accounts."""

from __future__ import annotations

from django.core.management import call_command
from procrastinate.contrib.django import app

from accounts.mail import build_password_reset_mail, send_mail
from accounts.models import User
from nexus.core.background.queues import RETRY, Queue


@app.task(queue=Queue.MAIL, retry=RETRY)
def send_password_reset_mail(user_id: int) -> None:
    """Send a user the mail with which a new password can be set; do nothing for an unknown id.

    The token is made now, so that no stored job contains it and its lifetime starts with the mail.
    """
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is not None and user.has_usable_password():
        send_mail(build_password_reset_mail(user))


@app.periodic(cron="17 3 * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="clear_ended_sessions", retry=RETRY)
def clear_ended_sessions(timestamp: int) -> None:
    """Delete rows that no session, login or rate limit needs any more."""
    call_command("clear_ended_sessions")
