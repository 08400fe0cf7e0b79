"""Offers, videos and release dates of the generated movies, in TMDb's shapes, for `tmdb.fake.server`.

Free of Django. Everything follows from a movie's number, and upcoming days from today's year.
"""

from __future__ import annotations

from datetime import date
from typing import Any

REGIONS = {
    "DE": "Germany",
    "FR": "France",
    "GB": "United Kingdom",
    "US": "United States of America",
}
#: Countries that TMDb lists without any provider.
OTHER_COUNTRIES = {"AQ": "Antarctica", "KE": "Kenya"}
LANGUAGES = (("en", "English", "English"), ("de", "German", "Deutsch"), ("fr", "French", "Français"),
             ("ja", "Japanese", "日本語"), ("pt", "Portuguese", "Português"), ("xx", "No Language", ""))  # fmt: skip
#: Ids and names like TMDb's, each with the regions it is in and what it takes.
PROVIDERS: tuple[tuple[int, str, tuple[str, ...], str], ...] = (
    (8, "Netflix", ("DE", "FR", "GB", "US"), "flatrate"),
    (337, "Disney Plus", ("DE", "FR", "GB", "US"), "flatrate"),
    (9, "Amazon Prime Video", ("DE", "GB", "US"), "flatrate"),
    (178, "MagentaTV", ("DE",), "flatrate"),
    (613, "Freevee", ("DE", "US"), "ads"),
    (219, "ARD Mediathek", ("DE",), "free"),
    (2, "Apple TV", ("DE", "FR", "GB", "US"), "rent"),
    (3, "Google Play Movies", ("DE", "US"), "buy"),
)
_CERTIFICATIONS = {"DE": ("0", "6", "12", "16", "18"), "US": ("G", "PG", "PG-13", "R", "NC-17")}


def is_offered(number: int, provider_id: int, region: str) -> bool:
    """Return whether a provider offers the movie with this number in a region."""
    return (number * 31 + provider_id + sum(map(ord, region))) % 5 == 0


def make_watch_providers(number: int, tmdb_id: int) -> dict[str, Any]:
    """Return `watch/providers` of a movie: only regions with an offer are in it."""
    results: dict[str, Any] = {}
    for region in REGIONS:
        offers: dict[str, list[dict[str, Any]]] = {}
        for priority, (provider_id, _, regions, monetization) in enumerate(PROVIDERS):
            if region in regions and is_offered(number, provider_id, region):
                offers.setdefault(monetization, []).append(_make_entry(priority))
        if offers:
            link = f"https://www.themoviedb.org/movie/{tmdb_id}/watch?locale={region}"
            results[region] = {"link": link, **offers}
    return {"results": results}


def make_provider_list(region: str | None) -> dict[str, Any]:
    """Return /watch/providers/movie, of one region if it is named."""
    return {
        "results": [
            {
                **_make_entry(priority),
                "display_priorities": dict.fromkeys(PROVIDERS[priority][2], priority),
            }
            for priority in range(len(PROVIDERS))
            if region is None or region in PROVIDERS[priority][2]
        ]
    }


def make_region_list() -> dict[str, Any]:
    """Return /watch/providers/regions."""
    return {"results": [_make_country(code, name) for code, name in REGIONS.items()]}


def make_country_list() -> list[dict[str, str]]:
    """Return /configuration/countries."""
    countries = {**REGIONS, **OTHER_COUNTRIES}
    return [_make_country(code, countries[code]) for code in sorted(countries)]


def make_language_list() -> list[dict[str, str]]:
    """Return /configuration/languages."""
    return [
        {"iso_639_1": code, "english_name": english_name, "name": name}
        for code, english_name, name in LANGUAGES
    ]


def make_videos(number: int, tmdb_id: int) -> dict[str, Any]:
    """Return `videos` of a movie: a fan's trailer, the official one, and for some movies a clip."""
    names = ["Fan Trailer", "Official Trailer", *(["Behind the Scenes"] if number % 3 == 0 else [])]
    return {
        "results": [
            {
                "iso_639_1": "en",
                "iso_3166_1": "US",
                "name": name,
                "key": f"fake{tmdb_id}_{place}",
                "site": "Vimeo" if number % 7 == 6 else "YouTube",
                "size": 1080,
                "type": "Trailer" if "Trailer" in name else "Behind the Scenes",
                "official": not name.startswith("Fan"),
                "published_at": f"2024-0{place + 1}-11T15:00:0{place}.000Z",
                "id": f"{tmdb_id}{place:04}",
            }
            for place, name in enumerate(names)
        ]
    }


def make_release_dates(number: int, released: str) -> dict[str, Any]:
    """Return `release_dates` of a movie: its release, and for some a coming one in each region.

    Every fourth movie returns to the cinemas, and every fifth comes out on disc, on its anniversary.
    """
    results = []
    for region, certifications in _CERTIFICATIONS.items() if released else ():
        certification = certifications[number % 5]
        dates = [_make_release(released, 3, certification)]
        if number % 4 == 0:
            dates.append(_make_release(_get_anniversary(released), 3, certification, "Anniversary"))
        if number % 5 == 0:
            dates.append(_make_release(_get_anniversary(released), 5, certification))
        results.append({"iso_3166_1": region, "release_dates": dates})
    return {"results": results}


def _make_entry(priority: int) -> dict[str, Any]:
    provider_id, name, _, _ = PROVIDERS[priority]
    return {
        "logo_path": f"/provider{provider_id}.jpg",
        "provider_id": provider_id,
        "provider_name": name,
        "display_priority": priority,
    }


def _make_country(code: str, name: str) -> dict[str, str]:
    return {"iso_3166_1": code, "english_name": name, "native_name": name}


def _make_release(day: str, kind: int, certification: str, note: str = "") -> dict[str, Any]:
    return {
        "certification": certification,
        "descriptors": [],
        "iso_639_1": "",
        "note": note,
        "release_date": f"{day}T00:00:00.000Z",
        "type": kind,
    }


def _get_anniversary(released: str) -> str:
    """Return the same day in the year after this one."""
    return f"{date.today().year + 1}{released[4:].replace('-02-29', '-02-28')}"
