"""The README's first requests, typed in against the real service, give what it shows."""

import os
import re
import subprocess

import pytest
from django.core.management import call_command

from nexus.dev.embedded import ROOT

# As re.escape leaves it.
_DECIMAL = re.compile(r"\d+\\\.\d+")


def first_requests():
    """(command, expected output) in order; `…` in an output stands for anything.

    What the engine learned may differ in its last digit from one kind of processor to the next.
    """
    text = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"## First requests.*?```console\n(.*?)```", text, re.DOTALL).group(1)
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output.strip()


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_the_first_requests_give_what_the_readme_shows(gunicorn):
    call_command("load_starter")
    call_command("train_recommender")
    address = gunicorn().removeprefix("http://")
    port = address.rpartition(":")[2]
    # One shell for all, so that TOKEN lasts; each output ends in a mark of its own.
    steps = list(first_requests())
    assert len(steps) >= 5
    script = "\n".join(
        f"{command.replace('localhost:8000', f'localhost:{port}')}\necho; echo '--end--'"
        for command, _ in steps
    )
    run = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=os.environ
    )
    shown = [output.strip() for output in run.stdout.split("--end--")]
    for (command, expected), got in zip(steps, shown, strict=False):
        expected = expected.replace("localhost:8000", f"localhost:{port}")
        pattern = ".*?".join(re.escape(piece) for piece in expected.split("…"))
        pattern = _DECIMAL.sub(r"(\\d+\\.\\d+)", pattern)
        told = f"{command}\nREADME: {expected}\ngot: {got}"
        found = re.fullmatch(pattern, got, re.DOTALL)
        assert found, told
        decimals = [float(each.replace("\\", "")) for each in _DECIMAL.findall(re.escape(expected))]
        assert [float(each) for each in found.groups()] == pytest.approx(decimals, abs=0.3), told
