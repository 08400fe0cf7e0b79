from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from movies.models import Movie
from nexus.dev.pytest_plugin import PASSWORD
from recommendations.datasets.movielens import (
    MovieLensRowError,
    Title,
    movielens_import,
    parse_genres,
    parse_title,
)
from social.models import Rating

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "ml-latest-small"
DAY = 86_400
NOON = 1_500_000_000


def write_folder(folder, *, movies, links, ratings):
    for name, header, rows in (
        ("movies.csv", "movieId,title,genres", movies),
        ("links.csv", "movieId,imdbId,tmdbId", links),
        ("ratings.csv", "userId,movieId,rating,timestamp", ratings),
    ):
        (folder / name).write_text("\r\n".join([header, *rows]) + "\r\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path):
    """Three movies of our own, two members, four ratings."""
    return write_folder(
        tmp_path,
        movies=[
            '10,"Lighthouse, The (1971)",Drama|Film-Noir|IMAX',
            "20,Paper Boats (Bateaux de papier) (1988),Children|Sci-Fi|Musical",
            "30,Nameless,(no genres listed)",
        ],
        links=["10,0900001,910001", "20,0900002,", "30,10900003,910003"],
        ratings=[
            f"1,10,0.5,{NOON}",
            f"1,20,4.0,{NOON + DAY}",
            f"2,10,3.5,{NOON}",
            f"2,30,5.0,{NOON}",
        ],
    )


def run(folder, *options):
    out, err = StringIO(), StringIO()
    call_command("import_movielens", str(folder), *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def state():
    """Everything the import writes, updated_at included."""
    return (
        list(Movie.objects.order_by("id").values()),
        list(User.objects.order_by("id").values()),
        list(Rating.objects.order_by("id").values()),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Matrix, The (1999)", Title("The Matrix", "", 1999)),
        (
            "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)",
            Title("Amelie", "Le Fabuleux destin d'Amélie Poulain", 2001),
        ),
        ("Pot Luck (Auberge espagnole, L') (2002)", Title("Pot Luck", "L'Auberge espagnole", 2002)),
        ("Ship, A (a.k.a. Boat, The) (Nave, La) (1960)", Title("A Ship", "La Nave", 1960)),
        ("Rivals (a.k.a. The Race) (1980)", Title("Rivals", "", 1980)),
        ("You Are (Not) Early (Jo) (2007)", Title("You Are (Not) Early", "Jo", 2007)),
        ("Serial, The (2006–2007)", Title("The Serial", "", 2006)),
        ("No year", Title("No year", "", None)),
        ("(1999)", Title("(1999)", "", None)),
        ("1984 (1984)", Title("1984", "", 1984)),
        ("Too early (1066)", Title("Too early", "", None)),
    ],
)
def test_a_title_is_taken_apart(text, expected):
    assert parse_title(text) == expected


def test_genres_get_tmdbs_names_and_order():
    text = "Sci-Fi|Musical|IMAX|Film-Noir|Children|Drama"
    assert parse_genres(text) == ("Crime", "Drama", "Family", "Music", "Science Fiction")
    assert parse_genres("(no genres listed)") == ()
    with pytest.raises(MovieLensRowError, match="'Opera'"):
        parse_genres("Drama|Opera")


@pytest.mark.django_db
def test_an_import_writes_movies_members_ratings_and_counts(folder):
    out, _ = run(folder)
    assert (
        "movies 3 new, 0 changed, 0 as they were, 0 named twice; members 2 new, 0 known; ratings 4 new"
        in out
    )
    movies = {movie.title: movie for movie in Movie.objects.all()}
    lighthouse = movies["The Lighthouse"]
    assert (lighthouse.imdb_id, lighthouse.tmdb_id) == ("tt0900001", 910001)
    assert (lighthouse.release_year, lighthouse.release_date) == (1971, None)
    assert lighthouse.genres == ["Crime", "Drama"]
    assert lighthouse.source == Movie.Source.MOVIELENS
    assert (lighthouse.rating_count, lighthouse.rating_sum) == (2, 4.5)
    assert lighthouse.trend_week is not None
    boats = movies["Paper Boats"]
    assert (boats.original_title, boats.imdb_id, boats.tmdb_id) == (
        "Bateaux de papier",
        "tt0900002",
        None,
    )
    assert boats.genres == ["Family", "Music", "Science Fiction"]
    assert (movies["Nameless"].imdb_id, movies["Nameless"].genres) == ("tt10900003", [])
    rating = Rating.objects.get(user__username="ml-1", movie=lighthouse)
    # A half star is below this service's scale.
    assert rating.score == 1.0
    assert rating.created_at == rating.updated_at == datetime.fromtimestamp(NOON, UTC)


@pytest.mark.django_db
def test_an_imported_member_is_marked_private_and_cannot_log_in(folder, api):
    run(folder)
    member = User.objects.get(username="ml-1")
    assert member.origin == User.Origin.MOVIELENS
    assert (member.visibility, member.email) == ("private", "")
    assert not member.has_usable_password()
    assert not api.login(username="ml-1", password="")
    assert not api.login(username="ml-1", password=PASSWORD)


@pytest.mark.django_db
def test_a_second_run_changes_nothing_and_says_so(folder):
    run(folder)
    before = state()
    out, _ = run(folder)
    assert "ratings 0 new, 0 changed, 4 as they were" in out
    assert "nothing was changed" in out
    assert state() == before


@pytest.mark.django_db
def test_a_dry_run_writes_nothing_and_says_what_would_be_written(folder):
    out, _ = run(folder, "--dry-run")
    assert "Would write: movies 3 new" in out
    assert "members 2 new, 0 known; ratings 4 new" in out
    assert state() == ([], [], [])


@pytest.mark.django_db
def test_a_run_after_a_killed_one_completes_it(folder):
    run(folder)
    whole = state()
    member = User.objects.get(username="ml-2")
    Rating.objects.filter(user=member).delete()
    Movie.objects.update(rating_count=0, rating_sum=0, trend_day=None, trend_week=None)
    out, _ = run(folder)
    assert "ratings 2 new, 0 changed, 2 as they were" in out
    counts = ("tmdb_id", "rating_count", "rating_sum", "trend_day", "trend_week")
    assert [{name: movie[name] for name in counts} for movie in state()[0]] == [
        {name: movie[name] for name in counts} for movie in whole[0]
    ]


@pytest.mark.django_db
def test_a_movie_known_from_elsewhere_keeps_its_facts_and_is_filled_where_empty(folder, make_movie):
    known = make_movie("Our lighthouse", tmdb_id=910001, imdb_id=None, genres=["Horror"])
    by_imdb = make_movie("Our boats", tmdb_id=5, imdb_id="tt0900002")
    out, _ = run(folder)
    assert "movies 1 new, 2 changed, 0 as they were" in out
    known.refresh_from_db()
    assert (known.title, known.genres, known.imdb_id) == ("Our lighthouse", ["Horror"], "tt0900001")
    assert (known.release_year, known.source) == (1971, Movie.Source.STARTER)
    by_imdb.refresh_from_db()
    assert (by_imdb.title, by_imdb.tmdb_id, by_imdb.rating_count) == ("Our boats", 5, 1)
    assert "nothing was changed" in run(folder)[0]


@pytest.mark.django_db
def test_two_movielens_ids_of_one_movie_are_one_movie_with_the_later_rating(tmp_path):
    write_folder(
        tmp_path,
        movies=["1,Twin (1990),Drama", "2,The Twin (1990),Comedy", "3,Other (1991),War"],
        links=["1,0900001,77", "2,0900002,77", "3,0900003,"],
        ratings=[
            f"1,1,2.0,{NOON + DAY}",
            f"1,2,5.0,{NOON}",
            f"2,1,2.0,{NOON}",
            f"2,3,3.0,{NOON}",
            f"2,2,4.5,{NOON + DAY}",
        ],
    )
    assert "movies 2 new, 0 changed, 0 as they were, 1 named twice" in run(tmp_path)[0]
    movie = Movie.objects.get(tmdb_id=77)
    assert movie.title == "Twin"
    scores = Rating.objects.filter(movie=movie).order_by("user__username")
    assert list(scores.values_list("score", flat=True)) == [2.0, 4.5]
    assert (movie.rating_count, movie.rating_sum) == (2, 6.5)
    assert "nothing was changed" in run(tmp_path)[0]


@pytest.mark.django_db
def test_a_later_rating_in_a_newer_folder_replaces_the_older(folder):
    run(folder)
    path = folder / "ratings.csv"
    path.write_text(path.read_text().replace(f"2,10,3.5,{NOON}", f"2,10,4.5,{NOON + DAY}"))
    out, _ = run(folder)
    assert "ratings 0 new, 1 changed, 3 as they were" in out
    rating = Rating.objects.get(user__username="ml-2", movie__tmdb_id=910001)
    assert rating.score == 4.5
    assert (rating.created_at.timestamp(), rating.updated_at.timestamp()) == (NOON, NOON + DAY)
    assert rating.movie.rating_sum == 5.5


@pytest.mark.django_db
def test_members_spread_over_many_batches_and_the_file_are_still_one(folder, monkeypatch):
    monkeypatch.setattr("recommendations.datasets.movielens.RATINGS_AT_ONCE", 1)
    monkeypatch.setattr("recommendations.datasets.bulk_loading.MOVIES_AT_ONCE", 2)
    with (folder / "ratings.csv").open("a") as file:
        # Member 1 again, behind member 2: one new rating, and one older than the one above.
        file.write(f"1,30,2.0,{NOON}\r\n1,20,1.0,{NOON - DAY}\r\n")
    out, _ = run(folder)
    assert "members 2 new" in out
    assert Rating.objects.filter(user__username="ml-1").count() == 3
    assert Rating.objects.get(user__username="ml-1", movie__imdb_id="tt0900002").score == 4.0


@pytest.mark.django_db
def test_bad_rows_are_counted_shown_with_their_lines_and_stop_nothing(folder):
    bad = [
        "3,10,5.5,1500000000",
        "3,10,nan,1500000000",
        "3,10,3.3,1500000000",
        "3,10,4.0,soon",
        "3,10,4.0,99999999999999999999",
        "3,10,4.0,9999999999",
        "x,10,4.0,1500000000",
        "3,404,4.0,1500000000",
        "3,10",
        "0,10,4.0,1500000000",
        "-1,10,4.0,1500000000",
    ]
    with (folder / "ratings.csv").open("a") as file:
        file.write("\r\n".join([*bad, f"3,10,4.0,{NOON}"]) + "\r\n")
    with (folder / "movies.csv").open("ab") as file:
        file.write(b"40,No id (1999),Drama\r\n50,Odd (1999),Opera\r\n60,\xff\xfe (1999),Drama\r\n")
        file.write(b"70,Nul\x00 (1999),Drama\r\n80," + b"x" * 600 + b" (1999),Drama\r\n")
    with (folder / "links.csv").open("a") as file:
        file.write("50,0900050,\r\n60,0900060,\r\n70,0900070,\r\n80,0900080,\r\n90,tt,-4\r\n")
    out, err = run(folder)
    assert "movies 3 new" in out
    assert "members 3 new" in out
    assert "ratings 5 new" in out
    assert "17 bad rows were left out:" in err
    assert "links.csv, line 9: tmdbId '-4' is not an id" in err
    assert "movies.csv, line 5: movie 40 has no id in links.csv" in err
    assert "movies.csv, line 6: unknown genre 'Opera'" in err
    assert "ratings.csv, line 6: rating '5.5' is not 0.5 to 5 in half stars" in err
    assert err.count(", line ") == 10
    assert "… and 7 more" in err


@pytest.mark.django_db
def test_a_name_that_somebody_else_has_is_left_alone(folder, make_user, make_movie):
    squatter = make_user("ML-1")
    out, err = run(folder)
    assert "members 1 new" in out
    assert "1 members were left out" in err
    assert "ml-1" in err
    assert not Rating.objects.filter(user=squatter).exists()
    squatter.refresh_from_db()
    assert squatter.origin == User.Origin.REGISTERED
    assert squatter.check_password(PASSWORD)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["movies.csv", "links.csv", "ratings.csv"])
def test_a_missing_file_is_named_with_what_is_expected(folder, name):
    (folder / name).unlink()
    with pytest.raises(CommandError, match=rf"{name} cannot be read.*movies.csv, links.csv"):
        run(folder)
    assert state() == ([], [], [])


@pytest.mark.django_db
def test_a_missing_column_is_named_with_what_is_expected(folder):
    (folder / "ratings.csv").write_text("userId,movieId,stars,timestamp\r\n1,10,4.0,1\r\n")
    message = r"has no column rating\..*userId,movieId,rating,timestamp"
    with pytest.raises(CommandError, match=message):
        run(folder)
    assert state() == ([], [], [])


@pytest.mark.django_db
def test_an_empty_folder_of_headers_imports_nothing(tmp_path):
    write_folder(tmp_path, movies=[], links=[], ratings=[])
    assert "nothing was changed" in run(tmp_path)[0]


@pytest.mark.django_db
def test_progress_tells_what_is_read_and_how_far(folder):
    reports = []
    movielens_import(folder=folder, progress=lambda *args: reports.append(args))
    assert reports == [("movies", 3, 1.0), ("ratings", 4, 1.0), ("movies counted", 3, 1.0)]


@pytest.mark.shared
@pytest.mark.django_db
def test_the_first_part_of_movielens_itself_is_imported(tmp_path):
    if not SHARED.is_dir():
        pytest.skip(f"needs MovieLens's latest-small in {SHARED}, which is not distributed")
    for name, lines in (("movies.csv", 1500), ("links.csv", 1500), ("ratings.csv", 3000)):
        with (SHARED / name).open(encoding="utf-8", newline="") as file:
            head = [line for line, _ in zip(file, range(lines + 1), strict=False)]
        (tmp_path / name).write_text("".join(head), encoding="utf-8", newline="")
    out, err = run(tmp_path)
    assert "movies 1,500 new" in out
    movie = Movie.objects.get(imdb_id="tt0114709")
    assert (movie.title, movie.release_year, movie.tmdb_id) == ("Toy Story", 1995, 862)
    assert movie.genres == ["Adventure", "Animation", "Comedy", "Family", "Fantasy"]
    # Only ratings of movies beyond the part taken are left out.
    assert "there is no movie" in err
    ratings = list(Rating.objects.values_list("score", flat=True))
    assert movie.rating_count == Rating.objects.filter(movie=movie).count() > 0
    assert 1000 < len(ratings) < 3000
    assert "nothing was changed" in run(tmp_path)[0]


@pytest.mark.django_db
def test_another_prefix_adds_members_beside_the_others_on_the_same_movies(folder, tmp_path):
    run(folder)
    movies, members, ratings = state()

    out, _ = run(folder, "--prefix", "second-")

    assert "movies 0 new, 0 changed, 3 as they were" in out
    assert "members 2 new, 0 known; ratings 4 new" in out
    assert [user for user in state()[1] if user["username"].startswith("ml-")] == members
    assert [each for each in state()[2] if each["user_id"] <= members[-1]["id"]] == ratings
    assert {each["id"] for each in state()[0]} == {each["id"] for each in movies}
    added = User.objects.filter(username__startswith="second-")
    assert sorted(added.values_list("username", flat=True)) == ["second-1", "second-2"]
    assert set(added.values_list("origin", flat=True)) == {User.Origin.MOVIELENS}
    assert Movie.objects.get(title="The Lighthouse").rating_count == 4


@pytest.mark.django_db
def test_a_second_run_with_a_prefix_changes_nothing(folder):
    run(folder)
    run(folder, "--prefix", "second-")
    before = state()

    out, _ = run(folder, "--prefix", "second-")

    assert "nothing was changed" in out
    assert state() == before


@pytest.mark.django_db
@pytest.mark.parametrize("prefix", ["", "ml-1", "A-", "a b-", "é-", "-x", "x" * 51, "sample-", "0"])
def test_a_prefix_that_cannot_name_members_is_refused_before_anything_is_written(folder, prefix):
    with pytest.raises(CommandError, match=r"cannot stand before|belong to the sample"):
        run(folder, f"--prefix={prefix}")

    assert state() == ([], [], [])


# --- The format of MovieLens 1M ------------------------------------------------------------------


@pytest.fixture
def dat_folder(tmp_path):
    """Three movies and two members of our own as .dat files."""
    for name, lines in (
        (
            "movies.dat",
            [
                "10::Lighthouse, The (1971)::Drama|Film-Noir",
                "20::Café (1988)::Children's",
                "30::Nameless::Drama",
            ],
        ),
        ("users.dat", ["1::F::1::10::48067", "2::M::56::16::70072"]),
        (
            "ratings.dat",
            [f"1::10::1::{NOON}", f"1::20::4::{NOON + DAY}", f"2::10::3::{NOON}"],
        ),
    ):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="latin-1")
    return tmp_path


@pytest.mark.django_db
def test_dat_files_are_imported_with_movies_known_by_title_and_year(dat_folder):
    out, _ = run(dat_folder)

    assert "movies 3 new, 0 changed, 0 as they were, 0 named twice; members 2 new" in out
    assert "ratings 3 new" in out
    cafe = Movie.objects.get(title="Café")
    assert (cafe.imdb_id, cafe.tmdb_id, cafe.release_year) == (None, None, 1988)
    assert cafe.genres == ["Family"]
    rating = Rating.objects.get(user__username="ml-1", movie=cafe)
    assert (rating.score, rating.created_at) == (4.0, datetime.fromtimestamp(NOON + DAY, UTC))


@pytest.mark.django_db
def test_a_second_import_of_dat_files_changes_nothing(dat_folder):
    run(dat_folder)
    before = state()

    out, _ = run(dat_folder)

    assert "movies 0 new, 0 changed, 3 as they were" in out
    assert "nothing was changed" in out
    assert state() == before


@pytest.mark.django_db
def test_a_dry_run_of_dat_files_writes_nothing(dat_folder):
    out, _ = run(dat_folder, "--dry-run")

    assert "Would write: movies 3 new" in out
    assert "ratings 3 new" in out
    assert state() == ([], [], [])


@pytest.mark.django_db
def test_dat_files_share_the_movies_of_the_catalogue(dat_folder, make_movie):
    known = make_movie("The Lighthouse", release_year=1971, imdb_id="tt0900001")
    make_movie("The Lighthouse", release_year=2019, imdb_id="tt0900009")

    out, _ = run(dat_folder)

    assert "movies 2 new, 0 changed, 1 as they were" in out
    assert set(Rating.objects.filter(movie=known).values_list("score", flat=True)) == {1.0, 3.0}


@pytest.mark.django_db
def test_bad_lines_of_dat_files_are_reported_with_their_numbers(dat_folder):
    with (dat_folder / "ratings.dat").open("a") as file:
        file.write(f"2::20::4\n2::20::9::{NOON}\n\n2::40::3::{NOON}\n")
    with (dat_folder / "movies.dat").open("a", encoding="latin-1") as file:
        file.write("50::Twin (1990)::Drama\n51::Twin (1990)::Drama\n52::Odd (1999)::Opera\n")

    out, err = run(dat_folder)

    assert "movies 4 new, 0 changed, 0 as they were, 1 named twice" in out
    assert "4 bad rows were left out" in err
    assert "ratings.dat, line 4: 3 columns instead of 4" in err
    assert "ratings.dat, line 5: rating '9'" in err
    assert "movies.dat, line 6: unknown genre 'Opera'" in err


@pytest.mark.django_db
def test_a_missing_dat_file_is_named_with_what_is_expected(dat_folder):
    (dat_folder / "movies.dat").unlink()

    with pytest.raises(CommandError, match=r"movies.dat cannot be read.*movies.dat, ratings.dat"):
        run(dat_folder)
