"""docs/promises.md names tests and files that are there."""

import re

from nexus.dev.embedded import ROOT

TEXT = (ROOT / "docs" / "promises.md").read_text()


def test_every_test_it_names_is_there():
    sources = [path.read_text() for path in ROOT.glob("*/**/tests/test_*.py")]
    there = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.M)}
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 20
    assert named - there == set()


def test_every_file_it_names_is_there():
    named = set(re.findall(r"`([a-z_]+/[\w/]+\.\w+)`", TEXT))
    assert len(named) > 8
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_it_has_all_eighteen():
    assert re.findall(r"^\| (\d+) \|", TEXT, re.M) == [str(number) for number in range(1, 19)]
