"""Remove and reindex movies and people of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from movies import search
from movies.models import Credit, Movie, Person
from movies.selectors import GENRE_COUNTS_KEY
from nexus.core.cache.computed import invalidate
from nexus.core.db.advisory_locks import AdvisoryLock, acquire_transaction_lock
from nexus.core.text import fold


def lock_catalogue() -> None:
    """Have writers of films take turns until this transaction ends; taken before any film's row."""
    acquire_transaction_lock(AdvisoryLock.CATALOGUE_WRITE)


@dataclass(frozen=True)
class MoviesRemoved:
    movies: int
    people: int


@transaction.atomic
def movies_remove(*, movie_ids: Iterable[int]) -> MoviesRemoved:
    """Take films out of the catalogue with all that hangs on them.

    People who were credited in them and in no other film go too.
    """
    wanted = list(movie_ids)
    lock_catalogue()
    people = set(Credit.objects.filter(movie__in=wanted).values_list("person_id", flat=True))
    _, movies = Movie.objects.filter(id__in=wanted).delete()
    _, persons = Person.objects.filter(id__in=people, credits=None).delete()
    transaction.on_commit(lambda: invalidate(GENRE_COUNTS_KEY))
    return MoviesRemoved(
        movies=movies.get(Movie._meta.label, 0), people=persons.get(Person._meta.label, 0)
    )


def movie_mark_removed(*, movie: Movie) -> None:
    """Note that the source has the film no longer."""
    removed = Movie.objects.filter(pk=movie.pk, removed_at_source=None)
    removed.update(removed_at_source=timezone.now())


def movie_reindex(*, movie: Movie) -> None:
    """Bring a film's search words and sort title up to date after an edit of it or its people."""
    names = movie.credits.order_by("-role", "position").values_list("person__name", flat=True)
    index_movie(movie, list(names))
    movie.save(update_fields=["sort_title", "search_vector", "updated_at"])
    transaction.on_commit(lambda: invalidate(GENRE_COUNTS_KEY))


@transaction.atomic
def person_reindex(*, person: Person) -> None:
    """Bring a person's folded name and their films' search words up to date after an edit."""
    person.folded_name = fold(person.name)[:600]
    person.save(update_fields=["folded_name"])
    for movie in Movie.objects.filter(credits__person=person).distinct():
        movie_reindex(movie=movie)


@transaction.atomic
def people_remove(*, person_ids: Iterable[int]) -> None:
    """Take people out of the catalogue, and so out of the credits of their films."""
    wanted = list(person_ids)
    movies = list(Movie.objects.filter(credits__person__in=wanted).distinct())
    Person.objects.filter(id__in=wanted).delete()
    for movie in movies:
        movie_reindex(movie=movie)


def index_movie(movie: Movie, people: list[str]) -> None:
    movie.sort_title = search.make_sort_title(movie.title)
    movie.search_vector = search.build_search_vector(
        title=movie.title, original_title=movie.original_title, people=people
    )
