"""TMDb's daily export of its ids into the catalogue: a million lines through COPY.

Source: https://developer.themoviedb.org/docs/daily-id-exports.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connection

from movies import search
from movies.models import Movie
from movies.services.catalogue import lock_catalogue
from nexus.core.db.transactions import long_transaction
from tmdb import parsers as parse
from tmdb.client.errors import TmdbNotFound, TmdbUnusable
from tmdb.parsers import ExportedFilm
from tmdb.sync.checkpoint import Failures, Progress, position_clear, position_keep, position_of

NAME = "import_tmdb_ids"
# Each step is a transaction; a step holds the writers of films up for about a second.
LINES_AT_ONCE = 20_000
# A line of the export is some 120 bytes long.
MAX_LINE = 10_000


class ExportError(Exception):
    """The file cannot be read; the message says why."""


@dataclass
class Exported:
    """What a run did, those it took up included, or with `dry_run` would do."""

    lines: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    #: Adult titles, videos and films below the least popularity.
    left_out: int = 0
    resumed: bool = False
    failures: Failures = field(default_factory=Failures)


class _Film(NamedTuple):
    """A film of the export with its columns here."""

    tmdb_id: int
    popularity: float
    title: str
    sort_title: str
    search_vector: str


@dataclass(frozen=True)
class _Step:
    """Some lines of the file, up to and with line `end`."""

    films: dict[int, _Film]
    end: int
    left_out: int
    bad: list[str]


def export_import(
    *, path: Path, min_popularity: float, progress: Progress, dry_run: bool = False
) -> Exported:
    """Store the films of an export that are new, and the popularity of those that are known.

    What an admin entered by hand is left alone. A line that cannot be used keeps no other away. A
    run that was cut off is taken up where it was, if the file is the same. Raises ExportError.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error}") from error
    file = [path.name, stat.st_size, stat.st_mtime_ns, min_popularity]
    done = Exported() if dry_run else _taken_up(file)
    for step in _ahead(_steps(path, done.lines, min_popularity)):
        with long_transaction():
            lock_catalogue()
            changed, new = _compared(step)
            _count(done, step, changed, new)
            if not dry_run:
                _update(changed)
                _create(new)
                position_keep(NAME, {"file": file, "counts": _counts(done)})
        progress("lines", done.lines, None)
    if not dry_run:
        position_clear(NAME)
    return done


def _counts(done: Exported) -> list[int]:
    return [done.lines, done.created, done.updated, done.unchanged, done.left_out]


def _taken_up(file: list[Any]) -> Exported:
    kept = position_of(NAME)
    if kept.get("file") != file:
        return Exported()
    lines, created, updated, unchanged, left_out = kept["counts"]
    return Exported(lines, created, updated, unchanged, left_out, resumed=True)


def _steps(path: Path, skip: int, min_popularity: float) -> Iterator[_Step]:
    """The lines behind the first `skip`, in steps. Raises ExportError."""
    films: dict[int, _Film] = {}
    left_out, end, bad = 0, skip, []
    for end, line in enumerate(_lines(path, skip), start=skip + 1):
        try:
            film = parse.exported(json.loads(line))
        except TmdbNotFound:
            left_out += 1
        except (TmdbUnusable, ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, TmdbUnusable) else "not JSON"
            bad.append(f"line {end}: {reason}")
        else:
            if film.popularity < min_popularity:
                left_out += 1
            else:
                films[film.tmdb_id] = _indexed(film)
        if end % LINES_AT_ONCE == 0:
            yield _Step(films, end, left_out, bad)
            films, left_out, bad = {}, 0, []
    if end % LINES_AT_ONCE:
        yield _Step(films, end, left_out, bad)


def _indexed(film: ExportedFilm) -> _Film:
    title = film.original_title
    vector = search.build_search_vector(title=title, original_title=title, people=[])
    return _Film(film.tmdb_id, film.popularity, title, search.make_sort_title(title), vector)


def _ahead(steps: Iterator[_Step]) -> Iterator[_Step]:
    """The same steps, the next one read while PostgreSQL is busy with this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="tmdb-export") as thread:
        coming = thread.submit(next, steps, None)
        while (step := coming.result()) is not None:
            coming = thread.submit(next, steps, None)
            yield step


def _lines(path: Path, skip: int) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as unzipped, io.BufferedReader(unzipped, 1 << 20) as file:
            number = 0
            while line := file.readline(MAX_LINE):
                while not line.endswith(b"\n") and (rest := file.readline(MAX_LINE)):
                    # The end alone is kept of a line that is too long, and it is no JSON.
                    line = rest
                number += 1
                if number > skip:
                    yield line
    except (OSError, EOFError, zlib.error) as error:
        raise ExportError(f"{path} cannot be read: {error}") from error


def _compared(step: _Step) -> tuple[list[_Film], list[_Film]]:
    """The films whose popularity has changed, and those that the catalogue does not hold."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tmdb_id, popularity, source FROM movies_movie WHERE tmdb_id = ANY(%s)",
            [list(step.films)],
        )
        held = {tmdb_id: (popularity, source) for tmdb_id, popularity, source in cursor}
    changed = [
        film
        for film in step.films.values()
        if film.tmdb_id in held
        and held[film.tmdb_id][0] != film.popularity
        and held[film.tmdb_id][1] != Movie.Source.MANUAL
    ]
    return changed, [film for film in step.films.values() if film.tmdb_id not in held]


def _count(done: Exported, step: _Step, changed: list[_Film], new: list[_Film]) -> None:
    done.lines = step.end
    done.created += len(new)
    done.updated += len(changed)
    done.unchanged += len(step.films) - len(new) - len(changed)
    done.left_out += step.left_out
    for line in step.bad:
        done.failures.add(line)


def _update(films: list[_Film]) -> None:
    if not films:
        return
    with connection.cursor() as cursor:
        # For a few thousand of a million films, their index and not the whole table, whatever the
        # planner believes of a table that grows under it.
        for setting in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan"):
            cursor.execute(f"SET LOCAL {setting} = off")
        cursor.execute(
            """
            UPDATE movies_movie movie
            SET popularity = export.popularity, updated_at = now()
            FROM unnest(%s::integer[], %s::float8[]) AS export(tmdb_id, popularity)
            WHERE movie.tmdb_id = export.tmdb_id
            """,
            [[film.tmdb_id for film in films], [film.popularity for film in films]],
        )


def _create(films: list[_Film]) -> None:
    """Store films with a title and no more."""
    if not films:
        return
    with connection.cursor() as cursor:
        # Words are merged into their index in few large lots instead of many small ones.
        cursor.execute("SET LOCAL gin_pending_list_limit = '64MB'")
        cursor.execute("SET LOCAL maintenance_work_mem = '128MB'")
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS staged_film (tmdb_id integer, popularity double precision,"
            " title text, sort_title text, search_vector tsvector) ON COMMIT DROP"
        )
        cursor.execute("TRUNCATE staged_film")
        with cursor.copy("COPY staged_film FROM STDIN") as copy:
            for film in films:
                copy.write_row(film)
        # An admin may have added one meanwhile, whose edits take no catalogue lock.
        cursor.execute(
            """
            INSERT INTO movies_movie
                (tmdb_id, popularity, title, original_title, sort_title, search_vector, source,
                 synced_at, details_missing, original_language, genres, overview, tagline, status,
                 keywords, poster_path, backdrop_path, vote_average, vote_count, rating_count,
                 rating_sum, created_at, updated_at)
            SELECT tmdb_id, popularity, title, title, sort_title, search_vector, %s,
                   now(), true, '', '[]', '', '', '', '[]', '', '', 0, 0, 0, 0, now(), now()
            FROM staged_film
            ON CONFLICT (tmdb_id) DO UPDATE SET popularity = excluded.popularity
            """,
            [Movie.Source.TMDB],
        )
