"""`make test` with TEST_ARGS that select tests of one half only, and `make clients` that cannot start."""

import subprocess
import sys

import pytest

from benchmarks.clients.__main__ import StepError, run
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


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        ([], "`npm` is not installed. Install Node.js 20 or newer and try again.\n"),
        (["npm"], "`java` is not installed. Install a Java runtime 11 or newer and try again.\n"),
    ],
)
def test_make_clients_names_the_program_that_is_missing(tmp_path, installed, message):
    for name in installed:
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)

    clients = subprocess.run(
        [sys.executable, "-m", "benchmarks.clients"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        check=False,
        text=True,
    )

    assert (clients.returncode, clients.stderr) == (1, message)


def test_a_missing_or_failing_generator_is_named_with_its_output(tmp_path):
    with pytest.raises(StepError, match=r"`no-such-generator` is not installed\. Delete .+"):
        run("no-such-generator", cwd=tmp_path)
    with pytest.raises(StepError, match="`sh` failed:\nno such schema"):
        run("sh", "-c", "echo no such schema >&2; exit 3", cwd=tmp_path)
