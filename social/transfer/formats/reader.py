"""The records of a file, whichever service it comes from. Free of Django."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import PurePosixPath
from typing import IO

from social.transfer.formats import (
    imdb,
    letterboxd,
    movary,
    movielens,
    netflix,
    own_export,
    own_table,
    simkl,
    tmdb,
    trakt,
    yamtrack,
)
from social.transfer.formats.csv_reader import read_date_cells, read_header, read_table
from social.transfer.formats.dates import detect_date_order
from social.transfer.formats.detection import (
    Layout,
    detect_layout,
    get_importable_files,
    is_importable,
    is_zip,
    make_unknown_format_error,
    open_text,
    read_head,
)
from social.transfer.formats.letterboxd import ExportContents
from social.transfer.formats.records import (
    FileError,
    LeftOut,
    Record,
    RowError,
    make_invalid_record,
)
from social.transfer.formats.text_file import TextFile
from social.transfer.formats.trakt import TraktContents
from social.transfer.formats.values import FileContext
from social.transfer.formats.zip_archive import ArchiveFile, ZipArchive

MAX_RECORDS = 100_000
_OTHER_FILE = "Other files of the archive contain nothing that can be imported."
_OTHER_MEDIA = "Series, books and other media are not part of this service."
# The sections of Trakt, by the ends of their files' names, that are about other media than movies.
_OTHER_MEDIA_ENDS = ("-shows", "-seasons", "-episodes", "-people", "-lists")


@dataclass(frozen=True)
class _Contents:
    """What the other files of an archive say about one of them."""

    letterboxd: ExportContents = field(default_factory=ExportContents)
    trakt: TraktContents = field(default_factory=TraktContents)


def read_records(file: IO[bytes], *, name: str, today: date) -> Iterator[Record | LeftOut]:
    """Yield all records of a file in order, at most MAX_RECORDS, and what it leaves out.

    The file is read as a stream. An unusable row, or an unusable file of an archive, is a record with
    an `error`. Raises FileError.
    """
    number = 0
    for item in _read_file(file, name, today):
        number += isinstance(item, Record)
        if number > MAX_RECORDS:
            raise FileError("too_many_rows", f"The file has more than {MAX_RECORDS:,} rows.")
        yield item


def _read_file(file: IO[bytes], name: str, today: date) -> Iterator[Record | LeftOut]:
    if not is_zip(file):
        text = open_text(file)
        head = text.read_head()
        if detect_layout(head, name) is None:
            raise make_unknown_format_error(head)
        yield from _read_text(text, name, today, _Contents())
        return
    archive = ZipArchive(file)
    for rejected_name, error in archive.rejected:
        yield make_invalid_record(rejected_name, 0, error)
    if own_export.MANIFEST in archive.names():
        yield from _read_own_archive(archive, today)
    else:
        yield from _read_archive(archive, today)


def _read_own_archive(archive: ZipArchive, today: date) -> Iterator[Record | LeftOut]:
    files = {file.name: file for file in archive.files}
    own_export.check_manifest(read_head(archive, files[own_export.MANIFEST]))
    for name in own_export.FILES:
        if name not in files:
            continue
        try:
            text = archive.open_text(files[name])
            yield from own_export.read(text.read_chunks(), context=FileContext(name, today))
        except (FileError, RowError) as error:
            yield make_invalid_record(name, 0, RowError(error.code, error.reason))


def _read_archive(archive: ZipArchive, today: date) -> Iterator[Record | LeftOut]:
    files = get_importable_files(archive)
    contents = _inspect_archive(archive, files)
    for file in files:
        try:
            yield from _read_text(archive.open_text(file), file.name, today, contents)
        except (FileError, RowError) as error:
            yield make_invalid_record(file.name, 0, RowError(error.code, error.reason))
    yield from _count_left_out_files(archive)


def _inspect_archive(archive: ZipArchive, files: list[ArchiveFile]) -> _Contents:
    """Read what the records of one file need to know of the others."""
    tables = {file.name: _detect_table(archive, file) for file in files}
    export = ExportContents(
        has_ratings="ratings" in tables.values(), has_diary="diary" in tables.values()
    )
    lists: dict[str, str] = {}
    for file in files:
        try:
            if tables[file.name] == "ratings":
                lines = archive.open_text(file).read_lines()
                scores = letterboxd.read_scores(lines, max_rows=MAX_RECORDS)
                export = replace(export, scores=scores)
            elif trakt.get_section(file.name) == "lists":
                lists |= _find_trakt_lists(archive, file)
        except (FileError, RowError):
            # Reading the file later reports it.
            continue
    sections = {trakt.get_section(file.name) for file in files}
    contents = TraktContents("history" in sections, "ratings-movies" in sections, lists)
    return _Contents(export, contents)


def _find_trakt_lists(archive: ZipArchive, file: ArchiveFile) -> dict[str, str]:
    text = archive.open_text(file)
    if file.name.lower().endswith(".json"):
        return trakt.find_lists(trakt.read_json_elements(text.read_chunks()))
    return trakt.find_lists(trakt.read_csv_elements(text.read_lines()))


def _detect_table(archive: ZipArchive, file: ArchiveFile) -> str | None:
    """Return which table of Letterboxd's export a file is; None if it is none or undecided."""
    try:
        return letterboxd.detect_table(read_header(read_head(archive, file)), file.name)
    except FileError:
        return None


def _count_left_out_files(archive: ZipArchive) -> Iterator[LeftOut]:
    """Yield what the files that are not read contain: their rows if they are tables."""
    for file in archive.files:
        if is_importable(file.name):
            continue
        kind = file.name.lower().split("/")[0]
        reason = letterboxd.LEFT_OUT.get(kind)
        if reason is None or not file.name.lower().endswith(".csv"):
            yield LeftOut("other_files", _OTHER_FILE)
            continue
        yield LeftOut(kind, reason, _count_rows(archive, file))


def _count_rows(archive: ZipArchive, file: ArchiveFile) -> int:
    try:
        lines = archive.open_text(file).read_lines()
        return sum(1 for _ in read_table(lines, required=())) or 1
    except (FileError, RowError):
        return 1


def _read_text(
    text: TextFile, name: str, today: date, contents: _Contents
) -> Iterator[Record | LeftOut]:
    """Yield the records of a file; what it leaves out if its layout is unknown."""
    head = text.read_head()
    layout = detect_layout(head, name)
    header = read_header(head)
    context = FileContext(name, today)
    if layout not in (Layout.TRAKT_ARRAY, Layout.SIMKL_JSON, None):
        order = detect_date_order(read_date_cells(text.read_lines()), today=today)
        context = replace(context, date_order=order)
    match layout:
        case Layout.OWN_TABLE:
            yield from own_table.read(text.read_lines(), header=header, context=context)
        case Layout.IMDB_TABLE:
            yield from imdb.read(text.read_lines(), context=context)
        case Layout.TMDB_TABLE:
            yield from tmdb.read(text.read_lines(), context=context)
        case Layout.TRAKT_ARRAY:
            elements = trakt.read_json_elements(text.read_chunks())
            yield from _read_trakt(elements, context, contents)
        case Layout.TRAKT_TABLE:
            elements = trakt.read_csv_elements(text.read_lines())
            yield from _read_trakt(elements, context, contents)
        case Layout.SIMKL_TABLE:
            yield from simkl.read(text.read_lines(), context=context)
        case Layout.SIMKL_JSON:
            yield from simkl.read_json(text.read_chunks(), context=context)
        case Layout.MOVARY_TABLE:
            yield from movary.read(text.read_lines(), context=context)
        case Layout.YAMTRACK_TABLE:
            yield from yamtrack.read(text.read_lines(), context=context)
        case Layout.MOVIELENS_TABLE:
            yield from movielens.read(text.read_lines(), context=context)
        case Layout.NETFLIX_TABLE:
            shows = netflix.find_shows(text.read_lines())
            yield from netflix.read(text.read_lines(), context=context, shows=shows)
        case Layout.LETTERBOXD_LIST:
            yield from letterboxd.read_list(text.read_lines(), context=context)
        case Layout.LETTERBOXD_IMPORT_TABLE:
            yield from letterboxd.read_import_table(
                text.read_lines(), header=header, context=context
            )
        case Layout.LETTERBOXD_TABLE:
            table = letterboxd.detect_table(header, name)
            assert table is not None
            yield from letterboxd.read(
                text.read_lines(), table=table, context=context, contents=contents.letterboxd
            )
        case None:
            kind = PurePosixPath(name.lower()).stem
            reason = letterboxd.LEFT_OUT.get(kind)
            section = trakt.get_section(name)
            if reason is not None:
                yield LeftOut(kind, reason)
            elif section in trakt.LEFT_OUT:
                yield LeftOut(section, trakt.LEFT_OUT[section])
            else:
                yield LeftOut("other_files", _OTHER_FILE)


def _read_trakt(
    elements: trakt.Elements, context: FileContext, contents: _Contents
) -> Iterator[Record | LeftOut]:
    """Yield the records of an array; of one about other things only how many it has."""
    section = trakt.get_section(context.file)
    stem = PurePosixPath(context.file.lower()).stem
    is_hidden = section == "hidden" and "recommendations" not in context.file
    is_about_other_media = stem.rstrip("-0123456789").endswith(_OTHER_MEDIA_ENDS)
    if section in trakt.LEFT_OUT and (section != "hidden" or is_hidden):
        kind, reason = section, trakt.LEFT_OUT[section]
    elif is_about_other_media and section not in ("lists", "custom_list"):
        kind, reason = "other_media", _OTHER_MEDIA
    else:
        yield from trakt.read(elements, context=context, contents=contents.trakt)
        return
    count = sum(isinstance(item, tuple) for item in elements)
    if count:
        yield LeftOut(kind, reason, count)
