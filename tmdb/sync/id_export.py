"""Store the movies of TMDb's daily export of ids: about a million lines of title and popularity.

The command import_tmdb_ids calls `exported_movies_import`. A movie's details are fetched when it is
first opened. Writing is raw SQL, because it is nine times as fast as `bulk_create` for new movies
(8,500 lines a second instead of 900) and five times for a changed popularity (4,900 instead of
1,000); `python -m benchmarks.tmdb id_export` measures it.
Source: https://developer.themoviedb.org/docs/daily-id-exports.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from movies.models import Movie
from movies.search import build_search_vector, make_sort_title
from nexus.core.db.advisory_locks import AdvisoryLock, acquire_transaction_lock
from nexus.core.db.transactions import long_transaction
from tmdb.client.errors import TmdbInvalidResponse, TmdbNotFound
from tmdb.parsers import ExportedMovie, parse_exported_movie
from tmdb.sync.checkpoint import (
    ReportProgress,
    SyncFailures,
    clear_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

NAME = "import_tmdb_ids"
# Each batch is a transaction, which blocks other writers of movies for about a second.
LINES_PER_BATCH = 20_000
# A line of the export has some 120 bytes.
MAX_LINE_BYTES = 10_000


class ExportFileError(Exception):
    """The file cannot be read; the message says why."""


@dataclass
class ExportImportResult:
    """Counts of movies that a run and the runs it resumed stored, or with `dry_run` would store."""

    lines: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    #: Adult titles, videos and movies below the minimum popularity.
    skipped: int = 0
    resumed: bool = False
    failures: SyncFailures = field(default_factory=SyncFailures)


class _MovieRow(NamedTuple):
    """The columns of movies_movie that an export line fills."""

    tmdb_id: int
    popularity: float
    title: str
    original_title: str
    sort_title: str
    search_vector: str


@dataclass(frozen=True)
class _Batch:
    """The parsed lines up to and including line `last_line`."""

    rows: dict[int, _MovieRow]
    last_line: int
    skipped: int
    failures: list[str]


def exported_movies_import(
    *, path: Path, min_popularity: float, report_progress: ReportProgress, dry_run: bool = False
) -> ExportImportResult:
    """Store the new movies of an export and the popularity of known ones.

    Movies that an admin entered stay as they are. A line that cannot be read does not affect the
    others. A run that was cut off resumes if the file is the same. Raises ExportFileError.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ExportFileError(f"{path} cannot be read: {error}") from error
    file = [path.name, stat.st_size, stat.st_mtime_ns, min_popularity]
    result = ExportImportResult() if dry_run else _resume(file)
    for batch in _read_ahead(_read_batches(path, result.lines, min_popularity)):
        with long_transaction():
            acquire_transaction_lock(AdvisoryLock.CATALOGUE_WRITE)
            new, changed = _split_new_and_changed(batch)
            _count(result, batch, new, changed)
            if not dry_run:
                _update_popularity(changed)
                _insert_movies(new)
                save_checkpoint(NAME, {"file": file, "counts": _counts_to_json(result)})
        report_progress("lines", result.lines, None)
    if not dry_run:
        clear_checkpoint(NAME)
    return result


def _counts_to_json(result: ExportImportResult) -> list[int]:
    return [result.lines, result.created, result.updated, result.unchanged, result.skipped]


def _resume(file: list[Any]) -> ExportImportResult:
    """Return the counts of the checkpoint if it is of the same file, else zeros."""
    position = load_checkpoint(NAME)
    if position.get("file") != file:
        return ExportImportResult()
    lines, created, updated, unchanged, skipped = position["counts"]
    return ExportImportResult(lines, created, updated, unchanged, skipped, resumed=True)


def _count(
    result: ExportImportResult,
    batch: _Batch,
    new: Sequence[_MovieRow],
    changed: Sequence[_MovieRow],
) -> None:
    result.lines = batch.last_line
    result.created += len(new)
    result.updated += len(changed)
    result.unchanged += len(batch.rows) - len(new) - len(changed)
    result.skipped += batch.skipped
    for reason in batch.failures:
        result.failures.add(reason)


# --- Reading the file ----------------------------------------------------------------------------


def _read_batches(path: Path, skip_lines: int, min_popularity: float) -> Iterator[_Batch]:
    """Yield the lines after the first `skip_lines` in batches. Raises ExportFileError."""
    rows: dict[int, _MovieRow] = {}
    skipped, number, failures = 0, skip_lines, []
    for number, line in enumerate(_read_lines(path, skip_lines), start=skip_lines + 1):
        try:
            movie = parse_exported_movie(json.loads(line))
        except TmdbNotFound:
            skipped += 1
        except (TmdbInvalidResponse, ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, TmdbInvalidResponse) else "not JSON"
            failures.append(f"line {number}: {reason}")
        else:
            if movie.popularity < min_popularity:
                skipped += 1
            else:
                rows[movie.tmdb_id] = _make_row(movie)
        if number % LINES_PER_BATCH == 0:
            yield _Batch(rows, number, skipped, failures)
            rows, skipped, failures = {}, 0, []
    if number % LINES_PER_BATCH:
        yield _Batch(rows, number, skipped, failures)


def _read_lines(path: Path, skip_lines: int) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as unzipped, io.BufferedReader(unzipped, 1 << 20) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES):
                while not line.endswith(b"\n") and (rest := file.readline(MAX_LINE_BYTES)):
                    # Only the end of a line that is too long is left, which is not JSON.
                    line = rest
                number += 1
                if number > skip_lines:
                    yield line
    except (OSError, EOFError, zlib.error) as error:
        raise ExportFileError(f"{path} cannot be read: {error}") from error


def _make_row(movie: ExportedMovie) -> _MovieRow:
    title = movie.original_title
    return _MovieRow(
        tmdb_id=movie.tmdb_id,
        popularity=movie.popularity,
        title=title,
        original_title=title,
        sort_title=make_sort_title(title),
        search_vector=build_search_vector(title=title, original_title=title, people=[]),
    )


def _read_ahead(batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """Yield the batches; read the next one in a thread while PostgreSQL stores the current one."""
    with ThreadPoolExecutor(1, thread_name_prefix="tmdb-export") as thread:
        next_batch = thread.submit(next, batches, None)
        while (batch := next_batch.result()) is not None:
            next_batch = thread.submit(next, batches, None)
            yield batch


# --- Writing to the catalogue --------------------------------------------------------------------


def _split_new_and_changed(batch: _Batch) -> tuple[list[_MovieRow], list[_MovieRow]]:
    """Return the rows that the catalogue lacks, and those whose popularity differs from it."""
    stored = Movie.objects.filter(tmdb_id__in=list(batch.rows))
    popularity = dict(stored.values_list("tmdb_id", "popularity"))
    manual = set(stored.filter(source=Movie.Source.MANUAL).values_list("tmdb_id", flat=True))
    new = [row for row in batch.rows.values() if row.tmdb_id not in popularity]
    changed = [
        row
        for row in batch.rows.values()
        if row.tmdb_id not in manual
        and popularity.get(row.tmdb_id, row.popularity) != row.popularity
    ]
    return new, changed


def _update_popularity(rows: Sequence[_MovieRow]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        # The planner does not know how fast the table grows: use its index for these few rows.
        for setting in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan"):
            cursor.execute(f"SET LOCAL {setting} = off")
        cursor.execute(
            """
            UPDATE movies_movie AS movie
            SET popularity = export.popularity, updated_at = now()
            FROM unnest(%s::integer[], %s::float8[]) AS export (tmdb_id, popularity)
            WHERE movie.tmdb_id = export.tmdb_id
            """,
            [[row.tmdb_id for row in rows], [row.popularity for row in rows]],
        )


def _insert_movies(rows: Sequence[_MovieRow]) -> None:
    """Insert movies with the columns of an export line and the model's defaults."""
    if not rows:
        return
    defaults = _get_column_defaults()
    exported = ", ".join(_MovieRow._fields)
    with connection.cursor() as cursor:
        # The search index takes new words in a few large merges instead of many small ones.
        cursor.execute("SET LOCAL gin_pending_list_limit = '64MB'")
        cursor.execute("SET LOCAL maintenance_work_mem = '128MB'")
        cursor.execute("DROP TABLE IF EXISTS exported_movie")
        cursor.execute(
            f"""
            CREATE TEMPORARY TABLE exported_movie ON COMMIT DROP AS
            SELECT {exported} FROM movies_movie WITH NO DATA
            """  # noqa: S608 (column names of the model)
        )
        with cursor.copy(f"COPY exported_movie ({exported}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        # An admin's edit takes no catalogue lock, so the movie may exist by now.
        cursor.execute(
            f"""
            INSERT INTO movies_movie ({exported}, {", ".join(defaults)})
            SELECT {exported}, {", ".join(["%s"] * len(defaults))} FROM exported_movie
            ON CONFLICT (tmdb_id) DO UPDATE SET popularity = excluded.popularity
            """,  # noqa: S608 (column names of the model)
            list(defaults.values()),
        )


def _get_column_defaults() -> dict[str, Any]:
    """Return the values of a new movie in the columns that an export line does not fill."""
    movie = Movie(source=Movie.Source.TMDB, synced_at=timezone.now(), details_missing=True)
    defaults: dict[str, Any] = {}
    for model_field in Movie._meta.concrete_fields:
        name = str(model_field.column)
        if model_field.primary_key or model_field.generated or name in _MovieRow._fields:
            continue
        value = model_field.get_db_prep_save(model_field.pre_save(movie, add=True), connection)
        if value is not None:
            defaults[name] = value
    return defaults
