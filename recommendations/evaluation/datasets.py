"""The datasets that are measured on: a MovieLens folder, or the service's own database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from movies.models import Movie
from recommendations.algorithms.types import Ids, Ratings
from recommendations.datasets.movielens import (
    COLUMNS,
    DAT_ENCODING,
    DAT_SEPARATOR,
    FolderError,
    has_dat_files,
    movielens_movies,
)
from recommendations.evaluation.protocol import Dataset, Progress
from recommendations.recommender.queries import describe_movies
from recommendations.training.store import ratings_read

# MovieLens's half star becomes 1, as in an import.
_LOWEST_STARS = 1.0


def read_movielens(folder: Path) -> Dataset:
    """Read a MovieLens folder, with the movies as import_movielens reads them. Raises FolderError.

    Ratings of unknown movies are left out; of two ratings of one movie by one member the later line
    counts. Unlike an import it stops at a bad line, because figures of half a file are useless.
    """
    movies = movielens_movies(folder)
    catalogue = describe_movies(
        [
            (number, list(movie.genres), movie.release_year, movie.vote_average, movie.vote_count)
            for number, movie in sorted(movies.items())
        ]
    )
    path = folder / ("ratings.dat" if has_dat_files(folder) else "ratings.csv")
    users, rated, stars, times = _read_columns(path)
    ratings = Ratings(
        users.astype(np.int64),
        rated.astype(np.int64),
        np.maximum(stars, _LOWEST_STARS).astype(np.float32),
        times.astype(np.int64),
    )
    ratings.check()
    return Dataset(folder.name, _select(ratings, catalogue.movie_ids), catalogue)


def _read_columns(path: Path) -> list[np.ndarray]:
    """Return the columns of ratings.csv or ratings.dat."""
    names = COLUMNS["ratings.csv"]
    is_dat = path.suffix == ".dat"
    with path.open(encoding=DAT_ENCODING if is_dat else "utf-8-sig") as file:
        header = list(names) if is_dat else file.readline().strip().split(",")
        lines: Iterator[str] = (
            (line.replace(DAT_SEPARATOR, ",") for line in file) if is_dat else file
        )
        try:
            return list(
                np.loadtxt(
                    lines,
                    delimiter=",",
                    usecols=[header.index(name) for name in names],
                    dtype=np.float64,
                    ndmin=2,
                    unpack=True,
                )
            )
        except ValueError as error:
            raise FolderError(f"{path}: {error}") from error


def _select(ratings: Ratings, movie_ids: Ids) -> Ratings:
    """Return the ratings of these movies, one per member and movie, ordered by member and movie."""
    ratings = ratings[np.isin(ratings.movies, movie_ids)]
    # The sort is stable: of equal pairs the later line comes last.
    order = np.lexsort((ratings.movies, ratings.users))
    users, movies = ratings.users[order], ratings.movies[order]
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = (users[1:] != users[:-1]) | (movies[1:] != movies[:-1])
    return ratings[order[is_last]]


def read_own_ratings(progress: Progress) -> Dataset:
    """Read all ratings of the service's own members, and the catalogue's movies."""
    ratings = ratings_read(since=None, progress=progress).ratings
    rows = Movie.objects.order_by("id").values_list(
        "id", "genres", "release_year", "vote_average", "vote_count"
    )
    catalogue = describe_movies(list(rows))
    # A movie may be deleted between the two reads.
    return Dataset("own ratings", _select(ratings, catalogue.movie_ids), catalogue)
