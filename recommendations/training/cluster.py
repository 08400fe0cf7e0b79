"""Compute the blocks of a training on a Dask cluster: `train_recommender --cluster tcp://host:8786`.

The training itself runs in the command. Two of its steps go to the workers block by block: the
products of sources with sources, and the lists of each block of targets. Scheduler and workers need
this code in PYTHONPATH and the packages of requirements.txt and requirements-cluster.txt, but
neither Django's settings nor the database. They import this module, so it must not import Django.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import Any

from threadpoolctl import threadpool_limits

from recommendations.algorithms.types import Places

REQUIREMENTS = "requirements-cluster.txt"
CONNECT_TIMEOUT_S = 10
#: A block takes seconds. Without a result for so long, no worker is left or none makes progress.
RESULT_TIMEOUT_S = 300
#: Blocks submitted ahead for each thread of a worker, so that none waits for the next block.
BLOCKS_AHEAD = 2


class ClusterError(Exception):
    """The cluster cannot be used or has failed; the message says why."""


class DaskExecutor:
    """Compute blocks on the workers of a Dask cluster. Each worker gets `compute` once a map."""

    def __init__(self, client: Any, *, timeout_s: float = RESULT_TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    def map(self, compute: Callable[[Places], Any], blocks: Iterable[Places]) -> Iterator[Any]:
        """Yield the results in the order of the blocks.

        A block whose worker ends is computed by another one. Raises ClusterError if that fails as
        often as Dask's `allowed-failures` permits, or if no result comes in time.
        """
        from distributed import KilledWorker

        try:
            yield from self._map(compute, blocks)
        except KilledWorker as error:
            raise ClusterError(
                f"Workers of the cluster ended while they computed a block: {error} "
                "They may have too little memory (docs/recommender.md, Training)."
            ) from error
        except TimeoutError as error:
            raise ClusterError(
                f"The cluster returned nothing for {self._timeout_s:g} s: "
                "it has no worker, or none makes progress."
            ) from error
        except (CancelledError, OSError) as error:
            raise ClusterError(
                "The cluster's scheduler, or the last worker that had the data, is gone "
                f"({error!r})."
            ) from error
        except Exception as error:  # Dask raises RuntimeError or Exception if it cannot import.
            reason = " ".join(str(error).split())
            raise ClusterError(
                f"The cluster failed: {reason} Scheduler and workers need this code in "
                "PYTHONPATH and the same packages as the command."
            ) from error

    def _map(self, compute: Callable[[Places], Any], blocks: Iterable[Places]) -> Iterator[Any]:
        client = self._client
        # In a list, because a collection is scattered by its elements.
        [scattered] = client.scatter([compute], broadcast=True, hash=False, timeout=self._timeout_s)
        rest = iter(blocks)
        ahead = max(BLOCKS_AHEAD * sum(client.nthreads().values()), 1)
        running = [_submit(client, scattered, block) for block in islice(rest, ahead)]
        try:
            while running:
                result = running[0].result(timeout=self._timeout_s)
                running.pop(0).release()
                running.extend(_submit(client, scattered, block) for block in islice(rest, 1))
                yield result
        finally:
            # The workers drop their copy before the next map sends another one.
            for future in (*running, scattered):
                future.release()


@contextmanager
def connect(address: str) -> Iterator[DaskExecutor]:
    """Provide an executor for the cluster whose scheduler listens at the address.

    Raises ClusterError if Dask is not installed or no scheduler responds.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            f"A training on a cluster needs Dask: pip install -r {REQUIREMENTS}."
        ) from error
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ClusterError(f"No Dask scheduler responds at {address}: {error}.") from error
    with client:
        yield DaskExecutor(client)


def _submit(client: Any, compute: Any, block: Places) -> Any:
    return client.submit(_compute_block, compute, block, pure=False)


def _compute_block(compute: Callable[[Places], Any], block: Places) -> Any:
    """Compute a block in a worker, whose threads compute a block each.

    The limit to one BLAS thread stays, because other threads of the worker rely on it.
    """
    threadpool_limits(1, user_api="blas")
    return compute(block)
