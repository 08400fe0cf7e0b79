"""Store TMDb's lists of genres, languages and regions. An empty list replaces nothing."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from movies.models import Genre, Language, Region
from movies.selectors import CONFIGURATION_KEYS, GENRE_COUNTS_KEY
from nexus.core.cache.computed import invalidate


@transaction.atomic
def genres_add(*, names: Mapping[int, str]) -> None:
    """Store new genres by TMDb's id, and changed names. Movies may have a genre that TMDb dropped."""
    # Two genres of one name are an error of the source; the first one has it.
    unique = {name: tmdb_id for tmdb_id, name in sorted(names.items(), reverse=True)}
    Genre.objects.filter(name__in=unique).exclude(tmdb_id__in=unique.values()).delete()
    Genre.objects.bulk_create(
        [Genre(tmdb_id=tmdb_id, name=name) for name, tmdb_id in unique.items()],
        update_conflicts=True,
        unique_fields=["tmdb_id"],
        update_fields=["name"],
    )
    _invalidate_on_commit()


@transaction.atomic
def regions_replace(*, names: Mapping[str, str]) -> None:
    """Store the regions by their codes, in place of those before."""
    if names:
        Region.objects.exclude(code__in=names).delete()
        Region.objects.bulk_create(
            [Region(code=code, english_name=name) for code, name in names.items()],
            update_conflicts=True,
            unique_fields=["code"],
            update_fields=["english_name"],
        )
        _invalidate_on_commit()


@transaction.atomic
def languages_replace(*, languages: Mapping[str, tuple[str, str]]) -> None:
    """Store the languages by their codes, each with its English and its own name."""
    if languages:
        Language.objects.exclude(code__in=languages).delete()
        Language.objects.bulk_create(
            [
                Language(code=code, english_name=english_name, name=name)
                for code, (english_name, name) in languages.items()
            ],
            update_conflicts=True,
            unique_fields=["code"],
            update_fields=["english_name", "name"],
        )
        _invalidate_on_commit()


def _invalidate_on_commit() -> None:
    def invalidate_all() -> None:
        for key in (*CONFIGURATION_KEYS, GENRE_COUNTS_KEY):
            invalidate(key)

    transaction.on_commit(invalidate_all)
