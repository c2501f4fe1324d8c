"""What the processes of the service's unit use, from its control group: processor, memory, threads, files, GPU memory; and which are stuck.

psutil would ask each process alone, and by opening its files anew: 5 ms for 50 of them. This takes 0.3 ms.
"""

import asyncio
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar

from model_watchdog.cgroup import has_ended, list_pids, list_tasks, memory_bytes, processor_seconds
from model_watchdog.core.sample import Failure
from model_watchdog.core.unit import UnitFacts
from model_watchdog.core.units import Seconds
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Measurement, Observation, Surroundings

LOOK_AGAIN = 0.2
"""Seconds after which a main process that is a zombie is looked at again: systemd reaps its own within milliseconds."""
TASKS = 256
"""So many threads are looked at in one run (10 µs each); the rest follow in the next runs."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """The kind `process`. It has no options."""

    default_every: ClassVar[Seconds] = Seconds(10.0)
    metrics: ClassVar[tuple[str, ...]] = (
        "service_cpu_percent",
        "service_memory_bytes",
        "service_gpu_memory_bytes",
        "service_open_files",
        "service_threads",
        "service_stuck_tasks",
    )

    def open(self, surroundings: Surroundings) -> "_Running":
        return _Running(surroundings)


class Kept:
    """Descriptors of a file of each process, which is read again in every run: that costs half of opening it anew.

    A descriptor stays with its process: when the number goes to another one, it reads as gone. All services together keep at most
    MOST, so that they never use up the daemon's; what is beyond is opened for the moment.
    """

    MOST: ClassVar[int] = 256
    _all: ClassVar[int] = 0

    def __init__(self, path: str, flags: int) -> None:
        self._path = path  # with {} for the number
        self._flags = flags | os.O_CLOEXEC
        self._open: dict[int, int] = {}

    def each(self, numbers: Collection[int]) -> Iterator[tuple[int, int]]:
        """Each number with its descriptor. What is gone is left out; PermissionError where one may not be looked at."""
        for gone in self._open.keys() - set(numbers):
            self.drop(gone)
        for number in numbers:
            descriptor = self._open.get(number)
            if descriptor is not None:
                yield number, descriptor
                continue
            try:
                descriptor = os.open(self._path.format(number), self._flags)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if Kept._all < self.MOST:
                self._open[number] = descriptor
                Kept._all += 1
                yield number, descriptor
                continue
            try:
                yield number, descriptor
            finally:
                os.close(descriptor)

    def drop(self, number: int) -> None:
        """The process is gone: its descriptor is of no use."""
        descriptor = self._open.pop(number, None)
        if descriptor is not None:
            os.close(descriptor)
            Kept._all -= 1

    def close(self) -> None:
        for number in list(self._open):
            self.drop(number)


class _Running:
    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._stats = Kept("/proc/{}/stat", os.O_RDONLY)
        self._files = Kept("/proc/{}/fd", os.O_PATH)  # its size alone is asked for, which needs no right
        self._processor: tuple[float, float, tuple[str, ...]] | None = None  # when, seconds used by then, and of which groups
        self._blocked: dict[int, str] = {}  # tasks that were in D state at their last look: how often they had run by then
        self._place = 0

    async def observe(self) -> Observation:
        """Reads the kernel's files. What cannot be known is left out; a unit without processes gives nothing.

        Raises ProbeError: `ended` where the unit's main process is a zombie, and systemd does not know; `watcher` where systemd was
        never asked and does not answer.
        """
        unit = self._surroundings.unit
        if unit is None:
            raise ProbeError(Failure.WATCHER, "the service has no unit")
        try:
            async with asyncio.timeout(self._surroundings.timeout):
                facts = await self._find_group(unit)
        except TimeoutError:
            raise ProbeError(Failure.WATCHER, f"systemd did not answer within {self._surroundings.timeout:g} s") from None
        if not facts.cgroup:
            self._forget()
            return Observation(detail="the unit has no processes")
        pids = list_pids(facts)
        return Observation(self._measure(facts, pids), f"{len(pids)} process" + ("es" if len(pids) != 1 else ""))

    async def close(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """The unit's processes are gone."""
        self._stats.close()
        self._files.close()
        self._processor = None
        self._blocked = {}

    async def _find_group(self, unit: str) -> UnitFacts:
        """What systemd said of late, for its probe asks often enough, or says now where it named no group."""
        facts = self._surroundings.units.newest(unit)
        if facts is None or not facts.cgroup:
            facts = await self._surroundings.units.read(unit)
        return await self._look_again(unit, facts) if has_ended(facts.main_pid) else facts

    async def _look_again(self, unit: str, before: UnitFacts) -> UnitFacts:
        """A process that has just ended is a zombie until systemd has taken note. One that stays so has ended unnoticed: it is not
        systemd's own child (Type=forking with a PIDFile=), and its parent does not ask for it."""
        await asyncio.sleep(LOOK_AGAIN)
        facts = await self._surroundings.units.read(unit)
        if facts.is_up and facts.main_pid == before.main_pid and has_ended(facts.main_pid):
            text = f"the main process (pid {facts.main_pid}) has ended, and systemd does not know: it is a zombie that nobody waits for"
            raise ProbeError(Failure.ENDED, text)
        return facts

    def _measure(self, facts: UnitFacts, pids: frozenset[int]) -> list[Measurement]:
        tasks = list_tasks(facts)
        values = {
            "service_cpu_percent": self._measure_processor(facts),
            "service_memory_bytes": _unless_denied(_measure_memory, facts, pids),
            "service_open_files": _unless_denied(self._count_files, pids),
            "service_threads": len(tasks) or None,
            "service_stuck_tasks": _unless_denied(self._count_stuck, tasks),
        }
        measured: list[Measurement] = [(metric, {}, float(value)) for metric, value in values.items() if value is not None]
        return measured + self._measure_gpus(pids)

    def _measure_processor(self, facts: UnitFacts) -> float | None:
        """Use since the last run, 100 for one core; nothing at the first run, or where a group is a new one."""
        used, at = processor_seconds(facts), time.monotonic()
        before, self._processor = self._processor, None if used is None else (at, used, facts.groups)
        if before is None or used is None or facts.groups != before[2] or used < before[1] or at <= before[0]:
            return None
        return 100.0 * (used - before[1]) / (at - before[0])

    def _count_files(self, pids: frozenset[int]) -> int | None:
        """Open descriptors. The size of /proc/PID/fd is their number since Linux 6.2, for everybody; before it is 0."""
        counts = []
        for pid, descriptor in self._files.each(pids):
            try:
                counts.append(os.fstat(descriptor).st_size)
            except PermissionError:
                raise
            except OSError:  # ENOENT, ESRCH: it has ended since it was listed
                self._files.drop(pid)
        return sum(counts) if any(counts) else None

    def _count_stuck(self, tasks: frozenset[int]) -> int | None:
        """Tasks that wait in the kernel, cannot be ended (D state), and have not run once since they were last found so.

        One that loads weights from a disk is in D state at many looks too, but gets on in between: that is not stuck.
        """
        now: dict[int, str] = {}
        seen = stuck = 0
        for task, descriptor in self._stats.each(self._choose(tasks)):
            try:
                stat = os.pread(descriptor, 256, 0)
            except ProcessLookupError:
                self._stats.drop(task)
                continue
            seen += 1
            if stat[stat.rindex(b")") + 2 :].startswith(b"D") and (runs := _count_runs(task)):
                now[task] = runs
                stuck += self._blocked.get(task) == runs
        self._blocked = now
        return stuck if seen else None

    def _choose(self, tasks: frozenset[int]) -> Collection[int]:
        """All of them, or those whose turn it is and those that were in D state at the last look."""
        if len(tasks) <= TASKS:
            return tasks
        ordered = sorted(tasks)
        begin, self._place = self._place % len(ordered), self._place + TASKS
        return {*(ordered + ordered)[begin : begin + TASKS], *(tasks & self._blocked.keys())}

    def _measure_gpus(self, pids: frozenset[int]) -> list[Measurement]:
        """Memory on each GPU that the driver counts for these processes. Nothing while the driver does not answer."""
        holder = self._surroundings.gpus
        if holder is None or holder.view is None or holder.view.is_stale:
            return []
        measured: list[Measurement] = []
        for gpu in holder.of(pids):
            used = [process.memory_bytes for process in gpu.processes if process.pid in pids]
            known = [size for size in used if size is not None]
            if gpu.is_up and gpu.is_listed and len(known) == len(used):
                measured.append(("service_gpu_memory_bytes", {"gpu": gpu.index}, float(sum(known))))
        return measured


def _unless_denied(count: Callable[..., int | None], *arguments: object) -> int | None:
    """A sum that leaves out what may not be looked at would be a wrong number: then there is none."""
    try:
        return count(*arguments)
    except PermissionError:
        return None


def _measure_memory(facts: UnitFacts, pids: frozenset[int]) -> int | None:
    """What the group holds; where that is not accounted, the memory that the processes have resident, shared pages once for each."""
    used = memory_bytes(facts)
    if used is not None:
        return used
    resident = [pages for pid in pids if (pages := _read_resident(pid)) is not None]
    return sum(resident) * PAGE if resident else None


def _read_resident(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _count_runs(task: int) -> str:
    """How often a task got off the processor so far, as the kernel writes it; "" where it is gone."""
    try:
        with open(f"/proc/{task}/status", "rb") as file:
            lines = file.read().decode(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return " ".join(line for line in lines if "ctxt_switches" in line)
