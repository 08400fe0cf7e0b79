"""Background work on members' ratings and on public figures."""

from __future__ import annotations

from contextlib import suppress

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from nexus.core.background.queues import RETRY, Queue
from social.services.account_deletion import guests_delete_expired
from social.services.figures import figures_reconcile, member_ratings_recount

GUESTS_PER_JOB = 100


@app.task(queue=Queue.FIGURES, retry=RETRY)
def recount_member_ratings(user_id: int) -> None:
    """Count a member's ratings in public figures, or no longer, after a change of visibility."""
    member_ratings_recount(user_id=user_id)


@app.periodic(cron="41 4 * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="check_figures")
def check_figures(timestamp: int) -> None:
    """Compare public figures with the rows they count, and correct and report what is off."""
    figures_reconcile()


@app.periodic(cron="7 * * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="delete_expired_guests", retry=RETRY)
def delete_expired_guests(timestamp: int) -> None:
    """Delete guests who have not registered, with all they own. Leave the rest to another job."""
    if guests_delete_expired(limit=GUESTS_PER_JOB) == GUESTS_PER_JOB:
        with suppress(AlreadyEnqueued), transaction.atomic():
            delete_expired_guests.configure().defer(timestamp=timestamp)
