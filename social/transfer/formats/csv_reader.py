"""CSV files: split lines into rows and cells. Free of Django.

A broken row costs only itself, so one stray quotation mark does not lose the rest of a file.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from social.transfer.formats.records import FileError, InvalidRow, RowError
from social.transfer.formats.text_file import MAX_LINE_LENGTH

# The longest row, in characters. It bounds how far the end of an unclosed quotation is searched.
MAX_ROW_LENGTH = MAX_LINE_LENGTH
MAX_COLUMNS = 100

_FORMULA_START = re.compile(r"'*[=+\-@\t\r\n]")


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


def read_header(head: str) -> list[str]:
    """Return the normalized column names from the first line of a file that is not empty."""
    for line in head.replace("\r", "\n").split("\n"):
        if line.strip(", \t"):
            return [normalize_column(cell) for cell in _split_cells(line)[:MAX_COLUMNS]]
    return []


class _Lines:
    """The lines of a table, some of which are read ahead."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._ahead: deque[str] = deque()
        #: The index of the line that `take` has returned last.
        self.index = -1

    def take(self, count: int = 1) -> str | None:
        """Go forward by some lines and return the last of them, or None at the end."""
        line = None
        for _ in range(count):
            line = self._ahead.popleft() if self._ahead else next(self._lines, None)
            self.index += 1
        return line

    def peek(self, offset: int) -> str | None:
        """Return a line after the current one without going forward; the next one has offset 0."""
        while len(self._ahead) <= offset:
            line = next(self._lines, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[offset]


def read_table(
    lines: Iterable[str], *, required: Iterable[str], first_line: int = 1
) -> Iterator[tuple[int, CsvRow] | InvalidRow]:
    """Yield each row of a table with its line number. Raises FileError for an unusable header."""
    source = _Lines(lines)
    header = source.take()
    while header is not None and not header.strip(", \t"):
        header = source.take()
    columns = [normalize_column(cell) for cell in _split_cells(header or "")]
    _check_header(columns, set(required))
    for index, cells in _split_rows(source, len(columns)):
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


def _split_rows(lines: _Lines, width: int) -> Iterator[tuple[int, list[str] | RowError]]:
    """Yield the cells of each row with the index of its first line.

    A row continues over lines until its quotation marks are even in number. If it does not end
    within MAX_ROW_LENGTH, or does not have `width` cells then, only its first line is invalid and
    the next line starts a new row.
    """
    while (line := lines.take()) is not None:
        index = lines.index
        if len(line) > MAX_ROW_LENGTH:
            yield index, RowError("too_long", f"The row is over {MAX_ROW_LENGTH:,} characters.")
        elif line.count('"') % 2 == 0:
            yield index, _split_cells(line)
        else:
            more = _find_more_lines(line, lines)
            cells = _split_cells("\n".join([line, *more]))
            if more and len(cells) == width:
                lines.take(len(more))
                yield index, cells
            else:
                yield index, RowError("unclosed_quote", "A quotation mark is not closed.")


def _find_more_lines(line: str, lines: _Lines) -> list[str]:
    """Return the further lines of a row that opens a quotation; none if it is not closed."""
    quotes, length = line.count('"'), len(line)
    more: list[str] = []
    while (next_line := lines.peek(len(more))) is not None:
        more.append(next_line)
        quotes += next_line.count('"')
        length += 1 + len(next_line)
        if length > MAX_ROW_LENGTH:
            return []
        if quotes % 2 == 0:
            return more
    return []


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
