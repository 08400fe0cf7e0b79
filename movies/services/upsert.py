"""Store movies as a source describes them, and compare them with the stored ones.

`movies_upsert` writes. `movies_compare` returns the changes it would make, so that an import that runs
again can leave out unchanged movies. MovieData's fields have the names of Movie's, and are
copied by name: a field that both have needs no edit here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from movies.availability import AvailabilityData, ProviderData, VideoData
from movies.dto import LIST_ENTRY_FIELDS, CollectionData, MovieData, PersonData
from movies.models import (
    Collection,
    Credit,
    Movie,
    MovieExtras,
    MovieQuerySet,
    Offers,
    Person,
    Provider,
    Translation,
)
from movies.selectors import GENRE_COUNTS_KEY
from nexus.core.cache.computed import invalidate
from nexus.core.db.advisory_locks import AdvisoryLock, acquire_transaction_lock

#: From least to most authority. A source of more authority replaces the data of one of less; a
#: source of less authority only fills empty fields.
AUTHORITY = (
    Movie.Source.MOVIELENS,
    Movie.Source.STARTER,
    Movie.Source.TMDB,
    Movie.Source.MANUAL,
)
_MODEL_FIELDS = {field.name: field for field in Movie._meta.concrete_fields}
#: The model's attribute for each field that MovieData and Movie share.
_SHARED_FIELDS = {
    field.name: _MODEL_FIELDS[field.name].attname
    for field in dataclasses.fields(MovieData)
    if field.name in _MODEL_FIELDS
}
_WRITTEN_FIELDS = [
    *_SHARED_FIELDS,
    "sort_title",
    "search_vector",
    "source",
    "synced_at",
    "details_missing",
    "removed_at_source",
    "updated_at",
]
#: A person is identified by TMDb's id, or by name if the source has no ids.
PersonKey = int | str
# A known id stays if newer data does not have it.
_ID_FIELDS = ("tmdb_id", "imdb_id")


class _CreditLine(NamedTuple):
    role: str
    name: str
    character: str


@dataclass(frozen=True)
class UpsertResult:
    movie: Movie
    created: bool


@transaction.atomic
def movies_upsert(*, movies: Sequence[MovieData], source: Movie.Source) -> list[UpsertResult]:
    """Store movies of one source. Return one result for each, in order.

    A movie is identified by its TMDb id, else by its IMDb id. A source of less authority than the one a
    movie came from only fills empty fields (AUTHORITY). An entry of a list (`is_list_entry`) leaves
    unchanged what lists do not contain, and the collection unless the entry has one. Writers take turns, so that simultaneous imports of one
    movie create it once.
    """
    acquire_transaction_lock(AdvisoryLock.CATALOGUE_WRITE)
    collection_ids = _store_collections(movies)
    person_ids = _store_people([person for data in movies for person in data.people])
    stored = list(_filter_known(movies).select_for_update())
    # List entries name no people; those of the stored movie stay in its search words.
    credits_by_movie = _read_credits(stored) if any(data.is_list_entry for data in movies) else {}
    titles_by_movie = {}
    if any(data.translations is None for data in movies):
        titles_by_movie = Translation.objects.read_titles(movie.pk for movie in stored)
    index = _MovieIndex(stored)
    now = timezone.now()
    results: list[UpsertResult] = []
    with_credits: list[tuple[Movie, MovieData]] = []
    translated: list[tuple[Movie, MovieData]] = []
    for data in movies:
        movie = index.find(data)
        created = movie is None
        if movie is None:
            movie = Movie(source=source, created_at=now)
        outranked = _is_outranked(source, movie)
        _assign(movie, data, collection_ids, index, fill_only=outranked)
        index.add(movie)
        if not outranked:
            _mark_synced(movie, data, source, now)
            if data.is_list_entry:
                names = [credit.name for credit in credits_by_movie.get(movie.pk, ())]
            else:
                names = [person.name for person in data.people]
                with_credits.append((movie, data))
            if data.translations is None:
                titles = titles_by_movie.get(movie.pk, [])
            else:
                titles = data.translated_titles
                translated.append((movie, data))
            movie.set_search_fields(names, titles)
        movie.updated_at = now
        results.append(UpsertResult(movie, created))
    # A movie that the data contains twice has two results, and one object.
    written = {id(result.movie): result.movie for result in results}.values()
    new = [movie for movie in written if movie.pk is None]
    changed = [movie for movie in written if movie.pk is not None]
    Movie.objects.bulk_create(new, batch_size=1000)
    Movie.objects.bulk_update(changed, _WRITTEN_FIELDS, batch_size=500)
    _replace_credits(with_credits, person_ids)
    _replace_translations(translated, now)
    availability_store(
        movies={
            result.movie.pk: data.availability
            for result, data in zip(results, movies, strict=True)
            if data.availability is not None
        }
    )
    transaction.on_commit(lambda: invalidate(GENRE_COUNTS_KEY))
    return results


@dataclass(frozen=True)
class ComparisonResult:
    """What `movies_upsert` would do with one movie."""

    #: None for a movie that is not stored.
    movie_id: int | None
    changes: bool
    #: The position of earlier data of the same movie in the same call.
    duplicate_of: int | None = None


def movies_compare(*, movies: Sequence[MovieData], source: Movie.Source) -> list[ComparisonResult]:
    """Return what `movies_upsert` would do with each movie, in order. Writes nothing."""
    stored = list(_filter_known(movies).defer("search_vector"))
    credits_by_movie = _read_credits(stored)
    collection_ids = _read_collection_ids({data.collection for data in movies if data.collection})
    index = _MovieIndex(stored)
    # By identity, because movies that are not stored have no id.
    first_positions: dict[int, int] = {}
    results: list[ComparisonResult] = []
    for position, data in enumerate(movies):
        movie = index.find(data) or Movie(source=source)
        first = first_positions.setdefault(id(movie), position)
        if first != position:
            results.append(ComparisonResult(movie.pk, changes=False, duplicate_of=first))
            continue
        before = [getattr(movie, name) for name in _SHARED_FIELDS.values()]
        outranked = _is_outranked(source, movie)
        _assign(movie, data, collection_ids, index, fill_only=outranked)
        index.add(movie)
        changes = (
            movie.pk is None
            or before != [getattr(movie, name) for name in _SHARED_FIELDS.values()]
            or (data.collection is not None and data.collection.tmdb_id not in collection_ids)
        )
        if not outranked:
            changes |= movie.source != source
            if not data.is_list_entry:
                changes |= movie.details_missing
                changes |= credits_by_movie.get(movie.pk, []) != _list_credits(data)
        results.append(ComparisonResult(movie.pk, changes))
    return results


class _MovieIndex:
    """Movies by their ids: the stored ones, and those that earlier data of the same call added."""

    def __init__(self, stored: Iterable[Movie]) -> None:
        self._by_tmdb_id: dict[int, Movie] = {}
        self._by_imdb_id: dict[str, Movie] = {}
        # Keeps the objects alive, so that no two have the same identity.
        self._unsaved: list[Movie] = []
        for movie in stored:
            self.add(movie)

    def add(self, movie: Movie) -> None:
        if movie.tmdb_id:
            self._by_tmdb_id[movie.tmdb_id] = movie
        if movie.imdb_id:
            self._by_imdb_id[movie.imdb_id] = movie
        if movie.pk is None:
            self._unsaved.append(movie)

    def find(self, data: MovieData) -> Movie | None:
        by_tmdb_id = self._by_tmdb_id.get(data.tmdb_id or 0)
        return by_tmdb_id or self._by_imdb_id.get(data.imdb_id or "")

    def has_other_movie(self, imdb_id: str, movie: Movie) -> bool:
        """Return whether another movie than this one has the IMDb id."""
        return self._by_imdb_id.get(imdb_id, movie) is not movie


def _filter_known(movies: Sequence[MovieData]) -> MovieQuerySet:
    tmdb_ids = [data.tmdb_id for data in movies if data.tmdb_id]
    imdb_ids = [data.imdb_id for data in movies if data.imdb_id]
    return Movie.objects.filter(Q(tmdb_id__in=tmdb_ids) | Q(imdb_id__in=imdb_ids))


def _is_outranked(source: Movie.Source, movie: Movie) -> bool:
    return AUTHORITY.index(source) < AUTHORITY.index(Movie.Source(movie.source))


def _assign(
    movie: Movie,
    data: MovieData,
    collection_ids: dict[int, int],
    index: _MovieIndex,
    *,
    fill_only: bool,
) -> None:
    """Copy the fields of the data to the movie; with `fill_only`, only those that it has empty."""
    for name, attribute in _SHARED_FIELDS.items():
        if not _has_field(data, name):
            continue
        if (fill_only or name in _ID_FIELDS) and getattr(movie, attribute):
            continue
        # Two movies with one IMDb id are an error of a source; the first one has it.
        if name == "imdb_id" and data.imdb_id and index.has_other_movie(data.imdb_id, movie):
            continue
        setattr(movie, attribute, _to_column_value(getattr(data, name), collection_ids))
    if movie.release_date is not None:
        movie.release_year = movie.release_date.year


def _has_field(data: MovieData, name: str) -> bool:
    """Return whether the data contains a field. Of list entries, only parts of a series have a collection."""
    if not data.is_list_entry or name in LIST_ENTRY_FIELDS:
        return True
    return name == "collection" and data.collection is not None


def _to_column_value(value: Any, collection_ids: dict[int, int]) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, CollectionData):
        return collection_ids.get(value.tmdb_id)
    return value


def _mark_synced(movie: Movie, data: MovieData, source: Movie.Source, now: datetime) -> None:
    has_details = movie.synced_at and movie.source == source and not movie.details_missing
    # An entry of a list does not renew details, and synced_at is the time of the oldest data.
    if not (data.is_list_entry and has_details):
        movie.synced_at = now
        movie.details_missing = data.is_list_entry
    movie.source = source
    movie.removed_at_source = None


def _store_collections(movies: Sequence[MovieData]) -> dict[int, int]:
    """Create or rename the movies' collections. Return their ids by TMDb id."""
    collections = {data.collection.tmdb_id: data.collection for data in movies if data.collection}
    if not collections:
        return {}
    Collection.objects.bulk_create(
        [Collection(tmdb_id=data.tmdb_id, name=data.name) for data in collections.values()],
        update_conflicts=True,
        unique_fields=["tmdb_id"],
        update_fields=["name"],
    )
    return _read_collection_ids(collections.values())


def _read_collection_ids(collections: Iterable[CollectionData]) -> dict[int, int]:
    tmdb_ids = [data.tmdb_id for data in collections]
    return dict(Collection.objects.filter(tmdb_id__in=tmdb_ids).values_list("tmdb_id", "id"))


# --- People and credits --------------------------------------------------------------------------


def _store_people(people: Sequence[PersonData]) -> dict[PersonKey, int]:
    """Create or rename people. Return their ids by key."""
    people_by_key = {_make_person_key(person): person for person in people}
    if not people_by_key:
        return {}
    rows = [
        Person(name=person.name, tmdb_id=person.tmdb_id, popularity=person.popularity)
        for person in people_by_key.values()
    ]
    for row in rows:
        row.set_search_fields()
    Person.objects.bulk_create(
        [person for person in rows if person.tmdb_id],
        update_conflicts=True,
        unique_fields=["tmdb_id"],
        update_fields=["name", "folded_name", "popularity", "search_vector"],
        batch_size=1000,
    )
    Person.objects.bulk_create(
        [person for person in rows if not person.tmdb_id], ignore_conflicts=True, batch_size=1000
    )
    tmdb_ids = [person.tmdb_id for person in rows if person.tmdb_id]
    names = [person.name for person in rows if not person.tmdb_id]
    stored = Person.objects.filter(Q(tmdb_id__in=tmdb_ids) | Q(tmdb_id=None, name__in=names))
    return {person.tmdb_id or person.name: person.pk for person in stored}


def _read_credits(movies: Sequence[Movie]) -> dict[int, list[_CreditLine]]:
    """Return the credits of each movie, directors first, in billing order."""
    credits_by_movie: dict[int, list[_CreditLine]] = {}
    rows = Credit.objects.filter(movie__in=[movie.pk for movie in movies])
    for movie_id, *line in rows.order_by("-role", "position").values_list(
        "movie_id", "role", "person__name", "character"
    ):
        credits_by_movie.setdefault(movie_id, []).append(_CreditLine(*line))
    return credits_by_movie


def _list_credits(data: MovieData) -> list[_CreditLine]:
    """Return the credits of a source's data as `_read_credits` returns them once stored."""
    return [
        _CreditLine(role.value, person.name, person.character)
        for role, people in _list_people_by_role(data)
        for person in _drop_repeated(people)
    ]


def _replace_credits(
    movies: Iterable[tuple[Movie, MovieData]], person_ids: dict[PersonKey, int]
) -> None:
    """Replace the credits of movies by those of their data; the last data of a movie counts."""
    credits_by_movie: dict[int, list[Credit]] = {}
    for movie, data in movies:
        credits_by_movie[movie.pk] = [
            credit
            for role, people in _list_people_by_role(data)
            for credit in _build_credits(movie, role, people, person_ids)
        ]
    replaced = Credit.objects.filter(movie_id__in=credits_by_movie)
    former_ids = set(replaced.values_list("person_id", flat=True))
    replaced.delete()
    new = list(chain.from_iterable(credits_by_movie.values()))
    Credit.objects.bulk_create(new, batch_size=2000)
    # A person whom TMDb has merged with another one loses their credits to the other.
    former_ids -= {credit.person_id for credit in new}
    if former_ids:
        Person.objects.filter(id__in=former_ids, credits=None).delete()


def _build_credits(
    movie: Movie,
    role: Credit.Role,
    people: Sequence[PersonData],
    person_ids: dict[PersonKey, int],
) -> list[Credit]:
    # Two spellings in a source may be one stored person, who has one credit in a role.
    by_person_id: dict[int, PersonData] = {}
    for person in _drop_repeated(people):
        by_person_id.setdefault(person_ids[_make_person_key(person)], person)
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


def _replace_translations(movies: Iterable[tuple[Movie, MovieData]], now: datetime) -> None:
    """Replace the translations of movies by those of their data; the last data of a movie counts."""
    translations = {movie.pk: data.translations or () for movie, data in movies}
    if not translations:
        return
    Translation.objects.filter(movie__in=translations).delete()
    Translation.objects.bulk_create(
        [
            Translation(movie_id=movie_id, synced_at=now, **dataclasses.asdict(translation))
            for movie_id, of_movie in sorted(translations.items())
            for translation in of_movie
        ],
        batch_size=1000,
    )


def _list_people_by_role(data: MovieData) -> list[tuple[Credit.Role, Sequence[PersonData]]]:
    return [(Credit.Role.DIRECTOR, data.directors), (Credit.Role.CAST, data.cast)]


def _drop_repeated(people: Sequence[PersonData]) -> list[PersonData]:
    """Return each person once, at their first position."""
    first: dict[PersonKey, PersonData] = {}
    for person in people:
        first.setdefault(_make_person_key(person), person)
    return list(first.values())


def _make_person_key(person: PersonData) -> PersonKey:
    return person.tmdb_id or person.name


# --- Offers, videos and releases -----------------------------------------------------------------


def availability_store(
    *, movies: Mapping[int, AvailabilityData], synced_at: datetime | None = None
) -> None:
    """Replace what is stored of the offers, videos and releases of movies, by movie id.

    Runs in the caller's transaction.
    """
    if not movies:
        return
    now = synced_at or timezone.now()
    _store_providers(provider for data in movies.values() for provider in data.providers)
    Offers.objects.bulk_create(
        [
            Offers(
                movie_id=movie_id,
                region="",
                keys=[offer.key for offer in data.offers],
                link=data.link,
                synced_at=now,
            )
            for movie_id, data in sorted(movies.items())
        ],
        update_conflicts=True,
        unique_fields=["movie", "region"],
        update_fields=["keys", "link", "synced_at"],
        batch_size=500,
    )
    _store_extras(movies, now)


def _store_extras(movies: Mapping[int, AvailabilityData], now: datetime) -> None:
    """Replace videos and releases; changed releases have a new revision."""
    stored = MovieExtras.objects.defer("videos").in_bulk(list(movies))
    rows = []
    for movie_id, data in sorted(movies.items()):
        before, releases = stored.get(movie_id), _pack_releases(data)
        is_changed = before is None or before.releases != releases
        row = MovieExtras(
            movie_id=movie_id,
            videos=[_pack_video(video) for video in data.videos],
            releases=releases,
            last_release=max((release.day for release in data.releases), default=None),
            synced_at=now,
        )
        if before is not None:
            row.revision = before.revision + is_changed
        row.changed_at = now if is_changed or before is None else before.changed_at
        rows.append(row)
    MovieExtras.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["movie"],
        update_fields=[
            *("videos", "releases", "last_release", "revision", "changed_at", "synced_at"),
        ],
        batch_size=500,
    )


def _store_providers(providers: Iterable[ProviderData]) -> None:
    """Store new providers, and changed names and logos. Regions stay as they are."""
    by_id = {provider.provider_id: provider for provider in providers}
    stored = {row.pk: (row.name, row.logo_path) for row in Provider.objects.filter(pk__in=by_id)}
    changed = [
        Provider(id=provider_id, name=provider.name, logo_path=provider.logo_path)
        for provider_id, provider in sorted(by_id.items())
        if stored.get(provider_id) != (provider.name, provider.logo_path)
    ]
    if changed:
        Provider.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["name", "logo_path"],
        )


def _pack_video(video: VideoData) -> dict[str, Any]:
    return {
        "name": video.name,
        "type": video.kind,
        "site": video.site,
        "key": video.key,
        "official": video.is_official,
        "language": video.language,
        "published_at": video.published_at.isoformat() if video.published_at else None,
    }


def _pack_releases(data: AvailabilityData) -> dict[str, list[list[str]]]:
    packed: dict[str, list[list[str]]] = {}
    for release in data.releases:
        entry = [release.day.isoformat(), release.kind, release.certification, release.note]
        packed.setdefault(release.region, []).append(entry)
    return packed
