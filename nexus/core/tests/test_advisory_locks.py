"""Advisory locks between two sessions of the real PostgreSQL."""

import psycopg
import pytest
from django.db import connection, transaction

from nexus.core.db.advisory_locks import AdvisoryLock, acquire_transaction_lock, session_lock
from nexus.dev.pytest_plugin import get_database_url

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other_session():
    with psycopg.connect(get_database_url(), autocommit=True) as session:
        yield session


def try_lock(session, *key):
    placeholders = ", ".join(["%s"] * len(key))
    statement = f"SELECT pg_try_advisory_lock({placeholders})"
    return session.execute(statement, key).fetchone()[0]


def test_session_lock_excludes_another_session_until_the_block_ends(other_session):
    with session_lock(AdvisoryLock.TRAINING) as is_acquired:
        assert is_acquired
        assert not try_lock(other_session, AdvisoryLock.TRAINING)

    assert try_lock(other_session, AdvisoryLock.TRAINING)


def test_session_lock_yields_false_if_another_session_holds_it(other_session):
    try_lock(other_session, AdvisoryLock.TRAINING)

    with session_lock(AdvisoryLock.TRAINING, wait_s=0.2) as is_acquired:
        assert not is_acquired


def test_session_locks_with_different_names_are_independent(other_session):
    with (
        session_lock(AdvisoryLock.TMDB_COMMAND, "a") as is_a_acquired,
        session_lock(AdvisoryLock.TMDB_COMMAND, "b") as is_b_acquired,
    ):
        assert is_a_acquired
        assert is_b_acquired


def test_session_lock_is_released_after_an_error_in_the_block(other_session):
    with pytest.raises(ZeroDivisionError), session_lock(AdvisoryLock.TRAINING):
        _ = 1 / 0

    assert try_lock(other_session, AdvisoryLock.TRAINING)


def test_session_lock_survives_a_lost_connection(other_session):
    with session_lock(AdvisoryLock.TRAINING):
        pid = connection.connection.info.backend_pid
        other_session.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    connection.close()

    assert try_lock(other_session, AdvisoryLock.TRAINING)


def test_transaction_lock_is_released_at_the_end_of_the_transaction(other_session):
    with transaction.atomic():
        acquire_transaction_lock(AdvisoryLock.CATALOGUE_WRITE)
        assert not try_lock(other_session, AdvisoryLock.CATALOGUE_WRITE)

    assert try_lock(other_session, AdvisoryLock.CATALOGUE_WRITE)
