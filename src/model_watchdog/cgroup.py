"""A unit's control group, and those of its containers: vital signs, memory, processes and tasks, with cgroup v2, v1 and the hybrid of both.

Paths are those that this process sees; nothing here blocks on anything but the kernel's own files (20 to 30 µs a file, and 20 µs a
process where processor time must be added up).
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from model_watchdog.core.unit import UnitFacts

CGROUPS = Path("/sys/fs/cgroup")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")

Process = tuple[int, int]
"""Pid and start time (clock ticks after boot): together they name a process, also after its pid has gone to another one."""


def processor_seconds(facts: UnitFacts) -> float | None:
    """Processor time that the unit's processes have used so far; None where it cannot be read.

    The kernel counts it for every cgroup v2 (also in the hybrid), whatever systemd was told to account. Where there is none it is
    added up over the processes and the children that they have waited for: it may then fall when a process ends that nobody waited for.
    """
    for root in (CGROUPS, CGROUPS / "unified"):
        counted = [used for folder in _folders(root, facts) if (used := _read_usage(folder)) is not None]
        if counted:
            return sum(counted)
    used, found = 0.0, False
    for pid in list_pids(facts):
        stat = _read_stat(pid)
        if stat is not None:
            used, found = used + sum(map(int, stat[11:15])) / _TICKS, True  # utime stime cutime cstime
    return used if found else None


def memory_bytes(facts: UnitFacts) -> int | None:
    """Memory that the unit's group holds and the kernel cannot simply take back: file pages not used of late (the weights, once they
    are loaded) do not count. The same as the working set of container tools. None where the group's memory is not accounted.
    """
    for root, usage, idle in (
        (CGROUPS, "memory.current", "inactive_file"),
        (CGROUPS / "memory", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        held = [size for folder in _folders(root, facts) if (size := _read_held(folder, usage, idle)) is not None]
        if held:
            return sum(held)
    return None


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes that is in RAM, what they have mapped of files too; shared pages count for each."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):  # it is gone by now
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * _PAGE


def read_bytes(facts: UnitFacts) -> int | None:
    """Bytes that the unit's processes have read from disks so far; None where the kernel does not count them for its group."""
    words: list[str] = []
    for folder in _folders(CGROUPS, facts):
        try:
            words += (folder / "io.stat").read_text().split()
        except OSError:
            return None
    return sum(int(word.removeprefix("rbytes=")) for word in words if word.startswith("rbytes=")) if facts.groups else None


def group_exists(group: str) -> bool:
    """There is such a group, by its path from the root."""
    return any((root / group.strip("/")).is_dir() for root in (CGROUPS, CGROUPS / "unified", CGROUPS / "systemd"))


def list_pids(facts: UnitFacts) -> frozenset[int]:
    """The processes of the unit's group and of the groups below it. Without a group (systemd names none): its main process."""
    return frozenset(_pids(facts) or {facts.main_pid} - {0})


def list_tasks(facts: UnitFacts) -> frozenset[int]:
    """All threads of those processes."""
    return frozenset(_list(facts, ("cgroup.threads", "tasks")))


def has_ended(pid: int) -> bool:
    """It is a zombie: it has ended, all its threads too, and whoever started it has not asked how."""
    stat = _read_stat(pid)
    return stat is not None and stat[0] in ("Z", "X") and int(stat[17]) <= 1


def processes(facts: UnitFacts) -> frozenset[Process]:
    """Every process of the unit, those in groups below its own too. Without a group (systemd names none): its main process."""
    found = []
    for pid in list_pids(facts):
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


def _folders(root: Path, facts: UnitFacts) -> list[Path]:
    return [root / group.strip("/") for group in facts.groups]


def _read_held(folder: Path, usage: str, idle: str) -> int | None:
    try:
        used = int((folder / usage).read_text())
        pages = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return max(0, used - int(pages.get(idle, 0)))


def _read_usage(folder: Path) -> float | None:
    """`usage_usec` of a cgroup v2, in seconds."""
    try:
        for line in (folder / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
    except (OSError, ValueError, IndexError):
        return None
    return None


def _pids(facts: UnitFacts) -> set[int]:
    return _list(facts, ("cgroup.procs",))


def _list(facts: UnitFacts, names: Sequence[str]) -> set[int]:
    """The numbers in a file of each group and of those below it, from the first hierarchy that knows the group: v2, the hybrid's v2,
    systemd's own v1. The file has one of these names.
    """
    found: set[int] = set()
    for group in facts.groups:
        folders = [root / group.strip("/") for root in (CGROUPS, CGROUPS / "unified", CGROUPS / "systemd")]
        place = next(((folder, name) for folder in folders for name in names if (folder / name).exists()), None)
        if place is not None:
            found.update(_walk(*place))
    return found


def _walk(folder: Path, name: str) -> Iterator[int]:
    groups = [str(folder)]
    for group in groups:
        try:
            with open(f"{group}/{name}", "rb") as file:
                yield from map(int, file.read().split())
            if os.stat(group).st_nlink > 2:  # each group below counts
                groups += [entry.path for entry in os.scandir(group) if entry.is_dir()]
        except OSError:  # it is gone by now, or it holds threads, whose processes are listed further up
            continue


def _read_stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state (the third) on; None where the process is gone or must not be looked at."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()  # the name before may hold blanks and brackets
