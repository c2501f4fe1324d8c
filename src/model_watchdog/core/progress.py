"""Progress: whether a service gets on with its work, as its own counters tell.

A model server answers `/health` long after its engine has stopped (vLLM #39863), and leaves it unanswered while it works. Its step
counter tells the truth: the *heartbeat*. It means something only beside the *work* that is there to be done: a counter that stands
still while nobody asks for anything is idle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.core.units import Seconds

STALLED_SECONDS = "service_stalled_seconds"
"""The metric by which rules see it: for how long there has been work, and no step; 0 while it gets on, or has nothing to do."""
LEAST_SCRAPES = 3
"""On so many scrapes at least the work must have been there and the heartbeat where it was: two can fall between two steps."""
ENGINE = "engine"
"""The label that tells the engines of one server apart: one of them may hang alone, so each has a heartbeat of its own."""


@dataclass(frozen=True, slots=True)
class ProgressPlan:
    """Which counters count. A server of another version may name them otherwise, so all that are there are added up.

    `heartbeat` are counters of steps done, `work` gauges of requests that run or wait, `attempts` counters of requests that came to
    nothing: they are work too, for half of `stall_after` after each time that they have grown.
    """

    heartbeat: tuple[str, ...]
    work: tuple[str, ...] = ()
    attempts: tuple[str, ...] = ()
    stall_after: Seconds = Seconds(120.0)

    @property
    def names(self) -> tuple[str, ...]:
        return self.heartbeat + self.work + self.attempts


@dataclass(slots=True)
class Engine:
    """One engine: its counters at the last scrape, and since when it has had work without a step (`still_since`), on how many scrapes."""

    steps: float
    attempts: float | None = None
    work: float | None = None
    tried_at: float | None = None
    moved_at: float | None = None
    still_since: float | None = None
    scrapes: int = 0

    def stalled_for(self, now: float) -> float:
        return 0.0 if self.still_since is None or self.scrapes < LEAST_SCRAPES else now - self.still_since


@dataclass(slots=True)
class Progress:
    """What was seen of a service's progress in this invocation. Times are steady seconds.

    `heard_at` is the last scrape that had a heartbeat.
    """

    engines: dict[str, Engine] = field(default_factory=dict)
    heard_at: float | None = None

    def rest(self) -> None:
        """Another invocation, or a gap in which nobody looked: what stood still before says nothing now."""
        self.engines.clear()
        self.heard_at = None

    def take(self, plan: ProgressPlan, samples: Sequence[Sample], at: float) -> list[Sample]:
        """Takes in one good scrape. Gives a sample of `STALLED_SECONDS` for each engine that has a heartbeat."""
        steps, work, attempts = (_add_up(samples, names) for names in (plan.heartbeat, plan.work, plan.attempts))
        if not steps:
            return []
        self.heard_at = at
        for name in self.engines.keys() - steps.keys():
            del self.engines[name]
        return [self._advance(name, (count, work.get(name), attempts.get(name)), plan, samples, at) for name, count in steps.items()]

    def is_heard(self, since: float) -> bool:
        """A heartbeat was on a page since then; on which of several does not matter."""
        return self.heard_at is not None and self.heard_at >= since

    @property
    def is_idle(self) -> bool:
        """Nobody waits for anything, as far as the last scrape tells."""
        return all(not engine.work for engine in self.engines.values())

    def moved_since(self, then: float) -> bool:
        """An engine has been seen to make a step since then."""
        return any(engine.moved_at is not None and engine.moved_at >= then for engine in self.engines.values())

    def find_stalled(self, patience: float) -> tuple[str, float] | None:
        """The engine that had had work without a step for longest at the last scrape, where that is `patience` seconds or more, and for
        how long."""
        waits = [(engine.stalled_for(self.heard_at or 0.0), name) for name, engine in self.engines.items()]
        longest, name = max(waits, default=(0.0, ""))
        return (name, longest) if longest >= patience and longest > 0 else None

    def _advance(
        self, name: str, seen: tuple[float, float | None, float | None], plan: ProgressPlan, samples: Sequence[Sample], at: float
    ) -> Sample:
        steps, work, attempts = seen
        engine = self.engines.get(name)
        if engine is None or steps < engine.steps:  # it has begun to count anew: another process
            engine = self.engines[name] = Engine(steps)
        moved = steps > engine.steps
        if attempts is not None and engine.attempts is not None and attempts > engine.attempts:
            engine.tried_at = at
        tried = engine.tried_at is not None and at - engine.tried_at <= plan.stall_after / 2
        engine.steps, engine.work, engine.attempts = steps, work, attempts
        if moved:
            engine.moved_at = at
        if moved or not (work or tried):
            engine.still_since, engine.scrapes = None, 0
        else:
            engine.still_since = at if engine.still_since is None else engine.still_since
            engine.scrapes += 1
        service = {label: value for label, value in samples[0].series.labels if label == "service"}
        return Sample(SeriesId.of(STALLED_SECONDS, service | ({ENGINE: name} if name else {})), engine.stalled_for(at), at)


def _add_up(samples: Iterable[Sample], names: Sequence[str]) -> dict[str, float]:
    """The sum of these metrics by engine; "" is the engine of series that name none."""
    wanted, sums = frozenset(names), dict[str, float]()
    for sample in samples:
        if sample.series.metric in wanted:
            engine = next((value for label, value in sample.series.labels if label == ENGINE), "")
            sums[engine] = sums.get(engine, 0.0) + sample.value
    return sums
