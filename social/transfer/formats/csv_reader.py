"""CSV files: decode bytes to text and split tables into rows. Free of Django.

A broken row costs only itself, so one stray quotation mark does not lose the rest of a file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from social.transfer.formats.records import FileError, InvalidRow, RowError

# The longest row, in characters. It bounds how far the end of an unclosed quotation is searched.
MAX_ROW_LENGTH = 100_000
MAX_COLUMNS = 100
# Ten times the rows of an import: a file of line breaks alone would fill the memory with lines.
MAX_LINES = 1_000_000
# Bytes that are inspected to recognize UTF-16.
_SAMPLE_BYTES = 4_000

_FORMULA_START = re.compile(r"'*[=+\-@\t\r\n]")


def decode(data: bytes) -> str:
    """Return the text of a file in UTF-8, UTF-16 or Windows-1252.

    The encoding follows from the byte order mark, else from what the bytes allow. In a file that is
    UTF-8 except for some lines, only those lines are read as Windows-1252. Raises FileError if
    there are more than MAX_LINES.
    """
    if data.count(b"\n") + data.count(b"\r") > 2 * MAX_LINES:
        raise FileError("too_many_lines", f"The file has more than {MAX_LINES:,} lines.")
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    sample = data[:_SAMPLE_BYTES]
    if len(sample) >= 8:
        # UTF-16 without a mark has a NUL in every other byte of its Latin letters.
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if min(even, odd) == 0 and max(even, odd) > len(sample) * 0.3:
            return data.decode("utf-16-le" if odd else "utf-16-be", "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "".join(_decode_line(line) for line in data.splitlines(keepends=True))


def _decode_line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


# --- Tables --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CsvRow:
    """The cells of a row by the normalized name of their column."""

    cells: dict[str, str]

    def get(self, *names: str) -> str:
        """Return the first of these columns that exists and is not empty, else an empty text."""
        for name in names:
            if self.cells.get(name, "").strip():
                return self.cells[name]
        return ""


def normalize_column(name: str) -> str:
    return " ".join(name.strip().strip("\ufeff").lower().split())


def read_header(text: str) -> list[str]:
    """Return the normalized column names from the first line that is not empty."""
    for line in split_lines(text[:MAX_ROW_LENGTH]):
        if line.strip(", \t"):
            return [normalize_column(cell) for cell in _split_cells(line)[:MAX_COLUMNS]]
    return []


def split_lines(text: str) -> list[str]:
    """Split at line feeds and carriage returns; str.splitlines() splits inside titles too."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_table(
    text: str, *, required: Iterable[str], first_line: int = 1
) -> Iterator[tuple[int, CsvRow] | InvalidRow]:
    """Yield each row of a table with its line number. Raises FileError for an unusable header."""
    lines = split_lines(text)
    header = 0
    while header < len(lines) and not lines[header].strip(", \t"):
        header += 1
    columns = (
        [normalize_column(cell) for cell in _split_cells(lines[header])]
        if header < len(lines)
        else []
    )
    _check_header(columns, set(required))
    for index, cells in _split_rows(lines, header + 1, len(columns)):
        line = first_line + index
        if isinstance(cells, RowError):
            yield InvalidRow(line, cells)
            continue
        if not any(cell.strip() for cell in cells):
            continue
        error = _find_row_error(cells, len(columns))
        if error is not None:
            yield InvalidRow(line, error, ", ".join(cell for cell in cells[:4] if cell.strip()))
            continue
        yield line, CsvRow(dict(zip(columns, cells, strict=False)))


def _check_header(columns: list[str], required: set[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise FileError("bad_header", f"The table has more than {MAX_COLUMNS} columns.")
    repeated = sorted({name for name in columns if name and columns.count(name) > 1})
    if repeated:
        names = ", ".join(name[:40] for name in repeated[:5])
        raise FileError("duplicate_header", f"More than one column is named {names}.")
    missing = sorted(required - set(columns))
    if missing:
        raise FileError("bad_header", f"The columns {', '.join(missing)} are missing.")


def _find_row_error(cells: list[str], width: int) -> RowError | None:
    if any("\x00" in cell for cell in cells):
        return RowError("nul_character", "The row contains a NUL character.")
    if len(cells) < width:
        return RowError("half_row", f"The row has {len(cells)} of {width} columns.")
    if any(cell.strip() for cell in cells[width:]):
        return RowError("too_many_columns", f"The row has {len(cells)} columns, not {width}.")
    return None


def _split_rows(
    lines: list[str], start: int, width: int
) -> Iterator[tuple[int, list[str] | RowError]]:
    """Yield the cells of each row with the index of its first line.

    A row continues over lines until its quotation marks are even in number. If it does not end
    within MAX_ROW_LENGTH, or does not have `width` cells then, only its first line is invalid and
    the next line starts a new row.
    """
    index = start
    while index < len(lines):
        line = lines[index]
        if len(line) > MAX_ROW_LENGTH:
            yield index, RowError("too_long", f"The row is over {MAX_ROW_LENGTH:,} characters.")
        elif line.count('"') % 2 == 0:
            yield index, _split_cells(line)
        else:
            end = _find_row_end(lines, index)
            cells = _split_cells("\n".join(lines[index:end])) if end is not None else []
            if end is not None and len(cells) == width:
                yield index, cells
                index = end
                continue
            yield index, RowError("unclosed_quote", "A quotation mark is not closed.")
        index += 1


def _find_row_end(lines: list[str], start: int) -> int | None:
    """Return the index after the last line of a row that starts with an open quotation."""
    quotes = length = 0
    for index in range(start, len(lines)):
        quotes += lines[index].count('"')
        length += len(lines[index])
        if length > MAX_ROW_LENGTH:
            return None
        if index > start and quotes % 2 == 0:
            return index + 1
    return None


def _split_cells(row: str) -> list[str]:
    try:
        return next(csv.reader([row]), [])
    except csv.Error:
        return []


# --- Formulas ------------------------------------------------------------------------------------


def escape_formula(cell: str) -> str:
    """Return a cell that no spreadsheet evaluates as a formula.

    A text that begins like a formula, possibly after apostrophes, gets one more apostrophe in
    front, so that `unescape_formula` restores every text. Source: OWASP, CSV Injection.
    """
    return f"'{cell}" if _FORMULA_START.match(cell) else cell


def unescape_formula(cell: str) -> str:
    """Return the text that `escape_formula` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA_START.match(cell) else cell
