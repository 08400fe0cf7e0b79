import pytest

from movies.filters import filter_movies
from movies.models import Movie
from movies.search import SEARCH_TOKENS, build_token_condition

pytestmark = pytest.mark.django_db

VALUES = {
    "release_year": [None, 1929, 1930, 1999, 2000, 2024, 2025],
    "runtime": [None, 9, 10, 119, 120, 121, 150],
    "vote_average": [0.0, 0.5, 6.9, 7.0, 10.0],
    "vote_count": [0, 1, 49, 50, 5000],
    "popularity": [0.0, 0.6, 2.99, 3.0, 900.0],
    "original_language": ["", "e", "en", "ja"],
}


@pytest.fixture
def movies(make_movie):
    """Store a movie for each value of each column that tokens are made of."""
    for column, values in VALUES.items():
        for value in values:
            movie = make_movie(f"{column} {value}")
            Movie.objects.filter(id=movie.id).update(release_date=None, **{column: value})


@pytest.mark.parametrize(
    "params",
    [
        *({"year": year} for year in (1929, 1930, 1931, 2025)),
        *({"year_gte": year} for year in (1870, 1929, 1930, 1999, 2000, 2200)),
        *({"year_lte": year} for year in (1929, 1930, 1999, 2000, 2200)),
        {"year_gte": 1999, "year_lte": 2000},
        *({"min_runtime": runtime} for runtime in (0, 9, 10, 11, 120, 151)),
        *({"max_runtime": runtime} for runtime in (0, 9, 10, 119, 120, 150)),
        *({"min_rating": rating} for rating in (0, 0.4, 0.5, 7, 8.5)),
        *({"max_rating": rating} for rating in (0, 0.4, 0.5, 6.9, 7, 10)),
        *({"min_votes": votes} for votes in (0, 1, 2, 49, 50, 1000)),
        *({"min_popularity": popularity} for popularity in (0, 0.5, 0.6, 3, 50)),
        *({"original_language": code} for code in ("en", "EN", "ja", "qq", "enx")),
        {"original_language": "en", "min_votes": 0, "year_lte": 2200},
    ],
)
def test_tokens_leave_out_no_movie_that_passes_the_filters(movies, params):
    passing = filter_movies(Movie.objects.all(), params)

    narrowed = passing.filter(build_token_condition(params))

    assert set(narrowed) == set(passing)


@pytest.mark.parametrize(
    ("params", "runtimes"),
    [
        ({"min_runtime": 120}, {120, 121, 150}),
        ({"max_runtime": 9}, {9}),
        ({"min_runtime": 60, "max_runtime": 89}, set()),
        # No floor is at 10, and no ceiling above 149.
        ({"min_runtime": 10}, {None, 9, 10, 119, 120, 121, 150}),
        ({"max_runtime": 149}, {None, 9, 10, 119, 120, 121, 150}),
    ],
)
def test_tokens_leave_out_movies_on_the_other_side_of_an_edge(movies, params, runtimes):
    narrowed = Movie.objects.filter(build_token_condition(params), title__startswith="runtime")

    assert set(narrowed.values_list("runtime", flat=True)) == runtimes


def test_an_unknown_value_has_no_token(movies):
    tokens = Movie.objects.annotate(tokens=SEARCH_TOKENS).get(title="runtime None").tokens

    assert not [token for token in tokens if token is not None and 200 <= token < 300]
