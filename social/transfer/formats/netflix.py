"""Netflix's viewing history (Title, Date), and ViewingActivity.csv of the export of all data.

Netflix has no ids, no years and no types. The shape of a title tells episodes from movies: “Show:
Season 1: Pilot” is an episode, and whatever begins with a show that has such episodes is one, too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from nexus.core.text import fold
from social.transfer.formats.csv_reader import CsvRow, Header, read_table
from social.transfer.formats.dates import Moment
from social.transfer.formats.records import (
    FileError,
    InvalidRow,
    LeftOut,
    Record,
    RecordKind,
    RowError,
    parse_rows,
)
from social.transfer.formats.values import CellParser, FileContext

_TITLES = frozenset({"title", "titel", "titre", "titulo", "titolo", "tytul", "tittel", "baslik"})
_DATES = frozenset({"date", "datum", "fecha", "data", "dato", "tarih"})
_ACTIVITY = frozenset({"profilename", "starttime", "title"})
_MAX_SHOWS = 50_000
# Shorter viewings in ViewingActivity.csv are taken for looking into a title.
_MIN_MINUTES = 20

_NUMBER = r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|[ivx]+)"
# A part of a title that only episodes have, in the languages of Netflix.
_SEASON = re.compile(
    r"(?:season|series|staffel|saison|temporada|stagione|seizoen|sezon|sasong|saeson|sesong"
    rf"|kausi|serie|part\.? temporada)\s*{_NUMBER}\b.*"
    rf"|{_NUMBER}\.?\s*(?:season|staffel|saison|temporada|stagione|evad|sezon)\b.*"
    r"|(?:limited|mini|collection)[ -]?series.*|mini-?serien?.*|serie limitee.*|serie limitada.*"
    r"|miniserie.*|specials"
)
# Parts that movies have as well, unless another part follows.
_CHAPTER = re.compile(
    rf"(?:part|teil|partie|parte|deel|volume|vol\.?|book|buch|livre|libro|chapter|kapitel|chapitre"
    rf"|capitulo|capitolo|collection)\s*{_NUMBER}\b.*"
)
_EPISODE = re.compile(
    rf"(?:episode|folge|episodio|capitulo|aflevering|avsnitt|afsnit|jakso|odcinek)\s*{_NUMBER}\b.*"
)


def is_table(header: Header) -> bool:
    columns = header.columns
    if len(columns) == 2 and columns[0] in _TITLES and columns[1] in _DATES:
        return True
    return set(columns) >= _ACTIVITY


def find_shows(lines: Iterable[str]) -> frozenset[str]:
    """Return the shows of which the file has episodes that are certain ones."""
    shows: set[str] = set()
    try:
        for item in read_table(lines, required=()):
            if isinstance(item, InvalidRow) or len(shows) >= _MAX_SHOWS:
                continue
            parts = _split_title(_get_title(item[1]))
            if _has_shape_of_episode(parts):
                shows.add(parts[0])
    except FileError:
        pass
    return frozenset(shows)


def read(
    lines: Iterable[str], *, context: FileContext, shows: Collection[str]
) -> Iterator[Record | LeftOut]:
    """Yield the records of a file; `shows` is the result of `find_shows`."""
    return parse_rows(
        read_table(lines, required=()),
        lambda row, line: _parse_row(row, line, context, shows),
        file=context.file,
        get_title=_get_title,
    )


def _parse_row(
    row: CsvRow, line: int, context: FileContext, shows: Collection[str]
) -> Iterator[Record | LeftOut]:
    title = _get_title(row)
    parts = _split_title(title)
    if _has_shape_of_episode(parts):
        raise RowError("not_a_film", "By the shape of its title this is an episode of a series.")
    if len(parts) > 1 and parts[0] in shows:
        raise RowError("not_a_film", "The file has episodes of a series with this title.")
    if supplement := row.get("supplementalvideotype").strip():
        raise RowError("not_a_film", f"This is not a movie but: {supplement[:40].lower()}.")
    minutes = _parse_minutes(row.get("duration"))
    if minutes is not None and minutes < _MIN_MINUTES:
        raise RowError("not_watched", f"It was played for {minutes} minutes only.")
    parser = CellParser(context)
    movie = parser.parse_movie(title=title)
    # Of the start of playing, the time of which says little, only the day is used.
    day = parser.parse_moment(row.get(*_DATES, "starttime")).day
    values = {**Moment(day).get_values(), **parser.get_values()}
    yield Record(RecordKind.VIEWING, context.file, line, **movie, values=values)
    yield from parser.get_left_out()


def _get_title(row: CsvRow) -> str:
    return row.get(*_TITLES)


def _split_title(title: str) -> list[str]:
    return [part.strip() for part in re.split(r":(?=\s|$)|：", fold(title))]


def _has_shape_of_episode(parts: list[str]) -> bool:
    if len(parts) < 2:
        return False
    if any(_SEASON.fullmatch(part) for part in parts[1:]) or not parts[0]:
        return True
    has_chapter = any(_CHAPTER.fullmatch(part) for part in parts[1:-1])
    return has_chapter or (len(parts) == 2 and _EPISODE.fullmatch(parts[1]) is not None)


def _parse_minutes(duration: str) -> int | None:
    match = re.fullmatch(r"(\d+):(\d{2}):\d{2}", duration.strip())
    return int(match[1]) * 60 + int(match[2]) if match else None
