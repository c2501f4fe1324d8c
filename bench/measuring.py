"""Measuring from outside: processor time, memory, counts at the target, and a daemon in a box to be measured."""

import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")


class Target:
    """`target.py` as a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-I", str(HERE / "target.py")], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def count(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_count", timeout=5) as answer:
            return int(answer.read())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def target() -> Iterator[Target]:
    running = Target()
    try:
        yield running
    finally:
        running.close()


def processor_seconds(pid: int) -> float:
    """Of a process and of its children, those that have ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS + sum(processor_seconds(child) for child in children(pid))


def children(pid: int) -> list[int]:
    """Those that run now."""
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def share_of_core(pid: int, seconds: float) -> float:
    """Per cent of a core, over so many seconds."""
    before, begun = processor_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (processor_seconds(pid) - before) / (time.monotonic() - begun) * 100


def time_command(command: Sequence[str], runs: int, *, expect: Callable[[int], bool] = lambda code: code in (0, 1, 2)) -> list[float]:
    """Wall milliseconds of each run, sorted."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        times.append((time.perf_counter() - begun) * 1000)
        assert expect(code), f"{command} ended with {code}"
    return sorted(times)


def spread(values: Sequence[float], unit: str, digits: int = 0) -> str:
    return f"median {statistics.median(values):.{digits}f}, max {max(values):.{digits}f} {unit} (n={len(values)})"


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?"
    )
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({model}), Linux {os.uname().release}, Python {sys.version.split()[0]}, load {load:.1f}"
