"""Generated requests and chains of requests for the whole schema; `make fuzz` runs more of them."""

from contextlib import contextmanager

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from schemathesis import GenerationMode

from accounts.models import User
from accounts.tokens import family_create
from nexus.dev.jobs import run_waiting_jobs
from nexus.tests.chains import (
    CORE,
    Ledger,
    ServiceUnderTest,
    add_realistic_values,
    build_state_machine,
    load_schema,
    run_calls,
    run_chains,
)
from tmdb.cache import build_cache
from tmdb.fake.server import FIRST_ID, FakeTmdbServer

CALLERS = ("ann", "ben", "mod")


@contextmanager
def _rollback():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def schema(api):
    return api.get("/swagger.json").json()


@pytest.fixture
def movie_ids(make_movie):
    years = {"Alien": 1979, "Brazil": 1985, "Ran": 1985}
    return [make_movie(title, release_year=year).pk for title, year in years.items()]


@pytest.fixture
def service(unlimited, settings, movie_ids, make_user, client_of):
    """Return the service in this process, with a fake TMDb; changes of a chain are rolled back."""
    for name in CALLERS:
        client = client_of(make_user(name, is_staff=name == "mod", is_superuser=name == "mod"))
        client.post("/ratings/", {"movie": movie_ids[0], "score": 4, "review": f"By {name}."})
        client.post("/playlists/", {"name": f"Of {name}", "movie_ids": movie_ids})
    app = WSGIHandler()

    def token(name):
        user = User.objects.filter(username=name).first()
        return family_create(user=user or make_user(name)).access

    def call(case, headers):
        # schemathesis asks for gzip, but does not decode it when it calls an application directly.
        return case.call(app=app, headers={**headers, "Accept-Encoding": "identity"})

    def run_background_work(case, response):
        if case.path.startswith("/imports/") and case.method == "POST":
            run_waiting_jobs()

    # The requests share the test's transaction, so their end must not close its connection.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    with FakeTmdbServer() as server:
        settings.TMDB_BASE_URL, settings.TMDB_TOKEN = server.base_url, server.credential
        yield ServiceUnderTest(
            call=call,
            token=token,
            callers=CALLERS,
            rollback=_rollback,
            run_background_work=run_background_work,
        )
    build_cache.cache_clear()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def _list_operations(schema):
    return {
        f"{method.upper()} {path}"
        for path, item in schema["paths"].items()
        for method in item
        if method != "parameters"
    }


def test_generated_requests_get_responses_of_the_schema(schema, movie_ids, service):
    ledger = Ledger()
    run_calls(
        load_schema(schema), GenerationMode.NEGATIVE, service, ledger, examples=1, seeded=True
    )
    assert not ledger.findings, "\n".join(ledger.findings.values())
    # Operations without any input have no bad data.
    with_input = {
        f"{method.upper()} {path}"
        for path, item in schema["paths"].items()
        for method in item.keys() - {"parameters"}
        if item.get("parameters") or item[method]["parameters"]
    }
    assert {label for label, _ in ledger.calls} >= with_input


def test_generated_chains_of_requests_get_responses_of_the_schema(schema, movie_ids, service):
    ledger = Ledger()
    realistic = add_realistic_values(schema, movie_ids=movie_ids, tmdb_ids=[FIRST_ID, FIRST_ID + 1])
    run_chains(build_state_machine(realistic, service, ledger), chains=32, steps=14, seeded=True)
    assert not ledger.findings, "\n".join(ledger.findings.values())
    # About half of the usual numbers. `make fuzz` requires every operation of CORE.
    assert ledger.count_status(200, 300, chained=True) >= 30
    assert len(ledger.operations(chained=True)) >= 12
    assert _list_operations(schema) >= CORE
