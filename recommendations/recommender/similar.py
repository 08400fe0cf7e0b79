"""Similar movies: from the lists that order the feed, and by content where these say little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accounts.models import User
from movies.models import Movie
from recommendations.algorithms.similarity import (
    content_similarity,
    genre_cosine,
    list_similarity,
    raise_listed,
)
from recommendations.algorithms.types import MovieContent, shrink
from recommendations.recommender import explanations
from recommendations.recommender.queries import read_neighbors
from recommendations.recommender.results import RankedList, SimilarMovie
from recommendations.selectors import MovieRow, people_of, rows_beside, seen_movies
from recommendations.training.store import content
from tmdb.selectors import rank_related_movies

SIMILAR_DEPTH = 200
#: Ratings of the movie at which its list counts as much as content.
LIST_SHRINKAGE = 20.0
#: A list that counts for less leaves room for what TMDb lists beside the movie.
MIN_LIST_SHARE = 0.5
#: A neighbor below this share of the list's nearest one is not called liked together.
MIN_TOGETHER = 0.3


def find_similar(movie: Movie, *, exclude_seen_by: User | None = None) -> RankedList[SimilarMovie]:
    """Return the movies most similar to one, with at least one reason each.

    similarity = a * by list + (1 - a) * by content with a = n / (n + LIST_SHRINKAGE), n the movie's
    ratings. The list is that of the active training (algorithms.similarity); without one a is 0.
    Content is that of algorithms.similarity. If a is below MIN_LIST_SHARE, it is raised for
    movies that TMDb lists as related, if a copy of that list is cached: TMDb is never waited for.
    """
    neighbors = read_neighbors(movie.pk)
    by_list: dict[int, float] = {}
    list_share = 0.0
    if neighbors is not None:
        target = neighbors.target
        similarities = list_similarity(
            neighbors.weights,
            neighbors.movies.count,
            neighbors.cosines,
            genre_cosine(neighbors.movies, target)[:, 0],
        )
        by_list = dict(zip(neighbors.movies.ids.tolist(), similarities.tolist(), strict=True))
        list_share = shrink(float(target.count[0]), LIST_SHRINKAGE) if any(similarities) else 0.0
    at_tmdb = rank_related_movies(movie) if list_share < MIN_LIST_SHARE else {}
    found = rows_beside(movie, {*by_list, *at_tmdb})
    own_row = next((row for row in found if row.id == movie.pk), None)
    excluded = {movie.pk}
    if exclude_seen_by is not None:
        excluded |= seen_movies(exclude_seen_by, [row.id for row in found])
    rows = [row for row in found if row.id not in excluded]
    if not rows or own_row is None:
        return RankedList.empty()
    people = people_of([movie.pk, *(row.id for row in rows)])
    by_content = content_similarity(
        _describe(rows),
        _describe([own_row]),
        [people[row.id] for row in rows],
        [people[movie.pk]],
    )[:, 0]
    by_content = raise_listed(
        by_content, np.array([at_tmdb.get(row.id, np.nan) for row in rows], dtype=np.float64)
    )
    listed = np.array([by_list.get(row.id, 0.0) for row in rows])
    similarity = list_share * listed + (1 - list_share) * by_content
    order = np.argsort(-np.round(similarity, 9), kind="stable")[:SIMILAR_DEPTH].tolist()

    def build(index: int) -> SimilarMovie:
        return SimilarMovie(rows[index].id, round(float(similarity[index]), 3))

    def explain(page: Sequence[int]) -> list[list[str]]:
        shown = [rows[index] for index in page]
        names = explanations.read_shared_people(shown, [own_row])
        # A movie that nothing else connects is in the list, however far down.
        return [
            explanations.explain_similarity(
                rows[index],
                own_row,
                names,
                is_liked_together=bool(listed[index] >= MIN_TOGETHER),
                is_listed_at_tmdb=rows[index].id in at_tmdb,
            )
            or [explanations.LIKED_TOGETHER]
            for index in page
        ]

    return RankedList([index for index in order if similarity[index] > 0], build, explain)


def _describe(rows: Sequence[MovieRow]) -> MovieContent:
    return content(
        [(row.id, row.genres, row.release_year, row.vote_average, row.vote_count) for row in rows]
    )
