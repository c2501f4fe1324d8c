"""Statistics of a series in constant time and space."""

import math
from collections import deque
from copy import copy


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
        self._squares = math.fsum((value - self._mean) ** 2 for value in self._values)
