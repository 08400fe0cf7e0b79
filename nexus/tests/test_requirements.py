"""Requirements are pinned once, `make run` installs few of them, and the lock file agrees."""

import ast
import re
import subprocess
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nexus.dev.embedded import ROOT

FILES = (
    "requirements.txt",
    "requirements-local.txt",
    "requirements-cluster.txt",
    "requirements-dev.txt",
)
APPS = ("nexus", "movies", "accounts", "social", "tmdb", "recommendations")
# Where the lock file is installed.
IMAGE = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux"}
# Modules that report which requirements file they need beyond requirements.txt.
OPTIONAL_IMPORTS = {
    "recommendations/evaluation/plots.py": {"matplotlib"},
    "recommendations/training/cluster.py": {"distributed"},
}


def read_pins(name):
    """Return the requirements of a file, without those of files that it includes."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return [Requirement(line.partition("#")[0]) for line in lines if re.match(r"[A-Za-z]", line)]


def read_lock():
    """Return the locked version of each package, and the number of its hashes."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    entries = re.findall(
        r"^([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", text, re.M
    )
    return {name: (version, hashes.count("--hash")) for name, version, hashes in entries}


def list_imports(path):
    """Return the top-level modules that a file imports, except in functions."""
    modules = set()
    pending = [ast.parse(path.read_text("utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module.partition(".")[0])
        if not isinstance(node, ast.FunctionDef):
            pending.extend(ast.iter_child_nodes(node))
    return modules


def test_every_package_is_pinned_in_one_file_and_has_a_reason():
    names = [canonicalize_name(pin.name) for file in FILES for pin in read_pins(file)]
    lines = [
        line
        for file in FILES
        for line in (ROOT / file).read_text("utf-8").splitlines()
        if re.match(r"[A-Za-z]", line)
    ]

    assert len(names) == len(set(names))
    assert [line for line in lines if not re.fullmatch(r"[\w.,\[\]-]+==\S+ +# \w.+", line)] == []


def test_make_run_installs_the_service_and_its_servers_only():
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert set(re.findall(r"-r (\S+)", plan)) == {"requirements.txt", "requirements-local.txt"}


@pytest.mark.parametrize("app", APPS)
def test_the_service_imports_only_packages_that_the_image_has(app):
    locked = set(read_lock())
    providers = packages_distributions()
    foreign = set()

    for path in (ROOT / app).rglob("*.py"):
        name = str(path.relative_to(ROOT))
        # `nexus.dev` is not installed in production.
        if "tests" in path.parts or name.startswith("nexus/dev/"):
            continue
        for module in list_imports(path) - OPTIONAL_IMPORTS.get(name, set()):
            packages = {canonicalize_name(package) for package in providers.get(module, [])}
            if packages and not packages & locked:
                foreign.add((name, module))

    assert foreign == set()


def test_lock_has_every_requirement_with_hashes():
    lock = read_lock()
    pins = {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in read_pins("requirements.txt")
    }

    locked = {name: lock[name][0] for name in pins if name in lock}

    assert locked == pins, "requirements.lock is out of date: run `make lock`"
    assert [name for name, (_, hashes) in lock.items() if not hashes] == []
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    assert sum(bool(re.match(r"[a-z]", line)) for line in lines) == len(lock)


def test_lock_has_what_each_requirement_requires():
    lock = read_lock()
    unmet = set()

    for pin in read_pins("requirements.txt"):
        for text in requires(pin.name) or []:
            needed = Requirement(text)
            environments = [{**IMAGE, "extra": extra} for extra in ("", *pin.extras)]
            if needed.marker and not any(map(needed.marker.evaluate, environments)):
                continue
            version, _ = lock.get(canonicalize_name(needed.name), ("", 0))
            if not version or not needed.specifier.contains(version, prereleases=True):
                unmet.add(f"{pin.name} requires {text}, and the lock has {version or 'none'}")

    assert unmet == set()
