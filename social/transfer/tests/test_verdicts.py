"""Two thousand rows with every kind of bad row among them: each gets its verdict, and no other."""

from collections import Counter

import pytest
from django.db import connection

from movies.models import Movie
from social.models import ImportRow, Rating
from social.transfer.tests.test_imports import ann, client, done, sent  # noqa: F401

HEADER = b"Date,Name,Year,Letterboxd URI,Rating\n"
ROWS = 2000

# A line as it stands in the file (%d is a number of its own), its verdict and code. Films of the
# catalogue are `Film <n>`, of the year 1900 + n % 100.
BAD = [
    (b"2024-01-01,Film %d", "invalid", "half_row"),
    (b"2024-01-01,Film %d,1999,u", "invalid", "half_row"),
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
    (b"2024-01-01,Film %d,1999,u,", "invalid", "bad_score"),
    (b"2024-01-01,Film %d,1999,u,\xd9\xa1", "invalid", "bad_score"),
    (b"2024-13-41,Film %d,1999,u,4", "invalid", "bad_date"),
    (b"01/02/2024,Film %d,1999,u,4", "invalid", "bad_date"),
    (b"0001-01-01,Film %d,1999,u,4", "invalid", "bad_date"),
    (b"2999-01-01,Film %d,1999,u,4", "invalid", "date_in_future"),
    (b"2024-01-01,Film %d,19999,u,4", "invalid", "bad_year"),
    (b"2024-01-01,Film %d,MCMX,u,4", "invalid", "bad_year"),
    (b"2024-01-01,Film %d,0,u,4", "invalid", "bad_year"),
    (b"2024-01-01," + b"x" * 501 + b"%d,1999,u,4", "invalid", "too_long"),
    (b"2024-01-01," + b"x" * 120_000 + b"%d,1999,u,4", "invalid", "too_long"),
    (b"2024-01-01,Not here %d,1999,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,=cmd|' /C calc'!A%d,1999,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,../../etc/passwd%d,1999,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,Twins,1990,u,4", "ambiguous", "several_films"),
    (b"2024-01-01,Early,1991,u,4", "ambiguous", "several_films"),
    (b"2024-01-01,Early,1980,u,4", "missing", "not_in_catalogue"),
    (b"2024-01-01,Undated,1991,u,4", "ambiguous", "several_films"),
    (b"2024-01-01,Several,,u,4", "ambiguous", "several_films"),
]
# Ways to write the one film Amélie of 2001; all but the newest are duplicates.
AMELIE = [
    ("2024-03-01,Amélie,2001,u,4", "duplicate", "utf-8"),
    ("2024-03-02,amelie,2001,u,4", "duplicate", "utf-8"),
    ("2024-03-03,AMÉLIE,2001,u,4", "duplicate", "latin-1"),
    ('2024-03-04,"The Amélie",2001,u,4', "duplicate", "utf-8"),
    ('2024-03-05,"Amelie, The",2001,u,4', "duplicate", "utf-8"),
    ("2024-03-09,Le fabuleux destin,2001,u,4.5", "matched", "utf-8"),
    ("2024-03-06,Amélie!,,u,4", "duplicate", "utf-8"),
]


@pytest.fixture
def catalogue(make_movie):
    for title, year, more in (
        ("Amélie", 2001, {"original_title": "Le Fabuleux Destin"}),
        ("Twins", 1990, {}),
        ("Twins", 1990, {}),
        ("Early", 1990, {}),
        ("Undated", None, {}),
        ("Several", 1980, {}),
        ("Several", 1990, {}),
    ):
        make_movie(title, release_year=year, **more)
    Movie.objects.bulk_create(
        Movie(title=f"Film {n}", sort_title=f"film {n}", release_year=1900 + n % 100)
        for n in range(ROWS)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE movies_movie")


def test_each_of_two_thousand_rows_gets_its_verdict(client, ann, catalogue):  # noqa: F811
    for n in (0, 1):
        film = Movie.objects.get(title=f"Film {n}")
        Rating.objects.create(
            user=ann,
            movie=film,
            score=4 if n else 2,
            created_at=film.created_at,
            updated_at=film.created_at,
        )
    lines, expected = [], []
    for text, verdict, encoding in AMELIE:
        lines.append(text.encode(encoding))
        expected.append((verdict, "same_as" if verdict == "duplicate" else ""))
    number = 0
    while len(lines) < ROWS:
        if number % 3 == 0 and len(lines) < ROWS - 1:
            bad, verdict, code = BAD[number // 3 % len(BAD)]
            lines.append(bad % number if b"%d" in bad else bad)
            expected.append((verdict, code))
        lines.append(b"2024-02-01,Film %d,%d,u,4" % (number, 1900 + number % 100))
        # The first one the member rated otherwise, the second just so.
        expected.append(
            {0: ("matched", "conflict"), 1: ("unchanged", "")}.get(number, ("matched", ""))
        )
        number += 1
    assert len(lines) == ROWS
    made = sent(client, HEADER + b"\n".join(lines), "ratings.csv")
    assert made["state"] == "ready"
    rows = ImportRow.objects.filter(of_id=made["id"]).order_by("number")
    told = list(rows.values_list("verdict", "code"))
    wrong = [
        (line[:80], got, want)
        for line, got, want in zip(lines, told, expected, strict=True)
        if got != want
    ]
    assert wrong == []
    counts = Counter(verdict for verdict, _ in expected)
    assert {name: n for name, n in made["verdicts"].items() if n} == counts
    assert all(row.reason for row in rows if row.verdict not in ("matched", "pending"))
    assert {code for _, code in told} >= {code for *_, code in BAD}
    made = done(client, made, "apply", on_conflict="keep")
    assert made["outcomes"]["created"] == counts["matched"] - 1
    assert (made["outcomes"]["kept"], made["outcomes"]["unchanged"]) == (1, 1)
    assert Rating.objects.filter(user=ann).count() == counts["matched"] + 1
    made = done(client, made, "undo")
    assert dict(Rating.objects.values_list("movie__title", "score")) == {"Film 0": 2, "Film 1": 4}
    assert Movie.objects.filter(rating_count__gt=0).count() == 0
