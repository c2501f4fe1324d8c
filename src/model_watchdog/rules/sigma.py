"""Is it unlike its own past?

The plain rolling window: of the `window` samples before the one judged, the mean m and the population standard
deviation; a breach is |x - m| > sigma * s with s = max(deviation, min_relative * |m|, min_absolute).
"""

import math
from dataclasses import dataclass
from typing import Literal

from model_watchdog.core.rule import Judgement, Verdict
from model_watchdog.core.series import RollingWindow
from model_watchdog.core.units import Number


@dataclass(frozen=True, slots=True)
class Sigma:
    """`sigma` usual deviations from the mean of the last `window` samples, in `direction`."""

    sigma: float
    window: int
    direction: Literal["both", "above", "below"] = "both"
    min_absolute: Number = Number(0.0)
    min_relative: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma < math.inf:
            raise ValueError("sigma must be greater than 0")
        if not 2 <= self.window <= 100_000:
            raise ValueError("window must be between 2 and 100000 samples")
        if self.min_absolute < 0 or self.min_relative < 0:
            raise ValueError("min_absolute and min_relative must not be negative")

    def watch(self) -> "SigmaWatch":
        return SigmaWatch(self)


class SigmaWatch:
    """One series under a sigma rule."""

    __slots__ = ("_rule", "_window")

    def __init__(self, rule: Sigma) -> None:
        self._rule = rule
        self._window = RollingWindow(rule.window)

    def judge(self, value: float, firing: bool) -> Verdict:
        """No verdict before `window` samples, and none on a value that is not finite, which is not learnt either."""
        if not math.isfinite(value):
            return Verdict(Judgement.UNKNOWN)
        rule, window = self._rule, self._window
        if not window.is_full:
            window.push(value)
            return Verdict(Judgement.UNKNOWN)
        mean = window.mean
        usual = max(window.deviation, rule.min_relative * abs(mean), rule.min_absolute)
        distance = value - mean
        window.push(value)
        off = {"both": abs(distance), "above": distance, "below": -distance}[rule.direction]
        numbers: dict[str, float | str] = {"mean": mean, "usual": usual, "sigma": rule.sigma}
        return Verdict(Judgement.BREACH if off > rule.sigma * usual else Judgement.OK, numbers)
