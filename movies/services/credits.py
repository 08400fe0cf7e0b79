"""Store people and the credits of movies; part of `movies.services.upsert`.

A person is known by TMDb's id, or by name if the source has no ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from django.db.models import Q

from movies.dto import MovieData, PersonData
from movies.models import Credit, Movie, Person
from movies.services.catalogue import fold_name

PersonKey = int | str


class CreditLine(NamedTuple):
    role: str
    name: str
    character: str


def store_people(people: Sequence[PersonData]) -> dict[PersonKey, int]:
    """Create or rename people. Return their ids by key."""
    wanted = {_person_key(person): person for person in people}
    if not wanted:
        return {}
    rows = [
        Person(name=person.name, folded_name=fold_name(person.name), tmdb_id=person.tmdb_id)
        for person in wanted.values()
    ]
    Person.objects.bulk_create(
        [person for person in rows if person.tmdb_id],
        update_conflicts=True,
        unique_fields=["tmdb_id"],
        update_fields=["name", "folded_name"],
        batch_size=1000,
    )
    Person.objects.bulk_create(
        [person for person in rows if not person.tmdb_id], ignore_conflicts=True, batch_size=1000
    )
    tmdb_ids = [person.tmdb_id for person in rows if person.tmdb_id]
    names = [person.name for person in rows if not person.tmdb_id]
    stored = Person.objects.filter(Q(tmdb_id__in=tmdb_ids) | Q(tmdb_id=None, name__in=names))
    return {person.tmdb_id or person.name: person.pk for person in stored}


def read_credits(movies: Sequence[Movie]) -> dict[int, list[CreditLine]]:
    """Return the credits of each movie, directors first, in billing order."""
    credits_by_movie: dict[int, list[CreditLine]] = {}
    rows = Credit.objects.filter(movie__in=[movie.pk for movie in movies])
    for movie_id, *line in rows.order_by("-role", "position").values_list(
        "movie_id", "role", "person__name", "character"
    ):
        credits_by_movie.setdefault(movie_id, []).append(CreditLine(*line))
    return credits_by_movie


def list_credits(data: MovieData) -> list[CreditLine]:
    """Return the credits of a source's data as `read_credits` returns them once stored."""
    return [
        CreditLine(role.value, person.name, person.character)
        for role, people in _people_by_role(data)
        for person in _drop_repeated(people)
    ]


def replace_credits(
    movies: Iterable[tuple[Movie, MovieData]], person_ids: dict[PersonKey, int]
) -> None:
    """Replace the credits of movies by those of their data; the last data of a movie counts."""
    credits_by_movie: dict[int, list[Credit]] = {}
    for movie, data in movies:
        credits_by_movie[movie.pk] = [
            credit
            for role, people in _people_by_role(data)
            for credit in _build_credits(movie, role, people, person_ids)
        ]
    Credit.objects.filter(movie_id__in=credits_by_movie).delete()
    Credit.objects.bulk_create(
        list(chain.from_iterable(credits_by_movie.values())), batch_size=2000
    )


def _build_credits(
    movie: Movie,
    role: Credit.Role,
    people: Sequence[PersonData],
    person_ids: dict[PersonKey, int],
) -> list[Credit]:
    # Two spellings in a source may be one stored person, who has one credit in a role.
    by_person_id: dict[int, PersonData] = {}
    for person in _drop_repeated(people):
        by_person_id.setdefault(person_ids[_person_key(person)], person)
    return [
        Credit(
            movie=movie,
            person_id=person_id,
            role=role,
            position=position,
            character=person.character,
        )
        for position, (person_id, person) in enumerate(by_person_id.items())
    ]


def _people_by_role(data: MovieData) -> list[tuple[Credit.Role, Sequence[PersonData]]]:
    return [(Credit.Role.DIRECTOR, data.directors), (Credit.Role.CAST, data.cast)]


def _drop_repeated(people: Sequence[PersonData]) -> list[PersonData]:
    """Return each person once, at their first position."""
    first: dict[PersonKey, PersonData] = {}
    for person in people:
        first.setdefault(_person_key(person), person)
    return list(first.values())


def _person_key(person: PersonData) -> PersonKey:
    return person.tmdb_id or person.name
