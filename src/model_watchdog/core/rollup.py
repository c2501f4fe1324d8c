"""What a rule makes of the last minutes of a series before it judges: a rate, a mean, an extreme. In bounded space."""

import math
from bisect import bisect_left, insort
from collections import deque
from enum import StrEnum

MOST = 4096
"""So many samples are kept at most; the configuration refuses a longer time."""
QUANTILE = 0.95


class As(StrEnum):
    """`rate` (a second) and `increase` are of counters, and go on over a counter's reset to 0; `range` is the largest less the smallest."""

    RATE = "rate"
    INCREASE = "increase"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    P95 = "p95"
    RANGE = "range"

    @property
    def is_of_counters(self) -> bool:
        return self in (As.RATE, As.INCREASE)


class Rollup:
    """One series' last `over` seconds as one number."""

    __slots__ = ("_began", "_last", "_over", "_window", "as_")

    def __init__(self, over: float, as_: As) -> None:
        self.as_ = as_
        self._over = over
        self._window = _make_window(as_)
        self._began: float | None = None
        self._last = -math.inf

    def push(self, value: float, at: float) -> float | None:
        """The number at steady time `at`; None before `over` seconds of samples, and of a value that is not finite, which is left out."""
        if not math.isfinite(value):
            return None
        if self._began is None or at - self._last > self._over:  # nothing is left of what was before
            self._window, self._began = _make_window(self.as_), at
        self._last = at
        self._window.push(value, at, at - self._over)
        return self._window.read() if at - self._began >= self._over else None


def _make_window(as_: As) -> "_Growth | _Mean | _Extremes | _Sorted":
    if as_.is_of_counters:
        return _Growth(as_ is As.RATE)
    if as_ is As.AVG:
        return _Mean()
    return _Sorted() if as_ is As.P95 else _Extremes(as_)


class _Growth:
    """How much a counter grew, from the newest sample that is `over` seconds old or older."""

    def __init__(self, is_rate: bool) -> None:
        self._is_rate = is_rate
        self._totals: deque[tuple[float, float]] = deque(maxlen=MOST)
        self._value = 0.0

    def push(self, value: float, at: float, start: float) -> None:
        totals = self._totals
        total = 0.0
        if totals:  # a counter that fell was reset: all that it shows has grown since
            total = totals[-1][1] + (value - self._value if value >= self._value else value)
        self._value = value
        totals.append((at, total))
        while len(totals) > 1 and totals[1][0] <= start:
            totals.popleft()

    def read(self) -> float | None:
        (began, first), (ended, last) = self._totals[0], self._totals[-1]
        if not self._is_rate:
            return last - first
        return (last - first) / (ended - began) if ended > began else None


class _Mean:
    """Once a round it is summed anew, so that no rounding stays."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque()
        self._sum = 0.0
        self._pushed = 0

    def push(self, value: float, at: float, start: float) -> None:
        values = self._values
        values.append((at, value))
        self._sum += value
        while values[0][0] <= start or len(values) > MOST:
            self._sum -= values.popleft()[1]
        self._pushed += 1
        if self._pushed >= len(values):
            self._pushed = 0
            self._sum = math.fsum(one for _, one in values)

    def read(self) -> float:
        return self._sum / len(self._values)


class _Extremes:
    """The largest and smallest: of each only what could still become it, the extreme first."""

    def __init__(self, as_: As) -> None:
        self._as = as_
        self._falling: deque[tuple[float, float]] = deque(maxlen=MOST)
        self._rising: deque[tuple[float, float]] = deque(maxlen=MOST)

    def push(self, value: float, at: float, start: float) -> None:
        falling, rising = self._falling, self._rising
        while falling and falling[-1][1] <= value:
            falling.pop()
        while rising and rising[-1][1] >= value:
            rising.pop()
        for kept in (falling, rising):
            kept.append((at, value))
            while kept[0][0] <= start:
                kept.popleft()

    def read(self) -> float:
        largest, smallest = self._falling[0][1], self._rising[0][1]
        return {As.MAX: largest, As.MIN: smallest}.get(self._as, largest - smallest)


class _Sorted:
    """The 95th percentile, between two values in proportion."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []

    def push(self, value: float, at: float, start: float) -> None:
        values = self._values
        values.append((at, value))
        insort(self._sorted, value)
        while values[0][0] <= start or len(values) > MOST:
            gone = values.popleft()[1]
            del self._sorted[bisect_left(self._sorted, gone)]

    def read(self) -> float:
        place = QUANTILE * (len(self._sorted) - 1)
        below = math.floor(place)
        above = min(below + 1, len(self._sorted) - 1)
        return self._sorted[below] + (place - below) * (self._sorted[above] - self._sorted[below])
