"""The README's first requests, sent to the real service, return what the README shows."""

import os
import re
import subprocess

import pytest
from django.core.management import call_command

from nexus.dev.embedded import ROOT

README = (ROOT / "README.md").read_text("utf-8")
# A decimal number as re.escape writes it.
ESCAPED_DECIMAL = re.compile(r"\d+\\\.\d+")


def read_steps():
    """Yield (command, expected output) in order; `…` in an output stands for anything."""
    block = re.search(r"## First requests.*?```console\n(.*?)```", README, re.DOTALL).group(1)
    for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = step.partition("\n")
        yield command, output.strip()


def assert_matches(command, expected, actual):
    """Compare an output; decimals may differ by 0.3, because learned values depend on the CPU."""
    pattern = ".*?".join(re.escape(piece) for piece in expected.split("…"))
    pattern = ESCAPED_DECIMAL.sub(r"(\\d+\\.\\d+)", pattern)
    message = f"{command}\nREADME: {expected}\nactual: {actual}"

    match = re.fullmatch(pattern, actual, re.DOTALL)

    assert match, message
    escaped = ESCAPED_DECIMAL.findall(re.escape(expected))
    decimals = [float(text.replace("\\", "")) for text in escaped]
    assert [float(text) for text in match.groups()] == pytest.approx(decimals, abs=0.3), message


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_first_requests_return_what_the_readme_shows(gunicorn):
    call_command("load_starter")
    call_command("train_recommender")
    host = gunicorn().removeprefix("http://").replace("127.0.0.1", "localhost")
    steps = list(read_steps())
    assert len(steps) >= 5

    # One shell runs all steps, so that TOKEN is kept; a mark ends each output.
    script = "\n".join(
        f"{command.replace('localhost:8000', host)}\necho; echo '--end--'" for command, _ in steps
    )
    run = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=os.environ
    )

    outputs = [output.strip() for output in run.stdout.split("--end--")]
    for (command, expected), output in zip(steps, outputs, strict=False):
        assert_matches(command, expected.replace("localhost:8000", host), output)


def read_example():
    """Return the README's match score: baseline, points of the three parts, score."""
    score = re.search(r'"match_score":([\d.]+),"confidence"', README).group(1)
    baseline = re.search(r'"baseline":([\d.]+)', README).group(1)
    points = re.findall(r'"points":([\d.]+)', README)
    return float(baseline), [float(number) for number in points], float(score)


def test_picture_of_the_match_score_shows_the_numbers_of_the_example():
    svg = (ROOT / "docs" / "match_score.svg").read_text("utf-8")
    baseline, points, score = read_example()

    shown = re.findall(r">([\d.]+)(?: %)?</text>", svg)

    assert sorted(map(float, shown)) == sorted([baseline, *points, score, 100])
    assert baseline + sum(points) == pytest.approx(score, abs=0.05)


def test_landing_page_shows_the_numbers_of_the_example():
    page = (ROOT / "nexus" / "templates" / "home.html").read_text("utf-8")
    baseline, points, score = read_example()

    shown = re.findall(r"<dd>\+?([\d.]+)</dd>", page)
    bars = re.findall(r'<rect class="(?:start|plus)"(?: x="([\d.]+)")? width="([\d.]+)"', page)

    assert [float(number) for number in shown] == [baseline, *points]
    assert f'<span class="percent">{score}<small>' in page
    ends = [float(start or 0) + float(width) for start, width in bars]
    assert ends == pytest.approx([baseline + sum(points[:count]) for count in range(4)], abs=0.05)
