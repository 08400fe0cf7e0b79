"""Movies worth rating first, for a member whose taste is not known yet."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from accounts.models import User
from movies.models import Movie
from recommendations.algorithms.onboarding import telling
from recommendations.algorithms.similarity import kinship
from recommendations.algorithms.types import Array
from recommendations.recommender.queries import Candidates, read_candidates
from recommendations.recommender.results import OnboardingMovie
from recommendations.selectors import MovieRow, movie_rows, unjudged
from recommendations.training.store import Head, active_head, default_head

ASKED = 20


def onboarding(user: User) -> list[OnboardingMovie]:
    """Return ASKED movies to rate first, which the member has neither rated nor hidden nor wants less of.

    The measure is algorithms.onboarding.telling. Similarity is that of genres and period, and once
    there is a training the mean of it and the similarity by taste. Three queries.
    """
    shown = unjudged(Movie.objects.all(), user)
    head = active_head() or default_head()
    pool = read_candidates(head, shown, order=head.rates, favorites=(), short=False)
    ids = pool.movies.ids.tolist()
    chance = expit(pool.movies.quality)
    alike = kinship(pool.movies, pool.movies)
    if len(pool.taste.owners):
        alike = (_taste(head, pool) + alike) / 2
    np.fill_diagonal(alike, 1.0)
    chosen = telling(pool.movies.rate, chance, alike, count=ASKED)
    rows_by_id = {row.id: row for row in movie_rows([ids[place] for place in chosen])}
    return [
        _asked(rows_by_id[ids[place]], chance[place])
        for place in chosen
        if ids[place] in rows_by_id
    ]


def _taste(head: Head, pool: Candidates) -> Array:
    """(m, m) Likeness by taste among these movies, the greatest being 1."""
    links = pool.taste.from_targets(head, pool.movies.ids)
    alike = np.zeros((len(pool), len(pool)))
    alike[links.rated, links.movies] = np.maximum(links.weights, 0.0)
    return alike / max(float(alike.max(initial=0.0)), 1e-9)


def _asked(row: MovieRow, chance: float) -> OnboardingMovie:
    if row.rating_count:
        members = "member has" if row.rating_count == 1 else "members have"
        rated = f"{row.rating_count:,} {members} rated it."
        return OnboardingMovie(row.id, [f"{rated} About {chance:.0%} of those who see it like it."])
    return OnboardingMovie(row.id, [f"About {chance:.0%} of those who see it like it."])
