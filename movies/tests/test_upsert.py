import dataclasses
import threading
from datetime import date
from itertools import combinations

import pytest
from django.db import connection

from movies.dto import LIST_ENTRY_FIELDS, CollectionData, MovieData, PersonData
from movies.models import Collection, Credit, Movie, Person
from movies.services.upsert import AUTHORITY, movies_compare, movies_upsert

pytestmark = pytest.mark.django_db

STARTER, TMDB = Movie.Source.STARTER, Movie.Source.TMDB
MOVIELENS, MANUAL = Movie.Source.MOVIELENS, Movie.Source.MANUAL

ALIEN = MovieData(
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


def store(*movies, source=TMDB):
    return movies_upsert(movies=list(movies), source=source)


def read_credits_of(movie):
    credits_ = movie.credits.select_related("person")
    return [(one.role, one.position, one.person.name, one.character) for one in credits_]


# --- movies_upsert -------------------------------------------------------------------------------


def test_new_movie_is_stored_with_credits_and_collection():
    (result,) = store(ALIEN)

    assert result.created
    movie = Movie.objects.get()
    assert movie.pk == result.movie.pk
    assert movie.release_year == 1979
    assert movie.collection.name == "Alien Collection"
    assert (movie.source, movie.sort_title) == (TMDB, "alien")
    assert movie.synced_at is not None
    assert read_credits_of(movie) == [
        ("cast", 0, "Sigourney Weaver", "Ripley"),
        ("director", 0, "Ridley Scott", ""),
    ]


def test_every_field_of_the_data_that_is_a_column_is_copied():
    """The claim of CONTRIBUTING.md: names alone decide."""
    columns = {field.name for field in Movie._meta.concrete_fields} - {"collection"}
    shared = [field.name for field in dataclasses.fields(MovieData) if field.name in columns]
    derived = {"release_year"}

    store(ALIEN)

    movie = Movie.objects.get()
    for name in set(shared) - derived:
        value = getattr(ALIEN, name)
        assert value, f"{name} is not tested"
        assert getattr(movie, name) == (list(value) if isinstance(value, tuple) else value), name
    assert set(LIST_ENTRY_FIELDS) <= set(shared)


def test_same_data_again_changes_nothing_and_keeps_every_id():
    first = store(ALIEN)[0].movie
    person_ids = set(Person.objects.values_list("id", flat=True))

    again = store(ALIEN)[0]

    assert (again.created, again.movie.pk) == (False, first.pk)
    assert set(Person.objects.values_list("id", flat=True)) == person_ids
    assert (Movie.objects.count(), Credit.objects.count()) == (1, 2)
    assert Movie.objects.get().created_at == first.created_at


def test_newer_data_of_the_same_source_replaces_the_older():
    store(ALIEN)

    store(MovieData(title="Alien, again", tmdb_id=348, genres=("Drama",)))

    movie = Movie.objects.get()
    assert (movie.title, movie.genres, movie.runtime) == ("Alien, again", ["Drama"], None)
    assert read_credits_of(movie) == []


def test_known_imdb_id_stays_if_newer_data_does_not_have_it():
    store(ALIEN)

    store(MovieData(title="Alien", tmdb_id=348))

    assert Movie.objects.get().imdb_id == "tt0078748"


def test_list_entry_leaves_details_unchanged():
    store(ALIEN)

    store(MovieData(title="Alien (list)", tmdb_id=348, vote_count=15_000, is_list_entry=True))

    movie = Movie.objects.get()
    assert (movie.title, movie.vote_count) == ("Alien (list)", 15_000)
    assert (movie.runtime, movie.tagline) == (117, "No one can hear you.")
    assert movie.collection.tmdb_id == 8091
    assert len(read_credits_of(movie)) == 2
    assert "'ripley'" not in movie.search_vector
    assert "'weaver'" in movie.search_vector


@pytest.mark.parametrize(("lower", "higher"), [*combinations(AUTHORITY, 2)])
def test_source_of_more_authority_wins_in_either_order(lower, higher):
    low = MovieData(title="Low", tmdb_id=1, runtime=90, overview="low")
    high = MovieData(title="High", tmdb_id=1, runtime=100)
    for first, second in ((low, high), (high, low)):
        Movie.objects.all().delete()

        for data in (first, second):
            store(data, source=lower if data is low else higher)

        movie = Movie.objects.get()
        assert (movie.title, movie.runtime, movie.source) == ("High", 100, higher)
        # The lower source fills an empty field of the higher one, but does not survive it.
        assert movie.overview == ("low" if second is low else "")


def test_source_of_less_authority_only_fills_empty_fields():
    store(MovieData(title="Alien", imdb_id="tt0078748"), source=STARTER)

    store(ALIEN, source=MOVIELENS)

    movie = Movie.objects.get()
    assert (movie.tmdb_id, movie.runtime, movie.genres) == (348, 117, list(ALIEN.genres))
    assert movie.source == STARTER
    assert (movie.release_date, movie.release_year) == (date(1979, 5, 25), 1979)


def test_filled_release_date_corrects_the_release_year():
    store(MovieData(title="Alien", tmdb_id=348, release_year=1978), source=TMDB)

    store(ALIEN, source=MOVIELENS)

    movie = Movie.objects.get()
    assert (movie.release_year, movie.release_date) == (1979, date(1979, 5, 25))


def test_movie_is_known_by_imdb_id_if_the_tmdb_id_is_new():
    first = store(MovieData(title="Alien", imdb_id="tt0078748"), source=STARTER)[0].movie

    result = store(ALIEN)[0]

    assert (result.created, result.movie.pk) == (False, first.pk)
    assert Movie.objects.get().tmdb_id == 348


def test_imdb_id_of_another_movie_stays_with_that_movie():
    first = store(ALIEN)[0].movie
    other = store(MovieData(title="Copy", tmdb_id=2), source=TMDB)[0].movie

    store(MovieData(title="Copy", tmdb_id=2, imdb_id="tt0078748"))

    assert Movie.objects.get(pk=first.pk).imdb_id == "tt0078748"
    assert Movie.objects.get(pk=other.pk).imdb_id is None


def test_movie_that_is_twice_in_one_call_is_stored_once():
    results = store(
        ALIEN, MovieData(title="Other", tmdb_id=2), MovieData(title="Alien II", tmdb_id=348)
    )

    assert [result.created for result in results] == [True, True, False]
    assert results[0].movie.pk == results[2].movie.pk
    assert set(Movie.objects.values_list("title", flat=True)) == {"Alien II", "Other"}


def test_movie_that_is_twice_in_one_call_by_different_ids_is_stored_once():
    results = store(
        MovieData(title="Alien", tmdb_id=348, imdb_id="tt0078748"),
        MovieData(title="Alien", imdb_id="tt0078748"),
    )

    assert [result.created for result in results] == [True, False]
    assert Movie.objects.count() == 1


def test_storing_no_movies_returns_no_results():
    assert store() == []


def test_movies_without_ids_are_never_the_same_movie():
    results = store(MovieData(title="A"), MovieData(title="A"), source=MANUAL)

    assert [result.created for result in results] == [True, True]


def test_person_in_two_spellings_has_one_credit_in_a_role():
    cast = (
        PersonData("Ann", tmdb_id=7, character="First"),
        PersonData("Bob"),
        PersonData("Ann B.", tmdb_id=7, character="Second"),
        PersonData("Bob", character="again"),
    )

    store(MovieData(title="A", tmdb_id=1, cast=cast, directors=(PersonData("Bob"),)))

    assert read_credits_of(Movie.objects.get()) == [
        ("cast", 0, "Ann B.", "First"),
        ("cast", 1, "Bob", ""),
        ("director", 0, "Bob", ""),
    ]
    assert Person.objects.count() == 2


def test_renamed_person_and_collection_take_the_new_name():
    store(ALIEN)

    store(
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
def test_twenty_simultaneous_imports_create_one_movie():
    barrier, results, failures = threading.Barrier(20), [], []

    def store_at_once():
        try:
            barrier.wait()
            results.extend(store(ALIEN))
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=store_at_once) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert [result.created for result in results].count(True) == 1
    assert len({result.movie.pk for result in results}) == 1
    assert (Movie.objects.count(), Person.objects.count(), Credit.objects.count()) == (1, 2, 2)


def test_upsert_of_fifty_movies_takes_as_many_queries_as_of_one(
    django_assert_num_queries, django_assert_max_num_queries
):
    movies = [
        MovieData(title=f"Movie {n}", tmdb_id=n, cast=(PersonData(f"Actor {n}", tmdb_id=n),))
        for n in range(1, 51)
    ]

    with django_assert_max_num_queries(14) as first:
        store(*movies[:1])
    with django_assert_num_queries(len(first)):
        store(*movies[1:])


# --- movies_compare ------------------------------------------------------------------------------


def test_comparison_reports_what_an_upsert_would_change_and_writes_nothing():
    movie = store(ALIEN)[0].movie
    movies = [
        ALIEN,
        MovieData(title="New", tmdb_id=2),
        MovieData(title="New again", tmdb_id=2),
        MovieData(title="Alien", imdb_id="tt0078748"),
    ]

    results = movies_compare(movies=movies, source=TMDB)

    assert [(result.movie_id, result.changes, result.duplicate_of) for result in results] == [
        (movie.pk, False, None),
        (None, True, None),
        (None, False, 1),
        (movie.pk, False, 0),
    ]
    assert list(Movie.objects.values_list("title", flat=True)) == ["Alien"]


@pytest.mark.parametrize(
    ("changed", "source", "changes"),
    [
        ({"title": "Aliens"}, TMDB, True),
        ({"cast": ()}, TMDB, True),
        ({"collection": CollectionData(1, "New")}, TMDB, True),
        ({"title": "Aliens"}, MOVIELENS, False),
        ({"cast": ()}, MOVIELENS, False),
        ({}, MANUAL, True),
        ({}, MOVIELENS, False),
    ],
)
def test_comparison_respects_the_authority_of_sources(changed, source, changes):
    store(ALIEN)

    (result,) = movies_compare(movies=[dataclasses.replace(ALIEN, **changed)], source=source)

    assert result.changes is changes
