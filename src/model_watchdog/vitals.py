"""The vital signs of a service, read while it leaves a probe waiting."""

import asyncio
from collections.abc import Callable, Iterable

from model_watchdog.cgroup import list_pids, processor_seconds, read_bytes, resident_bytes
from model_watchdog.clock import Clock
from model_watchdog.core.gpu import Gpu
from model_watchdog.core.unit import UnitFacts
from model_watchdog.core.vitals import MOVING_CORES, Vitals, works
from model_watchdog.gpuview import GpuHolder

LEAST_LOOK = 1.0
"""Seconds between two looks at a start."""
GROWN = 1 << 20
"""Bytes by which something has grown that grows: less is bookkeeping."""


class VitalSigns:
    """What moves in the second half of a wait for an answer: before that nothing is read, so that a service that answers costs nothing.

    `unit` gives what is known of the service's unit, `patience` is how long the answer may take, in seconds, and `look_at_gpus` has
    the GPUs read now: a view that is older than the wait says nothing about it.
    """

    def __init__(
        self, unit: Callable[[], UnitFacts | None], patience: float, clock: Clock, gpus: GpuHolder, look_at_gpus: Callable[[], None]
    ) -> None:
        self._unit = unit
        self._clock = clock
        self._gpus = gpus
        self._look_at_gpus = look_at_gpus
        self._before: tuple[float, float, tuple[str, ...]] | None = (
            None  # of the second half: processor seconds used by then, by which groups
        )
        self._asked_at: float | None = None
        self._timer = asyncio.get_running_loop().call_later(patience / 2, self._begin)

    def read(self) -> Vitals:
        """What moved since the second half began. Nothing can be told where the wait was shorter than that."""
        return Vitals(self._read_cores(), self._read_gpus())

    def stop(self) -> None:
        self._timer.cancel()

    def _begin(self) -> None:
        self._before = self._read_processor()
        if any(self._used()):
            self._asked_at = self._clock.steady()
            self._look_at_gpus()

    def _read_processor(self) -> tuple[float, float, tuple[str, ...]] | None:
        facts = self._unit()
        seconds = processor_seconds(facts) if facts is not None else None
        return None if facts is None or seconds is None else (self._clock.steady(), seconds, facts.groups)

    def _read_cores(self) -> float | None:
        """Nothing where a group has come or gone in between, with all that it has used since it began."""
        after, before = self._read_processor(), self._before
        if before is None or after is None or after[0] <= before[0] or after[2] != before[2]:
            return None
        return max(0.0, (after[1] - before[1]) / (after[0] - before[0]))

    def _read_gpus(self) -> tuple[str, ...] | None:
        used = list(self._used())
        if not used:
            return ()
        view = self._gpus.view
        if view is None or view.is_stale or self._asked_at is None or view.at < self._asked_at:
            return None
        working = tuple(gpu.index for gpu in used if works(gpu))
        return None if not working and any(works(gpu) is None for gpu in used) else working

    def _used(self) -> Iterable[Gpu]:
        """The GPUs that the service's processes are on."""
        facts = self._unit() if self._gpus.view is not None else None
        return self._gpus.of(list_pids(facts)) if facts is not None else ()


class StartSigns:
    """What of a start gets on: its processor time, the memory of its processes (weights that are mapped in), what it reads from disks, its
    memory on GPUs, and its log. Compiling shows in the first, loading in the others."""

    def __init__(self) -> None:
        self._begun: tuple[str, tuple[str, ...]] = ("", ())  # the invocation, and its groups
        self._looked_at = 0.0
        self._before: dict[str, float] = {}

    def move(self, facts: UnitFacts, gpus: GpuHolder, log: float, now: float) -> bool:
        """Whether something has moved since the last look, which was a second ago at least; False at the first one. `log` is how far its
        log has got."""
        if (facts.invocation, facts.groups) != self._begun:
            self._begun, self._before, self._looked_at = (facts.invocation, facts.groups), _read_start(facts, gpus, log), now
            return False
        passed = now - self._looked_at
        if passed < LEAST_LOOK:
            return False
        before, self._before, self._looked_at = self._before, _read_start(facts, gpus, log), now
        least = {"processor": MOVING_CORES * passed, "log": 1.0}
        return any(value - before.get(name, value) >= least.get(name, GROWN) for name, value in self._before.items())


def _read_start(facts: UnitFacts, gpus: GpuHolder, log: float) -> dict[str, float]:
    pids = list_pids(facts)
    found = {
        "log": log,
        "processor": processor_seconds(facts),
        "memory": resident_bytes(pids),
        "read": read_bytes(facts),
        "gpu": sum(process.memory_bytes or 0 for gpu in gpus.of(pids) for process in gpu.processes if process.pid in pids),
    }
    return {name: float(value) for name, value in found.items() if value is not None}
