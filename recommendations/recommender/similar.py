"""Similar movies: from the lists that order the feed, and by content where these say little.

As in the feed, no part of a series precedes an earlier part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Q

from accounts.models import User
from movies.models import Credit, Movie
from recommendations.algorithms.parameters import VERSION
from recommendations.algorithms.ranking import order_series
from recommendations.algorithms.similarity import (
    DIRECTOR,
    LEAD,
    People,
    content_similarity,
    genre_cosine,
    list_similarity,
    raise_listed,
)
from recommendations.algorithms.types import Array, MovieContent, positions, shrink
from recommendations.models import MovieFactors
from recommendations.recommender.explanations import (
    LIKED_TOGETHER,
    ExplainedList,
    explain_similarity,
    match_people,
)
from recommendations.recommender.queries import (
    CATALOGUE_COLUMNS,
    LEADS,
    PART_COLUMNS,
    MovieRow,
    SparseRows,
    count_days,
    describe_movies,
    load_header,
    read_rows,
)
from social.models import Rating, Viewing
from tmdb.selectors import rank_related_movies

SIMILAR_DEPTH = 200
#: Movies that share a leading person or all genres with the movie, at most so many of each.
FROM_PEOPLE = FROM_KIND = 200
#: Ratings of the movie at which its list counts as much as content.
LIST_SHRINKAGE = 20.0
#: A list that counts for less leaves room for what TMDb lists beside the movie.
MIN_LIST_SHARE = 0.5
#: A neighbor below this share of the list's nearest one is not called liked together.
MIN_TOGETHER = 0.3


@dataclass(frozen=True)
class SimilarMovie:
    movie_id: int
    similarity: float
    reasons: Sequence[str] = ()
    movie: MovieRow | None = None


def find_similar(
    movie: Movie, *, exclude_seen_by: User | None = None
) -> ExplainedList[SimilarMovie]:
    """Return the movies most similar to one, with at least one reason each.

    similarity = a * by list + (1 - a) * by content with a = n / (n + LIST_SHRINKAGE), n the movie's
    ratings. The list is that of the active training; without one a is 0. Both similarities are those of
    algorithms.similarity. If a is below MIN_LIST_SHARE, the similarity by content is raised for movies
    that TMDb lists as related, if a copy of that list is cached: TMDb is never waited for.

    The parts of a series share the places they have, in the sequence of their release, and the first
    part that may be shown is among them (ranking.order_series).
    """
    by_list, list_share = _score_by_list(movie)
    at_tmdb = rank_related_movies(movie) if list_share < MIN_LIST_SHARE else {}
    rows = _read_candidates(movie, {*by_list, *at_tmdb}, exclude_seen_by)
    own_row = rows.pop(movie.pk, None)
    if not rows or own_row is None:
        return SimilarMovies([], {}, {}, at_tmdb, {})
    people = _read_people([movie.pk, *rows])
    by_content = content_similarity(
        _describe(rows.values()),
        _describe([own_row]),
        [people[movie_id] for movie_id in rows],
        [people[movie.pk]],
    )[:, 0]
    ranks = np.array([at_tmdb.get(movie_id, np.nan) for movie_id in rows], dtype=np.float64)
    listed = np.array([by_list.get(movie_id, 0.0) for movie_id in rows])
    similarity = list_share * listed + (1 - list_share) * raise_listed(by_content, ranks)
    order = order_series(
        np.argsort(-np.round(similarity, 9), kind="stable").tolist(),
        np.array([row["collection_id"] or 0 for row in rows.values()]),
        np.array([count_days(row["release_date"], row["release_year"]) for row in rows.values()]),
        is_eligible=similarity > 0,
    )
    ids = list(rows)
    similarities = {
        ids[index]: float(similarity[index])
        for index in order[:SIMILAR_DEPTH]
        if similarity[index] > 0
    }
    return SimilarMovies(list(similarities), own_row, similarities, at_tmdb, by_list)


class SimilarMovies(ExplainedList[SimilarMovie]):
    """Similar movies by their ids."""

    def __init__(
        self,
        movie_ids: Sequence[int],
        target: MovieRow,
        similarities: dict[int, float],
        at_tmdb: dict[int, int],
        by_list: dict[int, float],
    ) -> None:
        super().__init__(movie_ids)
        self._target, self._similarities = target, similarities
        self._at_tmdb, self._by_list = at_tmdb, by_list

    def build(self, index: int) -> SimilarMovie:
        return SimilarMovie(index, round(self._similarities[index], 3))

    def explain(self, indices: Sequence[int]) -> list[SimilarMovie]:
        """Return the items of these movies with reasons, in two queries."""
        target_id = self._target["id"]
        rows = read_rows(indices)
        credited = Credit.objects.filter(movie__in=[target_id, *indices], position__lt=LEADS)
        names = match_people(
            credited.order_by("-role", "position").values_list("movie", "person", "person__name"),
            set(indices),
            {target_id},
        )
        items = []
        for movie_id in indices:
            if movie_id not in rows:
                continue
            reasons = explain_similarity(
                rows[movie_id],
                self._target,
                names,
                is_liked_together=self._by_list.get(movie_id, 0.0) >= MIN_TOGETHER,
                is_listed_at_tmdb=movie_id in self._at_tmdb,
            )
            # A movie that nothing else connects is in the list, however far down.
            similarity = self.build(movie_id).similarity
            items.append(
                SimilarMovie(movie_id, similarity, reasons or [LIKED_TOGETHER], rows[movie_id])
            )
        return items


def _score_by_list(movie: Movie) -> tuple[dict[int, float], float]:
    """Return the similarities of the movies in the movie's list, and how much the list counts.

    Two queries. Nothing is listed if the active training does not know the movie.
    """
    factors = MovieFactors.objects.filter(
        training__active=True, training__algorithm=VERSION, movie_id=movie.pk
    )
    found = factors.values_list("training_id", "feed_sources", "vectors").first()
    if found is None:
        return {}, 0.0
    training_id, sources, own_vectors = found
    header = load_header(training_id)
    entries = SparseRows.unpack([sources])
    places = entries.places.astype(np.intp)
    ids = header.movie_ids[places].tolist()
    vectors = dict(
        MovieFactors.objects.filter(training_id=training_id, movie_id__any=ids).values_list(
            "movie_id", "vectors"
        )
    )
    movies = header.movies(places, header.unpack_vectors([vectors.get(each) for each in ids]))
    place, _ = positions(header.movie_ids, np.array([movie.pk]))
    target = header.movies(place, header.unpack_vectors([own_vectors]))
    lengths = np.linalg.norm(movies.factors, axis=1) * np.linalg.norm(target.factors)
    cosines: Array = movies.factors @ target.factors[0] / np.maximum(lengths, 1e-12)
    similarities = list_similarity(
        entries.weights.astype(np.float64),
        movies.count,
        cosines.astype(np.float64),
        genre_cosine(movies, target)[:, 0],
    )
    share = shrink(float(target.count[0]), LIST_SHRINKAGE) if similarities.any() else 0.0
    return dict(zip(ids, similarities.tolist(), strict=True)), share


_COLUMNS = (*CATALOGUE_COLUMNS[:5], *PART_COLUMNS[1:3])


def _read_candidates(
    movie: Movie, named: Iterable[int], seen_by: User | None
) -> dict[int, dict[str, Any]]:
    """Return the movie itself, and by id the movies that may be similar: unseen if a member is given.

    They are those named, others that share leading people or all genres, and of each series the first
    part. Four queries.
    """
    leads = Credit.objects.filter(position__lt=LEADS)
    people = leads.filter(movie=movie).values("person")
    ids = {movie.pk, *named}
    ids.update(leads.filter(person__in=people).values_list("movie", flat=True)[:FROM_PEOPLE])
    if movie.genres:
        kind = Movie.objects.filter(genres__contains=movie.genres)
        ids.update(kind.order_by("-rating_count", "id").values_list("id", flat=True)[:FROM_KIND])
    shown = Movie.objects.all()
    if seen_by is not None:
        is_seen = Q(id__in=Rating.objects.filter(user=seen_by).values("movie")) | Q(
            id__in=Viewing.objects.filter(user=seen_by).values("movie")
        )
        shown = shown.filter(Q(id=movie.pk) | ~is_seen)
    rows = list(shown.filter(id__any=ids).order_by("id").values(*_COLUMNS))
    series = {row["collection_id"] for row in rows if row["collection_id"]}
    first_parts = (
        shown.filter(collection__in=series)
        .exclude(id=movie.pk)
        .order_by("collection", "release_year", "release_date", "id")
        .distinct("collection")
    )
    rows += first_parts.values(*_COLUMNS)
    return {row["id"]: row for row in rows}


def _read_people(movie_ids: Sequence[int]) -> dict[int, People]:
    """Return the leading people of movies with the weight of their credit, in one query."""
    people: dict[int, dict[int, float]] = {movie_id: {} for movie_id in movie_ids}
    credited = Credit.objects.filter(movie__any=movie_ids, position__lt=LEADS)
    for movie_id, person_id, role in credited.values_list("movie", "person", "role"):
        weight = DIRECTOR if role == Credit.Role.DIRECTOR else LEAD
        people[movie_id][person_id] = max(weight, people[movie_id].get(person_id, 0.0))
    return dict(people)


def _describe(rows: Iterable[dict[str, Any]]) -> MovieContent:
    return describe_movies([tuple(row[name] for name in CATALOGUE_COLUMNS[:5]) for row in rows])
