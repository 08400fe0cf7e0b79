"""Reads and deletion of stored jobs. Tasks are deferred with their own `defer()`."""

from __future__ import annotations

from django.db.models import Count, Min, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob

from nexus.core.background.queues import Queue

_SHOWN_STATUSES = ("todo", "doing", "failed")


def count_jobs() -> dict[tuple[str, str], int]:
    """Return the number of jobs by queue and status: waiting, running and failed ones."""
    counts = {(queue.value, status): 0 for queue in Queue for status in _SHOWN_STATUSES}
    rows = ProcrastinateJob.objects.filter(status__in=_SHOWN_STATUSES).order_by()
    for queue, status, count in rows.values_list("queue_name", "status").annotate(Count("id")):
        counts[queue, status] = count
    return counts


def get_longest_waits() -> dict[str, float]:
    """Return for each queue with jobs that are due how many seconds the oldest has waited."""
    now = timezone.now()
    due = ProcrastinateJob.objects.filter(status="todo").exclude(scheduled_at__gt=now)
    latest_event = ProcrastinateEvent.objects.filter(job=OuterRef("pk")).order_by("-id")
    # A retried job is due since its new time.
    due_at = Coalesce("scheduled_at", Subquery(latest_event.values("at")[:1]))
    oldest = due.order_by().values_list("queue_name").annotate(oldest=Min(due_at))
    return {queue: (now - at).total_seconds() for queue, at in oldest}


def jobs_delete_of_member(*, user_id: int) -> None:
    """Delete the jobs whose argument `user_id` is this member's.

    A running job is not deleted, because its worker will record its end. It loses its arguments.
    """
    jobs = ProcrastinateJob.objects.filter(args__user_id=user_id)
    jobs.exclude(status="doing").delete()
    jobs.update(args={"user_id": 0}, lock=None, queueing_lock=None)
