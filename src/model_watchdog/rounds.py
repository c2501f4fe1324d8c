"""Which probes run together: one job for all of one interval, so that the loop is woken once for them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from model_watchdog.hostwatch import HostWatch
from model_watchdog.schedule import Schedule
from model_watchdog.tick import Watch

AT_ONCE = 8
"""So many services begin their probes in one go, so that the loop stays quick."""

Group = list[tuple[Watch, list[str]]]


class Rounds:
    """The jobs of the schedule that run the probes of the services and of the host."""

    def __init__(self, schedule: Schedule, watches: Mapping[str, Watch], host: HostWatch) -> None:
        self._schedule = schedule
        self._watches = watches
        self._host = host
        self._units: dict[float, Group] = {}
        self._others: dict[float, Group] = {}
        self._jobs: set[str] = set()

    def arrange(self) -> None:
        """Fits the jobs to what is watched now. A job whose interval is still wanted keeps its beat."""
        self._units, self._others = {}, {}
        for watch in self._watches.values():
            for name, probe in watch.probes.items():
                groups = self._units if probe.kind == "unit" else self._others
                group = groups.setdefault(probe.every, [])
                if not group or group[-1][0] is not watch:
                    group.append((watch, []))
                group[-1][1].append(name)
        wanted = {f"every {every} s": (every, self._ask(every)) for every in sorted({*self._units, *self._others})}
        for seconds in sorted({probe.every for probe in self._host.config.probes}):
            wanted[f"host every {seconds} s"] = seconds, self._ask_host(seconds)
        for name in self._jobs - wanted.keys():
            self._schedule.remove(name)
        for name, (every, work) in wanted.items():
            if name not in self._jobs:
                self._schedule.add(name, every, work)
        self._jobs = set(wanted)

    def _ask(self, every: float) -> Callable[[], Awaitable[None]]:
        """Units first: they share one question to systemd."""

        async def run() -> None:
            for watch, names in self._units.get(every, ()):
                watch.measure(names)
            for place, (watch, names) in enumerate(self._others.get(every, ())):
                if place % AT_ONCE == 0:
                    await asyncio.sleep(0.002)
                watch.measure(names)

        return run

    def _ask_host(self, every: float) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            self._host.measure([probe.name for probe in self._host.config.probes if probe.every == every])

        return run
