"""A training in the database: the ratings it reads, the rows it writes, and all of them read again.

What a request reads of it, and the format of its columns, is in recommendations.recommender.queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Exists, OuterRef
from numpy.typing import NDArray
from scipy import sparse

from accounts.models import User
from movies.models import Movie
from nexus.core.db.transactions import long_transaction
from recommendations.algorithms.model import Model
from recommendations.algorithms.parameters import VERSION
from recommendations.algorithms.types import (
    Floats,
    MovieContent,
    Movies,
    Places,
    Ratings,
)
from recommendations.models import MovieFactors, Training
from recommendations.recommender.queries import (
    CATALOGUE_COLUMNS,
    ENTRY,
    GENRE_BITS,
    MOVIE,
    NO_TRAINING,
    NUMBERS,
    CatalogueRow,
    ModelHeader,
    SparseRows,
)
from social.models import Rating

Progress = Callable[[str, float], None]

# A movie that everybody saw adds to the order of thousands. Its strongest weights are stored for choosing
# the candidates of a feed; the candidates are then ranked by all that adds to them.
MAX_TARGETS = 500
#: Beside so many ratings of real members the made-up community only distorts a training.
ENOUGH_REAL_RATINGS = 5_000
_RATING = np.dtype([("user", "i8"), ("movie", "i8"), ("stars", "f4"), ("time", "i8")])
_PROGRESS_ROWS = 100_000


# --- Reading for a training ----------------------------------------------------------------------


@dataclass(frozen=True)
class RatingsRead:
    """The community's ratings as they stood at one moment."""

    ratings: Ratings
    newest_at: datetime | None


def ratings_read(
    *, since: datetime | None, before: datetime | None = None, progress: Progress
) -> RatingsRead:
    """Read the ratings made or changed in this time, without sample members if others are enough.

    Ratings of members who are not public are left out: everybody sees how similar movies are.
    A rating that was changed after `before` is left out: its earlier value is not stored. One COPY is
    one snapshot, so what is rated meanwhile is in the next training. A rating takes 28 bytes.
    """
    conditions, params = ["is_counted"], list[Any]()
    if since:
        conditions.append("updated_at >= %s")
        params.append(since)
    if before:
        conditions.append("updated_at < %s")
        params.append(before)
    if sample_ids := _find_sample_members_to_leave_out():
        conditions.append("user_id <> ALL(%s::bigint[])")
        params.append(sample_ids)
    where = f"WHERE {' AND '.join(conditions)}"
    with long_transaction(), connection.cursor() as cursor:
        # Of many millions this takes minutes, and nobody waits for it.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(
            f"SELECT count(*), max(updated_at) FROM social_rating {where}",  # noqa: S608
            params,
        )
        expected, newest_at = cursor.fetchone()
        sql = f"""
            COPY (SELECT user_id, movie_id, score::float4, extract(epoch FROM created_at)::bigint
                  FROM social_rating {where})
            TO STDOUT (FORMAT BINARY)
        """  # noqa: S608
        with cursor.copy(sql, params) as copy:
            copy.set_types(["int8", "int8", "float4", "int8"])
            table = np.fromiter(_report_rows(copy.rows(), expected, progress), dtype=_RATING)
    # In the order in which the server read them: training sorts them itself.
    ratings = Ratings(table["user"], table["movie"], table["stars"], table["time"])
    return RatingsRead(ratings, newest_at)


def _report_rows(rows: Iterator[Any], expected: int, progress: Progress) -> Iterator[Any]:
    """Yield the rows, and report how many of the expected ones are read."""
    for number, row in enumerate(rows, start=1):
        yield row
        if number % _PROGRESS_ROWS == 0 or number == expected:
            progress("reading", min(number / expected, 1.0))


def _find_sample_members_to_leave_out() -> list[int]:
    """Return the made-up members if the others have ratings enough to learn from, else none."""
    sample = User.objects.filter(origin=User.Origin.SAMPLE)
    scored = Rating.objects.filter(score__isnull=False)
    real = scored.exclude(user__in=sample).values("pk")[:ENOUGH_REAL_RATINGS]
    if real.count() < ENOUGH_REAL_RATINGS:
        return []
    return list(sample.values_list("pk", flat=True))


def catalogue_rows(movie_ids: Sequence[int]) -> list[CatalogueRow]:
    """Return the rows of the movies that exist, by id."""
    movies = Movie.objects.filter(id__any=movie_ids).order_by("id")
    return list(movies.values_list(*CATALOGUE_COLUMNS))


def content_read() -> MovieContent:
    """Return what the catalogue says of the movies that somebody has rated. One query."""
    is_rated = Exists(Rating.objects.filter(movie=OuterRef("pk")))
    with long_transaction():
        rows = Movie.objects.filter(is_rated).order_by("id").values_list(*CATALOGUE_COLUMNS)
        return MovieContent.of_rows(list(rows))


# --- Storing -------------------------------------------------------------------------------------


def model_store(*, training: Training, model: Model, progress: Progress) -> None:
    """Write a model's rows beside the ones that serve. To be called in a transaction."""
    movies, m = model.movies, len(model.movies)
    targets = _transpose_strongest(model.feed)
    vectors = np.hstack([movies.factors, movies.residual_factors]).astype("<f4")
    columns = "training_id, movie_id, feed_sources, feed_targets, taste, vectors"
    with (
        connection.cursor() as cursor,
        cursor.copy(
            f"COPY {MovieFactors._meta.db_table} ({columns}) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["int8", "int8", "bytea", "bytea", "bytea", "bytea"])
        for place in range(m):
            lists = (_pack_row(matrix, place) for matrix in (model.feed, targets, model.taste))
            copy.write_row((training.pk, int(movies.ids[place]), *lists, vectors[place].tobytes()))
            if place % 1000 == 0:
                progress("storing", place / m)
    training.movies = _pack_movies(movies).tobytes()
    training.factor_gram = model.factor_gram.astype("<f8").tobytes()
    training.totals = asdict(model.totals)
    training.coefficients = asdict(model.coefficients)
    training.parameters = asdict(model.parameters)
    training.movie_count = m
    progress("storing", 1.0)


def _pack_movies(movies: Movies) -> NDArray[np.void]:
    """(m,) Return the table of a ModelHeader."""
    table = np.empty(len(movies), dtype=MOVIE)
    bits = (movies.genres > 0).astype(np.uint32) << GENRE_BITS
    table["genres"] = bits.sum(axis=1, dtype=np.uint32)
    table["id"], table["year"] = movies.ids, movies.years
    for name in NUMBERS:
        table[name] = getattr(movies, name)
    return table


def factors_analyze() -> None:
    """Let PostgreSQL count the rows of a new training; else the first requests are planned for none."""
    with long_transaction(), connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {MovieFactors._meta.db_table}")


def _transpose_strongest(feed: sparse.csr_array) -> sparse.csr_array:
    """(m, m) Return the same weights by source: row i has the MAX_TARGETS strongest of movie i."""
    by_source = feed.T.tocsr()
    counts = np.diff(by_source.indptr)
    sources = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-np.abs(by_source.data), sources))
    rank = np.arange(len(order)) - np.repeat(by_source.indptr[:-1], counts)
    order = order[rank < MAX_TARGETS]
    starts = np.concatenate(([0], np.cumsum(np.minimum(counts, MAX_TARGETS))))
    return sparse.csr_array(
        (by_source.data[order], by_source.indices[order], starts), shape=feed.shape
    )


def _pack_row(matrix: sparse.csr_array, row: int) -> bytes:
    """Return a movie's list as it is stored: an ENTRY each."""
    chosen = slice(matrix.indptr[row], matrix.indptr[row + 1])
    entries = np.empty(chosen.stop - chosen.start, dtype=ENTRY)
    entries["place"], entries["weight"] = matrix.indices[chosen], matrix.data[chosen]
    return entries.tobytes()


# --- A model in memory ---------------------------------------------------------------------------


@dataclass(frozen=True)
class InMemoryModel:
    """All rows of a model, for scoring many members; the m movies are those of the header."""

    header: ModelHeader
    vectors: Floats  # (m, k + f) of both factorizations
    feed: sparse.csr_array  # (m, m) by target
    targets: sparse.csr_array  # (m, m) by source
    taste: sparse.csr_array  # (m, m) by target


def model_from_training(header: ModelHeader) -> InMemoryModel:
    """Read all rows of a training, in one query."""
    m = len(header.movie_ids)
    columns: tuple[list[bytes], ...] = ([], [], [], [])
    stored = MovieFactors.objects.filter(training_id=header.training_id).order_by("movie_id")
    with long_transaction():
        for row in stored.values_list(
            "feed_sources", "feed_targets", "taste", "vectors"
        ).iterator():
            for column, value in zip(columns, row, strict=True):
                column.append(bytes(value))
    lists = (SparseRows.unpack(column) for column in columns[:3])
    feed, targets, taste = (
        sparse.csr_array((each.weights, (each.rows, each.places)), shape=(m, m)) for each in lists
    )
    return InMemoryModel(header, header.unpack_vectors(columns[3]), feed, targets, taste)


def model_in_memory(model: Model) -> InMemoryModel:
    """Return a model that is not stored as if it had been read from the database."""
    movies = model.movies
    header = ModelHeader.of_table(
        _pack_movies(movies),
        training_id=NO_TRAINING,
        algorithm=VERSION,
        factor_gram=model.factor_gram,
        totals=model.totals,
        coefficients=model.coefficients,
        parameters=model.parameters,
    )
    return InMemoryModel(
        header,
        np.hstack([movies.factors, movies.residual_factors]),
        model.feed,
        _transpose_strongest(model.feed),
        model.taste,
    )


def select_rows(
    matrix: sparse.csr_array, places: Places, is_known: NDArray[np.bool_]
) -> SparseRows:
    """Return the lists of the movies at these places; empty for those that are not known."""
    chosen = matrix[places]
    rows = np.repeat(np.arange(len(places)), np.diff(chosen.indptr))
    is_wanted = is_known[rows]
    return SparseRows(rows[is_wanted], chosen.indices[is_wanted], chosen.data[is_wanted])
