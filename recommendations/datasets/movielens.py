"""Import a MovieLens folder into the catalogue and the community.

Two formats are read: movies.csv, links.csv and ratings.csv
(https://files.grouplens.org/datasets/movielens/ml-latest-small-README.html), and movies.dat and
ratings.dat of MovieLens 1M and 10M, with :: between the columns
(https://files.grouplens.org/datasets/movielens/ml-1m-README.txt). The latter have no links to IMDb
and TMDb: their movies are identified by title and year.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.contrib.auth.hashers import make_password
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import User, Visibility
from movies.dto import FIRST_YEAR, LAST_YEAR, MovieData
from movies.models import Movie
from nexus.core.db.transactions import long_transaction
from nexus.core.genres import TMDB_GENRES, sort_genres
from recommendations.datasets.bulk_loading import (
    MOVIES_AT_ONCE,
    StagedRating,
    Written,
    movies_load,
    movies_recount,
    ratings_stage,
    ratings_write,
)

COLUMNS = {
    "movies.csv": ("movieId", "title", "genres"),
    "links.csv": ("movieId", "imdbId", "tmdbId"),
    "ratings.csv": ("userId", "movieId", "rating", "timestamp"),
}
#: These files have no header, and the columns are always in this order.
DAT_COLUMNS = {
    "movies.dat": COLUMNS["movies.csv"],
    "ratings.dat": COLUMNS["ratings.csv"],
}
DAT_SEPARATOR, DAT_ENCODING = "::", "latin-1"
#: A transaction holds whole members, and about so many ratings.
RATINGS_AT_ONCE = 10_000
SHOWN_BAD_ROWS = 10

_GENRES: dict[str, str | None] = {
    **{name: name for name in TMDB_GENRES},
    "Children": "Family",
    "Children's": "Family",
    "Sci-Fi": "Science Fiction",
    "Musical": "Music",
    # TMDb knows noir as a keyword and not as a genre; nearly all of it is about crime.
    "Film-Noir": "Crime",
    # A format of projection says nothing about a story.
    "IMAX": None,
    "(no genres listed)": None,
}
# MovieLens writes articles last: "Matrix, The", "Haine, La", "Auberge espagnole, L'".
_ARTICLES = (
    "The|A|An|Le|La|Les|L'|L’|Un|Une|Il|Lo|I|Gli|Una|Uno|El|Los|Las|Der|Die|Das|Den|Det|Ein|Eine|"
    "De|Het|En|Et|O|Os|As"
)
_ARTICLE_LAST = re.compile(rf"^(?P<rest>.+), (?P<article>{_ARTICLES})$", re.IGNORECASE)
_YEAR_LAST = re.compile(r"^(?P<rest>.+?)\s*\((?P<year>[0-9]{4})(?:[-–][0-9]{0,4})?\)$")
_BRACKETS_LAST = re.compile(r"^(?P<rest>.+?)\s*\((?P<inside>[^()]+)\)$")
_ALSO_KNOWN_AS = re.compile(r"^a\.?k\.?a\b", re.IGNORECASE)
# What PostgreSQL stores in no text: NUL, and bytes that were no UTF-8 (surrogateescape).
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_DIGITS = re.compile(r"^[0-9]{1,18}$")
_LARGEST_TMDB_ID = 2_147_483_647
#: Before the ids of MovieLens's members; another keeps another set of ratings beside this one.
PREFIX = "ml-"
# Ending in no digit: `ml-1` would give its member 23 the name of member 123 of `ml-`.
_PREFIX = re.compile(r"[a-z0-9_][a-z0-9_.+-]{0,49}")


class FolderError(Exception):
    """A file or a column of the MovieLens folder is missing."""


class PrefixError(ValueError):
    """The prefix cannot be used; the message says why."""


class MovieLensRowError(ValueError):
    """A row cannot be used; the message says why."""


@dataclass
class BadRows:
    """The number of rows that were left out, and the first of them with file, line and reason."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, file_name: str, line: int, why: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN_BAD_ROWS:
            self.first.append(f"{file_name}, line {line}: {why}")


@dataclass
class Summary:
    """What an import did, or would do (`dry_run`)."""

    #: Repeated are MovieLens ids that mean the same movie as an earlier one.
    movies: Written = field(default_factory=Written)
    members_created: int = 0
    members_known: int = 0
    #: Members left out, because their names belong to somebody who was not imported.
    names_taken: list[str] = field(default_factory=list)
    ratings: Written = field(default_factory=Written)
    bad_rows: BadRows = field(default_factory=BadRows)

    @property
    def changed_anything(self) -> bool:
        return bool(self.movies or self.members_created or self.ratings)


#: Called with what is being read, the number of rows so far, and the share of the file (0 to 1).
Progress = Callable[[str, int, float], None]


@dataclass(frozen=True)
class Title:
    title: str
    original_title: str = ""
    year: int | None = None


def parse_title(text: str) -> Title:
    """Return the parts of MovieLens's titles: `Hate (Haine, La) (1995)` is Hate, La Haine, 1995.

    The original title is in the last brackets that do not begin with "a.k.a.".
    """
    rest, year = " ".join(text.split()), None
    if found := _YEAR_LAST.match(rest):
        rest = found["rest"]
        year = int(found["year"])
        if not FIRST_YEAR <= year <= LAST_YEAR:
            year = None
    inside: list[str] = []
    while found := _BRACKETS_LAST.match(rest):
        rest = found["rest"]
        inside.append(found["inside"].strip())
    original = next((each for each in inside if each and not _ALSO_KNOWN_AS.match(each)), "")
    return Title(_article_first(rest), _article_first(original), year)


def _article_first(title: str) -> str:
    found = _ARTICLE_LAST.match(title)
    if found is None:
        return title
    joiner = "" if found["article"][-1] in "'’" else " "
    return f"{found['article']}{joiner}{found['rest']}"


def parse_genres(text: str) -> tuple[str, ...]:
    """Return the genres under TMDb's names, in TMDb's order. Raises MovieLensRowError for an unknown one."""
    names = []
    for part in filter(None, (part.strip() for part in text.split("|"))):
        if part not in _GENRES:
            raise MovieLensRowError(f"unknown genre {part!r}")
        if name := _GENRES[part]:
            names.append(name)
    return tuple(sort_genres(names))


def parse_score(text: str) -> float:
    """Return the stars, in halves. MovieLens's half star becomes 1, the lowest score of this service."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not (0.5 <= score <= 5.0 and (score * 2).is_integer()):
        raise MovieLensRowError(f"rating {text!r} is not 0.5 to 5 in half stars")
    return max(score, 1.0)


def parse_time(text: str, *, latest: datetime) -> datetime:
    if not _DIGITS.match(text) or int(text) > latest.timestamp():
        raise MovieLensRowError(f"timestamp {text!r} is not seconds since 1970, in the past")
    return datetime.fromtimestamp(int(text), UTC)


def _number(text: str, name: str, *, at_most: int = 10**18) -> int:
    if not _DIGITS.match(text) or not 1 <= int(text) <= at_most:
        raise MovieLensRowError(f"{name} {text!r} is not an id")
    return int(text)


def _imdb_id(text: str) -> str | None:
    """Return `tt0114709` for `0114709`, and None for an empty text."""
    if not text:
        return None
    number = _number(text.removeprefix("tt"), "imdbId", at_most=9_999_999_999)
    return f"tt{number:07}"


class _Table:
    """A file of the folder: .csv with a header, or .dat without one."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        #: The share of the file that has been read.
        self.share_read = 0.0
        self._path = folder / name
        self._is_dat = name in DAT_COLUMNS
        self._columns = DAT_COLUMNS[name] if self._is_dat else COLUMNS[name]

    def check(self) -> None:
        """Raise FolderError if the file or one of its columns is missing."""
        try:
            with self._path.open("rb") as raw, self._decode(raw) as file:
                self._read_header(file)
        except (OSError, csv.Error) as error:
            formats = [", ".join(COLUMNS), ", ".join(DAT_COLUMNS)]
            expected, other = reversed(formats) if self._is_dat else formats
            raise FolderError(
                f"{self._path} cannot be read ({type(error).__name__}). A MovieLens folder contains "
                f"{expected}, or {other}."
            ) from error

    def rows(self, bad_rows: BadRows) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and the values of each row, in the sequence of the columns."""
        with self._path.open("rb") as raw, self._decode(raw) as file:
            size = max(self._path.stat().st_size, 1)
            rows, positions = self._read_header(file)
            line = 0 if self._is_dat else 1
            while True:
                line += 1
                try:
                    row = next(rows, None)
                except csv.Error as error:
                    bad_rows.add(self.name, line, str(error))
                    continue
                if row is None:
                    break
                self.share_read = raw.tell() / size
                if not any(row):
                    continue
                if len(row) <= max(positions) or (self._is_dat and len(row) > len(positions)):
                    problem = f"{len(row)} columns instead of {len(positions)}"
                    bad_rows.add(self.name, line, problem)
                    continue
                yield line, [row[position].strip() for position in positions]

    def _decode(self, raw: io.BufferedReader) -> io.TextIOWrapper:
        if self._is_dat:
            return io.TextIOWrapper(raw, DAT_ENCODING, newline="\n")
        return io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="")

    def _read_header(self, file: io.TextIOWrapper) -> tuple[Iterator[list[str]], list[int]]:
        """Return the rows after the header, and the positions of the columns."""
        if self._is_dat:
            rows = (line.strip().split(DAT_SEPARATOR) for line in file)
            return rows, list(range(len(self._columns)))
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in self._columns if name not in header]:
            raise FolderError(
                f"{self._path} has no column {', '.join(missing)}. "
                f"Its first line should be: {','.join(self._columns)}."
            )
        return reader, [header.index(name) for name in self._columns]


def has_dat_files(folder: Path) -> bool:
    """Return whether the folder is in the format of MovieLens 1M."""
    return not (folder / "ratings.csv").exists() and any(
        (folder / name).exists() for name in DAT_COLUMNS
    )


def movielens_movies(folder: Path) -> dict[int, MovieData]:
    """Return the movies of a MovieLens folder by its ids, without bad rows. Raises FolderError."""
    tables = _open_tables(folder)
    return _read_movies(tables["movies"], tables.get("links"), BadRows())


def movielens_import(
    *, folder: Path, progress: Progress, dry_run: bool = False, prefix: str = PREFIX
) -> Summary:
    """Import a MovieLens folder; rows that are stored already are not written again.

    Members are named by the prefix and their id. Movies are identified by their IMDb and TMDb ids,
    without these by title and year, and are shared by all imports. Movies are written in steps of
    1000 and ratings in steps of whole members, each step in one transaction, so that the next run
    completes an interrupted one. Raises FolderError and PrefixError before anything is written.
    """
    _check_prefix(prefix)
    tables = _open_tables(folder)
    summary = Summary()
    movies = _read_movies(tables["movies"], tables.get("links"), summary.bad_rows)
    movie_of = _store_movies(movies, summary, progress, dry_run=dry_run)
    members = _Members(summary, prefix=prefix, dry_run=dry_run)
    _store_ratings(tables["ratings"], movie_of, members, summary, progress, dry_run=dry_run)
    if not dry_run:
        # Even if nothing changed: an interrupted run may not have counted its movies.
        _recount(sorted(set(movie_of.values())), progress)
    return summary


def _open_tables(folder: Path) -> dict[str, _Table]:
    """Return the tables `movies`, `ratings` and, in the .csv format, `links`. Raises FolderError."""
    names = DAT_COLUMNS if has_dat_files(folder) else COLUMNS
    tables = {Path(name).stem: _Table(folder, name) for name in names}
    for table in tables.values():
        table.check()
    return tables


def _check_prefix(prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix) or prefix[-1].isdigit():
        raise PrefixError(
            f"{prefix!r} cannot stand before members' ids: use up to 50 small letters, digits and "
            "_ . + -, beginning with a letter, a digit or _, and not ending in a digit."
        )
    if prefix.startswith("sample-"):
        raise PrefixError("Names in sample- belong to the sample community.")


def _read_movies(titles: _Table, links: _Table | None, bad_rows: BadRows) -> dict[int, MovieData]:
    """Return the movies by MovieLens's ids. Without links they have no other ids."""
    ids: dict[int, tuple[str | None, int | None]] = {}
    if links is not None:
        for line, (movie_id, imdb_id, tmdb_id) in links.rows(bad_rows):
            try:
                tmdb = _number(tmdb_id, "tmdbId", at_most=_LARGEST_TMDB_ID) if tmdb_id else None
                ids[_number(movie_id, "movieId")] = (_imdb_id(imdb_id), tmdb)
            except MovieLensRowError as error:
                bad_rows.add(links.name, line, str(error))
    movies: dict[int, MovieData] = {}
    for line, (movie_id, title, genres) in titles.rows(bad_rows):
        try:
            number = _number(movie_id, "movieId")
            imdb, tmdb = ids.get(number, (None, None))
            if links is not None and imdb is None and tmdb is None:
                raise MovieLensRowError(f"movie {number} has no id in links.csv")
            movies[number] = _facts(title, genres, imdb, tmdb)
        except MovieLensRowError as error:
            bad_rows.add(titles.name, line, str(error))
    return movies


def _facts(title: str, genres: str, imdb_id: str | None, tmdb_id: int | None) -> MovieData:
    if _UNSTORABLE.search(title):
        raise MovieLensRowError("the title is not UTF-8 text")
    parsed = parse_title(title)
    if not parsed.title or max(len(parsed.title), len(parsed.original_title)) > 500:
        raise MovieLensRowError("the title is empty or longer than 500 characters")
    return MovieData(
        title=parsed.title,
        original_title=parsed.original_title,
        release_year=parsed.year,
        genres=parse_genres(genres),
        imdb_id=imdb_id,
        tmdb_id=tmdb_id,
    )


def _store_movies(
    movies: dict[int, MovieData], summary: Summary, progress: Progress, *, dry_run: bool
) -> dict[int, int]:
    """Return the catalogue's ids by MovieLens's; in a dry run new movies have negative ids."""
    stored = _find_by_title(movies)
    others = {number: movie for number, movie in movies.items() if number not in stored}
    # Two movies without ids are one if they have the same title and year.
    first_of: dict[object, int] = {}
    same_as = {
        number: first_of.setdefault(_identity(movie) or number, number)
        for number, movie in others.items()
    }
    numbers = [number for number in others if same_as[number] == number]
    ids, written = movies_load(
        movies=[movies[number] for number in numbers],
        source=Movie.Source.MOVIELENS,
        dry_run=dry_run,
        progress=lambda count, share: progress("movies", count, share),
    )
    repeated = len(others) - len(numbers)
    summary.movies = written + Written(unchanged=len(stored), repeated=repeated)
    stored |= dict(zip(numbers, ids, strict=True))
    return {number: stored[same_as.get(number, number)] for number in movies}


def _identity(movie: MovieData) -> tuple[str, int | None] | None:
    """Return the title and year that identify a movie without ids; None if it has an id."""
    return None if movie.imdb_id or movie.tmdb_id else (movie.title, movie.release_year)


def _find_by_title(movies: dict[int, MovieData]) -> dict[int, int]:
    """Return the catalogue's ids of the movies without ids, as far as they are stored.

    Of several movies with one title and year it is the one with most ratings.
    """
    wanted = {number: _identity(movie) for number, movie in movies.items() if _identity(movie)}
    titles = sorted({identity[0] for identity in wanted.values() if identity})
    known: dict[tuple[str, int | None], int] = {}
    for start in range(0, len(titles), MOVIES_AT_ONCE):
        rows = Movie.objects.filter(title__in=titles[start : start + MOVIES_AT_ONCE])
        for movie_id, title, year in rows.order_by("rating_count", "-id").values_list(
            "id", "title", "release_year"
        ):
            known[title, year] = movie_id
    return {number: known[identity] for number, identity in wanted.items() if identity in known}


def _store_ratings(
    table: _Table,
    movie_of: dict[int, int],
    members: _Members,
    summary: Summary,
    progress: Progress,
    *,
    dry_run: bool,
) -> None:
    latest = timezone.now() + timedelta(days=1)
    # The newest rating of each movie, for the members that are not written yet.
    pending: dict[int, dict[int, StagedRating]] = {}
    waiting = 0
    current = None
    rows = 0

    def write() -> None:
        with long_transaction():
            ids = members.store(
                {number: min(each.at for each in of.values()) for number, of in pending.items()}
            )
            summary.ratings += ratings_stage(
                [
                    rating._replace(user_id=ids[number])
                    for number, of in pending.items()
                    if number in ids
                    for rating in of.values()
                ]
            )
            if not dry_run:
                ratings_write()
        pending.clear()

    for line, (user_id, movie_id, rating, timestamp) in table.rows(summary.bad_rows):
        rows += 1
        try:
            number = _number(user_id, "userId")
            movie = movie_of.get(_number(movie_id, "movieId"))
            if movie is None:
                raise MovieLensRowError(f"there is no movie {movie_id} in the file of movies")
            score, at = parse_score(rating), parse_time(timestamp, latest=latest)
        except MovieLensRowError as error:
            summary.bad_rows.add(table.name, line, str(error))
            continue
        if number != current and waiting >= RATINGS_AT_ONCE:
            write()
            waiting = 0
        current = number
        of = pending.setdefault(number, {})
        known = of.get(movie)
        if known is None or known.at <= at:
            of[movie] = StagedRating(0, movie, score, "", at)
            waiting += known is None
        if rows % 1000 == 0:
            progress("ratings", rows, table.share_read)
    if pending:
        write()
    progress("ratings", rows, 1.0)


class _Members:
    """The members of an import, created at their first rating. They cannot log in."""

    def __init__(self, summary: Summary, *, prefix: str, dry_run: bool) -> None:
        self._summary = summary
        self._prefix = prefix
        self._dry_run = dry_run
        self._ids: dict[int, int] = {}
        self._refused: set[int] = set()

    def store(self, first_seen: dict[int, datetime]) -> dict[int, int]:
        """Return ids by MovieLens's numbers, without members whose name another account has."""
        names = {
            f"{self._prefix}{number}": number
            for number in first_seen
            if number not in self._ids and number not in self._refused
        }
        known = User.objects.annotate(folded=Lower("username")).filter(folded__in=names)
        for folded, user_id, origin in known.values_list("folded", "id", "origin"):
            number = names.pop(folded)
            if origin == User.Origin.MOVIELENS:
                self._ids[number] = user_id
                self._summary.members_known += 1
            else:
                self._refused.add(number)
                self._summary.names_taken.append(folded)
        self._summary.members_created += len(names)
        if self._dry_run:
            self._ids |= {number: -number for number in names.values()}
        else:
            created = User.objects.bulk_create(
                User(
                    username=name,
                    origin=User.Origin.MOVIELENS,
                    password=make_password(None),
                    visibility=Visibility.PRIVATE,
                    date_joined=first_seen[number],
                )
                for name, number in names.items()
            )
            self._ids |= {names[user.username]: user.pk for user in created}
        return {number: self._ids[number] for number in first_seen if number in self._ids}


def _recount(movie_ids: Sequence[int], progress: Progress) -> None:
    for done in movies_recount(movie_ids):
        progress("movies counted", done, done / len(movie_ids))
