"""A made-up community large enough to learn from, set up in a fraction of a second."""

import numpy as np
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts.models import User
from movies.models import Movie
from social.models import Rating
from social.services.figures import ratings_recount

GENRES = ("Horror", "Romance", "Western")


def made_up(*, members=80, movies=90, share=0.4, seed=1):
    """Movies of three genres, and members who love one of them; (members, movies)."""
    dice = np.random.default_rng(seed)
    Movie.objects.bulk_create(
        Movie(
            title=f"{GENRES[n % 3]} {n}",
            tmdb_id=500_000 + n,
            imdb_id=f"tt{5_000_000 + n}",
            genres=[GENRES[n % 3]],
            release_year=1980 + n % 30,
            source=Movie.Source.STARTER,
        )
        for n in range(movies)
    )
    made = list(Movie.objects.order_by("id"))
    password = make_password(None)
    users = User.objects.bulk_create(
        User(username=f"m{n}", email=f"m{n}@example.org", password=password) for n in range(members)
    )
    now = timezone.now()
    ratings = []
    for place, user in enumerate(users):
        loves = np.array([n % 3 == place % 3 for n in range(movies)])
        # Fans of a genre see more of it, and widely known movies are seen by all.
        seen = dice.random(movies) < share * np.where(loves, 1.5, 0.6) * np.linspace(
            1.3, 0.5, movies
        )
        for n in np.flatnonzero(seen):
            score = 4.5 if loves[n] else 2.5
            score = min(max(score + dice.choice([-0.5, 0, 0.5]), 1.0), 5.0)
            ratings.append(
                Rating(user=user, movie=made[n], score=score, created_at=now, updated_at=now)
            )
    Rating.objects.bulk_create(ratings)
    ratings_recount()
    return users, made


def quiet(step, part):
    """Progress that nobody watches."""
