import pytest
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from nexus.core.tasks import retry_stalled_jobs
from nexus.dev.jobs import run_waiting_jobs


def queue_check_of_figures():
    return app.configure_task("social.tasks.check_figures", queueing_lock="check_figures").defer(
        timestamp=0
    )


def set_running(job_id):
    """Make the job one of a worker that does not exist any more."""
    ProcrastinateJob.objects.filter(id=job_id).update(status="doing", worker_id=None)


@pytest.mark.django_db(transaction=True)
def test_a_lost_job_is_retried_although_another_has_a_queued_successor():
    with_successor = queue_check_of_figures()
    set_running(with_successor)
    successor = queue_check_of_figures()
    alone = app.configure_task("accounts.tasks.clear_ended_sessions").defer(timestamp=0)
    set_running(alone)
    # Before the successor.
    retry_stalled_jobs.configure(priority=1).defer(timestamp=0)

    assert run_waiting_jobs() == []

    statuses = dict(ProcrastinateJob.objects.values_list("id", "status"))
    assert statuses[with_successor] == "aborted"
    assert statuses[successor] == statuses[alone] == "succeeded"
