"""Expressions in a replay: evaluated by the daemon's own code over the data, at whole multiples of their interval.

What a group gives becomes columns, which the rules judge as they judge those of any probe. A series that was given before and comes no more
has ended, as in the daemon; the runs in which it would have come are known from the `probe_success` of its probe, or, in data from
elsewhere, from the times of the other series.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from itertools import repeat
from math import ceil
from operator import itemgetter

from model_watchdog.config.model import ProbeConfig
from model_watchdog.core.sample import PROBE_SUCCESS, STALE, SeriesId, conclude
from model_watchdog.expressions import Evaluator, Expressions
from model_watchdog.feeding import Feed
from model_watchdog.replaying import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from model_watchdog.promql import Needs
    from model_watchdog.promql.tree import Selector

Owner = str | None
Row = tuple[float, SeriesId, float]
Home = tuple[str, str]
"""Service ("" for the host) and probe."""

FIRST = 8
"""By so many of its samples it is told which probe a series comes from."""


@dataclass(slots=True)
class _Run:
    """One group of one owner. `unmet` are the selectors of which no series was ever there, `failed` what its rules had no answer for."""

    owner: Owner
    probe: ProbeConfig
    evaluator: Evaluator
    unmet: "set[Selector]"
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def group(self) -> Expressions:
        assert isinstance(self.probe.probe, Expressions)
        return self.probe.probe


class Evaluations:
    """`list_probes` gives the groups of an owner, `needs` is what all of them look at. `is_record`: the data are our own."""

    def __init__(self, list_probes: Callable[[Owner], Sequence[ProbeConfig]], needs: "Sequence[Needs]", *, is_record: bool) -> None:
        self._list_probes = list_probes
        self._is_record = is_record
        self._now = 0.0
        self._feed = Feed(lambda: self._now, lambda: self._now)
        self._feed.follow(needs)
        self._runs: dict[Owner, list[_Run]] = {}
        self._due: list[tuple[float, int, _Run]] = []  # a heap
        self._alive: set[SeriesId] = set()
        self._homes: dict[SeriesId, Home] = {}

    def take(self, window: Sequence[Column], owners: Sequence[Owner]) -> dict[Owner, list[Column]]:
        """The next window of the data, and all whose they are; gives what the groups of each of them gave."""
        memory = self._feed.memory
        filled = [column for column in window if len(column.times)]
        if memory is None or not filled:
            return {}
        begin, end = min(column.times[0] for column in filled), max(column.times[-1] for column in filled)
        if not self._runs:
            self._feed.seen_since = begin
        self._open(owners, begin)
        rows, place, found = self._list_rows(filled), 0, dict[Owner, dict[SeriesId, Column]]()
        while self._due and self._due[0][0] <= end:
            at, number, run = self._due[0]
            while place < len(rows) and rows[place][0] <= at:
                when, series, value = rows[place]
                memory.append(series.metric, series.labels, when, value)
                place += 1
            self._evaluate(run, at, found.setdefault(run.owner, {}))
            heapreplace(self._due, (at + run.probe.every, number, run))
        for when, series, value in rows[place:]:
            memory.append(series.metric, series.labels, when, value)
        for run in (run for runs in self._runs.values() for run in runs if run.unmet):
            source = run.evaluator.source
            run.unmet = {selector for selector in run.unmet if source is not None and not source.find(selector)}
        return {owner: list(columns.values()) for owner, columns in found.items()}

    def begin_after_gap(self, at: float) -> None:
        """The watchdog was away until then: what alerts were pending is not known any more, as in a daemon that has just begun."""
        self._feed.seen_since = at
        self._due = [(_align(at, run.probe.every), number, run) for _, number, run in self._due]
        heapify(self._due)
        for _, _, run in self._due:
            run.evaluator = Evaluator(run.group.group, run.owner, self._feed)
        self._alive.clear()

    def sees(self, owner: Owner, rule: str, *, anybody: bool = False) -> bool:
        """Whether the data have any series that this rule looks at; or `anybody`'s rule of this name."""
        return any(
            one.name == rule and (not one.expression.needs.selectors or not one.expression.needs.selectors <= run.unmet)
            for run in self._list_runs()
            if anybody or run.owner == owner
            for one in run.group.group.rules
        )

    def list_failures(self) -> list[tuple[Owner, str, str]]:
        """Owner and name of each rule that had no answer at some time, and why not."""
        return [(run.owner, name, said) for run in self._list_runs() for name, said in run.failed.items()]

    def _list_runs(self) -> Iterator[_Run]:
        return (run for runs in self._runs.values() for run in runs)

    def _open(self, owners: Sequence[Owner], begin: float) -> None:
        for owner in owners:
            if owner in self._runs:
                continue
            self._runs[owner] = []
            for probe in self._list_probes(owner):
                assert isinstance(probe.probe, Expressions)
                group = probe.probe.group
                run = _Run(owner, probe, Evaluator(group, owner, self._feed), set(group.needs.selectors))
                self._runs[owner].append(run)
                self._due.append((_align(begin, probe.every), len(self._due), run))
        heapify(self._due)

    def _evaluate(self, run: _Run, at: float, columns: dict[SeriesId, Column]) -> None:
        self._now = at
        seen = run.evaluator.evaluate()
        if seen.detail:
            for said in seen.detail.split("; "):
                name, _, why = said.partition(": ")
                run.failed.setdefault(name, why)
        outcome = conclude(run.owner, run.probe.name, at, at, seen.measurements)
        self._feed.take(run.owner, outcome)
        for sample in outcome.samples:
            column = columns.get(sample.series)
            if column is None:
                column = columns[sample.series] = Column(sample.series, array("d"), array("d"))
            column.times.append(at)  # type: ignore[attr-defined]
            column.values.append(sample.value)  # type: ignore[attr-defined]

    # ---------------------------------------------------------------- samples, and the ends of series
    def _list_rows(self, window: Sequence[Column]) -> list[Row]:
        """What the expressions look at, in the order of time, with a marker where a series has ended."""
        memory = self._feed.memory
        assert memory is not None
        wanted = [column for column in window if memory.wants(column.series.metric, column.series.labels)]
        rows: list[Row] = []
        for column in wanted:
            rows += zip(column.times, repeat(column.series), column.values, strict=False)
        if wanted or self._alive:
            rows += self._list_ends(window, wanted)
        rows.sort(key=itemgetter(0))
        return rows

    def _list_ends(self, window: Sequence[Column], wanted: Sequence[Column]) -> Iterator[Row]:
        runs = self._find_runs(window)
        given = {column.series: column.times for column in wanted}
        for series in {**given, **dict.fromkeys(self._alive)}:
            times = given.get(series, ())
            home = self._find_home(series, times, runs)
            mine = runs.get(home) if home is not None else None
            if mine is not None:
                yield from ((at, series, STALE) for at in self._find_ends(series, times, mine))

    def _find_runs(self, window: Sequence[Column]) -> "dict[Home, array[float]]":
        """When each probe had run, whether well or not."""
        if self._is_record:
            columns = [column for column in window if column.series.metric == PROBE_SUCCESS]
            named = ((dict(column.series.labels), column) for column in columns)
            return {(labels.get("service", ""), labels.get("probe", "")): array("d", column.times) for labels, column in named}
        longest = max(len(column.times) for column in window)
        times = {at for column in window for at in column.times}
        if len(times) > 2 * longest:  # they were not asked for at the same times: nothing is known of when one would have come
            return {}
        return {("", ""): array("d", sorted(times))}

    def _find_home(self, series: SeriesId, times: Sequence[float], runs: "dict[Home, array[float]]") -> Home | None:
        if not self._is_record:
            return "", ""
        if series not in self._homes and times:
            service = dict(series.labels).get("service", "")
            first = set(times[:FIRST])
            met = {home: len(first.intersection(mine)) for home, mine in runs.items() if home[0] == service}
            best = max(met, key=lambda home: met[home], default=None)
            if best is not None and 2 * met[best] > len(first):
                self._homes[series] = best
        return self._homes.get(series)

    def _find_ends(self, series: SeriesId, times: Sequence[float], runs: "array[float]") -> Iterator[float]:
        was, alive = series in self._alive, False
        if len(times) == len(runs) and all(map(float.__eq__, times, runs)):
            self._alive.add(series)
            return
        given, alive = set(times), was
        for at in runs:
            if at in given:
                alive = True
            elif alive:
                alive = False
                yield at
        (self._alive.add if alive else self._alive.discard)(series)


def _align(at: float, every: float) -> float:
    """The next whole multiple of the interval."""
    return ceil(at / every) * every
