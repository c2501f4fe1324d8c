"""Puts what probes measure into a memory, and says when a series has ended, as Prometheus does from scrape to scrape."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from model_watchdog.promql.labels import Labels
from model_watchdog.promql.storage import STALE, Memory

Measured = tuple[str, Labels, float]
"""A metric, its labels (sorted by name, without the metric's), and the value."""


@dataclass
class Feed:
    """What a giver (a probe) gave last time and gives no more is stale at once, and need not wait until its last sample is too old."""

    memory: Memory
    _given: dict[str, set[tuple[str, Labels]]] = field(default_factory=dict)

    def take(self, giver: str, measured: Iterable[Measured], at: float) -> None:
        """All that a giver has measured at a moment, in seconds since 1970; nothing where it could not ask."""
        seen, kept = set[tuple[str, Labels]](), set[tuple[str, Labels]]()
        before = self._given.get(giver, set())
        for metric, labels, value in measured:
            seen.add((metric, labels))
            if self.memory.append(metric, labels, at, value):
                kept.add((metric, labels))
        for metric, labels in before - seen:
            self.memory.append(metric, labels, at, STALE)
        self._given[giver] = kept | (before & seen)

    def forget(self, giver: str) -> None:
        """A giver that is not asked any more: its series go as their samples grow old."""
        self._given.pop(giver, None)
