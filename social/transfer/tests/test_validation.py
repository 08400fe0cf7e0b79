"""A file of two thousand rows with every kind of bad row: each row gets exactly its verdict."""

from collections import Counter

import pytest
from django.db import connection

from movies.models import Movie
from social.models import ImportRow, Rating
from social.transfer.tests.helpers import run_action, upload_and_read

HEADER = b"Date,Name,Year,Letterboxd URI,Rating\n"
ROWS = 2000

# A line of the file (%d becomes a number of its own), its verdict and its code. The catalogue's
# movies are `Film <n>` of the year 1900 + n % 100.
BAD_LINES = [
    (b"2024-01-01,Film %d", "invalid", "half_row"),
    (b"2024-01-01,Film %d,1999,u", "invalid", "no_score"),
    (b"2024-01-01,Film %d,1999,u,4,more", "invalid", "too_many_columns"),
    (b'2024-01-01,"Film %d,1999,u,4', "invalid", "unclosed_quote"),
    (b"2024-01-01,Film %d\x00,1999,u,4", "invalid", "nul_character"),
    (b"2024-01-01,,1999,u,4", "invalid", "no_title"),
    (b"2024-01-01,   ,1999,u,4", "invalid", "no_title"),
    (b"2024-01-01,Film %d,1999,u,0", "invalid", "score_out_of_range"),
    (b"2024-01-01,Film %d,1999,u,5.5", "invalid", "score_out_of_range"),
    (b"2024-01-01,Film %d,1999,u,-3", "invalid", "bad_score"),
    (b"2024-01-01,Film %d,1999,u,nan", "invalid", "bad_score"),
    (b"2024-01-01,Film %d,1999,u,1e1", "invalid", "bad_score"),
    (b"2024-01-01,Film %d,1999,u,", "invalid", "no_score"),
    (b"2024-01-01,Film %d,1999,u,\xd9\xa1", "invalid", "bad_score"),
    (b"2024-13-41,Not here %d,1999,u,4", "missing", "not_in_catalogue"),
    (b"01/02/2024,Not here %d,1999,u,4", "missing", "not_in_catalogue"),
    (b"0001-01-01,Not here %d,1999,u,4", "missing", "not_in_catalogue"),
    (b"2999-01-01,Not here %d,1999,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,Several,19999,u,4", "ambiguous", "no_year"),
    (b"2024-01-01,Several,MCMX,u,4", "ambiguous", "no_year"),
    (b"2024-01-01,Several,0,u,4", "ambiguous", "no_year"),
    (b"2024-01-01," + b"x" * 501 + b"%d,1999,u,4", "invalid", "too_long"),
    (b"2024-01-01," + b"x" * 120_000 + b"%d,1999,u,4", "invalid", "too_long"),
    (b"2024-01-01,Not here %d,1999,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,=cmd|' /C calc'!A%d,1999,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,../../etc/passwd%d,1999,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,Twins,1990,u,4", "ambiguous", "several_films"),
    (b"2024-01-01,Early,1991,u,4", "ambiguous", "no_exact_match"),
    (b"2024-01-01,Early,1980,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,Undated,1991,u,4", "ambiguous", "no_exact_match"),
    (b"2024-01-01,Several,,u,4", "ambiguous", "no_year"),
    (b"2024-01-01,Several!,1980,u,4", "ambiguous", "no_exact_match"),
]
# Spellings of one movie, Amélie of 2001, with their encoding; all but the newest are duplicates.
AMELIE_LINES = [
    ("2024-03-01,Amélie,2001,u,4", "duplicate", "utf-8"),
    ("2024-03-02,amelie,2001,u,4", "duplicate", "utf-8"),
    ("2024-03-03,AMÉLIE,2001,u,4", "duplicate", "latin-1"),
    ('2024-03-04,"The Amélie",2001,u,4', "ambiguous", "utf-8"),
    ('2024-03-05,"amÉlie",2001,u,4', "duplicate", "utf-8"),
    ("2024-03-09,Le fabuleux destin,2001,u,4.5", "matched", "utf-8"),
    ("2024-03-06,Amélie!,2001,u,4", "ambiguous", "utf-8"),
]


@pytest.fixture
def catalogue(make_movie):
    for title, year, fields in (
        ("Amélie", 2001, {"original_title": "Le Fabuleux Destin"}),
        ("Twins", 1990, {}),
        ("Twins", 1990, {}),
        ("Early", 1990, {}),
        ("Undated", None, {}),
        ("Several", 1980, {}),
        ("Several", 1990, {}),
    ):
        make_movie(title, release_year=year, **fields)
    Movie.objects.bulk_create(
        Movie(title=f"Film {n}", sort_title=f"film {n}", release_year=1900 + n % 100)
        for n in range(ROWS)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE movies_movie")


def make_lines():
    """Return the lines of the file and the verdict and code that each must get."""
    lines, expected = [], []
    for text, verdict, encoding in AMELIE_LINES:
        lines.append(text.encode(encoding))
        codes = {"duplicate": "same_as", "ambiguous": "no_exact_match"}
        expected.append((verdict, codes.get(verdict, "")))
    number = 0
    while len(lines) < ROWS:
        if number % 3 == 0 and len(lines) < ROWS - 1:
            bad, verdict, code = BAD_LINES[number // 3 % len(BAD_LINES)]
            lines.append(bad % number if b"%d" in bad else bad)
            expected.append((verdict, code))
        lines.append(b"2024-02-01,Film %d,%d,u,4" % (number, 1900 + number % 100))
        # The member has rated the first one differently and the second one just so.
        expected.append(
            {0: ("matched", "conflict"), 1: ("unchanged", "")}.get(number, ("matched", ""))
        )
        number += 1
    assert len(lines) == ROWS
    return lines, expected


def test_each_of_two_thousand_rows_gets_its_verdict(client, ann, catalogue):
    for title, score in (("Film 0", 2), ("Film 1", 4)):
        movie = Movie.objects.get(title=title)
        Rating.objects.create(
            user=ann,
            movie=movie,
            score=score,
            created_at=movie.created_at,
            updated_at=movie.created_at,
        )
    lines, expected = make_lines()
    counts = Counter(verdict for verdict, _ in expected)

    job = upload_and_read(client, HEADER + b"\n".join(lines), "ratings.csv")

    assert job["state"] == "ready"
    rows = ImportRow.objects.filter(of_id=job["id"]).order_by("number")
    verdicts = list(rows.values_list("verdict", "code"))
    wrong = [
        (line[:80], actual, wanted)
        for line, actual, wanted in zip(lines, verdicts, expected, strict=True)
        if actual != wanted
    ]
    assert wrong == []
    assert {name: n for name, n in job["verdicts"].items() if n} == counts
    assert all(row.reason for row in rows if row.verdict not in ("matched", "pending"))
    assert {code for _, code in verdicts} >= {code for *_, code in BAD_LINES}

    job = run_action(client, job, "apply", on_conflict="keep")

    assert job["outcomes"]["created"] == counts["matched"] - 1
    assert (job["outcomes"]["kept"], job["outcomes"]["unchanged"]) == (1, 1)
    assert Rating.objects.filter(user=ann).count() == counts["matched"] + 1

    run_action(client, job, "undo")

    assert dict(Rating.objects.values_list("movie__title", "score")) == {"Film 0": 2, "Film 1": 4}
    assert Movie.objects.filter(rating_count__gt=0).count() == 0
