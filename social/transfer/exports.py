"""Everything a member owns as one ZIP archive, which formats.own_export reads back.

An export that is imported into an empty account and exported again is identical, except for the
files that tell about the account and are not read back: account.json and those of ABOUT_FILES. The
other files do not contain the ids of the account's own rows; movies are identified by the ids of the
catalogue, TMDb and IMDb.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import IO, Any

from django.db.models import Max, QuerySet

from accounts.models import KnownAddress, PersonalAccessToken, TokenFamily, User
from nexus.core.db.transactions import read_only_snapshot
from social.models import (
    Block,
    Follow,
    GroupMembership,
    GroupVote,
    HiddenReview,
    Import,
    Playlist,
    PlaylistItem,
    Rating,
    ReviewReport,
    Viewing,
    WatchlistItem,
)
from social.transfer.formats.csv_reader import escape_formula
from social.transfer.formats.own_export import FORMAT, MANIFEST, VERSION
from social.transfer.formats.own_table import MOVIE_COLUMNS
from social.transfer.pipeline.comparisons import get_feedback_rows

CHUNK_SIZE = 2000
#: The files about the account that an import does not read, beside account.json.
ABOUT_FILES = (
    *("sessions.json", "known_addresses.json", "imports.json", "access_tokens.json"),
    *("reports.json", "hidden_reviews.json", "groups.json"),
)
# The date of every file, so that the same content makes the same archive.
_FILE_DATE = (1980, 1, 1, 0, 0, 0)

_MOVIE_FIELDS = (
    "movie_id",
    "movie__tmdb_id",
    "movie__imdb_id",
    "movie__title",
    "movie__release_year",
)
_RATING_COLUMNS = (
    "score",
    "review",
    "contains_spoilers",
    "rated_at",
    "updated_at",
    "reviewed_at",
)
_VIEWING_COLUMNS = ("watched_on", "watched_at", "note")
_PLAYLIST_COLUMNS = ("playlist", "position", "note", "added_at")
_LETTERBOXD_COLUMNS = ("tmdbID", "imdbID", "Title", "Year", "Rating", "WatchedDate", "Review")


def write_export(*, user_id: int, file: IO[bytes]) -> None:
    """Write a member's archive as of one moment, in a fixed number of queries.

    Of other members it contains only the usernames of those the member follows and may see, or has
    blocked.
    """
    with (
        read_only_snapshot(),
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        user = User.objects.get(pk=user_id)
        _write_file(archive, MANIFEST, [_to_json({"format": FORMAT, "version": VERSION}) + "\n"])
        _write_json(archive, "account.json", [_account_payload(user)])
        _write_json(archive, "profile.json", [_profile_payload(user)])
        _write_json(archive, "ratings.json", map(_rating_payload, _iterate_ratings(user_id)))
        _write_table(
            archive, "ratings.csv", _RATING_COLUMNS, map(_rating_cells, _iterate_ratings(user_id))
        )
        _write_json(archive, "watchlist.json", map(_watchlist_payload, _iterate_watchlist(user_id)))
        _write_table(
            archive,
            "watchlist.csv",
            ("added_at",),
            map(_watchlist_cells, _iterate_watchlist(user_id)),
        )
        _write_json(archive, "history.json", map(_viewing_payload, _iterate_viewings(user_id)))
        _write_table(
            archive,
            "history.csv",
            _VIEWING_COLUMNS,
            map(_viewing_cells, _iterate_viewings(user_id)),
        )
        _write_json(archive, "feedback.json", map(_feedback_payload, _iterate_feedback(user_id)))
        _write_json(archive, "playlists.json", _iterate_playlists(user_id))
        _write_table(
            archive, "playlists.csv", _PLAYLIST_COLUMNS, map(_item_cells, _iterate_items(user_id))
        )
        _write_json(archive, "following.json", _iterate_following(user_id))
        _write_json(archive, "blocks.json", _iterate_blocks(user_id))
        _write_csv(archive, "letterboxd.csv", _LETTERBOXD_COLUMNS, _iterate_letterboxd(user_id))
        _write_json(archive, "sessions.json", _iterate_sessions(user_id))
        _write_json(archive, "access_tokens.json", _iterate_access_tokens(user_id))
        _write_json(archive, "known_addresses.json", _iterate_known_addresses(user_id))
        _write_json(archive, "imports.json", _iterate_imports(user_id))
        _write_json(archive, "reports.json", _iterate_reports(user_id))
        _write_json(archive, "hidden_reviews.json", _iterate_hidden_reviews(user_id))
        _write_json(archive, "groups.json", _iterate_groups(user_id))


# --- Queries -------------------------------------------------------------------------------------


def _iterate(rows: QuerySet[Any], *fields: str) -> Iterator[Any]:
    """Yield named tuples of the movie's identification and these fields."""
    return rows.values_list(*_MOVIE_FIELDS, *fields, named=True).iterator(chunk_size=CHUNK_SIZE)


def _iterate_ratings(user_id: int) -> Iterator[Any]:
    ratings = Rating.objects.filter(user_id=user_id).order_by("created_at", "movie_id")
    return _iterate(
        ratings,
        "score",
        "review",
        "contains_spoilers",
        "created_at",
        "updated_at",
        "reviewed_at",
    )


def _iterate_watchlist(user_id: int) -> Iterator[Any]:
    items = WatchlistItem.objects.filter(user_id=user_id).order_by("added_at", "movie_id")
    return _iterate(items, "added_at")


def _iterate_viewings(user_id: int) -> Iterator[Any]:
    viewings = Viewing.objects.filter(user_id=user_id)
    ordered = viewings.order_by("watched_on", "watched_at", "movie_id", "note")
    return _iterate(ordered, *_VIEWING_COLUMNS)


def _iterate_items(user_id: int) -> Iterator[Any]:
    items = PlaylistItem.objects.filter(playlist__owner_id=user_id).order_by(
        "playlist__created_at", "playlist__name", "playlist_id", "position"
    )
    return _iterate(items, "playlist__name", "position", "note", "added_at", "playlist_id")


def _iterate_playlists(user_id: int) -> Iterator[dict[str, Any]]:
    """Yield each playlist with its items; both queries are in the same order of playlists."""
    groups = groupby(_iterate_items(user_id), key=lambda item: item.playlist_id)
    playlists = Playlist.objects.filter(owner_id=user_id).order_by("created_at", "name", "id")
    playlist_id, items = next(groups, (None, iter(())))
    for playlist in playlists.iterator(chunk_size=CHUNK_SIZE):
        payloads = []
        if playlist_id == playlist.id:
            payloads = [_item_payload(item) for item in items]
            playlist_id, items = next(groups, (None, iter(())))
        yield {
            "name": playlist.name,
            "description": playlist.description,
            "visibility": playlist.visibility,
            "created_at": _format_datetime(playlist.created_at),
            "published_at": _format_datetime(playlist.published_at),
            "items": payloads,
        }


def _iterate_following(user_id: int) -> Iterator[dict[str, Any]]:
    follows = Follow.objects.filter(follower_id=user_id).followed_visible_to(user_id)
    for follow in follows.order_by("created_at", "followed__username"):
        since = _format_datetime(follow.created_at)
        yield {"username": follow.followed.username, "since": since}


def _iterate_blocks(user_id: int) -> Iterator[dict[str, Any]]:
    blocks = Block.objects.filter(blocker_id=user_id, blocked__is_active=True)
    rows = blocks.order_by("created_at", "blocked__username")
    for username, created_at in rows.values_list("blocked__username", "created_at"):
        yield {"username": username, "since": _format_datetime(created_at)}


def _iterate_feedback(user_id: int) -> Iterator[Any]:
    feedback = get_feedback_rows(user_id).order_by("created_at", "movie_id")
    return _iterate(feedback, "kind", "created_at", "updated_at")


def _iterate_sessions(user_id: int) -> Iterator[dict[str, Any]]:
    sessions = TokenFamily.objects.filter(user_id=user_id).order_by("created_at", "id")
    for session in sessions.iterator(chunk_size=CHUNK_SIZE):
        yield {
            "user_agent": session.user_agent,
            "created_at": _format_datetime(session.created_at),
            "last_used_at": _format_datetime(session.last_used_at),
            "expires_at": _format_datetime(session.expires_at),
            "revoked_at": _format_datetime(session.revoked_at),
        }


def _iterate_access_tokens(user_id: int) -> Iterator[dict[str, Any]]:
    """Yield the member's personal access tokens, without their hashes."""
    tokens = PersonalAccessToken.objects.filter(user_id=user_id).order_by("id")
    for token in tokens.iterator(chunk_size=CHUNK_SIZE):
        yield {
            "name": token.name,
            "scopes": token.scopes,
            "created_at": _format_datetime(token.created_at),
            "last_used_at": _format_datetime(token.last_used_at),
            "expires_at": _format_datetime(token.expires_at),
        }


def _iterate_known_addresses(user_id: int) -> Iterator[dict[str, Any]]:
    """Yield the addresses the member has logged in from, of which only a hash is stored."""
    addresses = KnownAddress.objects.filter(user_id=user_id).order_by("last_login_at", "id")
    for address in addresses.iterator(chunk_size=CHUNK_SIZE):
        last_login_at = _format_datetime(address.last_login_at)
        yield {"hash": address.digest, "last_login_at": last_login_at}


def _iterate_imports(user_id: int) -> Iterator[dict[str, Any]]:
    imports = Import.objects.filter(user_id=user_id).order_by("created_at", "id")
    for job in imports.iterator(chunk_size=CHUNK_SIZE):
        yield {
            "filename": job.filename,
            "format": job.format,
            "sha256": job.sha256,
            "state": job.state,
            "rows": job.total,
            "on_conflict": job.on_conflict,
            "reason": job.reason,
            "created_at": _format_datetime(job.created_at),
            "applied_at": _format_datetime(job.applied_at),
            "undone_at": _format_datetime(job.undone_at),
        }


def _iterate_reports(user_id: int) -> Iterator[dict[str, Any]]:
    """Yield the reports the member wrote, without the reviews, which are other members' words."""
    reports = ReviewReport.objects.filter(reporter_id=user_id).order_by("created_at", "id")
    rows = _iterate(reports, "reason", "comment", "state", "created_at", "resolved_at")
    for row in rows:
        yield {
            "movie": _movie_payload(row),
            "reason": row.reason,
            "comment": row.comment,
            "state": row.state,
            "created_at": _format_datetime(row.created_at),
            "resolved_at": _format_datetime(row.resolved_at),
        }


def _iterate_hidden_reviews(user_id: int) -> Iterator[dict[str, Any]]:
    hidden = HiddenReview.objects.filter(user_id=user_id).order_by("hidden_at", "id")
    for row in _iterate(hidden, "hidden_at"):
        yield {"movie": _movie_payload(row), "hidden_at": _format_datetime(row.hidden_at)}


def _iterate_groups(user_id: int) -> Iterator[dict[str, Any]]:
    """Yield the member's groups with their own votes, without the other members."""
    votes: dict[int, list[dict[str, Any]]] = {}
    own = GroupVote.objects.filter(membership__user_id=user_id).order_by("voted_at", "id")
    for row in _iterate(own, "membership_id", "vote", "voted_at"):
        vote = {"vote": row.vote, "voted_at": _format_datetime(row.voted_at)}
        votes.setdefault(row.membership_id, []).append({"movie": _movie_payload(row), **vote})
    memberships = GroupMembership.objects.filter(user_id=user_id).select_related("group")
    for membership in memberships.order_by("joined_at", "id"):
        yield {
            "name": membership.group.name,
            "joined_at": _format_datetime(membership.joined_at),
            "votes": votes.get(membership.pk, []),
        }


def _iterate_letterboxd(user_id: int) -> Iterator[list[Any]]:
    """Yield a row per rating, with the movie's last viewing, and one per other viewing.

    A viewing on an unknown day is a row only of a movie that has no other row. Notes are left out,
    because Letterboxd would publish them.
    """
    last_watched = dict(
        Viewing.objects.filter(user_id=user_id)
        .order_by()
        .values_list("movie_id")
        .annotate(last=Max("watched_on"))
    )
    written: set[int] = set()
    for row in _iterate_ratings(user_id):
        written.add(row.movie_id)
        day = _format_day(last_watched.get(row.movie_id))
        yield [*_letterboxd_movie_cells(row), _format_score(row.score), day, row.review]
    in_rating = {movie_id: day for movie_id, day in last_watched.items() if movie_id in written}
    for row in _iterate_viewings(user_id):
        # Those on unknown days are the last.
        if row.watched_on is None:
            is_written = row.movie_id in written
        else:
            is_written = in_rating.get(row.movie_id) == row.watched_on
        if is_written:
            in_rating.pop(row.movie_id, None)
            continue
        written.add(row.movie_id)
        yield [*_letterboxd_movie_cells(row), "", _format_day(row.watched_on), ""]


# --- Payloads of the JSON files and cells of the tables ------------------------------------------


def _account_payload(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "email": user.email,
        "email_verified": user.email_verified,
        "pending_email": user.pending_email,
        "date_joined": _format_datetime(user.date_joined),
        "last_login": _format_datetime(user.last_login),
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "origin": user.origin,
    }


def _profile_payload(user: User) -> dict[str, Any]:
    return {
        "display_name": user.display_name,
        "bio": user.bio,
        "avatar_url": user.avatar_url,
        "favorite_genres": user.favorite_genres,
        "region": user.region,
        "providers": user.providers,
        "visibility": user.visibility,
        "language": user.language,
    }


def _movie_payload(row: Any) -> dict[str, Any]:
    return {
        "id": row.movie_id,
        "tmdb_id": row.movie__tmdb_id,
        "imdb_id": row.movie__imdb_id,
        "title": row.movie__title,
        "year": row.movie__release_year,
    }


def _rating_payload(row: Any) -> dict[str, Any]:
    return {
        "movie": _movie_payload(row),
        "score": row.score,
        "review": row.review,
        "contains_spoilers": row.contains_spoilers,
        "rated_at": _format_datetime(row.created_at),
        "updated_at": _format_datetime(row.updated_at),
        "reviewed_at": _format_datetime(row.reviewed_at),
    }


def _watchlist_payload(row: Any) -> dict[str, Any]:
    return {"movie": _movie_payload(row), "added_at": _format_datetime(row.added_at)}


def _feedback_payload(row: Any) -> dict[str, Any]:
    return {
        "movie": _movie_payload(row),
        "feedback": row.kind,
        "created_at": _format_datetime(row.created_at),
        "updated_at": _format_datetime(row.updated_at),
    }


def _viewing_payload(row: Any) -> dict[str, Any]:
    return {
        "movie": _movie_payload(row),
        "watched_on": _format_day(row.watched_on) or None,
        "watched_at": _format_datetime(row.watched_at),
        "note": row.note,
    }


def _item_payload(row: Any) -> dict[str, Any]:
    return {
        "movie": _movie_payload(row),
        "note": row.note,
        "added_at": _format_datetime(row.added_at),
    }


def _movie_cells(row: Any) -> tuple[Any, ...]:
    """Return the cells of MOVIE_COLUMNS, the first columns of every table except letterboxd.csv."""
    return (
        row.movie_id,
        row.movie__tmdb_id,
        row.movie__imdb_id,
        row.movie__title,
        row.movie__release_year,
    )


def _rating_cells(row: Any) -> Sequence[Any]:
    return (
        *_movie_cells(row),
        _format_score(row.score),
        row.review,
        str(row.contains_spoilers).lower(),
        _format_datetime(row.created_at),
        _format_datetime(row.updated_at),
        _format_datetime(row.reviewed_at),
    )


def _watchlist_cells(row: Any) -> Sequence[Any]:
    return (*_movie_cells(row), _format_datetime(row.added_at))


def _viewing_cells(row: Any) -> Sequence[Any]:
    cells = (_format_day(row.watched_on), _format_datetime(row.watched_at), row.note)
    return (*_movie_cells(row), *cells)


def _item_cells(row: Any) -> Sequence[Any]:
    added_at = _format_datetime(row.added_at)
    return (*_movie_cells(row), row.playlist__name, row.position, row.note, added_at)


def _letterboxd_movie_cells(row: Any) -> tuple[Any, ...]:
    return row.movie__tmdb_id, row.movie__imdb_id, row.movie__title, row.movie__release_year


# --- Files ---------------------------------------------------------------------------------------


def _write_json(archive: zipfile.ZipFile, name: str, payloads: Iterable[dict[str, Any]]) -> None:
    """Write a JSON array with one element per line."""
    _write_file(archive, name, _format_array(payloads))


def _write_table(
    archive: zipfile.ZipFile, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write a CSV file whose rows begin with the cells of MOVIE_COLUMNS."""
    _write_csv(archive, name, (*MOVIE_COLUMNS, *columns), rows)


def _write_csv(
    archive: zipfile.ZipFile, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    _write_file(archive, name, _format_csv(columns, rows))


def _write_file(archive: zipfile.ZipFile, name: str, chunks: Iterable[str]) -> None:
    info = zipfile.ZipInfo(name, _FILE_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    with archive.open(info, "w") as file:
        for chunk in chunks:
            file.write(chunk.encode())


def _format_array(payloads: Iterable[dict[str, Any]]) -> Iterator[str]:
    separator = "["
    for payload in payloads:
        yield f"{separator}\n{_to_json(payload)}"
        separator = ","
    yield "[]\n" if separator == "[" else "\n]\n"


def _format_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of a table in which no cell is a formula to a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([escape_formula(cell) if isinstance(cell, str) else cell for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _format_datetime(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value is not None else None


def _format_day(value: date | None) -> str:
    return value.isoformat() if value is not None else ""


def _format_score(value: float | None) -> str:
    return f"{value:g}" if value is not None else ""
