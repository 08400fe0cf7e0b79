"""Which service wrote a file, told by its content, and its entries. Free of Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from social.transfer.formats import imdb, letterboxd, own_export, tmdb, trakt
from social.transfer.formats.csv_reader import decoded, header_of
from social.transfer.formats.json_reader import elements
from social.transfer.formats.records import Entries, Entry, FileError, RowError, invalid
from social.transfer.formats.zip_archive import Archive, Member

MAX_ROWS = 100_000
# Enough to tell a header by.
_HEAD = 64 * 1024

_NOT_KNOWN = (
    "This is no file that can be imported: Letterboxd's ZIP or one of its CSV files, IMDb's CSV,"
    " Trakt's JSON, TMDb's CSV, or our own export."
)


class Format(StrEnum):
    OWN = "nexus"
    LETTERBOXD = "letterboxd"
    IMDB = "imdb"
    TRAKT = "trakt"
    TMDB = "tmdb"


def recognised(data: bytes, *, name: str) -> Format:
    """Whose file this is, by a look at its beginning or its directory. Raises FileError."""
    if not data.strip(b"\x00 \t\r\n"):
        raise FileError("empty_file", "The file is empty.")
    if data.startswith(b"PK"):
        archive = Archive(data)
        if own_export.MARK in archive.names():
            return Format.OWN
        files = _files(archive)
        for member in files:
            found = _format(_head(archive, member), member.name)
            if found is not None:
                return found
        raise FileError("unknown_format", _NOT_KNOWN)
    found = _format(decoded(data[:_HEAD]), name)
    if found is None:
        raise FileError("unknown_format", _NOT_KNOWN)
    return found


def read(data: bytes, *, name: str, today: date) -> Entries:
    """All entries of a file, in order; at most MAX_ROWS. Raises FileError.

    What is wrong with one row or one file of an archive is an entry with a `problem`.
    """
    for number, entry in enumerate(_read(data, name=name, today=today), 1):
        if number > MAX_ROWS:
            raise FileError("too_many_rows", f"The file has more than {MAX_ROWS:,} rows.")
        yield entry


def _read(data: bytes, *, name: str, today: date) -> Entries:
    if not data.startswith(b"PK"):
        yield from _Reading(today).text(decoded(data), name, alone=True, strict=True)
        return
    archive = Archive(data)
    for refused, problem in archive.refused:
        yield invalid(refused, 0, problem)
    if own_export.MARK in archive.names():
        yield from _read_own(archive, today)
    else:
        yield from _read_archive(archive, today)


def _read_own(archive: Archive, today: date) -> Entries:
    by_name = {member.name: member for member in archive.members}
    own_export.check_mark(_head(archive, by_name[own_export.MARK]))
    for name in own_export.FILES:
        if name not in by_name:
            continue
        try:
            yield from own_export.read(_text(archive, by_name[name]), file=name, today=today)
        except (FileError, RowError) as problem:
            yield invalid(name, 0, RowError(problem.code, problem.reason))


def _read_archive(archive: Archive, today: date) -> Entries:
    files = _files(archive)
    reading = _Reading(today)
    kinds = {}
    for member in files:
        kinds[member.name] = _letterboxd_kind(archive, member)
    alone = "ratings" not in kinds.values(), "diary" not in kinds.values()
    for member in files:
        try:
            text = _text(archive, member)
            if kinds[member.name] == "ratings":
                reading.rated = letterboxd.scores(text)
            is_alone = alone[1] if kinds[member.name] == "reviews" else alone[0]
            yield from reading.text(text, member.name, alone=is_alone, strict=False)
        except (FileError, RowError) as problem:
            yield invalid(member.name, 0, RowError(problem.code, problem.reason))


@dataclass
class _Reading:
    today: date
    #: What ratings.csv of the same archive gives each film.
    rated: Mapping[tuple[str, str], str] | None = None

    def text(self, text: str, name: str, *, alone: bool, strict: bool) -> Entries:
        """The entries of one file; of one that is not known, none, or FileError where `strict`."""
        today: Any = {"file": name, "today": self.today}
        header = header_of(text)
        if _is_json(text):
            yield from trakt.read(text, **today)
        elif _is_list(header):
            yield from letterboxd.read_list(text, **today)
        elif own_export.is_table(header):
            yield from own_export.read_table(text, **today)
        elif imdb.is_table(header):
            yield from imdb.read(text, **today)
        elif tmdb.is_table(header):
            yield from tmdb.read(text, **today)
        elif (kind := letterboxd.kind_of(header, name)) is not None:
            yield from letterboxd.read(
                text, kind=kind, alone=alone, rated=self.rated or {}, **today
            )
        elif letterboxd.is_import_table(header):
            yield from letterboxd.read_import_table(text, **today)
        elif strict:
            raise FileError("unknown_format", _NOT_KNOWN)


def _format(text: str, name: str) -> Format | None:
    header = header_of(text)
    if text.lstrip()[:1] == "[":
        return Format.TRAKT if _looks_like_trakt(text) else None
    if own_export.is_table(header):
        return Format.OWN
    if imdb.is_table(header):
        return Format.IMDB
    if tmdb.is_table(header):
        return Format.TMDB
    if _is_list(header) or letterboxd.is_import_table(header):
        return Format.LETTERBOXD
    return Format.LETTERBOXD if letterboxd.kind_of(header, name) else None


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] == "["


def _is_list(header: list[str]) -> bool:
    return bool(header) and header[0].startswith(letterboxd.LIST_MARK)


def _looks_like_trakt(text: str) -> bool:
    """By its first element; cut off behind it, as the head of a file is."""
    for _, value in elements(text):
        return isinstance(value, RowError) or trakt.is_element(value)
    return True


def _files(archive: Archive) -> list[Member]:
    """The files of an archive that may hold something, in the order they are to be read.

    Of Letterboxd's folders lists/ alone: deleted/, orphaned/ and likes/ are not what is asked for.
    """
    order = {f"{name}.csv": place for place, name in enumerate(letterboxd.FILES)}
    wanted = [
        member
        for member in archive.members
        if (
            member.name.lower().endswith(".csv")
            and ("/" not in member.name or member.name.lower().startswith("lists/"))
        )
        or (member.name.lower().endswith(".json") and not member.name.startswith("."))
    ]
    return sorted(wanted, key=lambda each: (order.get(each.name.lower(), len(order)), each.name))


def _text(archive: Archive, member: Member) -> str:
    return decoded(archive.read(member))


def _head(archive: Archive, member: Member) -> str:
    try:
        return decoded(archive.head(member, _HEAD))
    except RowError:
        return ""


def _letterboxd_kind(archive: Archive, member: Member) -> str | None:
    try:
        return letterboxd.kind_of(header_of(_head(archive, member)), member.name)
    except FileError:
        return None


__all__ = ["MAX_ROWS", "Entry", "Format", "read", "recognised"]
