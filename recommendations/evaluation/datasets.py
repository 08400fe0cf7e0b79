"""Where ratings to measure with come from: a MovieLens folder, or the service's own database."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from movies.models import Movie
from recommendations.algorithms.types import Ratings
from recommendations.datasets.movielens import FolderError, movielens_movies
from recommendations.evaluation.protocol import Dataset, Progress
from recommendations.training.store import content, ratings_read

#: MovieLens's half star is this service's 1, as in an import.
_LOWEST_STARS = 1.0
_COLUMNS = ("userId", "movieId", "rating", "timestamp")


def movielens_dataset(folder: Path) -> Dataset:
    """A MovieLens folder, its movies as import_movielens reads them. Raises FolderError.

    Ratings of movies that movies.csv or links.csv do not know are left out; of two ratings of one
    movie by one member the later line stands. Unlike an import it passes over no bad line: figures
    of half a file are of no use.
    """
    movies = movielens_movies(folder)
    facts = content(
        [
            (number, list(fact.genres), fact.release_year, fact.vote_average, fact.vote_count)
            for number, fact in sorted(movies.items())
        ]
    )
    path = folder / "ratings.csv"
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline().strip().split(",")
        try:
            users, rated, stars, times = np.loadtxt(
                file,
                delimiter=",",
                usecols=[header.index(name) for name in _COLUMNS],
                dtype=np.float64,
                ndmin=2,
                unpack=True,
            )
        except ValueError as error:
            raise FolderError(f"{path}: {error}") from error
    ratings = Ratings(
        users.astype(np.int64),
        rated.astype(np.int64),
        np.maximum(stars, _LOWEST_STARS).astype(np.float32),
        times.astype(np.int64),
    )
    ratings.check()
    return Dataset(folder.name, _known(ratings, facts.movie_ids), facts)


def _known(ratings: Ratings, movie_ids: np.ndarray) -> Ratings:
    """Ratings of these movies, each movie once a member, by member and movie."""
    ratings = ratings[np.isin(ratings.movies, movie_ids)]
    # Stable: of equals the later line comes last.
    order = np.lexsort((ratings.movies, ratings.users))
    users, movies = ratings.users[order], ratings.movies[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = (users[1:] != users[:-1]) | (movies[1:] != movies[:-1])
    return ratings[order[last]]


def own_dataset(progress: Progress) -> Dataset:
    """All ratings of the service's own members, and the catalogue's movies."""
    ratings = ratings_read(since=None, progress=progress).ratings
    rows = Movie.objects.order_by("id").values_list(
        "id", "genres", "release_year", "vote_average", "vote_count"
    )
    facts = content(list(rows))
    # A movie deleted between the two reads has no row any more.
    return Dataset("own ratings", _known(ratings, facts.movie_ids), facts)
