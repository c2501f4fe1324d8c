"""Rules: a condition on a series, for how long, how severe, and what then."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from model_watchdog.core.pace import Pace
from model_watchdog.core.rollup import As
from model_watchdog.core.sample import Sample, Selector, SeriesId


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return ("info", "warning", "critical").index(self.value)


class Then(StrEnum):
    """What a firing rule does: tell, restart the service, or keep everything from being restarted."""

    ALERT = "alert"
    RESTART = "restart"
    INHIBIT = "inhibit"


class Judgement(StrEnum):
    OK = "ok"
    BREACH = "breach"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement of one sample, with the numbers that a person needs to follow it.

    `is_over` is False where a breach only goes on, between the level at which it began and the one at which it ends.
    """

    judgement: Judgement
    numbers: Mapping[str, float | str] = field(default_factory=dict)
    is_over: bool = True


OK = Verdict(Judgement.OK)
UNKNOWN = Verdict(Judgement.UNKNOWN)
GATHERED = Verdict(Judgement.UNKNOWN)
"""The sample will be judged together with those that follow; until then what was said last stands."""


class Watch(Protocol):
    """A condition on one series: remembers what it must of the samples before."""

    def judge(self, value: float, at: float, firing: bool) -> Verdict:
        """Judges one new sample of steady time `at`; `firing` tells whether the alert fires now (its end may lie at another level)."""


@runtime_checkable
class Learner(Watch, Protocol):
    """A watch that learns what is usual, which takes long: it is kept over a restart of the daemon."""

    def look(self, value: float, at: float, firing: bool) -> Verdict:
        """As `judge`, and learns nothing: what a service does while it is not well is not its usual."""

    def fork(self) -> "Learner":
        """Another one that stands as this does."""

    def remember(self) -> Any:
        """What it has learnt, as plain values; None where that would be too much."""

    def recall(self, plain: Any, shift: float) -> None:
        """Takes back what `remember` gave, its times moved by `shift` seconds."""


class Condition(Protocol):
    """What makes a sample bad. One file in `rules/`; its fields are its options in the YAML."""

    def watch(self) -> Watch:
        """A fresh watch for one series."""

    def pace(self) -> Pace | None:
        """How often alerts of one series are told; None: each of them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as configured. Exactly one of `times` and `for_` is set; times are in seconds.

    `over` and `as_` (both or none) make one number of the last `over` seconds, which is judged instead of the sample. `minus` is another
    metric of the same probe: judged is how far this one lies above that with the same labels. `keep_firing_for` is how long the alert
    goes on when it is over. `message` is what people are told instead of the numbers. While it fires the service is in the state `means`,
    `degraded` or `sleeping`, where nothing worse is seen.
    """

    name: str
    selector: Selector
    condition: Condition
    severity: Severity = Severity.WARNING
    then: Then = Then.ALERT
    times: int | None = 1
    for_: float | None = None
    over: float | None = None
    as_: As | None = None
    minus: Selector | None = None
    keep_firing_for: float | None = None
    message: str = ""
    means: str = ""

    @property
    def silence(self) -> float | None:
        """After how many seconds without a sample it is in breach, or None where it judges samples."""
        found: float | None = getattr(self.condition, "absent", None)
        return found

    def find_value(self, sample: Sample, others: Iterable[Sample]) -> float | None:
        """What it judges of a sample: its value, less that of `minus` among the `others` of its probe; None where there is none."""
        if self.minus is None:
            return sample.value
        wanted = self.find_other(sample.series)
        return next((sample.value - other.value for other in others if other.series == wanted), None)

    def find_other(self, series: SeriesId) -> SeriesId | None:
        """The series that `minus` takes off this one."""
        if self.minus is None:
            return None
        return SeriesId.of(self.minus.metric, {**dict(series.labels), **{name: value for name, _, value in self.minus.matchers}})
