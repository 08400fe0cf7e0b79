"""IMDb's ratings and lists as CSV, in the header of today and in the older ones.

Today: Const, Your Rating, Date Rated, Title, Original Title, …; lists begin with Position. Before
2017: position, const, created, modified, description, Title, Title type, Directors, You rated, …
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from social.transfer.formats.csv_reader import BadRow, Row, table
from social.transfer.formats.records import (
    Entries,
    Entry,
    Kind,
    RowError,
    invalid,
    read_imdb_id,
    read_moment,
    read_score,
    read_title,
    read_year,
)

# In the languages IMDb writes it in, a series has this in its type.
_NOT_A_FILM = re.compile(r"series|serie|episode|game|podcast|music|pilot|miniserie", re.IGNORECASE)


def is_table(header: list[str]) -> bool:
    return "const" in header and "title" in header


def read(text: str, *, file: str, today: date) -> Entries:
    for row in table(text, needed=("const", "title")):
        if isinstance(row, BadRow):
            yield invalid(file, row.line, row.problem, title=row.text)
            continue
        try:
            yield _row(row, file, today)
        except RowError as problem:
            yield invalid(file, row.line, problem, title=row.get("title"))


def _row(row: Row, file: str, today: date) -> Entry:
    kind = row.get("title type")
    if _NOT_A_FILM.search(kind):
        raise RowError("not_a_film", f"This is no film but: {kind.strip()[:40]}.")
    imdb_id = read_imdb_id(row.get("const"))
    if imdb_id is None:
        raise RowError("no_id", "The row has no id of IMDb's.")
    film: dict[str, Any] = {
        "title": read_title(row.get("title")),
        "year": read_year(row.get("year")),
        "imdb_id": imdb_id,
    }
    # Lists of today repeat the score of what is on them; they are lists all the same.
    is_list = "position" in row.cells and "you rated" not in row.cells
    score = row.get("you rated") if "you rated" in row.cells else row.get("your rating")
    if is_list or ("you rated" in row.cells and not score):
        added, _ = read_moment(row.get("created"), today=today)
        return Entry(Kind.WATCHLIST, file, row.line, **film, values={"added_at": added})
    if not score:
        raise RowError("no_score", "The row has no score.")
    stars, note = read_score(score, out_of=10)
    rated, _ = read_moment(row.get("date rated", "created"), today=today)
    values = {"score": stars, "rated_at": rated, "note": note}
    return Entry(Kind.RATING, file, row.line, **film, values=values)
