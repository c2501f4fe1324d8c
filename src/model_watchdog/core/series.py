"""Statistics of a series in constant time and space."""

import math
from collections import deque
from collections.abc import Iterable
from copy import copy

MOST = 1e150
"""What is larger counts as not finite: its square would overflow."""


class RollingWindow:
    """Mean and population standard deviation of the last `size` values.

    Welford's update with removal: running sums of squares lose every digit at a mean of 1e6. What rounding is left is
    wiped out once in `size` values by computing anew from the values themselves, so the cost stays O(1) a value.
    """

    __slots__ = ("_mean", "_pushed", "_squares", "_values", "size")

    def __init__(self, size: int) -> None:
        if size < 2:
            raise ValueError("a window holds at least two values")
        self.size = size
        self._values: deque[float] = deque()
        self._mean = 0.0
        self._squares = 0.0
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_full(self) -> bool:
        return len(self._values) == self.size

    @property
    def mean(self) -> float:
        return self._mean

    @property
    def deviation(self) -> float:
        """Population standard deviation; 0.0 of no values."""
        count = len(self._values)
        return math.sqrt(max(self._squares, 0.0) / count) if count else 0.0

    def push(self, value: float) -> None:
        """Takes a finite value in, and the oldest out where the window is full."""
        values = self._values
        values.append(value)
        if len(values) <= self.size:
            delta = value - self._mean
            self._mean += delta / len(values)
            self._squares += delta * (value - self._mean)
        else:
            gone = values.popleft()
            before = self._mean
            self._mean += (value - gone) / self.size
            self._squares += (value - gone) * (value - self._mean + gone - before)
        self._pushed += 1
        if self._pushed % self.size == 0:
            self._recompute()

    def push_while_near(
        self, values: Iterable[float], sigma: float, least: float, least_relative: float, direction: int
    ) -> tuple[int, float]:
        """Pushes values into a full window while each lies no further off the mean than `sigma` deviations.

        A deviation is at least `least`, and that share of the mean; `direction` is the one that counts: up (1), down (-1) or either (0).
        Gives how many it went over (those that are not finite are left out) and how far off the last one was, 1 being the bar. The numbers
        are those of `mean`, `deviation` and `push`, in a fifth of the time.
        """
        kept, size, mean, squares, pushed = self._values, self.size, self._mean, self._squares, self._pushed
        append, popleft, sqrt, fsum, count, score = kept.append, kept.popleft, math.sqrt, math.fsum, 0, 0.0
        floors = least > 0.0 or least_relative > 0.0
        for value in values:
            if not -MOST < value < MOST:
                count, score = count + 1, 0.0
                continue
            usual = sqrt(squares / size) if squares > 0.0 else 0.0
            if floors:
                usual = max(usual, least_relative * abs(mean), least)
            off, bar = value - mean, sigma * usual
            if direction:
                off = max(0.0, direction * off)
            elif off < 0.0:
                off = -off
            if off > bar:
                break
            count, score = count + 1, off / bar if bar else 0.0
            append(value)
            gone, before = popleft(), mean
            mean += (value - gone) / size
            squares += (value - gone) * (value - mean + gone - before)
            pushed += 1
            if pushed % size == 0:  # anew, as in `push`
                mean = fsum(kept) / size
                squares = fsum([(one - mean) ** 2 for one in kept])
        self._mean, self._squares, self._pushed = mean, squares, pushed
        return count, score

    def fork(self) -> "RollingWindow":
        """Another one with the same values."""
        made = copy(self)
        made._values = deque(self._values)
        return made

    def remember(self) -> list[float]:
        """Its values, oldest first."""
        return list(self._values)

    def _recompute(self) -> None:
        self._mean = math.fsum(self._values) / len(self._values)
        self._squares = math.fsum([(value - self._mean) ** 2 for value in self._values])
