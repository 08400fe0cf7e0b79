import pytest
from django.db import DEFAULT_DB_ALIAS
from django.test import RequestFactory

from accounts.models import User
from movies.models import Movie
from nexus.core.db.routers import REPLICA, ReplicaMiddleware, ReplicaRouter, read_primary, reading

ROUTER = ReplicaRouter()


def where(request, during=lambda: None):
    """The database that a request reads films from, after something it does."""
    seen = []

    def view(_request):
        during()
        seen.append(ROUTER.db_for_read(Movie))

    ReplicaMiddleware(view)(request)
    assert reading() == DEFAULT_DB_ALIAS
    return seen[0]


@pytest.mark.parametrize("path", ["/movies/", "/movies/3/", "/genres/", "/movies/3/reviews/"])
def test_a_visitors_reads_of_the_catalogue_go_to_the_replica(path):
    assert where(RequestFactory().get(path)) == REPLICA


@pytest.mark.parametrize(
    "request_",
    [
        RequestFactory().get("/movies/", HTTP_AUTHORIZATION="Bearer x"),
        RequestFactory().post("/movies/"),
        RequestFactory().get("/movies/top_rated/"),
        RequestFactory().get("/movies/3/similar/"),
        RequestFactory().get("/profiles/ann/"),
        RequestFactory().get("/admin/"),
    ],
)
def test_who_may_have_written_and_what_is_kept_for_all_read_the_primary(request_):
    assert where(request_) == DEFAULT_DB_ALIAS


@pytest.mark.parametrize("write", [read_primary, lambda: ROUTER.db_for_write(Movie)])
def test_a_request_that_writes_reads_the_primary_from_then_on(write):
    assert where(RequestFactory().get("/movies/"), write) == DEFAULT_DB_ALIAS


def test_only_films_are_read_there_and_nothing_is_migrated():
    seen = []
    ReplicaMiddleware(lambda _: seen.append(ROUTER.db_for_read(User)))(
        RequestFactory().get("/movies/")
    )
    assert seen == [DEFAULT_DB_ALIAS]
    assert ROUTER.allow_migrate(DEFAULT_DB_ALIAS, "movies")
    assert not ROUTER.allow_migrate(REPLICA, "movies")
