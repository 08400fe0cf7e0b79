"""Files in every encoding, broken and malicious ones; no test needs a database.

test_format_table.py tests what each service's files mean.
"""

import io
import json
import struct
import tracemalloc
import zipfile
from datetime import date

import pytest

from social.transfer.formats import csv_reader, json_reader, text_file, zip_archive
from social.transfer.formats.dates import DateOrder, detect_date_order, parse_moment
from social.transfer.formats.detection import detect_format
from social.transfer.formats.reader import read_records
from social.transfer.formats.records import FileError, Record, RowError
from social.transfer.formats.values import parse_id, parse_imdb_id, parse_score, parse_year
from social.transfer.tests.helpers import make_zip

TODAY = date(2026, 1, 1)
MOVIE = {"title": "Alien", "year": 1979, "ids": {"trakt": 1, "imdb": "tt0078748", "tmdb": 348}}
SHOW = {"title": "A show", "ids": {}}
TRAKT_RATINGS = json.dumps(
    [
        {"rated_at": "2024-01-02T00:00:00.000Z", "rating": 9, "type": "movie", "movie": MOVIE},
        {"rated_at": "2024-01-02T00:00:00.000Z", "rating": 9, "type": "show", "show": SHOW},
    ]
)
RATINGS_CSV = "Date,Name,Year,Letterboxd URI,Rating\n2024-01-01,Alien,1979,u,0.5\n"
DIARY_CSV = (
    "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"
    "2024-01-01,Alien,1979,u,5,Yes,,2023-12-31\n"
)


def read(content, name="x.csv"):
    content = content.encode() if isinstance(content, str) else content
    items = read_records(io.BytesIO(content), name=name, today=TODAY)
    return [item for item in items if isinstance(item, Record)]


def get_errors(data):
    """Return the file and the code of each invalid record."""
    return {(record.file, record.error[0]) for record in read(data) if record.error}


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
def test_encoding_of_a_file_is_detected(data):
    (record,) = read(data, "watchlist.csv")

    assert (record.title, record.year) == ("Amélie", 2001)


def test_lines_in_another_encoding_are_read_too():
    data = (
        NAMES.encode()
        + "2024-01-01,Schön,2001,u\n".encode("cp1252")
        + "2024-01-01,日本,2001,u".encode()
    )

    records = read(data, "watchlist.csv")

    assert [record.title for record in records] == ["Amélie", "Schön", "日本"]


def test_unicode_line_separators_do_not_end_a_row():
    title = "A\u2028B\x85C\x0bD"

    (record,) = read(NAMES.replace("Amélie", title), "watchlist.csv")

    assert record.title == title


def test_unclosed_quotation_mark_costs_only_its_row():
    rows = [f"2024-01-01,Film {n},2001,u" for n in range(50)]
    rows[10] = '2024-01-01,"Film 10,2001,u'
    rows[15] = '2024-01-01,"Film 15,2001,u'
    rows[20] = "2024-01-01,Film 20"

    records = read("Date,Name,Year,Letterboxd URI\n" + "\n".join(rows), "watchlist.csv")

    assert [record.line - 2 for record in records if record.error] == [10, 15, 20]
    assert len(records) == 50


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
def test_unusable_file_is_refused_with_its_code(content, code):
    def detect_and_read():
        detect_format(io.BytesIO(content.encode()), name="x.csv")
        read(content)

    with pytest.raises(FileError) as error:
        detect_and_read()

    assert error.value.code == code


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
def test_malicious_json_becomes_invalid_records(content, codes):
    actual = [record.error[0] for record in read(content) if record.error]

    assert actual
    assert codes is None or actual[-len(codes) :] == codes


def test_file_with_too_many_lines_is_refused(monkeypatch):
    monkeypatch.setattr(text_file, "MAX_LINES", 100)

    with pytest.raises(FileError) as error:
        read("Date,Name,Year,Letterboxd URI,Rating\n" + "\n" * 300)

    assert error.value.code == "too_many_lines"


def test_json_with_too_many_values_is_refused(monkeypatch):
    monkeypatch.setattr(json_reader, "MAX_VALUES", 100)

    with pytest.raises(FileError) as error:
        read("[" + "[]," * 100 + "[]]")

    assert error.value.code == "too_large"


# --- Archives ------------------------------------------------------------------------------------


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
def test_file_with_a_dangerous_name_is_an_invalid_record(name, code):
    data = make_zip({"ratings.csv": RATINGS_CSV, name: "x"})

    records = read(data)

    assert [record.kind for record in records] == [None, "rating"]
    assert records[0].error[0] == code


def make_two_file_zip():
    return bytearray(make_zip({"diary.csv": DIARY_CSV, "ratings.csv": RATINGS_CSV}))


def test_file_twice_in_an_archive_counts_once():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("ratings.csv", RATINGS_CSV)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("ratings.csv", RATINGS_CSV)

    assert get_errors(data.getvalue()) == {("ratings.csv", "duplicate_file")}


def test_encrypted_file_is_an_invalid_record():
    data = make_two_file_zip()
    directory_entry = data.rindex(b"PK\x01\x02")
    data[directory_entry + 8] |= 1

    assert ("ratings.csv", "encrypted") in get_errors(bytes(data))


def test_damaged_file_is_an_invalid_record():
    data = make_two_file_zip()
    data[45] ^= 0xFF

    assert ("diary.csv", "damaged_file") in get_errors(bytes(data))


def test_symbolic_link_is_an_invalid_record():
    link = zipfile.ZipInfo("watched.csv")
    link.external_attr = 0o120777 << 16
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("ratings.csv", RATINGS_CSV)
        archive.writestr(link, "/etc/passwd")

    assert get_errors(data.getvalue()) == {("watched.csv", "bad_path")}


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"ratings.csv": b"0" * 10_000_000}, "zip_bomb"),
        ({f"lists/{n}.csv": "" for n in range(zip_archive.MAX_FILES + 1)}, "too_many_files"),
    ],
    ids=["size", "files"],
)
def test_zip_bomb_is_refused_before_it_is_unpacked(files, code):
    data = make_zip(files)

    with pytest.raises(FileError) as error:
        detect_format(io.BytesIO(data), name="x.zip")

    assert error.value.code == code


def test_file_larger_than_its_directory_entry_says_is_an_invalid_record(monkeypatch):
    monkeypatch.setattr(zip_archive, "MAX_FILE_BYTES", 100)
    data = bytearray(make_zip({"diary.csv": DIARY_CSV, "ratings.csv": RATINGS_CSV * 50}))
    directory_entry = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, directory_entry + 24, 50)

    assert get_errors(bytes(data)) & {
        ("ratings.csv", "file_too_large"),
        ("ratings.csv", "damaged_file"),
    }


@pytest.mark.parametrize(
    "data",
    [
        make_zip({"ratings.csv": RATINGS_CSV})[:-30],
        make_zip({"ratings.csv": RATINGS_CSV})[:40],
        b"PK" + b"\x00" * 100,
        make_zip({}),
        make_zip({"a.txt": "x"}),
    ],
    ids=["truncated end", "truncated file", "not a ZIP", "empty", "unknown file"],
)
def test_unusable_archive_is_refused(data):
    with pytest.raises(FileError):
        detect_format(io.BytesIO(data), name="x.zip")


# --- Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "out_of", "stars"),
    [("10", 10, 5), ("1", 10, 1), ("2", 10, 1), ("7", 10, 3.5), ("8.5", 10, 4.5), ("8.4", 10, 4),
     ("0.5", 5, 1), ("4.5", 5, 4.5), ("3.", 5, 3), ("4,5", 5, 4.5)],
)  # fmt: skip
def test_score_becomes_half_stars(text, out_of, stars):
    assert parse_score(text, out_of=out_of)[0] == stars


@pytest.mark.parametrize(
    "text", ["0", "11", "-1", "nan", "1e1", "", "٣", "1_0", "+5", "5" * 50, "0.0"]
)
def test_text_that_is_not_a_score_is_refused(text):
    with pytest.raises(RowError):
        parse_score(text, out_of=10)


@pytest.mark.parametrize(
    "text",
    ["2024-02-30", "99999-01-01", "2024", "x", "2024-01-01T99:00:00Z", "1700-01-01", "2026-01-03",
     "0000-00-00", "2024-01-01T00:00:00+99:00", "9999-12-31T23:59:59-23:59", "20240101T",
     "31/31/2024", "03/04/2024", "30 Foo 2024", "31.02.2024", "1/2/3"],
)  # fmt: skip
def test_text_that_is_not_a_date_is_refused(text):
    with pytest.raises(RowError):
        parse_moment(text, today=TODAY)


@pytest.mark.parametrize(
    ("text", "day", "time"),
    [
        ("2024-01-31", "2024-01-31", None),
        ("2024-01-31T20:15:00.000Z", "2024-01-31", "2024-01-31T20:15:00+00:00"),
        ("2024-01-31 20:15:00 UTC", "2024-01-31", "2024-01-31T20:15:00+00:00"),
        ("2024-01-31 20:15:00", "2024-01-31", "2024-01-31T20:15:00+00:00"),
        ("2024-01-31T22:30:00-07:00", "2024-01-31", "2024-02-01T05:30:00+00:00"),
        ("Wed Jan 31 00:00:00 2024", "2024-01-31", None),
        ("2024/1/31", "2024-01-31", None),
        ("31/1/2024", "2024-01-31", None),
        ("1/31/2024", "2024-01-31", None),
        ("1/31/24 8:15 PM", "2024-01-31", None),
        ("31.01.2024", "2024-01-31", None),
        ("3.4.2024", "2024-04-03", None),
        ("31-01-2024", "2024-01-31", None),
        ("2/2/2024", "2024-02-02", None),
        ("31 Jan 2024", "2024-01-31", None),
        ("January 31, 2024", "2024-01-31", None),
        ("31-Jan-24", "2024-01-31", None),
        ("7/4/68", "1968", None),
        ("", None, None),
    ],
)
def test_day_and_moment_of_a_text_are_parsed(text, day, time):
    order = DateOrder.MONTH_FIRST if text == "7/4/68" else None

    moment = parse_moment(text, today=TODAY, order=order)

    assert (moment.day or "").startswith(day or "")
    assert (moment.day is None, moment.time) == (day is None, time)


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["1/2/2024", "1/13/2024"], DateOrder.MONTH_FIRST),
        (["1/2/2024", "13/1/2024", "2024-01-01", "Alien"], DateOrder.DAY_FIRST),
        (["1/2/2024", "3/4/2024"], None),
        (["13/1/2024", "1/13/2024"], None),
        (["1.2.2024"], DateOrder.DAY_FIRST),
        # In the other order it is in the future.
        (["1/12/2025", "1/2/2026"], DateOrder.MONTH_FIRST),
        ([], None),
    ],
)
def test_order_of_numeric_dates_follows_if_they_read_one_way_only(texts, order):
    assert detect_date_order(texts, today=TODAY) == order


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_year, "1979.0", 1979),
        (parse_year, "(1979)", 1979),
        (parse_id, "348.0", 348),
        (parse_imdb_id, "https://www.imdb.com/title/tt0078748/", "tt0078748"),
        (parse_imdb_id, "tt0078748", "tt0078748"),
    ],
)
def test_numbers_and_ids_are_read_as_programs_write_them(parse, text, value):
    assert parse(text) == value


def test_year_is_parsed_without_surrounding_space():
    assert parse_year(" 1979 ") == 1979


@pytest.mark.parametrize("text", ["0", "1800", "9999", "-999", "１９７９", "19 9"])
def test_text_that_is_not_a_release_year_is_refused(text):
    with pytest.raises(RowError):
        parse_year(text)


def test_column_names_are_normalized():
    header = csv_reader.read_header("\ufeff\n\n Date , Letterboxd  URI,your_Rating\nx,y")

    assert header.columns == ("date", "letterboxduri", "yourrating")
    assert header.names == ("Date", "Letterboxd URI", "your_Rating")


# --- Streams -------------------------------------------------------------------------------------


def split(text, length):
    return [text[start : start + length] for start in range(0, len(text), length)]


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7, 64])
def test_array_is_read_the_same_in_chunks_of_any_length(length):
    text = ' [ {"a": "é\\n]"} , -12.5e+3, 1234567, true, null, [[]], "x\\"y" ] '

    rows = list(json_reader.read_array(split(text, length)))

    assert rows == list(enumerate(json.loads(text), 1))


@pytest.mark.parametrize("length", [1, 4, 100])
def test_elements_before_an_error_are_read_in_chunks_of_any_length(length):
    first, second, error = json_reader.read_array(split('[1, {"a": 2}, nul', length))

    assert (first, second) == ((1, 1), (2, {"a": 2}))
    assert (error.line, error.error.code) == (3, "bad_json")


def test_element_that_would_fill_the_memory_is_an_error(monkeypatch):
    monkeypatch.setattr(json_reader, "MAX_ELEMENT_LENGTH", 1000)
    chunks = split(f'[1, "{"x" * 5000}", 3]', 100)

    first, error = json_reader.read_array(chunks)

    assert first == (1, 1)
    assert (error.line, error.error.code) == (2, "too_large")


def test_reading_a_large_file_takes_little_memory():
    review = "word " * 1000
    rows = "".join(f'2024-01-01,Film {n},2000,u,4,,"{review}",,\n' for n in range(4000))
    header = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
    file = io.BytesIO((header + rows).encode())
    size = len(file.getvalue())

    tracemalloc.start()
    count = sum(1 for _ in read_records(file, name="reviews.csv", today=TODAY))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 4000
    assert size > 20_000_000
    assert peak < 2_000_000


def test_line_without_an_end_is_one_invalid_row():
    rows = f'2024-01-01,"{"x" * 500_000}",2000,u,4\n2024-01-01,Alien,1979,u,4\n'
    content = ("Date,Name,Year,Letterboxd URI,Rating\n" + rows).encode()

    invalid, valid = read(content, "ratings.csv")

    assert (invalid.line, invalid.error[0]) == (2, "too_long")
    assert (valid.line, valid.title) == (3, "Alien")
