"""Has it crossed a line?"""

from dataclasses import dataclass

from model_watchdog.core.rule import Judgement, Verdict
from model_watchdog.core.units import Number


@dataclass(frozen=True, slots=True)
class Threshold:
    """`above` or `below` a level; a firing alert ends at `clear`, the same level where it is not stated."""

    above: Number | None = None
    below: Number | None = None
    clear: Number | None = None

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError("state either above or below")
        if self.clear is not None:
            if self.above is not None and self.clear > self.above:
                raise ValueError(f"clear must not lie above {self.above:g}, or the alert would end while it is in breach")
            if self.below is not None and self.clear < self.below:
                raise ValueError(f"clear must not lie below {self.below:g}, or the alert would end while it is in breach")

    def watch(self) -> "Threshold":
        """It remembers nothing: it is its own watch."""
        return self

    def pace(self) -> None:
        """Each is told."""

    def judge(self, value: float, at: float, firing: bool) -> Verdict:
        """NaN is no evidence; while firing, the level is `clear`."""
        if value != value:
            return Verdict(Judgement.UNKNOWN)
        above, below = self.above, self.below
        if firing and self.clear is not None:  # guard: 3
            above, below = (self.clear, None) if above is not None else (None, self.clear)
        bad = value > above if above is not None else below is not None and value < below
        return Verdict(Judgement.BREACH if bad else Judgement.OK, self._numbers())

    def _numbers(self) -> dict[str, float | str]:
        return {"above": self.above} if self.above is not None else {"below": self.below or 0.0}
