import base64
import json
import random
from datetime import date, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.db.models import BigIntegerField, F, Func, Q, Value
from django.db.models.lookups import Exact
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from movies import filters, search
from movies.filters import ORDERING_NAMES, ORDERINGS, filter_movies
from movies.models import SAMPLE_COLUMNS, Movie
from nexus.core.api import pagination
from nexus.core.api.pagination import paginate, paginate_list, paginate_upstream
from nexus.core.api.query_params import PageQuery
from nexus.core.db import bounded_page as cuts
from nexus.core.db.bounded_page import Sample

pytestmark = pytest.mark.django_db

URL = "/movies/"
PLAIN_ORDERINGS = [name for name in ORDERING_NAMES if not name.endswith("relevance")]


def films(count):
    """Cheap films, each like the next one but for its id."""
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
def mixed_films():
    """Films with many ties and many nulls in every column that orders."""
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


def page(api, **query):
    answer = api.get(URL, query)
    assert answer.status_code == 200, answer.json()
    return answer.json()


def walked(api, first, **query):
    """The ids of all pages from `first` on, by following `next`."""
    body = page(api, **first, **query)
    ids = [movie["id"] for movie in body["results"]]
    while body["next"]:
        answer = api.get(body["next"])
        assert answer.status_code == 200, answer.json()
        body = answer.json()
        ids += [movie["id"] for movie in body["results"]]
    return ids


@pytest.mark.parametrize("ordering", PLAIN_ORDERINGS)
def test_both_ways_walk_the_whole_list_once_in_the_same_order(api, mixed_films, ordering):
    by_page = walked(api, {"page": 1}, ordering=ordering, page_size=7)
    by_cursor = walked(api, {"cursor": ""}, ordering=ordering, page_size=7)
    assert by_page == by_cursor
    assert len(by_cursor) == len(mixed_films)
    assert set(by_cursor) == mixed_films


@pytest.mark.parametrize("ordering", ["relevance", "-relevance"])
def test_a_cursor_walks_a_search_once_by_relevance(api, mixed_films, ordering):
    by_page = walked(api, {"page": 1}, ordering=ordering, search="sam", page_size=9)
    by_cursor = walked(api, {"cursor": ""}, ordering=ordering, search="sam", page_size=9)
    assert by_page == by_cursor
    assert set(by_cursor) == mixed_films


@pytest.mark.parametrize("column", ["release_date", "runtime"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_what_is_unknown_stands_last_in_both_directions(api, mixed_films, column, sign):
    body = page(api, ordering=sign + column, page_size=100)
    values = [movie[column] for movie in body["results"]]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=bool(sign))
    assert values == known + [None] * (len(values) - len(known))
    assert 0 < len(known) < len(values)


def test_a_cursor_is_not_shifted_by_what_is_added_meanwhile(api, make_movie):
    ids = [make_movie(f"Film {number}", popularity=100.0 - number).id for number in range(6)]
    body = page(api, cursor="", page_size=3)
    make_movie("Newest", popularity=1000.0)
    rest = api.get(body["next"]).json()
    assert [movie["id"] for movie in rest["results"]] == ids[3:]
    assert rest["next"] is None


@pytest.fixture
def shallow(monkeypatch):
    """Lists that are counted to 12."""
    for module in (cuts, pagination):
        monkeypatch.setattr(module, "MAX_LIST_DEPTH", 12)


# How far a walk goes, and which films are the sample.
@pytest.fixture(
    params=[(1000, 1, 0), (2, 1, 0), (2, 2, 0), (2, 2, 1)],
    ids=["walked", "all marked", "half of them marked", "the other half marked"],
)
def long_lists(request, monkeypatch, shallow):
    """Bounds so low that a few films are too many to sort, and may stand far along an index."""
    walk, every, rest = request.param
    monkeypatch.setattr(cuts, "WALK", walk)
    monkeypatch.setattr(cuts, "WALK_A_ROW", 0)
    mod = Func(F("id"), Value(every), function="MOD", output_field=BigIntegerField())
    sample = Sample(Q(Exact(mod, Value(rest))), every, SAMPLE_COLUMNS)
    monkeypatch.setattr(filters, "SAMPLE", sample)


@pytest.mark.parametrize("ordering", PLAIN_ORDERINGS)
def test_a_list_too_long_to_sort_is_cut_from_the_same_order(api, mixed_films, long_lists, ordering):
    films = ORDERINGS[ordering].apply(Movie.objects.filter(vote_count__gte=3, popularity__gte=0.1))
    expected = list(films.values_list("id", flat=True))
    query = {"ordering": ordering, "min_votes": 3, "min_popularity": 0.1, "page_size": 6}
    assert len(expected) > 12
    assert walked(api, {"cursor": ""}, **query) == expected
    assert walked(api, {"page": 1}, **query) == expected[:12]
    assert page(api, **query)["count_is_lower_bound"] is True


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
def test_what_is_known_of_a_long_list_changes_nothing_of_it(
    api, mixed_films, long_lists, ordering, query
):
    # Of some only the year is known.
    some = sorted(mixed_films)[:5]
    Movie.objects.filter(id__in=some).update(release_date=None, release_year=1999)
    films = ORDERINGS[ordering].apply(filter_movies(Movie.objects.all(), query))
    expected = list(films.values_list("id", flat=True))
    assert len(expected) > 12
    assert walked(api, {"cursor": ""}, ordering=ordering, page_size=6, **query) == expected
    assert walked(api, {"page": 1}, ordering=ordering, page_size=6, **query) == expected[:12]


@pytest.mark.parametrize(
    "query",
    [{"search": "same"}, {"min_rating": 0}, {"min_rating": 0, "ordering": "title"}],
)
def test_where_the_sample_tells_of_many_nothing_is_counted(
    api, mixed_films, shallow, monkeypatch, query
):
    monkeypatch.setattr(filters, "SAMPLE", Sample(Q(id__gte=0), 1, SAMPLE_COLUMNS))
    monkeypatch.setattr(cuts, "_counted", None)
    body = page(api, page_size=12, **query)
    assert (body["count"], body["count_is_lower_bound"]) == (12, True)
    assert len(body["results"]) == 12


def test_where_the_sample_leaves_it_open_films_are_counted(api, mixed_films, shallow, monkeypatch):
    monkeypatch.setattr(filters, "SAMPLE", Sample(Q(id__gte=0), 1, SAMPLE_COLUMNS))
    Movie.objects.exclude(id__in=sorted(mixed_films)[:30]).delete()
    assert page(api, search="same", page_size=12)["count_is_lower_bound"] is True
    Movie.objects.exclude(id__in=sorted(mixed_films)[:12]).delete()
    body = page(api, search="same", page_size=12)
    assert (body["count"], len(body["results"])) == (12, 12)
    assert "count_is_lower_bound" not in body


def test_a_sample_is_sure_beyond_five_deviations_and_reaches_a_page_nearly_always():
    sample = Sample(Q(), 127, frozenset())
    # Of 10,000 films 78.7 are expected, give or take 8.9.
    assert sample.enough == 126
    assert [sample.reaching(rows) for rows in (20, 100, 10_000)] == [2, 4, 106]


def test_of_too_many_to_rank_the_very_title_comes_first_and_then_the_popular(
    api, mixed_films, long_lists, make_movie
):
    ids = [
        make_movie(title, popularity=popularity).id
        for title, popularity in (("Same", 0.5), ("Same", 0.2), ("Same Again", 900.0))
    ]
    Movie.objects.filter(id__in=mixed_films).update(sort_title="other")
    others = ORDERINGS["-popularity"].apply(Movie.objects.filter(id__in=mixed_films))
    expected = ids + list(others.values_list("id", flat=True))
    query = {"ordering": "relevance", "search": "same", "page_size": 4}
    assert walked(api, {"cursor": ""}, **query) == expected
    assert walked(api, {"page": 1}, **query) == expected[:12]


@pytest.mark.parametrize("ordering", ["-popularity", "title"])
def test_a_list_that_no_row_can_match_is_empty(ordering):
    request = Request(APIRequestFactory().get("/"))
    query = {"page_size": 20}
    answer = paginate(request, query, Movie.objects.none(), ORDERINGS[ordering], list)
    assert answer.data == {"count": 0, "next": None, "previous": None, "results": []}


def test_an_empty_list_has_one_empty_page(api):
    for query in ({}, {"page": 1}, {"cursor": ""}):
        assert page(api, **query) == {"count": 0, "next": None, "previous": None, "results": []}
    assert api.get(URL, {"page": 2}).status_code == 400


def test_pages_name_their_neighbours(api):
    films(5)
    first = page(api, page_size=2)
    assert (first["count"], first["previous"]) == (5, None)
    assert first["next"] == "http://testserver/movies/?page=2&page_size=2"
    second = api.get(first["next"]).json()
    assert second["previous"] == "http://testserver/movies/?page_size=2"
    last = api.get(second["next"]).json()
    assert last["next"] is None
    assert last["previous"] == first["next"]
    assert len(last["results"]) == 1


def test_links_keep_the_other_parameters(api):
    films(3)
    body = page(api, search="film", ordering="title", page_size=1)
    assert parse_qs(urlsplit(body["next"]).query) == {
        "search": ["film"],
        "ordering": ["title"],
        "page_size": ["1"],
        "page": ["2"],
    }


def test_a_page_after_the_last_is_a_400_that_names_the_last(api):
    films(5)
    answer = api.get(URL, {"page": 4, "page_size": 2})
    assert answer.status_code == 400
    assert answer.json()["errors"] == {
        "page": [{"message": "The last page is 3.", "code": "out_of_range"}]
    }


def test_a_count_is_exact_up_to_ten_thousand_and_a_lower_bound_above(api):
    films(10_000)
    body = page(api, page_size=100, page=100)
    assert body["count"] == 10_000
    assert "count_is_lower_bound" not in body
    assert body["next"] is None
    films(1)
    body = page(api, page_size=100, page=100)
    assert (body["count"], body["count_is_lower_bound"]) == (10_000, True)
    assert body["next"] is None
    deeper = api.get(URL, {"page_size": 100, "page": 101})
    assert deeper.status_code == 400
    assert "cursor=" in deeper.json()["errors"]["page"][0]["message"]
    assert page(api, page_size=3, page=3333)["next"] is None


def test_a_cursor_reads_beyond_ten_thousand(api):
    films(10_001)
    position = Movie.objects.order_by("-popularity", "id")[9_995]
    body = page(api, cursor=made([position.popularity, position.id]), page_size=100)
    assert [movie["popularity"] for movie in body["results"]] == [5.0, 4.0, 3.0, 2.0, 1.0]
    assert (body["count"], body["count_is_lower_bound"]) == (10_000, True)


def made(position):
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


FORGED = [
    "garbage",
    "a",
    "====",
    "é",
    "AAAA",
    "bnVsbA",
    made(1),
    made({}),
    made([]),
    made([1]),
    made([1, 2, 3]),
    made([None, 1]),
    made([1, None]),
    made(["x", "y"]),
    made([1.5, "1.5"]),
    made([[1], [2]]),
    made([{}, {}]),
    made([True, 1]),
    made([2**70, 1]),
    made([1, 2**70]),
    made([1, -(2**64)]),
    made(["a\x00b", 1]),
    made(["\ud800", 1]),
    made(["9999-99-99", 1]),
    made(["-1-01-01", 1]),
    made(["20000-01-01T00:00:00", 1]),
    made(["0001-01-01T00:00:00+14:00", 1]),
    made([float("nan"), 1]),
    made([float("inf"), 1]),
    base64.urlsafe_b64encode(b"[1e999, 1]").decode(),
    base64.urlsafe_b64encode(b"[" * 700).decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
]


@pytest.mark.parametrize("ordering", ["-popularity", "title", "release_date", "created_at"])
def test_a_forged_cursor_is_never_a_failure_of_ours(api, ordering):
    films(1)
    for cursor in FORGED:
        answer = api.get(URL, {"cursor": cursor, "ordering": ordering})
        # A forger may hit on a position that means something; nothing else is let through.
        assert answer.status_code in (200, 400), cursor
        if answer.status_code == 400:
            assert set(answer.json()["errors"]) == {"cursor"}, cursor


@pytest.mark.parametrize("cursor", ["garbage", "bnVsbA", made([1]), made(["x", "y"])])
def test_a_garbage_cursor_is_a_400_that_says_how_to_begin(api, cursor):
    answer = api.get(URL, {"cursor": cursor})
    assert answer.status_code == 400
    assert answer.json()["errors"]["cursor"][0]["message"] == (
        "This cursor was not made by this list. Begin with cursor=."
    )


def test_a_cursor_of_another_ordering_is_refused_where_its_columns_differ(api):
    films(3)
    made_by_title = parse_qs(
        urlsplit(page(api, cursor="", ordering="title", page_size=1)["next"]).query
    )
    answer = api.get(URL, {"cursor": made_by_title["cursor"][0], "ordering": "-popularity"})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"cursor"}


@pytest.mark.parametrize(("query", "queries"), [({}, 1), ({"page": 3}, 1), ({"cursor": ""}, 2)])
def test_a_page_costs_as_many_queries_however_many_rows_it_has(
    api, query, queries, django_assert_num_queries
):
    films(60)
    with django_assert_num_queries(queries):
        assert len(page(api, **query)["results"]) == 20


@pytest.fixture
def listed():
    """Reads a page of seven numbers with paginate_list: `listed(page=2, page_size=3)`."""

    def read(**query):
        request = Request(APIRequestFactory().get("/numbers/", query))
        numbers = list(range(7))
        answer = paginate_list(request, PageQuery.parse(request), numbers, list, source="here")
        return answer.data

    return read


def test_a_list_at_hand_has_the_same_pages(listed):
    body = listed(page=2, page_size=3)
    assert body == {
        "count": 7,
        "next": "http://testserver/numbers/?page=3&page_size=3",
        "previous": "http://testserver/numbers/?page_size=3",
        "source": "here",
        "results": [3, 4, 5],
    }
    assert listed(page=3, page_size=3)["results"] == [6]
    with pytest.raises(ValidationError, match="The last page is 3"):
        listed(page=4, page_size=3)


def test_a_list_at_hand_is_walked_by_cursor(listed):
    seen, cursor = [], ""
    while cursor is not None:
        body = listed(cursor=cursor, page_size=3)
        seen += body["results"]
        cursor = body["next"] and parse_qs(urlsplit(body["next"]).query)["cursor"][0]
    assert seen == list(range(7))
    assert listed(cursor=made([100]))["results"] == []


@pytest.mark.parametrize("position", [[-1], [1, 2], ["1"], [True], [1.0], [], None])
def test_a_list_at_hand_refuses_a_forged_cursor(listed, position):
    with pytest.raises(ValidationError, match="This cursor was not made by this list"):
        listed(cursor=made(position))


@pytest.mark.parametrize(
    ("number", "following", "before"),
    [
        (1, "?page=2", None),
        (2, "?page=3", ""),
        (3, None, "?page=2"),
        (9, None, "?page=3"),
    ],
)
def test_a_page_of_another_service_names_its_neighbours(number, following, before):
    url = "http://testserver/hits/"
    request = Request(APIRequestFactory().get("/hits/", {"page": number} if number > 1 else {}))
    body = paginate_upstream(request, number=number, last=3, count=50, results=["x"]).data
    assert body == {
        "count": 50,
        "next": following and url + following,
        "previous": None if before is None else url + before,
        "results": ["x"],
    }


def test_a_table_that_has_shrunk_since_its_statistics_were_made_is_counted(api, mixed_films):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_class SET reltuples = 1000000 WHERE oid = 'movies_movie'::regclass"
        )
    body = page(api, page_size=100)
    assert body["count"] == len(body["results"]) == Movie.objects.count()
    assert "count_is_lower_bound" not in body
    assert page(api, page_size=3)["count_is_lower_bound"] is True
