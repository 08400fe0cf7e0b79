import json
from io import StringIO
from xml.etree import ElementTree

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from benchmarks import ratings as synthetic_ratings
from recommendations.datasets.movielens import FolderError
from recommendations.evaluation import plots
from recommendations.evaluation.baselines import Popularity
from recommendations.evaluation.datasets import read_movielens, read_own_ratings
from recommendations.evaluation.drawings import draw_history, draw_reliability
from recommendations.evaluation.pages import render_evaluations
from recommendations.evaluation.protocol import ENGINE, FROZEN, PROTOCOLS
from recommendations.evaluation.report import Bar, check_bars, render_markdown
from recommendations.evaluation.runner import evaluate
from recommendations.models import Training

SIZE = {"members": 120, "movies": 150, "ratings": 5000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("made-up") / "set <1>"
    synthetic_ratings.write_dataset(path, **SIZE, seed=1)
    return path


def ignore_progress(step, share):
    pass


class Half(Popularity):
    """Stands in for the engine, so that a report needs no training."""

    name = ENGINE


@pytest.fixture(scope="module")
def runs(folder):
    data = read_movielens(folder)
    return {
        protocol: evaluate(
            data,
            protocol=protocol,
            seed=1,
            folds=2,
            members=50,
            validation=False,
            progress=ignore_progress,
            make=lambda: [Popularity(), Half()],
        )
        for protocol in PROTOCOLS
    }


# --- Synthetic ratings -----------------------------------------------------------------------------


def test_synthetic_ratings_have_the_requested_size_and_no_duplicate_pair(folder):
    data = read_movielens(folder)

    assert len(data.ratings) == SIZE["ratings"]
    assert len(np.unique(data.ratings.users)) == SIZE["members"]
    assert len(data.content) == SIZE["movies"]
    assert np.bincount(data.ratings.users)[1:].min() >= synthetic_ratings.MIN_RATINGS
    assert data.content.genres.sum(axis=1).min() >= 1


def test_equal_seeds_generate_equal_ratings_and_other_seeds_do_not(folder, tmp_path):
    synthetic_ratings.write_dataset(tmp_path / "again", **SIZE, seed=1)
    synthetic_ratings.write_dataset(tmp_path / "other", **SIZE, seed=2)

    texts = [(path / "ratings.csv").read_text() for path in (folder, *sorted(tmp_path.iterdir()))]
    assert texts[0] == texts[1] != texts[2]


def test_more_ratings_than_the_movies_allow_are_rejected(tmp_path):
    with pytest.raises(ValueError, match="not 5,000"):
        synthetic_ratings.write_dataset(tmp_path, members=10, movies=100, ratings=5000, seed=1)


# --- Reading -------------------------------------------------------------------------------------


def test_a_folder_is_read_as_an_import_reads_it(tmp_path):
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n7,"Ship, The (1971)",Sci-Fi\n8,Boats (1988),Drama\n9,Lost,Drama\n'
    )
    (tmp_path / "links.csv").write_text("movieId,imdbId,tmdbId\n7,0900001,\n8,,5\n")
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n2,8,4.0,1\n1,7,0.5,1\n1,9,5,1\n2,8,3.5,2\n1,99,4,1\n"
    )

    data = read_movielens(tmp_path)

    # A half star is 1; the later of two ratings counts; movies without an id are left out.
    assert data.ratings.users.tolist() == [1, 2]
    assert data.ratings.movies.tolist() == [7, 8]
    assert data.ratings.stars.tolist() == [1.0, 3.5]
    assert data.content.years.tolist() == [1971, 1988]


def test_a_bad_line_of_ratings_stops_the_reading_with_its_row(folder, tmp_path):
    for name in ("movies.csv", "links.csv"):
        (tmp_path / name).write_text((folder / name).read_text())
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4,1\n1,2,many,1\n")

    with pytest.raises(FolderError, match="many"):
        read_movielens(tmp_path)


@pytest.mark.django_db
def test_own_ratings_are_those_of_the_database(make_movie, make_user, folder):
    call_command("import_movielens", str(folder), stdout=StringIO(), stderr=StringIO())

    data = read_own_ratings(ignore_progress)

    assert len(data.ratings) == SIZE["ratings"]
    assert len(data.content) == SIZE["movies"]
    assert data.ratings.stars.min() == 1.0


MADE_UP_DAT = {
    "movies.dat": "7::Ship, The (1971)::Sci-Fi\n8::Caf\u00e9 (1988)::Children's|Drama\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
    "ratings.dat": "2::8::4::978300760\n1::7::1::978302109\n2::7::3::978301968\n",
}


@pytest.fixture
def dat_folder(tmp_path):
    """A made-up folder in the format of MovieLens 1M."""
    for name, text in MADE_UP_DAT.items():
        (tmp_path / name).write_text(text, encoding="latin-1")
    return tmp_path


def test_the_format_of_movielens_1m_is_read(dat_folder):
    data = read_movielens(dat_folder)

    assert data.ratings.users.tolist() == [1, 2, 2]
    assert data.ratings.movies.tolist() == [7, 7, 8]
    assert data.ratings.stars.tolist() == [1.0, 3.0, 4.0]
    assert data.ratings.times.tolist() == [978302109, 978301968, 978300760]
    assert data.content.years.tolist() == [1971, 1988]


def test_a_bad_line_of_ratings_dat_stops_the_reading(dat_folder):
    with (dat_folder / "ratings.dat").open("a") as file:
        file.write("1::8::many::978300760\n")

    with pytest.raises(FolderError, match="many"):
        read_movielens(dat_folder)


# --- The report ----------------------------------------------------------------------------------


def test_a_bar_is_met_at_its_floor_and_reached_at_its_aim():
    low = Bar("ECE", 0.012, 0.015, 0.010, at_most=True)
    high = Bar("AUC", 0.84, 0.815, 0.83)

    assert (low.is_met, low.is_reached) == (True, False)
    assert (high.is_met, high.is_reached) == (True, True)
    assert not Bar("nDCG@10", 0.31, 0.32).is_met


def test_the_report_has_every_recommender_beside_the_bars(runs):
    text = render_markdown(runs["weak"], pictures=["one.png"])

    assert text.startswith("# set <1>: weak\n\n5,000 ratings, 120 members")
    assert "| nDCG@10 | ≥ 0.325 | ≥ 0.332 |" in text
    assert "| popularity | all | " in text
    assert f"| {ENGINE} | all | " in text
    assert "![](one.png)" in text


def test_new_members_are_compared_with_popularity(runs):
    above = {bar.name: bar for bar in check_bars(runs["strong"])}

    assert above["nDCG@10 above popularity, history 5"].value == pytest.approx(0.0)
    assert not above["nDCG@10 above popularity, history 5"].is_met


def test_calibration_over_time_has_a_bar(runs):
    (bar,) = check_bars(runs[FROZEN])

    assert (bar.name, bar.floor, bar.at_most) == ("ECE", 0.035, True)


def test_groups_have_a_table_and_bars_in_the_weak_protocol_only(runs):
    text = render_markdown(runs["weak"])

    assert "## Groups" in text
    assert "| random, 2 | " in text
    names = {bar.name for bar in check_bars(runs["weak"])}
    assert {"first movie liked by both of a pair", "ECE of pairs"} <= names
    assert "## Groups" not in render_markdown(runs["strong"])


def test_a_run_is_plain_json(runs):
    assert json.loads(json.dumps(runs["strong"], allow_nan=False)) == runs["strong"]


def test_the_page_shows_tables_and_drawings_of_each_run(runs):
    page = render_evaluations({"evaluation": runs})

    assert page.count("<h3>") == 5
    assert page.count("<svg") == 6
    assert "set &lt;1&gt;" in page
    assert "<1>" not in page
    assert render_evaluations({}) == ""


def test_drawings_are_well_formed_and_empty_if_there_is_nothing_to_draw(runs):
    drawing = ElementTree.fromstring(draw_reliability(runs["weak"]))

    assert len(drawing.findall(".//{*}polyline")) == 3
    assert draw_history(runs["weak"]) == ""
    ElementTree.fromstring(draw_history(runs["strong"]))


def test_pictures_are_png(runs, tmp_path):
    assert plots.plot_reliability(runs["weak"], tmp_path / "a.png")
    assert not plots.plot_history(runs["weak"], tmp_path / "none.png")
    assert plots.plot_history(runs["strong"], tmp_path / "b.png")

    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


# --- The command ---------------------------------------------------------------------------------


def run(*options):
    out, err = StringIO(), StringIO()
    call_command("evaluate_recommender", *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_the_command_writes_report_figures_and_pictures(folder, tmp_path):
    out, _ = run("--data", str(folder), "--protocol", "weak", "--output", str(tmp_path))

    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".md", ".png"]
    (figures,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert list(figures["recommenders"]) == [
        "popularity",
        "decayed popularity",
        "item-kNN",
        "EASE",
        "iALS",
        ENGINE,
    ]
    assert figures["machine"]["numpy"] == np.__version__
    assert figures["parameters"]["neighbors"] > 0
    assert figures["recommenders"][ENGINE]["scoring"]["all"]["auc"][0] > 0.5
    assert "## Ranking" in out


@pytest.mark.django_db
def test_the_ablation_is_one_table_with_a_row_for_each_part(folder, tmp_path):
    out, _ = run(
        *("--data", str(folder), "--ablation", "--protocol", "weak", "--output", str(tmp_path))
    )

    lines = [line for line in out.splitlines() if line.startswith("| ")]
    assert lines[0] == "|  | nDCG@10, weak | AUC | log loss | ECE | unlikely |"
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| the engine",
        "| without implicit ALS",
        "| without recency",
        "| without trend",
        "| without recent popularity",
        "| without probability floor",
        "| without residual factors",
    ]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".md"]


@pytest.mark.django_db
def test_an_evaluation_of_own_ratings_is_stored_with_the_active_training(folder, tmp_path):
    call_command("import_movielens", str(folder), stdout=StringIO(), stderr=StringIO())
    training = Training.objects.create(
        state=Training.State.READY, active=True, metrics={"held_out": {"auc": 0.8}}
    )

    out, _ = run("--protocol", "weak", "--output", str(tmp_path))

    training.refresh_from_db()
    assert training.metrics["held_out"] == {"auc": 0.8}
    assert training.metrics["evaluation"]["weak"]["data"]["ratings"] == SIZE["ratings"]
    assert f"Stored with training {training.pk}" in out


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "/nowhere"], "cannot be read"),
        ([], "0 ratings are too few"),
        (["--folds", "1"], "--folds is at least 2"),
    ],
)
def test_the_command_rejects_bad_options_with_a_message(options, message):
    with pytest.raises(CommandError, match=message):
        run(*options)
