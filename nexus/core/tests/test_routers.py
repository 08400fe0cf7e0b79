import pytest
from django.db import DEFAULT_DB_ALIAS, transaction
from django.test import RequestFactory

from movies.models import Movie
from nexus.core.db.routers import REPLICA, ReplicaMiddleware, ReplicaRouter

ROUTER = ReplicaRouter()


def read_alias_of(request, action=lambda: None):
    """Return the database that a request reads from after it has done something."""
    aliases = []

    def view(_request):
        action()
        aliases.append(ROUTER.db_for_read(Movie))

    ReplicaMiddleware(view)(request)
    return aliases[0]


@pytest.mark.parametrize(
    "path", ["/movies/", "/movies/3/", "/genres/", "/movies/3/reviews/", "/profiles/ann/"]
)
def test_gets_without_a_token_read_the_replica(path):
    assert read_alias_of(RequestFactory().get(path)) == REPLICA


@pytest.mark.parametrize(
    "request_",
    [
        RequestFactory().get("/movies/", HTTP_AUTHORIZATION="Bearer x"),
        RequestFactory().get("/admin/", HTTP_COOKIE="sessionid=x"),
        RequestFactory().post("/movies/"),
        RequestFactory().delete("/ratings/3/"),
    ],
)
def test_requests_of_members_and_writes_read_the_primary(request_):
    assert read_alias_of(request_) == DEFAULT_DB_ALIAS


def test_a_request_that_writes_reads_the_primary_from_then_on():
    def write():
        ROUTER.db_for_write(Movie)

    assert read_alias_of(RequestFactory().get("/movies/"), write) == DEFAULT_DB_ALIAS


@pytest.mark.django_db(transaction=True)
def test_a_request_reads_the_primary_inside_a_transaction_and_after_it():
    def read_in_transaction():
        with transaction.atomic():
            assert ROUTER.db_for_read(Movie) == DEFAULT_DB_ALIAS

    alias = read_alias_of(RequestFactory().get("/movies/"), read_in_transaction)

    assert alias == DEFAULT_DB_ALIAS


def test_outside_of_a_request_everything_reads_the_primary():
    read_alias_of(RequestFactory().get("/movies/"))

    assert ROUTER.db_for_read(Movie) == DEFAULT_DB_ALIAS
