"""Store the names of genres in other languages, and delete translations that have expired."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from movies.models import GenreName, Translation
from movies.models.translations import get_oldest_allowed_sync


@transaction.atomic
def genre_names_replace(*, language: str, region: str, names: Mapping[str, str]) -> None:
    """Store the names of genres in a language, by the names that movies are stored with."""
    GenreName.objects.filter(language=language, region=region).delete()
    GenreName.objects.bulk_create(
        [
            GenreName(genre=genre, language=language, region=region, name=name)
            for genre, name in sorted(names.items())
        ]
    )


def expired_translations_delete() -> int:
    """Delete translations that TMDb's terms no longer allow to be stored; return their number."""
    return Translation.objects.filter(synced_at__lte=get_oldest_allowed_sync()).delete()[0]
