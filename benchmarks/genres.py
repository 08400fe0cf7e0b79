"""Genres as a JSONB array and as a join table, on the same films: space, writing, the same queries.

`python -m benchmarks.genres [--films N]` copies what films are filtered by from a database of
benchmarks.catalogue into three small tables, measures, and drops them:

- gin: a JSONB array with a GIN index;
- partial: the array with one index a genre, ordered by popularity, with the other filters beside it
  (what the catalogue has, and the GIN index besides);
- join: a row a film and genre, with the two indexes such a table has.

Times are the least of a few runs, with the server's CPU time beside them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.catalogue import prepared
from nexus.core.genres import GENRE_NAMES
from nexus.dev import embedded

BESIDE = "release_year, original_language, vote_average, vote_count, runtime, weighted_rating"
COLUMNS = f"id, popularity, {BESIDE}"
WAYS = ("gin", "partial", "join")
ASKED = (("Drama",), ("Western",), ("Drama", "Romance"), ("Drama", "Documentary"))


class Measure:
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.schedule = Path(f"/proc/{connection.info.backend_pid}/schedstat")

    def run(self, statements: list[str], repeat: int = 1) -> tuple[float, float]:
        """Milliseconds of these statements together, and of the server's CPU."""
        times = []
        for _ in range(repeat):
            busy, began = self._busy_ms(), time.perf_counter()
            for statement in statements:
                cursor = self.connection.execute(statement)
                if cursor.description:
                    cursor.fetchall()
            times.append(((time.perf_counter() - began) * 1_000, self._busy_ms() - busy))
        return min(each[0] for each in times), min(each[1] for each in times)

    def _busy_ms(self) -> float:
        return int(self.schedule.read_text().split()[0]) / 1e6 if self.schedule.exists() else 0.0


def has(way: str, genre: str) -> str:
    if way == "join":
        number = GENRE_NAMES.index(genre)
        return (
            "EXISTS (SELECT FROM compared.film_genre has"
            f" WHERE has.movie_id = film.id AND has.genre_id = {number})"
        )
    return f"""genres @> '["{genre}"]'"""


def make(connection: psycopg.Connection[Any]) -> None:
    run = connection.execute
    run("DROP SCHEMA IF EXISTS compared CASCADE")
    run("CREATE SCHEMA compared")
    for way in WAYS:
        genres = "" if way == "join" else ", genres"
        run(f"CREATE TABLE compared.{way} AS SELECT {COLUMNS}{genres} FROM movies_movie LIMIT 0")
        run(f"ALTER TABLE compared.{way} ADD PRIMARY KEY (id)")
        run(f"CREATE INDEX ON compared.{way} (popularity DESC, id)")
        if genres:
            run(f"ALTER TABLE compared.{way} ALTER genres SET STATISTICS 1000")
    run("CREATE INDEX ON compared.gin USING gin (genres jsonb_path_ops)")
    for genre in GENRE_NAMES:
        run(
            "CREATE INDEX ON compared.partial (popularity DESC, id)"
            f" INCLUDE (genres, {BESIDE}) WHERE {has('partial', genre)}"
        )
    run("CREATE TABLE compared.genre (id smallint PRIMARY KEY, name text NOT NULL)")
    for number, name in enumerate(GENRE_NAMES):
        run("INSERT INTO compared.genre VALUES (%s, %s)", [number, name])
    run(
        "CREATE TABLE compared.film_genre (id bigserial PRIMARY KEY,"
        " movie_id bigint NOT NULL REFERENCES compared.join,"
        " genre_id smallint NOT NULL REFERENCES compared.genre, UNIQUE (movie_id, genre_id))"
    )
    run("CREATE INDEX ON compared.film_genre (genre_id, movie_id)")


def writing(way: str) -> list[str]:
    if way != "join":
        return [f"INSERT INTO compared.{way} SELECT {COLUMNS}, genres FROM movies_movie"]
    return [
        f"INSERT INTO compared.join SELECT {COLUMNS} FROM movies_movie",
        "INSERT INTO compared.film_genre (movie_id, genre_id) SELECT movie.id, genre.id"
        " FROM movies_movie movie, jsonb_array_elements_text(movie.genres) named"
        " JOIN compared.genre ON genre.name = named",
    ]


def queries(way: str, genres: tuple[str, ...]) -> dict[str, str]:
    film = f"FROM compared.{way} AS film WHERE {' AND '.join(has(way, each) for each in genres)}"
    counted = "SELECT count(*) FROM (SELECT {} LIMIT 10001) AS few"
    return {
        "count": counted.format(film),
        "count since 2020": counted.format(f"{film} AND release_year >= 2020"),
        "first page": f"SELECT id {film} ORDER BY popularity DESC, id LIMIT 20",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, help="of the database to use; see catalogue.py")
    options = parser.parse_args()
    with embedded.run_servers():
        url = prepared(options.films, options.members)
        with psycopg.connect(url, autocommit=True) as connection:
            try:
                compare(connection)
            finally:
                connection.execute("DROP SCHEMA IF EXISTS compared CASCADE")


def compare(connection: psycopg.Connection[Any]) -> None:
    measure = Measure(connection)
    make(connection)

    def row(what: str, cells: list[str]) -> None:
        print(f"{what:<38}" + "".join(f"{cell:>24}" for cell in cells), flush=True)

    def told(times: tuple[float, float]) -> str:
        return f"{times[0]:.1f} ms, CPU {times[1]:.1f}"

    row("", list(WAYS))
    row("write all films", [told(measure.run(writing(way))) for way in WAYS])
    connection.execute("VACUUM ANALYZE")
    for what, function in (("table", "pg_table_size"), ("indexes", "pg_indexes_size")):
        cells = []
        for way in WAYS:
            tables = [f"compared.{way}"] + (["compared.film_genre"] if way == "join" else [])
            size = sum(
                connection.execute(f"SELECT {function}(%s)", [table]).fetchone()[0]  # type: ignore[index]
                for table in tables
            )
            cells.append(f"{size / 2**20:.0f} MB")
        row(what, cells)
    for genres in ASKED:
        asked = [queries(way, genres) for way in WAYS]
        for name in asked[0]:
            cells = [told(measure.run([each[name]], repeat=5)) for each in asked]
            row(f"{', '.join(genres)}: {name}", cells)


if __name__ == "__main__":
    main()
