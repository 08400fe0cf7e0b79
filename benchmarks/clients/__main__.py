"""Generate clients with real generators, compile them, and run two typed programs against the service.

    make clients [PORT=8765]

The programs are docs/examples/client.ts and client.py; the server is `manage.py run`, as in `make run`.
Needs npm and Java, and the registries of npm and PyPI the first time; all files are in .data/clients.
Prints a line for each step, and exits with 1 if one fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from benchmarks.service import find_free_port, wait_until_ready
from nexus.dev import embedded

HERE = Path(__file__).parent
EXAMPLES = embedded.ROOT / "docs" / "examples"
WORK = embedded.ROOT / ".data" / "clients"
OUT = WORK / "out"
DOCUMENT = WORK / "openapi.json"
NODE_BIN = WORK / "node_modules" / ".bin"
PYTHON_BIN = WORK / "venv" / "bin"
# The first start trains the recommender.
START_TIMEOUT_S = 300
PREREQUISITES = {"npm": "Node.js 20 or newer", "java": "a Java runtime 11 or newer"}
# As an application would compile generated code, and the stricter rules that our program obeys too.
TSC = (
    *("tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "esnext"),
    *("--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable"),
)
TSC_STRICTER = (
    *(*TSC, "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"),
    *("--erasableSyntaxOnly", "--allowImportingTsExtensions", "--types", "node"),
)


class StepError(Exception):
    """A step failed. The message says which command, and shows the end of its output."""


def run(*command: str | Path, cwd: Path = WORK) -> str:
    """Run a command, looked up among the installed generators first, and return what it prints.

    Raises StepError if it fails or is not installed.
    """
    path = os.pathsep.join([str(NODE_BIN), str(PYTHON_BIN), os.environ["PATH"]])
    tool = shutil.which(command[0], path=path)
    if tool is None:
        raise StepError(f"`{command[0]}` is not installed. Delete {WORK} and try again.")
    result = subprocess.run(
        [tool, *command[1:]],
        cwd=cwd,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        raise StepError(f"`{command[0]}` failed:\n{result.stdout[-3000:]}")
    return result.stdout


def install() -> None:
    """Install the pinned generators. Raises StepError that names what is missing."""
    for tool, package in PREREQUISITES.items():
        if shutil.which(tool) is None:
            raise StepError(f"`{tool}` is not installed. Install {package} and try again.")
    WORK.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", WORK)
    run("npm", "install", "--no-audit", "--no-fund", "--loglevel", "error")
    if not PYTHON_BIN.exists():
        run(sys.executable, "-m", "venv", PYTHON_BIN.parent)
    run_pip("-r", HERE / "requirements.txt")


def run_pip(*arguments: str | Path) -> None:
    run(PYTHON_BIN / "python", "-m", "pip", "install", "-qq", *arguments)


def generate_openapi_typescript() -> None:
    """Generate types, and compile the TypeScript program with them."""
    program = OUT / "program"
    program.mkdir()
    types = program / "schema.d.ts"
    run("openapi-typescript", DOCUMENT, "--default-non-nullable", "false", "-o", types)
    shutil.copy(EXAMPLES / "client.ts", program)
    run(*TSC_STRICTER, "client.ts", cwd=program)


def generate_hey_api() -> None:
    run("openapi-ts", "-i", DOCUMENT, "-o", OUT / "hey-api", "-c", "@hey-api/client-fetch")
    run(*TSC, OUT / "hey-api" / "index.ts")


def generate_orval() -> None:
    target = OUT / "orval" / "index.ts"
    run("orval", "--input", DOCUMENT, "--output", target, "--client", "fetch")
    run(*TSC, target)


def generate_typescript_fetch() -> None:
    generate_with_openapi_generator("typescript-fetch")
    run(*TSC, OUT / "typescript-fetch" / "index.ts")


def generate_with_openapi_generator(name: str) -> None:
    tool = "openapi-generator-cli"
    output = run(tool, "generate", "-g", name, "-i", DOCUMENT, "-o", OUT / name)
    # It warns of what it cannot generate, and succeeds.
    warnings = [
        line
        for line in output.splitlines()
        if (" WARN " in line or " ERROR " in line) and "3.1 support is still in beta" not in line
    ]
    if warnings:
        raise StepError("\n".join([f"`{tool}` warns:", *warnings]))


def generate_python() -> None:
    """Generate a package, install it, and type-check the Python program with it."""
    package = OUT / "python"
    config = EXAMPLES / "openapi-python-client.yaml"
    command = ("openapi-python-client", "generate", "--path", DOCUMENT, "--config", config)
    output = run(*command, "--output-path", package)
    # It leaves out what it cannot generate, and succeeds.
    if "WARNING" in output:
        raise StepError(f"`{command[0]}` leaves something out:\n{output[:3000]}")
    run("python", "-m", "compileall", "-q", package)
    run_pip("--no-deps", "--force-reinstall", package)
    # Without the settings of our own code.
    run("mypy", "--strict", "--config-file=", EXAMPLES / "client.py")


def run_program(*command: str | Path) -> None:
    """Run one of the programs. Raises StepError unless it comes to its end."""
    output = run(*command)
    if output.split()[-1:] != ["done"]:
        raise StepError(f"The program did not end as it should:\n{output[-3000:]}")


def make_steps(url: str) -> Mapping[str, Callable[[], None]]:
    """Return the steps by their names, in order."""
    typescript = ("node", "--experimental-strip-types", OUT / "program" / "client.ts", url)
    return {
        "openapi-typescript: generated, program compiled": generate_openapi_typescript,
        "openapi-typescript: program run": lambda: run_program(*typescript),
        "openapi-python-client: generated, compiled, program type-checked": generate_python,
        "openapi-python-client: program run": lambda: run_program(
            "python", EXAMPLES / "client.py", url
        ),
        "@hey-api/openapi-ts: generated, compiled": generate_hey_api,
        "orval: generated, compiled": generate_orval,
        "openapi-generator typescript-fetch: generated, compiled": generate_typescript_fetch,
        "openapi-generator kotlin: generated": lambda: generate_with_openapi_generator("kotlin"),
        "openapi-generator swift6: generated": lambda: generate_with_openapi_generator("swift6"),
    }


@contextmanager
def run_service(port: int) -> Iterator[str]:
    """Run the service during the block, and yield its URL. Raises StepError if it does not start."""
    url = f"http://127.0.0.1:{port}"
    log = WORK / "service.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=embedded.ROOT,
            # Each run registers two accounts.
            env={**os.environ, "PORT": str(port), "RATE_LIMIT_SCALE": "1000"},
            stdout=output,
            stderr=output,
        )
        try:
            wait_until_ready(url, timeout_s=START_TIMEOUT_S)
            yield url
        except RuntimeError as error:
            raise StepError(f"{error} See {log}.") from error
        finally:
            process.terminate()
            process.wait(timeout=60)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the server; default: a free one")
    port = parser.parse_args(arguments).port or find_free_port()
    failed = 0
    try:
        install()
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir()
        with run_service(port) as url:
            with urlopen(f"{url}/openapi.json") as response:
                DOCUMENT.write_bytes(response.read())
            for name, step in make_steps(url).items():
                started = time.monotonic()
                try:
                    step()
                except StepError as error:
                    failed += 1
                    print(f"FAILED  {name}: {error}", flush=True)
                else:
                    print(f"ok      {name} ({time.monotonic() - started:.1f} s)", flush=True)
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
