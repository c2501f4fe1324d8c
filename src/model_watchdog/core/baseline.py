"""What is usual for a series, learnt as it goes: level, deviation, and the levels that it has been at. Constant time and space.

The adaptive baseline compares the mean of the newest samples with a slowly moving centre, in usual deviations that are
remembered for long, and asks besides whether the value is new: an alert needs both, or an extreme one of the first.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

LEAST = 1e-9
"""No deviation is smaller: data that is exactly flat has none, and nothing is divided by 0."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How a baseline learns; counts are in samples, `max_gap` in seconds (None: off), floors in the series' own unit."""

    smooth: int
    center: int
    spread: int
    clip: float
    min_relative: float
    min_absolute: float
    warmup: int
    max_gap: float | None = None


@dataclass(frozen=True, slots=True)
class Newness:
    """When a value is new: further than `near` usual deviations from each of the `levels` remembered, and for `hold` samples then."""

    near: float
    levels: int
    hold: int
    forget: int


class Baseline:
    """The usual of one series. Before the first sample all is 0; `center` and `usual` are those that the newest sample was held against."""

    __slots__ = (
        "_aside",
        "_at",
        "_c",
        "_learning",
        "_least_center",
        "_least_spread",
        "_levels",
        "_magnitude",
        "_n",
        "_recent",
        "_v",
        "center",
        "newness",
        "recent",
        "usual",
    )

    def __init__(self, learning: Learning, newness: Newness | None) -> None:
        self._learning = learning
        self._least_center, self._least_spread = 2.0 / (learning.center + 1), 2.0 / (learning.spread + 1)
        self._recent = _Recent(learning.smooth)
        self._levels = _Levels(newness) if newness is not None else None
        self._n = 0
        self._c = 0.0
        self._v = 0.0  # of the deviation
        self._magnitude = 0.0
        self._at = math.inf
        self._aside: _Aside | None = None
        self.center = 0.0
        self.usual = LEAST
        self.recent = 0.0
        self.newness = 0.0

    @property
    def is_warm(self) -> bool:
        """Whether it has learnt enough to speak of the sample that was pushed last."""
        return self._n > self._learning.warmup

    def push(self, x: float, at: float) -> float:
        """How far the recent mean lies from the centre, in usual deviations (0 while it warms up); then it learns from this sample.

        `x` is finite and smaller than MOST, `at` is in seconds.
        """
        rules, n = self._learning, self._n
        if rules.max_gap is not None and at - self._at > rules.max_gap:
            self._recent.clear()
        self._at, self._aside = at, None
        if n == 0:
            self._c, self._magnitude = x, abs(x)
        c, v, magnitude = self._c, self._v, self._magnitude
        y = self._recent.push(x)
        d = y - c
        s = self._usual(v, magnitude)
        self.center, self.usual, self.recent = c, s, y
        if self._levels is not None:
            self.newness = self._levels.push(x, s, n)
        q, warm = d, n >= rules.warmup
        if warm and rules.clip:
            most = rules.clip * s
            q = most if d > most else -most if d < -most else d
        first = 1.0 / (n + 1)
        a = first if first > self._least_spread else self._least_spread
        self._v = (1.0 - a) * v + a * q * q
        self._magnitude = magnitude + a * (abs(x) - magnitude)
        self._c = c + (first if first > self._least_center else self._least_center) * (x - c)
        self._n = n + 1
        return d / s if warm else 0.0

    def look(self, x: float) -> float:
        """As `push`, and learns nothing: neither level nor deviation, nor that this level was ever met. 0 before it is warm.

        Such samples are averaged among themselves and those before them, and forgotten with the next one that is pushed.
        """
        if not self.is_warm:
            return 0.0
        aside = self._aside = self._aside or _Aside(self._recent.copy(), self._levels.copy_newest() if self._levels else deque(), self._n)
        c, s, y = self._c, self._usual(self._v, self._magnitude), aside.recent.push(x)
        self.center, self.usual, self.recent = c, s, y
        if self._levels is not None:
            self.newness = self._levels.look(x, s, self._n, aside)
        return (y - c) / s

    def fork(self) -> "Baseline":
        """Another one that has learnt the same."""
        made = copy(self)
        made._recent, made._aside = self._recent.copy(), deepcopy(self._aside)
        made._levels = None if self._levels is None else self._levels.copy()
        return made

    def remember(self) -> list[Any]:
        """What was learnt, as plain values, for `recall`."""
        at = self._at if math.isfinite(self._at) else None
        levels = self._levels.remember() if self._levels is not None else None
        return [self._n, self._c, self._v, self._magnitude, at, self._recent.remember(), levels]

    def recall(self, plain: Sequence[Any], shift: float) -> None:
        """Takes back what a baseline with the same options remembered; times are moved by `shift` seconds."""
        n, c, v, magnitude, at, recent, levels = plain
        self._n, self._c, self._v, self._magnitude = int(n), float(c), float(v), float(magnitude)
        self._at = math.inf if at is None else at + shift
        self._recent.recall(recent)
        if self._levels is not None and levels is not None:
            self._levels.recall(levels)

    def _usual(self, v: float, magnitude: float) -> float:
        """The usual deviation, or the largest of its floors."""
        rules, s = self._learning, math.sqrt(v)
        for floor in (rules.min_relative * magnitude, rules.min_absolute, LEAST):
            if s < floor:
                s = floor
        return s


class _Recent:
    """The mean of the newest values. Once a round it is summed anew, so that no rounding stays."""

    __slots__ = ("_next", "_size", "_sum", "_values")

    def __init__(self, size: int) -> None:
        self._size = size
        self.clear()

    def clear(self) -> None:
        self._values: list[float] = []
        self._next = 0
        self._sum = 0.0

    def copy(self) -> "_Recent":
        made = _Recent(self._size)
        made._values, made._next, made._sum = self._values[:], self._next, self._sum
        return made

    def remember(self) -> list[Any]:
        return [list(self._values), self._next, self._sum]

    def recall(self, plain: Sequence[Any]) -> None:
        values, following, total = plain
        self._values, self._next, self._sum = [float(value) for value in values], int(following), float(total)

    def push(self, x: float) -> float:
        values = self._values
        if len(values) < self._size:
            values.append(x)
            self._sum += x
            return self._sum / len(values)
        place = self._next
        self._sum += x - values[place]
        values[place] = x
        if place + 1 == self._size:
            self._next = 0
            self._sum = math.fsum(values)
        else:
            self._next = place + 1
        return self._sum / self._size


@dataclass(slots=True)
class _Aside:
    """The newest samples while nothing is learnt: their mean, and how new they were; `seen` counts on where learning stopped."""

    recent: _Recent
    largest: deque[tuple[int, float]]
    seen: int


class _Levels:
    """Values that the series has been at, in order, each with the number of the sample that met it last. One learnt is never moved."""

    __slots__ = ("_largest", "_levels", "_met", "_newness")

    def __init__(self, newness: Newness) -> None:
        self._newness = newness
        self._levels: list[float] = []
        self._met: list[int] = []
        self._largest: deque[tuple[int, float]] = deque()  # falling distances of the last `hold` samples: the first is the largest

    def push(self, x: float, s: float, n: int) -> float:
        """The largest distance of the last `hold` samples from what was known then, in usual deviations `s`."""
        rules = self._newness
        near = self._find_nearest(x, n)
        e = abs(x - self._levels[near]) / s if near is not None else 0.0
        if near is not None and e <= rules.near:
            self._met[near] = n
        else:
            self._learn(x, n)
        return _take_largest(self._largest, n, e, rules.hold)

    def look(self, x: float, s: float, n: int, aside: _Aside) -> float:
        """As `push`, but no level is met or learnt."""
        near = self._find_nearest(x, n)
        e = abs(x - self._levels[near]) / s if near is not None else 0.0
        newest = _take_largest(aside.largest, aside.seen, e, self._newness.hold)
        aside.seen += 1
        return newest

    def copy(self) -> "_Levels":
        made = _Levels(self._newness)
        made._levels, made._met, made._largest = self._levels[:], self._met[:], deque(self._largest)
        return made

    def copy_newest(self) -> deque[tuple[int, float]]:
        return deque(self._largest)

    def remember(self) -> list[Any]:
        return [self._levels[:], self._met[:], [list(one) for one in self._largest]]

    def recall(self, plain: Sequence[Any]) -> None:
        levels, met, largest = plain
        self._levels, self._met = [float(level) for level in levels], [int(number) for number in met]
        self._largest = deque((int(number), float(e)) for number, e in largest)

    def _find_nearest(self, x: float, n: int) -> int | None:
        """Where the nearest level stands that is not forgotten; what is, is thrown away when it is come upon."""
        levels, forgotten = self._levels, n - self._newness.forget
        while levels:
            place = bisect_left(levels, x)
            if place == len(levels) or (place and x - levels[place - 1] <= levels[place] - x):
                place -= 1
            if self._met[place] >= forgotten:
                return place
            del levels[place], self._met[place]
        return None

    def _learn(self, x: float, n: int) -> None:
        if len(self._levels) >= self._newness.levels:
            oldest = self._met.index(min(self._met))
            del self._levels[oldest], self._met[oldest]
        place = bisect_left(self._levels, x)
        self._levels.insert(place, x)
        self._met.insert(place, n)


def _take_largest(largest: deque[tuple[int, float]], n: int, e: float, hold: int) -> float:
    """The largest of the last `hold` distances, of which this is number `n`."""
    while largest and largest[-1][1] <= e:
        largest.pop()
    largest.append((n, e))
    if largest[0][0] <= n - hold:
        largest.popleft()
    return largest[0][1]
