import contextlib
import copy
import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movies.models import Collection, Credit, Movie, Person
from tmdb import parsers as parse
from tmdb.client.errors import TmdbAdult, TmdbUnusable, TmdbVideo
from tmdb.fake.server import ADULT_ID, FILMS, FIRST_ID, UNDATED_ID, _search

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def film():
    return copy.deepcopy(FILMS[FIRST_ID])


@pytest.fixture
def page():
    return copy.deepcopy(_search({"query": ""}))


def read(film):
    return parse.movie(film, tmdb_id=FIRST_ID)


def test_a_film_becomes_the_catalogues_facts(film):
    facts = read(film)
    assert facts.title == "The Salt Cartographer"
    assert facts.release_date == date(2011, 3, 4)
    assert facts.release_year == 2011
    assert facts.genres == ("Drama", "Mystery")
    assert facts.runtime == 118
    assert facts.keywords == ("island",)
    assert facts.imdb_id == f"tt{FIRST_ID}"
    assert [person.name for person in facts.directors] == ["Ottoline Verhaag"]
    assert [(person.name, person.character) for person in facts.cast] == [
        ("Bram Ostrander", "The First One"),
        ("Ilse Quintero", "The Other One"),
    ]


def test_what_tmdb_leaves_empty_is_unknown():
    facts = parse.movie(FILMS[UNDATED_ID], tmdb_id=UNDATED_ID)
    assert facts.release_date is None
    assert facts.release_year is None
    assert facts.runtime is None
    assert facts.imdb_id is None
    assert facts.poster_path == ""


def test_a_series_becomes_a_collection():
    tmdb_id = next(number for number, film in FILMS.items() if film["title"] == "Copper Meridian")
    collection = parse.movie(FILMS[tmdb_id], tmdb_id=tmdb_id).collection
    assert collection.name == "Copper Meridian Collection"


def test_a_film_of_another_id_is_refused(film):
    with pytest.raises(TmdbUnusable, match="other than"):
        parse.movie(film, tmdb_id=FIRST_ID + 1)


def test_an_adult_title_is_refused():
    with pytest.raises(TmdbAdult):
        parse.movie(FILMS[ADULT_ID], tmdb_id=ADULT_ID)


@pytest.mark.parametrize("document", [None, [], "film", 5, {}, {"id": True}, {"id": str(FIRST_ID)}])
def test_what_is_no_film_is_refused(document):
    with pytest.raises(TmdbUnusable):
        read(document)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", None),
        ("title", ""),
        ("title", " \x00 "),
        ("title", 5),
        ("overview", ["text"]),
        ("release_date", 2011),
        ("runtime", "118"),
        ("runtime", -1),
        ("runtime", True),
        ("vote_average", 10.5),
        ("vote_average", -0.1),
        ("vote_average", "8.1"),
        ("vote_average", float("nan")),
        ("vote_count", -1),
        ("vote_count", 1.5),
        ("vote_count", 10**12),
        ("popularity", float("inf")),
        ("popularity", 10**400),
        ("adult", "false"),
        ("genres", {"id": 18}),
        ("credits", "none"),
        ("keywords", [1]),
        ("belongs_to_collection", {"id": 0, "name": "x"}),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(film, field, value):
    film[field] = value
    with pytest.raises(TmdbUnusable):
        read(film)


@pytest.mark.parametrize(
    "value",
    ["", None, "2011", "2011-02-30", "0000-01-01", "1869-12-31", "2201-01-01", "٢٠١١-٠٣-٠٤"],
)
def test_a_day_that_no_film_can_have_is_unknown(film, value):
    film["release_date"] = value
    assert read(film).release_date is None


@pytest.mark.parametrize("value", ["", None, "nm0000001", "tt12", "tt0111161\n1", "tt٠١١١١٦١"])
def test_an_imdb_id_of_another_shape_is_unknown(film, value):
    film["imdb_id"] = value
    assert read(film).imdb_id is None


@pytest.mark.parametrize(
    "value", ["poster.jpg", "//other.example.org/x.jpg", "/../x.jpg?y", "/a b.jpg", "/" + "x" * 300]
)
def test_an_image_path_that_is_no_plain_name_is_left_out(film, value):
    film["poster_path"] = value
    assert read(film).poster_path == ""


def test_texts_are_cut_to_their_columns_and_freed_of_what_cannot_be_stored(film):
    film["title"] = "\x00A\ud800 " + "x" * 600
    film["credits"]["cast"][1]["character"] = "y" * 600
    facts = read(film)
    assert facts.title.startswith("A x")
    assert len(facts.title) == 500
    assert len(facts.cast[0].character) == 500


def test_bounds_are_those_of_the_columns():
    def length(model, field):
        return model._meta.get_field(field).max_length

    assert length(Movie, "title") == length(Movie, "original_title") == parse.MAX_TITLE
    assert length(Collection, "name") == parse.MAX_TITLE
    assert length(Person, "name") == parse.MAX_NAME
    assert length(Credit, "character") == parse.MAX_CHARACTER
    assert length(Movie, "tagline") == parse.MAX_TAGLINE
    assert length(Movie, "status") == parse.MAX_STATUS
    assert length(Movie, "original_language") == parse.MAX_LANGUAGE
    assert length(Movie, "poster_path") == length(Movie, "backdrop_path") == parse.MAX_PATH


def test_the_cast_is_the_first_twenty_by_billing(film):
    cast = [
        {"id": 500 - n, "name": f"Person {n}", "order": n, "character": None} for n in range(40)
    ]
    film["credits"]["cast"] = [*reversed(cast), {"id": 900, "name": "Unbilled"}]
    assert [person.name for person in read(film).cast] == [f"Person {n}" for n in range(20)]


def test_one_bad_member_of_the_cast_spoils_nothing(film):
    film["credits"]["cast"][:0] = [None, {"id": "x", "name": "No id"}, {"id": 7, "name": ""}]
    assert [person.name for person in read(film).cast] == ["Bram Ostrander", "Ilse Quintero"]


def test_a_genre_that_the_catalogue_does_not_know_is_left_out(film):
    film["genres"] = [{"id": 9648}, {"id": 1, "name": "New"}, {"id": 18}, {"id": 18}]
    assert read(film).genres == ("Drama", "Mystery")


def test_keywords_are_lower_case_and_stand_once(film):
    film["keywords"] = {"keywords": [{"name": "Night Shift"}, {"name": "night shift"}, {}]}
    assert read(film).keywords == ("night shift",)


def test_a_search_page_keeps_its_hits_in_order(page):
    found = parse.search_page(page)
    assert [hit.id for hit in found.hits] == [each["id"] for each in page["results"]]
    assert found.total_results == page["total_results"]
    assert found.hits[0].genres == ["Drama", "Mystery"]


def test_a_hit_that_makes_no_sense_is_left_out(page):
    page["results"][0]["id"] = "9000000"
    page["results"][1]["popularity"] = float("nan")
    page["results"][2] = None
    assert len(parse.search_page(page).hits) == len(page["results"]) - 3


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"results": None, "total_results": 0, "total_pages": 0},
        {"results": [], "total_results": "0", "total_pages": 0},
        {"results": [], "total_results": 0},
        {"results": [{"id": 1}], "total_results": 1, "total_pages": 1},
    ],
)
def test_what_is_no_page_is_refused(document):
    with pytest.raises(TmdbUnusable):
        parse.search_page(document)


def test_a_page_comes_back_the_same_from_plain_json(page):
    found = parse.search_page(page)
    assert parse.search_page(json.loads(json.dumps(found.as_plain()))) == found


@given(field=st.sampled_from(sorted(FILMS[FIRST_ID])), value=anything)
def test_whatever_one_field_holds_the_film_is_read_or_refused(field, value):
    try:
        facts = read({**FILMS[FIRST_ID], field: value})
    except (TmdbUnusable, TmdbAdult, TmdbVideo):
        return
    assert facts.title
    assert 0 <= facts.vote_average <= 10
    assert 0 <= facts.popularity <= 1e9


@given(document=anything)
def test_whatever_a_document_is_it_is_read_or_refused(document):
    for attempt in (parse.search_page, read):
        with pytest.raises(TmdbUnusable):
            attempt(document)


# --- Lists, genres, find, changes, the export ----------------------------------------------------


def test_an_entry_of_a_list_says_what_a_list_says_and_no_more(page):
    facts = parse.list_page(parse.search_page(page)).facts[0]
    assert facts.is_list_entry
    assert (facts.tmdb_id, facts.title) == (FIRST_ID, "The Salt Cartographer")
    assert facts.genres == ("Drama", "Mystery")
    assert facts.release_year == 2011
    assert facts.poster_path == "/poster9000000.jpg"
    assert (facts.runtime, facts.imdb_id, facts.directors, facts.tagline) == (
        None,
        None,
        (),
        "",
    )


def test_what_of_a_list_is_not_taken_is_told_with_its_reason(page):
    page["results"][0] |= {"adult": True}
    page["results"][1] |= {"video": True}
    page["results"][2] = "film"
    page["results"][3] |= {"vote_average": 11}
    found = parse.list_page(parse.search_page(page))
    assert len(found.facts) == 16
    assert {(each.tmdb_id, each.reason) for each in found.refused} == {
        (FIRST_ID, "an adult title"),
        (page["results"][1]["id"], "a video, not a film"),
        (None, "a film that is not an object"),
        (page["results"][3]["id"], "vote_average that is not a number from 0 to 10"),
    }


def test_genres_that_the_catalogue_has_no_name_for_are_known_to_be_unknown(page):
    page["results"][0]["genre_ids"] = [18, 991, 992]
    found = parse.search_page(page)
    assert found.unknown_genres == {991, 992}
    assert parse.list_page(found, {991: "Comedy"}).facts[0].genres == ("Comedy", "Drama")


def test_a_film_whose_genre_has_a_new_id_keeps_it_by_its_name(film):
    film["genres"] = [{"id": 991, "name": "comedy"}, {"id": 992, "name": "Telenovela"}]
    assert read(film).genres == ("Comedy",)


def test_the_list_of_genres_names_those_of_the_catalogue():
    document = {"genres": [{"id": 1, "name": "War"}, {"id": 2, "name": "Odd"}, {"id": "3"}, None]}
    assert parse.genre_names(document) == {1: "War"}
    for wrong in (None, [], {}, {"genres": []}, {"genres": {}}):
        with pytest.raises(TmdbUnusable):
            parse.genre_names(wrong)


def test_a_find_gives_the_film_or_none():
    assert parse.found_id({"movie_results": [{"id": 5}], "tv_results": [{"id": 6}]}) == 5
    assert parse.found_id({"movie_results": []}) is None
    for wrong in (None, {"movie_results": {}}, {"movie_results": [{"id": "5"}]}):
        with pytest.raises(TmdbUnusable):
            parse.found_id(wrong)


def test_the_changes_are_ids_and_those_without_are_left_out():
    document = {"results": [{"id": 5, "adult": None}, {"id": None}, {}], "total_pages": 3}
    assert parse.changes_page(document) == parse.ChangesPage((5,), 3)
    for wrong in (None, {}, {"results": None, "total_pages": 1}, {"results": []}):
        with pytest.raises(TmdbUnusable):
            parse.changes_page(wrong)


@pytest.mark.parametrize("read_it", [parse.genre_names, parse.found_id, parse.changes_page])
@given(document=anything)
def test_no_answer_of_another_kind_gives_another_error(read_it, document):
    with contextlib.suppress(TmdbUnusable):
        read_it(document)
