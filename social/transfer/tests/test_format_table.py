"""What the files of every service mean: each format with each kind of row it has.

No test needs a database. The columns are those of the services, all rows are made up.
"""

import io
import json
from datetime import date

import pytest

from social.transfer.formats.detection import FileFormat, detect_format
from social.transfer.formats.own_table import TEMPLATE
from social.transfer.formats.reader import read_records
from social.transfer.formats.records import FileError, LeftOut, Record
from social.transfer.tests.helpers import make_zip

TODAY = date(2026, 1, 1)


def read(content, name="x.csv"):
    """Return the records of a file, and how often it has what it leaves out, by kind."""
    content = content.encode() if isinstance(content, str) else content
    items = list(read_records(io.BytesIO(content), name=name, today=TODAY))
    left_out = {}
    for item in items:
        if isinstance(item, LeftOut):
            left_out[item.kind] = left_out.get(item.kind, 0) + item.count
    return [item for item in items if isinstance(item, Record)], left_out


def detect(content, name="x.csv"):
    content = content.encode() if isinstance(content, str) else content
    return detect_format(io.BytesIO(content), name=name)


# --- The table -----------------------------------------------------------------------------------

LETTERBOXD_RATINGS = "Date,Name,Year,Letterboxd URI,Rating\n"
LETTERBOXD_DIARY = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"
LETTERBOXD_REVIEWS = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
LETTERBOXD_MOVIES = "Date,Name,Year,Letterboxd URI\n"
LETTERBOXD_IMPORT = "LetterboxdURI,tmdbID,imdbID,Title,Year,Rating10,WatchedDate,Review,Tags\n"
IMDB_RATINGS = (
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),"
    "Year,Genres,Num Votes,Release Date,Directors\n"
)
IMDB_RATINGS_2017 = IMDB_RATINGS.replace("Original Title,", "")
IMDB_OLD = (
    '"position","const","created","modified","description","Title","Title type","Directors",'
    '"You rated","IMDb Rating","Runtime (mins)","Year","Genres","Num. Votes",'
    '"Release Date (month/day/year)","URL"\n'
)
IMDB_LIST = (
    "Position,Const,Created,Modified,Description,Title,Original Title,URL,Title Type,IMDb Rating,"
    "Runtime (mins),Year,Genres,Num Votes,Release Date,Directors,Your Rating,Date Rated\n"
)
TMDB = (
    "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,"
    "Date Rated\n"
)
SIMKL = "SIMKL_ID,Title,Type,Year,Watchlist,LastEpWatched,WatchedDate,Rating,Memo,TVDB,TMDB,IMDB\n"
SIMKL_WITH_IDS = (
    "simkl_id,TVDB_ID,TMDB,IMDB_ID,MAL_ID,Type,Title,Year,LastEpWatched,Watchlist,WatchedDate,"
    "Rating,Memo\n"
)
YAMTRACK = (
    "media_id,source,media_type,title,image,season_number,episode_number,score,status,notes,"
    "start_date,end_date,progress\n"
)
YAMTRACK_2024 = (
    '"media_id","media_type","title","image","score","progress","status","start_date","end_date",'
    '"notes","season_number","episode_number","watch_date"\n'
)
MOVIELENS = "movie_id,imdb_id,tmdb_id,rating,average_rating,title\n"
NETFLIX_ACTIVITY = (
    "Profile Name,Start Time,Duration,Attributes,Title,Supplemental Video Type,Device Type,"
    "Bookmark,Latest Bookmark,Country\n"
)
MOVIE = {"title": "Alien", "year": 1979, "ids": {"trakt": 1, "imdb": "tt0078748", "tmdb": 348}}
LISTED = {"rank": 1, "listed_at": "2024-01-02T20:15:00.000Z", "type": "movie", "movie": MOVIE}
COMMENT = {"id": 1, "comment": "Loud.", "spoiler": True, "created_at": "2024-01-02T00:00:00.000Z"}
MIDNIGHT = "2024-01-02T00:00:00+00:00"
EVENING = "2024-01-02T20:15:00+00:00"
ADDED = {"added_at": MIDNIGHT}
RATED = {"score": 4.5, "rated_at": MIDNIGHT}
ON_DAY = {"watched_on": "2024-01-02"}
AT_TIME = {**ON_DAY, "watched_at": EVENING}


def trakt(*elements):
    return json.dumps([{"movie": MOVIE, **element} for element in elements])


# The service, the name and the content of a file, and the kinds and the values of its records.
TABLE = [
    # Letterboxd
    ("letterboxd", "ratings.csv", LETTERBOXD_RATINGS + "2024-01-02,Alien,1979,u,4.5",
     [("rating", RATED)]),
    ("letterboxd", "diary.csv", LETTERBOXD_DIARY + "2024-01-05,Alien,1979,u,4.5,,,2024-01-02",
     [("rating", RATED), ("viewing", ON_DAY)]),
    ("letterboxd", "diary.csv", LETTERBOXD_DIARY + "2024-01-05,Alien,1979,u,,,,",
     [("viewing", {})]),
    ("letterboxd", "reviews.csv",
     LETTERBOXD_REVIEWS + "2024-01-02,Alien,1979,u,4.5,,Loud.,,2024-01-02",
     [("review", {**RATED, "review": "Loud.", **ON_DAY}), ("viewing", ON_DAY)]),
    ("letterboxd", "reviews.csv", LETTERBOXD_REVIEWS + "2024-01-02,Alien,1979,u,,,Loud.,,",
     [("review", {**RATED, "score": None, "review": "Loud."})]),
    ("letterboxd", "watched.csv", LETTERBOXD_MOVIES + "2024-01-02,Alien,1979,u", [("seen", {})]),
    ("letterboxd", "watchlist.csv", LETTERBOXD_MOVIES + "2024-01-02,Alien,1979,u",
     [("watchlist", ADDED)]),
    ("letterboxd", "list.csv",
     "Letterboxd list export v7\nDate,Name,Tags,URL,Description\n2024-01-02,Nights,,u,For rain.\n\n"
     "Position,Name,Year,URL,Description\n1,Alien,1979,u,Loud.",
     [("playlist", {"list": "list.csv", "name": "Nights", "description": "For rain.",
                    "created_at": MIDNIGHT}),
      ("playlist_item", {"list": "list.csv", "note": "Loud."})]),
    ("letterboxd", "import.csv", LETTERBOXD_IMPORT + "u,348,tt0078748,Alien,1979,9,2024-01-02,Loud.,",
     [("rating", {**RATED, "review": "Loud.", **ON_DAY}), ("viewing", ON_DAY)]),
    ("letterboxd", "import.csv", LETTERBOXD_IMPORT + "u,348,,Alien,1979,,,,", [("seen", {})]),
    ("letterboxd", "my-watchlist.csv", "Title,Year,LetterboxdURI\nAlien,1979,u",
     [("watchlist", {})]),
    # IMDb
    ("imdb", "ratings.csv",
     IMDB_RATINGS + "tt0078748,9,2024-01-02,Alien,Alien,u,Movie,8.5,117,1979,Horror,1,,R",
     [("rating", RATED)]),
    ("imdb", "ratings.csv",
     IMDB_RATINGS_2017 + "tt0078748,9,2024-01-02,Alien,u,movie,8.5,117,1979,Horror,1,,R",
     [("rating", RATED)]),
    ("imdb", "ratings.csv",
     IMDB_OLD + '"1","tt0078748","Tue Jan  2 00:00:00 2024","","","Alien","Feature Film","R","9",'
     '"8.5","117","1979","horror","1","1979-05-25","u"',
     [("rating", RATED)]),
    ("imdb", "ratings.csv",
     IMDB_OLD.replace("You rated", "ann rated") + '"1","tt0078748","Tue Jan  2 00:00:00 2024","","",'
     '"Alien","Feature Film","R","9","8.5","117","1979","horror","1","1979-05-25","u"',
     [("rating", RATED)]),
    ("imdb", "WATCHLIST.csv",
     IMDB_OLD + '"1","tt0078748","Tue Jan  2 00:00:00 2024","","","Alien","Feature Film","R","",'
     '"8.5","117","1979","horror","1","1979-05-25","u"',
     [("watchlist", ADDED)]),
    ("imdb", "WATCHLIST.csv",
     IMDB_LIST + "1,tt0078748,2024-01-02,,,Alien,Alien,u,Movie,8.5,117,1979,H,1,,R,9,2024-01-02",
     [("rating", RATED), ("watchlist", ADDED)]),
    ("imdb", "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f.csv",
     IMDB_LIST + "1,tt0078748,2024-01-02,,,Alien,Alien,u,Movie,8.5,117,1979,H,1,,R,,",
     [("watchlist", ADDED)]),
    ("imdb", "Rainy nights.csv",
     IMDB_LIST + "1,tt0078748,2024-01-02,,Loud.,Alien,Alien,u,Movie,8.5,117,1979,H,1,,R,,",
     [("playlist", {"list": "Rainy nights.csv", "name": "Rainy nights", "description": ""}),
      ("playlist_item", {"list": "Rainy nights.csv", "note": "Loud.", **ADDED})]),
    # TMDb
    ("tmdb", "ratings.csv", TMDB + "348,tt0078748,movie,Alien,1979-05-25,,,8.1,9.0,2024-01-02",
     [("rating", RATED)]),
    ("tmdb", "5f_watchlist_2026.csv", TMDB + "348,tt0078748,movie,Alien,1979-05-25,,,8,,2024-01-02",
     [("watchlist", ADDED)]),
    ("tmdb", "5f_favorites_2026.csv", TMDB + "348,tt0078748,movie,Alien,1979-05-25,,,8,,2024-01-02",
     [("playlist", {"list": "5f_favorites_2026.csv", "name": "Favorites", "description": ""}),
      ("playlist_item", {"list": "5f_favorites_2026.csv", "note": "", **ADDED})]),
    # Trakt
    ("trakt", "ratings-movies.json", trakt({"rated_at": "2024-01-02T00:00:00.000Z", "rating": 9}),
     [("rating", RATED)]),
    ("trakt", "watched-history.json", trakt({"watched_at": "2024-01-02T20:15:00.000Z"}),
     [("viewing", AT_TIME)]),
    ("trakt", "watched-movies.json",
     trakt({"plays": 1, "last_watched_at": "2024-01-02T20:15:00.000Z"}), [("viewing", AT_TIME)]),
    ("trakt", "watched-history.json", trakt({"watched_at": "1970-01-01T00:00:00.000Z"}),
     [("viewing", {"changes": "The date 1970-01-01 stands for an unknown day."})]),
    ("trakt", "lists-watchlist.json", json.dumps([LISTED]), [("watchlist", {"added_at": EVENING})]),
    ("trakt", "lists-favorites.json", json.dumps([{**LISTED, "notes": "Best."}]),
     [("playlist", {"list": "lists-favorites.json", "name": "Favorites", "description": ""}),
      ("playlist_item", {"list": "lists-favorites.json", "note": "Best.", "added_at": EVENING})]),
    ("trakt", "lists-list-7-never-again.json", json.dumps([{**LISTED, "notes": "Worst."}]),
     [("playlist", {"list": "lists-list-7-never-again.json", "name": "Never again",
                    "description": ""}),
      ("playlist_item", {"list": "lists-list-7-never-again.json", "note": "Worst.",
                         "added_at": EVENING})]),
    ("trakt", "rainy-nights.json", json.dumps([{**LISTED, "my_rating": 9}]),
     [("playlist", {"list": "rainy-nights.json", "name": "Rainy nights", "description": ""}),
      ("playlist_item", {"list": "rainy-nights.json", "note": "", "added_at": EVENING}),
      ("rating", {**RATED, "rated_at": None})]),
    ("trakt", "lists-favorites.json", "[]", []),
    ("trakt", "comments-movies.json",
     trakt({"type": "movie", "comment": {**COMMENT, "user_stats": {"rating": 9}}}),
     [("review", {**RATED, "review": "Loud.", "contains_spoilers": True})]),
    ("trakt", "hidden-recommendations.json", trakt({"hidden_at": "2024-01-02T00:00:00.000Z"}),
     [("feedback", {"feedback": "hide", "created_at": MIDNIGHT})]),
    ("trakt", "ratings-movies.csv",
     "\ufeffrated_at,rating,type,movie.title,movie.year,movie.ids.trakt,movie.ids.imdb,"
     "movie.ids.tmdb\r\n2024-01-02T00:00:00.000Z,9,movie,Alien,1979,1,tt0078748,348",
     [("rating", RATED)]),
    # Simkl
    ("simkl", "SimklBackup.csv", SIMKL + "1,Alien,movie,1979,completed,,2024-01-02,9,Loud.,,348,",
     [("rating", RATED), ("viewing", {**ON_DAY, "viewing_note": "Loud."})]),
    ("simkl", "SimklBackup.csv", SIMKL + "1,Alien,movie,1979,plantowatch,,,,,,348,tt0078748",
     [("watchlist", {"added_at": None})]),
    ("simkl", "SimklBackup.csv", SIMKL + "1,Alien,movie,1979,completed,,,,,,348,tt0078748",
     [("viewing", {"viewing_note": ""})]),
    ("simkl", "import.csv", SIMKL_WITH_IDS + ",,348,tt0078748,,movie,Alien,1979,,completed,,9,",
     [("rating", {**RATED, "rated_at": None}), ("viewing", {"viewing_note": ""})]),
    ("simkl", "SimklBackup.json",
     json.dumps({"movies": [{"status": "completed", "user_rating": 9, "movie": MOVIE,
                             "user_rated_at": "2024-01-02T00:00:00Z",
                             "last_watched_at": "2024-01-02T20:15:00Z"}]}),
     [("rating", RATED), ("viewing", {**AT_TIME, "viewing_note": ""})]),
    # Movary
    ("movary", "history.csv",
     "title,year,tmdbId,imdbId,watchedAt,comment,location\nAlien,1979,348,tt0078748,2024-01-02,Loud.,",
     [("viewing", {**ON_DAY, "viewing_note": "Loud."})]),
    ("movary", "history.csv",
     "title,year,tmdbId,imdbId,watchedAt,comment\nAlien,1979,348,tt0078748,,",
     [("viewing", {"viewing_note": ""})]),
    ("movary", "ratings.csv", "title,year,tmdbId,imdbId,userRating\nAlien,1979,348,tt0078748,9",
     [("rating", {**RATED, "rated_at": None})]),
    ("movary", "watchlist.csv",
     'title,year,tmdbId,imdbId,addedAt\nAlien,1979,348,tt0078748,"2024-01-02 00:00:00"',
     [("watchlist", ADDED)]),
    # Yamtrack
    ("yamtrack", "yamtrack.csv",
     YAMTRACK + "348,tmdb,movie,Alien,i,,,9.0,Completed,Loud.,,2024-01-02,1",
     [("rating", RATED), ("viewing", {**ON_DAY, "viewing_note": "Loud."})]),
    ("yamtrack", "yamtrack.csv", YAMTRACK + "348,tmdb,movie,Alien,i,,,,Completed,,2024-01-02",
     [("viewing", {**ON_DAY, "viewing_note": ""})]),
    ("yamtrack", "yamtrack.csv", YAMTRACK + "348,tmdb,movie,Alien,i,,,,Planning,,,,0",
     [("watchlist", {"added_at": None})]),
    ("yamtrack", "yamtrack.csv",
     YAMTRACK_2024 + '"348","movie","Alien","i","9","1","Completed","","2024-01-02","","","",""',
     [("rating", RATED), ("viewing", {**ON_DAY, "viewing_note": ""})]),
    # MovieLens
    ("movielens", "movielens-ratings.csv", MOVIELENS + "1214,0078748,348,4.5,4.07,Alien (1979)",
     [("rating", {**RATED, "rated_at": None})]),
    ("movielens", "movielens-wishlist.csv", MOVIELENS + "1214,0078748,348,,4.07,Alien (1979)",
     [("watchlist", {"added_at": None})]),
    # Netflix
    ("netflix", "NetflixViewingHistory.csv", 'Title,Date\n"Alien","1/2/24"\n"B","1/31/24"',
     [("viewing", ON_DAY), ("viewing", {"watched_on": "2024-01-31"})]),
    ("netflix", "ViewingActivity.csv",
     NETFLIX_ACTIVITY + "Ann,2024-01-02 20:15:00,01:50:00,,Alien,,TV,01:50:00,01:50:00,DE",
     [("viewing", ON_DAY)]),
    # Our own columns
    ("nexus", "mine.csv", "title,year,score,rated_at\nAlien,1979,4.5,2024-01-02",
     [("rating", {**RATED, "review": "", "contains_spoilers": False, "updated_at": None,
                  "reviewed_at": None})]),
    ("nexus", "mine.csv", "title,year,review\nAlien,1979,Loud.",
     [("rating", {"score": None, "review": "Loud.", "contains_spoilers": False,
                  "rated_at": None, "updated_at": None, "reviewed_at": None})]),
    ("nexus", "mine.csv", "imdb_id,watched_on,note\ntt0078748,2024-01-02,Loud.",
     [("viewing", {**ON_DAY, "watched_at": None, "viewing_note": "Loud."})]),
    ("nexus", "mine.csv", "title,watched\nAlien,yes", [("viewing", {"viewing_note": ""})]),
    ("nexus", "mine.csv", "title,watchlist,added_at\nAlien,yes,2024-01-02", [("watchlist", ADDED)]),
    ("nexus", "mine.csv", "title,playlist,note\nAlien,Nights,Loud.",
     [("playlist", {"list": "Nights", "name": "Nights", "description": ""}),
      ("playlist_item", {"list": "Nights", "note": "Loud.", "added_at": None})]),
]  # fmt: skip


@pytest.mark.parametrize(("service", "name", "content", "expected"), TABLE)
def test_each_kind_of_row_of_each_format_is_read(service, name, content, expected):
    records, _ = read(content, name)

    assert detect(content, name) == service
    actual = [(record.kind, record.values) for record in records]
    assert actual == expected, [record.error for record in records]
    for record in records:
        if record.kind != "playlist" and record.title != "B":
            assert record.title == "Alien" or record.imdb_id == "tt0078748"


def test_table_has_every_format():
    assert {service for service, *_ in TABLE} == set(FileFormat)


def test_columns_of_the_template_are_read():
    header = TEMPLATE.strip()
    row = "Alien,1979,348,tt0078748,4,Loud.,no,2024-01-02,,2024-01-02,,Again.,yes,2024-01-02,"

    records, _ = read(f"{header}\n{row}\n")

    assert detect(TEMPLATE) == "nexus"
    assert [record.kind for record in records] == ["rating", "viewing", "watchlist"]


# --- Recognition ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("title,year,tmdbId,imdbId\nAlien,1979,348,tt0078748", "title, year, tmdbId, imdbId"),
        ("Title,Year,Rating\nAlien,1979,9", "Title, Year, Rating"),
        ("userId,movieId,rating,timestamp\n1,2,4,5", "userId, movieId, rating, timestamp"),
        ("Title;Original title;My vote\nAlien;Alien;9", "Title, Original title, My vote"),
        ('[{"username": "ann", "friends": 3}]', "username, friends"),
        ("title,score,my_mood\nAlien,4,good", "title, score, my_mood"),
        ('{"version": 1, "watched": [{"title": "Alien"}]}', "watched"),
    ],
)
def test_unknown_format_names_the_columns_it_has(content, columns):
    with pytest.raises(FileError) as error:
        detect(content, "x.csv")

    assert error.value.code == "unknown_format"
    assert error.value.reason.endswith(f"It has the columns {columns}.")


def test_workbook_is_refused_with_what_to_do():
    with pytest.raises(FileError) as error:
        detect(make_zip({"[Content_Types].xml": "x", "xl/workbook.xml": "x"}), "ratings.xlsx")

    assert error.value.code == "unknown_format"
    assert error.value.reason.endswith("Save it as CSV and upload that.")


@pytest.mark.parametrize("table", [0, 9, 17, 42, 47, 51])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode("cp1252", "ignore"),
        lambda text: ("\n\n" + text).encode(),
        lambda text: ("\ufeff\r\n" + text).encode(),
    ],
    ids=["UTF-8 with mark", "UTF-16", "Windows", "empty lines", "mark and empty line"],
)
def test_files_are_read_in_the_encodings_of_spreadsheets(table, change):
    service, name, content, expected = TABLE[table]
    data = change(content)

    records, _ = read(data, name)

    assert detect(data, name) == service
    assert [(record.kind, record.values) for record in records] == expected


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("prefix", ["", "sep={}\n"])
def test_semicolons_and_tabs_separate_cells_too(delimiter, prefix):
    row = '2024-01-02,"Alien, the first; and best",1979,u,"4,5"'
    cells = ["2024-01-02", '"Alien, the first; and best"', "1979", "u", '"4,5"']
    header = LETTERBOXD_RATINGS.replace(",", delimiter)

    records, _ = read(prefix.format(delimiter) + header + delimiter.join(cells), "ratings.csv")

    assert row.count(",") > 4
    (record,) = records
    assert (record.title, record.values["score"]) == ("Alien, the first; and best", 4.5)


def test_row_without_its_last_empty_cells_is_read():
    records, _ = read(LETTERBOXD_DIARY + "2024-01-05,Alien,1979,u,4.5", "diary.csv")

    assert [record.kind for record in records] == ["rating", "viewing"]


def test_columns_are_found_however_they_are_spelled():
    header = LETTERBOXD_DIARY.replace("Watched Date", "watched_date").replace("Rating", " RATING ")

    records, _ = read(header + "2024-01-05,Alien,1979,u,4.5,,,2024-01-02,", "diary.csv")

    assert [record.kind for record in records] == ["rating", "viewing"]


# --- Cells and lists -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "lost", "change"),
    [
        ("2024-13-41,Alien,1979,u,4.5", "rated_at", "“2024-13-41” is not a date."),
        ("2999-01-01,Alien,1979,u,4.5", "rated_at", "2999-01-01 is in the future."),
        ("03/04/2024,Alien,1979,u,4.5", "rated_at", "“03/04/2024” is not a date."),
        ("2024-01-02,Alien,MCMX,u,4.5", "year", "“MCMX” is not a year."),
        ("2024-01-02,Alien,1492,u,4.5", "year", "The year 1492 is not from 1870 to 2200."),
    ],
)
def test_bad_cell_costs_the_cell(row, lost, change):
    (record,), left_out = read(LETTERBOXD_RATINGS + row, "ratings.csv")

    assert record.error is None
    assert record.values["score"] == 4.5
    assert (record.year if lost == "year" else record.values[lost]) is None
    assert record.values["changes"].startswith(change)
    assert sum(left_out.values()) == 1


def test_bad_id_costs_the_id():
    content = "title,year,tmdbId,imdbId,userRating\nAlien,1979,x,nm0000001,9"

    (record,), left_out = read(content)

    assert (record.tmdb_id, record.imdb_id, record.title) == (None, None, "Alien")
    assert left_out == {"bad_id": 2}


def test_texts_are_cut_to_what_fits():
    content = (
        f"Date,Name,Tags,URL,Description\n2024-01-02,{'n' * 300},,u,{'d' * 2_001}\n\n"
        f"Position,Name,Year,URL,Description\n1,Alien,1979,u,{'i' * 501}\n"
    )

    (playlist, item), left_out = read(content, "list.csv")

    assert (len(playlist.values["name"]), len(playlist.values["description"])) == (200, 2_000)
    assert len(item.values["note"]) == 500
    assert "The note was cut to 500 characters." in item.values["changes"]
    assert left_out == {"too_long": 3}


@pytest.mark.parametrize("date_cell", ["", "not a day", "30/30/2024"])
def test_list_without_a_name_or_a_date_is_read(date_cell):
    content = (
        f"Letterboxd list export v7\nDate,Name,Tags,URL,Description\n{date_cell},,,u,\n\n"
        "Position,Name,Year,URL,Description\n1,Alien,1979,u,\n"
    )

    (playlist, _), _ = read(content, "lists/rainy.csv")

    assert (playlist.title, playlist.values["created_at"]) == ("rainy", None)


def test_year_first_title_of_an_undated_row_stays_unknown():
    (record,), _ = read(LETTERBOXD_MOVIES + "2024-01-02,Alien,,u", "watchlist.csv")

    assert record.year is None


# --- What is left out ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "left_out"),
    [
        ("diary.csv", LETTERBOXD_DIARY + 'd,Alien,1979,u,,Yes,"horror, space",2024-01-02',
         {"bad_date": 1, "tags": 1, "rewatch_flags": 1}),
        ("watched.csv", LETTERBOXD_MOVIES + "2024-01-02,Alien,1979,u", {"dates_of_marking": 1}),
        ("history.csv", "title,year,tmdbId,imdbId,watchedAt,comment,location\n"
         "Alien,1979,348,tt0078748,2024-01-02,,Cinema", {"locations": 1}),
        ("collection-movies.json", trakt({"collected_at": "2024-01-02T00:00:00.000Z"}),
         {"collection": 1}),
        ("watched-playback.json", trakt({"paused_at": "2024-01-02T00:00:00.000Z"}),
         {"playback": 1}),
        ("watched-movies.json",
         trakt({"plays": 4, "last_watched_at": "2024-01-02T20:15:00.000Z"}), {"earlier_plays": 3}),
        ("lists-watchlist.json", json.dumps([{**LISTED, "notes": "Soon."}]),
         {"watchlist_notes": 1}),
        ("SimklBackup.json", json.dumps({"shows": [{"show": {}}], "movies": []}), {"series": 1}),
        ("SimklBackup.csv", SIMKL + "1,Alien,movie,1979,dropped,,,3,Dull.,,348,",
         {"statuses": 1, "notes": 1}),
    ],
)  # fmt: skip
def test_what_has_no_place_here_is_counted(name, content, left_out):
    assert read(content, name)[1] == left_out


def test_score_of_a_viewing_that_is_not_the_current_one_is_counted():
    files = {
        "ratings.csv": LETTERBOXD_RATINGS + "2024-01-02,Alien,1979,u,4.5",
        "diary.csv": LETTERBOXD_DIARY
        + "2024-01-02,Alien,1979,u,4.5,,,2024-01-02\n2018-01-02,Alien,1979,u,2,,,2018-01-02",
    }

    assert read(make_zip(files), "letterboxd.zip")[1] == {"earlier_scores": 1}


def test_files_of_an_archive_that_are_not_read_are_counted():
    records, left_out = read(
        make_zip(
            {
                "ratings.csv": LETTERBOXD_RATINGS + "2024-01-02,Alien,1979,u,4.5",
                "profile.csv": "Date Joined,Username\n2020-01-01,ann\n",
                "likes/films.csv": LETTERBOXD_MOVIES + "2024-01-02,Alien,1979,u\n" * 3,
                "deleted/diary.csv": LETTERBOXD_MOVIES + "2024-01-02,Gone,1979,u\n",
                "readme.txt": "Thank you.",
            }
        ),
        "letterboxd.zip",
    )

    assert [record.kind for record in records] == ["rating"]
    assert left_out == {"profile": 1, "likes": 3, "deleted": 1, "other_files": 1}


# --- Trakt's archives ----------------------------------------------------------------------------

LISTS = json.dumps(
    [
        {"name": "Never again", "description": "d", "privacy": "private", "type": "personal",
         "created_at": "2024-01-02T00:00:00.000Z", "ids": {"trakt": 7, "slug": "never-again"}},
        {"name": "Empty", "privacy": "public", "ids": {"trakt": 8, "slug": "empty"}},
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    "files",
    [
        {"lists-lists.json": LISTS, "lists-list-7-never-again.json": json.dumps([LISTED])},
        {"ann/lists/lists.json": LISTS, "ann/lists/list-7-never-again.json": json.dumps([LISTED]),
         "ann/lists/watchlist.json": "[]"},
    ],
)  # fmt: skip
def test_custom_list_of_trakt_is_a_playlist_with_its_name(files):
    records, left_out = read(make_zip({**files, "user-settings.json": "{}"}), "trakt.zip")

    kinds = [(record.kind, record.title, record.values["list"]) for record in records]
    assert kinds == [
        ("playlist", "Never again", "trakt:7"),
        ("playlist", "Empty", "trakt:8"),
        ("playlist_item", "Alien", "trakt:7"),
    ]
    assert left_out == {"user": 1}


def test_series_of_trakt_are_counted_and_replies_are_no_reviews():
    show = {"rated_at": "2024-01-02T00:00:00.000Z", "rating": 9, "type": "show", "show": {}}
    reply = {"type": "movie", "movie": MOVIE, "comment": {**COMMENT, "parent_id": 5}}

    records, left_out = read(
        make_zip(
            {
                "ratings-shows.json": json.dumps([show, show]),
                "lists-list-9-my-shows.json": json.dumps([LISTED, {**show, "listed_at": "x"}]),
                "comments-movies.json": json.dumps([reply]),
            }
        ),
        "trakt.zip",
    )

    assert left_out == {"other_media": 2}
    assert [(record.kind, record.error and record.error[0]) for record in records] == [
        (None, "reply"),
        ("playlist", None),
        ("playlist_item", None),
        (None, "not_a_film"),
    ]


# --- Types of titles -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title_type", "result"),
    [
        *((name, "movie") for name in (
            "Movie", "movie", "Feature Film", "Short", "TV Movie", "tvMovie", "Video", "TV Special",
            "Film", "Kurzfilm", "Fernsehfilm", "Película", "Court métrage", "Cortometraggio",
            "Filme", "Dokumentarfilm",
        )),
        *((name, "not_a_film") for name in (
            "TV Series", "tvSeries", "TV Mini Series", "TV Episode", "Video Game", "Videospiel",
            "Fernsehserie", "Serie TV", "Mini serie TV", "Série télévisée", "Episodio de TV",
            "Jeu vidéo", "Videojuego", "Podcast Series", "Music Video", "Folge",
        )),
        *((name, "unconfirmed") for name in ("Zeichentrick", "TV-spel?", "фильм", "")),
    ],
)  # fmt: skip
def test_title_type_decides_in_every_language_and_an_unknown_one_must_be_confirmed(
    title_type, result
):
    row = f'tt0078748,9,2024-01-02,Alien,Alien,u,"{title_type}",8.5,117,1979,Horror,1,,R'

    (record,), _ = read(IMDB_RATINGS + row)

    if result == "not_a_film":
        assert record.error[0] == "not_a_film"
    else:
        assert record.error is None
        assert record.values.get("must_be_confirmed", False) is (result == "unconfirmed")


def test_unknown_title_without_an_id_is_refused():
    row = ',9,2024-01-02,Alien,Alien,u,"Zeichentrick",8.5,117,1979,Horror,1,,R'

    (record,), _ = read(IMDB_RATINGS + row)

    assert record.error[0] == "unknown_type"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (SIMKL + "1,Alien,tv,1979,watching,S01E04,2024-01-02,,,1,2,tt9999999", "not_a_film"),
        (SIMKL + "1,Alien,movie,1979,watching,,,,,,348,", "not_watched"),
        (YAMTRACK + "1668,tmdb,tv,Friends,i,,,9,Completed,,,2024-01-02,24", "not_a_film"),
        (YAMTRACK + "19562,igdb,game,Alien,i,,,9,Completed,,,2024-01-02,3", "not_a_film"),
        (TMDB + "348,,tv,Alien,1979-05-25,,,8.1,9.0,2024-01-02", "not_a_film"),
        (TMDB + "348,,,Alien,1979-05-25,,,8.1,9.0,2024-01-02", "not_a_film"),
    ],
)
def test_other_media_and_statuses_are_refused(content, code):
    (record,), _ = read(content)

    assert record.error[0] == code


def test_anime_of_simkl_must_be_confirmed_by_its_imdb_id():
    row = "1,Perfect Blue,anime,1997,completed,,2024-01-02,9,,,12345,tt0156887"

    records, _ = read(SIMKL + row)

    assert {(record.tmdb_id, record.imdb_id) for record in records} == {(None, "tt0156887")}
    assert all(record.values["must_be_confirmed"] for record in records)


@pytest.mark.parametrize(
    ("title", "is_episode"),
    [
        ("Alien", False),
        ("Dune: Part Two", False),
        ("Spider-Man: No Way Home", False),
        ("Kill Bill: Vol. 1", False),
        ("Mission: Impossible", False),
        ("White Collar: Season 2: Withdrawal", True),
        ("Dark: Staffel 1: Geheimnisse", True),
        ("Lupin: Partie 2: Chapitre 6", True),
        ("Élite: Temporada 1: Bienvenidos", True),
        ("Chernobyl: Limited Series: 1:23:45", True),
        ("Unorthodox: Miniserie: Teil 1", True),
        ("The Crown: Series 2: Misadventure", True),
        ("Stranger Things: Chapter One", False),
        ("Queen: Episode 3", True),
        (" : Episode 7", True),
        ("White Collar: The Portrait", True),
    ],
)
def test_shape_of_a_title_tells_episodes_of_netflix_from_movies(title, is_episode):
    rows = f'Title,Date\n"{title}","1/31/24"\n"White Collar: Season 1: Pilot","1/31/24"'

    (record, _), _ = read(rows)

    assert (record.error is not None) is is_episode


def test_trailers_and_looks_into_a_title_of_netflix_are_no_viewings():
    start = "Ann,2024-01-02 20:15:00"
    rows = f"{start},01:30:00,,Alien,TRAILER,TV,,,DE\n{start},00:03:12,,Alien,,TV,,,DE"

    records, _ = read(NETFLIX_ACTIVITY + rows)

    assert [record.error[0] for record in records] == ["not_a_film", "not_watched"]


@pytest.mark.parametrize("header", ["Titel,Datum", "Titre,Date", "Título,Fecha", "Titolo,Data"])
def test_history_of_netflix_is_recognized_in_other_languages(header):
    assert detect(f'{header}\n"Alien","31.01.24"') == "netflix"
