from datetime import date

import pytest

from movies.dto import CollectionData, MovieData, PersonData
from movies.models import Movie, Person
from movies.services.ratings import movie_apply_rating
from movies.services.upsert import movies_upsert
from movies.weighted_rating import compute_weighted_rating
from nexus.core.genres import TMDB_GENRES

pytestmark = pytest.mark.django_db

SUMMARY = (
    "id tmdb_id imdb_id title original_title release_date release_year genres runtime"
    " original_language vote_average vote_count popularity weighted_rating average_score"
    " rating_count poster_url backdrop_url"
)
DETAIL = "overview tagline status keywords directors cast collection trailer_url provenance created_at updated_at"

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
    vote_average=8.2,
    vote_count=14_000,
    popularity=60.5,
    directors=(PersonData("Ridley Scott", tmdb_id=578),),
    cast=(
        PersonData("Sigourney Weaver", tmdb_id=10205, character="Ripley"),
        PersonData("Tom Skerritt", tmdb_id=4139, character="Dallas"),
    ),
)


@pytest.fixture
def alien():
    return movies_upsert(movies=[ALIEN], source=Movie.Source.TMDB)[0].movie


def get_titles(body):
    return [movie["title"] for movie in body["results"]]


def test_summary_has_the_fields_of_the_contract(api, alien):
    movie_apply_rating(movie_id=alien.id, old_score=None, new_score=4.5)

    (summary,) = api.get("/movies/").json()["results"]

    assert list(summary) == SUMMARY.split()
    assert summary == {
        "id": alien.id,
        "tmdb_id": 348,
        "imdb_id": "tt0078748",
        "title": "Alien",
        "original_title": "Alien",
        "release_date": "1979-05-25",
        "release_year": 1979,
        "genres": ["Horror", "Science Fiction"],
        "runtime": 117,
        "original_language": "en",
        "vote_average": 8.2,
        "vote_count": 14_000,
        "popularity": 60.5,
        "weighted_rating": pytest.approx(compute_weighted_rating(8.2, 14_000), abs=0.001),
        "average_score": 4.5,
        "rating_count": 1,
        "poster_url": "https://image.tmdb.org/t/p/w500/p.jpg",
        "backdrop_url": None,
    }


def test_detail_has_the_fields_of_the_contract(api, alien, django_assert_num_queries):
    person_ids = dict(Person.objects.values_list("name", "id"))

    with django_assert_num_queries(2):
        response = api.get(f"/movies/{alien.id}/")

    assert response.status_code == 200
    body = response.json()
    assert list(body) == [*SUMMARY.split(), *DETAIL.split()]
    assert body["directors"] == [{"id": person_ids["Ridley Scott"], "name": "Ridley Scott"}]
    assert [(member["id"], member["name"], member["character"]) for member in body["cast"]] == [
        (person_ids["Sigourney Weaver"], "Sigourney Weaver", "Ripley"),
        (person_ids["Tom Skerritt"], "Tom Skerritt", "Dallas"),
    ]
    assert list(body["cast"][0]) == ["id", "name", "character"]
    assert body["collection"] == {
        "id": alien.collection_id,
        "tmdb_id": 8091,
        "name": "Alien Collection",
    }
    assert (body["overview"], body["tagline"]) == ("In space.", "No one can hear you.")
    assert (body["status"], body["keywords"]) == ("Released", ["space"])
    assert body["provenance"]["source"] == "tmdb"
    assert body["provenance"]["stale"] is False
    for time in (body["provenance"]["synced_at"], body["created_at"], body["updated_at"]):
        assert time.endswith("Z")


def test_detail_of_movie_with_a_title_only_has_the_same_fields(api):
    movie = Movie.objects.create(title="Bare", sort_title="bare", search_vector="'bare':1A")

    body = api.get(f"/movies/{movie.id}/").json()

    assert list(body) == [*SUMMARY.split(), *DETAIL.split()]
    assert (body["genres"], body["directors"], body["cast"]) == ([], [], [])
    assert (body["collection"], body["average_score"], body["release_date"]) == (None, None, None)
    assert body["provenance"] == {"source": "manual", "synced_at": None, "stale": False}
    assert body["weighted_rating"] == 6.5


@pytest.mark.parametrize("number", ["1", "9223372036854775807", "9223372036854775808", "abc", "0"])
def test_unknown_movie_is_404(api, number):
    response = api.get(f"/movies/{number}/")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/movies/", "/movies/{id}/", "/movies/top_rated/", "/genres/"])
def test_catalogue_is_read_only_for_everyone(api, alien, make_user, client_of, method, path):
    staff = client_of(make_user("root", is_staff=True, is_superuser=True))

    for client in (api, staff):
        response = getattr(client, method)(path.format(id=alien.id), {"title": "Changed"})

        assert response.status_code == 405
        assert response.json()["code"] == "method_not_allowed"
        assert response["Allow"] == "GET, HEAD"
    alien.refresh_from_db()
    assert alien.title == "Alien"


def test_top_rated_lists_many_good_votes_before_few_better_ones(
    api, make_movie, django_assert_num_queries
):
    make_movie("Loved by few", vote_average=10.0, vote_count=2)
    make_movie("Loved by many", vote_average=8.5, vote_count=10_000)
    make_movie("Unseen")
    make_movie("Disliked", vote_average=3.0, vote_count=1000)

    with django_assert_num_queries(2):
        body = api.get("/movies/top_rated/").json()

    assert get_titles(body) == ["Loved by many", "Loved by few", "Unseen", "Disliked"]
    ratings = [movie["weighted_rating"] for movie in body["results"]]
    assert ratings == sorted(ratings, reverse=True)


def test_top_rated_takes_the_filters_of_the_catalogue(api, make_movie):
    make_movie("A", genres=["War"], vote_average=8.0, vote_count=100)
    make_movie("B", genres=["Drama"], vote_average=9.0, vote_count=100)

    body = api.get("/movies/top_rated/", {"genre": "War"}).json()

    assert get_titles(body) == ["A"]


def test_top_rated_refuses_an_ordering(api, db):
    response = api.get("/movies/top_rated/", {"ordering": "title"})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"ordering"}


def test_ratings_of_this_community_count_in_top_rated(api, make_movie):
    make_movie("First", vote_average=7.0, vote_count=10)
    second = make_movie("Second", vote_average=6.9, vote_count=10)
    for _ in range(5):
        movie_apply_rating(movie_id=second.id, old_score=None, new_score=5.0)

    body = api.get("/movies/top_rated/").json()

    assert get_titles(body) == ["Second", "First"]


def test_genres_are_listed_in_tmdbs_order_with_movie_counts(
    api, make_movie, django_assert_num_queries
):
    make_movie(genres=["Drama", "War"])
    make_movie(genres=["Drama"])

    # The counts, and the genres that TMDb has added.
    with django_assert_num_queries(2):
        response = api.get("/genres/")

    assert response.status_code == 200
    body = response.json()
    assert [(genre["name"], genre["tmdb_id"]) for genre in body] == list(TMDB_GENRES.items())
    counts = {genre["name"]: genre["movie_count"] for genre in body if genre["movie_count"]}
    assert counts == {"Drama": 2, "War": 1}


# --- ids -----------------------------------------------------------------------------------------


def list_ids(api, query):
    response = api.get(f"/movies/?{query}")
    assert response.status_code == 200, response.content
    return [movie["id"] for movie in response.json()["results"]]


def test_ids_select_movies_in_their_order(api, make_movie):
    first, second, third = (make_movie(f"Movie {n}").pk for n in range(3))
    make_movie("Another")

    assert list_ids(api, f"ids={third},{first},999999,{second},{first}") == [third, first, second]
    assert list_ids(api, f"ids={second},{third},{first}") == [second, third, first]


def test_an_ordering_takes_precedence_over_the_order_of_ids(api, make_movie):
    first, second = make_movie("Brazil").pk, make_movie("Alien").pk

    assert list_ids(api, f"ids={first},{second}&ordering=title") == [second, first]


def test_ids_combine_with_other_filters(api, make_movie):
    drama = make_movie("Brazil", genres=["Drama"]).pk
    horror = make_movie("Alien", genres=["Horror"]).pk

    assert list_ids(api, f"ids={horror},{drama}&genre=Drama,Drama") == [drama]
    assert list_ids(api, f"ids={horror},{drama}&search=brazil") == [drama]


def test_a_list_of_ids_is_read_page_by_page_and_by_cursor(api, make_movie):
    ids = [make_movie(f"Movie {n}").pk for n in range(5)][::-1]
    named = ",".join(map(str, ids))
    for start in ("", "&cursor="):
        url, read = f"/movies/?ids={named}&page_size=2{start}", []
        while url:
            page = api.get(url).json()
            read += [movie["id"] for movie in page["results"]]
            url = page["next"]

        assert read == ids


def test_ids_that_are_too_many_or_wrong_are_named(api):
    many = ",".join(str(number) for number in range(1, 102))
    for query, message in (
        (f"ids={many}", "101 different values. Send at most 100."),
        ("ids=1,two", "'two': This is not an id. Send ids separated by commas: 1,2,3."),
    ):
        response = api.get(f"/movies/?{query}")

        assert response.status_code == 400
        assert [error["message"] for error in response.json()["errors"]["ids"]] == [message]


def test_a_list_of_ids_is_not_stored_in_the_response_cache(api, make_movie, settings):
    settings.RESPONSE_CACHE_TTL_S = 60
    path = f"/movies/?ids={make_movie('Alien').pk}"

    api.get(path)

    assert "Age" not in api.get(path)
