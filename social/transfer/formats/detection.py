"""Which service a file comes from, decided by its content. Free of Django."""

from __future__ import annotations

import io
from enum import Enum, StrEnum, auto
from typing import IO

from social.transfer.formats import imdb, letterboxd, own_export, tmdb, trakt
from social.transfer.formats.csv_reader import read_header
from social.transfer.formats.json_reader import read_array
from social.transfer.formats.records import FileError, InvalidRow, RowError
from social.transfer.formats.text_file import HEAD_BYTES, TextFile
from social.transfer.formats.zip_archive import ArchiveFile, ZipArchive

UNKNOWN_FORMAT = (
    "The file is none of those that can be imported: Letterboxd's ZIP or one of its CSV files,"
    " IMDb's CSV, Trakt's JSON, TMDb's CSV or our own export."
)


class FileFormat(StrEnum):
    """The services that files can come from."""

    OWN = "nexus"
    LETTERBOXD = "letterboxd"
    IMDB = "imdb"
    TRAKT = "trakt"
    TMDB = "tmdb"


class Layout(Enum):
    """The kind of content of a single file; each kind has its own reader."""

    OWN_TABLE = auto()
    IMDB_TABLE = auto()
    TMDB_TABLE = auto()
    TRAKT_ARRAY = auto()
    LETTERBOXD_LIST = auto()
    LETTERBOXD_IMPORT_TABLE = auto()
    LETTERBOXD_TABLE = auto()


_FORMATS = {
    Layout.OWN_TABLE: FileFormat.OWN,
    Layout.IMDB_TABLE: FileFormat.IMDB,
    Layout.TMDB_TABLE: FileFormat.TMDB,
    Layout.TRAKT_ARRAY: FileFormat.TRAKT,
    Layout.LETTERBOXD_LIST: FileFormat.LETTERBOXD,
    Layout.LETTERBOXD_IMPORT_TABLE: FileFormat.LETTERBOXD,
    Layout.LETTERBOXD_TABLE: FileFormat.LETTERBOXD,
}


def detect_format(file: IO[bytes], *, name: str) -> FileFormat:
    """Return the service a file comes from. Raises FileError if it is none of FileFormat.

    Reads only the start of a file, or of the files of an archive.
    """
    if is_zip(file):
        file_format = _detect_archive_format(ZipArchive(file))
    else:
        head = open_text(file).read_head()
        if not head.strip("\x00 \t\r\n"):
            raise FileError("empty_file", "The file is empty.")
        file_format = _detect_head_format(head, name)
    if file_format is None:
        raise FileError("unknown_format", UNKNOWN_FORMAT)
    return file_format


def _detect_archive_format(archive: ZipArchive) -> FileFormat | None:
    if own_export.MANIFEST in archive.names():
        return FileFormat.OWN
    for file in get_importable_files(archive):
        file_format = _detect_head_format(read_head(archive, file), file.name)
        if file_format is not None:
            return file_format
    return None


def _detect_head_format(head: str, name: str) -> FileFormat | None:
    layout = detect_layout(head, name)
    if layout is None or (layout is Layout.TRAKT_ARRAY and not _is_trakt_array(head)):
        return None
    return _FORMATS[layout]


def detect_layout(head: str, name: str) -> Layout | None:
    """Return the layout of a file, from its start and its columns; None if it is unknown.

    Raises FileError if its name does not say which of Letterboxd's tables it is.
    """
    header = read_header(head)
    if head.lstrip()[:1] == "[":
        return Layout.TRAKT_ARRAY
    if own_export.is_table(header):
        return Layout.OWN_TABLE
    if imdb.is_table(header):
        return Layout.IMDB_TABLE
    if tmdb.is_table(header):
        return Layout.TMDB_TABLE
    if letterboxd.is_list(header):
        return Layout.LETTERBOXD_LIST
    if letterboxd.detect_table(header, name) is not None:
        return Layout.LETTERBOXD_TABLE
    if letterboxd.is_import_table(header):
        return Layout.LETTERBOXD_IMPORT_TABLE
    return None


def _is_trakt_array(head: str) -> bool:
    """Return whether the first element is Trakt's; the head of a file may end inside the second."""
    for item in read_array([head]):
        return isinstance(item, InvalidRow) or trakt.is_element(item[1])
    return True


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
    files = [file for file in archive.files if _is_importable(file.name)]
    return sorted(files, key=lambda file: (order.get(file.name.lower(), len(order)), file.name))


def _is_importable(name: str) -> bool:
    lower_name = name.lower()
    if lower_name.endswith(".csv"):
        return "/" not in name or lower_name.startswith("lists/")
    return lower_name.endswith(".json") and not name.startswith(".")


def read_head(archive: ZipArchive, file: ArchiveFile) -> str:
    """Return the start of a file of an archive; an empty text if the file is damaged."""
    try:
        start = archive.read_start(file, HEAD_BYTES)
    except RowError:
        return ""
    return open_text(io.BytesIO(start)).read_head()
