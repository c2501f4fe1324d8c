"""Alerts: one rule on one series over time."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum

from model_watchdog.core.pace import Pace
from model_watchdog.core.rollup import Rollup
from model_watchdog.core.rule import GATHERED, Judgement, Rule, Then, Verdict, Watch
from model_watchdog.core.sample import Outcome, Sample, SeriesId

VANISHED = 300.0
"""Seconds without a sample after which a series is gone, as in Prometheus (its lookback is 5 min)."""


FORGOTTEN = 86_400.0


class Phase(StrEnum):
    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class Change(StrEnum):
    FIRED = "fired"
    DUE = "due"  # it fired before, too soon after another to be told; now it may be told
    RESOLVED = "resolved"


@dataclass(slots=True)
class Alert:
    """The state of one rule on one series. `since` is when the present phase began; `breached_at` the last breach seen,
    `judged_at` the last verdict of either kind.

    A rule may have a pace (`sigma` without `window`: its cooldown). The alert then fires and ends as any other; only people
    hear less of it: it fires `muted` where the pace does not allow it yet, and is DUE at the first sample over the bar that it allows.
    """

    rule: Rule
    series: SeriesId
    watch: Watch
    pace: Pace | None = None
    rollup: Rollup | None = None
    phase: Phase = Phase.INACTIVE
    since: float = 0.0
    count: int = 0
    breached_at: float | None = None
    judged_at: float | None = None
    over_at: float | None = None  # since when it is over, and goes on firing all the same
    value: float = 0.0
    numbers: dict[str, float | str] = field(default_factory=dict)
    sent: bool = False  # "firing" was told, so "resolved" must be
    muted: bool = False  # it fires, and people are not told of it yet
    untrusted: bool = False  # what was counted so far was the certificate, which no restart mends
    probe: str = ""  # where its series comes from, once it was judged

    @classmethod
    def on(cls, rule: Rule, series: SeriesId) -> "Alert":
        return cls(rule, series, rule.condition.watch(), rule.condition.pace(), _make_rollup(rule))

    @property
    def key(self) -> str:
        return f"{self.rule.name} {self.series}"

    @property
    def is_firing(self) -> bool:
        return self.phase is Phase.FIRING

    def take(self, sample: Sample) -> Change | None:
        """Judges one new sample and moves on; says whether the alert began or ceased to fire."""
        return self.judge(sample.value, sample.at)

    def judge(self, value: float, at: float, learns: bool = True) -> Change | None:
        """The same for a value of steady time `at`. Where it `learns` nothing, what is usual stays what it was."""
        if self.rollup is not None:
            rolled = self.rollup.push(value, at)
            if rolled is None:
                return None
            value = rolled
        look = self.watch.judge if learns else getattr(self.watch, "look", self.watch.judge)
        verdict = look(value, at, self.phase is Phase.FIRING)
        if verdict.judgement is Judgement.UNKNOWN:
            if verdict is GATHERED and self.judged_at is not None:
                self.judged_at = at
            return None
        if self.pace is not None:
            self.pace.count()
        self.judged_at = at
        if value == value:  # what is over may have none
            self.value = value
        if verdict.judgement is Judgement.BREACH:
            return self._breach(at, verdict)
        if self.phase is Phase.FIRING and self.rule.keep_firing_for is not None:
            self.over_at = at if self.over_at is None else self.over_at
            if at - self.over_at < self.rule.keep_firing_for:
                return None
        return self._end(at)

    def stay(self, value: float, at: float) -> None:
        """As a verdict that nothing is wrong leaves an alert that did not fire."""
        self.judged_at, self.value = at, value
        self._end(at)

    def go_blind(self, probe: str) -> None:
        """The probe could not look: time that nobody saw is no time in breach."""
        if self.probe == probe and self.rule.for_ is not None:
            self.excuse()

    def has_vanished(self, outcome: Outcome) -> bool:
        """Its probe is well, and has not given its series for `VANISHED` seconds: no sample will say that it is over."""
        if self.probe != outcome.probe or not outcome.ok or self.judged_at is None or outcome.at - self.judged_at < VANISHED:
            return False
        return (self.is_firing or self.sent) and all(sample.series != self.series for sample in outcome.samples)

    def is_forgotten(self, outcome: Outcome) -> bool:
        """Neither fires nor was judged for a day, though its probe is well: what it had learnt is of something that is gone."""
        quiet = not self.is_firing and not self.sent and self.probe == outcome.probe and outcome.ok is True
        return quiet and self.judged_at is not None and outcome.at - self.judged_at > FORGOTTEN

    def excuse(self) -> None:
        """What was counted towards firing counts no longer; a firing alert stays."""
        if self.phase is Phase.PENDING:
            self.phase, self.count = Phase.INACTIVE, 0

    def start_over(self) -> None:
        """Counts from nothing. What was told stays told, and is resolved with the first good sample."""
        self.phase, self.count = Phase.INACTIVE, 0

    def begin_anew(self) -> None:
        """A new invocation: the past of the series is another process's past. A rule that restarts must confirm itself anew."""
        if self.rule.then is Then.RESTART:
            self.start_over()
        self.excuse()
        self.watch, self.pace = self.rule.condition.watch(), self.rule.condition.pace()
        if self.rollup is None or self.rule.then is Then.RESTART or not self.rollup.as_.is_of_counters:  # they bear a reset
            self.rollup = _make_rollup(self.rule)

    def resolve(self, at: float) -> Change | None:
        """Ends it for a reason that is not in the series."""
        return self._end(at)

    def _end(self, at: float) -> Change | None:
        was = self.phase
        self.phase, self.count, self.muted, self.over_at = Phase.INACTIVE, 0, False, None
        if was is not Phase.INACTIVE:
            self.since = at
        return Change.RESOLVED if was is Phase.FIRING or self.sent else None

    def _breach(self, at: float, verdict: Verdict) -> Change | None:
        self.breached_at, self.over_at = at, None
        self.numbers = dict(verdict.numbers)
        if self.phase is Phase.FIRING:
            return self._tell_late(verdict)
        if self.phase is Phase.INACTIVE:
            self.phase, self.since, self.count = Phase.PENDING, at, 0
        self.count += 1
        rule = self.rule
        enough = at - self.since >= rule.for_ if rule.for_ is not None else self.count >= (rule.times or 1)
        if not enough:
            return None
        self.phase, self.since = Phase.FIRING, at
        self.muted = self.pace is not None and not self.pace.ask()
        return Change.FIRED

    def _tell_late(self, verdict: Verdict) -> Change | None:
        if self.muted and verdict.is_over and (self.pace is None or self.pace.ask()):
            self.muted = False
            return Change.DUE
        return None


MOST_SERIES = 1000
"""So many series of one rule are kept an eye on, about 5 MB; where there are more, those that were silent for longest are dropped."""


def find_alert(alerts: MutableMapping[str, Alert], rule: Rule, series: SeriesId) -> Alert:
    """The alert of a rule on a series, made where there is none yet."""
    key = f"{rule.name} {series}"
    if key not in alerts:
        idle = [alert for alert in alerts.values() if alert.rule.name == rule.name and not alert.is_firing and not alert.sent]
        if len(idle) >= MOST_SERIES:
            del alerts[min(idle, key=lambda alert: alert.judged_at or 0.0).key]
        alerts[key] = Alert.on(rule, series)
    return alerts[key]


def _make_rollup(rule: Rule) -> Rollup | None:
    return Rollup(rule.over, rule.as_) if rule.over is not None and rule.as_ is not None else None
