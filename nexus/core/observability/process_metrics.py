"""What the worker processes take of the machine, as Linux' /proc has it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PROC = Path("/proc")
# Places in /proc/PID/stat behind the command's closing bracket, proc(5).
_UTIME, _STIME, _THREADS = 11, 12, 17


def workers() -> list[int]:
    """The ids of gunicorn's workers, else this process's alone."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        parent = os.getppid()
        try:
            children = (_PROC / f"{parent}/task/{parent}/children").read_text().split()
        except OSError:
            children = []
        if str(os.getpid()) in children:
            return [int(child) for child in children]
    return [os.getpid()]


class ProcessCollector(Collector):
    """Memory, threads, open files and CPU time by worker; nothing where there is no /proc."""

    def collect(self) -> Iterator[Metric]:
        resident = GaugeMetricFamily(
            "nexus_process_resident_bytes", "Memory a worker holds.", labels=["pid"]
        )
        threads = GaugeMetricFamily("nexus_process_threads", "Threads of a worker.", labels=["pid"])
        files = GaugeMetricFamily(
            "nexus_process_open_files", "Files and connections a worker holds open.", labels=["pid"]
        )
        cpu = CounterMetricFamily(
            "nexus_process_cpu_seconds", "CPU time a worker has used.", labels=["pid"]
        )
        reads: list[tuple[GaugeMetricFamily | CounterMetricFamily, Callable[[Path], float]]] = [
            (resident, _resident),
            (threads, _threads),
            (files, _open_files),
            (cpu, _cpu_s),
        ]
        for pid in workers():
            for family, read in reads:
                try:
                    family.add_metric([str(pid)], read(_PROC / str(pid)))
                except (OSError, IndexError, ValueError):
                    # It has ended meanwhile, or this is no Linux.
                    continue
        yield from (family for family, _ in reads)


def _stat(home: Path) -> list[str]:
    return (home / "stat").read_text().rpartition(")")[2].split()


def _threads(home: Path) -> float:
    return float(_stat(home)[_THREADS])


def _open_files(home: Path) -> float:
    return float(len(os.listdir(home / "fd")))


def _resident(home: Path) -> float:
    return float((home / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu_s(home: Path) -> float:
    stat = _stat(home)
    return (float(stat[_UTIME]) + float(stat[_STIME])) / os.sysconf("SC_CLK_TCK")
