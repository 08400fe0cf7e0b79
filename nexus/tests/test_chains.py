"""Made-up calls and chains of calls over the whole schema; `make fuzz` does the same for longer."""

from contextlib import contextmanager

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from schemathesis import GenerationMode

from accounts.models import User
from accounts.tokens import family_create
from nexus.tests.chains import (
    CORE,
    Ledger,
    Service,
    chains_of,
    grounded,
    loaded,
    run_calls,
    run_chains,
)
from social.transfer.job_queue import run_imports
from tmdb.cache import client_for
from tmdb.fake.server import FIRST_ID, FakeTmdbServer

CALLERS = ("ann", "ben", "mod")


@contextmanager
def _undone():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def schema(api):
    return api.get("/swagger.json").json()


@pytest.fixture
def films(make_movie):
    years = {"Alien": 1979, "Brazil": 1985, "Ran": 1985}
    return [make_movie(title, release_year=year).pk for title, year in years.items()]


@pytest.fixture
def service(unlimited, settings, films, make_user, client_of):
    """The service in this process, with a TMDb; what a call or a chain changes is taken back."""
    for name in CALLERS:
        client = client_of(make_user(name, is_staff=name == "mod", is_superuser=name == "mod"))
        client.post("/ratings/", {"movie": films[0], "score": 4, "review": f"By {name}."})
        client.post("/playlists/", {"name": f"Of {name}", "movie_ids": films})
    app = WSGIHandler()

    def token(name):
        user = User.objects.filter(username=name).first()
        return family_create(user=user or make_user(name)).access

    def settle(case, answer):
        if case.path.startswith("/imports/") and case.method == "POST":
            run_imports()

    # The requests share the test's transaction, so their end must not close its connection.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    with FakeTmdbServer() as server:
        settings.TMDB_BASE_URL, settings.TMDB_TOKEN = server.base_url, server.credential
        yield Service(
            call=lambda case, headers: case.call(app=app, headers=headers),
            token=token,
            callers=CALLERS,
            undone=_undone,
            settle=settle,
        )
    client_for.cache_clear()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def _operations(schema):
    return {
        f"{method.upper()} {path}"
        for path, item in schema["paths"].items()
        for method in item
        if method != "parameters"
    }


def test_generated_requests_get_responses_of_the_schema(schema, films, service):
    ledger = Ledger()
    run_calls(loaded(schema), GenerationMode.NEGATIVE, service, ledger, examples=1, seeded=True)
    assert not ledger.findings, "\n".join(ledger.findings.values())
    # All that take anything at all, which could be bad.
    takes = {
        f"{method.upper()} {path}"
        for path, item in schema["paths"].items()
        for method in item.keys() - {"parameters"}
        if item.get("parameters") or item[method]["parameters"]
    }
    assert {label for label, _ in ledger.calls} >= takes


def test_generated_chains_of_requests_get_responses_of_the_schema(schema, films, service):
    ledger = Ledger()
    near = grounded(schema, films=films, tmdb_ids=[FIRST_ID, FIRST_ID + 1])
    run_chains(chains_of(near, service, ledger), chains=12, steps=14, seeded=True)
    assert not ledger.findings, "\n".join(ledger.findings.values())
    # About half of what it is: the chains are really taken. `make fuzz` holds each one of CORE to it.
    assert ledger.with_status(200, 300, chained=True) >= 30
    assert len(ledger.operations(chained=True)) >= 12
    assert _operations(schema) >= CORE
