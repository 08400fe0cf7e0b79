"""What workers share in the cache: each member sees their own, at once what they have written, and
what all see is made once."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django_redis import get_redis_connection

from movies.dto import MovieData
from movies.models import Movie
from movies.services.upsert import movies_upsert

MEMBERS, ROUNDS, COLD = 4, 4, 100

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_workers_share_the_cache_and_never_mix_up_members(
    make_user, make_movie, client_of, gunicorn
):
    # One test, because starting the service is most of what it takes.
    films = [make_movie(f"Film {number}", genres=["Drama"]) for number in range(ROUNDS)]
    tokens = {}
    for number in range(MEMBERS):
        name = f"member{number}"
        tokens[name] = client_of(make_user(name))._credentials["HTTP_AUTHORIZATION"]
    url = gunicorn(WEB_CONCURRENCY="2", RATE_LIMIT_SCALE="1000")
    interleaved_members_see_their_own_and_each_write_at_once(url, films, tokens)
    a_write_to_the_catalogue_is_in_the_next_read(url)
    a_hundred_cold_requests_are_one_rebuild(url)


def ask(url, path, method="GET", token="", body=None):
    # On a connection of its own, so that any worker answers it.
    headers = {"Authorization": token} if token else {}
    answer = requests.request(method, url + path, json=body, headers=headers, timeout=20)
    assert answer.status_code < 300, answer.text
    return answer


def interleaved_members_see_their_own_and_each_write_at_once(url, films, tokens):
    def live(name):
        wrong = []

        def own(path, method="GET", body=None):
            return ask(url, path, method, tokens[name], body)

        for number, film in enumerate(films):
            display = f"{name} in round {number}"
            score = 1 + (int(name[-1]) + number) % 5
            own("/profiles/me/", "PATCH", {"display_name": display})
            me = own("/profiles/me/")
            own("/ratings/", "POST", {"movie": film.pk, "score": score, "review": display})
            mine = own("/ratings/").json()
            newest = mine["results"][0]
            seen = (
                (me.json()["username"], me.json()["display_name"]),
                (mine["count"], newest["review"], newest["score"]),
                own("/profiles/stats/").json()["total_ratings"],
            )
            if seen != ((name, display), (number + 1, display, float(score)), number + 1):
                wrong.append(seen)
            if me.headers["Cache-Control"] != "private, no-store":
                wrong.append(me.headers["Cache-Control"])
        return wrong

    with ThreadPoolExecutor(MEMBERS) as pool:
        assert [each for some in pool.map(live, tokens) for each in some] == []


def dramas(url):
    genres = ask(url, "/genres/").json()
    return next(genre["movie_count"] for genre in genres if genre["name"] == "Drama")


def a_write_to_the_catalogue_is_in_the_next_read(url):
    # While others keep asking, so that it is being counted all the time.
    with ThreadPoolExecutor(4) as pool:
        for number in range(5):
            others = [pool.submit(dramas, url) for _ in range(4)]
            film = MovieData(title="New", tmdb_id=1 + number, genres=("Drama",))
            movies_upsert(movies=[film], source=Movie.Source.TMDB)
            assert dramas(url) == Movie.objects.filter(genres__contains=["Drama"]).count()
            assert all(other.result() for other in others)
            assert dramas(url) == ROUNDS + number + 1


def queries(url):
    """How many the database got of /genres/, from all workers."""
    found = re.search(
        r'nexus_http_db_queries_total\{method="GET",route="/genres/"\} (\S+)',
        ask(url, "/metrics").text,
    )
    return float(found[1])


def a_hundred_cold_requests_are_one_rebuild(url):
    Movie.objects.bulk_create(
        Movie(title=f"More {number}", sort_title="more", genres=["Drama"]) for number in range(3000)
    )
    get_redis_connection("default").flushdb()
    before = queries(url)
    with ThreadPoolExecutor(COLD) as pool:
        answers = list(pool.map(lambda _: dramas(url), range(COLD)))
    assert len(set(answers)) == 1
    assert queries(url) - before == 1
