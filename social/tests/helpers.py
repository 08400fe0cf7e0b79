from threading import Barrier, Thread

from django.db import connection
from django.db.models import Count, Sum

from movies.models import Movie


def run_concurrently(*calls):
    """Run these calls in threads that start together; what they returned, in order."""
    barrier, results = Barrier(len(calls)), [None] * len(calls)

    def run(number, call):
        try:
            barrier.wait()
            results[number] = call()
        finally:
            connection.close()

    threads = [Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def assert_rating_counters_match():
    for movie in Movie.objects.annotate(n=Count("ratings"), total=Sum("ratings__score")):
        assert (movie.rating_count, movie.rating_sum) == (movie.n, movie.total or 0.0)
