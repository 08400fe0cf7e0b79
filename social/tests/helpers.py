from threading import Barrier, Thread

from django.db import connection
from django.db.models import Count, Sum

from accounts.models import User
from movies.models import Movie
from social.models import Import, ImportRow


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


def follows_agree():
    for user in User.objects.annotate(
        received=Count("follows_received", distinct=True), made=Count("follows_made", distinct=True)
    ):
        assert (user.follower_count, user.following_count) == (user.received, user.made), user


def import_ready(user, rows):
    """An import of that many ratings of films that are there, ready to be applied."""
    films = Movie.objects.bulk_create(
        Movie(title=f"Film {n}", sort_title=f"film {n}", release_year=2000) for n in range(rows)
    )
    made = Import.objects.create(
        user=user,
        format="letterboxd",
        sha256="x",
        state="ready",
        step="",
        total=rows,
        position=rows,
    )
    ImportRow.objects.bulk_create(
        ImportRow(
            of=made, number=n, file="r.csv", line=n, kind="rating", title=film.title,
            movie_id=film.pk, verdict="matched", values={"score": 4, "rated_at": None},
        )
        for n, film in enumerate(films, 1)
    )  # fmt: skip
    return made
