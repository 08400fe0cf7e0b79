"""Reads of the catalogue across its models; import them from here."""

from movies.selectors.availability import (
    ProviderOffer,
    RegionOffers,
    get_extras,
    get_region_offers,
    list_region_providers,
)
from movies.selectors.catalogue import (
    GENRE_COUNTS_KEY,
    GenreCount,
    RoleInMovie,
    count_movies_by_genre,
    count_movies_by_role,
    find_movies_in_use,
    read_roles,
)
from movies.selectors.configuration import (
    CONFIGURATION_KEYS,
    find_known_genre,
    get_added_genres,
    get_region_names,
)

__all__ = [
    "CONFIGURATION_KEYS",
    "GENRE_COUNTS_KEY",
    "GenreCount",
    "ProviderOffer",
    "RegionOffers",
    "RoleInMovie",
    "count_movies_by_genre",
    "count_movies_by_role",
    "find_known_genre",
    "find_movies_in_use",
    "get_added_genres",
    "get_extras",
    "get_region_names",
    "get_region_offers",
    "list_region_providers",
    "read_roles",
]
