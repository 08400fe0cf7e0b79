"""Files as members have them, from the upload to the account: what each row becomes, and why."""

import json

import pytest
from django.db import OperationalError
from procrastinate.contrib.django.models import ProcrastinateJob

from movies.dto import LookupResult
from movies.models import Movie
from nexus.core.api.exceptions import Problem
from nexus.dev.jobs import run_waiting_jobs
from social.models import (
    Import,
    ImportRow,
    Playlist,
    PlaylistItem,
    Rating,
    Viewing,
    WatchlistItem,
)
from social.transfer import runner
from social.transfer.tasks import MAX_TURN_ATTEMPTS
from social.transfer.tests.helpers import make_zip, run_action, upload, upload_and_read

RATINGS = "Date,Name,Year,Letterboxd URI,Rating\n"
DIARY = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"
REVIEWS = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Review,Tags,Watched Date\n"
MOVIES = "Date,Name,Year,Letterboxd URI\n"
LISTED = {"rank": 1, "listed_at": "2025-02-03T04:05:06.000Z", "type": "movie"}


@pytest.fixture
def movies(make_movie):
    return {
        "Alien": make_movie("Alien", release_year=1979, tmdb_id=348, imdb_id="tt0078748"),
        "Ran": make_movie("Ran", release_year=1985, tmdb_id=11645, imdb_id="tt0089881"),
    }


def get_rows(job):
    return job["rows"]["results"]


def import_file(client, content, name):
    return run_action(client, upload_and_read(client, content, name), "apply")


def get_left_out(job):
    return {entry["kind"]: entry["count"] for entry in job["left_out"]}


def make_trakt_movie(movie):
    ids = {"imdb": movie.imdb_id, "tmdb": movie.tmdb_id}
    return {"title": movie.title, "year": movie.release_year, "ids": ids}


# --- Everything goes where its owner had it ------------------------------------------------------


def test_custom_lists_and_favorites_of_trakt_are_playlists(client, movies):
    lists = [{"name": "Never again", "privacy": "private", "ids": {"trakt": 7, "slug": "n"}}]
    item = {**LISTED, "movie": make_trakt_movie(movies["Ran"]), "notes": "Too long."}
    favorite = {**LISTED, "movie": make_trakt_movie(movies["Alien"])}
    archive = make_zip(
        {
            "lists-lists.json": json.dumps(lists),
            "lists-list-7-n.json": json.dumps([item]),
            "lists-favorites.json": json.dumps([favorite]),
            "lists-watchlist.json": "[]",
        }
    )

    job = import_file(client, archive, "trakt-export.zip")

    assert job["format"] == "trakt"
    items = PlaylistItem.objects.order_by("playlist__name").values_list(
        "playlist__name", "movie__title", "note"
    )
    assert list(items) == [("Favorites", "Alien", ""), ("Never again", "Ran", "Too long.")]
    assert WatchlistItem.objects.count() == 0


def test_collection_of_trakt_is_left_out_and_comments_are_reviews(client, movies):
    movie = make_trakt_movie(movies["Alien"])
    comment = {"comment": "The best.", "spoiler": True, "user_stats": {"rating": 9}}
    archive = make_zip(
        {
            "collection-movies.json": json.dumps([{"collected_at": "x", "movie": movie}] * 3),
            "comments-movies.json": json.dumps(
                [{"type": "movie", "movie": movie, "comment": comment}]
            ),
        }
    )

    job = import_file(client, archive, "trakt-export.zip")

    rating = Rating.objects.get()
    assert (rating.score, rating.review, rating.contains_spoilers) == (4.5, "The best.", True)
    assert Viewing.objects.count() == 0
    (left_out,) = job["left_out"]
    assert (left_out["kind"], left_out["count"]) == ("collection", 3)
    assert "what you own" in left_out["reason"]


def test_three_files_of_movary_are_viewings_ratings_and_a_watchlist(client, movies):
    header = "title,year,tmdbId,imdbId"
    history = f"{header},watchedAt,comment\nAlien,1979,348,,2023-05-01,Big screen.\nAlien,1979,348,,2024-10-31,\nRan,1985,11645,,,\n"
    ratings = f"{header},userRating\nAlien,1979,348,tt0078748,9\nRan,1985,11645,,4\n"
    watchlist = f"{header},addedAt\nRan,1985,11645,,2024-02-03 10:11:12\n"

    import_file(client, history, "history.csv")
    import_file(client, ratings, "ratings.csv")
    import_file(client, watchlist, "watchlist.csv")

    viewings = Viewing.objects.order_by("movie__title", "watched_on")
    assert [
        (viewing.movie.title, viewing.watched_on and viewing.watched_on.isoformat(), viewing.note)
        for viewing in viewings
    ] == [("Alien", "2023-05-01", "Big screen."), ("Alien", "2024-10-31", ""), ("Ran", None, "")]
    assert dict(Rating.objects.values_list("movie__title", "score")) == {"Alien": 4.5, "Ran": 2}
    assert WatchlistItem.objects.get().movie == movies["Ran"]


def test_second_review_of_a_movie_is_the_note_of_its_viewing(client, movies):
    archive = make_zip(
        {
            "ratings.csv": RATINGS + "2020-04-05,Alien,1979,u,4\n",
            "reviews.csv": REVIEWS
            + "2018-05-01,Alien,1979,u,5,,First time.,,2018-05-01\n"
            + "2020-04-05,Alien,1979,u,4,Yes,Second time.,,2020-04-05\n",
        }
    )

    job = import_file(client, archive, "letterboxd.zip")

    rating = Rating.objects.get()
    assert (rating.score, rating.review) == (4, "Second time.")
    assert dict(Viewing.objects.values_list("watched_on__year", "note")) == {
        2018: "First time.",
        2020: "",
    }
    assert get_left_out(job) == {"earlier_scores": 1, "rewatch_flags": 1}


def test_imdb_list_with_ratings_gives_both_and_watched_movies_have_no_day(client, movies):
    header = "Position,Const,Created,Title,Title Type,Year,Your Rating,Date Rated\n"
    import_file(
        client, header + "1,tt0078748,2012-12-28,Alien,Movie,1979,9,2012-12-28", "WATCHLIST.csv"
    )
    import_file(client, MOVIES + "2020-01-05,Ran,1985,u", "watched.csv")

    assert Rating.objects.get().score == 4.5
    assert WatchlistItem.objects.get().movie == movies["Alien"]
    viewing = Viewing.objects.get()
    assert (viewing.movie, viewing.watched_on, viewing.watched_at) == (movies["Ran"], None, None)
    stats = client.get("/profiles/stats/?year=2020").json()
    assert stats["watched_count"] == 0


def test_file_saved_in_a_spreadsheet_is_read(client, movies):
    dates = RATINGS + "6/30/2022,Alien,1979,u,4.5\n"
    semicolons = DIARY.replace(",", ";") + "2025-03-14;Ran;1985;u;5;;;2023-07-14\n"

    import_file(client, dates, "ratings.csv")
    import_file(client, semicolons, "diary.csv")

    created = dict(Rating.objects.values_list("movie__title", "created_at__date"))
    assert {title: str(day) for title, day in created.items()} == {
        "Alien": "2022-06-30",
        "Ran": "2023-07-14",
    }


# --- Only what is certain is matched -------------------------------------------------------------


def test_row_without_a_year_is_ambiguous_with_unreleased_movies_first(client, make_movie, movies):
    undated = make_movie("Alien")

    job = upload_and_read(client, MOVIES + "2025-12-31,Alien,,u", "watchlist.csv")

    (row,) = get_rows(job)
    assert (row["verdict"], row["code"], row["movie"]) == ("ambiguous", "no_year", None)
    assert [movie["id"] for movie in row["candidates"]] == [undated.pk, movies["Alien"].pk]


@pytest.mark.parametrize(
    ("title", "verdict"),
    [
        ("alien", "matched"),
        ("ALIÉN", "matched"),
        ("Alien!", "ambiguous"),
        ("The Alien", "ambiguous"),
        ("+Alien", "ambiguous"),
    ],
)
def test_sign_or_article_makes_another_title(client, movies, title, verdict):
    (row,) = get_rows(upload_and_read(client, RATINGS + f"2024-01-01,{title},1979,u,4", "r.csv"))

    assert row["verdict"] == verdict
    assert row["reason"] or verdict == "matched"


def test_unknown_type_of_title_is_matched_by_its_id_and_never_by_its_title(client, movies):
    header = "Const,Your Rating,Date Rated,Title,Title Type,Year\n"
    rows = (
        "tt0078748,9,2024-01-02,Alien,Zeichentrick,1979\n"
        "tt9999999,9,2024-01-02,Ran,Zeichentrick,1985\n"
        "tt9999998,9,2024-01-02,Ran,Videospiel,1985\n"
    )

    job = upload_and_read(client, header + rows, "ratings.csv")

    codes = [(row["verdict"], row["code"]) for row in get_rows(job)]
    assert codes == [("matched", ""), ("missing", "unknown_type"), ("invalid", "not_a_film")]


def test_movies_of_netflix_are_offered_and_episodes_are_not(client, movies):
    rows = 'Title,Date\n"Alien","1/31/24"\n"Alien: Season 1: Pilot","1/31/24"\n'

    job = upload_and_read(client, rows, "NetflixViewingHistory.csv")

    movie, episode = get_rows(job)
    assert (movie["verdict"], movie["candidates"][0]["title"]) == ("ambiguous", "Alien")
    assert movie["watched_on"] == "2024-01-31"
    assert (episode["verdict"], episode["code"]) == ("invalid", "not_a_film")


# --- TMDb's candidates ---------------------------------------------------------------------------


def look_up_candidates(references):
    """Return a movie of the year after as a candidate for each reference, and two for a Twin."""
    results = []
    for reference in references:
        candidates = [
            Movie.objects.get_or_create(
                title=reference.title,
                release_year=(reference.year or 2000) + years,
                vote_count=votes,
                sort_title=reference.title.lower(),
            )[0].pk
            for years, votes in (((0, 5), (0, 50)) if reference.title == "Twin" else ((1, 5),))
        ]
        query = f"“{reference.title}” ({reference.year})"
        results.append(LookupResult(candidates=tuple(candidates), query=query))
    return results


def test_movies_of_tmdb_are_candidates_and_the_reason_says_what_was_searched(
    client, movies, settings
):
    settings.IMPORT_MOVIE_LOOKUP = f"{__name__}.look_up_candidates"
    rows = "2024-10-17,Nomad,2020,u,4\n2024-10-17,Twin,2025,u,4\n2024-12-01,Alien,1980,u,3\n"

    job = upload_and_read(client, RATINGS + rows, "ratings.csv")

    nomad, twin, alien = get_rows(job)
    assert {row["verdict"] for row in (nomad, twin, alien)} == {"ambiguous"}
    assert [movie["release_year"] for movie in nomad["candidates"]] == [2021]
    assert [movie["vote_count"] for movie in twin["candidates"]] == [50, 5]
    assert [row["code"] for row in (nomad, twin)] == ["no_exact_match", "several_films"]
    # The catalogue's movie of the year before, and TMDb's of the year after.
    assert [movie["release_year"] for movie in alien["candidates"]] == [1981, 1979]
    assert "TMDb was searched for “Nomad” (2020)." in nomad["reason"]


def look_up_other_media(references):
    return [LookupResult(query="the IMDb id", other_media="a series") for _ in references]


def test_title_that_tmdb_knows_as_a_series_is_invalid(client, movies, settings):
    settings.IMPORT_MOVIE_LOOKUP = f"{__name__}.look_up_other_media"
    header = "Const,Your Rating,Date Rated,Title,Title Type,Year\n"

    job = upload_and_read(
        client, header + "tt9999999,9,2024-01-02,Pilot,Zeichentrick,1985", "ratings.csv"
    )

    (row,) = get_rows(job)
    assert (row["verdict"], row["code"]) == ("invalid", "not_a_film")
    assert row["reason"] == "This is not a movie but a series. TMDb was searched for the IMDb id."


# --- The dialogue --------------------------------------------------------------------------------


def test_same_bytes_of_another_name_are_another_import(client, movies):
    content = MOVIES + "2024-01-01,Alien,1979,u"

    watched = upload(client, content, "watched.csv")
    watchlist = upload(client, content, "watchlist.csv")
    again = upload(client, content, "watched.csv")

    assert (watched.status_code, watchlist.status_code, again.status_code) == (201, 201, 200)
    assert again.json()["id"] == watched.json()["id"] != watchlist.json()["id"]


def test_correction_covers_all_rows_of_the_title_and_year(client, movies):
    rows = (
        "2024-01-01,Aliens,1979,u,4,,,2024-01-01\n"
        "2024-01-02,Aliens,1979,u,4,,,2024-01-02\n"
        "2024-01-03,Aliens,1986,u,4,,,2024-01-03\n"
    )
    job = upload_and_read(client, DIARY + rows, "diary.csv")
    url = f"/imports/{job['id']}/"
    client.patch(f"{url}rows/2/", {"skip": True})

    response = client.patch(f"{url}rows/4/", {"movie": movies["Alien"].pk})

    assert response.json()["verdict"] == "matched"
    rows = get_rows(client.get(url).json())
    assert [row["kind"] for row in rows] == ["rating", "viewing"] * 3
    assert [(row["verdict"], row["chosen"]) for row in rows] == [
        # Of two ratings of a movie the newer one stays.
        ("duplicate", True),
        ("skipped", False),
        ("matched", True),
        ("matched", True),
        ("missing", False),
        ("missing", False),
    ]


def test_unmatched_rows_are_matched_again_after_the_catalogue_has_grown(client, movies, make_movie):
    rows = "2024-01-01,Alien,1979,u,4\n2024-01-01,Brazil,1985,u,5\n2024-01-01,Ran,1986,u,3\n"
    job = import_file(client, RATINGS + rows, "ratings.csv")
    make_movie("Brazil", release_year=1985)
    client.patch(f"/imports/{job['id']}/rows/3/", {"movie": movies["Ran"].pk})

    matched = run_action(client, job, "match")
    applied = run_action(client, matched, "apply")

    assert matched["state"] == "ready"
    assert [row["verdict"] for row in get_rows(matched)] == ["matched", "matched", "ambiguous"]
    assert [row["outcome"] for row in get_rows(applied)] == ["created", "created", ""]
    assert dict(Rating.objects.values_list("movie__title", "score")) == {"Alien": 4, "Brazil": 5}

    run_action(client, applied, "undo")

    assert Rating.objects.count() == 0


def test_import_that_is_matched_again_can_be_undone(client, movies):
    job = import_file(client, RATINGS + "2024-01-01,Alien,1979,u,4\n", "ratings.csv")

    job = run_action(client, run_action(client, job, "match"), "undo")

    assert (job["state"], Rating.objects.count()) == ("undone", 0)


def test_import_that_is_being_read_is_not_matched_twice(client, movies):
    job = upload(client, RATINGS + "2024-01-01,Alien,1979,u,4\n", "ratings.csv").json()

    response = client.post(f"/imports/{job['id']}/match/")

    assert (response.status_code, response.json()["state"]) == (200, "reading")


def test_failed_import_cannot_be_matched(client, ann):
    job = Import.objects.create(user=ann, format="imdb", sha256="x", state="failed", step="")

    response = client.post(f"/imports/{job.pk}/match/")

    assert (response.status_code, response.json()["code"]) == (409, "not_ready")


def test_import_whose_second_match_fails_repeatedly_is_ready_as_it_was(client, movies, monkeypatch):
    def fail(import_id):
        raise OperationalError("no")

    job = upload_and_read(client, RATINGS + "2024-01-01,Nomad,2020,u,4\n", "ratings.csv")
    assert client.post(f"/imports/{job['id']}/match/").status_code == 202
    monkeypatch.setitem(runner.BATCH_FUNCTIONS, "match", fail)

    for _ in range(MAX_TURN_ATTEMPTS + 1):
        run_waiting_jobs()
        ProcrastinateJob.objects.update(scheduled_at=None)

    job = client.get(f"/imports/{job['id']}/").json()
    assert (job["state"], job["verdicts"]["missing"]) == ("ready", 1)
    assert "failed in the step" in job["reason"]


def raise_unavailable(references):
    raise Problem(503, "tmdb_unavailable", "Not now.")


def test_rows_that_tmdb_could_not_be_searched_for_are_matched_later(client, movies, settings):
    settings.IMPORT_MOVIE_LOOKUP = f"{__name__}.raise_unavailable"
    job = upload_and_read(client, RATINGS + "2024-01-01,Nomad,2020,u,4\n", "ratings.csv")
    settings.IMPORT_MOVIE_LOOKUP = f"{__name__}.look_up_candidates"

    matched = run_action(client, job, "match")

    assert get_rows(job)[0]["code"] == "tmdb_unavailable"
    assert get_rows(matched)[0]["verdict"] == "ambiguous"


def test_template_is_a_file_that_can_be_uploaded(client, movies):
    response = client.get("/imports/template.csv")
    row = "Alien,1979,,,4,Loud.,,,,2024-01-02,,,,,Nights\n"

    job = import_file(client, response.content.decode() + row, "mine.csv")

    assert response["Content-Type"] == "text/csv"
    assert job["format"] == "nexus"
    assert Rating.objects.get().review == "Loud."
    assert Viewing.objects.get().watched_on.isoformat() == "2024-01-02"
    assert Playlist.objects.get().name == "Nights"


# --- The summary ---------------------------------------------------------------------------------


def test_summary_counts_what_was_left_out_by_kind(client, movies):
    rows = (
        "2024-01-01,Alien,1979,u,4,Yes,horror,2024-01-01\n"
        "someday,Ran,1985,u,9,,horror,2024-01-01\n"
        "2024-01-01,,1985,u,4,,,2024-01-01\n"
    )

    job = upload_and_read(client, DIARY + rows, "diary.csv")

    assert job["left_out"] == [
        {"kind": "tags", "count": 2, "reason": "Tags have no place in an account here."},
        {
            "kind": "rewatch_flags",
            "count": 1,
            "reason": "A rewatch is a second viewing here, without a mark of its own.",
        },
        {
            "kind": "bad_date",
            "count": 1,
            "reason": "Cells were left out: “someday” is not a date.",
        },
        {
            "kind": "score_out_of_range",
            "count": 1,
            "reason": "Cells were left out: The score 9 is not above 0 and at most 5.",
        },
        {"kind": "no_title", "count": 1, "reason": "The row has no title."},
    ]
    ran = next(row for row in get_rows(job) if row["title"] == "Ran")
    assert (ran["kind"], ran["verdict"]) == ("viewing", "matched")
    assert "“someday” is not a date. It was left out." in ran["reason"]


def test_import_of_a_killed_worker_counts_what_is_left_out_once(client, movies, monkeypatch):
    monkeypatch.setattr("social.transfer.pipeline.read.BATCH_SIZE", 2)
    rows = "2024-01-01,Alien,1979,u,,,horror,2024-01-01\n" * 5
    job = upload(client, DIARY + rows, "diary.csv").json()
    monkeypatch.setattr("social.transfer.tasks._Turn.is_over", lambda turn: True)

    assert run_waiting_jobs() == []

    detail = client.get(f"/imports/{job['id']}/").json()
    assert (detail["state"], get_left_out(detail)) == ("ready", {"tags": 5})
    assert ImportRow.objects.count() == 5
