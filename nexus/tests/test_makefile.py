"""`make test` with TEST_ARGS that select tests of one half only."""

import subprocess

import pytest

from nexus.dev.embedded import ROOT

# Exits with the next of the statuses in its file.
PYTHON = """#!/bin/sh
status=$(head -n 1 {statuses})
sed -i 1d {statuses}
exit $status
"""


@pytest.mark.parametrize(
    ("statuses", "succeeds"),
    [
        ((0, 0), True),
        ((0, 5), True),
        ((5, 0), True),
        ((5, 5), False),
        ((1, 0), False),
        ((0, 1), False),
        ((5, 1), False),
    ],
)
def test_tests_fail_unless_at_least_one_half_has_tests_and_none_fails(tmp_path, statuses, succeeds):
    (tmp_path / "statuses").write_text("".join(f"{status}\n" for status in statuses))
    python = tmp_path / "python"
    python.write_text(PYTHON.format(statuses=tmp_path / "statuses"))
    python.chmod(0o755)

    # `-o install`: the packages are installed.
    make = subprocess.run(
        ["make", "-o", "install", "test", f"BIN={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )

    assert (make.returncode == 0) is succeeds
