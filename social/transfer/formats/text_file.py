"""Text files as streams: their lines, or chunks of them, in any of the usual encodings.

Free of Django.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from social.transfer.formats.records import FileError

# The bytes at the start of a file that contain the whole header.
HEAD_BYTES = 64 * 1024
#: The longest line, in characters. Of a longer one only the start is read.
MAX_LINE_LENGTH = 100_000
# Ten times the rows of an import: a file of line breaks alone would take minutes.
MAX_LINES = 1_000_000
CHUNK_LENGTH = 64 * 1024
# Bytes that are inspected to recognize UTF-16.
_SAMPLE_BYTES = 4_000
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


@dataclass(frozen=True)
class TextFile:
    """A text file in UTF-8, UTF-16 or Windows-1252, which can be read more than once.

    The encoding follows from the byte order mark, else from what the bytes allow. In a file that is
    UTF-8 except for some lines, only those lines are read as Windows-1252.
    """

    #: Returns the content as a stream that is at its start.
    open: Callable[[], IO[bytes]]

    def read_head(self) -> str:
        """Return the start of the file."""
        data = self.open().read(HEAD_BYTES)
        encoding, mark_length = _detect_encoding(data)
        if encoding is not None:
            return data[mark_length:].decode(encoding, "replace")
        return "".join(_decode_line(line) for line in data.splitlines(keepends=True))

    def read_lines(self) -> Iterator[str]:
        """Yield the lines, which end with a line feed or a carriage return, without that.

        str.splitlines() splits inside titles, too. Raises FileError after MAX_LINES.
        """
        # Latin-1 represents each byte by one character.
        with self._open_text("latin-1", newline=None) as (text, is_encoded):
            limit = MAX_LINE_LENGTH * (4 if is_encoded else 1) + 2
            number = 0
            while line := text.readline(limit):
                number += 1
                if number > MAX_LINES:
                    raise FileError("too_many_lines", f"The file has over {MAX_LINES:,} lines.")
                rest = line
                while len(rest) == limit and not rest.endswith("\n"):
                    rest = text.readline(limit)
                line = line.removesuffix("\n")
                if is_encoded:
                    line = _decode_line(line.encode("latin-1"))
                yield line[: MAX_LINE_LENGTH + 1]

    def read_chunks(self) -> Iterator[str]:
        """Yield the text in parts of CHUNK_LENGTH."""
        with self._open_text("utf-8", newline="") as (text, _):
            while chunk := text.read(CHUNK_LENGTH):
                yield chunk

    @contextmanager
    def _open_text(
        self, fallback: str, newline: str | None
    ) -> Iterator[tuple[io.TextIOWrapper, bool]]:
        """Open the file; yield it, and whether its encoding is unknown and `fallback` was used."""
        stream = self.open()
        encoding, mark_length = _detect_encoding(stream.read(_SAMPLE_BYTES))
        stream.seek(mark_length)
        text = io.TextIOWrapper(
            stream, encoding=encoding or fallback, errors="replace", newline=newline
        )
        try:
            yield text, encoding is None
        finally:
            # Otherwise the wrapper would close the stream, which may have been closed before.
            if not stream.closed:
                text.detach()


def _detect_encoding(data: bytes) -> tuple[str | None, int]:
    """Return the encoding of a file from its start, and the length of its byte order mark."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    sample = data[:_SAMPLE_BYTES]
    if len(sample) >= 8:
        # UTF-16 without a mark has a NUL in every other byte of its Latin letters.
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if min(even, odd) == 0 and max(even, odd) > len(sample) * 0.3:
            return "utf-16-le" if odd else "utf-16-be", 0
    return None, 0


def _decode_line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")
