"""What one answer reads of the active training: a member's movies, and the movies to score.

A match score is three queries, a feed three; each bounded however large the tables are. The numbers
of movies that the training knows are at hand (trained.Head); lists are read, and of movies that it
does not know, what the catalogue says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg.pq import Format
from psycopg.types.json import Jsonb

from accounts.models import User
from movies.models import MovieQuerySet
from nexus.core.db.raw_sql import prepared_rows, rows_in_binary
from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.item_stats import unrated_movies
from recommendations.algorithms.parameters import VERSION
from recommendations.algorithms.time_decay import recency_weights
from recommendations.algorithms.types import (
    Array,
    History,
    Ids,
    Movies,
    NeighborLists,
    interest,
    positions,
)
from recommendations.models import Feedback
from recommendations.selectors import FEED_DEPTH, HISTORY_LIMIT
from recommendations.training.store import Head, Lists, Vectors, content, head_of

# The newest of what a member said of movies without rating them.
FEEDBACK_LIMIT = 200
# Feedback as evidence of interest, beside a rating's 0.1 to 1: "more" is as much as 4 stars, and
# "less" takes away what a rating of 3 stars gives.
WANTS = {Feedback.Kind.MORE: 1.0, Feedback.Kind.LESS: -0.6}
# So many of the best ranked movies are tried against the filters; the catalogue fills the rest.
CONSIDERED = 4_000
# Beside the ranking, for those whose ratings say little yet.
FROM_EACH_LIST = 80

#: id, genres, release_year, vote_average, vote_count: what the catalogue says of a movie.
CatalogueRow = tuple[int, list[str], int | None, float, int]
# Each movie's rows are looked up one by one (LATERAL, LIMIT), because the planner, who does not know
# how few they are, would read whole tables; and the catalogue only where the training knows nothing.
_LOOKED_UP = """
LEFT JOIN LATERAL (
    SELECT movie_id, vectors, {lists} FROM recommendations_filmfactors
    WHERE training_id = {training} AND movie_id = {movie_id} LIMIT 1
) AS factors ON true
LEFT JOIN LATERAL (
    SELECT genres, release_year, vote_average, vote_count FROM movies_movie
    WHERE id = {movie_id} AND factors.movie_id IS NULL LIMIT 1
) AS movie ON true
"""
_CATALOGUE = "movie.genres, movie.release_year, movie.vote_average, movie.vote_count"


@dataclass(frozen=True)
class Member:
    """A member as their ratings and feedback have them, and the training that is asked."""

    head: Head
    history: History
    #: What each of their movies speaks for in the feed; nothing where that was not asked for.
    targets: Lists


@dataclass(frozen=True)
class Candidates:
    """Movies to score, with the lists of what speaks for them."""

    movies: Movies
    #: What speaks for each in the feed.
    feed: Lists
    #: The movies most like each by who liked them.
    taste: Lists

    def __len__(self) -> int:
        return len(self.movies)


@dataclass(frozen=True)
class Said:
    """What a member said of a movie: stars, or feedback (of WANTS), or both."""

    movie_id: int
    score: float | None
    kind: str | None
    #: When it was rated, in seconds since 1970; None for feedback alone.
    rated_at: int | None


# --- The member ----------------------------------------------------------------------------------

_MEMBER_SQL = """
WITH training AS MATERIALIZED (
    SELECT id FROM recommendations_training WHERE active AND algorithm = %(version)s
),
rated AS MATERIALIZED (
    SELECT movie_id, score, created_at, id FROM social_rating
    WHERE user_id = %(user)s ORDER BY created_at DESC, id DESC LIMIT %(ratings)s
),
spoken AS MATERIALIZED (
    SELECT movie_id, kind, updated_at FROM recommendations_feedback
    WHERE user_id = %(user)s AND kind <> 'hide' ORDER BY updated_at DESC, id DESC
    LIMIT %(feedback)s
),
said AS MATERIALIZED (
    SELECT movie_id, rated.score, spoken.kind,
           extract(epoch FROM rated.created_at)::bigint AS rated_at
    FROM rated FULL JOIN spoken USING (movie_id)
    ORDER BY rated.created_at DESC NULLS LAST, rated.id DESC, spoken.updated_at DESC
)
SELECT training.id, said.score, said.kind, said.rated_at, factors.vectors, {list},
       said.movie_id, {catalogue}
FROM (SELECT (SELECT id FROM training) AS id) AS training
LEFT JOIN said ON true
{looked_up}
"""


def _member_sql(*, lists: str, chosen: str) -> str:
    looked_up = _LOOKED_UP.format(lists=lists, training="training.id", movie_id="said.movie_id")
    return _MEMBER_SQL.format(list=chosen, catalogue=_CATALOGUE, looked_up=looked_up)


_WITHOUT_LISTS = _member_sql(lists="1", chosen="NULL::bytea").encode()
_WITH_LISTS = _member_sql(lists="feed_targets", chosen="factors.feed_targets").encode()


def member_read(user: User, *, lists: bool) -> Member | None:
    """The member in the active training; None where there is none. One query.

    `lists`: also what each movie speaks for, which a feed is made of.
    """
    found = prepared_rows(
        _WITH_LISTS if lists else _WITHOUT_LISTS,
        {
            "user": user.pk,
            "ratings": HISTORY_LIMIT,
            "feedback": FEEDBACK_LIMIT,
            "version": VERSION,
        },
        form=Format.BINARY,
    )
    if found[0][0] is None:
        return None
    head = head_of(found[0][0])
    rows = [row for row in found if row[6] is not None]
    vectors = head.unpack_vectors([row[4] for row in rows])
    movies = movies_of(head, [row[6:] for row in rows], vectors)
    said = [Said(row[6], row[1], row[2], row[3]) for row in rows]
    targets = Lists.of([row[5] for row in rows])
    return member_of(head, user.favorite_genres, said, movies, targets)


def member_of(
    head: Head, favorites: Sequence[str], said: Sequence[Said], movies: Movies, targets: Lists
) -> Member:
    """A member from what they said; `movies` and `targets` are of the same movies."""
    stars = np.array([each.score or 0.0 for each in said], dtype=np.float64)
    rated = np.array([each.score is not None for each in said], dtype=bool)
    wants = interest(stars)
    for place, each in enumerate(said):
        # What was said of it as a recommendation goes before what the stars let suppose.
        if each.kind is not None:
            wants[place] = WANTS[Feedback.Kind(each.kind)]
    named = np.array([float(name in favorites) for name in GENRE_NAMES])
    recency = np.ones(len(said))
    recency[rated] = recency_weights(
        np.array([each.rated_at for each in said if each.score is not None], dtype=np.int64),
        floor=head.parameters.recency_floor,
        scale=head.parameters.recency_scale,
    )
    return Member(head, History(movies, stars, named, wants, rated, recency), targets)


def movies_of(head: Head, rows: Sequence[Any], vectors: Vectors) -> Movies:
    """Movies by rows of CatalogueRow, whose columns but the id are None where the training knows
    the movie."""
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    places, held = positions(head.movie_ids, ids)
    if held.all():
        return head.movies(places, vectors)
    unknown = unrated_movies(
        content([row for row, known in zip(rows, held, strict=True) if not known]),
        head.totals,
        head.parameters,
    )
    if not held.any():
        return unknown
    return head.movies(places, vectors).with_rows(~held, unknown)


# --- Movies to score ------------------------------------------------------------------------------

_MOVIES_SQL = """
SELECT {chosen}, chosen.id, {catalogue}
FROM ({movies}) AS chosen
{looked_up}
ORDER BY chosen.id
"""


def _movies_sql(*, lists: str, chosen: str, movies: str) -> str:
    looked_up = _LOOKED_UP.format(lists=lists, training="%s", movie_id="chosen.id")
    return _MOVIES_SQL.format(
        chosen=chosen, catalogue=_CATALOGUE, movies=movies, looked_up=looked_up
    )


_LISTS = "feed_sources, taste"
_CHOSEN_LISTS = "factors.feed_sources, factors.taste, factors.vectors"
_SOME_MOVIES = _movies_sql(
    lists=_LISTS,
    chosen=_CHOSEN_LISTS,
    movies="SELECT id FROM movies_movie WHERE id = ANY(%s::bigint[])",
).encode()


def movies_read(head: Head, movie_ids: Sequence[int]) -> Candidates:
    """These movies as far as they exist, by id, in one query."""
    wanted = list(dict.fromkeys(movie_ids))
    found = prepared_rows(_SOME_MOVIES, [wanted, head.training_id], form=Format.BINARY)
    return _candidates(head, found)


def _candidates(head: Head, found: Sequence[tuple[Any, ...]]) -> Candidates:
    return Candidates(
        movies=movies_of(
            head, [row[3:] for row in found], head.unpack_vectors([row[2] for row in found])
        ),
        feed=Lists.of([row[0] for row in found]),
        taste=Lists.of([row[1] for row in found]),
    )


_BEST_SQL = """
WITH best AS MATERIALIZED (
    SELECT movie.id
    -- In the order of the array, and no further into it than it takes to fill the feed.
    FROM unnest(%s::bigint[]) WITH ORDINALITY AS ranked(id, place)
    CROSS JOIN LATERAL (
        SELECT id FROM ({movies}) AS passing WHERE passing.id = ranked.id LIMIT 1
    ) AS movie
    ORDER BY ranked.place
    LIMIT {depth}
)
"""
# As many of a list as the ranking leaves open.
_ONE_GENRE = " AND movies_movie.genres @> %s"
_LEFT_OPEN = f"{FEED_DEPTH} - (SELECT count(*) FROM best)"  # noqa: S608


def candidates_read(
    head: Head, shown: MovieQuerySet, *, order: Array, favorites: Sequence[str], thin: bool
) -> Candidates:
    """The movies worth scoring for a feed, of those that may be shown: FEED_DEPTH first by `order`.

    `order` (m,) is greater for earlier, of the training's movies; without bound below for movies left
    out. Where these do not fill the feed the catalogue does: the most rated, then TMDb's most
    popular. `thin`: the history says little, so that the top rated and the trend are looked at as
    well, and the best of the favorite genres. One query.
    """
    # Django takes longer to write such a query than PostgreSQL to answer it: it is written once.
    sql, params = shown.order_by().values_list("id").query.sql_with_params()
    listed: list[tuple[str, str, int | str]] = [
        ("rating_count DESC", "", _LEFT_OPEN),
        ("popularity DESC", "", _LEFT_OPEN),
    ]
    if thin:
        best = "weighted_rating DESC"
        listed += [(best, "", FROM_EACH_LIST), ("trend_week DESC NULLS LAST", "", FROM_EACH_LIST)]
        listed += [(best, genre, FROM_EACH_LIST) for genre in favorites]
    lists, of_lists = ["SELECT id FROM best"], list[Any]()
    for by, genre, limit in listed:
        lists.append(
            f"(SELECT id FROM ({sql}{_ONE_GENRE if genre else ''}"  # noqa: S608 (our own words)
            f" ORDER BY movies_movie.{by}, movies_movie.id) AS listed"
            f" WHERE id NOT IN (SELECT id FROM best) LIMIT {limit})"
        )
        of_lists.extend([*params, Jsonb([genre])] if genre else params)
    statement = _BEST_SQL.format(movies=sql, depth=FEED_DEPTH) + _movies_sql(
        lists=_LISTS, chosen=_CHOSEN_LISTS, movies=" UNION ".join(lists)
    )
    # As text, which is many times faster to make than an array of numbers.
    ranked = f"{{{','.join(map(str, _first(order, head.movie_ids).tolist()))}}}"
    found = rows_in_binary(statement, [ranked, *params, *of_lists, head.training_id])
    return _candidates(head, found)


def _first(order: Array, movie_ids: Ids) -> Ids:
    """The ids of the CONSIDERED first movies, first to last; those of equal rank by id."""
    rounded = np.round(order, 9)
    least = -np.inf
    if len(order) > CONSIDERED:
        least = np.partition(rounded, len(order) - CONSIDERED)[len(order) - CONSIDERED]
    kept = np.flatnonzero((rounded >= least) & np.isfinite(rounded))
    return movie_ids[kept[np.argsort(-rounded[kept], kind="stable")[:CONSIDERED]]]


# --- Similar movies -------------------------------------------------------------------------------


@dataclass(frozen=True)
class TasteOf:
    """The movies most like one by who liked them, and how many ratings of it that rests on."""

    neighbours: NeighborLists
    count: float


_TASTE = b"""
SELECT factors.training_id, factors.taste
FROM recommendations_training AS training
JOIN recommendations_filmfactors AS factors ON factors.training_id = training.id
WHERE training.active AND training.algorithm = %s AND factors.movie_id = %s::bigint
"""


def taste_of(movie_id: int) -> TasteOf | None:
    """Of the active training, in one query; None where it does not know the movie."""
    found = prepared_rows(_TASTE, [VERSION, movie_id], form=Format.BINARY)
    if not found:
        return None
    head = head_of(found[0][0])
    places, _ = positions(head.movie_ids, np.array([movie_id]))
    return TasteOf(
        Lists.of([found[0][1]]).neighbours(head, 1), float(head.table["count"][places[0]])
    )
