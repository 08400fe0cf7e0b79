"""The database reads of one request: the member, and the movies to score or to compare.

A feed is three queries with those of its page, for a member or a group; a match score is three. Each is
bounded however large the tables are. What the training knows of all its movies is in memory
(training.store.Head). Read are neighbor lists and vectors, and from the catalogue the movies that the
training does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from psycopg.pq import Format
from psycopg.types.json import Jsonb

from accounts.models import User
from movies.models import MovieQuerySet
from nexus.core.db.raw_sql import prepared_rows, rows_in_binary
from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.parameters import VERSION
from recommendations.algorithms.ranking import recency_weights
from recommendations.algorithms.types import (
    Array,
    History,
    Ids,
    Movies,
    interest,
    positions,
)
from recommendations.models import Feedback
from recommendations.selectors import FEED_DEPTH, HISTORY_LIMIT
from recommendations.training.store import (
    CATALOGUE_COLUMNS,
    Head,
    Lists,
    Vectors,
    default_head,
    head_of,
    untrained_rows,
)

#: The newest feedback that counts.
FEEDBACK_LIMIT = 200
#: Feedback as interest, beside a rating's 0.1 to 1: "more" is as much as 4 stars, and "less" takes
#: away what a rating of 3 stars gives.
FEEDBACK_INTEREST = {Feedback.Kind.MORE: 1.0, Feedback.Kind.LESS: -0.6}
#: So many of the preselected movies are tried against the filters; the catalogue fills the rest.
MAX_PRESELECTED = 4_000
#: Movies of each further list for members with a short history.
FROM_EACH_LIST = 80

_COLUMNS = CATALOGUE_COLUMNS[1:]
# LATERAL and LIMIT look each movie's rows up one by one: the planner does not know how few movies
# there are, and would read whole tables. The catalogue is read only for movies new to the training.
_LATERAL_JOINS = """
LEFT JOIN LATERAL (
    SELECT movie_id, vectors, {lists} FROM recommendations_filmfactors
    WHERE training_id = {training} AND movie_id = {movie_id} LIMIT 1
) AS factors ON true
LEFT JOIN LATERAL (
    SELECT {columns} FROM movies_movie
    WHERE id = {movie_id} AND factors.movie_id IS NULL LIMIT 1
) AS movie ON true
"""
_CATALOGUE = ", ".join(f"movie.{column}" for column in _COLUMNS)


@dataclass(frozen=True)
class Member:
    """A member's ratings and feedback, and the training that scores for them."""

    head: Head
    history: History
    #: The movies to whose order in the feed each of theirs adds; empty if only a score is wanted.
    targets: Lists


@dataclass(frozen=True)
class Candidates:
    """Movies to score, with their neighbor lists."""

    movies: Movies
    #: The movies whose ratings add to the order of each in the feed.
    feed: Lists
    #: The movies most similar to each by the residuals of those who rated both.
    taste: Lists

    def __len__(self) -> int:
        return len(self.movies)


@dataclass(frozen=True)
class FeedCandidates(Candidates):
    """Candidates of a feed: with the first part a member can be shown of each of their series."""

    series: Ids  # (m,) ids of collections, 0 for none
    released: Ids  # (m,) day of the release, greater is later


@dataclass(frozen=True)
class Judgment:
    """A member's rating of a movie, or their feedback on it, or both."""

    movie_id: int
    score: float | None
    kind: str | None
    #: The time of the rating in seconds since 1970; None for feedback alone.
    rated_at: int | None


# --- The member ----------------------------------------------------------------------------------

# A member's ratings and feedback, the newest ratings first. `user` is the id of the member.
_JUDGED_SQL = """
WITH rated AS MATERIALIZED (
    SELECT movie_id, score, created_at, id FROM social_rating
    WHERE user_id = {user} ORDER BY created_at DESC, id DESC LIMIT %(ratings)s
),
feedback AS MATERIALIZED (
    SELECT movie_id, kind, updated_at FROM recommendations_feedback
    WHERE user_id = {user} AND kind <> 'hide' ORDER BY updated_at DESC, id DESC
    LIMIT %(feedback)s
)
SELECT movie_id, rated.score, feedback.kind,
       extract(epoch FROM rated.created_at)::bigint AS rated_at
FROM rated FULL JOIN feedback USING (movie_id)
ORDER BY rated.created_at DESC NULLS LAST, rated.id DESC, feedback.updated_at DESC
"""
_MEMBER_SQL = """
WITH training AS MATERIALIZED (
    SELECT id FROM recommendations_training WHERE active AND algorithm = %(version)s
),
judged AS MATERIALIZED ({judged})
SELECT training.id, judged.score, judged.kind, judged.rated_at, factors.vectors, {list},
       judged.movie_id, {catalogue}
FROM (SELECT (SELECT id FROM training) AS id) AS training
LEFT JOIN judged ON true
{joins}
"""
# The same of several members; the id of each stands before the movie's.
_MEMBERS_SQL = """
WITH training AS MATERIALIZED (
    SELECT id FROM recommendations_training WHERE active AND algorithm = %(version)s
)
SELECT training.id, judged.score, judged.kind, judged.rated_at, factors.vectors, {list},
       member.id, judged.movie_id, {catalogue}
FROM (SELECT (SELECT id FROM training) AS id) AS training
CROSS JOIN unnest(%(users)s::bigint[]) AS member(id)
LEFT JOIN LATERAL ({judged}) AS judged ON true
{joins}
"""


def _member_sql(sql: str, *, user: str, lists: str, chosen: str) -> bytes:
    joins = _LATERAL_JOINS.format(
        lists=lists, columns=", ".join(_COLUMNS), training="training.id", movie_id="judged.movie_id"
    )
    judged = _JUDGED_SQL.format(user=user)
    return sql.format(judged=judged, list=chosen, catalogue=_CATALOGUE, joins=joins).encode()


_WITHOUT_LISTS = _member_sql(_MEMBER_SQL, user="%(user)s", lists="1", chosen="NULL::bytea")
_WITH_LISTS = _member_sql(
    _MEMBER_SQL, user="%(user)s", lists="feed_targets", chosen="factors.feed_targets"
)
_MEMBERS_WITH_LISTS = _member_sql(
    _MEMBERS_SQL, user="member.id", lists="feed_targets", chosen="factors.feed_targets"
)


def read_member(user: User, *, lists: bool) -> Member:
    """Return the member in the active training, or before the first one in `default_head`. One query.

    With `lists`, for a feed, also the movies to whose order each of the member's adds.
    """
    rows = prepared_rows(
        _WITH_LISTS if lists else _WITHOUT_LISTS,
        {
            "user": user.pk,
            "ratings": HISTORY_LIMIT,
            "feedback": FEEDBACK_LIMIT,
            "version": VERSION,
        },
        form=Format.BINARY,
    )
    head = _get_head(rows[0][0])
    return _build_member_of_rows(head, user, [(row[:6], row[6:]) for row in rows])


def read_members(users: Sequence[User]) -> list[Member]:
    """Return these members, at least one, with their lists, in their sequence. One query."""
    rows = prepared_rows(
        _MEMBERS_WITH_LISTS,
        {
            "users": [user.pk for user in users],
            "ratings": HISTORY_LIMIT,
            "feedback": FEEDBACK_LIMIT,
            "version": VERSION,
        },
        form=Format.BINARY,
    )
    head = _get_head(rows[0][0])
    by_user: dict[int, list[tuple[Any, Any]]] = {user.pk: [] for user in users}
    for row in rows:
        by_user[row[6]].append((row[:6], row[7:]))
    return [_build_member_of_rows(head, user, by_user[user.pk]) for user in users]


def _get_head(training_id: int | None) -> Head:
    return default_head() if training_id is None else head_of(training_id)


def _build_member_of_rows(head: Head, user: User, rows: Sequence[tuple[Any, Any]]) -> Member:
    """Return the member; each row is a judgment with its lists, and its movie in the catalogue."""
    # A member without judgments has one row without a movie.
    rows = [(judged, movie) for judged, movie in rows if movie[0] is not None]
    vectors = head.unpack_vectors([judged[4] for judged, _ in rows])
    movies = build_movies(head, [movie for _, movie in rows], vectors)
    judgments = [Judgment(movie[0], *judged[1:4]) for judged, movie in rows]
    targets = Lists.of([judged[5] for judged, _ in rows])
    return build_member(head, user.favorite_genres, judgments, movies, targets)


def build_member(
    head: Head,
    favorites: Sequence[str],
    judgments: Sequence[Judgment],
    movies: Movies,
    targets: Lists,
) -> Member:
    """Return the member with these judgments; `movies` and `targets` are parallel to them."""
    stars = np.array([each.score or 0.0 for each in judgments], dtype=np.float64)
    rated = np.array([each.score is not None for each in judgments], dtype=bool)
    wants = interest(stars)
    for place, each in enumerate(judgments):
        # Feedback on a recommendation takes precedence over the stars.
        if each.kind is not None:
            wants[place] = FEEDBACK_INTEREST[Feedback.Kind(each.kind)]
    named = np.array([float(name in favorites) for name in GENRE_NAMES])
    recency = np.ones(len(judgments))
    recency[rated] = recency_weights(
        np.array([each.rated_at for each in judgments if each.score is not None], dtype=np.int64),
        floor=head.parameters.recency_floor,
        scale=head.parameters.recency_scale,
    )
    return Member(head, History(movies, stars, named, wants, rated, recency), targets)


def build_movies(head: Head, rows: Sequence[Any], vectors: Vectors) -> Movies:
    """Return the movies of these rows of the catalogue.

    A row has the id alone, and None in all other columns, if the training knows the movie.
    """
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    places, is_known = positions(head.movie_ids, ids)
    if is_known.all():
        return head.movies(places, vectors)
    unknown = untrained_rows(
        [row for row, known in zip(rows, is_known, strict=True) if not known], head
    )
    if not is_known.any():
        return unknown
    return head.movies(places, vectors).with_rows(~is_known, unknown)


# --- Movies to score ------------------------------------------------------------------------------

_MOVIES_SQL = """
SELECT {columns}, chosen.id, {catalogue}
FROM ({movies}) AS chosen
{joins}
ORDER BY chosen.id
"""


def _movies_sql(*, columns: str, movies: str) -> str:
    joins = _LATERAL_JOINS.format(
        lists="feed_sources, taste",
        columns=", ".join(_COLUMNS),
        training="%s",
        movie_id="chosen.id",
    )
    return _MOVIES_SQL.format(columns=columns, catalogue=_CATALOGUE, movies=movies, joins=joins)


_LIST_COLUMNS = "factors.feed_sources, factors.taste, factors.vectors"
_MOVIES_BY_ID = _movies_sql(
    columns=_LIST_COLUMNS,
    movies="SELECT id FROM movies_movie WHERE id = ANY(%s::bigint[])",
).encode()


def read_movies(head: Head, movie_ids: Sequence[int]) -> Candidates:
    """Return these movies as far as they exist, by id, in one query."""
    wanted = list(dict.fromkeys(movie_ids))
    rows = prepared_rows(_MOVIES_BY_ID, [wanted, head.training_id], form=Format.BINARY)
    vectors = head.unpack_vectors([row[2] for row in rows])
    return Candidates(
        movies=build_movies(head, [row[3:] for row in rows], vectors),
        feed=Lists.of([row[0] for row in rows]),
        taste=Lists.of([row[1] for row in rows]),
    )


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
# As many of a list as the ranking leaves open.
_LEFT_OPEN = f"{FEED_DEPTH} - (SELECT count(*) FROM best)"  # noqa: S608


def read_candidates(
    head: Head, shown: MovieQuerySet, *, order: Array, favorites: Sequence[str], short: bool
) -> FeedCandidates:
    """Return the movies worth scoring for a feed: of those in `shown` the FEED_DEPTH first by `order`.

    `order` (m,) is greater for earlier, of the training's movies; -inf leaves a movie out. Where these
    do not fill the feed the catalogue does: the most rated, then TMDb's most popular. With `short`,
    for a short history, also the top rated and the trend, and the best of the favorite genres. One
    query.
    """
    # Django takes longer to write such a query than PostgreSQL to run it: it is written once.
    sql, params = shown.order_by().values_list(*PART_COLUMNS).query.sql_with_params()
    columns = ", ".join(PART_COLUMNS)
    listed: list[tuple[str, str, int | str]] = [
        ("rating_count DESC", "", _LEFT_OPEN),
        ("popularity DESC", "", _LEFT_OPEN),
    ]
    if short:
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
    ) + _movies_sql(
        columns=f"{_LIST_COLUMNS}, chosen.collection_id, chosen.release_date, chosen.release_year",
        movies="SELECT * FROM chosen UNION SELECT * FROM first_part",
    )
    # As text, which is many times faster to make than an array of numbers.
    ranked = f"{{{','.join(map(str, _take_first(order, head.movie_ids).tolist()))}}}"
    rows = rows_in_binary(statement, [ranked, *params, *list_params, *params, head.training_id])
    vectors = head.unpack_vectors([row[2] for row in rows])
    return FeedCandidates(
        movies=build_movies(head, [row[6:] for row in rows], vectors),
        feed=Lists.of([row[0] for row in rows]),
        taste=Lists.of([row[1] for row in rows]),
        series=np.array([row[3] or 0 for row in rows], dtype=np.int64),
        released=np.array([count_days(row[4], row[5]) for row in rows], dtype=np.int64),
    )


def _take_first(order: Array, movie_ids: Ids) -> Ids:
    """Return the ids of the MAX_PRESELECTED first movies, first to last; by id if equal."""
    rounded = np.round(order, 9)
    least = -np.inf
    if len(order) > MAX_PRESELECTED:
        least = np.partition(rounded, len(order) - MAX_PRESELECTED)[len(order) - MAX_PRESELECTED]
    chosen = np.flatnonzero((rounded >= least) & np.isfinite(rounded))
    return movie_ids[chosen[np.argsort(-rounded[chosen], kind="stable")[:MAX_PRESELECTED]]]


# --- Similar movies -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListedNeighbors:
    """The movies whose ratings add to one movie's order in the feed: e entries in parallel."""

    target: Movies  # the one movie
    movies: Movies  # (e,)
    weights: Array  # (e,) of EDLAE
    cosines: Array  # (e,) of the vectors of implicit ALS with the target's; 0 for a zero vector


_FEED_SOURCES_SQL = b"""
SELECT factors.training_id, factors.feed_sources, factors.vectors
FROM recommendations_training AS training
JOIN recommendations_filmfactors AS factors ON factors.training_id = training.id
WHERE training.active AND training.algorithm = %s AND factors.movie_id = %s::bigint
"""
_VECTORS_SQL = b"""
SELECT wanted.id, factors.vectors
FROM unnest(%s::bigint[]) AS wanted(id)
LEFT JOIN LATERAL (
    SELECT vectors FROM recommendations_filmfactors
    WHERE training_id = %s AND movie_id = wanted.id LIMIT 1
) AS factors ON true
ORDER BY wanted.id
"""


def read_neighbors(movie_id: int) -> ListedNeighbors | None:
    """Return the movie's list in the active training; None if the training does not know the movie.

    Two queries.
    """
    found = prepared_rows(_FEED_SOURCES_SQL, [VERSION, movie_id], form=Format.BINARY)
    if not found:
        return None
    training_id, sources, target_vectors = found[0]
    head = head_of(training_id)
    lists = Lists.of([sources])
    by_place = np.argsort(lists.places)
    places = lists.places[by_place].astype(np.intp)
    rows = prepared_rows(
        _VECTORS_SQL, [head.movie_ids[places].tolist(), training_id], form=Format.BINARY
    )
    movies = head.movies(places, head.unpack_vectors([row[1] for row in rows]))
    target_place, _ = positions(head.movie_ids, np.array([movie_id]))
    target = head.movies(target_place, head.unpack_vectors([target_vectors]))
    lengths = np.linalg.norm(movies.factors, axis=1) * np.linalg.norm(target.factors)
    cosines = movies.factors @ target.factors[0] / np.maximum(lengths, 1e-12)
    weights = lists.weights[by_place].astype(np.float64)
    return ListedNeighbors(target, movies, weights, cosines.astype(np.float64))
