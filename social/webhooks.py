"""The webhook bodies of media servers: which movie was watched to its end, or marked as watched.

Bodies are those of Plex (https://support.plex.tv/articles/115002267687-webhooks/), of Jellyfin's webhook
plugin with all properties, of Emby's webhooks, and of Kodi's addons and notifications. A body is read
as far as it is understood: what is missing or malformed is unknown. Free of Django.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from movies.dto import FIRST_YEAR, LAST_YEAR, MAX_TMDB_ID, MovieReference

#: The share of a movie after which it counts as watched.
WATCHED_SHARE = 0.9
MAX_TITLE_LENGTH = 500

_IMDB_ID = re.compile(r"tt[0-9]{7,10}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)
# guid of Plex's former agents: com.plexapp.agents.themoviedb://348?lang=en
_PLEX_ID = re.compile(r"(imdb|tmdb|themoviedb)://(tt[0-9]+|[0-9]+)", re.ASCII)


class MediaServer(StrEnum):
    PLEX = "plex"
    JELLYFIN = "jellyfin"
    EMBY = "emby"
    KODI = "kodi"


@dataclass(frozen=True)
class Playback:
    """A movie that was watched or marked as watched just now."""

    movie: MovieReference
    #: That of the server's clock, which decides the day; None if the body does not say.
    utc_offset: timedelta | None = None


def parse_playback(server: MediaServer, body: Any) -> Playback | None:
    """Return what was watched; None if it is no movie, or was not watched to its end."""
    return _PARSERS[server](body) if isinstance(body, dict) else None


# --- Values --------------------------------------------------------------------------------------


def _get(body: Any, *path: str) -> Any:
    """Return the value at a path of keys, or None."""
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body


def _to_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if 0 <= value < 1e18 else None
    is_number = isinstance(value, str) and _NUMBER.fullmatch(value.strip())
    return float(value) if is_number else None


def _to_integer(value: Any, *, largest: int) -> int | None:
    number = _to_number(value)
    return int(number) if number and number.is_integer() and number <= largest else None


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _is_watched(position: Any, duration: Any) -> bool:
    at, of = _to_number(position), _to_number(duration)
    return at is not None and of is not None and of > 0 and at / of >= WATCHED_SHARE


def _to_lower(value: Any) -> str:
    return value.lower() if isinstance(value, str) else ""


def _make_playback(
    title: Any, year: Any, ids: Iterable[tuple[str, Any]], *, utc_offset: timedelta | None = None
) -> Playback | None:
    """Return the playback of a movie with these ids by the name of their service.

    None without an id, unless both title and year are known.
    """
    tmdb_id = imdb_id = None
    for service, value in ids:
        text = str(value).strip() if isinstance(value, str | int) else ""
        if "imdb" in service.lower() and _IMDB_ID.fullmatch(text):
            imdb_id = imdb_id or text
        elif any(name in service.lower() for name in ("tmdb", "themoviedb")):
            tmdb_id = tmdb_id or _to_integer(text, largest=MAX_TMDB_ID)
    name = title.strip()[:MAX_TITLE_LENGTH] if isinstance(title, str) else ""
    released = _to_integer(year, largest=LAST_YEAR)
    if released is not None and released < FIRST_YEAR:
        released = None
    if not (tmdb_id or imdb_id or (name and released)):
        return None
    return Playback(MovieReference(name, released, tmdb_id, imdb_id), utc_offset)


# --- Servers -------------------------------------------------------------------------------------


def _parse_plex(body: Mapping[str, Any]) -> Playback | None:
    # Of a server's owner, Plex sends the events of other people too, without `user`.
    if body.get("user") is False or _get(body, "Metadata", "type") != "movie":
        return None
    movie = body["Metadata"]
    is_watched = body.get("event") == "media.scrobble" or (
        body.get("event") == "media.stop"
        and _is_watched(movie.get("viewOffset"), movie.get("duration"))
    )
    guids = movie.get("Guid")
    texts = [_get(guid, "id") for guid in guids] if isinstance(guids, list) else []
    found = (_PLEX_ID.search(text) for text in (*texts, movie.get("guid")) if isinstance(text, str))
    ids = [(match[1], match[2]) for match in found if match]
    return _make_playback(movie.get("title"), movie.get("year"), ids) if is_watched else None


def _parse_jellyfin(body: Mapping[str, Any]) -> Playback | None:
    if "Item" in body:
        # The plugin with Emby's shape.
        return _parse_emby(body)
    kind = body.get("NotificationType")
    if body.get("ItemType") != "Movie":
        return None
    if kind == "UserDataSaved":
        reason = body.get("SaveReason")
        is_watched = reason == "TogglePlayed" and _is_true(body.get("Played"))
    else:
        is_watched = kind in ("PlaybackStop", "PlaybackProgress") and (
            _is_true(body.get("PlayedToCompletion"))
            or _is_watched(body.get("PlaybackPositionTicks"), body.get("RunTimeTicks"))
        )
    if not is_watched:
        return None
    ids = [(name, value) for name, value in body.items() if name.startswith("Provider_")]
    offset = _parse_offset(body.get("Timestamp"))
    return _make_playback(body.get("Name"), body.get("Year"), ids, utc_offset=offset)


def _parse_offset(text: Any) -> timedelta | None:
    try:
        return datetime.fromisoformat(text).utcoffset() if isinstance(text, str) else None
    except ValueError:
        return None


_MARKED = frozenset({"item.markplayed", "markplayed"})
_STOPPED = frozenset({"playback.stop", "playback.progress", "stop", "progress"})


def _parse_emby(body: Mapping[str, Any]) -> Playback | None:
    item, event = body.get("Item"), _to_lower(body.get("Event"))
    if not isinstance(item, dict) or item.get("Type") != "Movie":
        return None
    positions = (
        _get(body, "PlaybackInfo", "PositionTicks"),
        _get(body, "Session", "PlayState", "PositionTicks"),
        body.get("PlaybackPositionTicks"),
    )
    is_watched = event in _MARKED or (
        event in _STOPPED
        and (
            _is_true(_get(body, "PlaybackInfo", "PlayedToCompletion"))
            or any(_is_watched(position, item.get("RunTimeTicks")) for position in positions)
        )
    )
    ids = item.get("ProviderIds")
    found = ids.items() if isinstance(ids, dict) else ()
    return (
        _make_playback(item.get("Name"), item.get("ProductionYear"), found) if is_watched else None
    )


_ENDED = frozenset({"onplaybackended", "ended", "end", "finished", "scrobble", "watched"})


def _parse_kodi(body: Mapping[str, Any]) -> Playback | None:
    """Read Kodi's notifications, and the bodies of addons that send when a movie is over.

    Addons name the item's fields as Kodi does, on their own or under `item`.
    """
    data = _get(body, "params", "data") or body.get("data") or body
    item = _get(data, "item") or data
    if not isinstance(data, dict) or not isinstance(item, dict):
        return None
    kind = item.get("type") or item.get("mediatype") or item.get("lot")
    if _to_lower(kind) != "movie" and (kind or "episode" in item or "showtitle" in item):
        return None
    if not _is_watched_in_kodi(body, data, item):
        return None
    ids: list[tuple[str, Any]] = []
    for name in ("uniqueid", "uniqueids", "uniqueIds"):
        if isinstance(item.get(name), dict):
            ids += item[name].items()
    ids += [(name, item.get(name)) for name in ("imdb_id", "tmdb_id", "imdbnumber")]
    # Ryot's addon.
    ids.append((_to_lower(item.get("source")), item.get("identifier")))
    return _make_playback(item.get("title"), item.get("year"), ids)


def _is_watched_in_kodi(
    body: Mapping[str, Any], data: Mapping[str, Any], item: Mapping[str, Any]
) -> bool:
    event = _to_lower(body.get("method") or data.get("event") or data.get("action"))
    if event == "videolibrary.onupdate":
        return bool(_to_number(data.get("playcount")))
    if event == "player.onstop" and "end" in data:
        return data["end"] is True
    for fields in (data, item):
        for name in ("progress", "percent", "percentage"):
            if name in fields:
                return _is_watched(fields[name], 100)
        for at, of in (("position", "duration"), ("time", "totaltime")):
            if at in fields and of in fields:
                return _is_watched(fields[at], fields[of])
    # An addon without events sends when the movie is over.
    return event in _ENDED or not event


_PARSERS: dict[MediaServer, Callable[[Mapping[str, Any]], Playback | None]] = {
    MediaServer.PLEX: _parse_plex,
    MediaServer.JELLYFIN: _parse_jellyfin,
    MediaServer.EMBY: _parse_emby,
    MediaServer.KODI: _parse_kodi,
}


def get_local_time(moment: datetime, playback: Playback) -> datetime:
    """Return the moment in the time zone of the server, if the body named it."""
    offset = playback.utc_offset
    return moment if offset is None else moment.astimezone(timezone(offset))
