"""Movies worth rating first, for a member whose taste is not known yet."""

from __future__ import annotations

import numpy as np
from django.db.models import F

from accounts.models import User
from movies.models import Movie
from recommendations.algorithms import heuristic as scoring
from recommendations.algorithms.content_similarity import kinship
from recommendations.algorithms.heuristic import Array
from recommendations.algorithms.onboarding import telling
from recommendations.recommender.queries import Candidates, candidates_read
from recommendations.recommender.results import OnboardingMovie
from recommendations.selectors import MovieRow, features, most_seen, movie_rows, unjudged
from recommendations.training.store import Head, active_head

ASKED = 20
# Asked about are movies of the most widely seen.
POOL = 300


def onboarding(user: User) -> list[OnboardingMovie]:
    """Some ASKED movies to rate first, of those the member has neither rated nor waved away.

    The measure is recommendations.algorithms.onboarding.telling; likeness is by taste where a training is
    active, and by genres and period. Three queries.
    """
    shown = unjudged(Movie.objects.all(), user)
    head = active_head()
    if head is not None:
        pool = candidates_read(head, shown, order=head.rates, favorites=(), thin=False)
        ids, rate = pool.movies.ids.tolist(), pool.movies.rate
        chance = 1 / (1 + np.exp(-pool.movies.quality))
        alike = (_taste(head, pool) + kinship(pool.movies, pool.movies)) / 2
    else:
        order = (F("rating_count").desc(), F("popularity").desc(), "id")
        rows = movie_rows(list(shown.order_by(*order).values_list("id", flat=True)[:POOL]))
        movies = features(rows, most_seen=most_seen())
        ids = movies.ids.tolist()
        rate = movies.reach
        chance = scoring.expected_chance(movies.quality)
        alike = kinship(movies, movies)
    np.fill_diagonal(alike, 1.0)
    chosen = telling(rate, chance, alike, count=ASKED)
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
