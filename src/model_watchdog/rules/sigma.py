"""Is it unlike its own past?

`sigma` with `window` is the plain rolling window: of the `window` samples before the one judged, the mean m and the population
standard deviation; a breach is |x - m| > sigma * s with s = max(deviation, min_relative * |m|, min_absolute).

`sigma` alone is the adaptive baseline: the mean of the newest samples against a centre that follows slowly, and besides, whether
the value is new (core/baseline.py). Its score is 1 at the bar: it is in breach above 1, and ceases to be below LET_GO.
"""

import math
from collections.abc import Container, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from model_watchdog.core.baseline import Baseline, Learning, Newness
from model_watchdog.core.pace import Pace
from model_watchdog.core.rule import GATHERED, OK, UNKNOWN, Judgement, Verdict
from model_watchdog.core.series import MOST, RollingWindow
from model_watchdog.core.units import Number, Seconds

Direction = Literal["both", "above", "below"]
_NO_PROOF = "that it is unlike its own past does not prove that it is broken"
LET_GO = 0.7
BAR_AT_SIGMA = 2.25 / 3.5
"""The bar of unusual and new together grows with `sigma`."""
KEPT_WINDOW = 4096
"""A plain window of more samples is filled anew after a restart of the daemon."""
LONGEST_STEP = 3600.0
NEARLY = 0.9
"""Of a step: samples that come a little too soon are on time."""
LONGEST = 1_000_000
"""The largest count of samples that an option takes; what is kept of them does not grow with it."""


@dataclass(frozen=True, slots=True)
class Sigma:
    """`sigma` usual deviations from the mean of the last `window` samples, in `direction`."""

    sigma: float
    window: int
    direction: Direction = "both"
    min_absolute: Number = Number(0.0)
    min_relative: float = 0.0

    no_proof: ClassVar[str] = _NO_PROOF
    """Why it restarts nothing."""

    def __post_init__(self) -> None:
        _check_common(self.sigma, self.min_absolute, self.min_relative)
        if not 2 <= self.window <= 100_000:
            raise ValueError("window must be between 2 and 100000 samples")

    @staticmethod
    def variants() -> "tuple[type[Sigma], type[AdaptiveSigma]]":
        """Both classes of this form."""
        return Sigma, AdaptiveSigma

    @staticmethod
    def choose(keys: Container[str]) -> "type[Sigma] | type[AdaptiveSigma]":
        """The class of a rule with these keys: without `window` it is adaptive."""
        return Sigma if "window" in keys else AdaptiveSigma

    def watch(self) -> "SigmaWatch":
        return SigmaWatch(self)

    def pace(self) -> None:
        """Each is told."""


class SigmaWatch:
    """One series under the plain form. `score` is of the newest sample: its distance, 1 at the bar; 0 where there is no verdict."""

    __slots__ = ("_rule", "_window", "score")

    def __init__(self, rule: Sigma) -> None:
        self._rule = rule
        self._window = RollingWindow(rule.window)
        self.score = 0.0

    def judge(self, value: float, at: float, firing: bool) -> Verdict:
        """No verdict before `window` samples, and none on a value that is not finite, which is not learnt either."""
        if not -MOST < value < MOST:
            self.score = 0.0
            return UNKNOWN
        verdict = self.look(value, at, firing)
        self._window.push(value)
        return verdict

    def look(self, value: float, at: float, firing: bool) -> Verdict:
        """The same without that value entering the window."""
        self.score = 0.0
        rule, window = self._rule, self._window
        if not window.is_full or not -MOST < value < MOST:
            return UNKNOWN
        mean = window.mean
        usual = max(window.deviation, rule.min_relative * abs(mean), rule.min_absolute)
        off = _turn(value - mean, rule.direction)
        bar = rule.sigma * usual
        self.score = off / bar if bar else math.inf if off else 0.0
        if off <= bar:
            return OK
        return Verdict(Judgement.BREACH, {"mean": mean, "usual": usual, "sigma": rule.sigma})

    @property
    def can_absorb(self) -> bool:
        return self._window.is_full

    def absorb(self, values: Sequence[float]) -> int:
        """Judges and takes in one after the other, as `judge` does, up to the first that is in breach; how many come before it."""
        rule = self._rule
        ways = {"both": 0, "above": 1, "below": -1}
        count, score = self._window.push_while_near(values, rule.sigma, rule.min_absolute, rule.min_relative, ways[rule.direction])
        self.score = score if count else self.score
        return count

    def fork(self) -> "SigmaWatch":
        made = copy(self)
        made._window = self._window.fork()
        return made

    def remember(self) -> list[float] | None:
        """The window's values."""
        return self._window.remember() if self._rule.window <= KEPT_WINDOW else None

    def recall(self, plain: list[float], shift: float) -> None:
        for value in plain:
            self._window.push(float(value))


@dataclass(frozen=True, slots=True)
class AdaptiveSigma:
    """`sigma` usual deviations away from an adaptive baseline, and (`newness`) at a level that is new. Counts are in samples.

    `bar` is 2.25 at sigma 3.5 and scaled by `sigma` where it is not stated. Samples that come closer together than `step` are averaged to
    one a step: a sample of noise in 3,000 lies over the bar, which is twice a day at one a minute, and every few hours at one in 5 s.
    None: each sample counts as it comes.
    """

    sigma: float
    direction: Direction = "both"
    min_absolute: Number = Number(0.0)
    min_relative: float = 0.01
    smooth: int = 6
    center: int = 300
    spread: int = 3000
    clip: float = 6.0
    warmup: int = 100
    cooldown: int = 100
    backoff: float = 4.0
    max_gap: Seconds | None = None
    newness: Literal["on", "off"] = "on"
    bar: float | None = None
    always: float = 10.0
    near: float = 1.0
    levels: int = 32
    hold: int = 6
    forget: int = 20_000
    step: Seconds | None = None

    no_proof: ClassVar[str] = _NO_PROOF

    def __post_init__(self) -> None:
        _check_common(self.sigma, self.min_absolute, self.min_relative)
        if self.bar is None:
            object.__setattr__(self, "bar", BAR_AT_SIGMA * self.sigma)
        for name, least, most in (
            *(("smooth", 1, 10_000), ("center", 1, LONGEST), ("spread", 1, LONGEST), ("warmup", 1, LONGEST), ("cooldown", 0, LONGEST)),
            *(("levels", 1, 64), ("hold", 1, 1000), ("forget", 1, 1_000_000_000)),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least} and {most} samples".replace("64 samples", "64"))
        for name in ("bar", "always"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be greater than 0")
        if self.clip < 0 or self.near < 0:
            raise ValueError("clip and near must not be negative")
        if self.backoff < 1:
            raise ValueError("backoff must be at least 1, which keeps the cooldown as it is")
        if self.max_gap is not None and self.max_gap <= 0:
            raise ValueError("max_gap must be longer than 0s")
        if self.step is not None and not 0 <= self.step <= LONGEST_STEP:
            raise ValueError("step must be at most 1h; 0s takes each sample as it comes")

    def watch(self) -> "AdaptiveWatch":
        return AdaptiveWatch(self)

    def pace(self) -> Pace:
        return Pace(self.cooldown, self.backoff)

    def baseline(self) -> Baseline:
        """What is learnt of one series."""
        learning = Learning(
            self.smooth, self.center, self.spread, self.clip, self.min_relative, self.min_absolute, self.warmup, self.max_gap
        )
        newness = Newness(self.near, self.levels, self.hold, self.forget) if self.newness == "on" else None
        return Baseline(learning, newness)


class AdaptiveWatch:
    """One series under the adaptive form. `score` is of the newest sample: 1 at the bar; 0 where there is no verdict."""

    __slots__ = ("_always", "_bar", "_baseline", "_direction", "_gathered", "_sigma", "_step", "score")

    def __init__(self, rule: AdaptiveSigma) -> None:
        assert rule.bar is not None
        self._baseline = rule.baseline()
        self._direction = rule.direction
        self._sigma = rule.sigma
        self._bar, self._always = (rule.bar, rule.always) if rule.newness == "on" else (0.0, rule.sigma)
        self._step = rule.step or 0.0
        self._gathered = _Gathered()
        self.score = 0.0

    def judge(self, value: float, at: float, firing: bool) -> Verdict:
        """No verdict before `warmup` samples, and none on a value that is not finite, which is not learnt either."""
        self.score = 0.0
        if not -MOST < value < MOST:
            return UNKNOWN
        if self._step:
            mean = self._gathered.take(value, at, self._step, learns=True)
            if mean is None:
                return GATHERED
            value = mean
            if not self._gathered.learnt:
                return self._say(self._baseline.look(value), firing)
        return self._say(self._baseline.push(value, at), firing)

    def look(self, value: float, at: float, firing: bool) -> Verdict:
        """The same, and learns nothing."""
        self.score = 0.0
        if not -MOST < value < MOST:
            return UNKNOWN
        mean = self._gathered.take(value, at, self._step, learns=False) if self._step else value
        return GATHERED if mean is None else self._say(self._baseline.look(mean), firing)

    def fork(self) -> "AdaptiveWatch":
        made = copy(self)
        made._baseline, made._gathered = self._baseline.fork(), copy(self._gathered)
        return made

    def remember(self) -> list[Any]:
        """What its baseline has learnt."""
        return self._baseline.remember()

    def recall(self, plain: list[Any], shift: float) -> None:
        self._baseline.recall(plain, shift)

    def _say(self, z: float, firing: bool) -> Verdict:
        """The verdict on what lies so many usual deviations off."""
        baseline = self._baseline
        if not baseline.is_warm:
            return UNKNOWN
        off = _turn(z, self._direction)
        score = off / self._always
        if self._bar:
            new = math.sqrt(off * baseline.newness) / self._bar
            score = new if new > score else score
        self.score = score
        if score <= 1.0 and not (firing and score >= LET_GO):
            return OK
        numbers = {"mean": baseline.center, "usual": baseline.usual, "recent": baseline.recent, "sigma": self._sigma}
        if off < self._sigma and self._bar:  # it does not lie far off by itself: what tells is that it is new
            numbers["new"] = baseline.newness
        return Verdict(Judgement.BREACH, numbers, score > 1.0)


class _Gathered:
    """The samples since the last step. `learnt` is False where one of those of the last mean was not to be learnt from."""

    __slots__ = ("_count", "_learns", "_newest", "_stepped", "_sum", "learnt")

    def __init__(self) -> None:
        self._sum, self._count, self._learns, self.learnt = 0.0, 0, True, True
        self._stepped = self._newest = -math.inf

    def take(self, value: float, at: float, step: float, *, learns: bool) -> float | None:
        """Their mean, once in `step` seconds; None in between. What is older than a step when the next one comes is left out."""
        if at - self._newest > step:
            self._sum, self._count, self._learns = 0.0, 0, True
        self._newest = at
        self._sum, self._count, self._learns = self._sum + value, self._count + 1, self._learns and learns
        if at - self._stepped < NEARLY * step:
            return None
        mean, self.learnt = self._sum / self._count, self._learns
        self._stepped, self._sum, self._count, self._learns = at, 0.0, 0, True
        return mean


def _turn(distance: float, direction: Direction) -> float:
    """How far it lies off in the direction that counts; 0 where it lies off in the other."""
    if direction == "both":
        return abs(distance)
    return max(0.0, distance if direction == "above" else -distance)


def _check_common(sigma: float, min_absolute: float, min_relative: float) -> None:
    if not 0 < sigma < math.inf:
        raise ValueError("sigma must be greater than 0")
    if min_absolute < 0 or min_relative < 0:
        raise ValueError("min_absolute and min_relative must not be negative")
