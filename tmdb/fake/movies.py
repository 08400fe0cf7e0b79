"""Thousands of films made up by arithmetic on their ids, and TMDb's lists over them.

For the test server alone. Free of Django, and of anything that is not invented here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from nexus.core.genres import GENRE_NAMES, TMDB_GENRES

FIRST_GENERATED = 9_100_000
GENERATED = 6_000
PAGE_SIZE = 20
MAX_PAGE = 500
FIRST_YEAR, YEARS = 1950, 76
_FIRST_PERSON = 9_500_000
_PEOPLE = 900

_QUALITIES = (
    "Amber", "Brisk", "Cobalt", "Distant", "Eleventh", "Feathered", "Gilded", "Hollow", "Idle",
    "Jagged", "Kindled", "Lesser", "Muted", "Narrow", "Opal", "Pewter", "Quilted",
)  # fmt: skip
_THINGS = (
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
    return FIRST_GENERATED <= tmdb_id < FIRST_GENERATED + GENERATED


def _title(number: int) -> str:
    # 17, 19 and 13 have no common factor: 4,199 different titles before the first comes again.
    quality = _QUALITIES[number % len(_QUALITIES)]
    thing = _THINGS[number % len(_THINGS)]
    title = f"The {quality} {thing} of {_PLACES[number % len(_PLACES)]}"
    again = number // (len(_QUALITIES) * len(_THINGS) * len(_PLACES))
    return f"{title}, Part {again + 1}" if again else title


def _person(number: int) -> dict[str, Any]:
    number %= _PEOPLE
    forename = _FORENAMES[number % len(_FORENAMES)]
    surname = _SURNAMES[number // len(_FORENAMES) % len(_SURNAMES)]
    suffix = "" if number < len(_FORENAMES) * len(_SURNAMES) else " " + "I" * (number // 320 + 1)
    return {"adult": False, "id": _FIRST_PERSON + number, "name": f"{forename} {surname}{suffix}"}


@lru_cache(maxsize=GENERATED)
def film(tmdb_id: int) -> dict[str, Any]:
    """A generated film in full, the same each time."""
    number = tmdb_id - FIRST_GENERATED
    released = date(FIRST_YEAR + number % YEARS, 1, 1) + timedelta(days=number * 37 % 365)
    genres = sorted({GENRE_NAMES[number % 19], GENRE_NAMES[number * 7 % 19]})
    title = _title(number)
    lead, second, director = _person(number * 3), _person(number * 3 + 1), _person(number * 11 + 7)
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
        "overview": f"In {title.rpartition(' of ')[2]}, {lead['name']} has one night to put it right.",
        "popularity": round(60.0 / (1 + number / 40), 4),
        "poster_path": f"/poster{tmdb_id}.jpg",
        "release_date": released.isoformat(),
        "revenue": 0,
        "runtime": 80 + number % 71,
        "status": "Released",
        "tagline": f"Nobody leaves {title.rpartition(' of ')[2]} dry.",
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
    }


def films() -> list[dict[str, Any]]:
    """All generated films, by popularity."""
    return [film(FIRST_GENERATED + number) for number in range(GENERATED)]


_SUMMARY = (
    "adult", "backdrop_path", "id", "original_language", "original_title", "overview", "popularity",
    "poster_path", "release_date", "title", "video", "vote_average", "vote_count",
)  # fmt: skip


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """A film as a list has it."""
    genre_ids = [genre["id"] for genre in document["genres"]]
    return {**{name: document[name] for name in _SUMMARY}, "genre_ids": genre_ids}


def page(found: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """One page of films in full, as a list of TMDb's."""
    number = int(query.get("page", "1"))
    shown = found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return {
        "page": number,
        "results": [summary(each) for each in shown],
        "total_pages": min(math.ceil(len(found) / PAGE_SIZE), MAX_PAGE),
        "total_results": len(found),
    }


def listed(
    path: str, query: dict[str, str], held: Iterable[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """The films of one of TMDb's lists over `held` and the generated ones; None for another path."""
    every = [each for each in (*held, *films()) if not each["adult"]]
    by_popularity = sorted(every, key=lambda each: (-each["popularity"], each["id"]))
    newest = sorted(every, key=lambda each: each["release_date"], reverse=True)
    if path == "/3/movie/popular":
        return by_popularity
    if path == "/3/movie/top_rated":
        return sorted(every, key=lambda each: (-each["vote_average"], each["id"]))
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
            each
            for each in by_popularity
            if (year is None or each["release_date"].startswith(year))
            and each["release_date"] >= since
        ]
    return None


def related(document: dict[str, Any], held: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The films that share a genre with one, most popular first."""
    genres = {genre["id"] for genre in document["genres"]}
    found = [
        each
        for each in (*held, *films())
        if each["id"] != document["id"]
        and not each["adult"]
        and genres & {genre["id"] for genre in each["genres"]}
    ]
    return sorted(found, key=lambda each: (-each["popularity"], each["id"]))
