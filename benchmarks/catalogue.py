"""Made-up catalogues in the shape of TMDb's: 10,000, 100,000 and 1,000,000 movies.

    python -m benchmarks.catalogue [--movies N ...] [--members N]

Each size has a database of its own in the embedded PostgreSQL. A catalogue is generated from a seed
and loaded by COPY once. A comment on the database names the version of this generator; another version
generates it again. Other benchmarks call `prepare_catalogue`.

Members are called member1, member2, …, and all have the password `PASSWORD`. A member has about a
hundred ratings; few members and few movies have most of them. The counters of movies agree with the
ratings.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import psycopg
from psycopg import sql

from movies import search
from nexus.core.genres import GENRE_NAMES
from nexus.dev import embedded

VERSION = 2
SEED = 7
SIZES = (10_000, 100_000, 1_000_000)
MEMBERS = {10_000: 2_000, 100_000: 20_000, 1_000_000: 200_000}
PASSWORD = "correct-horse-7"
RATINGS_A_MEMBER = 100
# Equal to those of movies.services.ratings, which cannot be imported without Django's settings.
TREND_HALF_LIFE_DAYS = {"trend_day": 1.0, "trend_week": 7.0}
TREND_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
CHUNK = 5_000

# Shares of all movies, estimated from TMDb's site and daily export. The shape matters: from a third
# of all movies to less than one in a hundred.
_GENRES = {
    "Drama": 0.270,
    "Documentary": 0.170,
    "Comedy": 0.150,
    "Animation": 0.055,
    "Horror": 0.052,
    "Romance": 0.050,
    "Music": 0.048,
    "Thriller": 0.047,
    "Action": 0.047,
    "Crime": 0.034,
    "Family": 0.031,
    "TV Movie": 0.027,
    "Adventure": 0.026,
    "Science Fiction": 0.025,
    "Fantasy": 0.024,
    "Mystery": 0.022,
    "History": 0.020,
    "War": 0.011,
    "Western": 0.007,
}
# How much more often two genres occur together than by chance.
_GENRE_PAIRS = {
    ("Drama", "Romance"): 3.0,
    ("Drama", "Crime"): 2.5,
    ("Drama", "History"): 2.0,
    ("Drama", "War"): 2.0,
    ("Drama", "Documentary"): 0.05,
    ("Comedy", "Documentary"): 0.05,
    ("Comedy", "Romance"): 3.0,
    ("Comedy", "Family"): 2.0,
    ("Action", "Adventure"): 5.0,
    ("Action", "Thriller"): 4.0,
    ("Action", "Crime"): 3.0,
    ("Animation", "Family"): 6.0,
    ("Animation", "Fantasy"): 3.0,
    ("Horror", "Thriller"): 5.0,
    ("Horror", "Mystery"): 4.0,
    ("Crime", "Thriller"): 6.0,
    ("Documentary", "Music"): 5.0,
    ("Documentary", "History"): 4.0,
    ("Adventure", "Fantasy"): 6.0,
    ("Action", "Science Fiction"): 4.0,
    ("Action", "Western"): 4.0,
}
_LANGUAGES = {
    "en": 0.50, "fr": 0.06, "es": 0.06, "de": 0.05, "ja": 0.045, "zh": 0.040, "pt": 0.035,
    "it": 0.030, "ru": 0.026, "ko": 0.018, "hi": 0.014, "cs": 0.012, "ar": 0.011, "tr": 0.011,
    "nl": 0.011, "sv": 0.011, "pl": 0.010, "cn": 0.009, "el": 0.007, "tl": 0.007, "da": 0.006,
    "fi": 0.006, "ta": 0.006, "te": 0.005, "ml": 0.005, "hu": 0.005, "fa": 0.005, "th": 0.004,
    "no": 0.004, "xx": 0.010, "bn": 0.003, "he": 0.003, "id": 0.003, "uk": 0.002, "ro": 0.002,
    "kn": 0.001, "mr": 0.001, "ka": 0.0008, "is": 0.0004, "eu": 0.0003, "am": 0.0001, "mt": 0.00003,
}  # fmt: skip
# Pairs of a share and the number of votes, or the popularity, that this share of movies exceeds.
_VOTES = ((1e-6, 36_000), (6e-4, 10_000), (4.5e-3, 1_000), (2.3e-2, 100), (9e-2, 10), (0.2, 3), (0.4, 1))  # fmt: skip
_POPULARITY = ((1e-6, 2_000), (1e-4, 150), (1e-3, 50), (1e-2, 12), (5e-2, 4), (0.2, 1.4), (0.5, 0.6), (0.8, 0.2), (1.0, 0.01))  # fmt: skip
# The most frequent words of titles. Rarer words are made up.
_WORDS = [
    "the", "of", "a", "and", "in", "love", "man", "night", "life", "my", "story", "la", "de",
    "world", "day", "girl", "house", "blood", "time", "women", "dead", "last", "black", "one",
    "lost", "home", "death", "king", "city", "boy", "war", "dark", "return", "heart", "red",
    "dream", "song", "big", "white", "game", "family", "secret", "road", "summer", "child",
    "wild", "american", "dragon", "star", "moon", "live", "little", "great", "christmas",
    "murder", "ghost", "angel", "devil", "island", "blue", "wolf", "journey", "school", "river",
    "queen", "ice", "fire", "money", "train",
]  # fmt: skip
# The beginnings of the syllables of made-up words.
_CONSONANTS = (
    "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z",
    "br", "st", "tr", "ch",
)  # fmt: skip


@dataclass(frozen=True)
class RatingArrays:
    """Ratings as parallel arrays. Members and movies count from 0."""

    member: np.ndarray[Any, Any]
    movie: np.ndarray[Any, Any]
    score: np.ndarray[Any, Any]
    #: Days before NOW.
    days: np.ndarray[Any, Any]


def prepare_catalogue(movies: int, members: int | None = None) -> str:
    """Return the URL of the database with this many movies; generate or migrate it first if needed.

    Needs a DATABASE_URL that may create databases, such as that of nexus.dev.embedded.run_servers.
    `members` is MEMBERS[movies] by default; 0 leaves out members and ratings.
    """
    members = MEMBERS.get(movies, movies // 5) if members is None else members
    name = f"bench_{movies}_{members}"
    parts = urlsplit(os.environ["DATABASE_URL"])
    url = urlunsplit(parts._replace(path=f"/{name}"))
    version_comment = f"nexus benchmark {VERSION}, seed {SEED}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        comment = server.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
            [name],
        ).fetchone()
        if comment and comment[0] == version_comment:
            _migrate(url)
            _renew_offers(url, movies)
            return url
        started = time.monotonic()
        identifier = sql.Identifier(name)
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        server.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        _migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            _fill(connection, movies, members)
        _renew_offers(url, movies)
        server.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(identifier, sql.Literal(version_comment))
        )
    report_progress(f"{name}: made in {time.monotonic() - started:.0f} s")
    return url


# The most popular movies are offered in most regions, one of which is Germany (number 82). The rows are
# the number of a kind of payment, a provider, and the share of the movies that it offers.
_OFFERS = """
INSERT INTO movies_offers (movie_id, region, keys, link, synced_at)
SELECT id, '', ARRAY(
    SELECT ((((CASE WHEN region = 1 THEN 82 ELSE 100 + region END) << 3) | kind) << 18) | provider
    FROM generate_series(
        1, CASE WHEN place <= %(movies)s * 0.02 THEN 60 WHEN place <= %(movies)s * 0.06 THEN 20 ELSE 5 END
    ) AS region
    CROSS JOIN (VALUES
        (0, 8, 0.05), (0, 337, 0.01), (0, 9, 0.12), (0, 178, 0.03), (0, 30, 0.02), (2, 613, 0.02),
        (1, 219, 0.01), (3, 2, 0.6), (3, 3, 0.6), (3, 10, 0.5), (4, 2, 0.6), (4, 3, 0.6),
        (4, 10, 0.5), (3, 68, 0.2), (4, 68, 0.2)
    ) AS offered (kind, provider, share)
    WHERE hashint8(id * 1000003 + region * 1009 + provider * 17 + kind)::bigint + 2147483648
        < share * 4294967295
    ORDER BY 1
), '', now() - (id %% 6) * interval '1 day'
FROM (SELECT id, row_number() OVER (ORDER BY popularity DESC, id) AS place FROM movies_movie) AS movie
WHERE place <= %(movies)s * 0.12
"""


def _renew_offers(url: str, movies: int) -> None:
    """Let providers offer an eighth of the movies, seen within a week, so that filters count them."""
    with psycopg.connect(url, autocommit=True) as connection:
        newest = connection.execute("SELECT max(synced_at) FROM movies_offers").fetchone()
        if newest and newest[0] and newest[0] > datetime.now(UTC) - timedelta(hours=12):
            return
        report_progress("offers")
        connection.execute("TRUNCATE movies_offers")
        connection.execute(_OFFERS, {"movies": movies})
        connection.execute("VACUUM ANALYZE movies_offers")


def _migrate(url: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=embedded.ROOT,
        env={**os.environ, "DATABASE_URL": url},
        check=True,
    )


def report_progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fill(connection: psycopg.Connection[Any], movies: int, members: int) -> None:
    random = np.random.default_rng([SEED, movies, members])
    ratings = _make_ratings(random, movies, members)
    # The rows are consistent by construction. Checking each foreign key would take most of the time.
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET maintenance_work_mem = '512MB'")
    connection.execute("SET synchronous_commit = off")
    tables = ["movies_movie", "movies_person", "movies_credit", "accounts_user", "social_rating"]
    indexes = connection.execute(
        """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
        FROM pg_index
        WHERE indrelid::regclass::text = ANY(%s)
          AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
        """,
        [tables],
    ).fetchall()
    for index, _ in indexes:
        connection.execute(f"DROP INDEX {index}")
    names = _Names(random, movies)
    people = max(movies * 9 // 10, 100)
    person_names = names.draw_people(people)
    _copy(
        connection,
        "movies_person (id, name, folded_name, tmdb_id, popularity, search_vector)",
        (
            f"{i + 1}\t{person}\t{person.lower()}\t{i + 1}\t{100 / (i + 1)}"
            f"\t{search.build_search_vector(title=person, original_title='', people=[])}\n"
            for i, person in enumerate(person_names)
        ),
        "people",
    )
    credit_lines: list[str] = []
    lines = _generate_movie_lines(random, movies, names, person_names, ratings, credit_lines)
    _copy(connection, f"movies_movie ({_MOVIE_COLUMNS})", lines, "movies")
    _copy(
        connection,
        "movies_credit (movie_id, person_id, role, position, character)",
        credit_lines,
        "credits",
    )
    credit_lines.clear()
    if members:
        _copy(
            connection,
            "accounts_user (id, password, is_superuser, username, first_name, last_name, is_staff,"
            " is_active, date_joined, email, origin, display_name, bio, avatar_url,"
            " favorite_genres, visibility)",
            _generate_member_lines(members),
            "members",
        )
        _copy(
            connection,
            "social_rating (user_id, movie_id, score, review, contains_spoilers, created_at,"
            " updated_at)",
            _generate_rating_lines(ratings, movies),
            "ratings",
        )
    for number, (_, definition) in enumerate(indexes, start=1):
        report_progress(f"index {number} of {len(indexes)}")
        connection.execute(definition)
    for table, last in (("movies_movie", movies), ("movies_person", people), ("accounts_user", members)):  # fmt: skip
        connection.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, max(last, 1)]
        )
    report_progress("vacuum")
    connection.execute("VACUUM (FREEZE, ANALYZE)")


def _copy(
    connection: psycopg.Connection[Any],
    target: str,
    lines: Iterable[str],
    label: str,
) -> None:
    done, reported_at = 0, time.monotonic()
    remaining = iter(lines)
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
        while chunk := list(islice(remaining, CHUNK)):
            copy.write("".join(chunk))
            done += len(chunk)
            if time.monotonic() - reported_at > 5:
                reported_at = time.monotonic()
                report_progress(f"{label}: {done:,}")
    report_progress(f"{label}: {done:,}")


def _interpolate_tail(points: Any, count: int) -> np.ndarray[Any, Any]:
    """Return values in descending order, interpolated between points (share above, value)."""
    share = (np.arange(count) + 0.5) / count
    shares, values = zip(*points, strict=True)
    return np.exp(np.interp(np.log(share), np.log(shares), np.log(values), right=-np.inf))


class _Names:
    """Made-up words and names: a few are frequent, most are rare."""

    def __init__(self, random: np.random.Generator, movies: int) -> None:
        self.random = random
        syllables = [a + b for a in _CONSONANTS for b in "aeiou"]
        tail = max(2_000, movies // 20)
        parts = random.integers(0, len(syllables), (tail, 4))
        lengths = random.integers(2, 5, tail)
        made = [
            "".join(syllables[p] for p in row[:n]) for row, n in zip(parts, lengths, strict=True)
        ]
        self.words = [*_WORDS, *made]
        weights = 1.0 / (np.arange(len(self.words)) + 3.0)
        self.cumulative = np.cumsum(weights / weights.sum())

    def draw_words(self, count: int) -> list[str]:
        at = np.searchsorted(self.cumulative, self.random.random(count))
        return [self.words[i] for i in np.minimum(at, len(self.words) - 1)]

    def draw_people(self, count: int) -> list[str]:
        firsts = [word.capitalize() for word in self.words[len(_WORDS) :][:3_000]]
        lasts = [word.capitalize() for word in self.words[len(_WORDS) :]]
        first = (len(firsts) * self.random.random(count) ** 2).astype(int)
        last = (len(lasts) * self.random.random(count) ** 1.5).astype(int)
        return [f"{firsts[a]} {lasts[b]}" for a, b in zip(first, last, strict=True)]


_MOVIE_COLUMNS = (
    "id, tmdb_id, imdb_id, title, original_title, original_language, release_date, release_year,"
    " genres, runtime, overview, tagline, status, keywords, poster_path, backdrop_path,"
    " vote_average, vote_count, popularity, rating_count, rating_sum, trend_day, trend_week,"
    " sort_title, search_vector, source, synced_at, details_missing, created_at, updated_at"
)


def _draw_genres(random: np.random.Generator, obscure: np.ndarray[Any, Any]) -> list[list[str]]:
    """Return the genres of each movie in TMDb's order. Obscure movies more often have none."""
    names = list(_GENRES)
    share = np.array(list(_GENRES.values()))
    pair_weights = np.tile(share, (len(names), 1))
    for (one, other), factor in _GENRE_PAIRS.items():
        a, b = names.index(one), names.index(other)
        pair_weights[a, b] *= factor
        pair_weights[b, a] *= factor
    np.fill_diagonal(pair_weights, 0.0)
    first_cdf = np.cumsum(share / share.sum())
    next_cdf = np.cumsum(pair_weights / pair_weights.sum(axis=1, keepdims=True), axis=1)
    count = len(obscure)
    none = random.random(count) < np.where(obscure, 0.36, 0.02)
    first = np.searchsorted(first_cdf, random.random(count)).clip(max=len(names) - 1)
    genre_count = np.where(obscure, random.geometric(0.75, count), random.geometric(0.45, count))
    draws = random.random((count, 3))
    position = {name: at for at, name in enumerate(GENRE_NAMES)}
    lists: list[list[str]] = []
    for i in range(count):
        if none[i]:
            lists.append([])
            continue
        movie_genres = {int(first[i])}
        for j in range(min(int(genre_count[i]) - 1, 3)):
            movie_genres.add(
                min(int(np.searchsorted(next_cdf[first[i]], draws[i, j])), len(names) - 1)
            )
        lists.append(sorted((names[g] for g in movie_genres), key=position.__getitem__))
    return lists


def _generate_movie_lines(
    random: np.random.Generator,
    movies: int,
    names: _Names,
    person_names: list[str],
    ratings: RatingArrays,
    credit_lines: list[str],
) -> Iterator[str]:
    """Yield the movies as lines of COPY, and add the lines of their credits to `credit_lines`.

    Movie i, from 0, is the i-th by fame, as in `_make_ratings`. Its id is random.
    """
    ids = _shuffle_ids(movies)
    votes = np.floor(
        _interpolate_tail(_VOTES, movies) * np.exp(random.normal(0, 0.3, movies))
    ).astype(int)
    rank = np.argsort(np.log(np.arange(movies) + 1.0) + random.normal(0, 0.5, movies))
    popularity = np.empty(movies)
    popularity[rank] = np.round(_interpolate_tail(_POPULARITY, movies), 3)
    average = np.round(
        np.clip(
            random.normal(6.2, 0.8, movies) + random.normal(0, 2.0, movies) / np.sqrt(votes + 1),
            1,
            10,
        ),
        3,
    )
    average = np.where(votes == 0, 0.0, np.where(votes < 3, np.round(average), average))
    obscure = votes < 3
    genres = _draw_genres(random, obscure)
    years = (2026 - np.minimum(random.exponential(22, movies), 140)).astype(int)
    no_year = random.random(movies) < np.where(obscure, 0.16, 0.0)
    only_year = random.random(movies) < 0.02
    day_of_year = np.where(random.random(movies) < 0.25, 0, random.integers(0, 365, movies))
    codes = list(_LANGUAGES)
    shares = np.array(list(_LANGUAGES.values()))
    language = random.choice(len(codes), movies, p=shares / shares.sum())
    short = random.random(movies) < np.where(obscure, 0.35, 0.05)
    runtime = np.where(
        short, random.gamma(3.0, 5.0, movies) + 1, np.clip(random.normal(96, 22, movies), 41, None)
    ).astype(int)
    runtime = np.where(random.random(movies) < 0.002, random.integers(300, 2_000, movies), runtime)
    no_runtime = random.random(movies) < np.where(obscure, 0.34, 0.01)
    keyword_count = np.where(random.random(movies) < np.where(obscure, 0.15, 0.8), random.geometric(0.25, movies), 0)  # fmt: skip
    vocabulary = max(500, movies // 25)
    cast_count = np.where(random.random(movies) < np.where(obscure, 0.45, 0.02), 0, np.minimum(random.geometric(0.16, movies), 15))  # fmt: skip
    director_count = np.where(random.random(movies) < np.where(obscure, 0.2, 0.01), 0, random.geometric(0.92, movies))  # fmt: skip
    title_words = random.choice([1, 2, 3, 4, 5, 7], movies, p=[0.2, 0.3, 0.24, 0.14, 0.08, 0.04])
    translated = random.random(movies) < 0.2
    has_imdb = random.random(movies) < np.where(obscure, 0.55, 0.98)
    missing = obscure & (random.random(movies) < 0.2)
    prose = " ".join(names.draw_words(60_000))
    counts = np.bincount(ratings.movie, minlength=movies)
    sums = np.bincount(ratings.movie, weights=ratings.score, minlength=movies)
    trends = {
        column: _compute_trend(ratings, movies, days)
        for column, days in TREND_HALF_LIFE_DAYS.items()
    }
    made = random.integers(0, 730 * 86_400, movies)
    person_draws, people = (
        random.random(int((cast_count + director_count).sum())),
        len(person_names),
    )
    person_at = 0
    word_at, keyword_at = 0, 0
    title_pool = names.draw_words(int(title_words.sum() + title_words[translated].sum()))
    keyword_draws = (vocabulary * random.random(int(keyword_count.sum())) ** 3).astype(int)
    for i in range(movies):
        movie_id = int(ids[i])
        n = int(title_words[i])
        title = " ".join(title_pool[word_at : word_at + n]).capitalize()
        word_at += n
        original = title
        if translated[i]:
            original = " ".join(title_pool[word_at : word_at + n]).capitalize()
            word_at += n
        people_of_movie: list[str] = []
        if not missing[i]:
            for role, count, tail in (
                ("director", int(director_count[i]), 1.4),
                ("cast", int(cast_count[i]), 1.6),
            ):
                drawn = dict.fromkeys(
                    int(people * d**tail) for d in person_draws[person_at : person_at + count]
                )
                person_at += count
                for position, person in enumerate(drawn):
                    people_of_movie.append(person_names[person])
                    credit_lines.append(f"{movie_id}\t{person + 1}\t{role}\t{position}\t\n")
        words = {f"keyword {k}" for k in keyword_draws[keyword_at : keyword_at + keyword_count[i]]}
        keyword_at += int(keyword_count[i])
        year = r"\N" if no_year[i] else str(years[i])
        day = r"\N"
        if not no_year[i] and not only_year[i]:
            day = (date(int(years[i]), 1, 1) + timedelta(days=int(day_of_year[i]))).isoformat()
        vector = search.build_search_vector(
            title=title, original_title=original, people=people_of_movie
        )
        length = 0 if obscure[i] and i % 4 == 0 else 120 + (i * 37) % 320
        start = (i * 7919) % (len(prose) - 500)
        created = (NOW - timedelta(seconds=int(made[i]))).isoformat()
        rating_count = int(counts[i])
        path = f"/{movie_id:027d}.jpg"
        yield (
            "\t".join(
                (
                    str(movie_id),
                    str(movie_id),
                    f"tt{movie_id:07d}" if has_imdb[i] else r"\N",
                    title,
                    original,
                    codes[language[i]],
                    day,
                    year,
                    json.dumps(genres[i]),
                    r"\N" if no_runtime[i] or missing[i] else str(runtime[i]),
                    prose[start : start + length],
                    "",
                    "" if missing[i] else "Released",
                    "[]" if missing[i] else json.dumps(sorted(words)),
                    path if i % 10 < 8 else "",
                    path if i % 10 < 4 else "",
                    repr(float(average[i])),
                    str(votes[i]),
                    repr(float(popularity[i])),
                    str(rating_count),
                    repr(float(sums[i])),
                    repr(float(trends["trend_day"][i])) if rating_count else r"\N",
                    repr(float(trends["trend_week"][i])) if rating_count else r"\N",
                    search.make_sort_title(title),
                    vector,
                    "tmdb",
                    NOW.isoformat(),
                    "t" if missing[i] else "f",
                    created,
                    created,
                )
            )
            + "\n"
        )


def _shuffle_ids(movies: int) -> np.ndarray[Any, Any]:
    """Return ids from 1 in random order, so that famous movies do not share table pages."""
    return np.random.default_rng([SEED, movies]).permutation(movies) + 1


def _make_ratings(random: np.random.Generator, movies: int, members: int) -> RatingArrays:
    """Return ratings of movies by their rank in fame. Few members have many ratings."""
    if not members:
        empty = np.zeros(0, dtype=np.int64)
        return RatingArrays(empty, empty, empty.astype(float), empty)
    counts = np.clip(random.lognormal(np.log(45), 1.25, members), 3, min(2_000, movies // 4))
    counts = counts * RATINGS_A_MEMBER / counts.mean()
    member = np.repeat(np.arange(members), counts.astype(int))
    movie = (movies * random.random(len(member)) ** 2.6).astype(np.int64)
    pairs = np.unique(member * movies + movie)
    member, movie = pairs // movies, pairs % movies
    quality = random.normal(3.5, 0.45, movies)[movie]
    taste = random.normal(0, 0.4, members)[member]
    score = np.clip(np.round((quality + taste + random.normal(0, 0.8, len(movie))) * 2) / 2, 1, 5)
    days = np.floor(random.exponential(400, len(movie))).clip(max=2_400).astype(np.int64)
    return RatingArrays(member, movie, score, days)


def _compute_trend(
    ratings: RatingArrays, movies: int, half_life_days: float
) -> np.ndarray[Any, Any]:
    """Return log2 of the decayed count of each movie's ratings, as movie_apply_rating stores it."""
    with np.errstate(divide="ignore"):
        weight = np.exp2(-np.minimum(ratings.days / half_life_days, 900.0))
        total = np.bincount(ratings.movie, weights=weight, minlength=movies)
        return np.log2(total) + (NOW - TREND_EPOCH).days / half_life_days


def _generate_member_lines(members: int) -> Iterator[str]:
    rounds = 1_000
    digest = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"bench", rounds)
    password = f"pbkdf2_sha256${rounds}$bench${base64.b64encode(digest).decode()}"
    joined = (NOW - timedelta(days=2_500)).isoformat()
    for number in range(1, members + 1):
        name = f"member{number}"
        yield (
            f"{number}\t{password}\tf\t{name}\t\t\tf\tt\t{joined}\t{name}@example.org\tregistered"
            "\t\t\t\t[]\tpublic\n"
        )


def _generate_rating_lines(ratings: RatingArrays, movies: int) -> Iterator[str]:
    ids = _shuffle_ids(movies)
    times = [(NOW - timedelta(days=day)).isoformat() for day in range(2_401)]
    # In order of time, like a table that grew.
    order = np.argsort(-ratings.days, kind="stable")
    for start in range(0, len(order), CHUNK):
        chunk = order[start : start + CHUNK]
        columns = (ratings.member[chunk] + 1, ids[ratings.movie[chunk]], ratings.score[chunk])
        for user, movie, score, day in zip(
            *(column.tolist() for column in columns), ratings.days[chunk].tolist(), strict=True
        ):
            at = times[day]
            yield f"{user}\t{movie}\t{score}\t\tf\t{at}\t{at}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--movies", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--members", type=int, help="0: neither members nor ratings")
    options = parser.parse_args()
    with embedded.run_servers():
        for movies in options.movies:
            print(prepare_catalogue(movies, options.members))


if __name__ == "__main__":
    main()
