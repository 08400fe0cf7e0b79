"""IMDb's ratings and lists as CSV, with the header of today and the one used before 2017.

Today: Const, Your Rating, Date Rated, Title, Original Title, …; lists begin with Position. Before
2017: position, const, created, modified, description, Title, Title type, Directors, You rated, …
The names of the columns are English in every language, the title types are translated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from nexus.core.text import fold
from social.transfer.formats.csv_reader import CsvRow, Header, read_table
from social.transfer.formats.records import (
    LeftOut,
    Record,
    RecordKind,
    RowError,
    insert_playlist,
    make_playlist,
    parse_rows,
)
from social.transfer.formats.values import CellParser, FileContext

# What the title types of movies are called, folded and without spaces, in the languages of IMDb.
_MOVIE_TYPES = frozenset(
    {
        *("movie", "featurefilm", "film", "feature", "documentary", "short", "shortfilm"),
        *("tvmovie", "tvshort", "tvspecial", "video"),
        *("spielfilm", "kurzfilm", "fernsehfilm", "tvfilm", "tvkurzfilm", "dokumentarfilm"),
        *("courtmetrage", "longmetrage", "telefilm", "documentaire", "specialtv"),
        *("cortometraggio", "lungometraggio", "filmtv", "filmperlatv", "documentario"),
        *("pelicula", "cortometraje", "largometraje", "peliculadetv", "peliculaparatv"),
        *("filme", "curtametragem", "longametragem", "curta", "filmedetv", "filmeparatv"),
        *("filmeparatelevisao", "telefilme"),
    }
)
# What the types of everything else contain.
_OTHER_TYPES = re.compile(
    r"series|serie\b|serie(?!n?film)|seizoen|staffel|season|temporada|stagione|saison"
    r"|episod|folge|puntata|capitul|game|spiel(?!film)|jeu|juego|jogo|gioco|podcast"
    r"|music|musik|musiq|pilot"
)
# Names of files that do not say which list it is. IMDb names its files by random ids today.
_GENERIC_NAME = re.compile(
    r"(?:[0-9a-f]{8}-[0-9a-f-]{20,}"
    r"|(?:imdb|export\w*|lists?|download|titles?|data|file|csv|watch\w*|x|[\d\W_])+)",
    re.IGNORECASE,
)


def is_table(header: Header) -> bool:
    return {"const", "title"} <= set(header.columns)


def read(lines: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    """Yield the records of a file. A list is the watchlist unless its name says another one."""
    stem = PurePosixPath(context.file).stem
    is_watchlist = "watchlist" in stem.lower() or _GENERIC_NAME.fullmatch(stem) is not None
    records = parse_rows(
        read_table(lines, required=("const", "title")),
        lambda row, line: _parse_row(row, line, context, is_watchlist),
        file=context.file,
        get_title=lambda row: row.get("title"),
    )
    return insert_playlist(records, make_playlist(stem, key=context.file, file=context.file))


def _parse_row(
    row: CsvRow, line: int, context: FileContext, is_watchlist: bool
) -> Iterator[Record | LeftOut]:
    title_type = row.get("titletype").strip()
    is_movie_type = _is_movie_type(title_type)
    if is_movie_type is False:
        raise RowError("not_a_film", f"This is not a movie but: {title_type[:40]}.")
    parser = CellParser(context)
    movie = parser.parse_movie(
        title=row.get("title", "originaltitle"), year=row.get("year"), imdb_id=row.get("const")
    )
    if is_movie_type is None and movie["imdb_id"] is None:
        raise RowError("unknown_type", f"“{title_type[:40]}” is an unknown type of title.")
    confirmation = {} if is_movie_type else {"must_be_confirmed": True}
    # Before 2017 the column of the score was named after the member: “You rated”, “ann rated”.
    old_columns = [name for name in row.cells if name.endswith("rated") and name != "daterated"]
    score = parser.parse_score(row.get(*old_columns, "yourrating"), out_of=10)
    # Lists contain the member's scores too: today's have a position, the older ones lack a score.
    is_list = score is None if old_columns else "position" in row.cells
    rated_at = parser.parse_time(row.get("daterated", "created"))
    if score is not None:
        values = {"score": score, "rated_at": rated_at, **parser.get_values(), **confirmation}
        yield Record(RecordKind.RATING, context.file, line, **movie, values=values)
    elif not is_list:
        raise RowError("no_score", "The row has no score.")
    if is_list:
        yield from _parse_list_row(row, line, movie, parser, context, is_watchlist, confirmation)
    yield from parser.get_left_out()


def _parse_list_row(
    row: CsvRow,
    line: int,
    movie: dict[str, object],
    parser: CellParser,
    context: FileContext,
    is_watchlist: bool,
    confirmation: dict[str, bool],
) -> Iterator[Record]:
    added_at = parser.parse_time(row.get("created"))
    if is_watchlist:
        if row.get("description").strip():
            parser.leave_out("watchlist_notes", "The watchlist here has no notes.")
        values: dict[str, object] = {"added_at": added_at}
        kind = RecordKind.WATCHLIST
    else:
        note = parser.clean_note(row.get("description"))
        values = {"list": context.file, "note": note, "added_at": added_at}
        kind = RecordKind.PLAYLIST_ITEM
    values |= {**parser.get_values(), **confirmation}
    yield Record(kind, context.file, line, **movie, values=values)  # type: ignore[arg-type]


def _is_movie_type(title_type: str) -> bool | None:
    """Return whether a type is a movie's; None if it is unknown."""
    folded = fold(title_type)
    if re.sub(r"[\W_]", "", folded) in _MOVIE_TYPES:
        return True
    return False if _OTHER_TYPES.search(folded) else None
