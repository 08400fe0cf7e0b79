"""The task worker: one process that runs the jobs of several queues.

Every queue has its own procrastinate worker, which has its own concurrency. They share an event loop
and a pool of threads, in which tasks run that are ordinary functions.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import psycopg
from asgiref.sync import sync_to_async
from django.db import close_old_connections
from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector

from nexus.core.background.queues import QUEUES, Queue

# A running job may take this long after SIGTERM; then it is told to stop and goes back to its queue.
STOP_TIMEOUT_S = 15.0
HEARTBEAT_INTERVAL_S = 5.0
# A worker without a heartbeat for this long is dead: nexus.core.tasks retries its jobs.
STALLED_AFTER_S = 20.0
# After a lost connection to the database.
RESTART_AFTER_S = 1.0
CONNECTION_TIMEOUT_S = 5.0
# A new job starts at once, but one that waits for its lock or for a retry is found by polling.
POLL_INTERVAL_S = 1.0

_LOG = logging.getLogger(__name__)


def run_worker(queues: Collection[Queue] = tuple(Queue)) -> None:
    """Run the jobs of some queues until SIGTERM or SIGINT."""
    asyncio.run(_run_until_stopped(queues))


async def _run_until_stopped(queues: Collection[Queue]) -> None:
    loop = asyncio.get_running_loop()
    stop_requested = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_requested.set)
    loop.set_default_executor(ThreadPoolExecutor(sum(QUEUES[name].concurrency for name in queues)))
    worker_app = _build_worker_app(connections=len(queues))
    workers = [asyncio.create_task(_run_queue(worker_app, name)) for name in queues]
    stop = asyncio.create_task(stop_requested.wait())
    ended, _ = await asyncio.wait([stop, *workers], return_when=asyncio.FIRST_COMPLETED)
    for task in (stop, *workers):
        task.cancel()
    await asyncio.gather(stop, *workers, return_exceptions=True)
    await worker_app.close_async()
    # Raises the error of a queue that has ended by itself, so that the process is started again.
    for task in ended:
        task.result()


def _build_worker_app(*, connections: int) -> App:
    """Return an app whose workers have connections of their own.

    The tasks stay with Django's app, so that a job which a task defers is part of the transaction of
    that task.
    """
    connector = PsycopgConnector(
        kwargs=connector_params(),
        # With a minimum, opening the pool would wait 30 s for a database that is down.
        min_size=0,
        max_size=connections,
        timeout=CONNECTION_TIMEOUT_S,
    )
    worker_app = app.with_connector(connector)
    worker_app.periodic_defaults = app.periodic_defaults
    return worker_app


async def _run_queue(worker_app: App, queue: Queue) -> None:
    """Run the jobs of a queue, again after each failure, until the caller cancels.

    A cancelled worker finishes its running jobs.
    """
    while True:
        try:
            await worker_app.open_async()
            # Returns after an error of the connection that listens for jobs.
            await worker_app.run_worker_async(
                queues=[queue],
                name=queue,
                concurrency=QUEUES[queue].concurrency,
                delete_jobs="successful" if QUEUES[queue].deletes_successful else "never",
                fetch_job_polling_interval=POLL_INTERVAL_S,
                shutdown_graceful_timeout=STOP_TIMEOUT_S,
                update_heartbeat_interval=HEARTBEAT_INTERVAL_S,
                stalled_worker_timeout=STALLED_AFTER_S,
                install_signal_handlers=False,
            )
        except (ConnectorException, psycopg.Error) as error:
            _LOG.error("The queue %s waits for the database: %s", queue, error)
        # Periodic jobs are deferred through Django's connection, which may be broken, too.
        await sync_to_async(close_old_connections)()
        await asyncio.sleep(RESTART_AFTER_S)
