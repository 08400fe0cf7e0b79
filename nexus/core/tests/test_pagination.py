import base64
import json
import random
from datetime import date, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from movies import search
from movies.filters import ORDERING_NAMES, ORDERINGS, filter_movies
from movies.models import Movie
from nexus.core.api import pagination
from nexus.core.api.pagination import paginate, paginate_list, paginate_upstream
from nexus.core.api.query_params import PageQuery
from nexus.core.db import bounded_page

pytestmark = pytest.mark.django_db

URL = "/movies/"
PLAIN_ORDERINGS = [name for name in ORDERING_NAMES if not name.endswith("relevance")]


def insert_movies(count):
    """Insert movies that differ in popularity: `count` for the first, 1 for the last."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO movies_movie (title, original_title, original_language, genres, overview,
                tagline, status, keywords, poster_path, backdrop_path, vote_average, vote_count,
                popularity, rating_count, rating_sum, sort_title, search_vector, source,
                created_at, updated_at)
            SELECT 'Film ' || n, '', '', '[]', '', '', '', '[]', '', '', 0, 0, n, 0, 0,
                'film ' || n, '''film'':1A ''^film'':1A'::tsvector, 'manual', now(), now()
            FROM generate_series(1, %s) AS n
            """,
            [count],
        )


@pytest.fixture
def mixed_movies():
    """Movies with many ties and many nulls in every column that orders. Returns their ids."""
    chance = random.Random(20260101)
    first = date(1999, 1, 1)
    movies = []
    for _ in range(67):
        released = chance.choice([None, *(first + timedelta(days=day) for day in range(4))])
        movies.append(
            Movie(
                title="same",
                sort_title=chance.choice(["a", "b", "ä", "B", "a b"]),
                search_vector=search.build_search_vector(
                    title="same", original_title="same", people=[]
                ),
                release_date=released,
                release_year=released.year if released else None,
                runtime=chance.choice([None, 90, 100]),
                popularity=chance.choice([0.0, 0.1, 1 / 3, 7.25]),
                vote_average=chance.choice([0.0, 7.1, 7.1000001]),
                vote_count=chance.choice([0, 3, 1000]),
            )
        )
    Movie.objects.bulk_create(movies)
    Movie.objects.filter(id__in=[movie.id for movie in movies[:20]]).update(
        created_at=movies[30].created_at
    )
    return {movie.id for movie in movies}


@pytest.fixture
def max_depth_12(monkeypatch):
    """Lists that count as long from 13 rows on."""
    for module in (bounded_page, pagination):
        monkeypatch.setattr(module, "MAX_LIST_DEPTH", 12)
    monkeypatch.setattr("movies.views.MAX_LIST_DEPTH", 12)
    monkeypatch.setattr("movies.filters.MAX_LIST_DEPTH", 12)


def get_page(api, **query):
    response = api.get(URL, query)
    assert response.status_code == 200, response.json()
    return response.json()


def follow_next(api, first, **query):
    """Return the ids of all pages from `first` on."""
    body = get_page(api, **first, **query)
    ids = [movie["id"] for movie in body["results"]]
    while body["next"]:
        response = api.get(body["next"])
        assert response.status_code == 200, response.json()
        body = response.json()
        ids += [movie["id"] for movie in body["results"]]
    return ids


def sort_ids(movies, ordering):
    keys = ORDERINGS[ordering].keys
    return list(
        movies.order_by(*(key.unindexed_order for key in keys)).values_list("id", flat=True)
    )


def encode_cursor(position):
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


@pytest.mark.parametrize("ordering", PLAIN_ORDERINGS)
def test_pages_and_cursors_list_all_movies_in_the_same_order(api, mixed_movies, ordering):
    by_page = follow_next(api, {"page": 1}, ordering=ordering, page_size=7)
    by_cursor = follow_next(api, {"cursor": ""}, ordering=ordering, page_size=7)

    assert by_page == by_cursor
    assert len(by_cursor) == len(mixed_movies)
    assert set(by_cursor) == mixed_movies


@pytest.mark.parametrize("ordering", ["relevance", "-relevance"])
def test_pages_and_cursors_list_a_search_in_the_same_order(api, mixed_movies, ordering):
    query = {"ordering": ordering, "search": "sam", "page_size": 9}

    by_page = follow_next(api, {"page": 1}, **query)
    by_cursor = follow_next(api, {"cursor": ""}, **query)

    assert by_page == by_cursor
    assert set(by_cursor) == mixed_movies


@pytest.mark.parametrize("column", ["release_date", "runtime"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_nulls_come_last_in_both_directions(api, mixed_movies, column, sign):
    body = get_page(api, ordering=sign + column, page_size=100)

    values = [movie[column] for movie in body["results"]]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=bool(sign))
    assert values == known + [None] * (len(values) - len(known))
    assert 0 < len(known) < len(values)


def test_a_movie_added_meanwhile_does_not_shift_the_next_page_of_a_cursor(api, make_movie):
    ids = [make_movie(f"Film {number}", popularity=100.0 - number).id for number in range(6)]
    body = get_page(api, cursor="", page_size=3)

    make_movie("Newest", popularity=1000.0)
    rest = api.get(body["next"]).json()

    assert [movie["id"] for movie in rest["results"]] == ids[3:]
    assert rest["next"] is None


@pytest.mark.parametrize("ordering", PLAIN_ORDERINGS)
def test_a_long_list_is_in_the_same_order_as_a_short_one(api, mixed_movies, max_depth_12, ordering):
    movies = Movie.objects.filter(vote_count__gte=3, popularity__gte=0.1)
    expected = sort_ids(movies, ordering)
    query = {"ordering": ordering, "min_votes": 3, "min_popularity": 0.1, "page_size": 6}

    by_cursor = follow_next(api, {"cursor": ""}, **query)
    by_page = follow_next(api, {"page": 1}, **query)

    assert len(expected) > 12
    assert by_cursor == expected
    assert by_page == expected[:12]
    assert get_page(api, **query)["count_is_lower_bound"] is True


@pytest.mark.parametrize("ordering", ["runtime", "-runtime", "release_date", "-release_date"])
@pytest.mark.parametrize("known", [0, 3, 8, 12])
def test_a_page_of_a_long_list_continues_with_the_nulls(
    api, mixed_movies, max_depth_12, ordering, known
):
    with_value = sorted(mixed_movies)[:known]
    Movie.objects.exclude(id__in=with_value).update(runtime=None, release_date=None)
    Movie.objects.filter(id__in=with_value).update(
        runtime=90, release_date=date(1999, 1, 2), release_year=1999
    )
    expected = sort_ids(Movie.objects.all(), ordering)

    for page_size in (3, 5):
        query = {"ordering": ordering, "page_size": page_size}
        by_page = follow_next(api, {"page": 1}, **query)
        assert by_page == expected[: 12 // page_size * page_size]
        assert follow_next(api, {"cursor": ""}, **query) == expected


@pytest.mark.parametrize(
    ("ordering", "query"),
    [
        ("release_date", {"year": 1999}),
        ("-release_date", {"year_gte": 1998, "year_lte": 1999}),
        ("runtime", {"min_runtime": 90}),
        ("-runtime", {"max_runtime": 99}),
        ("vote_average", {"min_rating": 0.5}),
        ("-vote_average", {"max_rating": 7.1}),
        ("popularity", {"min_popularity": 0.2}),
        ("-popularity", {"search": "sam"}),
        ("release_date", {"search": "same"}),
    ],
)
def test_a_long_list_may_be_filtered_by_the_column_that_orders_it(
    api, mixed_movies, max_depth_12, ordering, query
):
    # Of some movies only the year is known.
    Movie.objects.filter(id__in=sorted(mixed_movies)[:5]).update(
        release_date=None, release_year=1999
    )
    expected = sort_ids(filter_movies(Movie.objects.all(), query), ordering)

    by_cursor = follow_next(api, {"cursor": ""}, ordering=ordering, page_size=6, **query)
    by_page = follow_next(api, {"page": 1}, ordering=ordering, page_size=6, **query)

    assert len(expected) > 12
    assert by_cursor == expected
    assert by_page == expected[:12]


def test_a_search_with_too_many_matches_to_rank_lists_exact_titles_and_then_by_popularity(
    api, mixed_movies, max_depth_12, make_movie
):
    ids = [
        make_movie(title, popularity=popularity).id
        for title, popularity in (("Same", 0.5), ("Same", 0.2), ("Same Again", 900.0))
    ]
    others = Movie.objects.filter(id__in=mixed_movies)
    vector = search.build_search_vector(title="Another", original_title="same", people=[])
    others.update(sort_title="another", search_vector=vector)
    expected = ids + sort_ids(others, "-popularity")
    query = {"ordering": "relevance", "search": "same", "page_size": 4}

    by_cursor = follow_next(api, {"cursor": ""}, **query)
    by_page = follow_next(api, {"page": 1}, **query)

    assert by_cursor == expected
    assert by_page == expected[:12]


@pytest.mark.parametrize("ordering", ["-popularity", "title"])
def test_a_list_that_no_row_can_match_is_empty(ordering):
    request = Request(APIRequestFactory().get("/"))

    response = paginate(request, {"page_size": 20}, Movie.objects.none(), ORDERINGS[ordering], list)

    assert response.data == {"count": 0, "next": None, "previous": None, "results": []}


def test_an_empty_list_has_one_empty_page(api):
    for query in ({}, {"page": 1}, {"cursor": ""}):
        body = get_page(api, **query)
        assert body == {"count": 0, "next": None, "previous": None, "results": []}

    assert api.get(URL, {"page": 2}).status_code == 400


def test_a_page_links_the_next_and_the_previous_page(api):
    insert_movies(5)

    first = get_page(api, page_size=2)
    second = api.get(first["next"]).json()
    last = api.get(second["next"]).json()

    assert (first["count"], first["previous"]) == (5, None)
    assert first["next"] == "http://testserver/movies/?page=2&page_size=2"
    assert second["previous"] == "http://testserver/movies/?page_size=2"
    assert last["next"] is None
    assert last["previous"] == first["next"]
    assert len(last["results"]) == 1


def test_links_keep_the_other_parameters(api):
    insert_movies(3)

    body = get_page(api, search="film", ordering="title", page_size=1)

    assert parse_qs(urlsplit(body["next"]).query) == {
        "search": ["film"],
        "ordering": ["title"],
        "page_size": ["1"],
        "page": ["2"],
    }


def test_a_page_beyond_the_end_is_rejected_with_the_number_of_the_last_page(api):
    insert_movies(5)

    response = api.get(URL, {"page": 4, "page_size": 2})

    assert response.status_code == 400
    assert response.json()["errors"] == {
        "page": [{"message": "The last page is 3.", "code": "out_of_range"}]
    }


def test_the_count_is_exact_up_to_ten_thousand(api):
    insert_movies(10_000)

    body = get_page(api, page_size=100, page=100)

    assert body["count"] == 10_000
    assert "count_is_lower_bound" not in body
    assert body["next"] is None


def test_the_count_is_a_lower_bound_above_ten_thousand(api):
    insert_movies(10_001)

    body = get_page(api, page_size=100, page=100)
    deeper = api.get(URL, {"page_size": 100, "page": 101})

    assert (body["count"], body["count_is_lower_bound"]) == (10_000, True)
    assert body["next"] is None
    assert deeper.status_code == 400
    assert "cursor=" in deeper.json()["errors"]["page"][0]["message"]
    assert get_page(api, page_size=3, page=3333)["next"] is None


def test_a_cursor_reads_beyond_ten_thousand(api):
    insert_movies(10_001)
    last_read = Movie.objects.order_by("-popularity", "id")[9_995]

    cursor = encode_cursor([last_read.popularity, last_read.id])
    body = get_page(api, cursor=cursor, page_size=100)

    assert [movie["popularity"] for movie in body["results"]] == [5.0, 4.0, 3.0, 2.0, 1.0]
    assert (body["count"], body["count_is_lower_bound"]) == (10_000, True)


FORGED = [
    "garbage",
    "a",
    "====",
    "é",
    "AAAA",
    "bnVsbA",
    encode_cursor(1),
    encode_cursor({}),
    encode_cursor([]),
    encode_cursor([1]),
    encode_cursor([1, 2, 3]),
    encode_cursor([None, 1]),
    encode_cursor([1, None]),
    encode_cursor(["x", "y"]),
    encode_cursor([1.5, "1.5"]),
    encode_cursor([[1], [2]]),
    encode_cursor([{}, {}]),
    encode_cursor([True, 1]),
    encode_cursor([2**70, 1]),
    encode_cursor([1, 2**70]),
    encode_cursor([1, -(2**64)]),
    encode_cursor(["a\x00b", 1]),
    encode_cursor(["\ud800", 1]),
    encode_cursor(["9999-99-99", 1]),
    encode_cursor(["-1-01-01", 1]),
    encode_cursor(["20000-01-01T00:00:00", 1]),
    encode_cursor(["0001-01-01T00:00:00+14:00", 1]),
    encode_cursor([float("nan"), 1]),
    encode_cursor([float("inf"), 1]),
    base64.urlsafe_b64encode(b"[1e999, 1]").decode(),
    base64.urlsafe_b64encode(b"[" * 700).decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
]


@pytest.mark.parametrize("ordering", ["-popularity", "title", "release_date", "created_at"])
def test_a_forged_cursor_never_causes_a_server_error(api, ordering):
    insert_movies(1)
    for cursor in FORGED:
        response = api.get(URL, {"cursor": cursor, "ordering": ordering})
        # A forged position may be a valid one.
        assert response.status_code in (200, 400), cursor
        if response.status_code == 400:
            assert set(response.json()["errors"]) == {"cursor"}, cursor


@pytest.mark.parametrize(
    "cursor", ["garbage", "bnVsbA", encode_cursor([1]), encode_cursor(["x", "y"])]
)
def test_a_malformed_cursor_is_rejected_with_advice(api, cursor):
    response = api.get(URL, {"cursor": cursor})

    assert response.status_code == 400
    assert response.json()["code"] == "bad_cursor"
    assert response.json()["errors"]["cursor"] == [
        {
            "message": "This cursor was not made by this list. Begin with cursor=.",
            "code": "bad_cursor",
        }
    ]


@pytest.mark.parametrize(
    ("ordering", "position"),
    [
        ("-created_at", ["9999-12-31T23:59:59-23:59", 1]),
        ("-created_at", ["0001-01-01T00:00:00+23:59", 1]),
        ("-created_at", ["2020-01-01T00:00:00+16:00", 1]),
        ("-created_at", ["2020-01-01T00:00:00+01:00", 1]),
        ("-created_at", ["2020-01-01T00:00:00", 1]),
        ("-created_at", ["2020-01-01T00:00:00Z", 1]),
        ("-created_at", ["2020-01-01", 1]),
        ("-created_at", [1577836800, 1]),
        ("release_date", ["2020-01-01T00:00:00", 1]),
        ("release_date", ["2020-W01-1", 1]),
        ("release_date", ["20200101", 1]),
        ("-popularity", ["7.0", 1]),
        ("-popularity", [7, 1]),
        ("-popularity", [7.0, 1.0]),
        ("-popularity", [7.0, "1"]),
        ("-popularity", [7.0, 2**63]),
        ("runtime", [2**31, 1]),
        ("runtime", [-1, 1]),
        ("title", [7, 1]),
    ],
)
def test_a_cursor_is_accepted_only_as_this_service_writes_it(api, ordering, position):
    response = api.get(URL, {"cursor": encode_cursor(position), "ordering": ordering})

    assert (response.status_code, response.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize(
    ("ordering", "position"),
    [
        ("-created_at", ["9999-12-31T23:59:59.999999+00:00", 1]),
        ("created_at", ["0001-01-01T00:00:00+00:00", 1]),
        ("release_date", ["9999-12-31", 1]),
        ("-release_date", [None, 1]),
        ("-popularity", [1e308, -(2**63)]),
        ("runtime", [2**31 - 1, 2**63 - 1]),
        ("title", ["", 1]),
    ],
)
def test_extreme_values_that_can_be_stored_are_valid_cursors(api, ordering, position):
    response = api.get(URL, {"cursor": encode_cursor(position), "ordering": ordering})

    assert response.status_code == 200


def test_a_cursor_of_another_ordering_is_rejected_if_the_column_types_differ(api):
    insert_movies(3)
    by_title = get_page(api, cursor="", ordering="title", page_size=1)["next"]
    [cursor] = parse_qs(urlsplit(by_title).query)["cursor"]

    response = api.get(URL, {"cursor": cursor, "ordering": "-popularity"})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"cursor"}


@pytest.mark.parametrize("query", [{}, {"page": 3}, {"cursor": ""}])
def test_a_page_costs_two_queries(api, query, django_assert_num_queries):
    insert_movies(60)

    with django_assert_num_queries(2):
        assert len(get_page(api, **query)["results"]) == 20


def get_numbers_page(**query):
    """Return a page of the numbers 0 to 6, made by paginate_list."""
    request = Request(APIRequestFactory().get("/numbers/", query))
    numbers = list(range(7))
    return paginate_list(request, PageQuery.parse(request), numbers, list, source="here").data


def test_a_list_in_memory_has_the_same_envelope():
    body = get_numbers_page(page=2, page_size=3)

    assert body == {
        "count": 7,
        "next": "http://testserver/numbers/?page=3&page_size=3",
        "previous": "http://testserver/numbers/?page_size=3",
        "source": "here",
        "results": [3, 4, 5],
    }


def test_a_list_in_memory_ends_with_its_last_page():
    assert get_numbers_page(page=3, page_size=3)["results"] == [6]
    with pytest.raises(ValidationError, match="The last page is 3"):
        get_numbers_page(page=4, page_size=3)


def test_a_list_in_memory_is_read_by_cursor():
    numbers, cursor = [], ""
    while cursor is not None:
        body = get_numbers_page(cursor=cursor, page_size=3)
        numbers += body["results"]
        cursor = body["next"] and parse_qs(urlsplit(body["next"]).query)["cursor"][0]

    assert numbers == list(range(7))
    assert get_numbers_page(cursor=encode_cursor([100]))["results"] == []


@pytest.mark.parametrize("position", [[-1], [1, 2], ["1"], [True], [1.0], [], None])
def test_a_list_in_memory_rejects_a_forged_cursor(position):
    with pytest.raises(ValidationError, match="This cursor was not made by this list"):
        get_numbers_page(cursor=encode_cursor(position))


@pytest.mark.parametrize(
    ("number", "next_query", "previous_query"),
    [
        (1, "?page=2", None),
        (2, "?page=3", ""),
        (3, None, "?page=2"),
        (9, None, "?page=3"),
    ],
)
def test_a_page_of_another_service_links_its_neighbors(number, next_query, previous_query):
    url = "http://testserver/hits/"
    request = Request(APIRequestFactory().get("/hits/", {"page": number} if number > 1 else {}))

    body = paginate_upstream(request, number=number, last=3, count=50, results=["x"]).data

    assert body == {
        "count": 50,
        "next": next_query and url + next_query,
        "previous": None if previous_query is None else url + previous_query,
        "results": ["x"],
    }
