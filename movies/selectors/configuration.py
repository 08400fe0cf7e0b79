"""TMDb's configuration lists as the catalogue stores them, with what is built in until then."""

from __future__ import annotations

from movies.models import Genre, Region
from movies.regions import REGION_NAMES
from nexus.core.cache.client import TTL_S
from nexus.core.cache.computed import get_or_compute
from nexus.core.genres import TMDB_GENRES, find_genre

_REGIONS_KEY = "movies:regions"
_GENRES_KEY = "movies:added_genres"
#: The cached values to delete when a list has changed.
CONFIGURATION_KEYS = (_REGIONS_KEY, _GENRES_KEY)


def get_region_names() -> dict[str, str]:
    """Return the English names of the regions by code: TMDb's, or ISO's before the first sync."""
    ttl_s = TTL_S["configuration"]
    return get_or_compute(_REGIONS_KEY, _read_regions, expected_type=dict, ttl_s=ttl_s)


def get_added_genres() -> dict[str, int]:
    """Return the ids of the genres that TMDb has added to those of nexus.core.genres, by name."""
    ttl_s = TTL_S["configuration"]
    return get_or_compute(_GENRES_KEY, _read_added_genres, expected_type=dict, ttl_s=ttl_s)


def find_known_genre(text: str) -> str | None:
    """Return the genre of a name in any case or of a TMDb id, one that TMDb has added too."""
    genre = find_genre(text)
    if genre is not None:
        return genre
    wanted = text.strip().casefold()
    for name, tmdb_id in get_added_genres().items():
        if wanted in (name.casefold(), str(tmdb_id)):
            return name
    return None


def _read_regions() -> dict[str, str]:
    stored = dict(Region.objects.order_by("code").values_list("code", "english_name"))
    return stored or REGION_NAMES


def _read_added_genres() -> dict[str, int]:
    added = Genre.objects.exclude(tmdb_id__in=TMDB_GENRES.values()).order_by("name")
    return dict(added.values_list("name", "tmdb_id"))
