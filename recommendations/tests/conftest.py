import pytest
from django.db import connection

from accounts.models import User
from movies.models import Movie
from recommendations.models import Training
from recommendations.recommender.queries import load_active_header
from recommendations.tests.community import made_up, quiet
from recommendations.training.pipeline import training_run


@pytest.fixture(scope="module")
def _trained_community(module_db):
    made_up(members=50, movies=60)
    training_run(progress=quiet, force=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


@pytest.fixture
def trained(_trained_community, db):
    """(members, movies), learned from; movies 0, 3, 6 … are horror, 1, 4, … romance, 2, 5, … western.

    The tests of a module share them, and each undoes its changes.
    """
    # Reads the training once a process, which is not part of a request.
    load_active_header()
    return list(User.objects.order_by("id")), list(Movie.objects.order_by("id"))


@pytest.fixture
def untrained(trained):
    """The same members and movies before the first training."""
    Training.objects.all().delete()
    return trained
