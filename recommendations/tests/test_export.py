import csv
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from movies.models import Movie
from recommendations.models import Feedback, Training
from recommendations.tests.community import made_up
from recommendations.training.pipeline import training_run
from social.models import Rating, Viewing
from social.services.ratings import rating_set

pytestmark = pytest.mark.django_db

BEFORE, AFTER = datetime(2019, 5, 1, tzinfo=UTC), datetime(2021, 5, 1, tzinfo=UTC)


@pytest.fixture
def members(make_user, make_movie):
    movies = [make_movie(f"Movie {n}", genres=["Drama"]) for n in range(8)]
    users = [make_user(name) for name in ("ann", "bob", "cy")]
    for user in users:
        for movie in movies[: 2 + user.pk % 3]:
            rating_set(user_id=user.pk, movie_id=movie.pk, score=4.5)
    return users, movies


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_export_holds_what_each_members_feed_shows(members, client_of, tmp_path):
    out = tmp_path / "out.csv"
    call_command("export_recommendations", "--top", "3", "--out", str(out))
    rows = read(out)
    assert list(rows[0]) == ["username", "rank", "movie_id", "tmdb_id", "imdb_id", "match_score"]
    for user in members[0]:
        shown = client_of(user).get("/movies/recommendations/?page_size=3").json()["results"]
        mine = [row for row in rows if row["username"] == user.username]
        assert [row["rank"] for row in mine] == ["1", "2", "3"]
        assert [(int(row["movie_id"]), float(row["match_score"])) for row in mine] == [
            (item["movie"]["id"], item["match_score"]) for item in shown
        ]


def test_review_without_a_score_is_seen_and_changes_no_score(members, tmp_path):
    users, movies = members
    out, after = tmp_path / "out.csv", tmp_path / "after.csv"
    call_command("export_recommendations", "--top", "8", "--out", str(out))

    rating_set(user_id=users[0].pk, movie_id=movies[7].pk, review="Tense.")
    call_command("export_recommendations", "--top", "8", "--out", str(after))

    def read_scores(path):
        return {(row["username"], int(row["movie_id"])): row["match_score"] for row in read(path)}

    expected = read_scores(out)
    assert expected.pop((users[0].username, movies[7].pk))
    assert read_scores(after) == expected


def test_only_the_named_members_are_exported_and_unknown_names_told(members, tmp_path, capsys):
    names, out = tmp_path / "names.txt", tmp_path / "out.csv"
    names.write_text("bob\n\nnobody\n")
    call_command("export_recommendations", "--out", str(out), "--usernames", str(names))
    assert {row["username"] for row in read(out)} == {"bob"}
    assert "nobody" in capsys.readouterr().err


@pytest.mark.parametrize("top", ["0", "301", "-1"])
def test_a_top_out_of_range_is_refused(top, tmp_path):
    with pytest.raises(CommandError, match="--top"):
        call_command("export_recommendations", "--top", top, "--out", str(tmp_path / "x.csv"))


def test_pairs_get_the_score_of_the_endpoint_in_the_files_order(members, client_of, tmp_path):
    users, movies = members
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    pairs = [(user, movie) for movie in movies[:3] for user in users]
    lines = [f"{user.username},{movie.imdb_id}" for user, movie in pairs]
    source.write_text("\n".join(["username,imdb_id", *lines]) + "\n")
    call_command("score_pairs", "--in", str(source), "--out", str(out))
    rows = read(out)
    assert [(row["username"], row["imdb_id"]) for row in rows] == [
        (user.username, movie.imdb_id) for user, movie in pairs
    ]
    for row, (user, movie) in zip(rows, pairs, strict=True):
        shown = client_of(user).get(f"/movies/{movie.pk}/match_score/").json()["match_score"]
        assert float(row["match_score"]) == shown


def test_unknown_pairs_are_left_empty_and_told_with_their_line(members, tmp_path, capsys):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"username,imdb_id\nnobody,{members[1][0].imdb_id}\nann,tt0000001\n")
    call_command("score_pairs", "--in", str(source), "--out", str(out))
    assert [row["match_score"] for row in read(out)] == ["", ""]
    errors = capsys.readouterr().err
    assert "line 2" in errors
    assert "line 3" in errors


@pytest.mark.parametrize("text", ["", "user,movie\na,b\n", "username\nann\n"])
def test_a_file_without_the_columns_is_refused_by_name(text, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text(text)
    with pytest.raises(CommandError, match="imdb_id"):
        call_command("score_pairs", "--in", str(source), "--out", str(tmp_path / "out.csv"))
    missing = str(tmp_path / "missing.csv")
    with pytest.raises(CommandError, match="missing"):
        call_command("score_pairs", "--in", missing, "--out", str(tmp_path / "out.csv"))


# --- As of a moment ------------------------------------------------------------------------------


@pytest.fixture
def dated():
    """Members and movies; the first half of each member's ratings are of 2019, the others of 2021."""
    users, movies = made_up(members=40, movies=45)
    for user in users:
        ratings = list(user.ratings.order_by("id"))
        for place, rating in enumerate(ratings):
            rating.created_at = rating.updated_at = BEFORE if place % 2 else AFTER
        Rating.objects.bulk_update(ratings, ["created_at", "updated_at"])
    return users, movies


def export_as_of(tmp_path, day="2020-01-01"):
    out = tmp_path / "as_of.csv"
    call_command("export_recommendations", "--top", "50", "--out", str(out), "--as-of", day)
    return read(out)


def score_as_of(tmp_path, user, movie, day="2020-01-01"):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"username,imdb_id\n{user.username},{movie.imdb_id}\n")
    call_command("score_pairs", "--in", str(source), "--out", str(out), "--as-of", day)
    return read(out)[0]["match_score"]


def test_recommendations_as_of_a_date_may_contain_what_was_rated_later(dated, tmp_path):
    rows = export_as_of(tmp_path)

    user = dated[0][0]
    shown = {int(row["movie_id"]) for row in rows if row["username"] == user.username}
    assert shown & set(user.ratings.filter(created_at=AFTER).values_list("movie_id", flat=True))
    assert not shown & set(
        user.ratings.filter(created_at=BEFORE).values_list("movie_id", flat=True)
    )
    assert {row["username"] for row in rows} == {each.username for each in dated[0]}


def test_ratings_feedback_votes_and_profiles_after_the_date_change_nothing(dated, tmp_path):
    users, movies = dated
    before = export_as_of(tmp_path), score_as_of(tmp_path, users[0], movies[7])

    Rating.objects.filter(created_at=AFTER).update(score=1.0)
    Feedback.objects.create(
        user=users[0], movie=movies[7], kind="hide", created_at=AFTER, updated_at=AFTER
    )
    Viewing.objects.create(user=users[0], movie=movies[7], watched_at=AFTER)
    User.objects.update(favorite_genres=["Western"])
    Movie.objects.update(vote_average=9.9, vote_count=5000)

    assert (export_as_of(tmp_path), score_as_of(tmp_path, users[0], movies[7])) == before


def test_feedback_before_the_date_counts(dated, tmp_path):
    users, _ = dated
    own = [row for row in export_as_of(tmp_path) if row["username"] == users[0].username]
    hidden = int(own[0]["movie_id"])

    Feedback.objects.create(
        user=users[0], movie_id=hidden, kind="hide", created_at=BEFORE, updated_at=BEFORE
    )

    own = [row for row in export_as_of(tmp_path) if row["username"] == users[0].username]
    assert hidden not in {int(row["movie_id"]) for row in own}


def test_a_rating_changed_after_the_date_is_left_out(dated, tmp_path):
    users, _ = dated
    rating = users[0].ratings.filter(created_at=BEFORE).first()

    Rating.objects.filter(pk=rating.pk).update(updated_at=AFTER, score=1.0)

    own = [row for row in export_as_of(tmp_path) if row["username"] == users[0].username]
    assert rating.movie_id in {int(row["movie_id"]) for row in own}


def test_an_export_as_of_a_date_does_not_use_or_change_the_active_training(dated, tmp_path):
    training_run(progress=lambda step, share: None, force=True)
    trainings = list(Training.objects.values("id", "active", "state"))

    rows = export_as_of(tmp_path)

    assert list(Training.objects.values("id", "active", "state")) == trainings
    Training.objects.all().delete()
    assert export_as_of(tmp_path) == rows


@pytest.mark.parametrize("command", ["export_recommendations", "score_pairs"])
def test_a_date_before_the_first_rating_is_refused(dated, tmp_path, command):
    source = tmp_path / "in.csv"
    source.write_text("username,imdb_id\n")
    options = ["--in", str(source)] if command == "score_pairs" else []

    with pytest.raises(CommandError, match="no ratings before 2001-01-01"):
        call_command(command, *options, "--out", str(tmp_path / "out.csv"), "--as-of", "2001-01-01")


@pytest.mark.parametrize(("day", "message"), [("soon", "no date"), ("2999-01-01", "in the future")])
def test_a_bad_date_is_refused(tmp_path, day, message):
    with pytest.raises(CommandError, match=message):
        call_command("export_recommendations", "--out", str(tmp_path / "out.csv"), "--as-of", day)
