"""CSV files: split lines into rows and cells. Free of Django.

Cells are separated by commas, semicolons or tabs; the header decides. A broken row costs only itself,
so one stray quotation mark does not lose the rest of a file.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nexus.core.text import fold
from social.transfer.formats.records import FileError, InvalidRow, RowError
from social.transfer.formats.text_file import MAX_LINE_LENGTH

# The longest row, in characters. It bounds how far the end of an unclosed quotation is searched.
MAX_ROW_LENGTH = MAX_LINE_LENGTH
MAX_COLUMNS = 100
# With fewer cells, a row that others are longer than is a fragment.
MIN_CELLS = 3

_FORMULA_START = re.compile(r"'*[=+\-@\t\r\n]")


_DELIMITERS = (",", ";", "\t")
# What a line without content consists of.
_BLANKS = ", \t;\ufeff"
# Excel reads the delimiter from such a first line.
_DELIMITER_LINE = re.compile(r"\"?sep=([,;|\t])\"?", re.IGNORECASE)
# Dots stay: Trakt's columns are paths such as movie.ids.imdb.
_NOT_IN_COLUMN = re.compile(r"[^a-z0-9.]+")


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


@dataclass(frozen=True)
class Header:
    """The names of a table's columns as written, and normalized."""

    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def normalize_column(name: str) -> str:
    """Return a name by its letters and digits: `Your Rating` and `your_rating` are both yourrating."""
    return _NOT_IN_COLUMN.sub("", fold(name))


def read_header(head: str) -> Header:
    """Return the header in the first line of a file that is not empty."""
    source = _Lines(head.replace("\r", "\n").split("\n"))
    line, delimiter = _take_header(source)
    if line is None:
        return Header()
    names = tuple(" ".join(cell.split()) for cell in _split_cells(line, delimiter)[:MAX_COLUMNS])
    return Header(names, tuple(normalize_column(name) for name in names))


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
    header, delimiter = _take_header(source)
    columns = [normalize_column(cell) for cell in _split_cells(header or "", delimiter)]
    while columns and not columns[-1]:
        # A spreadsheet writes as many cells as its longest row has.
        columns.pop()
    _check_header(columns, set(required))
    for index, cells in _split_rows(source, len(columns), delimiter):
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


def read_date_cells(lines: Iterable[str]) -> Iterator[str]:
    """Yield the cells of the columns of a table that contain dates."""
    try:
        for item in read_table(lines, required=()):
            if not isinstance(item, InvalidRow):
                _, row = item
                yield from (cell for name, cell in row.cells.items() if _is_date_column(name))
    except FileError:
        return


def _is_date_column(name: str) -> bool:
    parts = ("date", "watched", "created", "modified", "rated", "added", "time")
    return any(part in name for part in parts)


def _take_header(source: _Lines) -> tuple[str | None, str]:
    """Go to the first line that is not empty; return it and the delimiter of the table."""
    line = source.take()
    while line is not None and not line.strip(_BLANKS):
        line = source.take()
    if line is None:
        return None, _DELIMITERS[0]
    line = line.lstrip("\ufeff")
    if match := _DELIMITER_LINE.fullmatch(line.strip(_BLANKS[:2])):
        return source.take(), match[1]
    return line, max(_DELIMITERS, key=lambda delimiter: len(_split_cells(line, delimiter)))


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
    """Return why a row cannot be used. Its last cells may be missing, as spreadsheets write rows."""
    if any("\x00" in cell for cell in cells):
        return RowError("nul_character", "The row contains a NUL character.")
    if len(cells) < min(width, MIN_CELLS):
        return RowError("half_row", f"The row has {len(cells)} of {width} columns.")
    if any(cell.strip() for cell in cells[width:]):
        return RowError("too_many_columns", f"The row has {len(cells)} columns, not {width}.")
    return None


def _split_rows(
    lines: _Lines, width: int, delimiter: str
) -> Iterator[tuple[int, list[str] | RowError]]:
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
            yield index, _split_cells(line, delimiter)
        else:
            more = _find_more_lines(line, lines)
            # Strictly: two stray marks in different rows must not take the rows between them.
            cells = _split_cells("\n".join([line, *more]), delimiter, strict=True)
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


def _split_cells(row: str, delimiter: str, *, strict: bool = False) -> list[str]:
    try:
        return next(csv.reader([row], delimiter=delimiter, strict=strict), [])
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
