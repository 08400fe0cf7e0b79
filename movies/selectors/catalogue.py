"""Reads of the catalogue across its models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TypedDict

from django.db.models import Count

from movies.models import Credit, Movie, MovieExtras, Offers, Person, Translation
from movies.selectors.configuration import get_added_genres
from nexus.core.cache.client import TTL_S
from nexus.core.cache.computed import get_or_compute
from nexus.core.genres import TMDB_GENRES

GENRE_COUNTS_KEY = "movies:genre_counts"


class GenreCount(TypedDict):
    name: str
    tmdb_id: int
    movie_count: int


class RoleInMovie(TypedDict):
    role: str
    character: str


def count_movies_by_genre() -> list[GenreCount]:
    """Return TMDb's genres in its order, each with its number of movies; cached for ten minutes.

    Genres that TMDb has added come last.
    """
    ttl_s = TTL_S["genre_counts"]
    counts = get_or_compute(GENRE_COUNTS_KEY, _count_by_genre, expected_type=dict, ttl_s=ttl_s)
    return [
        {"name": name, "tmdb_id": tmdb_id, "movie_count": counts.get(name, 0)}
        for name, tmdb_id in {**TMDB_GENRES, **get_added_genres()}.items()
    ]


def _count_by_genre() -> dict[str, int]:
    counts: Counter[str] = Counter()
    # Combinations of genres are few, so that PostgreSQL counts them and Python adds them up.
    combinations = Movie.objects.order_by().values_list("genres").annotate(Count("pk"))
    for genres, count in combinations:
        for genre in genres:
            counts[genre] += count
    return dict(counts)


def count_movies_by_role(person: Person) -> dict[str, int]:
    """Return the number of a person's movies in each role."""
    counts = dict(person.credits.order_by().values_list("role").annotate(Count("pk")))
    return {role: counts.get(role, 0) for role in Credit.Role.values}


def read_roles(person_id: int, movie_ids: Collection[int]) -> dict[int, list[RoleInMovie]]:
    """Return a person's roles in each of these movies, in one query."""
    roles: dict[int, list[RoleInMovie]] = {movie_id: [] for movie_id in movie_ids}
    credited = Credit.objects.filter(person_id=person_id, movie__in=movie_ids).order_by("-role")
    for movie_id, role, character in credited.values_list("movie_id", "role", "character"):
        roles[movie_id].append({"role": role, "character": character})
    return roles


def find_movies_in_use(movie_ids: Collection[int]) -> dict[str, set[int]]:
    """Return which of these movies other apps refer to, by the plural name of what refers to them.

    One query for each kind of thing, such as ratings. Credits, offers and translations do not count:
    they are part of the movie.
    """
    used: dict[str, set[int]] = {}
    for relation in Movie._meta.related_objects:
        model, name = relation.field.model, relation.field.name
        if model in (Credit, MovieExtras, Offers, Translation):
            continue
        rows = model._default_manager.filter(**{f"{name}__in": movie_ids})
        if referred_ids := set(rows.values_list(name, flat=True)):
            used[str(model._meta.verbose_name_plural)] = referred_ids
    return used
