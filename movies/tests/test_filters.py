import random
from datetime import date
from itertools import combinations

import pytest
from django.db import connection

from movies.dto import MovieData, PersonData
from movies.filters import (
    ORDERING_NAMES,
    ORDERINGS,
    GenreListField,
    filter_movies,
    narrow_to_tokens,
    rank_movies,
)
from movies.models import Movie, Person
from movies.services.upsert import movies_upsert
from nexus.core.genres import GENRE_NAMES

pytestmark = pytest.mark.django_db


MOVIES = [
    MovieData(
        title="The Matrix",
        tmdb_id=603,
        imdb_id="tt0133093",
        release_date=date(1999, 3, 30),
        genres=("Action", "Science Fiction"),
        keywords=("virtual reality", "dystopia"),
        runtime=136,
        original_language="en",
        vote_average=8.2,
        vote_count=26_000,
        popularity=90.0,
        directors=(PersonData("Lana Wachowski"), PersonData("Lilly Wachowski")),
        cast=(PersonData("Keanu Reeves"), PersonData("Carrie-Anne Moss")),
    ),
    MovieData(
        title="Amélie",
        tmdb_id=194,
        imdb_id="tt0211915",
        original_title="Le Fabuleux Destin d'Amélie Poulain",
        release_date=date(2001, 4, 25),
        genres=("Comedy", "Romance"),
        keywords=("paris",),
        runtime=122,
        original_language="fr",
        vote_average=7.9,
        vote_count=11_000,
        popularity=40.0,
        directors=(PersonData("Jean-Pierre Jeunet"),),
        cast=(PersonData("Audrey Tautou"),),
    ),
    MovieData(
        title="Spirited Away",
        tmdb_id=129,
        imdb_id="tt0245429",
        original_title="千と千尋の神隠し",
        release_date=date(2001, 7, 20),
        genres=("Animation", "Family", "Fantasy"),
        runtime=125,
        original_language="ja",
        vote_average=8.5,
        vote_count=16_000,
        popularity=80.0,
        directors=(PersonData("Hayao Miyazaki"),),
    ),
    MovieData(
        title="Speed",
        tmdb_id=97,
        release_date=date(1994, 6, 10),
        genres=("Action", "Thriller"),
        runtime=116,
        original_language="en",
        vote_average=7.1,
        vote_count=6_000,
        popularity=30.0,
        directors=(PersonData("Jan de Bont"),),
        cast=(PersonData("Keanu Reeves"), PersonData("Sandra Bullock")),
    ),
    MovieData(
        title="Alien Resurrection",
        tmdb_id=98,
        release_year=1997,
        genres=("Science Fiction", "Horror", "Action"),
        original_language="en",
        vote_average=6.1,
        vote_count=5_000,
        popularity=20.0,
        directors=(PersonData("Jean-Pierre Jeunet"),),
        cast=(PersonData("Sigourney Weaver"),),
    ),
    MovieData(title="Unknown", tmdb_id=99, popularity=1.0),
]


@pytest.fixture
def catalogue(db):
    """Store six movies that differ in every filtered column."""
    movies_upsert(movies=MOVIES, source=Movie.Source.STARTER)


def list_titles(api, **query):
    response = api.get("/movies/", query)
    assert response.status_code == 200, response.json()
    body = response.json()
    assert body["count"] == len(body["results"])
    return [movie["title"] for movie in body["results"]]


MATRIX, AWAY, AMELIE, SPEED = "The Matrix", "Spirited Away", "Amélie", "Speed"
ALIEN, UNKNOWN = "Alien Resurrection", "Unknown"


RESULTS = [
    ({}, [MATRIX, AWAY, AMELIE, SPEED, ALIEN, UNKNOWN]),
    ({"genre": "Action"}, [MATRIX, SPEED, ALIEN]),
    ({"genre": "action,Science Fiction"}, [MATRIX, ALIEN]),
    ({"genre": "28,878"}, [MATRIX, ALIEN]),
    ({"genre": "Horror|Romance"}, [AMELIE, ALIEN]),
    ({"genre": ["Action", "Horror|Thriller"]}, [SPEED, ALIEN]),
    ({"genre": ["Action", "Romance"]}, []),
    ({"genre": ["Action|Romance", "Romance|Horror", "Action|Horror"]}, [ALIEN]),
    ({"genre": ["Action|Comedy", "Science Fiction|Comedy", "Action", "878|28"]}, [MATRIX, ALIEN]),
    ({"genre": "Western"}, []),
    ({"exclude_genre": "Action"}, [AWAY, AMELIE, UNKNOWN]),
    ({"exclude_genre": "Horror|Romance"}, [MATRIX, AWAY, SPEED, UNKNOWN]),
    ({"exclude_genre": "Horror,Romance"}, [MATRIX, AWAY, SPEED, UNKNOWN]),
    ({"genre": "Action", "exclude_genre": ["Horror", "Thriller"]}, [MATRIX]),
    ({"year": "2001"}, [AWAY, AMELIE]),
    ({"year": "1997"}, [ALIEN]),
    ({"year_gte": "1999"}, [MATRIX, AWAY, AMELIE]),
    ({"year_lte": "1999"}, [MATRIX, SPEED, ALIEN]),
    ({"year_gte": "1995", "year_lte": "1999"}, [MATRIX, ALIEN]),
    ({"min_rating": "8.2"}, [MATRIX, AWAY]),
    ({"max_rating": "7.1", "min_votes": "1"}, [SPEED, ALIEN]),
    ({"min_votes": "11000"}, [MATRIX, AWAY, AMELIE]),
    ({"min_popularity": "40"}, [MATRIX, AWAY, AMELIE]),
    ({"min_runtime": "125"}, [MATRIX, AWAY]),
    ({"max_runtime": "122"}, [AMELIE, SPEED]),
    ({"min_runtime": "117", "max_runtime": "125"}, [AWAY, AMELIE]),
    ({"original_language": "en"}, [MATRIX, SPEED, ALIEN]),
    ({"original_language": "JA"}, [AWAY]),
    ({"keyword": "Virtual Reality"}, [MATRIX]),
    ({"keyword": "virtual"}, []),
    ({"tmdb_id": "129"}, [AWAY]),
    ({"imdb_id": "tt0211915"}, [AMELIE]),
    ({"person": "Keanu Reeves"}, [MATRIX, SPEED]),
    ({"person": "jean-pierre JEUNET"}, [AMELIE, ALIEN]),
    ({"person": "Keanu"}, []),
    ({"person": "999999999"}, []),
    ({"search": "matrix"}, [MATRIX]),
    ({"search": "MATR"}, [MATRIX]),
    ({"search": "matri the"}, []),
    ({"search": "amelie"}, [AMELIE]),
    ({"search": "AMÉLIE"}, [AMELIE]),
    ({"search": "fabuleux destin"}, [AMELIE]),
    ({"search": "d'amelie"}, [AMELIE]),
    ({"search": "damelie poulain"}, [AMELIE]),
    ({"search": "千と千尋"}, [AWAY]),
    ({"search": "keanu"}, [MATRIX, SPEED]),
    ({"search": "reeves speed"}, [SPEED]),
    ({"search": "wachowski"}, [MATRIX]),
    ({"search": "carrie anne"}, [MATRIX]),
    ({"search": "carrie-anne mo"}, [MATRIX]),
    ({"search": "spe"}, [SPEED]),
    ({"search": "zzz"}, []),
    ({"search": "' | matrix & !:* <->"}, [MATRIX]),
    ({"title": "matrix"}, [MATRIX]),
    ({"title": "keanu"}, []),
    ({"title": "fabuleux"}, []),
    ({"search": "keanu", "genre": "Science Fiction"}, [MATRIX]),
    ({"search": "keanu", "title": "spe", "year_lte": "1994", "min_rating": "7"}, [SPEED]),
    ({"genre": "Action", "person": "Jean-Pierre Jeunet", "max_rating": "6.1"}, [ALIEN]),
]


def test_each_filter_finds_its_movies_alone_and_with_others(api, catalogue):
    for query, titles in RESULTS:
        assert list_titles(api, **query) == titles, query


def test_movies_are_found_by_the_id_of_a_person(api, catalogue):
    person = Person.objects.get(name="Keanu Reeves")

    assert list_titles(api, person=person.id) == [MATRIX, SPEED]


@pytest.mark.parametrize(
    ("values", "merged"),
    [
        (["Drama"] * 100, [(",", ("Drama",))]),
        (["18", "drama", "Drama,18"], [(",", ("Drama",))]),
        (["Drama", "Crime"], [(",", ("Crime", "Drama"))]),
        (["28|12|16"] * 88, [("|", ("Action", "Adventure", "Animation"))]),
        (["12|28", "28|12"], [("|", ("Action", "Adventure"))]),
        # The wider choice follows from the narrower one, and a choice from a required genre.
        (["Action|Crime|War", "Action|Crime"], [("|", ("Action", "Crime"))]),
        (["Action|Crime", "Action"], [(",", ("Action",))]),
    ],
)
def test_genres_are_merged_to_the_shortest_list_with_the_same_meaning(values, merged):
    assert GenreListField().run_validation(values) == merged


def test_up_to_twenty_different_genre_expressions_are_accepted(api):
    pairs = [f"{one}|{other}" for one, other in combinations(GENRE_NAMES, 2)]

    for name in ("genre", "exclude_genre"):
        assert api.get("/movies/", {name: pairs[:20] * 3}).status_code == 200
        response = api.get("/movies/", {name: pairs[:21]})
        assert response.status_code == 400
        assert response.json()["errors"] == {
            name: [{"message": "21 different values. Send at most 20.", "code": "max_length"}]
        }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("genre", "Opera"),
        ("genre", "Action,Drama|Comedy"),
        ("genre", "Action,"),
        ("exclude_genre", "Opera"),
        ("year", "1869"),
        ("year", "2201"),
        ("year", "99999"),
        ("year", "-1"),
        ("year", "0"),
        ("year", "nineteen"),
        ("year", "1999.0"),
        ("year_gte", "10000"),
        ("year_lte", "٢٠٠١"),
        ("min_rating", "-0.1"),
        ("min_rating", "10.1"),
        ("min_rating", "nan"),
        ("max_rating", "inf"),
        ("max_rating", "1e1"),
        ("min_votes", "-1"),
        ("min_votes", "99999999999999999999"),
        ("min_popularity", "NaN"),
        ("min_popularity", "-1"),
        ("min_runtime", "-1"),
        ("max_runtime", "1_0"),
        ("original_language", "english"),
        ("original_language", "e"),
        ("person", "٣"),
        ("person", "9223372036854775808"),
        ("person", "0"),
        ("person", "a\x00b"),
        ("keyword", "a\x00b"),
        ("search", "a\x00b"),
        ("search", ""),
        ("search", "!?&"),
        ("search", "x" * 201),
        ("title", "…"),
        ("tmdb_id", "0"),
        ("tmdb_id", "2147483648"),
        ("imdb_id", "0133093"),
        ("imdb_id", "tt1"),
        ("ordering", "id"),
        ("ordering", "--popularity"),
        ("ordering", "relevance"),
        ("ordering", "password"),
    ],
)
def test_a_malformed_value_is_rejected_and_named(api, name, value):
    response = api.get("/movies/", {name: value})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {name}


def test_a_lone_surrogate_in_the_query_never_causes_a_server_error(api):
    for query in ("search=%ED%A0%80", "person=%ED%A0%80", "keyword=%FF", "genre=%ED%A0%80"):
        assert api.get(f"/movies/?{query}").status_code in (200, 400)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ({"year_gte": 2001}, {"year_lte": 2000}),
        ({"min_rating": 8}, {"max_rating": 7}),
        ({"min_runtime": 100}, {"max_runtime": 99}),
    ],
)
def test_a_lower_bound_above_the_upper_one_is_rejected(api, low, high):
    response = api.get("/movies/", {**low, **high})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == set(low)


@pytest.mark.parametrize("name", ["year", "search", "ordering", "person"])
def test_a_repeated_single_parameter_is_rejected(api, name):
    response = api.get(f"/movies/?{name}=2001&{name}=2001")

    assert response.status_code == 400
    assert response.json()["errors"][name][0]["code"] == "repeated"


def test_relevance_lists_the_exact_title_first_and_titles_before_people(api, make_movie):
    make_movie("Alien vs. Predator", popularity=99.0)
    make_movie("Something Else", popularity=98.0, cast=["Alien Smith"])
    make_movie("Visitors", original_title="Alien", popularity=97.0)
    make_movie("Alien", popularity=1.0)
    make_movie("Aliens", popularity=2.0)

    titles = list_titles(api, search="alien", ordering="relevance")

    assert titles[0] == "Alien"
    assert titles.index("Alien vs. Predator") < titles.index("Visitors")
    assert titles.index("Visitors") < titles.index("Something Else")
    assert set(titles) == {"Alien", "Aliens", "Alien vs. Predator", "Visitors", "Something Else"}


def test_equally_relevant_movies_are_sorted_by_popularity_and_then_by_id(api, make_movie):
    first = make_movie("Solaris", popularity=5.0)
    second = make_movie("Solaris", popularity=5.0)
    third = make_movie("Solaris", popularity=9.0)

    results = api.get("/movies/", {"search": "solaris", "ordering": "relevance"}).json()["results"]

    assert [movie["id"] for movie in results] == [third.id, first.id, second.id]


SORTED_BY = {
    "popularity": lambda movie: movie.popularity,
    "vote_average": lambda movie: movie.vote_average,
    "weighted_rating": lambda movie: movie.weighted_rating,
    "created_at": lambda movie: movie.created_at,
    "release_date": lambda movie: movie.release_date,
    "runtime": lambda movie: movie.runtime,
    "title": lambda movie: movie.sort_title,
}


@pytest.fixture
def many_movies(make_movie):
    chance = random.Random(7)
    return [
        make_movie(
            chance.choice(["The Wall", "Wall", "Éclair", "eclair", "Zoo", "A Zoo"]),
            popularity=chance.choice([1.0, 2.0]),
            vote_average=chance.choice([5.0, 8.0]),
            vote_count=chance.choice([0, 100]),
            runtime=chance.choice([None, 90, 120]),
            release_date=chance.choice([None, date(2000, 1, 1), date(2010, 1, 1)]),
        )
        for _ in range(30)
    ]


@pytest.mark.parametrize("ordering", [name for name in ORDERING_NAMES if "relevance" not in name])
def test_an_ordering_sorts_by_its_column_then_by_id_and_lists_nulls_last(
    api, many_movies, ordering
):
    column, descending = ordering.lstrip("-"), ordering.startswith("-")
    value = SORTED_BY[column]
    movies = list(Movie.objects.all())
    known = [movie for movie in movies if value(movie) is not None]
    ids_descend = ORDERINGS[ordering].keys[-1].descending
    unknown = sorted((movie.id for movie in movies if value(movie) is None), reverse=ids_descend)
    # Python's sort is stable: the second one keeps the order of ids among equal values.
    known.sort(key=lambda movie: movie.id, reverse=ids_descend)
    known.sort(key=value, reverse=descending)
    expected = [movie.id for movie in known] + unknown

    results = api.get("/movies/", {"ordering": ordering, "page_size": 100}).json()["results"]

    assert [movie["id"] for movie in results] == expected


def test_every_ordering_of_the_contract_exists_and_ends_in_the_id():
    names = {*SORTED_BY, "relevance"}
    assert set(ORDERING_NAMES) == names | {f"-{name}" for name in names}
    assert all(ordering.keys[-1].name == "id" for ordering in ORDERINGS.values())


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"genre": "Action,Science Fiction", "exclude_genre": "Horror"},
        {"search": "keanu", "ordering": "relevance"},
        {"person": "Keanu Reeves", "keyword": "dystopia", "year": "1999"},
        {"tmdb_id": "603"},
    ],
)
def test_a_list_costs_two_queries(api, catalogue, query, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert api.get("/movies/", query).json()["count"] >= 1


# --- Plans on a large table -----------------------------------------------------------------------


@pytest.fixture
def large_table(db):
    """Insert 19,000 movies, of which few are westerns."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO movies_movie (title, original_title, original_language, genres, overview,
                tagline, status, keywords, poster_path, backdrop_path, vote_average, vote_count,
                popularity, rating_count, rating_sum, sort_title, search_vector, source,
                release_date, release_year, runtime, created_at, updated_at)
            SELECT 'Film ' || n, '', 'en',
                CASE WHEN n % 400 = 0 THEN '["Western"]' ELSE '["Drama"]' END::jsonb, '', '', '',
                '[]', '', '', (n * 7 % 100) / 10.0, n % 1000, (n * 31 % 20000) / 7.0, 0, 0,
                'film ' || n, ('''film'':1A ''' || n || ''':2A')::tsvector, 'manual',
                make_date(1900 + n % 120, 1 + n % 12, 1), 1900 + n % 120, 60 + n % 120,
                now() - n * interval '1 minute', now()
            FROM generate_series(1, 19000) AS n
            """
        )
        # Autovacuum merges new entries into a GIN index; a test must do it itself.
        cursor.execute("SELECT gin_clean_pending_list('movie_words'::regclass)")
        cursor.execute("ANALYZE movies_movie")


def explain_page(movies, ordering):
    """Return the plan of the ids of a first page that walks the index of its ordering."""
    first = ordering.get_ranges()[0]
    order = [key.indexed_order for key in first.keys]
    return movies.filter(first.where).order_by(*order).values("pk")[:20].explain()


@pytest.mark.parametrize("name", [name for name in ORDERING_NAMES if "relevance" not in name])
def test_a_page_of_all_movies_walks_the_index_of_its_ordering(large_table, name):
    plan = explain_page(Movie.objects.all(), ORDERINGS[name])

    assert "Index Only Scan" in plan
    assert "Sort" not in plan


def test_a_page_after_a_cursor_begins_at_its_position_in_the_index(large_table):
    [after] = ORDERINGS["-popularity"].get_ranges_after([1000.0, 5])

    movies = Movie.objects.filter(after.where).order_by("-popularity", "id")
    plan = movies.values("pk")[:20].explain()

    assert "Index Only Scan using movie_popularity" in plan
    assert "Index Cond: (popularity <= '1000" in plan


@pytest.mark.parametrize(
    ("params", "index"),
    [
        ({"genre": [(",", ["Western"])]}, "movie_words"),
        ({"genre": [("|", ["Western", "War"])]}, "movie_words"),
        ({"keyword": "paris"}, "movie_words"),
        ({"search": "1234"}, "movie_words"),
        ({"search": "film", "genre": [(",", ["Western"])], "year_gte": 2000}, "movie_words"),
    ],
)
def test_a_short_list_is_found_by_the_index_of_its_filters(large_table, params, index):
    movies = filter_movies(Movie.objects.all(), params)

    plan = movies.order_by(ORDERINGS["-popularity"].keys[0].unindexed_order).values("pk").explain()

    assert index in plan
    assert "Seq Scan" not in plan


def test_one_index_serves_words_genres_and_tokens_together(large_table):
    params = {
        "search": "film",
        "genre": [(",", ["Western"])],
        "year_gte": 2000,
        "original_language": "en",
    }

    movies = narrow_to_tokens(filter_movies(Movie.objects.all(), params), params)
    plan = movies.values("pk").explain()

    assert "movie_words" in plan
    assert "BitmapAnd" not in plan


def test_a_ranked_search_reads_the_index_of_words(large_table):
    movies = filter_movies(Movie.objects.all(), {"search": "1234"})

    ranked, ordering = rank_movies(movies, "1234", count=1)
    plan = ranked.order_by(*(key.unindexed_order for key in ordering.keys)).values("pk").explain()

    assert "movie_words" in plan
    assert "Seq Scan" not in plan
