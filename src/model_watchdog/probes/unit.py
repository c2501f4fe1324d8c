"""What systemd says of the service's unit; the units of one tick are asked together."""

from dataclasses import dataclass, replace
from typing import ClassVar

from model_watchdog.cgroup import processor_seconds
from model_watchdog.core.sample import Failure
from model_watchdog.core.unit import UnitFacts
from model_watchdog.core.units import Seconds
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Measurement, Observation, Surroundings


@dataclass(frozen=True)
class Unit:
    """The kind `unit`. It has no options."""

    default_every: ClassVar[Seconds] = Seconds(10.0)
    batched: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = (
        "unit_active",
        "unit_restarts_total",
        "unit_cpu_seconds_total",
        "unit_memory_bytes",
        "unit_tasks",
        "unit_uptime_seconds",
    )

    def open(self, surroundings: Surroundings) -> "_Running":
        return _Running(surroundings)


class _Running:
    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    async def observe(self) -> Observation:
        """Facts and measurements whenever systemd answers, also of a unit that is down. ProbeError (`watcher`) where it does not."""
        unit = self._surroundings.unit
        if unit is None:
            raise ProbeError(Failure.WATCHER, "the service has no unit")
        facts = await self._surroundings.units.read(unit)
        if facts.cpu_seconds is None and facts.cgroup:
            facts = replace(facts, cpu_seconds=processor_seconds(facts))  # systemd does not account it here, the kernel does
        return Observation(_measure(facts), _describe(facts), facts)

    async def close(self) -> None:
        pass


def _measure(facts: UnitFacts) -> list[Measurement]:
    """What is not known is left out."""
    uptime = facts.at - facts.inactive_exit_at if facts.is_up and facts.inactive_exit_at is not None else None
    values = {
        "unit_active": float(facts.is_up) if facts.is_up or (facts.is_down and not facts.is_between) else None,
        "unit_restarts_total": facts.restarts if facts.load == "loaded" else None,
        "unit_cpu_seconds_total": facts.cpu_seconds,
        "unit_memory_bytes": facts.memory_bytes,
        "unit_tasks": facts.tasks,
        "unit_uptime_seconds": None if uptime is None else max(0.0, uptime),
    }
    return [(metric, {}, float(value)) for metric, value in values.items() if value is not None]


def _describe(facts: UnitFacts) -> str:
    """`active (running)`, `failed (killed by signal 9)`, `inactive (exit 0)`, `not-found`."""
    if facts.load != "loaded":
        return facts.load
    if not facts.is_down:
        return f"{facts.active} ({facts.sub})"
    if facts.main_exit_at is None:
        return facts.active if facts.result == "success" else f"{facts.active} ({facts.result})"
    how = f"exit {facts.exit_status}" if facts.exit_code == 1 else f"killed by signal {facts.exit_status}"
    if facts.result in ("success", "exit-code", "signal", "core-dump"):
        return f"{facts.active} ({how})"
    return f"{facts.active} ({facts.result}, {how})"
