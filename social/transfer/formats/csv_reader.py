"""Bytes into text, and CSV of which a bad line spoils nothing but itself. Free of Django."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from social.transfer.formats.records import FileError, RowError

# The longest row there may be, in characters; a quote that is never closed is told by it.
MAX_RECORD = 100_000
MAX_COLUMNS = 100
# Ten times the rows that are taken: a file of line breaks alone would fill the memory with lines.
MAX_LINES = 1_000_000
_SNIFFED = 4_000

_LEADING_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def decoded(data: bytes) -> str:
    """The text of a file: UTF-8, UTF-16, or Windows-1252, by its mark or by what fits.

    Of a file that is UTF-8 but for some lines, those lines alone are read as Windows-1252. Raises
    FileError where there are more than MAX_LINES.
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
    head = data[:_SNIFFED]
    if len(head) >= 8:
        # Without its mark, UTF-16 shows by a NUL in every other place.
        even, odd = head[::2].count(0), head[1::2].count(0)
        if min(even, odd) == 0 and max(even, odd) > len(head) * 0.3:
            return data.decode("utf-16-le" if odd else "utf-16-be", "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "".join(_line(line) for line in data.splitlines(keepends=True))


def _line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


# --- CSV -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row of a table: its first line, and its cells by the folded name of their column."""

    line: int
    cells: dict[str, str]

    def get(self, *names: str) -> str:
        """The first of these columns that the table has and that is not empty here."""
        for name in names:
            if self.cells.get(name, "").strip():
                return self.cells[name]
        return ""


@dataclass(frozen=True)
class BadRow:
    line: int
    text: str
    problem: RowError


def fold_name(name: str) -> str:
    return " ".join(name.strip().strip("\ufeff").lower().split())


def header_of(text: str) -> list[str]:
    """The folded column names of a table, from its first line that is not empty."""
    for line in lines_of(text[:MAX_RECORD]):
        if line.strip(", \t"):
            return [fold_name(cell) for cell in _cells(line)[:MAX_COLUMNS]]
    return []


def lines_of(text: str) -> list[str]:
    """The lines of a text. Not splitlines(), which also splits at what may stand in a title."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def table(text: str, *, needed: Iterable[str], first_line: int = 1) -> Iterator[Row | BadRow]:
    """The rows of a CSV table with a header. Raises FileError where the header cannot be used."""
    lines = lines_of(text)
    head = 0
    while head < len(lines) and not lines[head].strip(", \t"):
        head += 1
    names = [fold_name(cell) for cell in _cells(lines[head])] if head < len(lines) else []
    _check_header(names, set(needed))
    for at, cells in _records(lines, head + 1, len(names)):
        line = first_line + at
        if isinstance(cells, RowError):
            yield BadRow(line, "", cells)
            continue
        if not any(cell.strip() for cell in cells):
            continue
        problem = _shape_problem(cells, len(names))
        if problem is not None:
            yield BadRow(line, _first_words(cells), problem)
            continue
        yield Row(line, dict(zip(names, cells, strict=False)))


def _check_header(names: list[str], needed: set[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise FileError("bad_header", f"The table has more than {MAX_COLUMNS} columns.")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        listed = ", ".join(name[:40] for name in twice[:5])
        raise FileError("duplicate_header", f"More than one column is called {listed}.")
    missing = sorted(needed - set(names))
    if missing:
        raise FileError("bad_header", f"The columns {', '.join(missing)} are missing.")


def _shape_problem(cells: list[str], width: int) -> RowError | None:
    if any("\x00" in cell for cell in cells):
        return RowError("nul_character", "The row holds a NUL character.")
    if len(cells) < width:
        return RowError("half_row", f"The row has {len(cells)} of {width} columns.")
    if any(cell.strip() for cell in cells[width:]):
        return RowError("too_many_columns", f"The row has {len(cells)} columns, not {width}.")
    return None


def _first_words(cells: list[str]) -> str:
    return ", ".join(cell for cell in cells[:4] if cell.strip())


def _records(
    lines: list[str], start: int, width: int
) -> Iterator[tuple[int, list[str] | RowError]]:
    """The cells of each record and the place of its first line.

    A record goes on over lines until its quotes are even in number. One that does not end within
    MAX_RECORD, or has then not `width` cells, is given up after its first line, so that a stray
    quote costs one row and not the rest of the file.
    """
    at = start
    while at < len(lines):
        end, cells = at + 1, None
        if len(lines[at]) > MAX_RECORD:
            yield at, RowError("too_long", f"The row is longer than {MAX_RECORD:,} characters.")
        elif lines[at].count('"') % 2 == 0:
            yield at, _cells(lines[at])
        else:
            found = _end_of_record(lines, at)
            if found is not None:
                cells = _cells("\n".join(lines[at:found]))
            if found is not None and cells is not None and len(cells) == width:
                yield at, cells
                end = found
            else:
                yield at, RowError("unclosed_quote", "A quotation mark is not closed.")
        at = end


def _end_of_record(lines: list[str], start: int) -> int | None:
    quotes = length = 0
    for at in range(start, len(lines)):
        quotes += lines[at].count('"')
        length += len(lines[at])
        if length > MAX_RECORD:
            return None
        if at > start and quotes % 2 == 0:
            return at + 1
    return None


def _cells(record: str) -> list[str]:
    try:
        return next(csv.reader([record]), [])
    except csv.Error:
        return []


# --- Formulas ------------------------------------------------------------------------------------


def escaped(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    What begins like one, after any apostrophes, gets one apostrophe more, so that `unescaped`
    gives back every text as it was. Source: OWASP, CSV Injection.
    """
    return f"'{cell}" if _LEADING_FORMULA.match(cell) else cell


def unescaped(cell: str) -> str:
    """What `escaped` was given."""
    return cell[1:] if cell.startswith("'") and _LEADING_FORMULA.match(cell) else cell
