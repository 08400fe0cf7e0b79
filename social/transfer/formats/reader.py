"""The records of a file, whichever service it comes from. Free of Django."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import IO

from social.transfer.formats import imdb, letterboxd, own_export, tmdb, trakt
from social.transfer.formats.csv_reader import read_header
from social.transfer.formats.detection import (
    UNKNOWN_FORMAT,
    Layout,
    detect_layout,
    get_importable_files,
    is_zip,
    open_text,
    read_head,
)
from social.transfer.formats.letterboxd import ExportContents
from social.transfer.formats.records import FileError, Record, RowError, make_invalid_record
from social.transfer.formats.text_file import TextFile
from social.transfer.formats.zip_archive import ArchiveFile, ZipArchive

MAX_RECORDS = 100_000


def read_records(file: IO[bytes], *, name: str, today: date) -> Iterator[Record]:
    """Yield all records of a file in order, at most MAX_RECORDS. Raises FileError.

    The file is read as a stream. An unusable row, or an unusable file of an archive, is a record with
    an `error`.
    """
    for number, record in enumerate(_read_file(file, name, today), 1):
        if number > MAX_RECORDS:
            raise FileError("too_many_rows", f"The file has more than {MAX_RECORDS:,} rows.")
        yield record


def _read_file(file: IO[bytes], name: str, today: date) -> Iterator[Record]:
    if not is_zip(file):
        text = open_text(file)
        if detect_layout(text.read_head(), name) is None:
            raise FileError("unknown_format", UNKNOWN_FORMAT)
        yield from _read_text(text, name, today, ExportContents())
        return
    archive = ZipArchive(file)
    for rejected_name, error in archive.rejected:
        yield make_invalid_record(rejected_name, 0, error)
    if own_export.MANIFEST in archive.names():
        yield from _read_own_archive(archive, today)
    else:
        yield from _read_archive(archive, today)


def _read_own_archive(archive: ZipArchive, today: date) -> Iterator[Record]:
    files = {file.name: file for file in archive.files}
    own_export.check_manifest(read_head(archive, files[own_export.MANIFEST]))
    for name in own_export.FILES:
        if name not in files:
            continue
        try:
            text = archive.open_text(files[name])
            yield from own_export.read(text.read_chunks(), file=name, today=today)
        except (FileError, RowError) as error:
            yield make_invalid_record(name, 0, RowError(error.code, error.reason))


def _read_archive(archive: ZipArchive, today: date) -> Iterator[Record]:
    files = get_importable_files(archive)
    tables = {file.name: _detect_table(archive, file) for file in files}
    contents = ExportContents(
        has_ratings="ratings" in tables.values(), has_diary="diary" in tables.values()
    )
    for file in files:
        try:
            text = archive.open_text(file)
            if tables[file.name] == "ratings":
                scores = letterboxd.read_scores(text.read_lines(), max_rows=MAX_RECORDS)
                contents = replace(contents, scores=scores)
            yield from _read_text(text, file.name, today, contents)
        except (FileError, RowError) as error:
            yield make_invalid_record(file.name, 0, RowError(error.code, error.reason))


def _detect_table(archive: ZipArchive, file: ArchiveFile) -> str | None:
    """Return which table of Letterboxd's export a file is; None if it is none or undecided."""
    try:
        return letterboxd.detect_table(read_header(read_head(archive, file)), file.name)
    except FileError:
        return None


def _read_text(
    text: TextFile, name: str, today: date, contents: ExportContents
) -> Iterator[Record]:
    """Yield the records of a file; none if its layout is unknown."""
    head = text.read_head()
    match detect_layout(head, name):
        case Layout.OWN_TABLE:
            yield from own_export.read_csv(text.read_lines(), file=name, today=today)
        case Layout.IMDB_TABLE:
            yield from imdb.read(text.read_lines(), file=name, today=today)
        case Layout.TMDB_TABLE:
            yield from tmdb.read(text.read_lines(), file=name, today=today)
        case Layout.TRAKT_ARRAY:
            yield from trakt.read(text.read_chunks(), file=name, today=today)
        case Layout.LETTERBOXD_LIST:
            yield from letterboxd.read_list(text.read_lines(), file=name, today=today)
        case Layout.LETTERBOXD_IMPORT_TABLE:
            yield from letterboxd.read_import_table(text.read_lines(), file=name, today=today)
        case Layout.LETTERBOXD_TABLE:
            table = letterboxd.detect_table(read_header(head), name)
            assert table is not None
            yield from letterboxd.read(
                text.read_lines(), file=name, table=table, today=today, contents=contents
            )
