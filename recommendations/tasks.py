"""Background work of the recommender: trainings."""

from __future__ import annotations

import logging

from django.db.models import Count, Max
from procrastinate.contrib.django import app

from nexus.core.background.child import COMMAND_RETRY, run_command
from nexus.core.background.queues import Queue
from recommendations.algorithms.parameters import MIN_RATINGS, VERSION
from recommendations.models import Training
from social.models import Rating

logger = logging.getLogger(__name__)


@app.periodic(cron="29 2 * * *")
@app.task(
    queue=Queue.PERIODIC, lock="training", queueing_lock="train_recommender", retry=COMMAND_RETRY
)
async def train_recommender(timestamp: int) -> None:
    """Train on the members' ratings, if these have changed since the active training."""
    active = await Training.objects.filter(active=True, algorithm=VERSION).afirst()
    ratings = await Rating.objects.filter(is_counted=True).aaggregate(
        count=Count("id"), newest_at=Max("updated_at")
    )
    if active is None or ratings != {
        "count": active.rating_count,
        "newest_at": active.newest_rating_at,
    }:
        await run_command("train_recommender")


# A worker that starts after a deploy runs it at once.
@app.periodic(cron="*/15 * * * *")
@app.task(queue=Queue.PERIODIC, lock="training", queueing_lock="train_new_version")
async def train_new_version(timestamp: int) -> None:
    """Train if no training of this version is active: a deploy with a new version waits for no night."""
    if await Training.objects.filter(active=True, algorithm=VERSION).aexists():
        return
    if await Rating.objects.filter(is_counted=True)[:MIN_RATINGS].acount() == MIN_RATINGS:
        logger.warning(
            "No training of %s is active: the default coefficients serve until the one that starts now.",
            VERSION,
        )
        await run_command("train_recommender")
