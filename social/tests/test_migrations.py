"""What the migrations of this app do with rows that exist."""

from datetime import UTC, date, datetime
from importlib import import_module

import pytest
from django.apps import apps

from social.models import Viewing

MIDNIGHT = datetime(2026, 7, 20, tzinfo=UTC)
EVENING = datetime(2026, 7, 20, 21, 30, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def movie(make_movie):
    return make_movie("Alien")


def test_viewing_that_the_previous_release_writes_gets_its_day(make_user, movie):
    viewing = Viewing.objects.create(user=make_user("ann"), movie=movie, watched_at=EVENING)

    viewing.refresh_from_db()

    assert (viewing.watched_on, viewing.note) == (date(2026, 7, 20), "")


def test_existing_viewing_at_midnight_becomes_a_day_and_one_at_the_epoch_unknown(make_user, movie):
    migration = import_module("social.migrations.0021_days_of_existing_viewings")
    ann = make_user("ann")
    for moment in (MIDNIGHT, EVENING, EPOCH):
        Viewing.objects.create(user=ann, movie=movie, watched_at=moment)

    for _ in range(2):
        migration.set_days(apps, None)

    times = Viewing.objects.order_by("id").values_list("watched_on", "watched_at")
    day = date(2026, 7, 20)
    assert list(times) == [(day, None), (day, EVENING), (None, None)]
