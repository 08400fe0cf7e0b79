"""Two workers share the cache: members see their own data and every write at once, and one worker
computes a value for all."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django_redis import get_redis_connection

from movies.dto import MovieData
from movies.models import Movie
from movies.services.upsert import movies_upsert

MEMBERS, ROUNDS, COLD_REQUESTS = 4, 4, 100

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_workers_share_the_cache_and_never_mix_up_members(
    make_user, make_movie, client_of, gunicorn
):
    # One test, because starting the service takes most of its time.
    movies = [make_movie(f"Movie {number}", genres=["Drama"]) for number in range(ROUNDS)]
    tokens = {}
    for number in range(MEMBERS):
        name = f"member{number}"
        tokens[name] = client_of(make_user(name))._credentials["HTTP_AUTHORIZATION"]
    url = gunicorn(WEB_CONCURRENCY="2", RATE_LIMIT_SCALE="1000")

    check_members_see_their_own_data_and_writes(url, movies, tokens)
    check_a_catalogue_write_is_in_the_next_read(url, tokens["member0"])
    check_concurrent_cold_requests_compute_once(url)


def send(url, path, method="GET", token="", body=None):
    # On a new connection each, so that any worker may handle it.
    headers = {"Authorization": token} if token else {}
    response = requests.request(method, url + path, json=body, headers=headers, timeout=20)
    assert response.status_code < 300, response.text
    return response


def check_members_see_their_own_data_and_writes(url, movies, tokens):
    def find_errors(name):
        errors = []

        def send_as_member(path, method="GET", body=None):
            return send(url, path, method, tokens[name], body)

        for number, movie in enumerate(movies):
            display_name = f"{name} in round {number}"
            score = 1 + (int(name[-1]) + number) % 5
            send_as_member("/profiles/me/", "PATCH", {"display_name": display_name})
            profile = send_as_member("/profiles/me/")
            rating = {"movie": movie.pk, "score": score, "review": display_name}
            send_as_member("/ratings/", "POST", rating)
            ratings = send_as_member("/ratings/").json()
            newest = ratings["results"][0]
            actual = (
                (profile.json()["username"], profile.json()["display_name"]),
                (ratings["count"], newest["review"], newest["score"]),
                send_as_member("/profiles/stats/").json()["total_ratings"],
            )
            expected = (
                (name, display_name),
                (number + 1, display_name, float(score)),
                number + 1,
            )
            if actual != expected:
                errors.append(actual)
            if profile.headers["Cache-Control"] != "private, no-store":
                errors.append(profile.headers["Cache-Control"])
        return errors

    with ThreadPoolExecutor(MEMBERS) as pool:
        assert [error for errors in pool.map(find_errors, tokens) for error in errors] == []


def count_dramas(url, token):
    genres = send(url, "/genres/", token=token).json()
    return next(genre["movie_count"] for genre in genres if genre["name"] == "Drama")


def check_a_catalogue_write_is_in_the_next_read(url, token):
    # Other requests compute the counts all the time.
    with ThreadPoolExecutor(4) as pool:
        for number in range(5):
            others = [pool.submit(count_dramas, url, token) for _ in range(4)]
            movie = MovieData(title="New", tmdb_id=1 + number, genres=("Drama",))

            movies_upsert(movies=[movie], source=Movie.Source.TMDB)

            assert count_dramas(url, token) == ROUNDS + number + 1
            assert all(other.result() for other in others)
            assert count_dramas(url, token) == ROUNDS + number + 1


def count_genre_queries(url):
    """Return the number of database queries for /genres/ by all workers."""
    metrics = send(url, "/metrics").text
    return read_sample(metrics, r'nexus_http_db_queries_total\{method="GET",route="/genres/"\}')


def read_sample(metrics, series):
    return float(re.search(rf"^{series} (\S+)$", metrics, re.M)[1])


def check_concurrent_cold_requests_compute_once(url):
    Movie.objects.bulk_create(
        Movie(title=f"More {number}", sort_title="more", genres=["Drama"]) for number in range(3000)
    )
    get_redis_connection("default").flushdb()
    before = count_genre_queries(url)

    with ThreadPoolExecutor(COLD_REQUESTS) as pool:
        counts = list(pool.map(lambda _: count_dramas(url, ""), range(COLD_REQUESTS)))

    assert len(set(counts)) == 1
    # The numbers of movies, and the genres that TMDb has added: one query each.
    assert count_genre_queries(url) - before == 2
