from datetime import date

import pytest

from movies.dto import MovieData, PersonData
from movies.models import Collection, Movie, Person
from movies.services.catalogue import person_reindex
from movies.services.upsert import movies_upsert

pytestmark = pytest.mark.django_db

HANKS = PersonData("Tom Hanks", tmdb_id=31, popularity=40.0)
HOLLAND = PersonData("Tom Holland", tmdb_id=1136406, popularity=90.0)
TOM = PersonData("Tom", tmdb_id=7, popularity=0.1)


def store(title, tmdb_id, *, directors=(), cast=(), **fields):
    data = MovieData(title=title, tmdb_id=tmdb_id, directors=directors, cast=cast, **fields)
    return movies_upsert(movies=[data], source=Movie.Source.TMDB)[0].movie


@pytest.fixture
def hanks():
    store("That Thing You Do!", 1, release_date=date(1996, 10, 4), directors=[HANKS],
          cast=[PersonData("Tom Hanks", tmdb_id=31, popularity=40.0, character="Mr. White"), TOM])  # fmt: skip
    store("Big", 2, release_year=1988, cast=[HANKS, HOLLAND])
    store("Larry Crowne", 3, release_date=date(2011, 6, 30), directors=[HANKS])
    store("Not Dated", 4, cast=[HANKS])
    return Person.objects.get(tmdb_id=31)


def get_names(body):
    return [person["name"] for person in body["results"]]


def test_people_are_listed_by_popularity(api, hanks):
    body = api.get("/people/").json()

    assert get_names(body) == ["Tom Holland", "Tom Hanks", "Tom"]
    assert body["results"][1] == {"id": hanks.pk, "tmdb_id": 31, "name": "Tom Hanks"}


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("tom", ["Tom", "Tom Holland", "Tom Hanks"]),
        ("TOM HAN", ["Tom Hanks"]),
        ("hanks tom", ["Tom Hanks"]),
        ("t h", []),
        ("han", ["Tom Hanks"]),
        ("omar", []),
    ],
)
def test_search_finds_words_and_a_whole_name_comes_first(api, hanks, search, names):
    body = api.get("/people/", {"search": search}).json()

    assert get_names(body) == names
    assert body["count"] == len(names)


def test_search_ignores_accents(api):
    store("Volver", 5, cast=[PersonData("Penélope Cruz", tmdb_id=955)])

    assert get_names(api.get("/people/?search=penelope").json()) == ["Penélope Cruz"]


def test_search_finds_the_new_name_of_an_edited_person(api, hanks):
    hanks.name = "Thomas Hanks"
    hanks.save()

    person_reindex(person=hanks)

    assert get_names(api.get("/people/?search=thomas").json()) == ["Thomas Hanks"]
    assert get_names(api.get("/people/?search=tom%20hanks").json()) == []


def test_pages_and_cursors_of_people_repeat_nobody(api, hanks):
    for path in ("/people/?page_size=1", "/people/?page_size=1&search=tom&cursor="):
        names = []
        while path:
            body = api.get(path).json()
            names += get_names(body)
            path = body["next"]
        assert sorted(names) == ["Tom", "Tom Hanks", "Tom Holland"]


def test_lists_of_people_cost_two_queries(api, hanks, django_assert_num_queries):
    with django_assert_num_queries(2):
        api.get("/people/?search=tom")
    with django_assert_num_queries(4):
        api.get(f"/people/{hanks.pk}/movies/")


def test_search_without_a_word_is_refused(api):
    response = api.get("/people/?search=%21")

    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["search"]


def test_person_has_the_number_of_movies_in_each_role(api, hanks):
    assert api.get(f"/people/{hanks.pk}/").json() == {
        "id": hanks.pk,
        "tmdb_id": 31,
        "name": "Tom Hanks",
        "movie_counts": {"director": 2, "cast": 3},
    }
    for path in ("/people/999999/", "/people/999999/movies/"):
        assert api.get(path).status_code == 404


def test_filmography_is_newest_first_with_all_roles(api, hanks):
    body = api.get(f"/people/{hanks.pk}/movies/").json()

    assert [(each["movie"]["title"], each["roles"]) for each in body["results"]] == [
        ("Larry Crowne", [{"role": "director", "character": ""}]),
        (
            "That Thing You Do!",
            [{"role": "director", "character": ""}, {"role": "cast", "character": "Mr. White"}],
        ),
        ("Big", [{"role": "cast", "character": ""}]),
        ("Not Dated", [{"role": "cast", "character": ""}]),
    ]


def test_filmography_of_one_role(api, hanks):
    directed = api.get(f"/people/{hanks.pk}/movies/?role=director").json()

    assert [each["movie"]["title"] for each in directed["results"]] == [
        "Larry Crowne",
        "That Thing You Do!",
    ]
    assert api.get(f"/people/{hanks.pk}/movies/?role=gaffer").status_code == 400


def test_cursor_of_a_filmography_passes_movies_without_a_date(api, hanks):
    path, titles = f"/people/{hanks.pk}/movies/?page_size=1&cursor=", []
    while path:
        body = api.get(path).json()
        titles += [each["movie"]["title"] for each in body["results"]]
        path = body["next"]

    assert titles == ["Larry Crowne", "That Thing You Do!", "Big", "Not Dated"]


def test_person_merged_at_tmdb_loses_their_credits_and_vanishes(api):
    double = PersonData("Thomas Hanks", tmdb_id=99)
    store("Big", 2, cast=[double])

    store("Big", 2, cast=[HANKS])

    assert get_names(api.get("/people/?search=hanks").json()) == ["Tom Hanks"]
    assert not Person.objects.filter(tmdb_id=99).exists()


def test_person_with_other_credits_stays_after_losing_one():
    store("Big", 2, cast=[HANKS])
    store("Splash", 6, cast=[HANKS])

    store("Big", 2, cast=[HOLLAND])

    assert Person.objects.filter(tmdb_id=31).exists()


def test_movies_of_a_series_are_filtered_by_its_id(api, hanks):
    collection = Collection.objects.create(tmdb_id=10, name="Crowne Collection")
    Movie.objects.filter(tmdb_id=3).update(collection=collection)

    body = api.get(f"/movies/?collection={collection.pk}").json()

    assert [movie["title"] for movie in body["results"]] == ["Larry Crowne"]
    assert api.get("/movies/?collection=999").json()["count"] == 0
    detail = api.get(f"/movies/{body['results'][0]['id']}/").json()
    assert detail["collection"] == {
        "id": collection.pk,
        "tmdb_id": 10,
        "name": "Crowne Collection",
    }
