"""What is measured, as expressions look back on it: kept in memory for as long as they do, and nothing that none of them looks at."""

import time
from collections.abc import Callable, Iterable, Sequence
from math import inf

from model_watchdog.core.sample import STALE, Outcome, Sample, SeriesId

TYPE_CHECKING = False  # without an expression, nothing of PromQL is imported: it takes 6 MB
if TYPE_CHECKING:
    from model_watchdog.promql import Memory, Needs, Track
    from model_watchdog.promql.tree import Selector

TIDY_EVERY = 300.0
"""Seconds after which series that have ended are let go."""
STEP = 1.0
"""Seconds by which the wall clock may go astray from the steady one before what is remembered is moved along with it."""

FIRST_ROUND = 30.0
"""Seconds that expressions wait for each probe to have run once: what has not been measured yet is not absent."""

Place = tuple[str | None, str]
"""Service (None: the host) and probe."""


class Feed:
    """Everything that every expression of the configuration needs. Expressions live on the wall clock; samples come with steady times."""

    def __init__(self, steady: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._steady = steady
        self._wall = wall
        self.memory: Memory | None = None
        self.seen_since = -inf  # everything that was measured since then is here, or was seen by the daemon before; in wall seconds
        self.is_loading = False  # what the record knows of the time before
        self._given: dict[Place, set[SeriesId]] = {}
        self._unheard: set[Place] = set()
        self._opened_at: float | None = None  # until all have been heard once
        self._difference = wall() - steady()
        self._tidied_at = steady()

    def follow(self, needs: "Iterable[Needs]") -> None:
        """From now on these. What is remembered stays, as far as it is still needed."""
        all_needs = list(needs)
        if not all_needs:
            self.memory = None
            self._given.clear()
            return
        from model_watchdog.promql import Memory, add_needs

        whole, before = add_needs(all_needs), self.memory
        self.memory = Memory(whole.selectors, whole.span)
        if before is not None:
            self.memory.take_over(before)

    def expect(self, places: Iterable[Place]) -> None:
        """The daemon has begun: expressions are not answered before each of these was heard once, or is known not to be asked."""
        self._unheard, self._opened_at = set(places), self._steady()

    def leave_out(self, service: str | None, probe: str) -> None:
        """It is not asked."""
        self._unheard.discard((service, probe))

    def is_ready(self) -> bool:
        """Whether an answer can be right by now."""
        if self.is_loading:
            return False
        began = self._opened_at
        if began is None:
            return True
        now = self._steady()
        if self._unheard and now - began < FIRST_ROUND:
            return False
        self._opened_at = None
        if self.memory is not None:
            self.memory.end_before(began + self._difference, now + self._difference)  # of an earlier run, and not measured any more
        return True

    def take(self, service: str | None, outcome: Outcome) -> None:
        """Takes in a run of a probe. What it gave before and gives no more has ended, as in Prometheus; of a blind run nothing is known."""
        self._unheard.discard((service, outcome.probe))
        if self.memory is None or outcome.ok is None:
            return
        place, difference = (service, outcome.probe), self._difference
        given = {sample.series for sample in outcome.samples}
        self.add(outcome.samples)
        before = self._given.get(place, set())
        if ended := before - given:
            for series in ended:
                self.memory.append(series.metric, series.labels, outcome.at + difference, STALE)
        self._given[place] = given

    def add(self, samples: Iterable[Sample]) -> None:
        """Samples that no probe stands for."""
        if self.memory is None:
            return
        for sample in samples:
            self.memory.append(sample.series.metric, sample.series.labels, sample.at + self._difference, sample.value)

    def now(self) -> float:
        """The moment for an expression, in seconds since 1970. A wall clock that was set moves what is remembered along with it."""
        steady = self._steady()
        if self.memory is not None and steady - self._tidied_at >= TIDY_EVERY:
            self._tidied_at = steady
            self.memory.forget(steady + self._difference)
        difference = self._wall() - steady
        if abs(difference - self._difference) > STEP:
            if self.memory is not None:
                self.memory.shift(difference - self._difference)
            self.seen_since += difference - self._difference
            self._difference = difference
        return steady + self._difference


class Scoped:
    """What the expressions of one service see: its own series and those of no service."""

    def __init__(self, memory: "Memory", service: str) -> None:
        self.memory = memory
        self._service = service
        self._found: dict[Selector, tuple[Sequence[Track], list[Track]]] = {}

    def find(self, selector: "Selector") -> "Sequence[Track]":
        """The memory gives the same list until a series comes or goes: so long ours is the same, too."""
        whole, known = self.memory.find(selector), self._found.get(selector)
        if known is None or known[0] is not whole:
            known = self._found[selector] = whole, [track for track in whole if self._may_see(track.labels)]
        return known[1]

    def append(self, metric: str, labels: "tuple[tuple[str, str], ...]", at: float, value: float) -> bool:
        return self.memory.append(metric, labels, at, value)

    def _may_see(self, labels: "tuple[tuple[str, str], ...]") -> bool:
        return all(text == self._service for name, text in labels if name == "service")
