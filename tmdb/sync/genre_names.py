"""Store TMDb's names of its genres in each language that it is translated into."""

from __future__ import annotations

from movies.services.translations import genre_names_replace
from nexus.core.genres import find_genre_by_id
from tmdb.client.http import make_genres_request, make_primary_translations_request
from tmdb.gateway import Gateway
from tmdb.parsers import parse_genre_list, parse_primary_translations


def genre_names_sync(*, gateway: Gateway) -> int:
    """Store the names; return the number of languages. Some 70 requests. Raises TmdbError."""
    languages = parse_primary_translations(gateway.fetch(make_primary_translations_request()))
    english = dict(parse_genre_list(gateway.fetch(make_genres_request())))
    # Movies are stored with the catalogue's names, and with TMDb's of genres that it has added.
    stored_names = {
        genre_id: find_genre_by_id(genre_id) or name for genre_id, name in english.items()
    }
    translated = [(language, region) for language, region in languages if language != "en"]
    for language, region in translated:
        genres = parse_genre_list(gateway.fetch(make_genres_request(f"{language}-{region}")))
        names = {
            stored_names[genre_id]: name for genre_id, name in genres if genre_id in stored_names
        }
        genre_names_replace(language=language, region=region, names=names)
    return len(translated)
