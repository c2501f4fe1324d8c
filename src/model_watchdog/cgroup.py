"""A unit's control group: its vital signs and its processes, with cgroup v2, v1 and the hybrid of both.

Paths are those that this process sees; nothing here blocks on anything but the kernel's own files (50 µs a group, and 20 µs a
process where processor time must be added up).
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from model_watchdog.core.unit import UnitFacts

CGROUPS = Path("/sys/fs/cgroup")
_TICKS = os.sysconf("SC_CLK_TCK")

Process = tuple[int, int]
"""Pid and start time (clock ticks after boot): together they name a process, also after its pid has gone to another one."""


def processor_seconds(facts: UnitFacts) -> float | None:
    """Processor time that the unit's processes have used so far; None where it cannot be read.

    The kernel counts it for every cgroup v2 (also in the hybrid), whatever systemd was told to account. Where there is none it is
    added up over the processes and the children that they have waited for: it may then fall when a process ends that nobody waited for.
    """
    for root in (CGROUPS, CGROUPS / "unified"):
        used = _read_usage(_folder(root, facts))
        if used is not None:
            return used
    used, found = 0.0, False
    for pid in _pids(facts):
        stat = _read_stat(pid)
        if stat is not None:
            used, found = used + sum(map(int, stat[11:15])) / _TICKS, True  # utime stime cutime cstime
    return used if found else None


def processes(facts: UnitFacts) -> frozenset[Process]:
    """Every process of the unit, those in groups below its own too. Without a group (systemd names none): its main process."""
    found = []
    for pid in _pids(facts) or {facts.main_pid} - {0}:
        stat = _read_stat(pid)
        if stat is not None:
            found.append((pid, int(stat[19])))
    return frozenset(found)


def still_alive(of: frozenset[Process]) -> tuple[int, ...]:
    """The pids of those processes that have not ended.

    A zombie has ended, unless threads of it have not: a leader that was killed while a thread of it is stuck in the kernel is shown
    as a zombie too, and still holds all that the process held.
    """
    alive = []
    for pid, started in of:
        stat = _read_stat(pid)
        if stat is not None and int(stat[19]) == started and (stat[0] not in ("Z", "X") or int(stat[17]) > 1):
            alive.append(pid)
    return tuple(sorted(alive))


def find_unkillable(of: frozenset[Process]) -> tuple[int, ...]:
    """Those of them that live on although they were killed: SIGKILL is pending, and the kernel cannot deliver it.

    What a unit leaves running on purpose (KillMode=process) was not killed, and is none of them.
    """
    return tuple(pid for pid in still_alive(of) if _was_killed(pid))


def _was_killed(pid: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    pending = int(fields.get("SigPnd", "0"), 16) | int(fields.get("ShdPnd", "0"), 16)
    return bool(pending >> (signal.SIGKILL - 1) & 1) or fields.get("State", "").strip()[:1] == "Z"


def _folder(root: Path, facts: UnitFacts) -> Path | None:
    return root / facts.cgroup.strip("/") if facts.cgroup.strip("/") else None


def _read_usage(folder: Path | None) -> float | None:
    """`usage_usec` of a cgroup v2, in seconds."""
    if folder is None:
        return None
    try:
        for line in (folder / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
    except (OSError, ValueError, IndexError):
        return None
    return None


def _pids(facts: UnitFacts) -> set[int]:
    """From the first hierarchy that knows the group: v2, the hybrid's v2, systemd's own v1."""
    for root in (CGROUPS, CGROUPS / "unified", CGROUPS / "systemd"):
        folder = _folder(root, facts)
        if folder is not None and (folder / "cgroup.procs").exists():
            return set(_walk(folder))
    return set()


def _walk(folder: Path) -> Iterator[int]:
    for below, _, files in os.walk(folder):
        if "cgroup.procs" in files:
            try:
                text = Path(below, "cgroup.procs").read_text()
            except OSError:  # it is gone by now, or it holds threads, whose processes are listed further up
                continue
            yield from map(int, text.split())


def _read_stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state (the third) on; None where the process is gone or must not be looked at."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()  # the name before may hold blanks and brackets
