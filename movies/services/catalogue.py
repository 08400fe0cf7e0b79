"""Remove movies and people from the catalogue, and update their search fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from movies.models import Credit, Movie, Person, Translation
from movies.selectors import GENRE_COUNTS_KEY
from nexus.core.cache.computed import invalidate
from nexus.core.db.advisory_locks import AdvisoryLock, acquire_transaction_lock


@dataclass(frozen=True)
class RemovalCounts:
    movies: int
    people: int


@transaction.atomic
def movies_remove(*, movie_ids: Iterable[int]) -> RemovalCounts:
    """Delete movies with all that refers to them, and people who have no other credits."""
    ids = list(movie_ids)
    acquire_transaction_lock(AdvisoryLock.CATALOGUE_WRITE)
    person_ids = set(Credit.objects.filter(movie__in=ids).values_list("person_id", flat=True))
    _, movie_counts = Movie.objects.filter(id__in=ids).delete()
    _, person_counts = Person.objects.filter(id__in=person_ids, credits=None).delete()
    transaction.on_commit(lambda: invalidate(GENRE_COUNTS_KEY))
    return RemovalCounts(
        movies=movie_counts.get(Movie._meta.label, 0),
        people=person_counts.get(Person._meta.label, 0),
    )


def movie_mark_removed(*, movie: Movie) -> None:
    """Record that the source no longer has the movie."""
    unmarked = Movie.objects.filter(pk=movie.pk, removed_at_source=None)
    unmarked.update(removed_at_source=timezone.now())


def movie_reindex(*, movie: Movie) -> None:
    """Update a movie's search words and sort title after an edit of it or its people."""
    names = movie.credits.order_by("-role", "position").values_list("person__name", flat=True)
    titles = Translation.objects.read_titles([movie.pk]).get(movie.pk, [])
    movie.set_search_fields(list(names), titles)
    movie.save(update_fields=["sort_title", "search_vector", "updated_at"])
    transaction.on_commit(lambda: invalidate(GENRE_COUNTS_KEY))


@transaction.atomic
def person_reindex(*, person: Person) -> None:
    """Update the search fields of a saved person and of their movies after an edit."""
    person.set_search_fields()
    person.save(update_fields=["folded_name", "search_vector"])
    for movie in Movie.objects.filter(credits__person=person).distinct():
        movie_reindex(movie=movie)


@transaction.atomic
def people_remove(*, person_ids: Iterable[int]) -> None:
    """Delete people with their credits, and update their movies' search words."""
    ids = list(person_ids)
    movies = list(Movie.objects.filter(credits__person__in=ids).distinct())
    Person.objects.filter(id__in=ids).delete()
    for movie in movies:
        movie_reindex(movie=movie)
