"""Samples in memory: what the loaded expressions look at, for as long as they look back, and nothing else."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Protocol

from model_watchdog.core.sample import STALE, is_stale
from model_watchdog.promql.labels import NAME, Labels, get, make_labels
from model_watchdog.promql.tree import Matcher, Selector

__all__ = ["STALE", "Keeper", "Memory", "Source", "Track", "is_stale"]

_MOST_KEPT = 256
"""So many samples beyond the span may wait before they are let go together."""


class Track:
    """The samples of one series, oldest first. Times are milliseconds."""

    __slots__ = ("has_nan", "labels", "times", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.times = array("q")
        self.values = array("d")
        self.has_nan = False

    def append(self, at: int, value: float) -> bool:
        """Takes a sample; False for one that is not newer than the last, which is left out as Prometheus leaves it out."""
        if self.times and at <= self.times[-1]:
            return False
        self.times.append(at)
        self.values.append(value)
        self.has_nan = self.has_nan or value != value
        return True

    def precede(self, times: "array[int]", values: "array[float]") -> int:
        """Takes older samples, in their order; those that are not older than all that are here are left out. How many it took."""
        place = bisect_left(times, self.times[0]) if self.times else len(times)
        self.times, self.values = times[:place] + self.times, values[:place] + self.values
        self.has_nan = any(value != value for value in self.values)
        return place

    def forget(self, until: int) -> None:
        """Lets samples up to this moment go: many at once, so that it costs little."""
        gone = bisect_right(self.times, until)
        if gone > _MOST_KEPT or gone == len(self.times):
            del self.times[:gone]
            del self.values[:gone]
            self.has_nan = any(value != value for value in self.values)

    def find_last(self, after: int, until: int) -> tuple[int, float] | None:
        """The newest sample of the window; None where there is none, or where it is a stale marker."""
        times = self.times
        if not times:
            return None
        place = len(times) - 1 if times[-1] <= until else bisect_right(times, until) - 1
        if place < 0 or times[place] <= after:
            return None
        value = self.values[place]
        return None if value != value and is_stale(value) else (times[place], value)

    def window(self, after: int, until: int) -> tuple[list[int], list[float]]:
        """The samples later than `after`, up to `until`, without stale markers."""
        all_times = self.times
        begin = bisect_right(all_times, after)
        end = len(all_times) if all_times and all_times[-1] <= until else bisect_right(all_times, until)
        times, values = all_times[begin:end].tolist(), self.values[begin:end].tolist()
        if self.has_nan and any(value != value for value in values):
            kept = [place for place, value in enumerate(values) if not is_stale(value)]
            return [times[place] for place in kept], [values[place] for place in kept]
        return times, values


class Source(Protocol):
    """Where an evaluation finds its series."""

    def find(self, selector: Selector) -> Sequence[Track]:
        """The series that fit; each at most once."""
        ...


class Keeper(Source, Protocol):
    """A source that takes samples, too."""

    def append(self, metric: str, labels: Labels, at: float, value: float) -> bool: ...


class Memory:
    """A source that is filled sample by sample.

    `wanted` are selectors: a series that fits none of them is not kept; None keeps all. `span` says how many milliseconds are kept; None
    keeps them for ever.
    """

    def __init__(self, wanted: Iterable[Selector] | None = None, span: int | None = None) -> None:
        self._wanted = None if wanted is None else tuple(wanted)
        self._span = span
        self._tracks: dict[tuple[str, Labels], Track | None] = {}
        self._by_name: dict[str, list[Track]] = {}
        self._found: dict[tuple[Matcher, ...], list[Track]] = {}

    def append(self, metric: str, labels: Labels, at: float, value: float) -> bool:
        """Takes a sample of a series, `at` in seconds; False where it is not wanted, or not newer than the last one.

        `labels` are pairs in one order for one series, without the metric's name.
        """
        track = self._look_up(metric, labels)
        if track is None:
            return False
        moment = round(at * 1000)
        if self._span is not None:
            track.forget(moment - self._span)
        return track.append(moment, value)

    def precede(self, metric: str, labels: Labels, times: "array[int]", values: "array[float]") -> int:
        """Takes older samples of a series, times in milliseconds: how many."""
        track = self._look_up(metric, labels)
        return 0 if track is None else track.precede(times, values)

    def end_before(self, since: float, at: float) -> None:
        """Ends at a moment each series of which nothing has come since another one."""
        for tracks in self._by_name.values():
            for track in tracks:
                if track.times and track.times[-1] < round(since * 1000):
                    track.append(round(at * 1000), STALE)

    def wants(self, metric: str, labels: Labels) -> bool:
        """Whether samples of this series would be kept."""
        return self._look_up(metric, labels) is not None

    def take_over(self, other: "Memory") -> None:
        """What another one has kept, as far as it is wanted here."""
        for (metric, labels), track in other._tracks.items():
            if track is not None and (own := self._begin((metric, labels))) is not None and not own.times:
                own.times, own.values, own.has_nan = track.times, track.values, track.has_nan

    def shift(self, seconds: float) -> None:
        """Moves all samples in time."""
        for tracks in self._by_name.values():
            for track in tracks:
                track.times = array("q", (at + round(seconds * 1000) for at in track.times))

    def find(self, selector: Selector) -> Sequence[Track]:
        found = self._found.get(selector.matchers)
        if found is None:
            found = self._found[selector.matchers] = self._search(selector)
        return found

    def forget(self, at: float) -> int:
        """Lets series go of which the span holds no sample any more, `at` in seconds being now; how many went."""
        if self._span is None:
            return 0
        oldest = round(at * 1000) - self._span
        gone = [key for key, track in self._tracks.items() if track is None or not track.times or track.times[-1] <= oldest]
        for key in gone:
            track = self._tracks.pop(key)
            tracks = self._by_name.get(key[0], [])
            if track in tracks:  # not, where the same series came with its labels in another order
                tracks.remove(track)
        if gone:
            self._found.clear()
        return len(gone)

    def __len__(self) -> int:
        """How many series are kept."""
        return sum(len(tracks) for tracks in self._by_name.values())

    def _look_up(self, metric: str, labels: Labels) -> Track | None:
        key = (metric, labels)
        return self._tracks[key] if key in self._tracks else self._begin(key)

    def _begin(self, key: tuple[str, Labels]) -> Track | None:
        metric, labels = key
        whole = make_labels([(NAME, metric), *labels])
        if self._wanted is not None and not any(_fits(selector.matchers, whole) for selector in self._wanted):
            self._tracks[key] = None
            return None
        tracks = self._by_name.setdefault(metric, [])
        track = next((known for known in tracks if known.labels == whole), None)  # the same labels in another order
        if track is None:
            track = Track(whole)
            tracks.append(track)
            self._found.clear()
        self._tracks[key] = track
        return track

    def _search(self, selector: Selector) -> list[Track]:
        name = selector.metric
        tracks = self._by_name.get(name, []) if name else [track for tracks in self._by_name.values() for track in tracks]
        return [track for track in tracks if _fits(selector.matchers, track.labels)]


def _fits(matchers: tuple[Matcher, ...], labels: Labels) -> bool:
    return all(matcher.holds(get(labels, matcher.label)) for matcher in matchers)
