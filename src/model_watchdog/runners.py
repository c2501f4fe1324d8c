"""The opened probes of one service, or of the host. Each keeps its connection for as long as its configuration stays the same."""

from collections.abc import Callable, Iterable, Mapping

from model_watchdog.config.model import ProbeConfig
from model_watchdog.core.decision import Reason
from model_watchdog.core.sample import Failure
from model_watchdog.observing import Seen, observe
from model_watchdog.probes import Observation, Running


class Runners:
    """Opens probes by `open_probe`, which opens nothing that can fail or block."""

    def __init__(self, open_probe: Callable[[ProbeConfig], Running]) -> None:
        self._open_probe = open_probe
        self._running: dict[str, tuple[ProbeConfig, Running]] = {}
        self._asked: dict[int, Running] = {}
        self._replaced: dict[int, Running] = {}

    def take(self, probes: Iterable[ProbeConfig]) -> set[str]:
        """From now on these. Opens what is new or not as it was; gives the names of those, and of what is gone. `tidy` closes that."""
        wanted = {probe.name: probe for probe in probes}
        stay = {name for name, (probe, _) in self._running.items() if wanted.get(name) == probe}
        changed = (self._running.keys() | wanted.keys()) - stay
        for name in changed & self._running.keys():
            _, running = self._running.pop(name)
            self._replaced[id(running)] = running
        for name in [name for name in wanted if name in changed]:
            self._running[name] = wanted[name], self._open_probe(wanted[name])
        return changed

    def has(self, probe: ProbeConfig) -> bool:
        """Whether it is still one of them, and as it was: what it has seen counts."""
        return probe.name in self._running and self._running[probe.name][0] == probe

    async def observe(self, probe: ProbeConfig, place: str) -> Seen:
        """As `observing.observe`; of one that has been replaced before it began (see `has`) nothing is seen."""
        if not self.has(probe):
            return Observation(), Failure.WATCHER, ""
        _, running = self._running[probe.name]
        self._asked[id(running)] = running
        try:
            return await observe(running, probe.timeout, place)
        finally:
            del self._asked[id(running)]

    def troubles(self, name: str) -> Mapping[str, Reason]:
        """What is wrong with the sensor itself (`probes.Running`)."""
        found: Mapping[str, Reason] = getattr(self._running[name][1], "troubles", {})
        return found

    def progress(self) -> float:
        """How far the probes that follow something have got in it; it grows as that does."""
        return float(sum(getattr(running, "progress", 0) for _, running in self._running.values()))

    async def tidy(self) -> None:
        """Closes what was replaced and is not in the middle of a run."""
        for key in self._replaced.keys() - self._asked.keys():
            await self._replaced.pop(key).close()

    async def close(self) -> None:
        """Closes all of them; none may be in the middle of a run."""
        self._asked.clear()
        self.take(())
        await self.tidy()
