import contextlib
import copy
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movies.models import Collection, Credit, Movie, Person
from tmdb import parsers
from tmdb.client.errors import TmdbAdultTitle, TmdbInvalidResponse, TmdbNotFound, TmdbVideo
from tmdb.fake.server import ADULT_ID, FIRST_ID, MOVIES, UNDATED_ID, search_movies
from tmdb.parsers import (
    ChangesPage,
    parse_changes_page,
    parse_find,
    parse_genre_names,
    parse_movie,
    parse_search_page,
    select_catalogue_entries,
)

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def document():
    """TMDb's document of the first movie."""
    return copy.deepcopy(MOVIES[FIRST_ID])


@pytest.fixture
def page():
    """TMDb's document of a page of 20 movies."""
    return copy.deepcopy(search_movies({"query": ""}))


def parse_first(document):
    return parse_movie(document, tmdb_id=FIRST_ID)


# --- Movies --------------------------------------------------------------------------------------


def test_movie_is_parsed_into_the_catalogues_terms(document):
    movie = parse_first(document)

    assert movie.title == "The Salt Cartographer"
    assert movie.release_date == date(2011, 3, 4)
    assert movie.release_year == 2011
    assert movie.genres == ("Drama", "Mystery")
    assert movie.runtime == 118
    assert movie.keywords == ("island",)
    assert movie.imdb_id == f"tt{FIRST_ID}"
    assert [person.name for person in movie.directors] == ["Ottoline Verhaag"]
    assert [(person.name, person.character) for person in movie.cast] == [
        ("Bram Ostrander", "The First One"),
        ("Ilse Quintero", "The Other One"),
    ]


def test_empty_values_of_tmdb_are_unknown():
    movie = parse_movie(MOVIES[UNDATED_ID], tmdb_id=UNDATED_ID)

    assert movie.release_date is None
    assert movie.release_year is None
    assert movie.runtime is None
    assert movie.imdb_id is None
    assert movie.poster_path == ""


def test_collection_is_parsed():
    tmdb_id = next(id_ for id_, movie in MOVIES.items() if movie["title"] == "Copper Meridian")

    collection = parse_movie(MOVIES[tmdb_id], tmdb_id=tmdb_id).collection

    assert collection.name == "Copper Meridian Collection"


def test_movie_with_another_id_is_rejected(document):
    with pytest.raises(TmdbInvalidResponse, match="other than"):
        parse_movie(document, tmdb_id=FIRST_ID + 1)


def test_adult_title_is_rejected():
    with pytest.raises(TmdbAdultTitle):
        parse_movie(MOVIES[ADULT_ID], tmdb_id=ADULT_ID)


@pytest.mark.parametrize("other", [None, [], "movie", 5, {}, {"id": True}, {"id": str(FIRST_ID)}])
def test_document_that_is_no_movie_is_rejected(other):
    with pytest.raises(TmdbInvalidResponse):
        parse_first(other)


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
def test_value_of_the_wrong_type_or_range_is_rejected(document, field, value):
    document[field] = value

    with pytest.raises(TmdbInvalidResponse):
        parse_first(document)


@pytest.mark.parametrize(
    "value",
    ["", None, "2011", "2011-02-30", "0000-01-01", "1869-12-31", "2201-01-01", "٢٠١١-٠٣-٠٤"],
)
def test_impossible_release_date_is_unknown(document, value):
    document["release_date"] = value

    assert parse_first(document).release_date is None


@pytest.mark.parametrize("value", ["", None, "nm0000001", "tt12", "tt0111161\n1", "tt٠١١١١٦١"])
def test_malformed_imdb_id_is_unknown(document, value):
    document["imdb_id"] = value

    assert parse_first(document).imdb_id is None


@pytest.mark.parametrize(
    "value", ["poster.jpg", "//other.example.org/x.jpg", "/../x.jpg?y", "/a b.jpg", "/" + "x" * 300]
)
def test_image_path_with_more_than_a_plain_name_is_left_out(document, value):
    document["poster_path"] = value

    assert parse_first(document).poster_path == ""


def test_texts_are_cut_to_their_columns_without_unstorable_characters(document):
    document["title"] = "\x00A\ud800 " + "x" * 600
    document["credits"]["cast"][1]["character"] = "y" * 600

    movie = parse_first(document)

    assert movie.title.startswith("A x")
    assert len(movie.title) == 500
    assert len(movie.cast[0].character) == 500


def test_maximum_lengths_are_those_of_the_columns():
    def get_length(model, field):
        return model._meta.get_field(field).max_length

    assert get_length(Movie, "title") == parsers.MAX_TITLE
    assert get_length(Movie, "original_title") == parsers.MAX_TITLE
    assert get_length(Collection, "name") == parsers.MAX_TITLE
    assert get_length(Person, "name") == parsers.MAX_NAME
    assert get_length(Credit, "character") == parsers.MAX_CHARACTER
    assert get_length(Movie, "tagline") == parsers.MAX_TAGLINE
    assert get_length(Movie, "status") == parsers.MAX_STATUS
    assert get_length(Movie, "original_language") == parsers.MAX_LANGUAGE
    assert get_length(Movie, "poster_path") == parsers.MAX_PATH
    assert get_length(Movie, "backdrop_path") == parsers.MAX_PATH


def test_cast_is_the_first_twenty_by_billing(document):
    cast = [
        {"id": 500 - n, "name": f"Person {n}", "order": n, "character": None} for n in range(40)
    ]
    document["credits"]["cast"] = [*reversed(cast), {"id": 900, "name": "Unbilled"}]

    movie = parse_first(document)

    assert [person.name for person in movie.cast] == [f"Person {n}" for n in range(20)]


def test_unreadable_cast_members_are_left_out(document):
    document["credits"]["cast"][:0] = [None, {"id": "x", "name": "No id"}, {"id": 7, "name": ""}]

    movie = parse_first(document)

    assert [person.name for person in movie.cast] == ["Bram Ostrander", "Ilse Quintero"]


def test_a_genre_that_tmdb_has_added_is_shown_after_the_known_ones(document):
    document["genres"] = [{"id": 9648}, {"id": 1, "name": "New"}, {"id": 18}, {"id": 18}, {"id": 2}]

    assert parse_first(document).genres == ("Drama", "Mystery", "New")


def test_genre_with_a_new_id_is_known_by_its_name(document):
    document["genres"] = [{"id": 991, "name": "comedy"}, {"id": 992, "name": "Telenovela"}]

    assert parse_first(document).genres == ("Comedy", "Telenovela")


def test_keywords_are_lower_case_and_unique(document):
    document["keywords"] = {"keywords": [{"name": "Night Shift"}, {"name": "night shift"}, {}]}

    assert parse_first(document).keywords == ("night shift",)


@given(field=st.sampled_from(sorted(MOVIES[FIRST_ID])), value=any_json)
def test_movie_with_any_value_in_any_field_is_parsed_or_rejected(field, value):
    try:
        movie = parse_first({**MOVIES[FIRST_ID], field: value})
    except (TmdbInvalidResponse, TmdbAdultTitle, TmdbVideo):
        return

    assert movie.title
    assert 0 <= movie.vote_average <= 10
    assert 0 <= movie.popularity <= 1e9


# --- Searches and lists --------------------------------------------------------------------------


def test_search_page_has_its_hits_in_order(page):
    parsed = parse_search_page(page)

    assert [hit.id for hit in parsed.hits] == [entry["id"] for entry in page["results"]]
    assert parsed.total_results == page["total_results"]
    assert parsed.hits[0].genres == ["Drama", "Mystery"]


def test_unreadable_hits_are_rejected(page):
    page["results"][0]["id"] = "9000000"
    page["results"][1]["popularity"] = float("nan")
    page["results"][2] = None

    parsed = parse_search_page(page)

    assert len(parsed.hits) == len(page["results"]) - 3
    assert len(parsed.rejected) == 3


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
def test_document_that_is_no_page_is_rejected(document):
    with pytest.raises(TmdbInvalidResponse):
        parse_search_page(document)


@given(document=any_json)
def test_any_other_document_is_rejected(document):
    for parse in (parse_search_page, parse_first):
        with pytest.raises(TmdbInvalidResponse):
            parse(document)


def test_list_entry_has_the_fields_of_a_list_and_no_others(page):
    movie = select_catalogue_entries(parse_search_page(page)).movies[0]

    assert movie.is_list_entry
    assert (movie.tmdb_id, movie.title) == (FIRST_ID, "The Salt Cartographer")
    assert movie.genres == ("Drama", "Mystery")
    assert movie.release_year == 2011
    assert movie.poster_path == "/poster9000000.jpg"
    assert (movie.runtime, movie.imdb_id) == (None, None)
    assert (movie.directors, movie.tagline) == ((), "")


def test_rejected_entries_have_their_reasons(page):
    page["results"][0] |= {"adult": True}
    page["results"][1] |= {"video": True}
    page["results"][2] = "movie"
    page["results"][3] |= {"vote_average": 11}

    entries = select_catalogue_entries(parse_search_page(page))

    assert len(entries.movies) == 16
    assert {(entry.tmdb_id, entry.reason) for entry in entries.rejected} == {
        (FIRST_ID, "an adult title"),
        (page["results"][1]["id"], "a video, not a movie"),
        (None, "movie is not an object"),
        (page["results"][3]["id"], "vote_average is not a number from 0 to 10"),
    }


def test_unknown_genres_of_a_page_are_named_by_more_names(page):
    page["results"][0]["genre_ids"] = [18, 991, 992]
    parsed = parse_search_page(page)

    entries = select_catalogue_entries(parsed, {991: "Comedy"})

    assert parsed.unknown_genres == {991, 992}
    assert entries.movies[0].genres == ("Comedy", "Drama")


# --- Genres, find and changes --------------------------------------------------------------------


def test_genre_names_are_those_of_the_catalogue_and_for_new_genres_tmdbs():
    document = {"genres": [{"id": 1, "name": "war"}, {"id": 2, "name": "Odd"}, {"id": "3"}, None]}

    assert parse_genre_names(document) == {1: "War", 2: "Odd"}


@pytest.mark.parametrize("document", [None, [], {}, {"genres": []}, {"genres": {}}])
def test_document_that_is_no_list_of_genres_is_rejected(document):
    with pytest.raises(TmdbInvalidResponse):
        parse_genre_names(document)


def test_find_returns_the_movie():
    assert parse_find({"movie_results": [{"id": 5}], "tv_results": [{"id": 6}]}) == 5


def test_find_without_a_movie_is_not_found():
    with pytest.raises(TmdbNotFound):
        parse_find({"movie_results": []})


@pytest.mark.parametrize(
    "document", [None, {"movie_results": {}}, {"movie_results": [{"id": "5"}]}]
)
def test_document_that_is_no_find_result_is_rejected(document):
    with pytest.raises(TmdbInvalidResponse):
        parse_find(document)


def test_changes_without_an_id_are_left_out():
    document = {"results": [{"id": 5, "adult": None}, {"id": None}, {}], "total_pages": 3}

    assert parse_changes_page(document) == ChangesPage((5,), 3)


@pytest.mark.parametrize(
    "document", [None, {}, {"results": None, "total_pages": 1}, {"results": []}]
)
def test_document_that_is_no_page_of_changes_is_rejected(document):
    with pytest.raises(TmdbInvalidResponse):
        parse_changes_page(document)


@pytest.mark.parametrize("parse", [parse_genre_names, parse_find, parse_changes_page])
@given(document=any_json)
def test_any_document_is_parsed_or_rejected(parse, document):
    with contextlib.suppress(TmdbInvalidResponse, TmdbNotFound):
        parse(document)
