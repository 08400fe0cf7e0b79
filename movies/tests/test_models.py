from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from movies.dto import MAX_COUNT, MAX_POPULARITY, MAX_RUNTIME_MIN
from movies.models import MAX_AGE, Collection, Credit, Movie, Person

pytestmark = pytest.mark.django_db

NAN, INF = float("nan"), float("inf")


def raises_violation_of(constraint):
    return pytest.raises(IntegrityError, match=f'"{constraint}"')


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        *(("movie_vote_average_range", {"vote_average": v}) for v in (NAN, INF, -INF, -0.1, 10.1)),
        *(("movie_popularity_range", {"popularity": v}) for v in (NAN, INF, -INF, -1.0, 1.1e9)),
        *(
            ("movie_rating_sum_range", {"rating_count": 2, "rating_sum": v})
            for v in (NAN, INF, -INF, 0.0, 1.9, 10.1)
        ),
        ("movie_rating_sum_range", {"rating_sum": 1.0}),
        ("movie_counts_range", {"vote_count": MAX_COUNT + 1}),
        ("movie_counts_range", {"rating_count": MAX_COUNT + 1, "rating_sum": 3e9}),
        ("movies_movie_vote_count_check", {"vote_count": -1}),
        ("movie_rating_sum_range", {"rating_count": -1, "rating_sum": -2.0}),
        ("movie_runtime_range", {"runtime": 0}),
        ("movie_runtime_range", {"runtime": MAX_RUNTIME_MIN + 1}),
        ("movie_release_year_range", {"release_year": 1869}),
        ("movie_release_year_range", {"release_year": 2201}),
        ("movie_release_year_of_date", {"release_date": date(1999, 1, 1), "release_year": 1998}),
        ("movie_title_not_empty", {"title": ""}),
        ("movie_lists_are_arrays", {"genres": {"a": 1}}),
        ("movie_lists_are_arrays", {"keywords": "text"}),
        ("movie_lists_are_arrays", {"genres": 7}),
        ("movie_tmdb_id_positive", {"tmdb_id": 0}),
        *(
            ("movie_imdb_id_shape", {"imdb_id": v})
            for v in ("0078748", "tt78", "tt00787481234"[:12] + "x", "", "tt0078748\n", "TT0078748")
            if len(v) <= 12
        ),
    ],
)
def test_constraint_refuses_impossible_values(make_movie, constraint, changes):
    movie = make_movie("Alien")

    with raises_violation_of(constraint), transaction.atomic():
        Movie.objects.filter(id=movie.id).update(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"vote_average": 10.0, "popularity": MAX_POPULARITY, "vote_count": MAX_COUNT},
        {"rating_count": 2, "rating_sum": 2.0},
        {"rating_count": 2, "rating_sum": 10.0},
        {"runtime": 1},
        {"runtime": MAX_RUNTIME_MIN},
        {"release_year": 1870},
        {"release_date": date(2200, 12, 31), "release_year": 2200},
        {"imdb_id": "tt1234567890"},
        {"imdb_id": None, "tmdb_id": None},
    ],
)
def test_values_at_the_bounds_are_accepted(make_movie, changes):
    movie = make_movie("Alien")

    assert Movie.objects.filter(id=movie.id).update(**changes) == 1


def test_release_date_without_release_year_is_refused(make_movie):
    movie = make_movie("Alien")

    with raises_violation_of("movie_release_year_of_date"), transaction.atomic():
        Movie.objects.filter(id=movie.id).update(release_date=date(1999, 1, 1), release_year=None)


def test_two_movies_cannot_have_the_same_tmdb_or_imdb_id(make_movie):
    make_movie("Alien", tmdb_id=348, imdb_id="tt0078748")
    other = make_movie("Other")

    for column, value in (("tmdb_id", 348), ("imdb_id", "tt0078748")):
        with pytest.raises(IntegrityError), transaction.atomic():
            Movie.objects.filter(id=other.id).update(**{column: value})


def test_person_and_position_are_unique_in_the_role_of_a_movie(make_movie):
    movie = make_movie("Alien", cast=["Ann", "Bob"])
    ann, bob = Person.objects.order_by("name")

    with raises_violation_of("credit_person"), transaction.atomic():
        Credit.objects.create(movie=movie, person=ann, role="cast", position=9)
    with raises_violation_of("credit_position"), transaction.atomic():
        Credit.objects.filter(person=bob).update(position=0)
    Credit.objects.create(movie=movie, person=ann, role="director", position=0)


def test_only_people_with_tmdb_ids_can_have_the_same_name():
    Person.objects.create(name="Ann", folded_name="ann")
    Person.objects.create(name="Ann", folded_name="ann", tmdb_id=1)
    Person.objects.create(name="Ann", folded_name="ann", tmdb_id=2)

    with raises_violation_of("person_name_unique"), transaction.atomic():
        Person.objects.create(name="Ann", folded_name="ann")


def test_every_float_column_has_an_upper_bound_which_excludes_nan():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'movies_movie'::regclass AND contype = 'c'"
        )
        checks = " ".join(row[0] for row in cursor.fetchall())

    for column in ("vote_average", "popularity", "rating_sum"):
        assert f"{column} <=" in checks


def test_rows_are_named_by_title_or_name():
    assert str(Movie(title="Alien", release_year=1979)) == "Alien (1979)"
    assert str(Movie(title="Alien")) == "Alien"
    assert str(Collection(name="Aliens")) == "Aliens"
    assert str(Credit(person=Person(name="Ann"), role="cast")) == "Ann (cast)"
    assert str(Person(name="Ann")) == "Ann"


@pytest.mark.parametrize(
    ("source", "age", "stale"),
    [
        (Movie.Source.TMDB, timedelta(days=1), False),
        (Movie.Source.TMDB, MAX_AGE - timedelta(minutes=1), False),
        (Movie.Source.TMDB, MAX_AGE + timedelta(minutes=1), True),
        (Movie.Source.TMDB, None, True),
        (Movie.Source.STARTER, MAX_AGE * 9, False),
    ],
)
def test_data_of_tmdb_is_stale_after_half_a_year(source, age, stale):
    synced_at = None if age is None else timezone.now() - age

    assert Movie(title="Alien", source=source, synced_at=synced_at).is_stale is stale


@pytest.mark.parametrize("count", [1, 15])
def test_movies_with_credits_cost_two_queries_for_any_number(
    make_movie, count, django_assert_num_queries
):
    for number in range(count):
        make_movie(f"Movie {number}", directors=["Ann"], cast=[f"Actor {number}", "Bob"])

    with django_assert_num_queries(2):
        for movie in Movie.objects.with_credits():
            assert [credit.person.name for credit in movie.credits.all()][-1] == "Ann"
