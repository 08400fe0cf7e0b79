"""A training in the database: the ratings it reads, the rows it writes, and a whole one read again.

What single answers read of it is in recommendations.recommender.queries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection
from numpy.typing import NDArray

from accounts.models import User
from movies.models import Movie
from nexus.core.db.raw_sql import rows_in_binary
from nexus.core.db.transactions import long_transaction
from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.calibration import Coefficients
from recommendations.algorithms.item_stats import RatingSums, Totals, untrained_movies
from recommendations.algorithms.model import Model
from recommendations.algorithms.parameters import VERSION, Parameters
from recommendations.algorithms.types import (
    Array,
    Floats,
    Ids,
    Links,
    MovieContent,
    Movies,
    NeighborLists,
    Places,
    Ratings,
    positions,
)
from recommendations.models import MovieFactors, Training
from social.models import Rating

logger = logging.getLogger(__name__)

# A movie that everybody saw speaks for thousands. Of its words the strongest are kept for choosing
# the candidates of a feed; the candidates are then ranked by all that speaks for them.
MAX_TARGETS = 500
#: In place of a training's id; no row has it.
NO_TRAINING = 0
#: id, genres, release_year, vote_average, vote_count, rating_count, rating_sum of a movie.
CatalogueRow = tuple[int, list[str], int | None, float, int, int, float]
CATALOGUE_COLUMNS = (
    "id",
    "genres",
    "release_year",
    "vote_average",
    "vote_count",
    "rating_count",
    "rating_sum",
)
#: Beside so many ratings of real members the made-up community only distorts a training.
ENOUGH_REAL_RATINGS = 5_000
_GENRE_COLUMN = {name: column for column, name in enumerate(GENRE_NAMES)}
_GENRE_BITS = np.arange(len(GENRE_NAMES), dtype=np.uint32)
#: What a training knows of each of its movies, 38 bytes; in the memory of each process.
MOVIE = np.dtype(
    [
        ("id", "<i8"),
        ("genres", "<u4"),  # a bit each, in TMDb's order
        ("year", "<i2"),
        ("quality", "<f4"),
        ("bias", "<f4"),
        ("count", "<f4"),
        ("rate", "<f4"),
        ("recent_rate", "<f4"),
        ("trend", "<f4"),
    ]
)
_NUMBERS = ("quality", "bias", "count", "rate", "recent_rate", "trend")
_RATING_ROW = np.dtype(
    # PostgreSQL's binary COPY: the number of fields, then each with its length before it.
    [
        ("fields", ">i2"),
        ("user_length", ">i4"),
        ("user", ">i8"),
        ("movie_length", ">i4"),
        ("movie", ">i8"),
        ("stars_length", ">i4"),
        ("stars", ">f4"),
        ("time_length", ">i4"),
        ("time", ">i8"),
    ]
)
_COPY_HEADER = 19
_COPY_TRAILER = 2


@dataclass(frozen=True)
class Head:
    """What every score needs of a training: small, never changed, held by each process."""

    training_id: int
    algorithm: str
    table: NDArray[np.void]  # (m,) of MOVIE, ids ascending
    movie_ids: Ids  # (m,) the same ids on their own
    rates: Array  # (m,) the same rates
    recent_rates: Array  # (m,) the same recent rates
    factor_gram: Array  # (k, k) for the fold-in of algorithms.als
    totals: Totals
    coefficients: Coefficients
    parameters: Parameters

    def movies(self, places: Places, vectors: Vectors) -> Movies:
        """Return the movies at these places with their vectors."""
        rows = self.table[places]
        return Movies(
            ids=rows["id"].astype(np.int64),
            genres=((rows["genres"][:, None] >> _GENRE_BITS) & 1).astype(np.float32),
            years=rows["year"].astype(np.int64),
            **{name: rows[name].astype(np.float64) for name in _NUMBERS},
            factors=vectors.factors,
            residual_factors=vectors.residual_factors,
        )

    def unpack_vectors(self, rows: Sequence[bytes | None]) -> Vectors:
        """Return the stored vectors of movies; zeros for None."""
        k, f = self.parameters.als_factors, self.parameters.residual_factors
        empty = bytes(4 * (k + f))
        table = np.frombuffer(b"".join(row or empty for row in rows), "<f4")
        table = table.reshape(len(rows), k + f)
        return Vectors(table[:, :k], table[:, k:])


@dataclass(frozen=True)
class Vectors:
    """The vectors of m movies: algorithms.als and algorithms.residual_factors."""

    factors: Floats  # (m, k)
    residual_factors: Floats  # (m, f)

    def __getitem__(self, chosen: Places) -> Vectors:
        return Vectors(self.factors[chosen], self.residual_factors[chosen])


# --- Lists as bytes ------------------------------------------------------------------------------

_ENTRY = np.dtype([("place", "<i4"), ("weight", "<f4")])


def packed(places: Places, weights: Floats) -> bytes:
    """A list of movies, by their place in the training, with weights."""
    entries = np.empty(len(places), dtype=_ENTRY)
    entries["place"], entries["weight"] = places, weights
    return entries.tobytes()


@dataclass(frozen=True)
class Lists:
    """Packed lists of f movies laid end to end; e entries in parallel.

    As narrow as they are stored, and not copied: fresh memory is most of what a list costs.
    """

    owners: NDArray[np.integer]  # (e,) whose list, 0 to f - 1
    places: NDArray[np.integer]  # (e,) place of the movie named, among the training's
    weights: Floats  # (e,)

    @classmethod
    def of(cls, lists: Sequence[bytes | None]) -> Lists:
        """None is the list of a movie that the training does not know: empty."""
        held = [data or b"" for data in lists]
        entries = np.frombuffer(b"".join(held), _ENTRY)
        lengths = [len(data) // _ENTRY.itemsize for data in held]
        owners = np.repeat(np.arange(len(held), dtype=np.int32), lengths)
        return cls(owners, entries["place"], entries["weight"])

    @classmethod
    def some(cls, lists: Lists, starts: Places, chosen: Places) -> Lists:
        """The lists of these movies, of all lists and where each begins (f + 1)."""
        lengths = starts[chosen + 1] - starts[chosen]
        total = int(lengths.sum())
        # Each entry's place: where its list begins, and how far into the list it is.
        into = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        entries = np.repeat(starts[chosen], lengths) + into
        return cls(
            np.repeat(np.arange(len(chosen)), lengths),
            lists.places[entries],
            lists.weights[entries],
        )

    def only(self, kept: NDArray[np.bool_]) -> Lists:
        """The same with the lists of movies that are not `kept` (f,) emptied."""
        chosen = kept[self.owners]
        return Lists(self.owners[chosen], self.places[chosen], self.weights[chosen])

    def starts(self, count: int) -> Places:
        """(count + 1,) Where each of `count` lists begins, and the last ends."""
        lengths = np.bincount(self.owners, minlength=count)
        return np.concatenate(([0], np.cumsum(lengths)))

    def naming(self, head: Head, movie_ids: Ids) -> tuple[Places, Places]:
        """(k,) each: the entries that name one of these movies, and where it stands there."""
        at = np.full(len(head.movie_ids), -1, dtype=np.intp)
        places, held = positions(head.movie_ids, movie_ids)
        at[places[held]] = np.flatnonzero(held)
        named = np.flatnonzero((at >= 0)[self.places])
        return named, at[self.places[named]]

    def from_targets(self, head: Head, history: Ids) -> Links:
        """Of the lists of movies to score: what in the history speaks for each."""
        named, rated = self.naming(head, history)
        movies = self.owners[named].astype(np.intp)
        return Links(movies=movies, rated=rated, weights=self.weights[named])

    def neighbours(self, head: Head, count: int) -> NeighborLists:
        """As the maths takes them, of `count` movies."""
        return NeighborLists(self.starts(count), head.movie_ids[self.places], self.weights)


# --- The training in use -------------------------------------------------------------------------


@lru_cache(maxsize=4)
def head_of(training_id: int) -> Head:
    """The head of a training, read once a process: what is stored of it never changes."""
    training = Training.objects.get(id=training_id)
    table = np.frombuffer(training.movies, MOVIE)
    return Head(
        training_id=training_id,
        algorithm=training.algorithm,
        table=table,
        movie_ids=table["id"].astype(np.int64),
        rates=table["rate"].astype(np.float64),
        recent_rates=table["recent_rate"].astype(np.float64),
        factor_gram=np.frombuffer(training.factor_gram, "<f8").reshape(
            2 * (training.parameters["als_factors"],)
        ),
        totals=Totals.from_dict(training.totals),
        coefficients=Coefficients.from_dict(training.coefficients),
        parameters=Parameters.from_dict(training.parameters),
    )


def active_head() -> Head | None:
    """Return the head of the training that serves, in one query; None if there is none.

    A training of another version is not read: its rows mean something else.
    """
    training_id = (
        Training.objects.filter(active=True, algorithm=VERSION).values_list("id", flat=True).first()
    )
    return None if training_id is None else head_of(training_id)


@lru_cache(maxsize=1)
def default_head() -> Head:
    """Return what serves until the first training: default coefficients, and no movie known."""
    logger.warning("No training of %s is active: the default coefficients serve.", VERSION)
    nothing = np.zeros(0)
    return Head(
        training_id=NO_TRAINING,
        algorithm=VERSION,
        table=np.zeros(0, dtype=MOVIE),
        movie_ids=np.zeros(0, dtype=np.int64),
        rates=nothing,
        recent_rates=nothing,
        factor_gram=np.zeros((0, 0)),
        totals=Totals(),
        coefficients=Coefficients.default(),
        parameters=Parameters(als_factors=0, residual_factors=0),
    )


# --- What is read for training -------------------------------------------------------------------

Progress = Callable[[str, float], None]


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
    if sample_ids := _sample_members_to_leave_out():
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
        found: list[np.ndarray[Any, np.dtype[Any]]] = []
        rows = 0
        sql = f"""
            COPY (SELECT user_id, movie_id, score::float4, extract(epoch FROM created_at)::bigint
                  FROM social_rating {where})
            TO STDOUT (FORMAT BINARY)
        """  # noqa: S608
        for block in _copied(cursor, sql, params):
            table = np.frombuffer(block, _RATING_ROW)
            compact = np.empty(len(table), dtype=_COMPACT)
            for name in _COMPACT.fields or ():
                compact[name] = table[name]
            found.append(compact)
            rows += len(table)
            progress("reading", min(rows / max(expected, 1), 1.0))
    table = np.concatenate(found) if found else np.zeros(0, dtype=_COMPACT)
    del found
    # In the order in which the server read them: training sorts them itself.
    return RatingsRead(
        Ratings(table["user"], table["movie"], table["stars"], table["time"]), newest_at
    )


def _sample_members_to_leave_out() -> list[int]:
    """Return the made-up members if the others have ratings enough to learn from, else none."""
    sample = User.objects.filter(origin=User.Origin.SAMPLE)
    real = Rating.objects.exclude(user__in=sample).values("pk")[:ENOUGH_REAL_RATINGS]
    if real.count() < ENOUGH_REAL_RATINGS:
        return []
    return list(sample.values_list("pk", flat=True))


_COMPACT = np.dtype([("user", "i8"), ("movie", "i8"), ("stars", "f4"), ("time", "i8")])
_BLOCK_ROWS = 200_000


def _copied(cursor: Any, sql: str, params: Sequence[Any]) -> Iterator[bytes]:
    """The rows of a binary COPY in blocks of whole rows, without header and trailer."""
    with cursor.copy(sql, params) as copy:
        held = bytearray()
        skip = _COPY_HEADER
        for data in copy:
            held += data
            if skip and len(held) >= skip:
                del held[:skip]
                skip = 0
            if len(held) >= _BLOCK_ROWS * _RATING_ROW.itemsize:
                whole = len(held) // _RATING_ROW.itemsize * _RATING_ROW.itemsize
                yield bytes(held[:whole])
                del held[:whole]
    rest = bytes(held[:-_COPY_TRAILER])
    if rest:
        yield rest


def catalogue_rows(movie_ids: Sequence[int]) -> list[CatalogueRow]:
    """Return the rows of the movies that exist, by id."""
    return list(
        Movie.objects.filter(id__any=movie_ids).order_by("id").values_list(*CATALOGUE_COLUMNS)
    )


def content_read(movie_ids: Ids) -> MovieContent:
    """Return what the catalogue says of these movies; deleted ones are left out. One query."""
    return content([row[:5] for row in catalogue_rows(movie_ids.tolist())])


def untrained_rows(rows: Sequence[CatalogueRow], head: Head) -> Movies:
    """Return the movies of these rows, which the training does not know."""
    ratings = RatingSums(
        count=np.array([row[5] for row in rows], dtype=np.float64),
        stars=np.array([row[6] for row in rows], dtype=np.float64),
    )
    described = content([row[:5] for row in rows])
    return untrained_movies(described, ratings, head.totals, head.parameters)


def content(rows: Sequence[tuple[int, list[str], int | None, float, int]]) -> MovieContent:
    """Rows of (id, genres, release_year, vote_average, vote_count) as arrays.

    TMDb's votes only where RECOMMEND_WITH_TMDB_VOTES allows.
    """
    genres = np.zeros((len(rows), len(GENRE_NAMES)), dtype=np.float32)
    for place, row in enumerate(rows):
        for name in row[1]:
            genres[place, _GENRE_COLUMN[name]] = 1.0
    found = MovieContent(
        movie_ids=np.array([row[0] for row in rows], dtype=np.int64),
        genres=genres,
        years=np.array([row[2] or 0 for row in rows], dtype=np.int64),
        vote_average=np.array([row[3] for row in rows], dtype=np.float32),
        vote_count=np.array([row[4] for row in rows], dtype=np.float32),
    )
    return found if settings.RECOMMEND_WITH_TMDB_VOTES else found.without_votes()


# --- Storing -------------------------------------------------------------------------------------


def model_store(*, training: Training, model: Model, progress: Progress) -> None:
    """Write a model's rows beside the ones that serve. To be called in a transaction."""
    movies = model.movies
    feed_places = _places(movies.ids, model.feed)
    taste_places = _places(movies.ids, model.taste)
    sources, targets, by_source = _by_source(model.feed, feed_places, len(movies))
    columns = "training_id, movie_id, feed_sources, feed_targets, taste, vectors"
    vectors = np.hstack([movies.factors, movies.residual_factors]).astype("<f4")
    with (
        connection.cursor() as cursor,
        cursor.copy(
            f"COPY {MovieFactors._meta.db_table} ({columns}) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["int8", "int8", "bytea", "bytea", "bytea", "bytea"])
        for place in range(len(movies)):
            feed = slice(model.feed.starts[place], model.feed.starts[place + 1])
            taste = slice(model.taste.starts[place], model.taste.starts[place + 1])
            spoken = slice(sources[place], sources[place + 1])
            copy.write_row(
                (
                    training.pk,
                    int(movies.ids[place]),
                    packed(feed_places[feed], model.feed.weights[feed]),
                    packed(targets[spoken], by_source[spoken]),
                    packed(taste_places[taste], model.taste.weights[taste]),
                    vectors[place].tobytes(),
                )
            )
            if place % 1000 == 0:
                progress("storing", place / len(movies))
    training.movies = _table(movies).tobytes()
    training.factor_gram = model.factor_gram.astype("<f8").tobytes()
    training.totals = model.totals.as_dict()
    training.coefficients = model.coefficients.as_dict()
    training.parameters = model.parameters.as_dict()
    training.movie_count = len(movies)
    progress("storing", 1.0)


def _table(movies: Movies) -> NDArray[np.void]:
    table = np.empty(len(movies), dtype=MOVIE)
    bits = (movies.genres > 0).astype(np.uint32) << _GENRE_BITS
    table["genres"] = bits.sum(axis=1, dtype=np.uint32)
    table["id"], table["year"] = movies.ids, movies.years
    for name in _NUMBERS:
        table[name] = getattr(movies, name)
    return table


def _places(ascending: Ids, lists: NeighborLists) -> Places:
    places, held = positions(ascending, lists.movies)
    assert held.all()  # a model names its own movies alone
    return places


def _by_source(feed: NeighborLists, places: Places, movies: int) -> tuple[Places, Places, Floats]:
    """The same links by the movie that speaks: starts (m + 1), targets and weights.

    Of each movie the MAX_TARGETS strongest.
    """
    owners = np.repeat(np.arange(movies, dtype=np.intp), np.diff(feed.starts))
    order = np.lexsort((-np.abs(feed.weights), places))
    starts = np.concatenate(([0], np.cumsum(np.bincount(places, minlength=movies))))
    rank = np.arange(len(order)) - np.repeat(starts[:-1], np.diff(starts))
    order = order[rank < MAX_TARGETS]
    kept = np.bincount(places[order], minlength=movies)
    return np.concatenate(([0], np.cumsum(kept))), owners[order], feed.weights[order]


# --- Reading a whole model -----------------------------------------------------------------------


@dataclass(frozen=True)
class Whole:
    """A training in memory, for batches; movies and lists as in `head.movie_ids`."""

    head: Head
    vectors: Vectors
    feed: Lists  # by target
    targets: Lists  # by source
    taste: Lists


def whole_from_model(model: Model) -> Whole:
    """Return a model that is not stored as if it had been read from the database."""
    movies = model.movies
    m = len(movies)
    table = _table(movies)
    head = Head(
        training_id=0,
        algorithm=VERSION,
        table=table,
        movie_ids=movies.ids,
        rates=table["rate"].astype(np.float64),
        recent_rates=table["recent_rate"].astype(np.float64),
        factor_gram=model.factor_gram,
        totals=model.totals,
        coefficients=model.coefficients,
        parameters=model.parameters,
    )
    feed_places, taste_places = _places(movies.ids, model.feed), _places(movies.ids, model.taste)
    sources, targets, weights = _by_source(model.feed, feed_places, m)
    return Whole(
        head,
        Vectors(movies.factors, movies.residual_factors),
        feed=Lists(_owners(model.feed.starts), feed_places, model.feed.weights),
        targets=Lists(_owners(sources), targets, weights),
        taste=Lists(_owners(model.taste.starts), taste_places, model.taste.weights),
    )


def _owners(starts: NDArray[np.integer]) -> Places:
    """(e,) Return the number of the list that each entry belongs to."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def whole_read(head: Head) -> Whole:
    """All rows of a training, in one query."""
    with long_transaction():
        rows = rows_in_binary(
            "SELECT feed_sources, feed_targets, taste, vectors FROM recommendations_filmfactors"
            " WHERE training_id = %s ORDER BY movie_id",
            [head.training_id],
        )
    return Whole(
        head,
        head.unpack_vectors([row[3] for row in rows]),
        *(Lists.of([row[column] for row in rows]) for column in range(3)),
    )
