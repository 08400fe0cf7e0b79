"""Files of every service, and files made to do harm; nothing here needs a database."""

import io
import json
import struct
import zipfile
from datetime import date

import pytest

from social.transfer.formats import csv_reader as text
from social.transfer.formats import json_reader as elements
from social.transfer.formats import zip_archive as archive
from social.transfer.formats.detection import read, recognised
from social.transfer.formats.records import FileError, RowError, read_moment, read_score, read_year
from social.transfer.tests.test_imports import zipped

TODAY = date(2026, 1, 1)
IMDB_NOW = (
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),"
    "Year,Genres,Num Votes,Release Date,Directors\n"
    "tt0078748,9,2024-01-02,Alien,Alien,https://x,Movie,8.5,117,1979,Horror,1,1979-05-25,R\n"
    "tt0903747,10,2024-01-02,A show,A show,https://x,TV Series,9.5,49,2008,Drama,1,,\n"
)
IMDB_2017 = (
    "Const,Your Rating,Date Rated,Title,URL,Title Type,IMDb Rating,Runtime (mins),Year,Genres,"
    "Num Votes,Release Date,Directors\n"
    "tt0078748,9,2024-01-02,Alien,https://x,movie,8.5,117,1979,Horror,1,1979-05-25,R\n"
    "tt0903747,10,2024-01-02,A show,https://x,tvSeries,9.5,49,2008,Drama,1,,\n"
)
IMDB_OLD = (
    '"position","const","created","modified","description","Title","Title type","Directors",'
    '"You rated","IMDb Rating","Runtime (mins)","Year","Genres","Num. Votes",'
    '"Release Date (month/day/year)","URL"\n'
    '"1","tt0078748","Tue Jan  2 00:00:00 2024","","","Alien","Feature Film","R","9","8.5","117",'
    '"1979","horror","1","1979-05-25","https://x"\n'
    '"2","tt0903747","Tue Jan  2 00:00:00 2024","","","A show","TV Series","","10","9.5","49",'
    '"2008","drama","1","","https://x"\n'
)
LISTED = (
    "Position,Const,Created,Modified,Description,Title,Original Title,URL,Title Type,IMDb Rating,"
    "Runtime (mins),Year,Genres,Num Votes,Release Date,Directors,Your Rating,Date Rated\n"
    "1,tt0078748,2024-01-02,,,Alien,Alien,https://x,Movie,8.5,117,1979,Horror,1,,R,9,2020-01-01\n"
)
LISTED_OLD = IMDB_OLD.replace('"9","8.5"', '"","8.5"')
TMDB = (
    "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,"
    "Date Rated\n348,tt0078748,movie,Alien,1979-05-25T00:00:00Z,,,8.1,9.0,2024-01-02T00:00:00Z\n"
    "1396,,tv,A show,2008-01-20T00:00:00Z,,,8.9,10.0,2024-01-02T00:00:00Z\n"
)
FILM = {"title": "Alien", "year": 1979, "ids": {"trakt": 1, "imdb": "tt0078748", "tmdb": 348}}
SHOW = {"title": "A show", "ids": {}}
TRAKT_RATINGS = json.dumps(
    [
        {"rated_at": "2024-01-02T00:00:00.000Z", "rating": 9, "type": "movie", "movie": FILM},
        {"rated_at": "2024-01-02T00:00:00.000Z", "rating": 9, "type": "show", "show": SHOW},
    ]
)
RATED = {"score": 4.5, "rated_at": "2024-01-02T00:00:00+00:00", "note": ""}


def entries(content, name="x.csv"):
    content = content.encode() if isinstance(content, str) else content
    return list(read(content, name=name, today=TODAY))


@pytest.mark.parametrize(
    ("service", "content"),
    [
        ("imdb", IMDB_NOW),
        ("imdb", IMDB_2017),
        ("imdb", IMDB_OLD),
        ("tmdb", TMDB),
        ("trakt", TRAKT_RATINGS),
    ],
)
def test_ratings_of_every_service_say_the_same_film_and_score(service, content):
    assert recognised(content.encode(), name="x") == service
    film, show = entries(content)
    assert (film.kind, film.title, film.year, film.imdb_id) == (
        "rating",
        "Alien",
        1979,
        "tt0078748",
    )
    assert film.values == RATED
    assert show.problem[0] == "not_a_film"


@pytest.mark.parametrize("content", [LISTED, LISTED_OLD])
def test_imdbs_lists_in_both_headers_are_films_to_see(content):
    entry = entries(content)[0]
    assert (entry.kind, entry.values) == ("watchlist", {"added_at": "2024-01-02T00:00:00+00:00"})


@pytest.mark.parametrize(
    ("element", "kind", "values"),
    [
        (
            {"id": 1, "watched_at": "2024-01-02T20:15:00.000Z", "action": "watch", "type": "movie"},
            "viewing",
            {"watched_at": "2024-01-02T20:15:00+00:00", "day_only": False},
        ),
        (
            {"plays": 3, "last_watched_at": "2024-01-02T20:15:00.000Z"},
            "viewing",
            {"watched_at": "2024-01-02T20:15:00+00:00", "day_only": False},
        ),
        (
            {"rank": 1, "listed_at": "2024-01-02T20:15:00.000Z", "type": "movie"},
            "watchlist",
            {"added_at": "2024-01-02T20:15:00+00:00"},
        ),
    ],
)
def test_trakts_other_arrays_are_told_by_their_elements(element, kind, values):
    (entry,) = entries(json.dumps([{**element, "movie": FILM}]))
    assert (entry.kind, entry.values, entry.tmdb_id) == (kind, values, 348)


LETTERBOXD = {
    "profile.csv": "Date Joined,Username\n2020-01-01,ann\n",
    "ratings.csv": "Date,Name,Year,Letterboxd URI,Rating\n2024-01-01,Alien,1979,u,0.5\n",
    "diary.csv": "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"
    "2024-01-01,Alien,1979,u,5,Yes,,2023-12-31\n",
    "reviews.csv": "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
    '2024-01-01,Alien,1979,u,5,,"Two\nlines, “quotes” and ""more"".",,2023-12-31\n',
    "watched.csv": "Date,Name,Year,Letterboxd URI\n2024-01-01,Alien,1979,u\n",
    "watchlist.csv": "Date,Name,Year,Letterboxd URI\n2024-01-01,Ran,1985,u\n",
    "deleted/diary.csv": "Date,Name,Year,Letterboxd URI\n2024-01-01,Gone,1985,u\n",
    "likes/films.csv": "Date,Name,Year,Letterboxd URI\n2024-01-01,Liked,1985,u\n",
    "lists/nights.csv": "Letterboxd list export v7\nDate,Name,Tags,URL,Description\n"
    '2023-05-05,Nights,,https://x,"For\nrain."\n\nPosition,Name,Year,URL,Description\n'
    "1,Alien,1979,u,Loud.\n2,Ran,1985,u,\n",
}


@pytest.mark.parametrize("folder", ["", "letterboxd-ann-2024/"])
def test_letterboxds_archive_is_read_whole_and_nothing_beside_it(folder):
    data = zipped({folder + name: content for name, content in LETTERBOXD.items()})
    assert recognised(data, name="x.zip") == "letterboxd"
    found = entries(data)
    assert [(each.kind, each.title) for each in found] == [
        ("rating", "Alien"),
        ("viewing", "Alien"),
        ("review", "Alien"),
        ("seen", "Alien"),
        ("watchlist", "Ran"),
        ("playlist", "Nights"),
        ("playlist_item", "Alien"),
        ("playlist_item", "Ran"),
    ]
    rating, viewing, review, _, _, playlist, item, _ = found
    # Half a star is below the lowest score here; the review goes with the score of ratings.csv.
    assert (rating.values["score"], review.values["score"]) == (1.0, 1.0)
    assert "became 1" in rating.values["note"]
    assert viewing.values == {"watched_at": "2023-12-31T00:00:00+00:00", "day_only": True}
    assert review.values["review"] == 'Two\nlines, “quotes” and "more".'
    assert playlist.values["description"] == "For\nrain."
    assert (item.values["note"], item.line) == ("Loud.", 7)


def test_each_letterboxd_file_alone_says_what_the_others_would_have():
    kinds = {
        name: [each.kind for each in entries(content, name)]
        for name, content in LETTERBOXD.items()
        if "/" not in name and name != "profile.csv"
    }
    assert kinds == {
        "ratings.csv": ["rating"],
        "diary.csv": ["rating", "viewing"],
        "reviews.csv": ["review", "viewing"],
        "watched.csv": ["seen"],
        "watchlist.csv": ["watchlist"],
    }
    with pytest.raises(FileError) as told:
        recognised(LETTERBOXD["watched.csv"].encode(), name="export.csv")
    assert told.value.code == "ambiguous_file"


# --- Encodings and broken rows -------------------------------------------------------------------

NAMES = "Date,Name,Year,Letterboxd URI\n2024-01-01,Amélie,2001,u\n"


@pytest.mark.parametrize(
    "data",
    [
        NAMES.encode(),
        NAMES.encode("utf-8-sig"),
        NAMES.encode("utf-16"),
        b"\xfe\xff" + NAMES.encode("utf-16-be"),
        NAMES.encode("utf-16-le"),
        NAMES.encode("utf-16-be"),
        NAMES.encode("cp1252"),
        NAMES.replace("\n", "\r\n").encode(),
        NAMES.replace("\n", "\r").encode(),
    ],
)
def test_a_file_is_read_in_the_encoding_it_has(data):
    (entry,) = entries(data, "watchlist.csv")
    assert (entry.title, entry.year) == ("Amélie", 2001)


def test_lines_in_another_encoding_do_not_spoil_the_rest():
    data = (
        NAMES.encode()
        + "2024-01-01,Schön,2001,u\n".encode("cp1252")
        + "2024-01-01,日本,2001,u".encode()
    )
    assert [each.title for each in entries(data, "watchlist.csv")] == ["Amélie", "Schön", "日本"]


def test_what_only_python_takes_for_a_line_break_is_none():
    data = NAMES.replace("Amélie", "A\u2028B\x85C\x0bD")
    assert entries(data, "watchlist.csv")[0].title == "A\u2028B\x85C\x0bD"


def test_a_quote_that_is_never_closed_costs_its_own_row():
    rows = [f"2024-01-01,Film {n},2001,u" for n in range(50)]
    rows[10] = '2024-01-01,"Film 10,2001,u'
    rows[20] = "2024-01-01,Film 20"
    found = entries("Date,Name,Year,Letterboxd URI\n" + "\n".join(rows), "watchlist.csv")
    assert [each.line - 2 for each in found if each.problem] == [10, 20]
    assert len(found) == 50


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("Date,Name,Name,Year,Letterboxd URI,Rating\n1,2,3,4,5,6", "duplicate_header"),
        ("a" * 10, "unknown_format"),
        ("", "empty_file"),
        ("\x00" * 1000, "empty_file"),
        ("<html></html>", "unknown_format"),
        ("{}", "unknown_format"),
        ("[1, 2]", "unknown_format"),
        ("PK\x03\x04", "bad_archive"),
        (",".join(f"c{n}" for n in range(500)), "unknown_format"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(content, code):
    def taken():
        recognised(content.encode(), name="x.csv")
        entries(content)

    with pytest.raises(FileError) as told:
        taken()
    assert told.value.code == code


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        ("[" * 5000, ["bad_json"]),
        (TRAKT_RATINGS[:-40], ["bad_json"]),
        (TRAKT_RATINGS.replace('"rating": 9', '"rating": NaN', 1), ["bad_json"]),
        (TRAKT_RATINGS.replace('"rating": 9', '"rating": 1e999', 1), ["bad_score", "not_a_film"]),
        (TRAKT_RATINGS.replace('"rating": 9', '"rating": true', 1), ["bad_shape", "not_a_film"]),
        (TRAKT_RATINGS.replace('"rating": 9', f'"rating": {"9" * 5000}', 1), ["bad_json"]),
        (TRAKT_RATINGS.replace("Alien", "\\u0000", 1), ["nul_character", "not_a_film"]),
        (TRAKT_RATINGS.replace("Alien", "\\ud800", 1), ["bad_text", "not_a_film"]),
        (TRAKT_RATINGS.replace('{"title": "Alien"', '[], "x": {"title": "Alien"', 1), None),
        ('[{"rated_at": 1}, 7, null, [], {"movie": {}, "rated_at": {}}]', None),
    ],
)
def test_json_made_to_do_harm_is_rows_with_reasons(content, codes):
    problems = [each.problem[0] for each in entries(content) if each.problem]
    assert problems
    assert codes is None or problems[-len(codes) :] == codes


def test_a_file_of_countless_lines_is_refused(monkeypatch):
    monkeypatch.setattr(text, "MAX_LINES", 100)
    with pytest.raises(FileError) as told:
        entries("Date,Name,Year,Letterboxd URI,Rating\n" + "\n" * 300)
    assert told.value.code == "too_many_lines"


def test_json_of_countless_values_is_refused(monkeypatch):
    monkeypatch.setattr(elements, "MAX_PARTS", 100)
    with pytest.raises(FileError):
        entries("[" + "[]," * 100 + "[]]")


# --- Archives ------------------------------------------------------------------------------------

RATINGS = LETTERBOXD["ratings.csv"]


def problems_of(data):
    return {(each.file, each.problem[0]) for each in entries(data) if each.problem}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../ratings.csv", "bad_path"),
        ("/ratings.csv", "bad_path"),
        ("lists/../../x.csv", "bad_path"),
        ("a\\b.csv", "bad_path"),
        ("C:x.csv", "bad_path"),
        ("more.zip", "nested_archive"),
        ("lists/" + "x" * 400 + ".csv", "bad_path"),
    ],
)
def test_a_name_that_leads_elsewhere_is_left_out_and_told(name, code):
    data = zipped({"ratings.csv": RATINGS, name: "x"})
    assert {code for _, code in problems_of(data)} == {code}
    assert [each.kind for each in entries(data)] == [None, "rating"]


def test_a_file_twice_in_an_archive_counts_once():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("ratings.csv", RATINGS)
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("ratings.csv", RATINGS)
    assert problems_of(data.getvalue()) == {("ratings.csv", "duplicate_file")}


def test_an_encrypted_a_linked_and_a_damaged_file_are_told():
    data = bytearray(zipped({"diary.csv": LETTERBOXD["diary.csv"], "ratings.csv": RATINGS}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    assert ("ratings.csv", "encrypted") in problems_of(bytes(data))
    data = bytearray(zipped({"diary.csv": LETTERBOXD["diary.csv"], "ratings.csv": RATINGS}))
    data[45] ^= 0xFF
    assert ("diary.csv", "damaged_file") in problems_of(bytes(data))
    link = zipfile.ZipInfo("watched.csv")
    link.external_attr = 0o120777 << 16
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archived:
        archived.writestr("ratings.csv", RATINGS)
        archived.writestr(link, "/etc/passwd")
    assert problems_of(made.getvalue()) == {("watched.csv", "bad_path")}


def test_bombs_are_refused_before_they_are_unpacked():
    bomb = zipped({"ratings.csv": b"0" * 10_000_000})
    with pytest.raises(FileError) as told:
        recognised(bomb, name="x.zip")
    assert told.value.code == "zip_bomb"
    many = zipped({f"lists/{n}.csv": "" for n in range(archive.MAX_FILES + 1)})
    with pytest.raises(FileError) as told:
        recognised(many, name="x.zip")
    assert told.value.code == "too_many_files"


def test_a_file_larger_than_its_archive_says_is_cut(monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 100)
    data = bytearray(zipped({"diary.csv": LETTERBOXD["diary.csv"], "ratings.csv": RATINGS * 50}))
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, 50)
    assert problems_of(bytes(data)) & {
        ("ratings.csv", "file_too_large"),
        ("ratings.csv", "damaged_file"),
    }


def test_an_archive_cut_off_or_full_of_nothing_is_refused():
    whole = zipped({"ratings.csv": RATINGS})
    for data in (
        whole[:-30],
        whole[:40],
        b"PK" + b"\x00" * 100,
        zipped({}),
        zipped({"a.txt": "x"}),
    ):
        with pytest.raises(FileError):
            recognised(data, name="x.zip")


# --- Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "out_of", "stars"),
    [("10", 10, 5), ("1", 10, 1), ("2", 10, 1), ("7", 10, 3.5), ("8.5", 10, 4.5), ("8.4", 10, 4),
     ("0.5", 5, 1), ("4.5", 5, 4.5), ("3.", 5, 3)],
)  # fmt: skip
def test_scores_become_half_stars(given, out_of, stars):
    assert read_score(given, out_of=out_of)[0] == stars


@pytest.mark.parametrize(
    "given", ["0", "11", "-1", "nan", "1e1", "", "٣", "1_0", "+5", "5" * 50, "0.0"]
)
def test_what_is_no_score_is_refused(given):
    with pytest.raises(RowError):
        read_score(given, out_of=10)


@pytest.mark.parametrize(
    "given",
    ["2024-02-30", "99999-01-01", "2024", "x", "2024-01-01T99:00:00Z", "1700-01-01", "2026-01-03",
     "0000-00-00", "2024-01-01T00:00:00+99:00", "9999-12-31T23:59:59-23:59", "20240101T"],
)  # fmt: skip
def test_what_is_no_day_is_refused(given):
    with pytest.raises(RowError):
        read_moment(given, today=TODAY)


def test_years_are_of_films():
    assert read_year(" 1979 ") == 1979
    for given in ("0", "1800", "9999", "-999", "１９７９", "19 9"):
        with pytest.raises(RowError):
            read_year(given)


def test_header_names_are_compared_folded():
    assert text.header_of("\n\n Date , Letterboxd  URI\nx,y") == ["date", "letterboxd uri"]
