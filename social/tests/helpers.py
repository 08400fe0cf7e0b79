from threading import Barrier, Thread

from django.db import connection
from django.db.models import Count, Q, Sum

from movies.models import Movie


def run_concurrently(*calls):
    """Run these calls in threads that start together. Return their results in order."""
    barrier, results = Barrier(len(calls)), [None] * len(calls)

    def run(number, call):
        try:
            barrier.wait()
            results[number] = call()
        finally:
            connection.close()

    threads = [Thread(target=run, args=(number, call)) for number, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def assert_rating_counters_match():
    """Assert that every movie's count and sum agree with its counted ratings."""
    counted = Q(ratings__is_counted=True)
    for movie in Movie.objects.annotate(
        n=Count("ratings", filter=counted), total=Sum("ratings__score", filter=counted)
    ):
        assert (movie.rating_count, movie.rating_sum) == (movie.n, movie.total or 0.0)
