"""The state of Prometheus' rules over their evaluations: alerts that are pending and firing, and series that are recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from model_watchdog.promql.elements import Notes
from model_watchdog.promql.faults import DUPLICATES, EvaluationError
from model_watchdog.promql.labels import EMPTY, Labels, make_labels, without_name
from model_watchdog.promql.rulefile import Alerting, Group, Recording
from model_watchdog.promql.storage import STALE, Keeper, Source

NOT_SEEN = "what it looks back on has not been seen from its beginning yet"
ALERTS = "ALERTS"
"""The metric by which rules can look at the alerts of other rules."""


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"


class Step(StrEnum):
    """What has become of an alert."""

    PENDING = "pending"  # its condition holds, and not long enough yet
    FIRING = "firing"
    RESOLVED = "resolved"  # it fired, and is over
    WITHDRAWN = "withdrawn"  # it was pending, and never fired


@dataclass(slots=True)
class Alert:
    """One label set for which a rule's condition holds; times are seconds since 1970."""

    labels: Labels
    annotations: Mapping[str, str]
    value: float
    active_at: float
    state: State = State.PENDING
    fired_at: float | None = None
    ending_since: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    step: Step
    alert: Alert
    at: float


class TooManyAlerts(EvaluationError):
    """A rule has more alerts than its limit, and all are let go; `changes` are the ends of those that fired."""

    def __init__(self, said: str, changes: list[Change]) -> None:
        super().__init__(said)
        self.changes = changes


@dataclass
class AlertingRule:
    """An alerting rule with what it knows of its alerts. `external` are labels that templates know as $externalLabels."""

    rule: Alerting
    limit: int = 0
    offset: float = 0.0
    external: Mapping[str, str] = field(default_factory=dict)
    active: dict[Labels, Alert] = field(default_factory=dict)

    def evaluate(self, source: Source, at: float, notes: Notes | None = None) -> list[Change]:
        """What has changed at this moment.

        Raises EvaluationError where the expression has no answer, and then the alerts stay as they are: what cannot be judged neither
        fires nor ends. Beyond `limit` alerts none is kept, as in Prometheus.
        """
        result = self.rule.expression.evaluate(source, at - self.offset, notes)
        assert not isinstance(result, str)
        found = self._name([(EMPTY, result)] if isinstance(result, float) else result, at)
        changes = list[Change]()
        for labels, alert in found.items():
            known = self.active.get(labels)
            if known is None:
                self.active[labels] = alert
                if self.rule.hold > 0:
                    changes.append(Change(Step.PENDING, alert, at))
            else:
                known.value, known.annotations = alert.value, alert.annotations
        for labels in list(self.active):
            changes += self._advance(labels, labels in found, at)
        if self.limit and len(self.active) > self.limit:
            raise self._forget_all(at)
        return changes

    def samples(self) -> Iterator[tuple[Labels, float]]:
        """The series `ALERTS` of this rule, without their name."""
        for alert in self.active.values():
            yield make_labels([*alert.labels, ("alertstate", alert.state.value)]), 1.0

    def _forget_all(self, at: float) -> "TooManyAlerts":
        gone = list(self.active.values())
        self.active.clear()
        ended = [Change(Step.RESOLVED, alert, at) for alert in gone if alert.fired_at is not None and alert.fired_at < at]
        return TooManyAlerts(f"exceeded limit of {self.limit} with {len(gone)} alerts", ended)

    def _name(self, result: list[tuple[Labels, float]], at: float) -> dict[Labels, Alert]:
        """Each series of the result as an alert, by its labels: its own, those of the rule, and the rule's name."""
        found = dict[Labels, Alert]()
        for series, value in result:
            own = dict(series)
            labels = dict(without_name(series))
            labels |= {name: template.fill(own, value, self.external) for name, template in self.rule.labels.items()}
            whole = make_labels({**labels, "alertname": self.rule.name})
            if whole in found:
                raise EvaluationError("vector contains metrics with the same labelset after applying alert labels")
            annotations = {name: template.fill(own, value, self.external) for name, template in self.rule.annotations.items()}
            found[whole] = Alert(whole, annotations, value, at)
        return found

    def _advance(self, labels: Labels, holds: bool, at: float) -> Iterator[Change]:
        alert = self.active[labels]
        if holds:
            alert.ending_since = None
            if alert.state is State.PENDING and at - alert.active_at >= self.rule.hold:
                alert.state, alert.fired_at = State.FIRING, at
                yield Change(Step.FIRING, alert, at)
            return
        if alert.state is State.FIRING and self.rule.keep_firing_for > 0:
            if alert.ending_since is None:
                alert.ending_since = at
            if at - alert.ending_since < self.rule.keep_firing_for:
                return
        del self.active[labels]
        yield Change(Step.WITHDRAWN if alert.state is State.PENDING else Step.RESOLVED, alert, at)


@dataclass
class RecordingRule:
    """A recording rule, with the series that it gave last."""

    rule: Recording
    limit: int = 0
    offset: float = 0.0

    def evaluate(self, source: Source, at: float, notes: Notes | None = None) -> list[tuple[Labels, float]]:
        """The series with their labels, without their name. Raises EvaluationError where there is no answer."""
        result = self.rule.expression.evaluate(source, at - self.offset, notes)
        assert not isinstance(result, str)
        series = [(EMPTY, result)] if isinstance(result, float) else result
        named = [(make_labels({**dict(without_name(labels)), **self.rule.labels}), value) for labels, value in series]
        if len({labels for labels, _ in named}) < len(named):
            raise EvaluationError(DUPLICATES)
        if self.limit and len(named) > self.limit:
            raise EvaluationError(f"exceeded limit of {self.limit} with {len(named)} series")
        return named


@dataclass
class RunningGroup:
    """A group of rules and their state. What it gives, recorded series and `ALERTS`, goes into the memory that it reads."""

    group: Group
    external: Mapping[str, str] = field(default_factory=dict)
    rules: list[AlertingRule | RecordingRule] = field(init=False)
    _given: dict[int, dict[str, set[Labels]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limit, offset = self.group.limit, self.group.offset
        self.rules = [
            AlertingRule(rule, limit, offset, self.external) if isinstance(rule, Alerting) else RecordingRule(rule, limit, offset)
            for rule in self.group.rules
        ]

    def evaluate(self, memory: Keeper, at: float, seen_since: float = -inf) -> tuple[list[Change], list[tuple[Alerting | Recording, str]]]:
        """One rule after the other, so that one sees what those before it have recorded. What has changed, and which rules failed and why:
        what they gave stays as it is. So does that of a rule for which everything must have been seen since before `seen_since`."""
        changes, failures = list[Change](), list[tuple[Alerting | Recording, str]]()
        for place, rule in enumerate(self.rules):
            try:
                if rule.rule.expression.needs.whole and at - rule.offset - rule.rule.expression.needs.whole / 1000 < seen_since:
                    raise EvaluationError(NOT_SEEN)
                if isinstance(rule, AlertingRule):
                    changes += rule.evaluate(memory, at)
                    self._give(place, memory, ALERTS, list(rule.samples()), at)
                else:
                    self._give(place, memory, rule.rule.metric, rule.evaluate(memory, at), at)
            except EvaluationError as error:
                failures.append((rule.rule, str(error)))
                if isinstance(error, TooManyAlerts):
                    changes += error.changes
                    self._give(place, memory, ALERTS, [], at)
            except (ValueError, ArithmeticError, TypeError, LookupError) as error:  # of one rule alone: those beside it go on
                failures.append((rule.rule, f"{type(error).__name__}: {error}"))
        return changes, failures

    def _give(self, place: int, memory: Keeper, metric: str, series: list[tuple[Labels, float]], at: float) -> None:
        """Samples of a rule's series, and stale markers for those that it gave last time and gives no more."""
        given = {labels for labels, _ in series}
        before = self._given.setdefault(place, {}).get(metric, set())
        for labels in before - given:
            memory.append(metric, labels, at, STALE)
        for labels, value in series:
            memory.append(metric, labels, at, value)
        self._given[place][metric] = given
