"""The task worker trains: every night, and at once after a deploy with a new version."""

import pytest
from asgiref.sync import async_to_sync

from nexus.dev.pytest_plugin import get_database_url
from recommendations.algorithms.parameters import VERSION
from recommendations.models import Training
from recommendations.tasks import train_new_version
from recommendations.tests.community import made_up

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def database_of_child_processes(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", get_database_url())


def run():
    async_to_sync(train_new_version.func)(timestamp=0)


def test_first_training_of_a_version_starts_at_once_and_the_log_says_so(caplog):
    made_up(members=80, movies=60)
    # Better than any training on so few ratings, but of the version before.
    Training.objects.create(
        algorithm="edlae-1",
        state=Training.State.READY,
        active=True,
        metrics={"held_out": {"members": 500, "ndcg_at_10": 1.0, "log_loss": 0.0}},
    )

    run()

    assert Training.objects.get(active=True).algorithm == VERSION
    assert f"No training of {VERSION} is active" in caplog.text


def test_nothing_is_trained_beside_an_active_training_of_the_version():
    made_up(members=80, movies=60)
    training = Training.objects.create(algorithm=VERSION, state=Training.State.READY, active=True)

    run()

    assert list(Training.objects.all()) == [training]


def test_nothing_is_trained_on_too_few_ratings():
    made_up(members=10, movies=20)

    run()

    assert not Training.objects.exists()
