"""Background work on members' ratings and on public figures."""

from __future__ import annotations

from procrastinate.contrib.django import app

from nexus.core.background.queues import RETRY, Queue
from social.services.figures import figures_reconcile, member_ratings_recount


@app.task(queue=Queue.FIGURES, retry=RETRY)
def recount_member_ratings(user_id: int) -> None:
    """Count a member's ratings in public figures, or no longer, after a change of visibility."""
    member_ratings_recount(user_id=user_id)


@app.periodic(cron="41 4 * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="check_figures")
def check_figures(timestamp: int) -> None:
    """Compare public figures with the rows they count, and correct and report what is off."""
    figures_reconcile()
