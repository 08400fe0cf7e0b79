"""ZIP archives from users, read as streams and within limits, never unpacked to disk.

Names in the archive are only compared with known names, so a path in a name has no effect.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from social.transfer.formats.records import FileError, RowError
from social.transfer.formats.text_file import TextFile

MAX_FILES = 2_000
MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
# Exports are text, which compresses to a fifth, or to a fiftieth if it is very repetitive.
MAX_COMPRESSION_RATIO = 200
_RATIO_APPLIES_FROM_BYTES = 1024 * 1024
_MAX_NAME_LENGTH = 300
# The end record is 22 bytes and may be followed by a comment of up to 65,535.
_MAX_END_RECORD_BYTES = 65_557
_ZIP64_LOCATOR_BYTES = 20
_BLOCK_BYTES = 256 * 1024
# The directory takes 46 bytes a file and its name.
_MAX_DIRECTORY_BYTES = MAX_FILES * 500

_END_RECORD = struct.Struct("<4s4H2LH")

# The exceptions zipfile raises when it reads a damaged file.
_READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    OSError,
    RuntimeError,
    struct.error,
)


@dataclass(frozen=True)
class ArchiveFile:
    name: str
    info: zipfile.ZipInfo


class ZipArchive:
    """An archive whose directory passed every check.

    The directory can lie about sizes, so they are checked again when a file is read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Raises FileError if the archive cannot be used."""
        _check_end_record(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error):
            raise FileError("bad_archive", "The ZIP archive is damaged.") from None
        infos = [info for info in self._zip.infolist() if not info.is_dir()]
        _check_sizes(infos)
        #: The sizes of the files that were opened, unpacked.
        self._sizes: dict[str, int] = {}
        self.files: list[ArchiveFile] = []
        #: Names and errors of files that are not read.
        self.rejected: list[tuple[str, RowError]] = []
        names: set[str] = set()
        for name, info in _strip_common_folder(infos):
            error = _find_file_error(name, info, names)
            names.add(name)
            if error is None:
                self.files.append(ArchiveFile(name, info))
            else:
                self.rejected.append((name[:_MAX_NAME_LENGTH], error))

    def names(self) -> list[str]:
        return [file.name for file in self.files]

    def read_start(self, file: ArchiveFile, length: int) -> bytes:
        """Return the first bytes of a file. Raises RowError if it is damaged."""
        try:
            with self._zip.open(file.info) as stream:
                return stream.read(length)
        except _READ_ERRORS:
            raise RowError("damaged_file", "This file of the archive is damaged.") from None

    def open_text(self, file: ArchiveFile) -> TextFile:
        """Return a file to be read as a stream. Raises RowError if it is damaged or too large."""
        limit = min(MAX_FILE_BYTES, MAX_TOTAL_BYTES - sum(self._sizes.values()))
        if file.name in self._sizes:
            return TextFile(lambda: self._zip.open(file.info))
        size = 0
        try:
            # Unpacked once before, so that a damaged file has no records at all.
            with self._zip.open(file.info) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    size += len(block)
                    if size > limit:
                        raise RowError("file_too_large", "This file of the archive is too large.")
        except _READ_ERRORS:
            raise RowError("damaged_file", "This file of the archive is damaged.") from None
        self._sizes[file.name] = size
        return TextFile(lambda: self._zip.open(file.info))


def _check_end_record(file: IO[bytes]) -> None:
    """Check the archive's last record before zipfile reads the directory it announces."""
    size = file.seek(0, io.SEEK_END)
    # With what stands in front of the record in a ZIP64 archive.
    file.seek(max(0, size - _MAX_END_RECORD_BYTES - _ZIP64_LOCATOR_BYTES))
    data = file.read()
    start = data.rfind(b"PK\x05\x06", max(0, len(data) - _MAX_END_RECORD_BYTES))
    if start < 0 or len(data) - start < _END_RECORD.size:
        raise FileError("bad_archive", "The end of the ZIP archive is missing.")
    _, disk, directory_disk, disk_entries, entries, directory_size, _, _ = _END_RECORD.unpack_from(
        data, start
    )
    is_zip64 = (
        data[max(0, start - _ZIP64_LOCATOR_BYTES) : start].startswith(b"PK\x06\x07")
        or entries == 0xFFFF
    )
    if is_zip64 or disk or directory_disk:
        raise FileError("bad_archive", "ZIP64 and split ZIP archives are not supported.")
    if max(disk_entries, entries) > MAX_FILES or directory_size > _MAX_DIRECTORY_BYTES:
        raise FileError("too_many_files", f"The archive has more than {MAX_FILES:,} files.")


def _check_sizes(infos: list[zipfile.ZipInfo]) -> None:
    if len(infos) > MAX_FILES:
        raise FileError("too_many_files", f"The archive has more than {MAX_FILES:,} files.")
    size = sum(info.file_size for info in infos)
    compressed_size = sum(info.compress_size for info in infos)
    if size > MAX_TOTAL_BYTES:
        megabytes = MAX_TOTAL_BYTES // 1024**2
        raise FileError("archive_too_large", f"The archive unpacks to over {megabytes} MiB.")
    if size > _RATIO_APPLIES_FROM_BYTES and size > compressed_size * MAX_COMPRESSION_RATIO:
        raise FileError(
            "zip_bomb", f"The archive unpacks to over {MAX_COMPRESSION_RATIO} times its size."
        )


def _strip_common_folder(
    infos: list[zipfile.ZipInfo],
) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Yield names without the folder that contains all files, as in archives packed again."""
    relevant = [info for info in infos if not _is_system_file(info.filename)]
    top_folders = {info.filename.partition("/")[0] for info in relevant}
    prefix = ""
    if len(top_folders) == 1 and all("/" in info.filename for info in relevant):
        folder = top_folders.pop()
        prefix = f"{folder}/" if folder not in ("", ".", "..", "lists") else ""
    for info in relevant:
        yield info.filename.removeprefix(prefix), info


def _is_system_file(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.endswith((".DS_Store", "Thumbs.db"))


def _find_file_error(name: str, info: zipfile.ZipInfo, names: set[str]) -> RowError | None:
    if (
        len(name) > _MAX_NAME_LENGTH
        or "\\" in name
        or "\x00" in info.orig_filename
        or ".." in name.split("/")
        or name.startswith("/")
        or name[1:2] == ":"
    ):
        return RowError("bad_path", "The file's name is too long or is a path out of the archive.")
    if info.flag_bits & 0x1:
        return RowError("encrypted", "This file of the archive is encrypted.")
    if name in names:
        return RowError("duplicate_file", "The archive contains this file twice; the first counts.")
    if name.lower().endswith((".zip", ".gz", ".7z", ".rar", ".bz2", ".xz", ".tar")):
        return RowError("nested_archive", "Archives inside the archive are not read.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return RowError("bad_compression", "Only stored and deflated files are supported.")
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        return RowError("bad_path", "Symbolic links in the archive are not followed.")
    if info.file_size > MAX_FILE_BYTES:
        return RowError("file_too_large", "This file of the archive is too large.")
    return None
