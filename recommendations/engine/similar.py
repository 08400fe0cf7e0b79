"""Similar films: by taste where ratings say enough, else by what the films are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from django.db.models import F, Q

from movies.models import Credit, Movie
from recommendations import evidence, scoring
from recommendations.engine.answers import SimilarFilm
from recommendations.likeness import likeness, listed
from recommendations.selectors import co_liked, features, film_rows, people_of
from recommendations.serving import taste_of
from tmdb.selectors import listed_beside

SIMILAR_DEPTH = 200
# Likes of both films needed for taste to count as much as content.
SIMILAR_SHRINKAGE = 20.0
# Keeps two films that three people liked from being each other's double.
TASTE_SHRINKAGE = 10.0
# Taste that counts for less than this leaves room for what TMDb's visitors say.
ASK_TMDB_BELOW = 0.5
# A neighbour by taste at less than this share of the nearest one is not told as such.
TOLD_FROM = 0.3


def similar(movie: Movie) -> list[SimilarFilm]:
    """The films most like one, by shared taste where its ratings say enough, else by content.

    similarity = a * taste + (1 - a) * content with a = n / (n + SIMILAR_SHRINKAGE), n the film's
    ratings; content is the likeness of genres, period and people. Taste comes from the training's
    neighbours; without one it is the shrunk cosine of likes among a sample of raters. Where a is below ASK_TMDB_BELOW, content is raised for what TMDb recommends beside the film or
    finds similar (likeness.listed), as far as a copy of that is held: TMDb is never waited for.
    """
    taste = _learned_taste(movie) or _counted_taste(movie)
    trusted = scoring.trust(taste.raters, SIMILAR_SHRINKAGE)
    at_tmdb = listed_beside(movie) if trusted < ASK_TMDB_BELOW else {}
    shared_people = Credit.objects.filter(
        person__credits__movie=movie, position__lt=4, person__credits__position__lt=4
    ).values("movie_id")[:500]
    kind = Q(genres__contains=movie.genres) if movie.genres else Q(pk__in=[])
    pool = Movie.objects.exclude(pk=movie.pk)
    ids = {*taste.similarity, *at_tmdb}
    ids.update(pool.filter(id__in=shared_people).values_list("id", flat=True)[:200])
    ids.update(
        pool.filter(kind)
        .order_by(F("rating_count").desc(), "id")
        .values_list("id", flat=True)[:200]
    )
    rows = film_rows(ids)
    if not rows:
        return []
    of_movie = film_rows([movie.pk])
    described, target = features(rows), features(of_movie)
    people = people_of([movie.pk, *described.ids.tolist()])
    content = likeness(
        described,
        target,
        [people[movie_id] for movie_id in described.ids.tolist()],
        [people[movie.pk]],
    )[:, 0]
    content = listed(
        content, np.array([at_tmdb.get(row.id, np.nan) for row in rows], dtype=np.float64)
    )
    by_taste = np.array([taste.similarity.get(row.id, 0.0) for row in rows])
    similarity = trusted * by_taste + (1 - trusted) * content
    names = evidence.people_in_common(rows, of_movie)
    order = np.lexsort((described.ids, -similarity))[:SIMILAR_DEPTH]
    return [
        SimilarFilm(
            movie_id=rows[index].id,
            similarity=round(float(similarity[index]), 3),
            reasons=evidence.of_similarity(
                rows[index],
                of_movie[0],
                names,
                taste.said(rows[index].id),
                at_tmdb=rows[index].id in at_tmdb,
            ),
        )
        for index in order
        if similarity[index] > 0
    ]


@dataclass(frozen=True)
class _Taste:
    """Which films those who like one like too, 0 to 1, and on how many ratings that rests."""

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
    """Of the training's neighbours; None where there is no training or it does not know the film.

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
    """Cosine of the likes of two films in a sample of the one's raters, shrunk, 0 to 1."""
    liked = co_liked(movie.pk)
    # The sample stands for all raters, so its counts are scaled up to them.
    raters = max(movie.rating_count, liked.sample)
    similarity = {}
    for movie_id, together in liked.together.items():
        cosine = together * raters / liked.sample
        cosine /= np.sqrt(raters * liked.ratings[movie_id]) + TASTE_SHRINKAGE
        similarity[movie_id] = min(float(cosine), 1.0)
    return _Taste(similarity, liked.sample, liked.together)
