from datetime import date

import pytest

from movies.dto import CollectionData, MovieData, PersonData
from movies.models import Movie, Person
from movies.services.ratings import movie_apply_rating
from movies.services.upsert import movies_upsert
from movies.weighted_rating import weighted_rating
from nexus.core.genres import TMDB_GENRES

pytestmark = pytest.mark.django_db

SUMMARY = (
    "id tmdb_id imdb_id title original_title release_date release_year genres runtime"
    " original_language vote_average vote_count popularity weighted_rating average_score"
    " rating_count poster_url backdrop_url"
)
DETAIL = (
    "overview tagline status keywords directors cast collection provenance created_at updated_at"
)

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


def test_a_summary_has_the_contracts_fields(api, alien):
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
        "weighted_rating": pytest.approx(weighted_rating(8.2, 14_000), abs=0.001),
        "average_score": 4.5,
        "rating_count": 1,
        "poster_url": "https://image.tmdb.org/t/p/w500/p.jpg",
        "backdrop_url": None,
    }


def test_a_film_has_all_the_catalogue_knows(api, alien, django_assert_num_queries):
    with django_assert_num_queries(2):
        answer = api.get(f"/movies/{alien.id}/")
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == [*SUMMARY.split(), *DETAIL.split()]
    ids = dict(Person.objects.values_list("name", "id"))
    assert body["directors"] == [{"id": ids["Ridley Scott"], "name": "Ridley Scott"}]
    assert body["cast"] == [
        {"id": ids["Sigourney Weaver"], "name": "Sigourney Weaver", "character": "Ripley"},
        {"id": ids["Tom Skerritt"], "name": "Tom Skerritt", "character": "Dallas"},
    ]
    assert body["collection"] == {"tmdb_id": 8091, "name": "Alien Collection"}
    assert (body["overview"], body["tagline"]) == ("In space.", "No one can hear you.")
    assert (body["status"], body["keywords"]) == ("Released", ["space"])
    assert body["provenance"]["source"] == "tmdb"
    assert body["provenance"]["stale"] is False
    for moment in (body["provenance"]["synced_at"], body["created_at"], body["updated_at"]):
        assert moment.endswith("Z")


def test_a_bare_film_has_the_same_fields(api):
    movie = Movie.objects.create(title="Bare", sort_title="bare", search_vector="'bare':1A")
    body = api.get(f"/movies/{movie.id}/").json()
    assert list(body) == [*SUMMARY.split(), *DETAIL.split()]
    assert (body["genres"], body["directors"], body["cast"]) == ([], [], [])
    assert (body["collection"], body["average_score"], body["release_date"]) == (None, None, None)
    assert body["provenance"] == {"source": "manual", "synced_at": None, "stale": False}
    assert body["weighted_rating"] == 6.5


@pytest.mark.parametrize("number", ["1", "9223372036854775807", "9223372036854775808", "abc", "0"])
def test_an_unknown_film_is_404(api, number):
    answer = api.get(f"/movies/{number}/")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/movies/", "/movies/{id}/", "/movies/top_rated/", "/genres/"])
def test_nobody_writes_the_catalogue_over_http(api, alien, make_user, client_of, method, path):
    staff = client_of(make_user("root", is_staff=True, is_superuser=True))
    for client in (api, staff):
        answer = getattr(client, method)(path.format(id=alien.id), {"title": "Changed"})
        assert answer.status_code == 405
        assert answer.json()["code"] == "method_not_allowed"
        assert answer["Allow"] == "GET, HEAD"
    alien.refresh_from_db()
    assert alien.title == "Alien"


def test_top_rated_puts_many_good_votes_over_few_better_ones(
    api, make_movie, django_assert_num_queries
):
    make_movie("Loved by few", vote_average=10.0, vote_count=2)
    make_movie("Loved by many", vote_average=8.5, vote_count=10_000)
    make_movie("Unseen")
    make_movie("Disliked", vote_average=3.0, vote_count=1000)
    with django_assert_num_queries(2):
        body = api.get("/movies/top_rated/").json()
    assert [movie["title"] for movie in body["results"]] == [
        *("Loved by many", "Loved by few", "Unseen", "Disliked")
    ]
    ratings = [movie["weighted_rating"] for movie in body["results"]]
    assert ratings == sorted(ratings, reverse=True)


def test_top_rated_takes_the_catalogues_filters_and_no_ordering(api, make_movie):
    make_movie("A", genres=["War"], vote_average=8.0, vote_count=100)
    make_movie("B", genres=["Drama"], vote_average=9.0, vote_count=100)
    body = api.get("/movies/top_rated/", {"genre": "War"}).json()
    assert [movie["title"] for movie in body["results"]] == ["A"]
    answer = api.get("/movies/top_rated/", {"ordering": "title"})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"ordering"}


def test_the_communitys_ratings_lift_a_film_among_the_top(api, make_movie):
    make_movie("First", vote_average=7.0, vote_count=10)
    second = make_movie("Second", vote_average=6.9, vote_count=10)
    for _ in range(5):
        movie_apply_rating(movie_id=second.id, old_score=None, new_score=5.0)
    body = api.get("/movies/top_rated/").json()
    assert [movie["title"] for movie in body["results"]] == ["Second", "First"]


def test_genres_are_tmdbs_with_their_films(api, make_movie, django_assert_num_queries):
    make_movie(genres=["Drama", "War"])
    make_movie(genres=["Drama"])
    with django_assert_num_queries(1):
        answer = api.get("/genres/")
    assert answer.status_code == 200
    body = answer.json()
    assert [(genre["name"], genre["tmdb_id"]) for genre in body] == list(TMDB_GENRES.items())
    assert {genre["name"]: genre["movie_count"] for genre in body if genre["movie_count"]} == {
        "Drama": 2,
        "War": 1,
    }
