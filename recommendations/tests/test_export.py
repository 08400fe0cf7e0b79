import csv

import pytest
from django.core.management import CommandError, call_command

from social.services.ratings import rating_set

pytestmark = pytest.mark.django_db


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
    told = capsys.readouterr().err
    assert "line 2" in told
    assert "line 3" in told


@pytest.mark.parametrize("text", ["", "user,movie\na,b\n", "username\nann\n"])
def test_a_file_without_the_columns_is_refused_by_name(text, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text(text)
    with pytest.raises(CommandError, match="imdb_id"):
        call_command("score_pairs", "--in", str(source), "--out", str(tmp_path / "out.csv"))
    missing = str(tmp_path / "missing.csv")
    with pytest.raises(CommandError, match="missing"):
        call_command("score_pairs", "--in", missing, "--out", str(tmp_path / "out.csv"))
