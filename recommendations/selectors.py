"""What the match score reads: a fixed number of queries, each bounded however large the tables are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import BooleanField, F, Q
from django.db.models.expressions import RawSQL
from numpy.typing import NDArray
from psycopg.pq import Format

from accounts.models import User
from movies.models import Credit, Movie, MovieQuerySet
from nexus.core.db.raw_sql import prepared_rows, rows_in_binary
from nexus.core.genres import GENRE_NAMES
from recommendations.algorithms.content_similarity import DIRECTOR, LEAD, People
from recommendations.algorithms.heuristic import History, Movies, PeerVotes
from recommendations.algorithms.types import LIKED, Array, interest
from social.models import Rating, Viewing

# A member's newest ratings; older ones say little more and would cost without end.
HISTORY_LIMIT = 1000
# Peers: looked for among the newest raters of the movies this member rated, best and newest first.
PEER_MOVIES = 150
RATERS_PER_MOVIE = 300
CONSIDERED_PEERS = 400
PEERS = 50
RATINGS_PER_PEER = 1000
# How deep a feed goes.
FEED_DEPTH = 300
# Candidates for the feed from each source.
FROM_PEERS = 250
FROM_EACH_LIST = 80
LEADS = 4

_GENRE_COLUMN = {name: column for column, name in enumerate(GENRE_NAMES)}
COLUMNS = (
    "id",
    "title",
    "genres",
    "release_year",
    "weighted_rating",
    "rating_count",
    "vote_count",
    "vote_average",
)


_MOVIE_ROWS_SQL = f"""
SELECT {", ".join(COLUMNS)} FROM movies_movie WHERE id = ANY(%s::bigint[]) ORDER BY id
""".encode()  # noqa: S608 (column names of our own)


@dataclass(frozen=True)
class MovieRow:
    """The columns of a movie that scoring and its evidence need."""

    id: int
    title: str
    genres: list[str]
    release_year: int | None
    weighted_rating: float
    rating_count: int
    vote_count: int
    vote_average: float


@dataclass(frozen=True)
class Peers:
    """The members most like this one, with shares of weight that add up to 1."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class PeerCounts:
    """How many peers rated a movie, and how many of them liked it."""

    rated: int
    liked: int


def movie_rows(movie_ids: Iterable[int]) -> list[MovieRow]:
    """The rows of the movies that exist, by id."""
    found = prepared_rows(_MOVIE_ROWS_SQL, [list(movie_ids)], form=Format.BINARY)
    return [MovieRow(*row) for row in found]


# Movies beside one: those named, some by its leading people, and the most rated of all its genres.
FROM_PEOPLE = FROM_KIND = 200
_PEOPLES_MOVIES = 500
_BESIDE_SQL = f"""
WITH own AS MATERIALIZED (
    SELECT person_id FROM movies_credit
    WHERE movie_id = %(movie)s::bigint AND position < {LEADS}
),
theirs AS MATERIALIZED (
    SELECT movie_id FROM own CROSS JOIN LATERAL (
        SELECT movie_id FROM movies_credit
        WHERE person_id = own.person_id AND position < {LEADS} LIMIT {_PEOPLES_MOVIES}
    ) AS credit
    LIMIT {_PEOPLES_MOVIES}
),
kind AS MATERIALIZED (
    SELECT id FROM movies_movie
    WHERE %(genres)s::jsonb <> '[]' AND genres @> %(genres)s::jsonb
    ORDER BY rating_count DESC, id LIMIT {FROM_KIND}
),
chosen AS MATERIALIZED (
    SELECT %(movie)s::bigint AS id UNION SELECT unnest(%(named)s::bigint[])
    UNION (SELECT DISTINCT movie_id FROM theirs ORDER BY movie_id LIMIT {FROM_PEOPLE})
    UNION SELECT id FROM kind
)
SELECT {", ".join(f"movie.{column}" for column in COLUMNS)}
FROM chosen JOIN movies_movie AS movie ON movie.id = chosen.id ORDER BY movie.id
"""  # noqa: S608 (numbers and column names of our own)


def rows_beside(movie: Movie, named: Iterable[int]) -> list[MovieRow]:
    """The movie itself, those named, and others that share leading people or all genres, by id."""
    asked = {"movie": movie.pk, "named": list(named), "genres": json.dumps(movie.genres)}
    # Planned each time: genres may be those of a third of all movies, or of this one alone.
    return [MovieRow(*row) for row in rows_in_binary(_BESIDE_SQL, asked)]


def history_rows(user: User) -> tuple[list[MovieRow], Array]:
    """The member's newest ratings: movies (n) and stars (n,), in one query."""
    columns = [f"movie__{column}" for column in COLUMNS]
    rows = (
        Rating.objects.filter(user=user)
        .order_by(F("created_at").desc(), F("id").desc())
        .values_list(*columns, "score")[:HISTORY_LIMIT]
    )
    movies, stars = [], []
    for row in rows:
        movies.append(MovieRow(*row[:-1]))
        stars.append(row[-1])
    return movies, np.array(stars, dtype=np.float64)


def features(rows: Sequence[MovieRow], *, most_seen: tuple[int, int] = (1, 1)) -> Movies:
    """Rows as arrays. `most_seen` is the greatest rating_count and vote_count there is."""
    genres = np.zeros((len(rows), len(GENRE_NAMES)))
    for index, row in enumerate(rows):
        for name in row.genres:
            genres[index, _GENRE_COLUMN[name]] = 1.0
    ratings = np.array([row.rating_count for row in rows], dtype=np.float64)
    votes = np.array([row.vote_count for row in rows], dtype=np.float64)
    # Of the two communities, the one in which the movie is better known; the best known movie of
    # all is taken to have been seen by half of the members.
    reach = np.maximum(ratings / max(most_seen[0], 1), votes / max(most_seen[1], 1)) / 2
    return Movies(
        ids=np.array([row.id for row in rows], dtype=np.int64),
        genres=genres,
        years=np.array([row.release_year or 0 for row in rows], dtype=np.int64),
        quality=np.array([row.weighted_rating for row in rows], dtype=np.float64),
        votes=ratings + votes,
        reach=np.minimum(reach, 0.5),
    )


def history_of(user: User, movies: Movies, stars: Array) -> History:
    favorites = np.zeros(len(GENRE_NAMES))
    for name in user.favorite_genres:
        if name in _GENRE_COLUMN:
            favorites[_GENRE_COLUMN[name]] = 1.0
    return History(movies=movies, stars=stars, favorites=favorites)


_LEADS_SQL = b"""
SELECT movie_id, person_id, role FROM movies_credit
WHERE movie_id = ANY(%s::bigint[]) AND position < %s::int
"""


def people_of(movie_ids: Sequence[int]) -> dict[int, People]:
    """The directors and leads of movies with the weight of their credit, in one query."""
    people: dict[int, dict[int, float]] = {movie_id: {} for movie_id in movie_ids}
    for movie_id, person_id, role in prepared_rows(_LEADS_SQL, [list(movie_ids), LEADS]):
        weight = DIRECTOR if role == Credit.Role.DIRECTOR else LEAD
        people[movie_id][person_id] = max(weight, people[movie_id].get(person_id, 0.0))
    return dict(people)


_PEERS_SQL = """
WITH mine AS (
    SELECT * FROM unnest(%(movies)s::bigint[], %(weights)s::float8[]) AS mine(movie_id, weight)
),
overlap AS (
    -- Rounded, here and below: the order in which floats are summed is the planner's, and a page
    -- must not differ from the next in the last bit.
    SELECT theirs.user_id,
           round(sum(mine.weight * theirs.interest)::numeric, 9)::float8 AS shared
    FROM mine
    CROSS JOIN LATERAL (
        SELECT user_id,
               CASE WHEN score >= 4 THEN 1.0 WHEN score >= 3 THEN 0.6
                    WHEN score >= 2 THEN 0.3 ELSE 0.1 END AS interest
        FROM social_rating
        WHERE movie_id = mine.movie_id
        ORDER BY created_at DESC, id DESC
        LIMIT %(raters)s
    ) AS theirs
    WHERE theirs.user_id <> %(user)s
    GROUP BY theirs.user_id
    ORDER BY shared DESC, theirs.user_id
    LIMIT %(considered)s
),
likeness AS (
    SELECT overlap.user_id,
           round((power(overlap.shared, 2) / greatest(activity.ratings, 1))::numeric, 9)::float8
               AS weight
    FROM overlap
    CROSS JOIN LATERAL (
        SELECT count(*) AS ratings
        FROM (
            SELECT 1 FROM social_rating WHERE user_id = overlap.user_id LIMIT %(per_peer)s
        ) AS counted
    ) AS activity
)
SELECT user_id, weight FROM likeness ORDER BY weight DESC, user_id LIMIT %(peers)s
"""


def peers_of(user_id: int, movies: Movies, stars: Array) -> Peers:
    """The members who showed interest in the same movies, weighted by squared cosine.

    Rare movies say more (1 / log of their ratings); a member who rated everything is nobody's
    double (divided by their activity). Bounded: PEER_MOVIES movies, RATERS_PER_MOVIE newest raters of
    each.
    """
    if not len(movies):
        return Peers([], [])
    wants = interest(stars)
    # Newest first among equals: the history is in that order, and the sort is stable.
    chosen = np.argsort(-wants, kind="stable")[:PEER_MOVIES]
    weights = wants[chosen] / np.log(2 + movies.votes[chosen])
    params = {
        "movies": movies.ids[chosen].tolist(),
        "weights": weights.tolist(),
        "user": user_id,
        "raters": RATERS_PER_MOVIE,
        "considered": CONSIDERED_PEERS,
        "per_peer": RATINGS_PER_PEER,
        "peers": PEERS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PEERS_SQL, params)
        rows = cursor.fetchall()
    total = sum(weight for _, weight in rows) or 1.0
    return Peers([user for user, _ in rows], [weight / total for _, weight in rows])


_VOTES_SQL = """
SELECT rating.movie_id,
       round(sum(peer.weight)::numeric, 9)::float8,
       round(sum(peer.weight * rating.score)::numeric, 9)::float8,
       round(sum(peer.weight * CASE WHEN score >= 4 THEN 1.0 WHEN score >= 3 THEN 0.6
                                    WHEN score >= 2 THEN 0.3 ELSE 0.1 END)::numeric, 9)::float8
           AS feed,
       count(*),
       count(*) FILTER (WHERE rating.score >= %(liked)s)
FROM unnest(%(peers)s::bigint[], %(weights)s::float8[]) AS peer(user_id, weight)
CROSS JOIN LATERAL (
    SELECT movie_id, score FROM social_rating
    WHERE user_id = peer.user_id {only}
    ORDER BY created_at DESC, id DESC
    LIMIT %(per_peer)s
) AS rating
GROUP BY rating.movie_id
ORDER BY feed DESC, rating.movie_id
LIMIT %(limit)s
"""
_ALL_VOTES = _VOTES_SQL.format(only="")
_SOME_VOTES = _VOTES_SQL.format(only="AND movie_id = ANY(%(movies)s)")


@dataclass(frozen=True)
class Votes:
    """The peers' votes by movie id."""

    rows: dict[int, tuple[float, float, float, int, int]]

    def on(self, movie_ids: NDArray[np.int64]) -> PeerVotes:
        none = (0.0, 0.0, 0.0, 0, 0)
        table = np.array([self.rows.get(int(each), none)[:3] for each in movie_ids]).reshape(-1, 3)
        return PeerVotes(weight=table[:, 0], stars=table[:, 1], feed=table[:, 2])

    def counts(self, movie_id: int) -> PeerCounts:
        row = self.rows.get(movie_id)
        return PeerCounts(row[3], row[4]) if row else PeerCounts(0, 0)


def peer_votes(peers: Peers, *, movie_ids: Sequence[int] | None = None, limit: int = 2000) -> Votes:
    """What the peers made of these movies, or of all they rated: the `limit` of most interest."""
    if not peers.ids:
        return Votes({})
    params: dict[str, Any] = {
        "peers": peers.ids,
        "weights": peers.weights,
        "liked": LIKED,
        "per_peer": RATINGS_PER_PEER,
        "limit": limit,
        "movies": list(movie_ids or ()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_ALL_VOTES if movie_ids is None else _SOME_VOTES, params)
        return Votes({row[0]: row[1:] for row in cursor.fetchall()})


# What a member does not want to be shown. Read once a query and kept as a hash: asking the tables for
# each movie, as NOT EXISTS does, takes twice as long to plan, to run and for Django to write.
_JUDGED = (
    "SELECT movie_id FROM social_rating WHERE user_id = %s",
    # A movie of which the member wants less is not wanted itself either.
    "SELECT movie_id FROM recommendations_feedback WHERE user_id = %s AND kind <> 'more'",
)
_SEEN = "SELECT movie_id FROM social_viewing WHERE user_id = %s"
_PLANNED = "SELECT movie_id FROM social_watchlistitem WHERE user_id = %s"


def unjudged(movies: MovieQuerySet, user: User) -> MovieQuerySet:
    """Of these movies those that a member has neither rated nor waved away."""
    return _without(movies, user, _JUDGED)


def recommendable(
    movies: MovieQuerySet, user: User, *, include_watchlist: bool = True
) -> MovieQuerySet:
    """Of these movies those that a member may be shown: unjudged, unseen, and as asked unplanned."""
    planned = () if include_watchlist else (_PLANNED,)
    return _without(movies, user, (*_JUDGED, _SEEN, *planned))


def seen_movies(user: User, movie_ids: Sequence[int]) -> set[int]:
    """Return which of these movies the member has rated or watched, in one query."""
    rated = Rating.objects.filter(user=user, movie_id__in=movie_ids).values_list("movie_id")
    watched = Viewing.objects.filter(user=user, movie_id__in=movie_ids).values_list("movie_id")
    return {movie_id for (movie_id,) in rated.union(watched)}


def _without(movies: MovieQuerySet, user: User, unwanted: Sequence[str]) -> MovieQuerySet:
    return movies.filter(
        RawSQL(  # noqa: S611 (the words above, and a number)
            f"movies_movie.id NOT IN ({' UNION ALL '.join(unwanted)})",
            [user.pk] * len(unwanted),
            output_field=BooleanField(),
        )
    )


def candidates(unseen: MovieQuerySet, votes: Votes, favorites: Sequence[str]) -> list[MovieRow]:
    """Movies worth scoring for the feed, of those that pass and may be recommended.

    From the peers, from the top rated, from the most seen in both communities and from the trend;
    and the top rated of the favorite genres.
    """
    found: dict[int, None] = {}
    if votes.rows:
        # Filtered before the cut, so that a narrow filter leaves the feed as full as it can be.
        passing = set(unseen.filter(id__any=votes.rows).values_list("id", flat=True))
        found.update(dict.fromkeys([each for each in votes.rows if each in passing][:FROM_PEERS]))
    for order in (
        F("weighted_rating").desc(),
        F("rating_count").desc(),
        F("popularity").desc(),
        F("trend_week").desc(nulls_last=True),
    ):
        found.update(dict.fromkeys(_first_ids(unseen.order_by(order, "id"))))
    if favorites:
        of_genres = Q()
        for genre in favorites:
            of_genres |= Q(genres__contains=[genre])
        best = unseen.filter(of_genres).order_by(F("weighted_rating").desc(), "id")
        found.update(dict.fromkeys(_first_ids(best)))
    return movie_rows(found)


def _first_ids(movies: MovieQuerySet) -> list[int]:
    return list(movies.values_list("id", flat=True)[:FROM_EACH_LIST])


def most_seen() -> tuple[int, int]:
    """The greatest rating_count and the vote_count of the movie most voted for among the popular."""
    ratings = Movie.objects.order_by("-rating_count").values_list("rating_count", flat=True)[:1]
    votes = Movie.objects.order_by("-popularity").values_list("vote_count", flat=True)[:100]
    return max(ratings, default=1) or 1, max(votes, default=1) or 1
