"""Training on a Dask cluster of two worker processes.

The workers import this module, so it imports nothing of Django.
"""

import os
import sys
from functools import partial

import numpy as np
import pytest

from recommendations.algorithms.fit import fit
from recommendations.algorithms.parameters import Parameters
from recommendations.tests.test_fit import NOW, catalogue, community, quiet
from recommendations.training.cluster import ClusterError, DaskExecutor, connect


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster


def square(block):
    return block**2


def end_worker_once(path, block):
    """End the process that computes the fourth block first."""
    if block[0] == 3 and not path.exists():
        path.touch()
        os._exit(1)
    return block**2


def end_worker(block):
    os._exit(1)


def fail_to_load():
    raise ModuleNotFoundError("No module named 'recommendations'")


class ComputationThatCannotBeLoaded:
    def __reduce__(self):
        return fail_to_load, ()


def test_a_model_fitted_on_two_workers_equals_that_of_one_process(cluster, monkeypatch):
    monkeypatch.setattr("recommendations.algorithms.neighbors.BLOCK_ROWS", 16)
    parameters = Parameters.for_size(2000)
    arguments = (community(), catalogue(), parameters)

    alone = fit(*arguments, as_of=NOW, progress=quiet)
    with connect(cluster.scheduler_address) as executor:
        spread = fit(*arguments, as_of=NOW, progress=quiet, executor=executor)

    for name in ("feed", "taste"):
        one, other = getattr(alone, name), getattr(spread, name)
        assert other.indptr.tolist() == one.indptr.tolist()
        assert other.indices.tolist() == one.indices.tolist()
        assert other.data == pytest.approx(one.data, abs=1e-6)
    assert spread.coefficients.weights == pytest.approx(alone.coefficients.weights, abs=1e-6)
    assert spread.coefficients.intercept == pytest.approx(alone.coefficients.intercept, abs=1e-6)
    for name in ("quality", "bias", "trend", "factors", "residual_factors"):
        assert getattr(spread.movies, name) == pytest.approx(getattr(alone.movies, name), abs=1e-6)


def test_blocks_of_a_worker_that_ends_are_computed_by_another_one(cluster, tmp_path):
    blocks = [np.array([number]) for number in range(12)]

    with connect(cluster.scheduler_address) as executor:
        results = list(executor.map(partial(end_worker_once, tmp_path / "ended"), blocks))

    assert [int(each[0]) for each in results] == [number**2 for number in range(12)]


def test_blocks_that_end_every_worker_fail_with_a_message(cluster, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)

    with (
        connect(cluster.scheduler_address) as executor,
        pytest.raises(ClusterError, match="ended while they computed a block"),
    ):
        list(executor.map(end_worker, [np.array([1])]))


def test_workers_without_the_code_fail_with_a_message(cluster):
    with (
        connect(cluster.scheduler_address) as executor,
        pytest.raises(ClusterError, match=r"No module named 'recommendations'.*PYTHONPATH"),
    ):
        list(executor.map(ComputationThatCannotBeLoaded(), [np.array([1])]))


def test_a_cluster_without_workers_fails_with_a_message():
    distributed = pytest.importorskip("distributed")

    with (
        distributed.LocalCluster(
            n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as empty,
        distributed.Client(empty, set_as_default=False) as client,
        pytest.raises(ClusterError, match=r"nothing for 0\.2 s: it has no worker"),
    ):
        list(DaskExecutor(client, timeout_s=0.2).map(square, [np.array([1])]))


def test_an_address_without_scheduler_fails_with_a_message(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("recommendations.training.cluster.CONNECT_TIMEOUT_S", 0.5)

    with (
        pytest.raises(ClusterError, match="No Dask scheduler responds at"),
        connect("tcp://127.0.0.1:1"),
    ):
        pass


def test_without_dask_the_message_names_the_requirements_file(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(ClusterError, match=r"requirements-cluster\.txt"), connect("tcp://a:1"):
        pass
