"""Progress: whether a service gets on with its work, as its own counters tell.

A model server answers `/health` long after its engine has stopped (vLLM #39863), and leaves it unanswered while it works. Its step
counter tells the truth: the *heartbeat*. It means something only beside the *work* that is there to be done: a counter that stands
still while nobody asks for anything is idle.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from model_watchdog.core.sample import Sample, Selector, SeriesId
from model_watchdog.core.units import Seconds

STALLED_SECONDS = "service_stalled_seconds"
"""The metric by which rules see it: for how long there has been work, and no step; 0 while it gets on, or has nothing to do."""
LEAST_SCRAPES = 3
"""On so many scrapes at least the work must have been there and the heartbeat where it was: two can fall between two steps."""
ENGINE = "engine"
"""The label that tells the engines of one server apart: one of them may hang alone, so each has a heartbeat of its own."""
REMEMBERED = 8
"""So many values of a counter are remembered. Several processes behind one port answer by turns, each with counters of its own: only a
value that none of them has shown of late is a step."""
MISSES = 3
"""An engine that is not on its page for so many scrapes is gone."""


@dataclass(frozen=True, slots=True)
class ProgressPlan:
    """Which series count, as names or selectors. A server of another version may name them otherwise, so any of them will do.

    `heartbeat` are counters of steps done, or gauges that change with them; `work` gauges of requests that run or wait; `attempts`
    counters of requests that came to nothing through the server's own fault: they are work too, for half of `stall_after` after each
    time that they have grown. `engine` is the label that tells engines apart. `page_asks_engine`: the page comes from the engine's own
    queue, so that a page which does not come is a request that is not answered.
    """

    heartbeat: tuple[str, ...]
    work: tuple[str, ...] = ()
    attempts: tuple[str, ...] = ()
    stall_after: Seconds = Seconds(120.0)
    engine: str = ENGINE
    page_asks_engine: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics."""
        return tuple(dict.fromkeys(Selector.parse(text).metric for text in self.heartbeat + self.work + self.attempts))


@dataclass(slots=True)
class Engine:
    """One engine: since when it has had work without a step (`still_since`), and on how many looks. `work` is None where the page does
    not tell; `seen` the last values of each series of its heartbeat."""

    seen: dict[SeriesId, deque[float]] = field(default_factory=dict)
    attempts: float | None = None
    work: float | None = None
    tried_at: float | None = None
    moved_at: float | None = None
    still_since: float | None = None
    scrapes: int = 0
    looked_at: float | None = None
    missed: int = 0

    def stalled_for(self, now: float) -> float:
        return 0.0 if self.still_since is None or self.scrapes < LEAST_SCRAPES else now - self.still_since

    def note(self, values: Mapping[SeriesId, float]) -> bool:
        """Takes in the values of its heartbeat; whether one of them says that it has made a step."""
        moved = False
        for series, value in values.items():
            seen = self.seen.setdefault(series, deque(maxlen=REMEMBERED))
            moved |= bool(seen) and value not in seen
            if value not in seen:
                seen.append(value)
        return moved

    def count(self, at: float, longest: float, *, is_still: bool) -> None:
        """One more look; what stood still before nobody had looked for `longest` seconds says nothing."""
        is_late = self.looked_at is not None and at - self.looked_at > longest
        self.looked_at = at
        if is_late or not is_still:
            self.still_since, self.scrapes = (at, 1) if is_still else (None, 0)
            return
        self.still_since = at if self.still_since is None else self.still_since
        self.scrapes += 1


Key = tuple[str, str]
"""The probe whose page an engine is on, and its name; "" where it has none."""


@dataclass(slots=True)
class Progress:
    """What was seen of a service's progress in this invocation. Times are steady seconds.

    `heard_at` is the last scrape that had a heartbeat, `looked_at` the last that said anything of it, by its silence too; `lacking` on how
    many scrapes in a row nothing told of the work.
    """

    engines: dict[Key, Engine] = field(default_factory=dict)
    heard_at: float | None = None
    looked_at: float | None = None
    lacking: int = 0

    def rest(self) -> None:
        """Another invocation, or a gap in which nobody looked: what stood still before says nothing now."""
        self.engines.clear()
        self.heard_at = self.looked_at = None
        self.lacking = 0

    def take(self, plan: ProgressPlan, samples: Sequence[Sample], at: float, probe: str = "", *, sleeps: bool = False) -> list[Sample]:
        """Takes in one good scrape; gives a sample of `STALLED_SECONDS` for each engine with a heartbeat. What sleeps does not stall."""
        beats = _group(samples, plan.heartbeat, plan.engine)
        if not beats:
            return []
        self.heard_at = self.looked_at = at
        work, attempts = (_share_out(_group(samples, names, plan.engine), beats) for names in (plan.work, plan.attempts))
        self._miss(probe, beats.keys())
        for name, values in beats.items():
            engine = self.engines.setdefault((probe, name), Engine())
            engine.missed = 0
            if engine.note(values):
                engine.moved_at = at
            tried = attempts.get(name)
            if tried is not None and engine.attempts is not None and tried > engine.attempts:
                engine.tried_at = at
            engine.attempts, engine.work = tried, work.get(name, None if plan.work else 0.0)
            has_work = bool(engine.work) or (engine.tried_at is not None and at - engine.tried_at <= plan.stall_after / 2)
            engine.count(at, plan.stall_after / 2, is_still=has_work and engine.moved_at != at and not sleeps)
        lacks = any(engine.work is None for key, engine in self.engines.items() if key[0] == probe)
        self.lacking = self.lacking + 1 if lacks else 0
        return self._measure(probe, samples[0].series, plan, at)

    def wait(self, plan: ProgressPlan, probe: str, series: SeriesId, at: float, *, is_still: bool) -> list[Sample]:
        """The page did not come in time, of which a heartbeat was read before. `is_still`: nothing of the service moved meanwhile.

        Where it had work, or the engine itself is asked for the page, that is no step. Anything else says nothing, neither way.
        """
        mine = [engine for key, engine in self.engines.items() if key[0] == probe and (plan.page_asks_engine or engine.work)]
        if not mine or not is_still:
            return []
        self.looked_at = at
        for engine in mine:
            engine.count(at, plan.stall_after / 2, is_still=True)
        return self._measure(probe, series, plan, at)

    def is_heard(self, since: float) -> bool:
        """A heartbeat was on a page since then; on which of several does not matter."""
        return self.heard_at is not None and self.heard_at >= since

    @property
    def is_idle(self) -> bool:
        """Nobody waits for anything, as far as the last scrape tells; where it tells nothing, nobody knows."""
        return all(engine.work == 0 for engine in self.engines.values())

    def moved_since(self, then: float) -> bool:
        """An engine has been seen to make a step since then."""
        return any(engine.moved_at is not None and engine.moved_at >= then for engine in self.engines.values())

    def find_stalled(self, patience: float, since: float = float("-inf")) -> tuple[str, float] | None:
        """The engine that had had work without a step for longest at the last look, where that is `patience` seconds or more, and for
        how long; None where nobody has looked `since` then."""
        looked_at = self.looked_at if self.looked_at is not None and self.looked_at >= since else None
        waits = [(engine.stalled_for(looked_at), name) for (_, name), engine in self.engines.items()] if looked_at is not None else []
        longest, name = max(waits, default=(0.0, ""))
        return (name, longest) if longest >= patience and longest > 0 else None

    def _miss(self, probe: str, names: Iterable[str]) -> None:
        for key, engine in list(self.engines.items()):
            if key[0] == probe and key[1] not in names:
                engine.missed += 1
                if engine.missed >= MISSES:
                    del self.engines[key]

    def _measure(self, probe: str, series: SeriesId, plan: ProgressPlan, at: float) -> list[Sample]:
        service = {label: value for label, value in series.labels if label == "service"}
        several = len({key[0] for key in self.engines}) > 1
        found = []
        for (page, name), engine in self.engines.items():
            if page == probe:
                labels = {**service, **({ENGINE: name} if name else {}), **({"probe": page} if several else {})}
                found.append(Sample(SeriesId.of(STALLED_SECONDS, labels), engine.stalled_for(at), at))
        return found


@lru_cache(maxsize=256)
def _compile(texts: tuple[str, ...]) -> dict[str, tuple[Selector, ...]]:
    """Selectors by their metric."""
    found: dict[str, tuple[Selector, ...]] = {}
    for selector in map(Selector.parse, texts):
        found[selector.metric] = (*found.get(selector.metric, ()), selector)
    return found


def _group(samples: Iterable[Sample], texts: tuple[str, ...], label: str) -> dict[str, dict[SeriesId, float]]:
    """The values of these series by engine; "" is the engine of series that name none."""
    wanted, found = _compile(texts), dict[str, dict[SeriesId, float]]()
    for sample in samples:
        selectors = wanted.get(sample.series.metric)
        if selectors and any(selector.matches(sample.series) for selector in selectors):
            engine = next((value for name, value in sample.series.labels if name == label), "")
            found.setdefault(engine, {})[sample.series] = sample.value
    return found


def _share_out(values: Mapping[str, Mapping[SeriesId, float]], engines: Iterable[str]) -> dict[str, float]:
    """The sum for each engine. What names no engine is everybody's; and an engine without a name has what all have."""
    sums = {name: sum(series.values()) for name, series in values.items()}
    everybody = sums.get("")
    shared = {name: sums[name] if name in sums else sum(sums.values()) if name == "" and sums else everybody for name in engines}
    return {name: value for name, value in shared.items() if value is not None}
