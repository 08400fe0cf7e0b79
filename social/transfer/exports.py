"""Everything a member owns, as one archive that social.transfer.formats.own_export reads back.

What is identical after export, import into an empty account and export again: every file but
account.json, which says whose it was. No file holds an id or a date of the account's own rows, only
of what is in them; films go by the catalogue's, TMDb's and IMDb's ids.

What higher layers keep of a member (what they told the engine to hide) is not in it: a layer that
has such things can add its files to the archive with `more`.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import IO, Any

from django.db.models import Max

from accounts.models import User
from nexus.core.db.transactions import read_only_snapshot
from social.models import Block, Follow, Playlist, PlaylistItem, Rating, Viewing, WatchlistItem
from social.transfer.formats.csv_reader import escaped
from social.transfer.formats.own_export import FILM_COLUMNS, FORMAT, MARK, VERSION

ROWS_AT_ONCE = 2000
# The archive's own clock stands still, so that the same content is the same archive.
_MOMENT = (1980, 1, 1, 0, 0, 0)
_FILM = ("movie_id", "movie__tmdb_id", "movie__imdb_id", "movie__title", "movie__release_year")
_LETTERBOXD = ("tmdbID", "imdbID", "Title", "Year", "Rating", "WatchedDate", "Review")

Rows = Iterable[Sequence[Any]]
#: Writes further files: given a function that takes a name and lines.
More = Callable[[Callable[[str, Iterable[str]], None]], None]


def write_export(*, user_id: int, to: IO[bytes], more: More | None = None) -> None:
    """Write a member's archive, as of one moment, in a fixed number of queries.

    ratings, watchlist, history and playlists as JSON and CSV, profile, following and blocks as
    JSON, and letterboxd.csv for Letterboxd's import. Of others' names only those of members whom
    this one may see, or has blocked.
    """
    with (
        read_only_snapshot(),
        zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):

        def write(name: str, lines: Iterable[str]) -> None:
            info = zipfile.ZipInfo(name, _MOMENT)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            with archive.open(info, "w") as file:
                for line in lines:
                    file.write(line.encode())

        user = User.objects.get(pk=user_id)
        write(MARK, [_plain({"format": FORMAT, "version": VERSION}) + "\n"])
        write("account.json", _array([_account(user)]))
        write("profile.json", _array([_profile(user)]))
        write("ratings.json", _array(_rating(row) for row in _ratings(user_id)))
        write("ratings.csv", _table(_RATING_COLUMNS, map(_rating_cells, _ratings(user_id))))
        write("watchlist.json", _array(_listed(row) for row in _watchlist(user_id)))
        write("watchlist.csv", _table(("added_at",), map(_moment_cells, _watchlist(user_id))))
        write("history.json", _array(_viewing(row) for row in _viewings(user_id)))
        write("history.csv", _table(("watched_at",), map(_moment_cells, _viewings(user_id))))
        write("playlists.json", _array(_playlists(user_id)))
        write("playlists.csv", _table(_ITEM_COLUMNS, map(_item_cells, _items(user_id))))
        write("following.json", _array(_following(user_id)))
        write("blocks.json", _array(_blocks(user_id)))
        write("letterboxd.csv", _csv(_LETTERBOXD, _letterboxd(user_id)))
        if more is not None:
            more(write)


# --- What is read --------------------------------------------------------------------------------

_RATING = ("score", "review", "contains_spoilers", "created_at", "updated_at", "reviewed_at")
_RATING_COLUMNS = (
    *("score", "review", "contains_spoilers", "rated_at", "updated_at", "reviewed_at"),
)
_ITEM_COLUMNS = ("playlist", "position", "note", "added_at")


def _ratings(user_id: int) -> Iterator[Any]:
    rows = Rating.objects.filter(user_id=user_id).order_by("created_at", "movie_id")
    return rows.values_list(*_FILM, *_RATING).iterator(chunk_size=ROWS_AT_ONCE)


def _watchlist(user_id: int) -> Iterator[Any]:
    rows = WatchlistItem.objects.filter(user_id=user_id).order_by("added_at", "movie_id")
    return rows.values_list(*_FILM, "added_at").iterator(chunk_size=ROWS_AT_ONCE)


def _viewings(user_id: int) -> Iterator[Any]:
    rows = Viewing.objects.filter(user_id=user_id).order_by("watched_at", "movie_id")
    return rows.values_list(*_FILM, "watched_at").iterator(chunk_size=ROWS_AT_ONCE)


def _items(user_id: int) -> Iterator[Any]:
    rows = PlaylistItem.objects.filter(playlist__owner_id=user_id).order_by(
        "playlist__created_at", "playlist__name", "playlist_id", "position"
    )
    columns = ("playlist__name", "position", "note", "added_at", "playlist_id")
    return rows.values_list(*_FILM, *columns).iterator(chunk_size=ROWS_AT_ONCE)


def _playlists(user_id: int) -> Iterator[dict[str, Any]]:
    """Each list with its films: both queries come in the order of the lists."""
    by_list = groupby(_items(user_id), key=lambda row: row[9])
    lists = Playlist.objects.filter(owner_id=user_id).order_by("created_at", "name", "id")
    key, items = next(by_list, (None, iter(())))
    for playlist in lists.iterator(chunk_size=ROWS_AT_ONCE):
        films = []
        if key == playlist.id:
            films = [
                {"movie": _film(row), "note": row[7], "added_at": _at(row[8])} for row in items
            ]
            key, items = next(by_list, (None, iter(())))
        yield {
            "name": playlist.name,
            "description": playlist.description,
            "visibility": playlist.visibility,
            "created_at": _at(playlist.created_at),
            "published_at": _at(playlist.published_at),
            "items": films,
        }


def _following(user_id: int) -> Iterator[dict[str, Any]]:
    follows = Follow.objects.filter(follower_id=user_id).followed_visible_to(user_id)
    for each in follows.order_by("created_at", "followed__username"):
        yield {"username": each.followed.username, "since": _at(each.created_at)}


def _blocks(user_id: int) -> Iterator[dict[str, Any]]:
    blocks = Block.objects.filter(blocker_id=user_id, blocked__is_active=True)
    rows = blocks.order_by("created_at", "blocked__username")
    for name, at in rows.values_list("blocked__username", "created_at"):
        yield {"username": name, "since": _at(at)}


def _letterboxd(user_id: int) -> Iterator[list[Any]]:
    """A row a rated film, with its last viewing, then one for each other viewing."""
    latest = dict(
        Viewing.objects.filter(user_id=user_id)
        .order_by()
        .values_list("movie_id")
        .annotate(latest=Max("watched_at"))
    )
    rated = set()
    for movie_id, tmdb_id, imdb_id, title, year, score, review, *_ in _ratings(user_id):
        rated.add(movie_id)
        day = _day(latest.get(movie_id))
        yield [tmdb_id, imdb_id, title, year, _number(score), day, review]
    for movie_id, tmdb_id, imdb_id, title, year, at in _viewings(user_id):
        if movie_id not in rated or at != latest[movie_id]:
            yield [tmdb_id, imdb_id, title, year, "", _day(at), ""]


# --- How it is written ---------------------------------------------------------------------------


def _account(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "email": user.email,
        "date_joined": _at(user.date_joined),
    }


def _profile(user: User) -> dict[str, Any]:
    return {
        "display_name": user.display_name,
        "bio": user.bio,
        "avatar_url": user.avatar_url,
        "favorite_genres": user.favorite_genres,
        "visibility": user.visibility,
    }


def _film(row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(("id", "tmdb_id", "imdb_id", "title", "year"), row[:5], strict=True))


def _rating(row: Sequence[Any]) -> dict[str, Any]:
    score, review, spoilers, created, updated, reviewed = row[5:]
    return {
        "movie": _film(row),
        "score": score,
        "review": review,
        "contains_spoilers": spoilers,
        "rated_at": _at(created),
        "updated_at": _at(updated),
        "reviewed_at": _at(reviewed),
    }


def _listed(row: Sequence[Any]) -> dict[str, Any]:
    return {"movie": _film(row), "added_at": _at(row[5])}


def _viewing(row: Sequence[Any]) -> dict[str, Any]:
    return {"movie": _film(row), "watched_at": _at(row[5])}


def _rating_cells(row: Sequence[Any]) -> list[Any]:
    score, review, spoilers, *moments = row[5:]
    return [*row[:5], _number(score), review, str(spoilers).lower(), *map(_at, moments)]


def _moment_cells(row: Sequence[Any]) -> list[Any]:
    return [*row[:5], _at(row[5])]


def _item_cells(row: Sequence[Any]) -> list[Any]:
    return [*row[:8], _at(row[8])]


def _table(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    return _csv((*FILM_COLUMNS, *columns), rows)


def _csv(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """Lines of CSV in which no cell is a formula to a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([escaped(cell) if isinstance(cell, str) else cell for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _array(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A JSON array with an element a line."""
    mark = "["
    for item in items:
        yield f"{mark}\n{_plain(item)}"
        mark = ","
    yield "[]\n" if mark == "[" else "\n]\n"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _at(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value is not None else None


def _day(value: datetime | None) -> str:
    return value.date().isoformat() if value is not None else ""


def _number(value: float) -> str:
    return f"{value:g}"
