"""Rules over recorded data: what would have fired and been restarted, decided by the very `step` that the daemon runs.

Data come in windows of columns, one a series. What provably changes nothing is passed over at once (core/skipping.py); all else goes
through `step` as the runs of probes that it was, in the order of their times. Recorded times are taken as steady seconds.

A rule of another kind that is evaluated over many series at once (`expr`) has its place in `Subject.feed`, through which everything
passes that `step` is given, and in `Subject.is_calm`, which must be False while such a rule could change something.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import nextafter
from operator import sub

from model_watchdog.core.alert import MOST_SERIES, Alert
from model_watchdog.core.incident import CONDITION
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.core.skipping import Kept, Stretch, absorb, can_absorb, pass_over, pass_over_difference
from model_watchdog.ledger import Ledger

LARGEST_STRETCH, LEAST_STRETCH = 16_384, 16
"""So many samples of a series are tried at once: where one of them changes something, those before it are judged again."""
QUICK_STRETCH = 512
"""At least so many where they are not."""
FEW = 4
"""So few samples go through `step`."""
MOST_AT_ONCE = 8
"""So many samples of an alert that does not end."""


@dataclass(frozen=True, slots=True)
class Column:
    """Samples of one series within a window: times (seconds) that rise, and values."""

    series: SeriesId
    times: Sequence[float]
    values: Sequence[float]


@dataclass(slots=True)
class Track:
    """A column with the probe that it came from, and the rules that judge it, each with the key of its alert."""

    column: Column
    probe: str
    rules: tuple[Rule, ...]
    keys: tuple[str, ...] = ()
    partners: "dict[str, Track | None]" = field(default_factory=dict)  # by rule, what is taken off it

    def cut(self, begin: int, end: int) -> Stretch:
        return Stretch(self.column.times[begin:end], self.column.values[begin:end])


@dataclass(slots=True)
class Span:
    """From where to where a track is looked at."""

    track: Track
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin

    @property
    def last(self) -> float:
        return self.track.column.times[self.end - 1]

    def split(self, at: float) -> "tuple[Span, Span]":
        """What comes before a time, and what comes with it or later."""
        place = bisect_left(self.track.column.times, at, self.begin, self.end)
        return Span(self.track, self.begin, place), Span(self.track, place, self.end)


class Subject(ABC):
    """One service, or the host, under replay. `find_probe` names the probe that gives a series."""

    def __init__(self, name: str | None, rules: Sequence[Rule], find_probe: Callable[[SeriesId], str], ledger: Ledger) -> None:
        self.name = name
        self.rules = tuple(rules)
        self.skips = True
        self.ledger = ledger
        self._find_probe = find_probe
        self._known: dict[SeriesId, tuple[str, tuple[Rule, ...], tuple[str, ...]]] = {}
        self._reach = LEAST_STRETCH  # grows while nothing changes
        self._seen = Counter[str]()  # series by rule

    @property
    @abstractmethod
    def alerts(self) -> dict[str, Alert]:
        """By key, as `step` keeps them."""

    def take(self, columns: Iterable[Column]) -> None:
        """One window. Those before it are forgotten, but for what the rules remember of them."""
        spans = [Span(self._track(column), 0, len(column.times)) for column in columns if len(column.times)]
        tracks = {span.track.column.series: span.track for span in spans}
        for track in tracks.values():
            for rule in track.rules:
                if rule.minus is not None:
                    other = rule.find_other(track.column.series)
                    track.partners[rule.name] = None if other is None else tracks.get(other)
        self._advance(spans)

    @abstractmethod
    def begin_after_gap(self, at: float) -> None:
        """The watchdog was away until `at`."""

    # what a subject is made of

    @abstractmethod
    def is_calm(self, spans: Sequence[Span]) -> bool:
        """Whether, as things stand, only what the rules judge could change anything in these spans."""

    @abstractmethod
    def feed(self, probe: str, samples: tuple[Sample, ...], at: float) -> None:
        """One run of a probe through `step`, and what comes of it into the ledger."""

    @abstractmethod
    def pass_runs(self, spans: Sequence[Span]) -> None:
        """The runs in these spans were passed over: what `step` would know of the newest of them is to be known."""

    def find_end(self, condition: Alert) -> float:
        """Until when an alert that comes of the state fires on, where nothing else changes; long ago where that is not known."""
        return float("-inf")

    # how it goes on

    def _track(self, column: Column) -> Track:
        known = self._known.get(column.series)
        if known is None:
            rules = tuple(rule for rule in self.rules if rule.selector.matches(column.series))
            keys = tuple(f"{rule.name} {column.series}" for rule in rules)
            known = self._known[column.series] = self._find_probe(column.series), rules, keys
            self._seen.update(rule.name for rule in rules)
        return Track(column, *known)

    def _advance(self, spans: list[Span]) -> None:
        """From its beginning to its end: what it can be at once, and step by step where something changes."""
        waiting = [spans]
        while waiting:
            spans = [span for span in waiting.pop() if len(span)]
            if not spans:
                continue
            if not self.skips or sum(map(len, spans)) <= max(FEW, 2 * len(spans)):
                self._step_through(spans)
                continue
            longest = max(spans, key=len)
            times = longest.track.column.times
            if len(longest) > self._reach:
                waiting += _split(spans, times[longest.begin + self._reach])
                continue
            if parts := self._cut_at_end(spans):
                waiting += parts
                continue
            if (quick := self._find_quick(spans)) is not None:
                waiting.append(self._absorb(spans, *quick))
                continue
            stop = self._skip(spans)
            if stop is None:
                self._reach = min(2 * self._reach, LARGEST_STRETCH)
                continue
            self._reach = max(LEAST_STRETCH, len(longest) // 2)
            if stop == float("inf"):
                waiting += _split(spans, times[(longest.begin + longest.end) // 2] if len(longest) > 1 else longest.last)
            else:
                after, before = _split(spans, stop)
                waiting += [*_split(after, nextafter(stop, float("inf"))), before]

    def _step_through(self, spans: Sequence[Span]) -> None:
        """Each run of each probe: the samples that it gave at one time."""
        for (at, probe), samples in sorted(list_runs(spans).items(), key=lambda run: run[0]):
            self.feed(probe, tuple(samples), at)

    def _cut_at_end(self, spans: list[Span]) -> list[list[Span]]:
        """In two, where an alert that comes of the state ends among them; else nothing."""
        firing = (alert for alert in self.alerts.values() if alert.series.metric == CONDITION and alert.is_firing)
        end = min(map(self.find_end, firing), default=float("inf"))
        begin = min(span.track.column.times[span.begin] for span in spans)
        return [*_split(spans, end)] if begin < end <= max(span.last for span in spans) else []

    def _find_quick(self, spans: Sequence[Span]) -> tuple[Span, Alert] | None:
        """The only span that a rule judges, with its only alert, where that knows a quick way; None where it is not so simple."""
        judged = [span for span in spans if span.track.rules]
        if len(judged) != 1 or len(judged[0].track.rules) != 1 or judged[0].track.rules[0].minus is not None:
            return None
        alert = self.alerts.get(judged[0].track.keys[0])
        if alert is None or not can_absorb(alert, judged[0].track.column.times[judged[0].begin]):
            return None
        return (judged[0], alert) if self.is_calm(spans) and self._expects_all(spans) else None

    def _absorb(self, spans: list[Span], judged: Span, alert: Alert) -> list[Span]:
        """Passes over what changes nothing, and steps through what does until it is over, mostly at once; gives what is left."""
        count = absorb(alert, judged.track.cut(judged.begin, judged.end))
        stop = judged.begin + count
        self._reach = min(max(QUICK_STRETCH, 2 * count), LARGEST_STRETCH)
        if stop == judged.end:
            self.pass_runs(spans)
            return []
        times = judged.track.column.times
        after, before = _split(spans, times[stop])
        if passed := [span for span in before if len(span)]:
            self.pass_runs(passed)
        for following in range(stop + 2, judged.end):
            after, at_once = _split(after, times[following])
            self._step_through(at_once)
            if following == stop + MOST_AT_ONCE or can_absorb(alert, times[following]):
                return after
        self._step_through(after)
        return []

    def _skip(self, spans: Sequence[Span]) -> float | None:
        """Passes over all of it. Where that cannot be nothing is changed, and it gives the time of what stands in the way, infinity where
        that is not known."""
        if not self.is_calm(spans) or not self._expects_all(spans):
            return float("inf")
        kept = Kept()
        for span in spans:
            stop = self._pass_over(span, kept)
            if stop is not None:
                kept.restore()
                return stop
        self.pass_runs(spans)
        return None

    def _expects_all(self, spans: Sequence[Span]) -> bool:
        """Whether every series has been seen before, and nothing fires that is of the state and not of a series, but what ends later."""
        if max(self._seen.values(), default=0) > MOST_SERIES:
            return False
        here = {span.track.column.series for span in spans}
        for alert in self.alerts.values():
            if alert.series.metric == CONDITION:
                if alert.is_firing and max(span.last for span in spans) >= self.find_end(alert):
                    return False
            elif (alert.is_firing or alert.sent) and alert.series not in here:
                return False
        for span in spans:
            for rule, key in zip(span.track.rules, span.track.keys, strict=True):
                if rule.silence is None and rule.minus is None and key not in self.alerts:
                    return False
        return True

    def _pass_over(self, span: Span, kept: Kept) -> float | None:
        track = span.track
        for rule, key in zip(track.rules, track.keys, strict=True):
            if rule.silence is not None:
                continue  # `is_calm` has looked at it
            if rule.minus is not None:
                stop = self._pass_over_difference(span, rule, kept)
            else:
                stop = pass_over(self.alerts[key], track.cut(span.begin, span.end), kept)
            if stop is not None:
                return stop
        return None

    def _pass_over_difference(self, span: Span, rule: Rule, kept: Kept) -> float | None:
        """A rule on the difference of two series: by the extremes of both."""
        other = span.track.partners.get(rule.name)
        if other is None:
            return None
        times, stretch = other.column.times, span.track.cut(span.begin, span.end)
        begin, end = bisect_left(times, stretch.times[0]), bisect_right(times, stretch.times[-1])
        alert = self.alerts.get(f"{rule.name} {span.track.column.series}")
        if begin == end or (alert is not None and pass_over_difference(alert, stretch, other.cut(begin, end), kept)):
            return None
        return float("inf")


def _split(spans: Sequence[Span], at: float) -> tuple[list[Span], list[Span]]:
    """What comes with a time or later, and what comes before it."""
    halves = [span.split(at) for span in spans]
    return [after for _, after in halves], [before for before, _ in halves]


def list_runs(spans: Sequence[Span]) -> dict[tuple[float, str], list[Sample]]:
    """The samples of each run of each probe, by its time and the probe's name."""
    runs: dict[tuple[float, str], list[Sample]] = {}
    for span in spans:
        column, probe = span.track.column, span.track.probe
        for place in range(span.begin, span.end):
            at = column.times[place]
            runs.setdefault((at, probe), []).append(Sample(column.series, column.values[place], at))
    return runs


def find_newest(spans: Sequence[Span]) -> dict[str, tuple[float, tuple[Sample, ...]]]:
    """The newest run of each probe, with its time."""
    newest: dict[str, tuple[float, tuple[Sample, ...]]] = {}
    for (at, probe), samples in sorted(
        list_runs([Span(span.track, span.end - 1, span.end) for span in spans]).items(), key=lambda run: run[0]
    ):
        newest[probe] = at, tuple(samples)
    return newest


def keeps_coming(span: Span, since: float, most: float) -> bool:
    """No two samples lie further apart than `most` seconds, the first one from `since` on."""
    times = span.track.column.times[span.begin : span.end]
    return times[0] - since <= most and max(map(sub, times[1:], times), default=0.0) <= most


def find_gaps(columns: Iterable[Column], least: float) -> list[tuple[float, float]]:
    """The times at which no series of a window had a sample for longer than `least` seconds, as (before, after)."""
    gaps: list[tuple[float, float]] | None = None
    for column in columns:
        times = column.times
        if len(times) < 2:
            continue
        mine: list[tuple[float, float]] = []
        if max(map(sub, times[1:], times)) > least:
            mine = [(one, other) for one, other in pairwise(times) if other - one > least]
        mine = [(float("-inf"), times[0]), *mine, (times[-1], float("inf"))]
        gaps = mine if gaps is None else _intersect(gaps, mine)
    return [(begin, end) for begin, end in gaps or () if begin > float("-inf") and end < float("inf") and end - begin > least]


def _intersect(some: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    found, i, j = [], 0, 0
    while i < len(some) and j < len(others):
        begin, end = max(some[i][0], others[j][0]), min(some[i][1], others[j][1])
        if end > begin:
            found.append((begin, end))
        if some[i][1] < others[j][1]:
            i += 1
        else:
            j += 1
    return found
