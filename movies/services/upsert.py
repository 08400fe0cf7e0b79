"""Store what a source knows of movies, and compare it with what is stored."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from movies.dto import LIST_ENTRY_FIELDS, MovieData, PersonData
from movies.models import Collection, Credit, Movie, Person
from movies.selectors import GENRE_COUNTS_KEY
from movies.services.catalogue import index_movie, lock_catalogue
from nexus.core.cache.computed import invalidate
from nexus.core.text import fold

# Of two sources that know a film, the one further on is believed; the other fills gaps only.
AUTHORITY = (
    Movie.Source.MOVIELENS,
    Movie.Source.STARTER,
    Movie.Source.TMDB,
    Movie.Source.MANUAL,
)
_FACT_COLUMNS = (
    "tmdb_id",
    "imdb_id",
    "title",
    "original_title",
    "original_language",
    "release_date",
    "release_year",
    "genres",
    "runtime",
    "overview",
    "tagline",
    "status",
    "keywords",
    "collection_id",
    "poster_path",
    "backdrop_path",
    "vote_average",
    "vote_count",
    "popularity",
)
_WRITTEN = [
    *("collection" if column == "collection_id" else column for column in _FACT_COLUMNS),
    "sort_title",
    "search_vector",
    "source",
    "synced_at",
    "details_missing",
    "removed_at_source",
    "updated_at",
]


@dataclass(frozen=True)
class UpsertResult:
    movie: Movie
    created: bool


@dataclass(frozen=True)
class ComparisonResult:
    """Where some facts stand against the catalogue."""

    movie_id: int | None
    changes: bool
    #: The place of the earlier facts about the same film, where they repeat it.
    duplicate_of: int | None = None


@transaction.atomic
def movies_upsert(*, movies: Sequence[MovieData], source: Movie.Source) -> list[UpsertResult]:
    """Store what one source says of some films, in the order given.

    A film is known by its TMDb id, else by its IMDb id. A source of less authority than the one a
    film came from only fills what is empty, and an entry of a list (`is_list_entry`) leaves alone
    what lists do not say. Writers take turns, so that the same film sent twenty times at once is
    created once.
    """
    lock_catalogue()
    collections = _collections(movies)
    people = _people(movies)
    held = list(_matching(movies).select_for_update())
    by_tmdb, by_imdb = _by_ids(held)
    # An entry of a list names nobody; the people of the film stay in its search words.
    billed = _credits_of(held) if any(fact.is_list_entry for fact in movies) else {}
    now = timezone.now()
    results: list[UpsertResult] = []
    fresh: list[Movie] = []
    known: dict[int, Movie] = {}
    with_credits: list[tuple[Movie, MovieData]] = []
    for fact in movies:
        movie = by_tmdb.get(fact.tmdb_id or 0) or by_imdb.get(fact.imdb_id or "")
        created = movie is None
        if movie is None:
            movie = Movie(source=source, created_at=now)
            fresh.append(movie)
        elif movie.pk:
            known[movie.pk] = movie
        outranked = AUTHORITY.index(source) < AUTHORITY.index(Movie.Source(movie.source))
        _assign(movie, fact, collections, fill_only=outranked, taken=by_imdb)
        if not outranked:
            _mark_synced(movie, fact, source, now)
            names = [person.name for person in (*fact.directors, *fact.cast)]
            if fact.is_list_entry:
                names = [name for _, name, _ in billed.get(movie.pk, ())]
            else:
                with_credits.append((movie, fact))
            index_movie(movie, names)
        movie.updated_at = now
        if movie.tmdb_id:
            by_tmdb[movie.tmdb_id] = movie
        if movie.imdb_id:
            by_imdb[movie.imdb_id] = movie
        results.append(UpsertResult(movie, created))
    Movie.objects.bulk_create(fresh, batch_size=1000)
    Movie.objects.bulk_update(known.values(), _WRITTEN, batch_size=500)
    _replace_credits(with_credits, people)
    transaction.on_commit(lambda: invalidate(GENRE_COUNTS_KEY))
    return results


def movies_compare(*, movies: Sequence[MovieData], source: Movie.Source) -> list[ComparisonResult]:
    """What movies_upsert would find of these films, in the order given; nothing is written.

    With it an import that is run again can leave alone what has not changed.
    """
    stored = list(_matching(movies).defer("search_vector"))
    by_tmdb, by_imdb = _by_ids(stored)
    billed = _credits_of(stored)
    collections = dict(
        Collection.objects.filter(
            tmdb_id__in={fact.collection.tmdb_id for fact in movies if fact.collection}
        ).values_list("tmdb_id", "id")
    )
    # Objects tell films apart here, since new ones have no id yet.
    places: dict[int, int] = {}
    results: list[ComparisonResult] = []
    fresh: list[Movie] = []
    for place, fact in enumerate(movies):
        movie = by_tmdb.get(fact.tmdb_id or 0) or by_imdb.get(fact.imdb_id or "")
        if movie is None:
            movie = Movie(tmdb_id=fact.tmdb_id, imdb_id=fact.imdb_id)
            fresh.append(movie)
        first = places.setdefault(id(movie), place)
        if first != place:
            results.append(ComparisonResult(movie.pk, changes=False, duplicate_of=first))
            continue
        if fact.tmdb_id and movie.tmdb_id in (None, fact.tmdb_id):
            by_tmdb[fact.tmdb_id] = movie
        if fact.imdb_id and movie.imdb_id in (None, fact.imdb_id):
            by_imdb.setdefault(fact.imdb_id, movie)
        if movie.pk is None:
            results.append(ComparisonResult(None, changes=True))
            continue
        after = copy.copy(movie)
        outranked = AUTHORITY.index(source) < AUTHORITY.index(Movie.Source(movie.source))
        _assign(after, fact, collections, fill_only=outranked, taken=by_imdb)
        changes = any(getattr(after, name) != getattr(movie, name) for name in _FACT_COLUMNS)
        if not outranked:
            changes |= movie.source != source
            if not fact.is_list_entry:
                changes |= movie.details_missing or billed.get(movie.pk, []) != _billing(fact)
        if fact.collection and fact.collection.tmdb_id not in collections:
            changes = True
        results.append(ComparisonResult(movie.pk, changes))
    return results


def _matching(facts: Sequence[MovieData]) -> models.QuerySet[Movie]:
    """The stored films that bear an id of these facts."""
    tmdb_ids = [fact.tmdb_id for fact in facts if fact.tmdb_id]
    imdb_ids = [fact.imdb_id for fact in facts if fact.imdb_id]
    return Movie.objects.filter(Q(tmdb_id__in=tmdb_ids) | Q(imdb_id__in=imdb_ids))


def _by_ids(movies: Sequence[Movie]) -> tuple[dict[int, Movie], dict[str, Movie]]:
    return (
        {movie.tmdb_id: movie for movie in movies if movie.tmdb_id},
        {movie.imdb_id: movie for movie in movies if movie.imdb_id},
    )


def _credits_of(movies: Sequence[Movie]) -> dict[int, list[tuple[str, str, str]]]:
    """Role, name and character of each film's people, directors first, in billing order."""
    billed: dict[int, list[tuple[str, str, str]]] = {}
    rows = Credit.objects.filter(movie__in=[movie.pk for movie in movies])
    for movie_id, *billing in rows.order_by("-role", "position").values_list(
        "movie_id", "role", "person__name", "character"
    ):
        billed.setdefault(movie_id, []).append((billing[0], billing[1], billing[2]))
    return billed


def _billing(fact: MovieData) -> list[tuple[str, str, str]]:
    """The people of these facts as _credits_of would give them once stored."""
    return [
        (role.value, person.name, person.character)
        for role, persons in ((Credit.Role.DIRECTOR, fact.directors), (Credit.Role.CAST, fact.cast))
        for person in _first_billings(persons)
    ]


def _first_billings(persons: Sequence[PersonData]) -> list[PersonData]:
    """Each person once, at their first place in a role."""
    first: dict[int | str, PersonData] = {}
    for person in persons:
        first.setdefault(_person_key(person), person)
    return list(first.values())


def _assign(
    movie: Movie,
    fact: MovieData,
    collections: dict[int, int],
    *,
    fill_only: bool,
    taken: dict[str, Movie],
) -> None:
    year = fact.release_date.year if fact.release_date else fact.release_year
    # Two films under one IMDb id is a source's mistake; the first keeps it.
    imdb_id = fact.imdb_id if taken.get(fact.imdb_id or "", movie) is movie else None
    values = {
        "tmdb_id": fact.tmdb_id,
        "imdb_id": imdb_id,
        "title": fact.title,
        "original_title": fact.original_title,
        "original_language": fact.original_language,
        "release_date": fact.release_date,
        "release_year": year,
        "genres": list(fact.genres),
        "runtime": fact.runtime,
        "overview": fact.overview,
        "tagline": fact.tagline,
        "status": fact.status,
        "keywords": list(fact.keywords),
        "collection_id": collections.get(fact.collection.tmdb_id) if fact.collection else None,
        "poster_path": fact.poster_path,
        "backdrop_path": fact.backdrop_path,
        "vote_average": fact.vote_average,
        "vote_count": fact.vote_count,
        "popularity": fact.popularity,
    }
    for column in _FACT_COLUMNS:
        if fact.is_list_entry and column not in LIST_ENTRY_FIELDS:
            continue
        # An id once known stays, whoever leaves it out.
        keeps = fill_only or column in ("tmdb_id", "imdb_id")
        if keeps and getattr(movie, column):
            continue
        setattr(movie, column, values[column])
    if movie.release_date is not None:
        movie.release_year = movie.release_date.year


def _mark_synced(movie: Movie, fact: MovieData, source: Movie.Source, now: datetime) -> None:
    """What the source says of the film now, and for how long that is good."""
    has_details = movie.synced_at and movie.source == source and not movie.details_missing
    # Beside an entry of a list, details stay as old as they were, and the oldest counts.
    if not (fact.is_list_entry and has_details):
        movie.synced_at = now
        movie.details_missing = fact.is_list_entry
    movie.source = source
    movie.removed_at_source = None


def _collections(facts: Sequence[MovieData]) -> dict[int, int]:
    """Ids of the collections by TMDb's ids; new ones are stored, renamed ones renamed."""
    named = {fact.collection.tmdb_id: fact.collection for fact in facts if fact.collection}
    if not named:
        return {}
    Collection.objects.bulk_create(
        [Collection(tmdb_id=each.tmdb_id, name=each.name) for each in named.values()],
        update_conflicts=True,
        unique_fields=["tmdb_id"],
        update_fields=["name"],
    )
    return dict(Collection.objects.filter(tmdb_id__in=named).values_list("tmdb_id", "id"))


def _person_key(person: PersonData) -> int | str:
    return person.tmdb_id or person.name


def _people(facts: Sequence[MovieData]) -> dict[int | str, int]:
    """Ids of the people by TMDb's id, or by name where a source knows no more."""
    wanted = {
        _person_key(person): person for fact in facts for person in (*fact.directors, *fact.cast)
    }
    if not wanted:
        return {}
    people = [
        Person(name=each.name, folded_name=fold(each.name)[:600], tmdb_id=each.tmdb_id)
        for each in wanted.values()
    ]
    Person.objects.bulk_create(
        [person for person in people if person.tmdb_id],
        update_conflicts=True,
        unique_fields=["tmdb_id"],
        update_fields=["name", "folded_name"],
        batch_size=1000,
    )
    Person.objects.bulk_create(
        [person for person in people if not person.tmdb_id], ignore_conflicts=True, batch_size=1000
    )
    tmdb_ids = [person.tmdb_id for person in people if person.tmdb_id]
    names = [person.name for person in people if not person.tmdb_id]
    stored = Person.objects.filter(Q(tmdb_id__in=tmdb_ids) | Q(tmdb_id=None, name__in=names))
    return {person.tmdb_id or person.name: person.pk for person in stored}


def _replace_credits(
    with_facts: Iterable[tuple[Movie, MovieData]], people: dict[int | str, int]
) -> None:
    wanted: dict[int, list[Credit]] = {}
    for movie, fact in with_facts:
        wanted[movie.pk] = [
            *_credits(movie, Credit.Role.DIRECTOR, fact.directors, people),
            *_credits(movie, Credit.Role.CAST, fact.cast, people),
        ]
    Credit.objects.filter(movie_id__in=wanted).delete()
    Credit.objects.bulk_create([each for some in wanted.values() for each in some], batch_size=2000)


def _credits(
    movie: Movie, role: Credit.Role, persons: Sequence[PersonData], people: dict[int | str, int]
) -> list[Credit]:
    # Two spellings of a source may be one stored person, who is billed once a role.
    billed: dict[int, PersonData] = {}
    for person in _first_billings(persons):
        billed.setdefault(people[_person_key(person)], person)
    return [
        Credit(
            movie=movie,
            person_id=person_id,
            role=role,
            position=position,
            character=person.character,
        )
        for position, (person_id, person) in enumerate(billed.items())
    ]
