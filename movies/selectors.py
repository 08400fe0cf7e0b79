"""Reads of the catalogue that return plain data."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from django.db import connection

from movies.models import MAX_AGE, SUMMARY_FIELDS, Credit, Movie
from nexus.core.cache.client import TTL_S
from nexus.core.cache.computed import get_or_compute
from nexus.core.db.bounded_page import read_rows
from nexus.core.db.raw_sql import Columns, prepared_rows
from nexus.core.genres import GENRE_NAMES, TMDB_GENRES

GENRE_COUNTS_KEY = "movies:genre_counts"


class GenreCount(TypedDict):
    name: str
    tmdb_id: int
    movie_count: int


def count_movies_by_genre() -> list[GenreCount]:
    """TMDb's genres in its order with the number of films of each; counted at most once a TTL."""
    ttl_s = TTL_S["genre_counts"]
    counts = get_or_compute(GENRE_COUNTS_KEY, _films_by_genre, expected_type=dict, ttl_s=ttl_s)
    return [
        {"name": name, "tmdb_id": tmdb_id, "movie_count": counts.get(name, 0)}
        for name, tmdb_id in TMDB_GENRES.items()
    ]


class CollectionSummary(TypedDict):
    tmdb_id: int
    name: str


@dataclass(frozen=True)
class CreditedPerson:
    """One credit of a film."""

    role: str
    person_id: int
    name: str
    character: str


@dataclass(frozen=True)
class MovieDetail:
    """A film with its people, by role in billing order, and its collection."""

    movie: Movie
    billed: list[CreditedPerson]
    collection: CollectionSummary | None


_MOVIE = Columns(Movie, "movie", but=["search_vector"])
_FILM = f"""
SELECT {_MOVIE.sql},
    (SELECT jsonb_build_object('tmdb_id', tmdb_id, 'name', name)
     FROM movies_collection WHERE id = movie.collection_id),
    (SELECT jsonb_agg(
         jsonb_build_array(credit.role, person.id, person.name, credit.character)
         ORDER BY credit.role, credit.position)
     FROM movies_credit AS credit JOIN movies_person AS person ON person.id = credit.person_id
     WHERE credit.movie_id = movie.id)
FROM movies_movie AS movie WHERE movie.id = %s
""".encode()  # noqa: S608 (column names of our own)


def get_movie_detail(movie_id: int) -> MovieDetail | None:
    """A film with people and collection, in one query."""
    for *values, collection, billed in prepared_rows(_FILM, [movie_id]):
        return MovieDetail(
            _MOVIE.instance(values),
            [CreditedPerson(*each) for each in json.loads(billed)] if billed else [],
            json.loads(collection) if collection else None,
        )
    return None


# Not shown, but they decide what may be shown; in a row of plain values their verdict stands.
_DECIDING = ("source", "synced_at")
_SHOWN = tuple(name for name in SUMMARY_FIELDS if name not in _DECIDING)
# As Movie.is_stale has it.
_IS_STALE = (
    f"{{table}}.source = '{Movie.Source.TMDB}' AND ({{table}}.synced_at IS NULL"
    f" OR {{table}}.synced_at < now() - interval '{MAX_AGE.days} days')"
)
#: The columns of a SummaryRow, as nexus.core.db.bounded_page.Reader takes them.
SUMMARY_COLUMNS = (*(f"{{table}}.{name}" for name in _SHOWN), _IS_STALE)
# Its fields are a list elsewhere.
_Row: Any = namedtuple("_Row", [*_SHOWN, "is_stale"])  # type: ignore[misc]
_GENRES = _SHOWN.index("genres")


class SummaryRow(_Row):  # type: ignore[misc]
    """What a MovieSummary is made of, named as the film's; twenty films take ten times as long."""

    __slots__ = ()
    id: int

    @classmethod
    def of(cls, values: Sequence[Any]) -> SummaryRow:
        """A row of SUMMARY_COLUMNS, jsonb as text."""
        row = [*values[:_GENRES], json.loads(values[_GENRES]), *values[_GENRES + 1 :]]
        return cls._make(row)  # type: ignore[no-any-return]


def get_movie_summaries(movie_ids: Sequence[int]) -> list[SummaryRow]:
    """The rows of the films that exist, in the order of their ids; one query."""
    rows = read_rows(Movie.objects.all(), SUMMARY_COLUMNS, movie_ids)
    return [SummaryRow.of(row) for row in rows]


def _films_by_genre() -> dict[str, int]:
    # Each genre's own index is counted, and no film is read.
    one = "SELECT %s, count(*) FROM movies_movie WHERE genres @> %s::jsonb"
    names = [value for name in GENRE_NAMES for value in (name, json.dumps([name]))]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([one] * len(GENRE_NAMES)), names)
        return dict(cursor.fetchall())


def find_movies_in_use(movie_ids: Collection[int]) -> dict[str, set[int]]:
    """Which of these films anything outside the catalogue refers to, by what refers to them.

    One query for each kind of thing, such as ratings; credits are part of the film.
    """
    used: dict[str, set[int]] = {}
    for relation in Movie._meta.related_objects:
        model, name = relation.field.model, relation.field.name
        if model is Credit:
            continue
        rows = model._default_manager.filter(**{f"{name}__in": movie_ids})
        if found := set(rows.values_list(name, flat=True)):
            used[str(model._meta.verbose_name_plural)] = found
    return used
