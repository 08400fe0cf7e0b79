"""The models of the catalogue, by topic; import them from here."""

from movies.models.availability import MAX_OFFERS_AGE, MovieExtras, Offers, OffersQuerySet
from movies.models.configuration import Genre, Language, Provider, Region
from movies.models.movies import (
    DETAIL_COLUMNS,
    LIST_COLUMNS,
    MAX_AGE,
    MAX_FOLDED_NAME_LENGTH,
    Collection,
    Credit,
    Movie,
    MovieQuerySet,
    Person,
    is_stale,
)
from movies.models.translations import GenreName, Translation

__all__ = [
    "DETAIL_COLUMNS",
    "LIST_COLUMNS",
    "MAX_AGE",
    "MAX_FOLDED_NAME_LENGTH",
    "MAX_OFFERS_AGE",
    "Collection",
    "Credit",
    "Genre",
    "GenreName",
    "Language",
    "Movie",
    "MovieExtras",
    "MovieQuerySet",
    "Offers",
    "OffersQuerySet",
    "Person",
    "Provider",
    "Region",
    "Translation",
    "is_stale",
]
