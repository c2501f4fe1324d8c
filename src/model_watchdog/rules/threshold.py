"""Has it crossed a line?"""

from dataclasses import dataclass

from model_watchdog.core.rule import OK, UNKNOWN, Judgement, Verdict
from model_watchdog.core.units import Number


@dataclass(frozen=True, slots=True)
class Threshold:
    """`above` or `below` a level, `equals` it, or `outside` two; above and below end at `clear`, the same level where it is not stated."""

    above: Number | None = None
    below: Number | None = None
    equals: Number | None = None
    outside: tuple[Number, ...] | None = None
    clear: Number | None = None

    def __post_init__(self) -> None:
        if sum(level is not None for level in (self.above, self.below, self.equals, self.outside)) != 1:
            raise ValueError("state one of above, below, equals and outside")
        if self.outside is not None and (len(self.outside) != 2 or self.outside[0] >= self.outside[1]):
            raise ValueError("outside takes two levels, the lower one first, such as [10, 90]")
        if self.clear is None:
            return
        if self.above is not None and self.clear > self.above:
            raise ValueError(f"clear must not lie above {self.above:g}, or the alert would end while it is in breach")
        if self.below is not None and self.clear < self.below:
            raise ValueError(f"clear must not lie below {self.below:g}, or the alert would end while it is in breach")
        if self.above is None and self.below is None:
            raise ValueError("clear goes with above or below")

    def watch(self) -> "Threshold":
        """It remembers nothing: it is its own watch."""
        return self

    def pace(self) -> None:
        """Each is told."""

    def judge(self, value: float, at: float, firing: bool) -> Verdict:
        """NaN is no evidence; while firing, the level is `clear`."""
        if value != value:
            return UNKNOWN
        return Verdict(Judgement.BREACH, self._numbers()) if self._is_bad(value, firing) else OK

    def spares(self, low: float, high: float, firing: bool) -> bool:
        """No value from `low` to `high` is in breach."""
        if self.equals is not None:
            return not low <= self.equals <= high
        return not self._is_bad(low, firing) and not self._is_bad(high, firing)

    def condemns(self, low: float, high: float, firing: bool) -> bool:
        """Every value from `low` to `high` is."""
        if self.outside is not None:
            return high < self.outside[0] or low > self.outside[1]
        return self._is_bad(low, firing) and self._is_bad(high, firing) and (self.equals is None or low == high)

    def _is_bad(self, value: float, firing: bool) -> bool:
        if self.equals is not None:
            return value == self.equals
        if self.outside is not None:
            return not self.outside[0] <= value <= self.outside[1]
        above, below = self.above, self.below
        if firing and self.clear is not None:  # guard: 3
            above, below = (self.clear, None) if above is not None else (None, self.clear)
        return value > above if above is not None else below is not None and value < below

    def _numbers(self) -> dict[str, float | str]:
        if self.outside is not None:
            return {"low": self.outside[0], "high": self.outside[1]}
        stated = {"above": self.above, "below": self.below, "equals": self.equals}
        return {name: level for name, level in stated.items() if level is not None}
