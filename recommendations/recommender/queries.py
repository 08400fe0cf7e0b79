"""What a request reads: the stored model, the member, and the movies to score.

A feed is three queries with those of its page, for a member or a group; a match score is three. Each is
bounded however large the tables are. What the model knows of all its movies is in memory
(`ModelHeader`). Neighbor lists and vectors are read, and from the catalogue the movies that the training
does not know.

Three statements are raw SQL in the binary format: by the ORM the same rows take 3 ms more CPU for a
member with 200 ratings (`python -m benchmarks.recommender`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from numpy.typing import NDArray
from psycopg.pq import Format
from psycopg.types.json import Jsonb

from accounts.models import User
from movies.models import Movie, MovieQuerySet
from movies.serializers import SUMMARY_COLUMNS
from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.item_stats import RatingSums, Totals, untrained_movies
from recommendations.algorithms.match_score import Coefficients
from recommendations.algorithms.parameters import VERSION, Parameters
from recommendations.algorithms.ranking import recency_weights
from recommendations.algorithms.types import (
    Array,
    Floats,
    History,
    Ids,
    Links,
    MovieContent,
    Movies,
    Places,
    interest,
    positions,
)
from recommendations.models import Feedback, Training
from social.models import Rating, Viewing, WatchlistItem

logger = logging.getLogger(__name__)

#: The newest ratings and feedback of a member that count; older ones say little more.
HISTORY_LIMIT, FEEDBACK_LIMIT = 1000, 200
#: The same for all members of a group together, so that ten cost little more than two.
GROUP_HISTORY_LIMIT, GROUP_FEEDBACK_LIMIT = 2 * HISTORY_LIMIT, 2 * FEEDBACK_LIMIT
#: The length of a feed.
FEED_DEPTH = 300
#: Feedback as interest, beside a rating's 0.1 to 1: "more" is as much as 4 stars, and "less" takes
#: away what a rating of 3 stars gives.
FEEDBACK_INTEREST = {Feedback.Kind.MORE: 1.0, Feedback.Kind.LESS: -0.6}
#: So many of the preselected movies are tried against the filters; the catalogue fills the rest.
MAX_PRESELECTED = 4_000
#: The most popular movies of a model, among which are as many that a member has not judged.
POPULAR = MAX_PRESELECTED + HISTORY_LIMIT + FEEDBACK_LIMIT
#: Movies of each further list for members with a short history.
FROM_EACH_LIST = 80
#: The leading people of a movie: the first so many of its directors and of its cast.
LEADS = 4
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
#: The value of a BinaryField.
Buffer = bytes | memoryview
#: A movie with its SUMMARY_COLUMNS.
MovieRow = dict[str, Any]


def _fetch_rows(sql: str, params: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a statement in PostgreSQL's binary format: bytea as bytes, jsonb as objects.

    The text format of Django's cursors sends two digits for each byte. The parameters are interpolated
    by the client, because conditions of querysets may leave their types open.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        statement = cursor.cursor.mogrify(sql, params)
    raw: Any = ServerBindingCursor(connection.connection)  # type: ignore[call-arg]
    raw.format = Format.BINARY
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrap(raw) as cursor:
        cursor.execute(statement)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


# --- The stored model ----------------------------------------------------------------------------

GENRE_BITS = np.arange(len(GENRE_NAMES), dtype=np.uint32)
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
#: The columns that Movies has under the same names.
NUMBERS = ("quality", "bias", "count", "rate", "recent_rate", "trend")
#: An entry of a movie's list: the place of another movie in the model, and its weight.
ENTRY = np.dtype([("place", "<i4"), ("weight", "<f4")])


@dataclass(frozen=True)
class ModelHeader:
    """What every score needs of a stored model: small, never changed, in the memory of each process."""

    training_id: int
    algorithm: str
    table: NDArray[np.void]  # (m,) of MOVIE, ids ascending
    movie_ids: Ids  # (m,) the same ids on their own
    rates: Array  # (m,) the same rates
    recent_rates: Array  # (m,) the same recent rates
    is_popular: NDArray[np.bool_]  # (m,) among the POPULAR first by either rate
    factor_gram: Array  # (k, k) for ranking.fold_in
    totals: Totals
    coefficients: Coefficients
    parameters: Parameters

    @classmethod
    def of_table(cls, table: NDArray[np.void], **fields: Any) -> ModelHeader:
        """Return the header with this table of MOVIE."""
        rates, recent_rates = (table[name].astype(np.float64) for name in ("rate", "recent_rate"))
        is_popular = np.full(len(table), len(table) <= POPULAR)
        if len(table) > POPULAR:
            for each in (rates, recent_rates):
                is_popular[np.argpartition(-each, POPULAR)[:POPULAR]] = True
        ids = table["id"].astype(np.int64)
        return cls(
            table=table,
            movie_ids=ids,
            rates=rates,
            recent_rates=recent_rates,
            is_popular=is_popular,
            **fields,
        )

    def movies(self, places: Places, vectors: Floats) -> Movies:
        """Return the movies at these places; `vectors` (m, k + f) are those of both factorizations."""
        rows, k = self.table[places], self.parameters.als_factors
        return Movies(
            ids=rows["id"].astype(np.int64),
            genres=((rows["genres"][:, None] >> GENRE_BITS) & 1).astype(np.float32),
            years=rows["year"].astype(np.int64),
            **{name: rows[name].astype(np.float64) for name in NUMBERS},
            factors=vectors[:, :k],
            residual_factors=vectors[:, k:],
        )

    def index(self, movie_ids: Ids) -> NDArray[np.int16]:
        """(m,) Return the index in `movie_ids` of each of the model's movies, -1 if it is not there.

        Narrow, because at a million movies fresh memory is most of what it costs.
        """
        index = np.full(len(self.movie_ids), -1, dtype=np.int16)
        places, is_known = positions(self.movie_ids, movie_ids)
        index[places[is_known]] = np.flatnonzero(is_known)
        return index

    def unpack_vectors(self, rows: Sequence[Buffer | None]) -> Floats:
        """(m, k + f) Return the stored vectors of movies; zeros for None."""
        width = self.parameters.als_factors + self.parameters.residual_factors
        empty = bytes(4 * width)
        table: Floats = np.frombuffer(b"".join(row or empty for row in rows), "<f4")
        return table.reshape(len(rows), width)


@dataclass(frozen=True)
class SparseRows:
    """The lists of r movies as a sparse matrix: e entries in parallel, row by row.

    As narrow as they are stored and not copied, because fresh memory is most of what a list costs.
    """

    rows: NDArray[np.integer]  # (e,) 0 to r - 1
    places: NDArray[np.integer]  # (e,) of the listed movie, in the model
    weights: Floats  # (e,)

    @classmethod
    def unpack(cls, lists: Sequence[Buffer | None]) -> SparseRows:
        """Return the stored lists; None is that of a movie the training does not know: empty."""
        stored = [data or b"" for data in lists]
        entries = np.frombuffer(b"".join(stored), ENTRY)
        lengths = [len(data) // ENTRY.itemsize for data in stored]
        rows = np.repeat(np.arange(len(stored), dtype=np.int32), lengths)
        return cls(rows, entries["place"], entries["weight"])

    def links(self, index: NDArray[np.int16]) -> Links:
        """Return the entries that list a movie of a history; `index` is ModelHeader.index of its ids."""
        rated = index[self.places]
        chosen = np.flatnonzero(rated >= 0)
        return Links(
            movies=self.rows[chosen].astype(np.intp),
            rated=rated[chosen].astype(np.intp),
            weights=self.weights[chosen],
        )


@lru_cache(maxsize=4)
def load_header(training_id: int) -> ModelHeader:
    """Return the header of a training, read once a process, because it never changes."""
    training = Training.objects.get(id=training_id)
    k = training.parameters["als_factors"]
    return ModelHeader.of_table(
        np.frombuffer(training.movies, MOVIE),
        training_id=training_id,
        algorithm=training.algorithm,
        factor_gram=np.frombuffer(training.factor_gram, "<f8").reshape(k, k),
        totals=Totals(**training.totals),
        coefficients=Coefficients.from_dict(training.coefficients),
        parameters=Parameters(**training.parameters),
    )


@lru_cache(maxsize=1)
def default_header() -> ModelHeader:
    """Return what serves until the first training: default coefficients, and no movie known."""
    logger.warning("No training of %s is active: the default coefficients serve.", VERSION)
    return ModelHeader.of_table(
        np.zeros(0, dtype=MOVIE),
        training_id=NO_TRAINING,
        algorithm=VERSION,
        factor_gram=np.zeros((0, 0)),
        totals=Totals(),
        coefficients=Coefficients.default(),
        parameters=Parameters(als_factors=0, residual_factors=0),
    )


def load_active_header() -> ModelHeader | None:
    """Return the header of the training that serves, in one query; None if there is none.

    A training of another version is not read: its rows mean something else.
    """
    active = Training.objects.filter(active=True, algorithm=VERSION)
    training_id = active.values_list("id", flat=True).first()
    return None if training_id is None else load_header(training_id)


# --- The catalogue -------------------------------------------------------------------------------


def read_rows(movie_ids: Iterable[int]) -> dict[int, MovieRow]:
    """Return the movies that exist by id, with the columns that a list shows. One query."""
    rows = Movie.objects.filter(id__in=set(movie_ids)).values(*SUMMARY_COLUMNS)
    return {row["id"]: row for row in rows}


def describe_movies(rows: Sequence[tuple[Any, ...]]) -> MovieContent:
    """Return rows that begin with the first five CATALOGUE_COLUMNS as arrays.

    TMDb's votes are zero unless RECOMMEND_WITH_TMDB_VOTES is on.
    """
    content = MovieContent.of_rows(rows)
    return content if settings.RECOMMEND_WITH_TMDB_VOTES else content.without_votes()


def build_movies(header: ModelHeader, rows: Sequence[Any], vectors: Floats) -> Movies:
    """Return the movies of these CatalogueRows.

    A row has the id alone, and None in all other columns, if the training knows the movie.
    """
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    places, is_known = positions(header.movie_ids, ids)
    if is_known.all():
        return header.movies(places, vectors)
    new = [row for row, known in zip(rows, is_known, strict=True) if not known]
    ratings = RatingSums(
        count=np.array([row[5] for row in new], dtype=np.float64),
        stars=np.array([row[6] for row in new], dtype=np.float64),
    )
    unknown = untrained_movies(describe_movies(new), ratings, header.totals, header.parameters)
    if not is_known.any():
        return unknown
    return header.movies(places, vectors).with_rows(~is_known, unknown)


def leave_out_unwanted(movies: MovieQuerySet, users: Sequence[User]) -> MovieQuerySet:
    """Return the movies that none of the members has hidden or wants less of."""
    unwanted = Feedback.objects.exclude(kind=Feedback.Kind.MORE).filter(user__in=users)
    return movies.exclude(id__in=unwanted.values("movie"))


def leave_out_judged(movies: MovieQuerySet, users: Sequence[User]) -> MovieQuerySet:
    """Return the movies that none of the members has rated, reviewed, hidden or wants less of."""
    movies = movies.exclude(id__in=Rating.objects.filter(user__in=users).values("movie"))
    return leave_out_unwanted(movies, users)


def leave_out_seen(
    movies: MovieQuerySet, users: Sequence[User], *, include_watchlist: bool = True
) -> MovieQuerySet:
    """Return the movies that none of the members has judged, watched or, if asked for, listed."""
    movies = leave_out_judged(movies, users)
    movies = movies.exclude(id__in=Viewing.objects.filter(user__in=users).values("movie"))
    if not include_watchlist:
        listed = WatchlistItem.objects.filter(user__in=users)
        movies = movies.exclude(id__in=listed.values("movie"))
    return movies


# --- The member ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A member's ratings and feedback, and the model that scores for them."""

    header: ModelHeader
    history: History
    #: For each movie of the history the movies to whose order it adds; empty if only a score is wanted.
    targets: SparseRows


@dataclass(frozen=True)
class Judgment:
    """A member's rating of a movie, or their feedback on it, or both."""

    movie_id: int
    score: float | None
    kind: str | None
    #: The time of the rating in seconds since 1970; None for feedback alone.
    rated_at: int | None


# LATERAL and LIMIT look each movie's rows up one by one: the planner does not know how few movies
# there are, and would read whole tables. The catalogue is read only for movies new to the training.
_CATALOGUE = ", ".join(f"movie.{column}" for column in CATALOGUE_COLUMNS[1:])
_JOINS = f"""
LEFT JOIN LATERAL (
    SELECT movie_id, vectors, {{lists}} FROM recommendations_filmfactors
    WHERE training_id = {{training}} AND movie_id = {{movie_id}} LIMIT 1
) AS factors ON true
LEFT JOIN LATERAL (
    SELECT {", ".join(CATALOGUE_COLUMNS[1:])} FROM movies_movie
    WHERE id = {{movie_id}} AND factors.movie_id IS NULL LIMIT 1
) AS movie ON true
"""  # noqa: S608 (column names of our own)
# Ratings and feedback of members, the newest ratings first.
_MEMBERS_SQL = """
WITH training AS MATERIALIZED (
    SELECT id FROM recommendations_training WHERE active AND algorithm = %(version)s
)
SELECT member.id, training.id, judged.score, judged.kind, judged.rated_at, factors.vectors,
       {targets}, judged.movie_id, {catalogue}
FROM (SELECT (SELECT id FROM training) AS id) AS training
CROSS JOIN unnest(%(users)s::bigint[]) AS member(id)
LEFT JOIN LATERAL (
    WITH rated AS MATERIALIZED (
        SELECT movie_id, score, created_at, id FROM social_rating
        WHERE user_id = member.id AND score IS NOT NULL
        ORDER BY created_at DESC, id DESC LIMIT %(ratings)s
    ),
    feedback AS MATERIALIZED (
        SELECT movie_id, kind, updated_at FROM recommendations_feedback
        WHERE user_id = member.id AND kind <> 'hide' ORDER BY updated_at DESC, id DESC
        LIMIT %(feedback)s
    )
    SELECT movie_id, rated.score, feedback.kind,
           extract(epoch FROM rated.created_at)::bigint AS rated_at
    FROM rated FULL JOIN feedback USING (movie_id)
    ORDER BY rated.created_at DESC NULLS LAST, rated.id DESC, feedback.updated_at DESC
) AS judged ON true
{joins}
"""


def read_members(users: Sequence[User], *, targets: bool) -> list[Member]:
    """Return these members, at least one, in the active training, in their sequence. One query.

    Before the first training it is `default_header`. `targets` are needed for a feed only.
    """
    sql = _MEMBERS_SQL.format(
        targets="factors.feed_targets" if targets else "NULL::bytea",
        catalogue=_CATALOGUE,
        joins=_JOINS.format(
            lists="feed_targets" if targets else "1",
            training="training.id",
            movie_id="judged.movie_id",
        ),
    )
    params = {
        "users": list({user.pk for user in users}),
        "ratings": min(HISTORY_LIMIT, GROUP_HISTORY_LIMIT // len(users)),
        "feedback": min(FEEDBACK_LIMIT, GROUP_FEEDBACK_LIMIT // len(users)),
        "version": VERSION,
    }
    rows = _fetch_rows(sql, params)
    training_id = rows[0][1]
    header = default_header() if training_id is None else load_header(training_id)
    by_user: dict[int, list[tuple[Any, ...]]] = {user.pk: [] for user in users}
    for row in rows:
        if row[7] is not None:  # A member without judgments has one row without a movie.
            by_user[row[0]].append(row)
    members = []
    for user in users:
        own = by_user[user.pk]
        vectors = header.unpack_vectors([row[5] for row in own])
        judgments = [Judgment(row[7], *row[2:5]) for row in own]
        movies = build_movies(header, [row[7:] for row in own], vectors)
        lists = SparseRows.unpack([row[6] for row in own])
        members.append(build_member(header, user.favorite_genres, judgments, movies, lists))
    return members


def build_member(
    header: ModelHeader,
    favorites: Sequence[str],
    judgments: Sequence[Judgment],
    movies: Movies,
    targets: SparseRows,
) -> Member:
    """Return the member with these judgments; `movies` and `targets` are parallel to them."""
    stars = np.array([each.score or 0.0 for each in judgments], dtype=np.float64)
    rated = np.array([each.score is not None for each in judgments], dtype=bool)
    wants = interest(stars)
    for place, each in enumerate(judgments):
        # Feedback on a recommendation takes precedence over the stars.
        if each.kind is not None:
            wants[place] = FEEDBACK_INTEREST[Feedback.Kind(each.kind)]
    is_favorite = np.array([float(name in favorites) for name in GENRE_NAMES])
    recency = np.ones(len(judgments))
    recency[rated] = recency_weights(
        np.array([each.rated_at for each in judgments if each.score is not None], dtype=np.int64),
        floor=header.parameters.recency_floor,
        scale=header.parameters.recency_scale,
    )
    return Member(header, History(movies, stars, is_favorite, wants, rated, recency), targets)


# --- Movies to score ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidates:
    """Movies to score, with their neighbor lists."""

    movies: Movies
    #: The movies whose ratings add to the order of each in the feed.
    feed: SparseRows
    #: The movies most similar to each by the residuals of those who rated both.
    taste: SparseRows

    def __len__(self) -> int:
        return len(self.movies)


@dataclass(frozen=True)
class FeedCandidates(Candidates):
    """Candidates of a feed: with the first part a member can be shown of each of their series."""

    series: Ids  # (m,) ids of collections, 0 for none
    released: Ids  # (m,) day of the release, greater is later


_MOVIES_SQL = f"""
SELECT factors.feed_sources, factors.taste, factors.vectors, {{columns}} chosen.id, {_CATALOGUE}
FROM ({{movies}}) AS chosen
{_JOINS.format(lists="feed_sources, taste", training="%s", movie_id="chosen.id")}
ORDER BY chosen.id
"""  # noqa: S608


def read_movies(header: ModelHeader, movie_ids: Sequence[int]) -> Candidates:
    """Return these movies as far as they exist, by id, in one query."""
    chosen = "SELECT id FROM movies_movie WHERE id = ANY(%s::bigint[])"
    rows = _fetch_rows(
        _MOVIES_SQL.format(columns="", movies=chosen),
        [list(set(movie_ids)), header.training_id],
    )
    return Candidates(**_build_candidates(header, rows, at=3))


def _build_candidates(header: ModelHeader, rows: Sequence[Any], *, at: int) -> dict[str, Any]:
    """Return the fields of Candidates; `at` is where a row's CatalogueRow begins."""
    vectors = header.unpack_vectors([row[2] for row in rows])
    return {
        "movies": build_movies(header, [row[at:] for row in rows], vectors),
        "feed": SparseRows.unpack([row[0] for row in rows]),
        "taste": SparseRows.unpack([row[1] for row in rows]),
    }


PART_COLUMNS = ("id", "collection_id", "release_date", "release_year")


def count_days(release_date: date | None, release_year: int | None) -> int:
    """Return the day of a release, greater is later.

    A movie of which only the year is known counts as released at its end, one without a year last.
    """
    if release_date is None:
        release_date = date(release_year, 12, 31) if release_year else date.max
    return release_date.toordinal()


# `best` follows the order of the array, and reads no further than it takes to fill the feed. Of the
# series of each candidate the first part that passes is a candidate too.
_CANDIDATES_SQL = """
WITH best AS MATERIALIZED (
    SELECT movie.*
    FROM unnest(%s::bigint[]) WITH ORDINALITY AS ranked(id, place)
    CROSS JOIN LATERAL (
        SELECT {columns} FROM ({shown}) AS passing WHERE passing.id = ranked.id LIMIT 1
    ) AS movie
    ORDER BY ranked.place
    LIMIT {depth}
),
chosen AS MATERIALIZED (
    SELECT * FROM best UNION {lists}
),
first_part AS MATERIALIZED (
    SELECT part.*
    FROM (SELECT DISTINCT collection_id FROM chosen WHERE collection_id IS NOT NULL) AS series
    CROSS JOIN LATERAL (
        SELECT {columns} FROM ({shown}) AS passing
        WHERE passing.collection_id = series.collection_id
        ORDER BY release_year, release_date, id LIMIT 1
    ) AS part
)
"""
_ONE_GENRE = " AND movies_movie.genres @> %s"


def read_candidates(
    header: ModelHeader,
    shown: MovieQuerySet,
    *,
    ranked: Ids,
    favorites: Sequence[str],
    is_short: bool,
    with_first_parts: bool = True,
) -> FeedCandidates:
    """Return the movies worth scoring for a feed: the FEED_DEPTH first of `ranked` that are in `shown`.

    If these do not fill the feed the catalogue does: the most rated, then TMDb's most popular.
    `is_short` adds, for a short history, the top rated, the trend, and the best of the favorite genres,
    `with_first_parts` the first part of each series. One query.
    """
    # Django takes longer to write such a query than PostgreSQL to run it: it is written once.
    sql, params = shown.order_by().values_list(*PART_COLUMNS).query.sql_with_params()
    columns = ", ".join(PART_COLUMNS)
    # As many of a list as the ranking leaves open.
    left_open = f"{FEED_DEPTH} - (SELECT count(*) FROM best)"  # noqa: S608
    listed: list[tuple[str, str, int | str]] = [
        ("rating_count DESC", "", left_open),
        ("popularity DESC", "", left_open),
    ]
    if is_short:
        best = "weighted_rating DESC"
        listed += [(best, "", FROM_EACH_LIST), ("trend_week DESC NULLS LAST", "", FROM_EACH_LIST)]
        listed += [(best, genre, FROM_EACH_LIST) for genre in favorites]
    lists, list_params = [], list[Any]()
    for by, genre, limit in listed:
        lists.append(
            f"(SELECT {columns} FROM ({sql}{_ONE_GENRE if genre else ''}"  # noqa: S608
            f" ORDER BY movies_movie.{by}, movies_movie.id) AS listed"
            f" WHERE id NOT IN (SELECT id FROM best) LIMIT {limit})"
        )
        list_params.extend([*params, Jsonb([genre])] if genre else params)
    statement = _CANDIDATES_SQL.format(
        columns=columns, shown=sql, depth=FEED_DEPTH, lists=" UNION ".join(lists)
    ) + _MOVIES_SQL.format(
        columns="chosen.collection_id, chosen.release_date, chosen.release_year,",
        movies="SELECT * FROM chosen UNION SELECT * FROM first_part"
        if with_first_parts
        else "SELECT * FROM chosen",
    )
    # As text, which is many times faster to make than an array of numbers.
    ids = f"{{{','.join(map(str, ranked.tolist()))}}}"
    rows = _fetch_rows(statement, [ids, *params, *list_params, *params, header.training_id])
    return FeedCandidates(
        **_build_candidates(header, rows, at=6),
        series=np.array([row[3] or 0 for row in rows], dtype=np.int64),
        released=np.array([count_days(row[4], row[5]) for row in rows], dtype=np.int64),
    )
