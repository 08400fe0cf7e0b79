"""Similar movies: by taste where ratings say enough, else by what the movies are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from movies.models import Movie
from recommendations.algorithms import heuristic as scoring
from recommendations.algorithms.content_similarity import likeness, listed
from recommendations.recommender import explanations as evidence
from recommendations.recommender.queries import taste_of
from recommendations.recommender.results import Ranking, SimilarMovie, nothing
from recommendations.selectors import co_liked, features, people_of, rows_beside
from tmdb.selectors import rank_related_movies

SIMILAR_DEPTH = 200
# Likes of both movies needed for taste to count as much as content.
SIMILAR_SHRINKAGE = 20.0
# Keeps two movies that three people liked from being each other's double.
TASTE_SHRINKAGE = 10.0
# Taste that counts for less than this leaves room for what TMDb's visitors say.
ASK_TMDB_BELOW = 0.5
# A neighbour by taste at less than this share of the nearest one is not told as such.
TOLD_FROM = 0.3


def similar(movie: Movie) -> Ranking[SimilarMovie]:
    """The movies most like one, by shared taste where its ratings say enough, else by content.

    similarity = a * taste + (1 - a) * content with a = n / (n + SIMILAR_SHRINKAGE), n the movie's
    ratings; content is the likeness of genres, period and people. Taste comes from the training's
    neighbours; without one it is the shrunk cosine of likes among a sample of raters. Where a is
    below ASK_TMDB_BELOW, content is raised for what TMDb recommends beside the movie or finds similar
    (likeness.listed), as far as a copy of that is held: TMDb is never waited for.
    """
    taste = _learned_taste(movie) or _counted_taste(movie)
    trusted = scoring.trust(taste.raters, SIMILAR_SHRINKAGE)
    at_tmdb = rank_related_movies(movie) if trusted < ASK_TMDB_BELOW else {}
    found = rows_beside(movie, {*taste.similarity, *at_tmdb})
    of_movie = [row for row in found if row.id == movie.pk]
    rows = [row for row in found if row.id != movie.pk]
    if not rows or not of_movie:
        return nothing()
    described = features(rows)
    people = people_of([movie.pk, *described.ids.tolist()])
    content = likeness(
        described,
        features(of_movie),
        [people[movie_id] for movie_id in described.ids.tolist()],
        [people[movie.pk]],
    )[:, 0]
    content = listed(
        content, np.array([at_tmdb.get(row.id, np.nan) for row in rows], dtype=np.float64)
    )
    by_taste = np.array([taste.similarity.get(row.id, 0.0) for row in rows])
    similarity = trusted * by_taste + (1 - trusted) * content
    order = np.lexsort((described.ids, -similarity))[:SIMILAR_DEPTH].tolist()

    def reasons(places: Sequence[int]) -> list[list[str]]:
        shown = [rows[place] for place in places]
        names = evidence.people_in_common(shown, of_movie)
        return [
            evidence.of_similarity(
                row, of_movie[0], names, taste.said(row.id), at_tmdb=row.id in at_tmdb
            )
            for row in shown
        ]

    def at_place(place: int) -> SimilarMovie:
        return SimilarMovie(rows[place].id, round(float(similarity[place]), 3))

    return Ranking([place for place in order if similarity[place] > 0], at_place, reasons)


@dataclass(frozen=True)
class _Taste:
    """Which movies those who like one like too, 0 to 1, and on how many ratings that rests."""

    similarity: dict[int, float]
    raters: int
    #: How many liked both, where they were counted.
    together: dict[int, int] = field(default_factory=dict)

    def said(self, movie_id: int) -> str:
        if together := self.together.get(movie_id):
            return f"{together} {'member' if together == 1 else 'members'} liked both."
        if self.similarity.get(movie_id, 0.0) >= TOLD_FROM:
            return "Members who like one tend to like the other."
        return ""


def _learned_taste(movie: Movie) -> _Taste | None:
    """Of the training's neighbours; None where there is no training or it does not know the movie.

    The nearest neighbour counts as 1, because the training's weights have no scale of their own.
    """
    found = taste_of(movie.pk)
    if found is None:
        return None
    ids, weights = found.neighbours.of(0)
    nearest = float(weights.max(initial=0.0))
    if nearest <= 0:
        return None
    shares = np.maximum(weights, 0.0) / nearest
    return _Taste(dict(zip(ids.tolist(), shares.tolist(), strict=True)), round(found.count))


def _counted_taste(movie: Movie) -> _Taste:
    """Cosine of the likes of two movies in a sample of the one's raters, shrunk, 0 to 1."""
    liked = co_liked(movie.pk)
    # The sample stands for all raters, so its counts are scaled up to them.
    raters = max(movie.rating_count, liked.sample)
    similarity = {}
    for movie_id, together in liked.together.items():
        cosine = together * raters / liked.sample
        cosine /= np.sqrt(raters * liked.ratings[movie_id]) + TASTE_SHRINKAGE
        similarity[movie_id] = min(float(cosine), 1.0)
    return _Taste(similarity, liked.sample, liked.together)
