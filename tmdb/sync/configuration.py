"""Store TMDb's configuration lists: genres, languages, regions and providers, in four requests.

The task `tmdb.tasks.sync_configuration` calls `configuration_sync` every night.
"""

from __future__ import annotations

from movies.services.availability import provider_list_replace
from movies.services.configuration import genres_add, languages_replace, regions_replace
from tmdb.client.http import (
    make_genres_request,
    make_languages_request,
    make_providers_request,
    make_regions_request,
)
from tmdb.gateway import Gateway
from tmdb.parsers import parse_genre_names, parse_languages, parse_provider_list, parse_regions


def configuration_sync(*, gateway: Gateway) -> None:
    """Store each list as soon as it is read. Raises TmdbError; the lists before it are stored then."""
    genres_add(names=parse_genre_names(gateway.fetch(make_genres_request())))
    regions_replace(names=parse_regions(gateway.fetch(make_regions_request())))
    languages = parse_languages(gateway.fetch(make_languages_request()))
    languages_replace(languages={each.code: (each.english_name, each.name) for each in languages})
    providers = parse_provider_list(gateway.fetch(make_providers_request()))
    if providers:
        provider_list_replace(providers=providers)
