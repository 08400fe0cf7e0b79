"""docs/promises.md names tests and files that are there."""

import re

from nexus.dev.embedded import ROOT

TEXT = (ROOT / "docs" / "promises.md").read_text()


def test_every_named_test_exists():
    sources = [path.read_text() for path in ROOT.glob("*/**/tests/test_*.py")]
    there = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.M)}
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 20
    assert named - there == set()


def test_every_named_file_exists():
    named = set(re.findall(r"`([a-z_]+/[\w/]+\.\w+)`", TEXT))
    assert len(named) > 8
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_all_eighteen_promises_are_listed():
    assert re.findall(r"^\| (\d+) \|", TEXT, re.M) == [str(number) for number in range(1, 19)]
