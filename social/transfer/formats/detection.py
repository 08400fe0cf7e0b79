"""Which service a file comes from, decided by its content. Free of Django."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, StrEnum, auto
from typing import IO, Any

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
from social.transfer.formats.csv_reader import read_header
from social.transfer.formats.json_reader import read_array, read_sections
from social.transfer.formats.records import FileError, InvalidRow, RowError, sanitize
from social.transfer.formats.text_file import HEAD_BYTES, TextFile
from social.transfer.formats.zip_archive import ArchiveFile, ZipArchive

UNKNOWN_FORMAT = (
    "The file is none of those that can be imported: exports of Letterboxd, IMDb, Trakt, TMDb, Simkl,"
    " Movary, Yamtrack, MovieLens and Netflix, our own export, and CSV with the columns of"
    " /imports/template.csv."
)
_WORKBOOK = "The file is a workbook of a spreadsheet program. Save it as CSV and upload that."
# Of the columns that are named in an error.
_MAX_NAMED_COLUMNS = 12


class FileFormat(StrEnum):
    """The services that files can come from."""

    OWN = "nexus"
    LETTERBOXD = "letterboxd"
    IMDB = "imdb"
    TRAKT = "trakt"
    TMDB = "tmdb"
    SIMKL = "simkl"
    MOVARY = "movary"
    YAMTRACK = "yamtrack"
    MOVIELENS = "movielens"
    NETFLIX = "netflix"


class Layout(Enum):
    """The kind of content of a single file; each kind has its own reader."""

    OWN_TABLE = auto()
    IMDB_TABLE = auto()
    TMDB_TABLE = auto()
    TRAKT_ARRAY = auto()
    TRAKT_TABLE = auto()
    SIMKL_TABLE = auto()
    SIMKL_JSON = auto()
    MOVARY_TABLE = auto()
    YAMTRACK_TABLE = auto()
    MOVIELENS_TABLE = auto()
    NETFLIX_TABLE = auto()
    LETTERBOXD_LIST = auto()
    LETTERBOXD_IMPORT_TABLE = auto()
    LETTERBOXD_TABLE = auto()


_FORMATS = {
    Layout.OWN_TABLE: FileFormat.OWN,
    Layout.IMDB_TABLE: FileFormat.IMDB,
    Layout.TMDB_TABLE: FileFormat.TMDB,
    Layout.TRAKT_ARRAY: FileFormat.TRAKT,
    Layout.TRAKT_TABLE: FileFormat.TRAKT,
    Layout.SIMKL_TABLE: FileFormat.SIMKL,
    Layout.SIMKL_JSON: FileFormat.SIMKL,
    Layout.MOVARY_TABLE: FileFormat.MOVARY,
    Layout.YAMTRACK_TABLE: FileFormat.YAMTRACK,
    Layout.MOVIELENS_TABLE: FileFormat.MOVIELENS,
    Layout.NETFLIX_TABLE: FileFormat.NETFLIX,
    Layout.LETTERBOXD_LIST: FileFormat.LETTERBOXD,
    Layout.LETTERBOXD_IMPORT_TABLE: FileFormat.LETTERBOXD,
    Layout.LETTERBOXD_TABLE: FileFormat.LETTERBOXD,
}
# The order matters where a service uses the columns of another one and adds its own.
_TABLES = {
    Layout.TRAKT_TABLE: trakt.is_table,
    Layout.IMDB_TABLE: imdb.is_table,
    Layout.TMDB_TABLE: tmdb.is_table,
    Layout.SIMKL_TABLE: simkl.is_table,
    Layout.MOVARY_TABLE: movary.is_table,
    Layout.YAMTRACK_TABLE: yamtrack.is_table,
    Layout.MOVIELENS_TABLE: movielens.is_table,
    Layout.NETFLIX_TABLE: netflix.is_table,
    Layout.LETTERBOXD_LIST: letterboxd.is_list,
    Layout.OWN_TABLE: own_table.is_table,
    Layout.LETTERBOXD_IMPORT_TABLE: letterboxd.is_import_table,
}


def detect_format(file: IO[bytes], *, name: str) -> FileFormat:
    """Return the service a file comes from. Raises FileError if it is none of FileFormat.

    Reads only the start of a file, or of the files of an archive.
    """
    if is_zip(file):
        return _detect_archive_format(ZipArchive(file))
    head = open_text(file).read_head()
    if not head.strip("\x00 \t\r\n\ufeff"):
        raise FileError("empty_file", "The file is empty.")
    file_format = _detect_head_format(head, name)
    if file_format is None:
        raise make_unknown_format_error(head)
    return file_format


def _detect_archive_format(archive: ZipArchive) -> FileFormat:
    if own_export.MANIFEST in archive.names():
        return FileFormat.OWN
    if any(name.startswith("xl/") or name == "content.xml" for name in archive.names()):
        raise FileError("unknown_format", _WORKBOOK)
    unknown_head = ""
    for file in get_importable_files(archive):
        head = read_head(archive, file)
        file_format = _detect_head_format(head, file.name)
        if file_format is not None:
            return file_format
        unknown_head = unknown_head or head
    raise make_unknown_format_error(unknown_head)


def _detect_head_format(head: str, name: str) -> FileFormat | None:
    layout = detect_layout(head, name)
    if layout is None or (layout is Layout.TRAKT_ARRAY and not _is_trakt_array(head)):
        return None
    return _FORMATS[layout]


def detect_layout(head: str, name: str) -> Layout | None:
    """Return the layout of a file, from its start and its columns; None if it is unknown.

    Raises FileError if its name does not say which of Letterboxd's tables it is.
    """
    match head.lstrip(" \t\r\n\ufeff")[:1]:
        case "[":
            return Layout.TRAKT_ARRAY
        case "{":
            return Layout.SIMKL_JSON if _has_sections_of_simkl(head) else None
    header = read_header(head)
    for layout, is_layout in _TABLES.items():
        if is_layout(header):
            return layout
    if letterboxd.detect_table(header, name) is not None:
        return Layout.LETTERBOXD_TABLE
    return None


def make_unknown_format_error(head: str) -> FileError:
    """Return the error for a file of an unknown format, which names the columns or keys it has."""
    start = head.lstrip(" \t\r\n\ufeff")[:1]
    names: list[str] = []
    if start == "[":
        first = next(read_array([head]), None)
        if isinstance(first, tuple) and isinstance(first[1], dict):
            names = [str(key) for key in first[1]]
    elif start == "{":
        names = list(dict.fromkeys(name for name, _ in _read_sections(head) if name))
    elif "\x00" not in head:
        names = [name for name in read_header(head).names if name]
    shown = ", ".join(sanitize(name)[:40] for name in names[:_MAX_NAMED_COLUMNS])
    columns = f" It has the columns {shown}." if shown else ""
    return FileError("unknown_format", UNKNOWN_FORMAT + columns)


def _is_trakt_array(head: str) -> bool:
    """Return whether the first element is Trakt's; the head of a file may end inside the second."""
    for item in read_array([head]):
        return isinstance(item, InvalidRow) or trakt.is_element(item[1])
    return True


def _has_sections_of_simkl(head: str) -> bool:
    """Return whether the first array in an object is one of Simkl's backup."""
    section, _ = next(_read_sections(head), ("", None))
    return section in simkl.SECTIONS


def _read_sections(head: str) -> Iterator[tuple[str, tuple[int, Any] | InvalidRow]]:
    with suppress(FileError):
        yield from read_sections([head])


def is_zip(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(2) == b"PK"


def open_text(file: IO[bytes]) -> TextFile:
    """Return a file that is no archive as a text file."""

    def rewind() -> IO[bytes]:
        file.seek(0)
        return file

    return TextFile(rewind)


def get_importable_files(archive: ZipArchive) -> list[ArchiveFile]:
    """Return the files of an archive that may contain records, in the order they are read.

    Of the folders of Letterboxd's export only lists/ is read: deleted/, orphaned/ and likes/ are no
    part of the account.
    """
    order = {f"{table}.csv": index for index, table in enumerate(letterboxd.TABLES)}
    files = [file for file in archive.files if is_importable(file.name)]
    return sorted(
        files,
        key=lambda file: (
            # Trakt's lists before their items.
            trakt.get_section(file.name) != "lists",
            order.get(file.name.lower(), len(order)),
            file.name,
        ),
    )


def is_importable(name: str) -> bool:
    lower_name = name.lower()
    if lower_name.endswith(".csv"):
        return lower_name.split("/")[0] not in letterboxd.LEFT_OUT or "/" not in name
    return lower_name.endswith(".json") and not name.startswith(".")


def read_head(archive: ZipArchive, file: ArchiveFile) -> str:
    """Return the start of a file of an archive; an empty text if the file is damaged."""
    try:
        start = archive.read_start(file, HEAD_BYTES)
    except RowError:
        return ""
    return open_text(io.BytesIO(start)).read_head()
