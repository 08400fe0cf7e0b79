"""Measure the CPU time of the recommender's requests in this process, in the database of the settings.

    python -m benchmarks.recommender [--ratings 200] [--rounds 31]

Measured is the work below the views, for the member whose number of ratings is the nearest one below
`--ratings`, and for a group of the ten members of whom that is true. For comparison: the rows of that member by the ORM, and by the raw SQL of
recommendations.recommender.queries.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import django


def measure(name: str, run: Callable[[], object], rounds: int) -> None:
    """Print the median and the least CPU and wall time of a function, in ms, after two warm-ups."""
    cpu, wall = [], []
    for _ in range(rounds + 2):
        started = time.process_time(), time.perf_counter()
        run()
        cpu.append(1000 * (time.process_time() - started[0]))
        wall.append(1000 * (time.perf_counter() - started[1]))
    cpu, wall = cpu[2:], wall[2:]
    print(
        f"{name:<28}CPU {statistics.median(cpu):6.1f} (least {min(cpu):5.1f})"
        f"   wall {statistics.median(wall):6.1f} (least {min(wall):5.1f})",
        flush=True,
    )


def measure_all(most_ratings: int, rounds: int) -> None:
    from django.db.models import Count

    from accounts.models import User
    from movies.models import Movie
    from recommendations.models import Feedback, MovieFactors, Training
    from recommendations.recommender.feed import build_feed
    from recommendations.recommender.group import recommend_to_group
    from recommendations.recommender.match_score import compute_matches
    from recommendations.recommender.queries import (
        FEEDBACK_LIMIT,
        HISTORY_LIMIT,
        load_active_header,
        read_members,
    )
    from recommendations.recommender.similar import find_similar
    from social.models import Rating
    from social.models.groups import MAX_GROUP_MEMBERS

    header = load_active_header()
    counted = User.objects.annotate(n=Count("ratings")).filter(n__lte=most_ratings)
    group = list(counted.order_by("-n", "id")[:MAX_GROUP_MEMBERS])
    user = group[0]
    movie = Movie.objects.order_by("-rating_count")[5]
    known = "no training" if header is None else f"{len(header.movie_ids):,} movies in the training"
    print(f"{Movie.objects.count():,} movies, {known}, a member with {user.n} ratings; in ms")

    def read_by_orm() -> None:
        active = Training.objects.filter(active=True).only("id").first()
        scored = Rating.objects.filter(user=user, score__isnull=False)
        ratings = scored.order_by("-created_at", "-id")
        rows = list(ratings.values_list("movie", "score", "created_at")[:HISTORY_LIMIT])
        feedback = Feedback.objects.filter(user=user).exclude(kind="hide").order_by("-updated_at")
        list(feedback.values_list("movie", "kind")[:FEEDBACK_LIMIT])
        factors = MovieFactors.objects.filter(training=active)
        list(
            factors.filter(movie_id__in=[row[0] for row in rows]).values_list("movie_id", "vectors")
        )

    movies = Movie.objects.all()
    measure("feed", lambda: build_feed(user, movies).items[:20], rounds)
    measure("feed, diversity 1", lambda: build_feed(user, movies, diversity=1.0).items[:20], rounds)
    measure("match score", lambda: compute_matches(user, [movie.pk]), rounds)
    measure("similar movies", lambda: find_similar(movie)[:20], rounds)
    measure(
        f"group of {len(group)} ({sum(each.n for each in group)} ratings)",
        lambda: recommend_to_group(group, movies, name_ratings=True).items[:20],
        rounds,
    )
    measure("member's rows, raw SQL", lambda: read_members([user], targets=False), rounds)
    measure("member's rows, ORM", read_by_orm, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=200, metavar="N")
    parser.add_argument("--rounds", type=int, default=31, metavar="N")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexus.settings")
    from nexus.dev import embedded

    with embedded.run_servers():
        django.setup()
        measure_all(arguments.ratings, arguments.rounds)


if __name__ == "__main__":
    main()
