"""Thousands of movies generated from their ids, and TMDb's lists of them, for `tmdb.fake.server`.

Every title, person and plot is invented. Free of Django.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from nexus.core.genres import GENRE_NAMES, TMDB_GENRES
from tmdb.fake.availability import make_release_dates, make_videos, make_watch_providers
from tmdb.fake.translations import make_translations

FIRST_GENERATED_ID = 9_100_000
GENERATED_COUNT = 6_000
PAGE_SIZE = 20
MAX_PAGE = 500
FIRST_YEAR, YEAR_COUNT = 1950, 76
_FIRST_PERSON_ID = 9_500_000
_PERSON_COUNT = 900

_ADJECTIVES = (
    "Amber", "Brisk", "Cobalt", "Distant", "Eleventh", "Feathered", "Gilded", "Hollow", "Idle",
    "Jagged", "Kindled", "Lesser", "Muted", "Narrow", "Opal", "Pewter", "Quilted",
)  # fmt: skip
_NOUNS = (
    "Almanac", "Bellows", "Causeway", "Dovecote", "Estuary", "Ferry", "Granary", "Harness",
    "Inkwell", "Jetty", "Kiln", "Loom", "Millpond", "Needle", "Orchard", "Pulley", "Ropewalk",
    "Sundial", "Tannery",
)  # fmt: skip
_PLACES = (
    "Ardenvale", "Brockmere", "Cinderford Row", "Dunlark", "Eskerby", "Fallowgate", "Greywater",
    "Hartsend", "Inverlow", "Kestrel Bay", "Larchmoor", "Mistlethorpe", "Norrhaven",
)  # fmt: skip
_FORENAMES = (
    "Alba", "Benno", "Cerys", "Doru", "Elske", "Fenna", "Goran", "Hedda", "Ivo", "Jorun", "Kasimir",
    "Linnea", "Mirko", "Nadja", "Orla", "Petrus", "Quirina", "Runa", "Silvan", "Tamsin",
)  # fmt: skip
_SURNAMES = (
    "Ashdown", "Bellweather", "Crane-Okoro", "Dalgaard", "Emberton", "Falkenrath", "Grimsditch",
    "Hallgrove", "Isherwell", "Jansdotter", "Kilbrennan", "Lowenhardt", "Mortlake", "Nightingrove",
    "Oxenham", "Pendarvis",
)  # fmt: skip


def is_generated(tmdb_id: int) -> bool:
    return FIRST_GENERATED_ID <= tmdb_id < FIRST_GENERATED_ID + GENERATED_COUNT


def _make_title(number: int) -> str:
    # 17, 19 and 13 have no common factor, so that the first 4,199 titles differ.
    adjective = _ADJECTIVES[number % len(_ADJECTIVES)]
    noun = _NOUNS[number % len(_NOUNS)]
    title = f"The {adjective} {noun} of {_PLACES[number % len(_PLACES)]}"
    repeat = number // (len(_ADJECTIVES) * len(_NOUNS) * len(_PLACES))
    return f"{title}, Part {repeat + 1}" if repeat else title


def _make_person(number: int) -> dict[str, Any]:
    number %= _PERSON_COUNT
    forename = _FORENAMES[number % len(_FORENAMES)]
    surname = _SURNAMES[number // len(_FORENAMES) % len(_SURNAMES)]
    suffix = "" if number < len(_FORENAMES) * len(_SURNAMES) else " " + "I" * (number // 320 + 1)
    return {
        "adult": False,
        "id": _FIRST_PERSON_ID + number,
        "name": f"{forename} {surname}{suffix}",
        "popularity": round(5.0 / (1 + number / 20), 4),
    }


@lru_cache(maxsize=GENERATED_COUNT)
def generate_movie(tmdb_id: int) -> dict[str, Any]:
    """Return a generated movie in full; the same id gives the same movie."""
    number = tmdb_id - FIRST_GENERATED_ID
    released = date(FIRST_YEAR + number % YEAR_COUNT, 1, 1) + timedelta(days=number * 37 % 365)
    genres = sorted({GENRE_NAMES[number % 19], GENRE_NAMES[number * 7 % 19]})
    title = _make_title(number)
    place = title.rpartition(" of ")[2]
    lead, second, director = (
        _make_person(number * 3),
        _make_person(number * 3 + 1),
        _make_person(number * 11 + 7),
    )
    overview = f"In {place}, {lead['name']} has one night to put it right."
    tagline = f"Nobody leaves {place} dry."
    return {
        "adult": False,
        "backdrop_path": f"/backdrop{tmdb_id}.jpg",
        "belongs_to_collection": None,
        "budget": 0,
        "genres": [{"id": TMDB_GENRES[name], "name": name} for name in genres],
        "homepage": "",
        "id": tmdb_id,
        "imdb_id": f"tt{tmdb_id}",
        "original_language": ("en", "en", "en", "fr", "de", "ja")[number % 6],
        "original_title": title,
        "overview": overview,
        "popularity": round(60.0 / (1 + number / 40), 4),
        "poster_path": f"/poster{tmdb_id}.jpg",
        "release_date": released.isoformat(),
        "revenue": 0,
        "runtime": 80 + number % 71,
        "status": "Released",
        "tagline": tagline,
        "title": title,
        "video": False,
        "vote_average": round(4.5 + 4.5 * math.sin(number * 0.7) ** 2, 3),
        "vote_count": 20 + 12_000 // (number + 1),
        "credits": {
            "cast": [
                {**lead, "character": "The Keeper", "credit_id": f"c{tmdb_id}a", "order": 0},
                {**second, "character": "The Guest", "credit_id": f"c{tmdb_id}b", "order": 1},
            ],
            "crew": [
                {
                    **director,
                    "department": "Directing",
                    "job": "Director",
                    "credit_id": f"d{tmdb_id}",
                }
            ],
        },
        "keywords": {
            "keywords": [{"id": 9_700_000 + number % 40, "name": f"errand {number % 40}"}]
        },
        "watch/providers": make_watch_providers(number, tmdb_id),
        "videos": make_videos(number, tmdb_id),
        "release_dates": make_release_dates(number, released.isoformat()),
        "translations": make_translations(number, title, overview, tagline),
    }


def generate_movies() -> list[dict[str, Any]]:
    """Return all generated movies, the most popular first."""
    return [generate_movie(FIRST_GENERATED_ID + number) for number in range(GENERATED_COUNT)]


_LIST_FIELDS = (
    "adult", "backdrop_path", "id", "original_language", "original_title", "overview", "popularity",
    "poster_path", "release_date", "title", "video", "vote_average", "vote_count",
)  # fmt: skip


def make_list_entry(movie: dict[str, Any]) -> dict[str, Any]:
    """Return a movie as TMDb's lists show it."""
    genre_ids = [genre["id"] for genre in movie["genres"]]
    return {**{name: movie[name] for name in _LIST_FIELDS}, "genre_ids": genre_ids}


def make_page(movies: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """Return the page of a list of movies that the query parameters select."""
    number = int(query.get("page", "1"))
    on_page = movies[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return {
        "page": number,
        "results": [make_list_entry(movie) for movie in on_page],
        "total_pages": min(math.ceil(len(movies) / PAGE_SIZE), MAX_PAGE),
        "total_results": len(movies),
    }


def get_list(
    path: str, query: dict[str, str], movies: Iterable[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """Return TMDb's list at a path, from `movies` and the generated ones; None if it is no list."""
    all_movies = [movie for movie in (*movies, *generate_movies()) if not movie["adult"]]
    by_popularity = sorted(all_movies, key=_get_popularity_order)
    newest = sorted(all_movies, key=lambda movie: movie["release_date"], reverse=True)
    if path == "/3/movie/popular":
        return by_popularity
    if path == "/3/movie/top_rated":
        return sorted(all_movies, key=lambda movie: (-movie["vote_average"], movie["id"]))
    if path == "/3/trending/movie/day":
        return by_popularity[3:] + by_popularity[:3]
    if path == "/3/trending/movie/week":
        return by_popularity
    if path == "/3/movie/now_playing":
        return newest[40:]
    if path == "/3/movie/upcoming":
        return newest[:40]
    if path == "/3/discover/movie":
        year, since = query.get("primary_release_year"), query.get("primary_release_date.gte", "")
        return [
            movie
            for movie in by_popularity
            if (year is None or movie["release_date"].startswith(year))
            and movie["release_date"] >= since
            and _has_offer(movie, query)
        ]
    return None


def _has_offer(movie: dict[str, Any], query: dict[str, str]) -> bool:
    """Return whether a movie has one of the offers that the parameters of discover ask for."""
    if "with_watch_providers" not in query:
        return True
    offers = movie["watch/providers"]["results"].get(query.get("watch_region"), {})
    kinds = query.get("with_watch_monetization_types", "flatrate|free|ads|rent|buy").split("|")
    wanted = {int(number) for number in query["with_watch_providers"].split("|")}
    return any(
        provider["provider_id"] in wanted for kind in kinds for provider in offers.get(kind, ())
    )


def get_related(movie: dict[str, Any], movies: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the movies that share a genre with one, the most popular first."""
    genre_ids = {genre["id"] for genre in movie["genres"]}
    related = [
        other
        for other in (*movies, *generate_movies())
        if other["id"] != movie["id"]
        and not other["adult"]
        and genre_ids & {genre["id"] for genre in other["genres"]}
    ]
    return sorted(related, key=_get_popularity_order)


def _get_popularity_order(movie: dict[str, Any]) -> tuple[float, int]:
    return -movie["popularity"], movie["id"]
