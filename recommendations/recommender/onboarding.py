"""Movies worth rating first, for a member whose taste is not known yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from accounts.models import User
from movies.models import Movie
from recommendations.algorithms.onboarding import choose_informative
from recommendations.algorithms.ranking import take_first
from recommendations.algorithms.similarity import kinship
from recommendations.algorithms.types import Array
from recommendations.recommender.queries import (
    MAX_PRESELECTED,
    Candidates,
    ModelHeader,
    MovieRow,
    default_header,
    leave_out_judged,
    load_active_header,
    read_candidates,
    read_rows,
)

ONBOARDING_MOVIES = 20


@dataclass(frozen=True)
class OnboardingMovie:
    """A movie worth rating first."""

    movie_id: int
    reasons: Sequence[str]
    movie: MovieRow


def choose_onboarding_movies(user: User) -> list[OnboardingMovie]:
    """Return ONBOARDING_MOVIES that the member has neither rated nor hidden nor wants less of.

    The measure is algorithms.onboarding.choose_informative. Similarity is that of genres and period,
    and once there is a training the mean of it and the similarity by taste. Three queries.
    """
    header = load_active_header() or default_header()
    pool = read_candidates(
        header,
        leave_out_judged(Movie.objects.all(), [user]),
        ranked=header.movie_ids[take_first(header.rates, MAX_PRESELECTED)],
        favorites=(),
        is_short=False,
    )
    probability = expit(pool.movies.quality)
    similarity = kinship(pool.movies, pool.movies)
    if len(pool.taste.rows):
        similarity = (_compare_by_taste(header, pool) + similarity) / 2
    np.fill_diagonal(similarity, 1.0)
    chosen = choose_informative(pool.movies.rate, probability, similarity, count=ONBOARDING_MOVIES)
    ids = pool.movies.ids[chosen].tolist()
    rows = read_rows(ids)
    return [
        OnboardingMovie(movie_id, [_explain(rows[movie_id], probability[index])], rows[movie_id])
        for movie_id, index in zip(ids, chosen, strict=True)
        if movie_id in rows
    ]


def _compare_by_taste(header: ModelHeader, pool: Candidates) -> Array:
    """(m, m) Return the similarity of these movies by taste, the greatest being 1."""
    links = pool.taste.links(header.index(pool.movies.ids))
    similarity = np.zeros((len(pool), len(pool)))
    similarity[links.rated, links.movies] = np.maximum(links.weights, 0.0)
    return similarity / max(float(similarity.max(initial=0.0)), 1e-9)


def _explain(row: MovieRow, probability: float) -> str:
    liked = f"About {probability:.0%} of those who see it like it."
    if not row["rating_count"]:
        return liked
    members = "member has" if row["rating_count"] == 1 else "members have"
    return f"{row['rating_count']:,} {members} rated it. {liked}"
