"""ZIP archives from strangers: read in memory, within bounds, and never unpacked to a disk.

A name in the archive is only ever compared with the names we know, so a path leads nowhere.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from social.transfer.formats.records import FileError, RowError

MAX_FILES = 2_000
MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
# Exports are text, which shrinks to a fifth or, where it repeats itself much, a fiftieth.
MAX_RATIO = 200
_RATIO_FROM_BYTES = 1024 * 1024
_MAX_NAME = 300

# What zipfile raises of an archive made to break it.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    OSError,
    RuntimeError,
    struct.error,
)
_END = struct.Struct("<4s4H2LH")


@dataclass(frozen=True)
class Member:
    name: str
    info: zipfile.ZipInfo


class Archive:
    """An archive that passed every check its directory allows; what it claims is checked again."""

    def __init__(self, data: bytes) -> None:
        """Raises FileError."""
        _check_end(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error):
            raise FileError("bad_archive", "The ZIP archive is damaged.") from None
        infos = [info for info in self._zip.infolist() if not info.is_dir()]
        if len(infos) > MAX_FILES:
            raise FileError("too_many_files", f"The archive has more than {MAX_FILES:,} files.")
        total = sum(info.file_size for info in infos)
        packed = sum(info.compress_size for info in infos)
        if total > MAX_TOTAL_BYTES:
            megabytes = MAX_TOTAL_BYTES // 1024**2
            raise FileError("archive_too_large", f"Unpacked, the archive is over {megabytes} MiB.")
        if total > _RATIO_FROM_BYTES and total > packed * MAX_RATIO:
            raise FileError("zip_bomb", "The archive unpacks to far more than a real one would.")
        self._left = MAX_TOTAL_BYTES
        self.members: list[Member] = []
        self.refused: list[tuple[str, RowError]] = []
        seen: set[str] = set()
        for name, info in _stripped(infos):
            problem = _problem(name, info, seen)
            seen.add(name)
            if problem is None:
                self.members.append(Member(name, info))
            else:
                self.refused.append((name[:_MAX_NAME], problem))

    def names(self) -> list[str]:
        return [member.name for member in self.members]

    def head(self, member: Member, length: int) -> bytes:
        """Its first bytes. Raises RowError where it is damaged."""
        try:
            with self._zip.open(member.info) as file:
                return file.read(length)
        except _DAMAGE:
            raise RowError("damaged_file", "This file of the archive is damaged.") from None

    def read(self, member: Member) -> bytes:
        """Its content. Raises RowError where it is damaged or more than it said it would be."""
        bound = min(MAX_FILE_BYTES, self._left)
        try:
            with self._zip.open(member.info) as file:
                data = file.read(bound + 1)
        except _DAMAGE:
            raise RowError("damaged_file", "This file of the archive is damaged.") from None
        if len(data) > bound:
            raise RowError("file_too_large", "This file of the archive is too large.")
        self._left -= len(data)
        return data


def _check_end(data: bytes) -> None:
    """Look at the archive's last record before zipfile reads the directory it promises."""
    at = data.rfind(b"PK\x05\x06", max(0, len(data) - 65_557))
    if at < 0 or len(data) - at < _END.size:
        raise FileError("bad_archive", "The ZIP archive is cut off.")
    _, disk, first_disk, here, entries, size, _, _ = _END.unpack_from(data, at)
    if (
        data[max(0, at - 20) : at].startswith(b"PK\x06\x07")
        or entries == 0xFFFF
        or disk
        or first_disk
    ):
        raise FileError("bad_archive", "The ZIP archive is of a kind (ZIP64, split) not read here.")
    if max(here, entries) > MAX_FILES or size > MAX_FILES * 500:
        raise FileError("too_many_files", f"The archive has more than {MAX_FILES:,} files.")


def _stripped(infos: list[zipfile.ZipInfo]) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Names without the one folder that all of them are in, as re-packed archives have it."""
    real = [info for info in infos if not _is_litter(info.filename)]
    tops = {info.filename.partition("/")[0] for info in real}
    folder = ""
    if len(tops) == 1 and all("/" in info.filename for info in real):
        top = tops.pop()
        folder = f"{top}/" if top not in ("", ".", "..", "lists") else ""
    for info in real:
        yield info.filename.removeprefix(folder), info


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.endswith((".DS_Store", "Thumbs.db"))


def _problem(name: str, info: zipfile.ZipInfo, seen: set[str]) -> RowError | None:
    parts = name.split("/")
    if (
        len(name) > _MAX_NAME
        or "\\" in name
        or "\x00" in info.orig_filename
        or ".." in parts
        or name.startswith("/")
        or name[1:2] == ":"
    ):
        return RowError("bad_path", "A file's name leads out of the archive.")
    if info.flag_bits & 0x1:
        return RowError("encrypted", "This file of the archive is encrypted.")
    if name in seen:
        return RowError("duplicate_file", "The archive has this file twice; the first counts.")
    if name.lower().endswith((".zip", ".gz", ".7z", ".rar", ".bz2", ".xz", ".tar")):
        return RowError("nested_archive", "An archive in the archive is not opened.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return RowError("bad_compression", "This file of the archive is packed in a rare way.")
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        return RowError("bad_path", "A link in the archive is not followed.")
    if info.file_size > MAX_FILE_BYTES:
        return RowError("file_too_large", "This file of the archive is too large.")
    return None
