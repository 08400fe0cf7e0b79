"""Background work of the recommender: the nightly training."""

from __future__ import annotations

from django.db.models import Count, Max
from procrastinate.contrib.django import app

from nexus.core.background.child import COMMAND_RETRY, run_command
from nexus.core.background.queues import Queue
from recommendations.models import Training
from social.models import Rating


@app.periodic(cron="29 2 * * *")
@app.task(
    queue=Queue.PERIODIC, lock="training", queueing_lock="train_recommender", retry=COMMAND_RETRY
)
async def train_recommender(timestamp: int) -> None:
    """Train on the members' ratings, if these have changed since the active training."""
    active = await Training.objects.filter(active=True).afirst()
    ratings = await Rating.objects.filter(is_counted=True).aaggregate(
        count=Count("id"), newest_at=Max("updated_at")
    )
    if active is None or ratings != {
        "count": active.rating_count,
        "newest_at": active.newest_rating_at,
    }:
        await run_command("train_recommender")
