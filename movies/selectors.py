"""Reads of the catalogue that return plain data."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TypedDict

from django.db import connection

from movies.models import Credit, Movie
from movies.services import GENRE_COUNTS_KEY
from nexus.core import cache
from nexus.core.genres import GENRE_NAMES, TMDB_GENRES


class GenreCount(TypedDict):
    name: str
    tmdb_id: int
    movie_count: int


def genre_counts() -> list[GenreCount]:
    """TMDb's genres in its order with the number of films of each; counted at most once a TTL."""
    ttl_s = cache.TTL_S["genre_counts"]
    counts = cache.made_once(GENRE_COUNTS_KEY, _films_by_genre, kind=dict, ttl_s=ttl_s)
    return [
        {"name": name, "tmdb_id": tmdb_id, "movie_count": counts.get(name, 0)}
        for name, tmdb_id in TMDB_GENRES.items()
    ]


def _films_by_genre() -> dict[str, int]:
    # Each genre's own index is counted, and no film is read.
    one = "SELECT %s, count(*) FROM movies_movie WHERE genres @> %s::jsonb"
    names = [value for name in GENRE_NAMES for value in (name, json.dumps([name]))]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([one] * len(GENRE_NAMES)), names)
        return dict(cursor.fetchall())


def movie_with_credits(movie_id: int) -> Movie | None:
    """A film with people and collection: three queries at most."""
    return Movie.objects.with_credits().filter(pk=movie_id).first()


def movies_in_use(movie_ids: Collection[int]) -> dict[str, set[int]]:
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
