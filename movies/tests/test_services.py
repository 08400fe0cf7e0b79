import math
import random
import threading
from datetime import UTC, date, datetime, timedelta
from itertools import combinations

import pytest
from django.db import connection
from django.utils import timezone

from movies.dto import CollectionData, MovieData, PersonData
from movies.models import Collection, Credit, Movie, Person
from movies.services.catalogue import movies_remove
from movies.services.ratings import (
    TREND_HALF_LIFE_DAYS,
    RatingChange,
    compute_log_weight,
    movie_apply_rating,
    movies_apply_ratings,
)
from movies.services.upsert import AUTHORITY, movies_compare, movies_upsert

pytestmark = pytest.mark.django_db

STARTER, TMDB = Movie.Source.STARTER, Movie.Source.TMDB
MOVIELENS, MANUAL = Movie.Source.MOVIELENS, Movie.Source.MANUAL

FULL = MovieData(
    title="Alien",
    tmdb_id=348,
    imdb_id="tt0078748",
    original_title="Alien",
    original_language="en",
    release_date=date(1979, 5, 25),
    genres=("Horror", "Science Fiction"),
    runtime=117,
    overview="In space.",
    tagline="No one can hear you.",
    status="Released",
    keywords=("space",),
    collection=CollectionData(8091, "Alien Collection"),
    poster_path="/p.jpg",
    backdrop_path="/b.jpg",
    vote_average=8.2,
    vote_count=14_000,
    popularity=60.5,
    directors=(PersonData("Ridley Scott", tmdb_id=578),),
    cast=(PersonData("Sigourney Weaver", tmdb_id=10205, character="Ripley"),),
)


def stored(*facts, source=TMDB):
    return movies_upsert(movies=list(facts), source=source)


def people_of(movie):
    billed = movie.credits.select_related("person")
    return [(each.role, each.position, each.person.name, each.character) for each in billed]


def test_new_facts_are_a_new_film_with_all_they_say():
    (result,) = stored(FULL)
    assert result.created
    movie = Movie.objects.get()
    assert movie.pk == result.movie.pk
    assert (movie.title, movie.tmdb_id, movie.imdb_id) == ("Alien", 348, "tt0078748")
    assert (movie.release_date, movie.release_year) == (date(1979, 5, 25), 1979)
    assert movie.genres == ["Horror", "Science Fiction"]
    assert (movie.runtime, movie.keywords) == (117, ["space"])
    assert movie.collection.name == "Alien Collection"
    assert (movie.source, movie.sort_title) == (TMDB, "alien")
    assert movie.synced_at is not None
    assert people_of(movie) == [
        ("cast", 0, "Sigourney Weaver", "Ripley"),
        ("director", 0, "Ridley Scott", ""),
    ]


def test_the_same_facts_again_change_nothing_and_keep_every_id():
    first = stored(FULL)[0].movie
    people = set(Person.objects.values_list("id", flat=True))
    again = stored(FULL)[0]
    assert (again.created, again.movie.pk) == (False, first.pk)
    assert set(Person.objects.values_list("id", flat=True)) == people
    assert (Movie.objects.count(), Credit.objects.count()) == (1, 2)
    assert Movie.objects.get().created_at == first.created_at


def test_newer_facts_of_the_same_source_replace_the_old():
    stored(FULL)
    stored(MovieData(title="Alien, again", tmdb_id=348, genres=("Drama",)))
    movie = Movie.objects.get()
    assert (movie.title, movie.genres, movie.runtime) == ("Alien, again", ["Drama"], None)
    assert people_of(movie) == []
    # An id once known stays, whoever leaves it out.
    assert movie.imdb_id == "tt0078748"


@pytest.mark.parametrize(("lower", "higher"), [*combinations(AUTHORITY, 2)])
def test_the_source_of_more_authority_is_believed_whichever_comes_first(lower, higher):
    low = MovieData(title="Low", tmdb_id=1, runtime=90, overview="low")
    high = MovieData(title="High", tmdb_id=1, runtime=100)
    for first, second in ((low, high), (high, low)):
        Movie.objects.all().delete()
        for fact in (first, second):
            stored(fact, source=lower if fact is low else higher)
        movie = Movie.objects.get()
        assert (movie.title, movie.runtime, movie.source) == ("High", 100, higher)
        # What came last from below fills the gap; what came before from below is replaced.
        assert movie.overview == ("low" if second is low else "")


def test_a_source_of_less_authority_fills_only_what_is_empty():
    stored(MovieData(title="Alien", imdb_id="tt0078748"), source=STARTER)
    stored(FULL, source=MOVIELENS)
    movie = Movie.objects.get()
    assert (movie.tmdb_id, movie.runtime, movie.genres) == (348, 117, list(FULL.genres))
    assert movie.source == STARTER
    assert (movie.release_date, movie.release_year) == (date(1979, 5, 25), 1979)


def test_a_year_that_disagrees_with_the_date_gives_way_to_it():
    stored(MovieData(title="Alien", tmdb_id=348, release_year=1978), source=TMDB)
    stored(FULL, source=MOVIELENS)
    movie = Movie.objects.get()
    assert (movie.release_year, movie.release_date) == (1979, date(1979, 5, 25))


def test_a_film_is_known_by_its_imdb_id_where_the_tmdb_id_is_new():
    first = stored(MovieData(title="Alien", imdb_id="tt0078748"), source=STARTER)[0].movie
    result = stored(FULL)[0]
    assert (result.created, result.movie.pk) == (False, first.pk)
    assert Movie.objects.get().tmdb_id == 348


def test_an_imdb_id_of_another_film_stays_where_it_is():
    first = stored(FULL)[0].movie
    other = stored(MovieData(title="Copy", tmdb_id=2), source=TMDB)[0].movie
    stored(MovieData(title="Copy", tmdb_id=2, imdb_id="tt0078748"))
    assert Movie.objects.get(pk=first.pk).imdb_id == "tt0078748"
    assert Movie.objects.get(pk=other.pk).imdb_id is None


def test_a_film_that_stands_twice_in_one_call_is_stored_once():
    results = stored(
        FULL, MovieData(title="Other", tmdb_id=2), MovieData(title="Alien II", tmdb_id=348)
    )
    assert [result.created for result in results] == [True, True, False]
    assert results[0].movie.pk == results[2].movie.pk
    assert set(Movie.objects.values_list("title", flat=True)) == {"Alien II", "Other"}


def test_a_film_that_stands_twice_by_different_ids_is_stored_once():
    results = stored(
        MovieData(title="Alien", tmdb_id=348, imdb_id="tt0078748"),
        MovieData(title="Alien", imdb_id="tt0078748"),
    )
    assert [result.created for result in results] == [True, False]
    assert Movie.objects.count() == 1


def test_nothing_to_store_is_nothing():
    assert stored() == []


def test_films_without_any_id_are_each_a_film():
    results = stored(MovieData(title="A"), MovieData(title="A"), source=MANUAL)
    assert [result.created for result in results] == [True, True]


def test_one_person_in_two_spellings_is_billed_once_a_role():
    cast = (
        PersonData("Ann", tmdb_id=7, character="First"),
        PersonData("Bob"),
        PersonData("Ann B.", tmdb_id=7, character="Second"),
        PersonData("Bob", character="again"),
    )
    stored(MovieData(title="A", tmdb_id=1, cast=cast, directors=(PersonData("Bob"),)))
    assert people_of(Movie.objects.get()) == [
        ("cast", 0, "Ann B.", "First"),
        ("cast", 1, "Bob", ""),
        ("director", 0, "Bob", ""),
    ]
    assert Person.objects.count() == 2


def test_a_renamed_person_and_collection_take_the_new_name():
    stored(FULL)
    stored(
        MovieData(
            title="Alien",
            tmdb_id=348,
            directors=(PersonData("Sir Ridley Scótt", tmdb_id=578),),
            collection=CollectionData(8091, "Aliens"),
        )
    )
    assert Person.objects.get(tmdb_id=578).folded_name == "sir ridley scott"
    assert Collection.objects.get().name == "Aliens"


@pytest.mark.django_db(transaction=True)
def test_twenty_identical_imports_at_once_make_one_film():
    gate, results, failures = threading.Barrier(20), [], []

    def store():
        try:
            gate.wait()
            results.extend(stored(FULL))
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=store) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [result.created for result in results].count(True) == 1
    assert len({result.movie.pk for result in results}) == 1
    assert (Movie.objects.count(), Person.objects.count(), Credit.objects.count()) == (1, 2, 2)


def test_an_upsert_costs_the_same_queries_for_one_film_as_for_fifty(
    django_assert_num_queries, django_assert_max_num_queries
):
    facts = [
        MovieData(title=f"Film {n}", tmdb_id=n, cast=(PersonData(f"Actor {n}", tmdb_id=n),))
        for n in range(1, 51)
    ]
    with django_assert_max_num_queries(14) as first:
        stored(*facts[:1])
    with django_assert_num_queries(len(first)):
        stored(*facts[1:])


# --- movies_compare, movies_remove ---------------------------------------------------------------


def test_comparing_says_what_storing_would_change_and_writes_nothing():
    movie = stored(FULL)[0].movie
    facts = [
        FULL,
        MovieData(title="New", tmdb_id=2),
        MovieData(title="New again", tmdb_id=2),
        MovieData(title="Alien", imdb_id="tt0078748"),
    ]
    compared = movies_compare(movies=facts, source=TMDB)
    assert [(each.movie_id, each.changes, each.duplicate_of) for each in compared] == [
        (movie.pk, False, None),
        (None, True, None),
        (None, False, 1),
        (movie.pk, False, 0),
    ]
    assert Movie.objects.count() == 1


@pytest.mark.parametrize(
    ("changed", "source", "changes"),
    [
        ({"title": "Aliens"}, TMDB, True),
        ({"cast": ()}, TMDB, True),
        ({"title": "Aliens"}, MOVIELENS, False),
        ({"cast": ()}, MOVIELENS, False),
        ({}, MANUAL, True),
        ({}, MOVIELENS, False),
    ],
)
def test_comparing_knows_the_authority_of_sources(changed, source, changes):
    stored(FULL)
    fact = MovieData(**{**vars(FULL), **changed})
    assert movies_compare(movies=[fact], source=source)[0].changes is changes


def test_a_removed_film_takes_only_its_own_people_along():
    stored(FULL, MovieData(title="B", tmdb_id=2, directors=(PersonData("R", tmdb_id=578),)))
    removed = movies_remove(movie_ids=[Movie.objects.get(tmdb_id=348).pk, 999_999])
    assert (removed.movies, removed.people) == (1, 1)
    assert list(Person.objects.values_list("tmdb_id", flat=True)) == [578]


# --- Ratings and the trend -----------------------------------------------------------------------


def test_ratings_set_changed_and_withdrawn_keep_count_sum_and_mean(make_movie):
    movie = make_movie()

    def after(old, new):
        movie_apply_rating(movie_id=movie.id, old_score=old, new_score=new)
        movie.refresh_from_db()
        return movie.rating_count, movie.rating_sum, movie.average_score

    assert after(None, 4.0) == (1, 4.0, 4.0)
    assert after(None, 2.5) == (2, 6.5, 3.25)
    assert after(4.0, 5.0) == (2, 7.5, 3.75)
    assert after(2.5, None) == (1, 5.0, 5.0)
    assert after(5.0, None) == (0, 0.0, None)


def test_stars_count_double_in_the_weighted_rating(make_movie):
    movie = make_movie(vote_average=8.0, vote_count=10)
    for score in (5.0, 4.0):
        movie_apply_rating(movie_id=movie.id, old_score=None, new_score=score)
    movie.refresh_from_db()
    # By hand: (10 * 8.0 + 2 * 9 + 25 * 6.5) / (10 + 2 + 25)
    assert movie.weighted_rating == pytest.approx(260.5 / 37)


def test_only_a_new_rating_moves_the_trend(make_movie):
    movie = make_movie()
    movie_apply_rating(movie_id=movie.id, old_score=None, new_score=4.0)
    movie.refresh_from_db()
    before = (movie.trend_day, movie.trend_week)
    movie_apply_rating(movie_id=movie.id, old_score=4.0, new_score=1.0)
    movie_apply_rating(movie_id=movie.id, old_score=1.0, new_score=None)
    movie.refresh_from_db()
    assert (movie.trend_day, movie.trend_week) == before


def test_the_trend_is_the_exponential_decay_of_the_ratings(make_movie, monkeypatch):
    """Against a sum in plain Python, over ratings in random order of films and of ages."""
    chance = random.Random(20260728)
    now = datetime(2026, 7, 28, 12, tzinfo=UTC)
    movies = [make_movie(f"Film {number}") for number in range(12)]
    rated = []
    for movie in movies:
        # From hours ago to years ago, so that some weights are beyond any float's reach.
        spread = chance.choice([0.5, 5, 60, 2000])
        for _ in range(chance.randrange(1, 9)):
            rated.append((now - timedelta(days=chance.random() * spread), movie.id))
    rated.sort()
    for moment, movie_id in rated:
        monkeypatch.setattr(timezone, "now", lambda moment=moment: moment)
        movie_apply_rating(movie_id=movie_id, old_score=None, new_score=3.0)
    for column, half_life_days in TREND_HALF_LIFE_DAYS.items():
        logs = {}
        for movie in movies:
            ages = [
                (now - moment).total_seconds() / 86_400 / half_life_days
                for moment, movie_id in rated
                if movie_id == movie.id
            ]
            # log2 of the sum of 2^-age, with the largest term taken out.
            youngest = min(ages)
            total = math.fsum(2.0 ** (youngest - age) for age in ages)
            logs[movie.id] = math.log2(total) - youngest
        stored_trend = dict(Movie.objects.values_list("id", column))
        position = compute_log_weight(half_life_days, now)
        for movie_id, expected in logs.items():
            assert stored_trend[movie_id] - position == pytest.approx(expected, abs=1e-6)
        ordered = Movie.objects.order_by(f"-{column}").values_list("id", flat=True)
        assert list(ordered) == sorted(logs, key=logs.get, reverse=True)


def test_a_film_rated_after_centuries_of_silence_does_not_overflow(make_movie, monkeypatch):
    movie = make_movie()
    for year in (2020, 2999, 2021):
        moment = datetime(year, 1, 1, tzinfo=UTC)
        monkeypatch.setattr(timezone, "now", lambda moment=moment: moment)
        movie_apply_rating(movie_id=movie.id, old_score=None, new_score=3.0)
    movie.refresh_from_db()
    assert movie.trend_day == pytest.approx(
        compute_log_weight(1.0, datetime(2999, 1, 1, tzinfo=UTC))
    )


@pytest.mark.django_db(transaction=True)
def test_concurrent_ratings_lose_no_count(make_movie):
    movie = make_movie()

    def rate():
        try:
            for _ in range(5):
                movie_apply_rating(movie_id=movie.id, old_score=None, new_score=3.0)
        finally:
            connection.close()

    threads = [threading.Thread(target=rate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_sum) == (40, 120.0)
    trend = movie.trend_week - compute_log_weight(7.0)
    assert trend == pytest.approx(math.log2(40), abs=0.01)


def test_many_changes_of_ratings_at_once_count_as_one_after_the_other(django_assert_num_queries):
    one, other, third = (
        Movie.objects.create(title=title, trend_day=trend, trend_week=trend)
        for title, trend in (("A", None), ("B", 2400.0), ("C", 2000.0))
    )
    singly = Movie.objects.create(title="D", trend_day=2400.0, trend_week=2400.0)
    movie_apply_rating(movie_id=singly.pk, old_score=None, new_score=4.5)
    for film in (other, third):
        movie_apply_rating(movie_id=film.pk, old_score=None, new_score=2)
    Movie.objects.filter(pk=other.pk).update(trend_day=2400.0, trend_week=2400.0)
    with django_assert_num_queries(2):
        movies_apply_ratings(
            changes=[
                RatingChange(one.pk, None, 5),
                RatingChange(other.pk, None, 4.5),
                RatingChange(other.pk, 2, 3),
                RatingChange(third.pk, 2, None),
                RatingChange(one.pk, 5, 1, timezone.now()),
            ]
        )
    with django_assert_num_queries(0):
        movies_apply_ratings(changes=[])
    counts = Movie.objects.order_by("title").values_list("rating_count", "rating_sum")
    assert list(counts) == [(1, 1), (2, 7.5), (0, 0), (1, 4.5)]
    for film in (one, other, third, singly):
        film.refresh_from_db()
    assert other.trend_day == pytest.approx(singly.trend_day, abs=1e-4)
    assert other.trend_week == pytest.approx(singly.trend_week, abs=1e-4)
    assert one.trend_day is not None
