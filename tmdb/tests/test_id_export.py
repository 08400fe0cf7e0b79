"""import_tmdb_ids: TMDb's daily export, whole, broken, cut off and taken up."""

import gzip
import json
import os
import re

import psycopg
import pytest
from django.db import connection

from movies.models import Movie
from nexus.core.db.advisory_locks import AdvisoryLock
from tmdb.models import SyncProgress
from tmdb.sync import id_export as export

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(manage):
    return lambda *arguments: manage("import_tmdb_ids", *map(str, arguments))


def film(tmdb_id, title="A film", popularity=1.5, **more):
    return {
        "adult": False,
        "id": tmdb_id,
        "original_title": title,
        "popularity": popularity,
        "video": False,
        **more,
    }


@pytest.fixture
def file(tmp_path):
    """Writes an export; a line is a film or a text as it is."""

    def write(*lines):
        path = tmp_path / "movie_ids.json.gz"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_bytes(gzip.compress("".join(f"{text}\n" for text in texts).encode()))
        return path

    return write


def test_the_films_are_stored_and_found_and_want_their_details(run, file, api):
    path = file(film(5, "Le Fabuleux Destin d'Amélie"), film(6, "千と千尋の神隠し", 22.5))
    out, _, failure = run(path)
    assert failure is None
    assert out.startswith(
        "Stored: films 2 new, popularity of 0 changed, 0 as they were; 0 left out"
    )
    held = Movie.objects.get(tmdb_id=6)
    assert (held.title, held.original_title, held.popularity) == ("千と千尋の神隠し",) * 2 + (22.5,)
    assert (held.source, held.details_missing, held.genres) == ("tmdb", True, [])
    assert held.synced_at is not None
    assert held.weighted_rating == 6.5
    (found,) = api.get("/movies/?search=fabuleux").json()["results"]
    assert found["tmdb_id"] == 5
    assert Movie.objects.get(tmdb_id=5).sort_title == "le fabuleux destin damelie"


def test_of_a_known_film_the_popularity_alone_is_changed(run, file, make_movie):
    known = make_movie("Known", tmdb_id=5, popularity=3.0, genres=["Drama"], source="tmdb")
    manual = make_movie("By hand", tmdb_id=6, popularity=3.0, source="manual")
    same = make_movie("Same", tmdb_id=7, popularity=3.0)
    path = file(film(5, "Other", 9.0), film(6, "Other", 9.0), film(7, "Other", 3.0))
    out, _, _ = run(path)
    assert "films 0 new, popularity of 1 changed, 2 as they were" in out
    for each in (known, manual, same):
        each.refresh_from_db()
    assert (known.title, known.popularity, known.genres) == ("Known", 9.0, ["Drama"])
    assert not known.details_missing
    assert (manual.title, manual.popularity) == ("By hand", 3.0)
    assert same.title == "Same"


def test_adult_titles_videos_and_unpopular_films_are_left_out(run, file):
    path = file(
        film(1, adult=True), film(2, video=True), film(3, popularity=0.4), film(4, popularity=0.5)
    )
    out, _, failure = run(path, "--min-popularity", "0.5")
    assert failure is None
    assert "films 1 new" in out
    assert "3 left out" in out
    assert list(Movie.objects.values_list("tmdb_id", flat=True)) == [4]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "[" * 5000,
        '{"id": 5}',
        json.dumps(film(0)),
        json.dumps(film(2**31)),
        json.dumps(film("5")),
        json.dumps(film(5, title="")),
        json.dumps(film(5, title="\u0000")),
        json.dumps(film(5, popularity=-1)),
        json.dumps(film(5, popularity=float("nan"))),
        json.dumps(film(5, popularity=10**400)),
        json.dumps(film(5, title="x" * 30_000)),
    ],
)
def test_a_line_that_makes_no_sense_is_told_and_stops_nothing(run, file, line):
    out, err, failure = run(file(film(3), line, film(4)))
    assert "films 2 new" in out
    assert "3 lines" in out
    assert "  line 2: " in err
    assert failure == "1 failed."
    assert not SyncProgress.objects.exists()


def test_a_film_that_stands_twice_is_stored_once(run, file):
    run(file(film(5, popularity=1.0), film(5, popularity=2.0)))
    assert Movie.objects.get().popularity == 2.0


def test_a_run_that_was_cut_off_is_taken_up_at_its_line(run, file, monkeypatch):
    monkeypatch.setattr(export, "LINES_AT_ONCE", 2)
    path = file(*(film(number, f"Film {number}") for number in range(1, 8)))
    real, steps = export.position_keep, []

    def cut_off(name, position):
        if len(steps) == 2:
            raise KeyboardInterrupt
        steps.append(position["counts"][0])
        real(name, position)

    monkeypatch.setattr(export, "position_keep", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(path)
    assert steps == [2, 4]
    # What the step in hand had written went with its transaction.
    assert Movie.objects.count() == 4
    monkeypatch.setattr(export, "position_keep", real)
    out, _, failure = run(path)
    assert failure is None
    assert "taken up" in out
    assert "films 7 new" in out
    assert Movie.objects.count() == 7
    assert not SyncProgress.objects.exists()


def test_another_file_is_begun_at_its_beginning(run, file):
    path = file(film(1), film(2))
    SyncProgress.objects.create(
        name=export.NAME, position={"file": ["other", 1, 1, 0.0], "counts": [1, 1, 0, 0, 0]}
    )
    assert "films 2 new" in run(path)[0]


def test_a_dry_run_counts_and_writes_nothing(run, file):
    out, _, _ = run(file(film(1), film(2)), "--dry-run")
    assert out.startswith("Would store: films 2 new")
    assert not Movie.objects.exists()
    assert not SyncProgress.objects.exists()


def test_a_file_that_is_missing_or_broken_is_told(run, file, tmp_path):
    assert "cannot be read" in run(tmp_path / "nowhere.json.gz")[2]
    broken = tmp_path / "broken.json.gz"
    broken.write_bytes(b"no gzip")
    assert "cannot be read" in run(broken)[2]
    whole = file(*(film(number) for number in range(1, 500)))
    whole.write_bytes(whole.read_bytes()[:-40])
    assert "cannot be read" in run(whole)[2]


@pytest.mark.parametrize("popularity", ["-1", "nan", "inf", "much"])
def test_a_popularity_that_makes_no_sense_is_refused(run, file, popularity):
    assert "--min-popularity" in run(file(film(1)), "--min-popularity", popularity)[2]


def test_one_run_at_a_time(run, file):
    name = connection.settings_dict["NAME"]
    url = re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{name}", os.environ["DATABASE_URL"])
    with psycopg.connect(url) as other:
        other.execute(
            "SELECT pg_advisory_lock(%s, hashtext(%s))", [AdvisoryLock.TMDB_COMMAND, export.NAME]
        )
        assert "running already" in run(file(film(1)))[2]
        other.execute("SELECT pg_advisory_unlock_all()")
    assert "films 1 new" in run(file(film(1)))[0]
