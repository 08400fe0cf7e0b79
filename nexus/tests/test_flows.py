"""How many modules of the project a reader follows from a view's action or a command downward.

docs/architecture.md draws the flows of a list, a rating and an import, docs/recommender.md those of the feed and
of a training.
"""

import inspect
import sys

import pytest
from django.core.management import call_command

from recommendations.tests.community import made_up, quiet
from recommendations.training.pipeline import training_run
from tmdb.fake.server import FIRST_ID, FakeTmdbServer

APPS = ("nexus", "movies", "accounts", "social", "tmdb", "recommendations")
EXCLUDED = {
    "nexus.core.observability.metrics": "wraps each query for the metrics, as part of the middleware",
    "nexus.core.api.parsers": "parses the body for DRF before the action sees it",
    "nexus.core.api.url_converters": "belongs to the URL configuration",
    "nexus.core.genres": "is a table of constants",
    "accounts.models": "is a module of models",
    "movies.availability": "is a module of data classes",
    "movies.dto": "is a module of data classes",
    "movies.models": "is a module of models",
    "recommendations.algorithms.parameters": "is a module of constants",
    "recommendations.algorithms.types": "is a module of data classes",
    "tmdb.models": "is a module of models",
}

pytestmark = pytest.mark.django_db


def record_modules(send, action):
    """Send a request and return the modules with functions that run below the view's action."""
    response, modules = record_modules_below(send, action)
    assert response.status_code < 300, response.content
    return modules


def record_modules_below(run, action):
    """Return the result of `run` and the modules with functions that run below the action.

    Modules and classes that are only defined meanwhile do not count.
    """
    modules = set()
    depth = 0

    def profile(frame, event, _arg):
        nonlocal depth
        name = frame.f_globals.get("__name__", "")
        is_action = (name, frame.f_code.co_name) == action
        is_function = bool(frame.f_code.co_flags & inspect.CO_NEWLOCALS)
        if event == "call":
            depth += is_action
            if depth and is_function and name.split(".")[0] in APPS:
                modules.add(name)
        elif event == "return":
            depth -= is_action

    sys.setprofile(profile)
    try:
        result = run()
    finally:
        sys.setprofile(None)
    assert modules, f"{action} did not run"
    return result, {
        name
        for name in modules - EXCLUDED.keys()
        if not name.startswith(("movies.models.", "social.models."))
    }


@pytest.fixture
def member(make_user, client_of):
    return client_of(make_user("ann"))


def test_a_filtered_movie_list_enters_at_most_8_modules(api, make_movie):
    make_movie("Alien", genres=["Horror"], release_year=1979)
    url = "/movies/?genre=Horror&year_gte=1970&search=alien&ordering=-vote_average"

    modules = record_modules(lambda: api.get(url), ("movies.views", "list"))

    assert len(modules) <= 8, sorted(modules)


def test_a_rating_enters_at_most_7_modules(member, make_movie):
    body = {"movie": make_movie("Alien").pk, "score": 4}

    modules = record_modules(
        lambda: member.post("/ratings/", body), ("social.views.ratings", "create")
    )

    assert len(modules) <= 7, sorted(modules)


def test_an_import_from_tmdb_enters_at_most_17_modules(member, settings):
    with FakeTmdbServer() as server:
        settings.TMDB_BASE_URL, settings.TMDB_TOKEN = server.base_url, server.credential

        modules = record_modules(
            lambda: member.post("/tmdb/import/", {"tmdb_id": FIRST_ID}),
            ("tmdb.views.catalogue", "create"),
        )

    assert len(modules) <= 17, sorted(modules)


@pytest.mark.parametrize("query", ["", "?diversity=0.5&genre=Horror"])
def test_a_feed_enters_at_most_10_modules(client_of, query):
    users, _ = made_up(members=40, movies=45)
    training_run(progress=quiet, force=True)
    member = client_of(users[0])
    # Reads the header of the training, once a process.
    assert member.get("/movies/recommendations/").status_code == 200

    modules = record_modules(
        lambda: member.get(f"/movies/recommendations/{query}"), ("recommendations.views", "list")
    )

    assert len(modules) <= 10, sorted(modules)


def test_a_training_enters_at_most_16_modules():
    # So many that some members are held out, whose figures take two modules more.
    made_up(members=120, movies=45)
    command = "recommendations.management.commands.train_recommender"

    _, modules = record_modules_below(
        lambda: call_command("train_recommender", force=True), (command, "handle")
    )

    assert "recommendations.evaluation.metrics" in modules
    assert len(modules) <= 16, sorted(modules)
