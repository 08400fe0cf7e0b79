"""import_tmdb_ids: TMDb's daily export, complete, broken, cut off and resumed."""

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
from tmdb.sync import id_export

pytestmark = pytest.mark.django_db


@pytest.fixture
def import_ids(run_command):
    return lambda *arguments: run_command("import_tmdb_ids", *map(str, arguments))


@pytest.fixture
def write_export(tmp_path):
    """Write an export file; a line is a document or raw text."""

    def write(*lines):
        path = tmp_path / "movie_ids.json.gz"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_bytes(gzip.compress("".join(f"{text}\n" for text in texts).encode()))
        return path

    return write


def make_line(tmdb_id, title="A movie", popularity=1.5, **fields):
    return {
        "adult": False,
        "id": tmdb_id,
        "original_title": title,
        "popularity": popularity,
        "video": False,
        **fields,
    }


def test_new_movies_are_stored_without_details(import_ids, write_export):
    path = write_export(make_line(5, "Le Fabuleux Destin d'Amélie"), make_line(6, "千と千尋", 22.5))

    output, _, failure = import_ids(path)

    assert failure is None
    assert output.startswith(
        "Stored 2 new movies and updated the popularity of 0; 0 are unchanged; skipped 0"
    )
    movie = Movie.objects.get(tmdb_id=6)
    assert (movie.title, movie.original_title) == ("千と千尋", "千と千尋")
    assert (movie.popularity, movie.weighted_rating) == (22.5, 6.5)
    assert (movie.source, movie.details_missing, movie.genres) == ("tmdb", True, [])
    assert movie.synced_at is not None


def test_stored_movies_are_found_and_sorted_by_title(import_ids, write_export, api):
    import_ids(write_export(make_line(5, "Le Fabuleux Destin d'Amélie")))

    (result,) = api.get("/movies/?search=fabuleux").json()["results"]

    assert result["tmdb_id"] == 5
    assert Movie.objects.get(tmdb_id=5).sort_title == "le fabuleux destin damelie"


def test_only_the_popularity_of_known_movies_is_updated(import_ids, write_export, make_movie):
    known = make_movie("Known", tmdb_id=5, popularity=3.0, genres=["Drama"], source="tmdb")
    manual = make_movie("By hand", tmdb_id=6, popularity=3.0, source="manual")
    unchanged = make_movie("Same", tmdb_id=7, popularity=3.0)
    path = write_export(
        make_line(5, "Other", 9.0), make_line(6, "Other", 9.0), make_line(7, "Other", 3.0)
    )

    output, _, _ = import_ids(path)

    assert "Stored 0 new movies and updated the popularity of 1; 2 are unchanged" in output
    for movie in (known, manual, unchanged):
        movie.refresh_from_db()
    assert (known.title, known.popularity, known.genres) == ("Known", 9.0, ["Drama"])
    assert not known.details_missing
    assert (manual.title, manual.popularity) == ("By hand", 3.0)
    assert unchanged.title == "Same"


def test_adult_titles_videos_and_unpopular_movies_are_skipped(import_ids, write_export):
    path = write_export(
        make_line(1, adult=True),
        make_line(2, video=True),
        make_line(3, popularity=0.4),
        make_line(4, popularity=0.5),
    )

    output, _, failure = import_ids(path, "--min-popularity", "0.5")

    assert failure is None
    assert "Stored 1 new movies" in output
    assert "skipped 3" in output
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
        json.dumps(make_line(0)),
        json.dumps(make_line(2**31)),
        json.dumps(make_line("5")),
        json.dumps(make_line(5, title="")),
        json.dumps(make_line(5, title="\u0000")),
        json.dumps(make_line(5, popularity=-1)),
        json.dumps(make_line(5, popularity=float("nan"))),
        json.dumps(make_line(5, popularity=10**400)),
        json.dumps(make_line(5, title="x" * 30_000)),
    ],
)
def test_unreadable_line_is_reported_and_stops_nothing(import_ids, write_export, line):
    output, errors, failure = import_ids(write_export(make_line(3), line, make_line(4)))

    assert "Stored 2 new movies" in output
    assert "read 3 lines" in output
    assert "  line 2: " in errors
    assert failure == "1 failed."
    assert not SyncProgress.objects.exists()


def test_movie_with_two_lines_is_stored_once(import_ids, write_export):
    import_ids(write_export(make_line(5, popularity=1.0), make_line(5, popularity=2.0)))

    assert Movie.objects.get().popularity == 2.0


def test_interrupted_run_resumes_at_its_line(import_ids, write_export, monkeypatch):
    monkeypatch.setattr(id_export, "LINES_PER_BATCH", 2)
    path = write_export(*(make_line(number, f"Movie {number}") for number in range(1, 8)))
    saved = []

    def save_twice(name, position):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(position["counts"][0])
        save_checkpoint(name, position)

    save_checkpoint = id_export.save_checkpoint
    with monkeypatch.context() as patched:
        patched.setattr(id_export, "save_checkpoint", save_twice)
        with pytest.raises(KeyboardInterrupt):
            import_ids(path)
    stored = Movie.objects.count()
    output, _, failure = import_ids(path)

    assert saved == [2, 4]
    # The interrupted batch was rolled back.
    assert stored == 4
    assert failure is None
    assert "Continued a run that was cut off" in output
    assert "Stored 7 new movies" in output
    assert Movie.objects.count() == 7
    assert not SyncProgress.objects.exists()


def test_checkpoint_of_another_file_is_ignored(import_ids, write_export):
    path = write_export(make_line(1), make_line(2))
    SyncProgress.objects.create(
        name=id_export.NAME, position={"file": ["other", 1, 1, 0.0], "counts": [1, 1, 0, 0, 0]}
    )

    output, _, _ = import_ids(path)

    assert "Stored 2 new movies" in output


def test_dry_run_reports_counts_and_writes_nothing(import_ids, write_export):
    output, _, _ = import_ids(write_export(make_line(1), make_line(2)), "--dry-run")

    assert output.startswith("Would store 2 new movies and update the popularity of 0")
    assert not Movie.objects.exists()
    assert not SyncProgress.objects.exists()


def test_missing_file_is_reported(import_ids, tmp_path):
    assert "cannot be read" in import_ids(tmp_path / "nowhere.json.gz")[2]


def test_file_that_is_not_gzip_is_reported(import_ids, tmp_path):
    path = tmp_path / "broken.json.gz"
    path.write_bytes(b"no gzip")

    assert "cannot be read" in import_ids(path)[2]


def test_truncated_file_is_reported(import_ids, write_export):
    path = write_export(*(make_line(number) for number in range(1, 500)))
    path.write_bytes(path.read_bytes()[:-40])

    assert "cannot be read" in import_ids(path)[2]


@pytest.mark.parametrize("popularity", ["-1", "nan", "inf", "much"])
def test_invalid_minimum_popularity_is_rejected(import_ids, write_export, popularity):
    path = write_export(make_line(1))

    assert "--min-popularity" in import_ids(path, "--min-popularity", popularity)[2]


def test_second_run_at_the_same_time_is_rejected(import_ids, write_export):
    path = write_export(make_line(1))
    name = connection.settings_dict["NAME"]
    url = re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{name}", os.environ["DATABASE_URL"])

    with psycopg.connect(url) as other:
        other.execute(
            "SELECT pg_advisory_lock(%s, hashtext(%s))", [AdvisoryLock.TMDB_COMMAND, id_export.NAME]
        )
        *_, failure = import_ids(path)
        other.execute("SELECT pg_advisory_unlock_all()")
    output, _, _ = import_ids(path)

    assert "Another import_tmdb_ids is running" in failure
    assert "Stored 1 new movies" in output
